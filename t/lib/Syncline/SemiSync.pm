package Syncline::SemiSync;

# A semi-synchronous replica of a MySQL or MariaDB source that stores nothing and
# withholds its acknowledgements: what is committed meanwhile is in the log, and
# with AFTER_SYNC nobody can see it yet.
#
#   my $r = Syncline::SemiSync->new($db, point => 'AFTER_SYNC', hold => 0.2);   seconds at most, by chance
#   $r->stalled                  how many commits have waited for us
#   $r->unheeded                 how many the server gave up waiting for
#   $r->end                      the source commits by itself again
#
# A process of its own on the source's socket: the protocol as far as an empty
# password, a dump and acknowledgements need it.

use strict;
use warnings;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes qw(time);

use constant {COM_QUERY => 3, COM_BINLOG_DUMP => 18, ROTATE => 4, SEMI_SYNC => 0xef};

sub new {
    my ($class, $db, %o) = @_;
    my $self = bless {db => $db, owner => $$}, $class;
    my ($plugin) = $db->isa('Syncline::MySQL') ? ('source') : ();
    $self->{name} = 'rpl_semi_sync_' . ($plugin // 'master');
    $db->sql("INSTALL PLUGIN rpl_semi_sync_$plugin SONAME 'semisync_$plugin.so'") if $plugin;
    $db->sql("SET GLOBAL $self->{name}_wait_point = '$o{point}'", "SET GLOBAL $self->{name}_timeout = 60000");
    my ($file, $at) = @{$db->rows($db->isa('Syncline::MySQL') ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS')->[0]};
    $self->{pid} = fork() // die "fork: $!";
    if ($self->{pid} == 0) {
        srand($o{seed} // 1);
        eval { replicate(login($db->socket), $file, $at, $o{hold}); 1 } or print STDERR "# the replica ended: $@";
        POSIX::_exit(0);
    }
    $db->sql("SET GLOBAL $self->{name}_enabled = 1");
    my $end = time + 30;
    while ($self->status('clients') < 1) { die "no replica has registered\n" if time > $end; select undef, undef, undef, 0.05 }
    return $self;
}

sub status {
    my ($self, $what) = @_;
    return $self->{db}->rows("SHOW GLOBAL STATUS LIKE '$self->{name}_$what'")->[0][1];
}

sub stalled { $_[0]->status('yes_tx') }
sub unheeded { $_[0]->status('no_tx') }

sub end {
    my ($self) = @_;
    $self->{db}->sql("SET GLOBAL $self->{name}_enabled = 0");
    $self->leave;
}

sub leave {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    $self->{pid} = undef;
}

sub DESTROY { local $?; $_[0]->leave }

# ---- packets ----

sub get {
    my ($s) = @_;
    my ($want, $bytes) = (4, '');
    while (length $bytes < $want) {
        sysread($s, $bytes, $want - length $bytes, length $bytes) or die "the server has closed the connection\n";
        $want = 4 + unpack 'V', substr($bytes, 0, 3) . "\0" if length $bytes == 4;
    }
    return (substr($bytes, 4), ord substr $bytes, 3, 1);
}

sub put {
    my ($s, $sequence, $payload) = @_;
    my $packet = substr(pack('V', length $payload), 0, 3) . chr($sequence) . $payload;
    syswrite($s, $packet) == length $packet or die "the server does not read: $!\n";
}

sub expect_ok {
    my ($s) = @_;
    my ($reply) = get($s);
    die 'refused: ' . substr($reply, 9) . "\n" if ord $reply == 0xff;
    return $reply;
}

sub login {
    my ($path) = @_;
    my $s = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
    get($s);
    my $capabilities = 1 | 0x200 | 0x8000 | 0x80000;    # long password, 4.1, secure connection, plugins
    put($s, 1, pack('VVCx23', $capabilities, 1 << 24, 45) . "root\0\0mysql_native_password\0");
    my ($reply, $sequence) = get($s);
    # Another method is asked for: the empty password in its words.
    if (ord $reply == 0xfe) { put($s, $sequence + 1, $reply =~ /caching_sha2/ ? "\0" : ''); expect_ok($s) }
    elsif (ord $reply == 0xff) { die substr($reply, 9) . "\n" }
    for my $name (qw(rpl_semi_sync_slave rpl_semi_sync_replica), map {"${_}_binlog_checksum"} qw(master source)) {
        put($s, 0, chr(COM_QUERY) . "SET \@$name = " . ($name =~ /checksum/ ? "'NONE'" : 1));
        expect_ok($s);
    }
    put($s, 0, chr(COM_QUERY) . 'SET @mariadb_slave_capability = 4');
    expect_ok($s);
    return $s;
}

sub replicate {
    my ($s, $file, $at, $hold) = @_;
    my ($ready, @due) = IO::Select->new($s);
    put($s, 0, chr(COM_BINLOG_DUMP) . pack('VvV', $at, 0, 4_000_000_000) . $file);
    while (1) {
        if ($ready->can_read(@due ? ($due[0][0] > time ? $due[0][0] - time : 0) : 1)) {
            my ($packet) = get($s);
            die 'the dump: ' . substr($packet, 9) . "\n" if ord $packet == 0xff;
            my ($mark, $asked) = unpack 'xCC', $packet;
            my $event = substr $packet, $mark == SEMI_SYNC ? 3 : 1;
            $file = substr $event, 27 if ord(substr $event, 4, 1) == ROTATE;
            push @due, [time + rand $hold, $file, unpack 'V', substr $event, 13, 4] if $mark == SEMI_SYNC && $asked;
        }
        while (@due && $due[0][0] <= time) {
            my $now = shift @due;
            put($s, 0, pack('CQ<', SEMI_SYNC, $now->[2]) . $now->[1]);
        }
    }
}

1;
