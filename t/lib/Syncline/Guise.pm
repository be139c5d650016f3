package Syncline::Guise;

# A PostgreSQL server that says it is another: a proxy before it, in a process
# of its own. As Greenplum it answers version() and server_version as that does, takes
# DISTRIBUTED .. out of statements, and writes all statements down. It shows
# what is said to Greenplum, not what Greenplum makes of it.
#
#   my $g = Syncline::Guise->new(server => $postgresql, as => 'greenplum 6');    which is PostgreSQL 9.4
#   ... ->new(server => $postgresql, as => 'greenplum 7')                        which is PostgreSQL 12
#   ... ->new(server => $postgresql, as => '9.5.25')                             of that version
#   $g->endpoint, $g->endpoint('')   as a target; with other words than dialect = "greenplum";
#   $g->statements                   all that was said so far
#   $g->main_dbh, sql, one, rows     the server's own

use strict;
use warnings;
use Fcntl qw(O_APPEND);
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);

our $AUTOLOAD;
my %running;
my $owner = $$;
my %is = ('greenplum 6' => ['9.4.26', 'PostgreSQL 9.4.26 (Greenplum Database 6.25.3 build commit:0) on x86_64'], 'greenplum 7' => ['12.12', 'PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:0) on x86_64']);

sub new {
    my ($class, %o) = @_;
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "no port: $!";
    my $said = File::Temp->new(TEMPLATE => 'syncline-XXXXXX', TMPDIR => 1);
    my $self = bless {server => $o{server}, as => $o{as}, said => $said, port => $listen->sockport, owner => $$}, $class;
    my $port = $o{server}->port;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        open my $log, '>>', "$said" or POSIX::_exit(1);
        $log->autoflush(1);
        eval { serve($listen, $port, $log, @{$is{$o{as}} || [$o{as}]}); 1 } or print STDERR "$o{as}: $@";
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    $running{$pid} = 1;
    return $self;
}

sub endpoint {
    my ($self, $dialect) = @_;
    return $self->{server}->endpoint($self->{port}) . ' tls = "off"; ' . ($dialect // ($is{$self->{as}} ? 'dialect = "greenplum";' : ''));
}

sub statements {
    my ($self) = @_;
    open my $f, '<', "$self->{said}" or die "$self->{said}: $!";
    local $/ = "\0";
    return map { chomp; $_ } <$f>;
}

sub AUTOLOAD {
    my ($self, @args) = @_;
    my ($name) = $AUTOLOAD =~ /(\w+)$/;
    return $self->{server}->$name(@args);
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$ || !delete $running{$self->{pid}};
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

END {
    if ($$ == $owner) {
        my $status = $?;
        for my $pid (keys %running) { kill 'KILL', $pid; waitpid $pid, 0 }
        $? = $status;
    }
}

# ---- the process ----

# Whole messages of a side's buffer: [type, body], a beginning with type ''.
sub messages {
    my ($c, $way) = @_;
    my @found;
    while (1) {
        my $head = $way eq 'up' && !$c->{begun} ? 0 : 1;
        return @found if length $c->{$way} < $head + 4;
        my $n = unpack 'N', substr $c->{$way}, $head, 4;
        return @found if length $c->{$way} < $head + $n;
        my $message = substr $c->{$way}, 0, $head + $n, '';
        push @found, [substr($message, 0, $head), substr $message, $head + 4];
        $c->{begun} = 1 if !$head && (unpack 'N', $found[-1][1]) >> 16 == 3;
    }
}

sub pack_message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }

sub strip {
    my ($sql, $log, $version) = @_;
    print $log "$sql\0";
    return $sql if !defined $version;
    $sql =~ s/ DISTRIBUTED (?:BY \([^()]*\)|RANDOMLY)//g;
    $sql =~ s/\bversion\(\)/'$version'/g;
    $sql =~ s/current_setting\('gp_enable_global_deadlock_detector'\)/'off'/g;
    return $sql;
}

# What a side has said, as the other one hears it.
sub pass {
    my ($c, $way, $log, $number, $version) = @_;
    my $to = $way eq 'up' ? $c->{server} : $c->{client};
    my $out = '';
    for my $m (messages($c, $way)) {
        my ($type, $body) = @$m;
        if ($type eq '' && (unpack 'N', $body) >> 16 != 3) {    # the wish to encrypt
            syswrite $c->{client}, 'N';
            next;
        }
        if ($way eq 'up' && $type eq 'Q') {
            $body = strip($body =~ s/\0\z//r, $log, $version) . "\0";
        } elsif ($way eq 'up' && $type eq 'P') {
            my ($name, $sql, $rest) = $body =~ /^([^\0]*)\0([^\0]*)\0(.*)/s;
            $body = "$name\0" . strip($sql, $log, $version) . "\0$rest";
        } elsif ($way eq 'down' && $type eq 'S' && $body =~ /^server_version\0/) {
            $body = "server_version\0$number\0";
        }
        $out .= pack_message($type, $body);
    }
    while (length $out) { my $n = syswrite($to, $out) // return 0; substr $out, 0, $n, '' }
    return 1;
}

sub serve {
    my ($listen, $port, $log, @is) = @_;
    my $select = IO::Select->new($listen);
    my %of;
    while (my @ready = $select->can_read) {
        for my $s (@ready) {
            if ($s == $listen) {
                my $client = $listen->accept or next;
                my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
                if (!$server) { close $client; next }
                setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1 for $client, $server;
                my $c = {client => $client, server => $server, up => '', down => ''};
                $of{$_} = $c for $client, $server;
                $select->add($client, $server);
                next;
            }
            my $c = $of{$s} or next;
            my $way = $s == $c->{client} ? 'up' : 'down';
            my $n = sysread $s, $c->{$way}, 65536, length $c->{$way};
            next if $n && pass($c, $way, $log, @is);
            for (@$c{qw(client server)}) { $select->remove($_); delete $of{$_}; close $_ }
        }
    }
}

1;
