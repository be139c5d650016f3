package Syncline::Proxy;

# A TCP proxy in a process of its own, in front of a server, that does to
# connections what networks do. Faults count from the moment they are set.
#
#   my $p = Syncline::Proxy->new(port => $server->port);    $p->port: where to connect
#   $p->set(delay => 200, jitter => 100)   ms before bytes go on, each way
#   $p->set(rate => 65536)                 bytes a second, each way
#   $p->set(slice => 1)                    bytes a write at most
#   $p->set(cut => 1000, way => 'down')    resets the connection that carries that byte, once; 'up' is
#                                          to the server, 'down' from it
#   $p->set(half => 1000, way => 'down')   ends that direction there (FIN), the other one stays
#   $p->set(swallow => 3)                  the third COMMIT from now reaches the server; its reply is lost
#                                          and the connection reset
#   $p->set(freeze => 1), 'up', 'down'     nothing moves, nothing is closed; new connections likewise
#   $p->set(lose => 1)                     connections of this moment stay silent for ever; new ones work
#   $p->set(refuse => 1)                   all connections are reset, new ones at once
#   $p->clear                              all is well again (what was lost stays lost)
#   $p->happened                           faults so far (cut, half, swallow)
#   $p->bytes('down')                      carried so far

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SHUT_WR AF_UNIX SOCK_STREAM PF_UNSPEC);
use Time::HiRes qw(time);

my %running;
my $owner = $$;
my %other = (up => 'down', down => 'up');

sub new {
    my ($class, %o) = @_;
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "no port for a proxy: $!";
    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        close $ours;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $SIG{PIPE} = 'IGNORE';
        eval { serve({listen => $listen, control => $theirs, server => $o{port}, fault => {}, conns => {}, total => {up => 0, down => 0}, happened => 0}); 1 }
            or print STDERR "proxy: $@";
        POSIX::_exit(0);
    }
    close $theirs;
    $ours->autoflush(1);
    $running{$pid} = 1;
    my $port = $listen->sockport;
    close $listen;
    return bless {pid => $pid, port => $port, control => $ours, owner => $$}, $class;
}

sub port { $_[0]{port} }

sub ask {
    my ($self, %what) = @_;
    my $c = $self->{control};
    print $c encode_json(\%what), "\n";
    my $line = readline $c // die 'the proxy has gone';
    return decode_json($line);
}

sub set { my ($self, %fault) = @_; $self->ask(fault => \%fault); return $self }
sub clear { my ($self) = @_; $self->ask(fault => {}); return $self }
sub happened { my ($self) = @_; return $self->ask->{happened} }
sub bytes { my ($self, $way) = @_; return $self->ask->{total}{$way} }

sub stop {
    my ($self) = @_;
    return if !delete $running{$self->{pid}};
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

sub DESTROY { my ($self) = @_; local $?; $self->stop if $self->{owner} == $$ }

END {
    if ($$ == $owner) {
        my $status = $?;
        kill 'KILL', $_ for keys %running;
        waitpid $_, 0 for keys %running;
        $? = $status;
    }
}

# ---- the process ----

sub reset_connection {
    my ($p, $c) = @_;
    for my $s (@$c{qw(client server)}) {
        setsockopt $s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $s;
    }
    delete $p->{conns}{$c->{id}};
}

sub accept_one {
    my ($p) = @_;
    my $client = $p->{listen}->accept or return;
    my $server = $p->{fault}{refuse} ? undef : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->{server});
    if (!$server) {
        setsockopt $client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        close $client;
        return;
    }
    for ($client, $server) { setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1; $_->blocking(0) }
    my $id = ++$p->{last};
    $p->{conns}{$id} = {id => $id, client => $client, server => $server, queue => {up => [], down => []}, ended => {}, sent_fin => {}};
}

sub moves {
    my ($p, $c, $way) = @_;
    my $f = $p->{fault}{freeze} // '';
    return 0 if $c->{lost} || ($f && ($f eq '1' || $f eq $way));
    return 1;
}

# A COMMIT as a command of its own: MySQL's COM_QUERY, PostgreSQL's Query.
sub is_commit { return $_[0] =~ /^(?:\x07\x00\x00\x00\x03COMMIT|Q\x00\x00\x00\x0bCOMMIT\x00)\z/ }

sub take {
    my ($p, $c, $way) = @_;
    my ($from) = $way eq 'up' ? $c->{client} : $c->{server};
    my $n = sysread $from, my $data, 65536;
    if (!defined $n) {
        reset_connection($p, $c) if !$!{EAGAIN} && !$!{EINTR};
        return;
    }
    if ($n == 0) { $c->{ended}{$way} = 1; return }
    my $f = $p->{fault};
    if ($f->{swallow} && $way eq 'up' && is_commit($data) && --$f->{swallow} == 0) { $c->{swallow} = 1; delete $f->{swallow} }
    if ($c->{swallow} && $way eq 'down') { $p->{happened}++; reset_connection($p, $c); return }
    my $at = time + (($f->{delay} // 0) + ($f->{jitter} ? rand $f->{jitter} : 0)) / 1000;
    push @{$c->{queue}{$way}}, [$at, $data];
}

# Bytes that may still go until a fault of this direction; undef: none is set.
sub until_fault {
    my ($p, $way) = @_;
    my $f = $p->{fault};
    return undef if !defined($f->{cut} // $f->{half}) || ($f->{way} // 'down') ne $way;
    return ($f->{cut} // $f->{half});
}

sub give {
    my ($p, $c, $way, $now) = @_;
    my $f = $p->{fault};
    my $to = $way eq 'up' ? $c->{server} : $c->{client};
    my $q = $c->{queue}{$way};
    while (@$q && $q->[0][0] <= $now) {
        my $n = length $q->[0][1];
        $n = $f->{slice} if $f->{slice} && $n > $f->{slice};
        if ($f->{rate}) {
            my $may = int(($now - $f->{since}) * $f->{rate}) - ($f->{sent}{$way} // 0);
            return if $may <= 0;
            $n = $may if $n > $may;
        }
        my $left = until_fault($p, $way);
        $n = $left if defined $left && $n > $left;
        my $done = $n ? syswrite($to, $q->[0][1], $n) : 0;
        if (!defined $done) {
            reset_connection($p, $c) if !$!{EAGAIN};
            return;
        }
        $p->{total}{$way} += $done;
        $f->{sent}{$way} += $done;
        substr $q->[0][1], 0, $done, '';
        shift @$q if $q->[0][1] eq '';
        next if !defined $left;
        if ($done < $left) { $f->{defined $f->{cut} ? 'cut' : 'half'} -= $done; next }
        $p->{happened}++;
        if (defined delete $f->{cut}) { reset_connection($p, $c); return }
        delete $f->{half};
        shutdown $to, SHUT_WR;
        $c->{sent_fin}{$way} = 1;
        @$q = ();
    }
    if (!@$q && $c->{ended}{$way} && !$c->{sent_fin}{$way}) { shutdown $to, SHUT_WR; $c->{sent_fin}{$way} = 1 }
    if ($c->{ended}{up} && $c->{ended}{down} && !@{$c->{queue}{up}} && !@{$c->{queue}{down}}) {
        close $c->{client};
        close $c->{server};
        delete $p->{conns}{$c->{id}};
    }
}

sub obey {
    my ($p) = @_;
    my $n = sysread $p->{control}, my $data, 65536;
    POSIX::_exit(0) if !$n;
    $p->{orders} .= $data;
    while ($p->{orders} =~ s/^([^\n]*)\n//) {
        my $order = decode_json($1);
        if ($order->{fault}) {
            $p->{fault} = $order->{fault};
            $p->{fault}{since} = time;
            if (delete $p->{fault}{lose}) { $_->{lost} = 1 for values %{$p->{conns}} }
            if ($p->{fault}{refuse}) { reset_connection($p, $_) for values %{$p->{conns}} }
        }
        syswrite $p->{control}, encode_json({happened => $p->{happened}, total => $p->{total}}) . "\n";
    }
}

sub serve {
    my ($p) = @_;
    while (1) {
        my ($read, $write) = (IO::Select->new($p->{listen}, $p->{control}), IO::Select->new);
        my ($now, $wait) = (time, 1);
        my %of;
        for my $c (values %{$p->{conns}}) {
            for my $way (qw(up down)) {
                my ($from, $to) = $way eq 'up' ? @$c{qw(client server)} : @$c{qw(server client)};
                next if !moves($p, $c, $way);
                if (!$c->{ended}{$way} && @{$c->{queue}{$way}} < 64) { $read->add($from); $of{fileno $from} = [$c, $way] }
                my $first = $c->{queue}{$way}[0] or next;
                if ($first->[0] <= $now && !$p->{fault}{rate}) { $write->add($to) }
                else { my $in = $p->{fault}{rate} ? 0.01 : $first->[0] - $now; $wait = $in if $in < $wait }
            }
        }
        my ($r) = IO::Select->select($read, $write, undef, $wait > 0.001 ? $wait : 0.001);
        for my $s (@{$r // []}) {
            if ($s == $p->{listen}) { accept_one($p) }
            elsif ($s == $p->{control}) { obey($p) }
            elsif (my $o = $of{fileno($s) // -1}) { take($p, @$o) if $p->{conns}{$o->[0]{id}} }
        }
        $now = time;
        for my $c (values %{$p->{conns}}) {
            for my $way (qw(up down)) { give($p, $c, $way, $now) if $p->{conns}{$c->{id}} && moves($p, $c, $way) }
        }
    }
}

1;
