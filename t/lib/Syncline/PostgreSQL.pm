package Syncline::PostgreSQL;

# Debian's PostgreSQL server, or one of another version; see Server.pm. It never runs as root: a test that
# does starts it as postgres, or nobody. Relaxed durability, since the tests kill
# processes and not machines.
#
#   my $db = Syncline::PostgreSQL->new;     database `test`, superuser `root`, user `syncline`
#   ... ->new(version => '9.6')
#   $db->standby(name => 'one', options => [...])   a streaming standby of it, with a slot of that name (12 and later)
#   $db->stop, $db->immediate, $db->kill9           fast, at once, without a word
#   $standby->promote; $standby->received_all       (of the server's log, up to now)
#   $db->children(qr/walreceiver/)                  pids of its processes, by their titles

use strict;
use warnings;
use parent -norequire, 'Syncline::Server';
use Syncline::Server;
use DBI;
use File::Path qw(remove_tree);
use File::Temp ();
use IPC::SysV qw(IPC_RMID);
use POSIX ();
use Time::HiRes qw(sleep time);

# The server's own account must be able to run what was fetched for ours.
my %homes;

sub home {
    my ($self) = @_;
    my $version = $self->{version};
    if (!defined $version) {
        my ($home) = sort { $b cmp $a } glob '/usr/lib/postgresql/*/bin';
        return $home || die 'no PostgreSQL server; run make deps';
    }
    $homes{$version} ||= do {
        my $fetched = $self->fetched("postgresql-$version");
        my $copy = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        chmod 0755, $copy;
        system('cp', '-a', "$fetched/.", $copy) == 0 or die "cannot copy $fetched";
        $copy;
    };
    return "$homes{$version}/bin";
}

sub kind { 'postgresql' }

sub endpoint {
    my ($self, $port) = @_;
    return sprintf 'kind = "postgresql"; host = "127.0.0.1"; port = %d; database = "test"; user = "syncline"; password = "secret";', $port // $self->port;
}

# uid and gid that the server runs as, where we are root.
sub account {
    return if $> != 0;
    my @found = map { [(getpwnam $_)[2, 3]] } grep { getpwnam $_ } qw(postgres nobody);
    return @{ $found[0] };
}

sub become {
    my ($uid, $gid) = account() or return;
    POSIX::setgid($gid);
    POSIX::setuid($uid);
}

sub prepare {
    my ($self) = @_;
    my $home = $self->home;
    my ($version) = `$home/postgres --version` =~ /([\d.]+)/ or die 'no PostgreSQL server; run make deps';
    my ($uid, $gid) = account();
    $self->copy_template(
        "postgresql-$version",
        sub {
            my ($template) = @_;
            my $dir = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1, CLEANUP => 1);    # the cache may be ours alone
            chown $uid, $gid, $dir if defined $uid;
            my $pid = open(my $out, '-|') // die "fork: $!";
            if ($pid == 0) {
                open STDERR, '>&', \*STDOUT;
                chdir '/';
                become();
                exec "$home/initdb", '-D', $dir, '-U', 'root', '-N', '-E', 'UTF8', '--locale=C.UTF-8', '--auth=trust'
                    or POSIX::_exit(127);
            }
            my $text = do { local $/; <$out> };
            close $out or die "initdb failed: $text";
            open my $f, '>', "$dir/pg_hba.conf" or die "pg_hba.conf: $!";
            my $method = ($version =~ m{^(\d+)})[0] >= 14 ? 'scram-sha-256' : 'md5';
            print $f map { "local $_ all trust\nhost $_ all 127.0.0.1/32 $method\n" } qw(all replication);
            close $f;
            system('cp', '-aT', $dir, $template) == 0 or die "cannot copy $dir";
        });
}

# A copy of a server's own has its users and its database.
sub copy_data {
    my ($self, $from) = @_;
    my ($uid, $gid) = account();
    $self->SUPER::copy_data($from);
    chown $uid, $gid, $self->dir, $self->dir . '/tmp' if defined $uid;
    $self->{made} = index($from, Syncline::Server::cache_dir()) != 0;
}

sub command {
    my ($self) = @_;
    my $dir = $self->dir;
    return (
        $self->home . '/postgres', '-D', "$dir/data", '-k', $dir, '-p', $self->port, '-c', 'listen_addresses=127.0.0.1',
        # (shared memory as files of its own: a killed server leaves all else behind, until none is left)
        map { ('-c', $_) } 'dynamic_shared_memory_type=mmap', 'wal_level=logical', 'fsync=off', 'max_replication_slots=20', 'max_wal_senders=20', 'max_connections=80',
        'max_prepared_transactions=10', 'autovacuum_naptime=5', 'deadlock_timeout=200ms', @{$self->{options}},
    );
}

# What `start` of Server.pm runs in the child.
sub enter { become() }

sub dbh {
    my ($self, %o) = @_;
    my $name = delete $o{database} || ($self->{made} ? 'test' : 'postgres');
    return DBI->connect("DBI:Pg:dbname=$name;host=$self->{dir};port=$self->{port}", 'root', '',
        {RaiseError => 1, PrintError => 0, AutoCommit => 1, PrintWarn => 0, pg_server_prepare => 0, %o});
}

sub is_retried { my ($self, $dbh) = @_; return ($dbh->state // '') =~ /^40|^55P03/ }

sub users {
    my ($self) = @_;
    $self->sql('CREATE DATABASE test', q{CREATE USER syncline SUPERUSER REPLICATION PASSWORD 'secret'});
    $self->{made} = 1;
    $self->{dbh}->disconnect;
    $self->{dbh} = undef;
}

# SIGINT: connections end, the server shuts down cleanly.
sub stop {
    my ($self) = @_;
    return $self unless $self->{pid};
    $self->{dbh}->disconnect if $self->{dbh} && $self->{dbh_pid} == $$;
    $self->{dbh} = undef;
    $self->signal('INT');
    $self->reap(30) or $self->kill9;
    return $self;
}

# SIGQUIT: all processes end at once; the next start recovers.
sub immediate {
    my ($self) = @_;
    $self->signal('QUIT');
    $self->reap(30) or $self->kill9;
    return $self;
}

sub slurp { my ($file) = @_; open(my $f, '<', $file) or return ''; local $/; return scalar(<$f>) // '' }

sub children {
    my ($self, $title) = @_;
    my @pids = map { /^(\d+) \(.*\) \S (\d+)/s && $2 == $self->{pid} ? $1 : () } map { slurp($_) } glob '/proc/[0-9]*/stat';
    return grep { !$title || slurp("/proc/$_/cmdline") =~ $title } @pids;
}

# What pg_basebackup does, which not every server that was fetched has.
sub standby {
    my ($self, %o) = @_;
    my ($name, $dir) = ($o{name} // 'standby', $self->dir);
    my $d = $self->dbh;
    my ($start, $stop) = $self->one('SHOW server_version_num') >= 150000 ? ('pg_backup_start(?, true)', 'pg_backup_stop(false)')
        : ('pg_start_backup(?, true, false)', 'pg_stop_backup(false, false)');
    $d->do('SELECT pg_create_physical_replication_slot(?, true)', undef, $name);
    $d->do("SELECT $start", undef, $name);
    system("cp -a '$dir/data' '$dir/backup' 2>/dev/null");    # what goes away meanwhile is not needed
    my $label = $d->selectrow_array("SELECT labelfile FROM $stop");
    unlink "$dir/backup/postmaster.pid";
    remove_tree("$dir/backup/pg_replslot", {keep_root => 1});
    my $conninfo = "host=$dir port=$self->{port} user=root dbname=postgres application_name=$name";
    for (['backup_label', $label], ['standby.signal', ''], ['postgresql.auto.conf', "primary_conninfo = '$conninfo'\nprimary_slot_name = '$name'\n"]) {
        my ($file, $text) = @$_;
        open my $f, '>>', "$dir/backup/$file" or die "$file: $!";
        print $f $text;
        close $f;
    }
    my ($uid, $gid) = account();
    chown $uid, $gid, map {"$dir/backup/$_"} qw(backup_label standby.signal) if defined $uid;
    my $standby = (ref $self)->new(version => $self->{version}, data => "$dir/backup", options => [@{$self->{options}}, @{$o{options} // []}]);
    remove_tree("$dir/backup");
    return $standby;
}

sub promote { my ($self) = @_; $self->sql('SELECT pg_promote()'); return $self }

sub received_all {
    my ($self, $from) = @_;
    my $lsn = $from->one('SELECT pg_current_wal_flush_lsn()');
    my $end = time + 30 * ($ENV{PATIENCE} // 4);
    while (time < $end) {
        return 1 if $self->one('SELECT pg_last_wal_replay_lsn() >= ?', $lsn);
        sleep 0.02;
    }
    return 0;
}

# The postmaster's children hold its memory: they go with it, or it cannot start again.
sub kill9 {
    my ($self) = @_;
    return $self unless $self->{pid};
    $self->signal('STOP');    # or it has another child meanwhile
    my @children = $self->children;
    $self->signal('KILL');
    kill 'KILL', @children if @children;
    $self->reap(10);
    my $end = time + 10;
    sleep 0.01 while time < $end && grep { my $f; open($f, '<', "/proc/$_/stat") && (<$f> // '') !~ /\) Z/ } @children;
    return $self;
}

# By the segment that a killed one has left the next start would know that it was.
sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    $self->kill9 if $self->{pid};
    my ($segment) = ((split /\n/, slurp("$self->{dir}/data/postmaster.pid"))[6] // '') =~ /^\s*\d+\s+(\d+)/;
    shmctl $segment, IPC_RMID, 0 if defined $segment;
    $self->SUPER::DESTROY;
}

1;
