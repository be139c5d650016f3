package Syncline::Server;

# A throwaway database server: the common part of MariaDB.pm, MySQL.pm and PostgreSQL.pm.
#
#   my $db = Syncline::MariaDB->new(server_id => 2, options => ['--x=y'], version => '10.5');
#   ... ->new(data => $dir)                       with a copy of a stopped server's data
#   $db->sql('CREATE DATABASE shop', ...);        run statements
#   (session => 'SET ...' runs in each connection)
#   my $rows = $db->rows('SELECT 1, 2');          [[1, 2]]
#   my $one = $db->one('SELECT COUNT(*) ...');    first column of the first row
#   $db->port, $db->socket, $db->dir, $db->dbh    (a new connection as root)
#   $db->stop, $db->start, $db->kill9, $db->freeze, $db->thaw
#
# Users: root (socket only) and syncline with password "secret" over TCP at
# 127.0.0.1. Each server lives in a directory of its own under TMPDIR and is
# ended with the test, however that ends; KEEP=1 keeps the directories. The
# initialised data directory is kept in a cache and copied.

use strict;
use warnings;
use DBI;
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

my %running;    # pid => server, of this process
my $owner = $$;

sub cache_dir {
    my $dir = $ENV{SYNCLINE_CACHE} || ($ENV{HOME} || '/tmp') . '/.cache/syncline';
    make_path($dir);
    return $dir;
}

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1)
        or die "no free port: $!";
    return $s->sockport;
}

sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my $self = bless {
        dir => $dir,
        port => free_port(),
        server_id => $o{server_id} || 1 + int(rand(1_000_000)) + 2,
        options => $o{options} || [],
        version => $o{version},
        session => $o{session},
        owner => $$,
    }, $class;
    # Of its own: a server that starts deletes what others have in theirs.
    make_path("$dir/tmp");
    $o{data} ? $self->copy_data($o{data}) : $self->prepare;
    $self->start;
    $self->users if !$o{data};
    return $self;
}

sub dir { $_[0]{dir} }
sub port { $_[0]{port} }
sub pid { $_[0]{pid} }
sub socket { "$_[0]{dir}/s" }
sub log_file { "$_[0]{dir}/log" }

sub user { $> == 0 ? ('--user=root') : () }

# The home of a server that Debian does not have.
sub fetched {
    my ($self, $name) = @_;
    my ($home, $fetch) = (cache_dir() . "/$name", dirname(__FILE__) . '/../../fetch-servers');
    -x "$home/bin/server" or system($fetch, $name) == 0 or die "cannot fetch $name ($fetch $name says why)";
    return $home;
}

# The system's tables by the server's own scripts: root without a password, nobody else.
sub bootstrap {
    my ($self, $dir, @scripts) = @_;
    my $share = ($self->base)[0] =~ s{/bin/server$}{/share}r;
    my @options = ("--datadir=$dir", '--innodb-buffer-pool-size=64M', '--bootstrap');
    make_path("$dir/mysql");
    open my $out, '|-', "@{[$self->base]} @options >$dir.log 2>&1" or die "cannot bootstrap: $!";
    print $out "SET \@auth_root_socket = NULL, \@skip_auth_anonymous = 1;\nUSE mysql;\n";
    for my $script (@scripts) {
        open my $in, '<', "$share/$script.sql" or die "$share/$script.sql: $!";
        print $out $_ while <$in>;
    }
    print $out "DELETE FROM mysql.user WHERE User = '';\n" if !grep { /performance/ } @scripts;
    close $out or die "the bootstrap failed; see $dir.log";
    unlink "$dir.log";
}

# The data directory: from the cache, made there once.
sub copy_template {
    my ($self, $name, $make) = @_;
    my $template = cache_dir() . "/data-$name";
    if (!-d $template) {
        my $tmp = "$template.$$";
        remove_tree($tmp);
        make_path($tmp);
        $make->($tmp);
        rename $tmp, $template or remove_tree($tmp);
    }
    $self->copy_data($template);
}

# Without a log, whose index names files where they were, and with a uuid of its own.
sub copy_data {
    my ($self, $from) = @_;
    system('cp', '-a', '--reflink=auto', $from, "$self->{dir}/data") == 0 or die "cannot copy $from";
    unlink glob("$self->{dir}/data/binlog.*"), "$self->{dir}/data/auto.cnf";
}

sub start {
    my ($self) = @_;
    my @command = $self->command;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self->log_file;
        open STDERR, '>&', \*STDOUT;
        POSIX::setsid();
        $self->enter;
        exec @command or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
    my $end = time + 60;
    while (time < $end) {
        my $dbh = eval { $self->dbh(PrintError => 0) };
        return $self if $dbh;
        die "the server ended while starting; see " . $self->log_file . "\n" . $self->tail
            if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.05;
    }
    die "the server did not start in 60 s; see " . $self->log_file;
}

sub tail {
    my ($self) = @_;
    open my $f, '<', $self->log_file or return '';
    my @lines = <$f>;
    return join '', @lines > 80 ? @lines[-80 .. -1] : @lines;
}

# What a kind of server may say otherwise.
sub enter { }
sub kind { 'mysql' }
sub is_retried { my ($self, $dbh) = @_; return grep { ($dbh->err // 0) == $_ } 1205, 1213 }

# Its end of a channel's file; with another port, of what stands between.
sub endpoint {
    my ($self, $port) = @_;
    return sprintf 'kind = "mysql"; host = "127.0.0.1"; port = %d; user = "syncline"; password = "secret";', $port // $self->port;
}

sub dbh {
    my ($self, %o) = @_;
    my $socket = $self->socket;
    my $dbh = DBI->connect("DBI:MariaDB:;mariadb_socket=$socket", 'root', '',
        {RaiseError => 1, PrintError => 0, AutoCommit => 1, mariadb_auto_reconnect => 0, %o});
    $dbh->do($self->{session}) if $self->{session};
    return $dbh;
}

# The connection of this process; after a fork, or a restart, a new one.
sub main_dbh {
    my ($self) = @_;
    if (!$self->{dbh} || $self->{dbh_pid} != $$ || !$self->{dbh}->ping) {
        $self->{dbh}{InactiveDestroy} = 1 if $self->{dbh} && $self->{dbh_pid} != $$;
        $self->{dbh} = $self->dbh;
        $self->{dbh_pid} = $$;
    }
    return $self->{dbh};
}

# Deadlocks and lock timeouts are run again, as applications do: writers may be at work.
sub sql {
    my ($self, @statements) = @_;
    for my $statement (@statements) {
        for my $try (1 .. 5) {
            last if eval { $self->main_dbh->do($statement); 1 };
            my $why = $@;
            die "$statement: $why" if $try == 5 || !$self->is_retried($self->main_dbh);
            warn "run again: $statement: $why";
        }
    }
    return $self;
}

sub rows { my ($self, $q, @p) = @_; return $self->main_dbh->selectall_arrayref($q, undef, @p) }
sub one { my ($self, $q, @p) = @_; my $r = $self->rows($q, @p); return $r->[0] ? $r->[0][0] : undef }
sub version { $_[0]->one('SELECT VERSION()') }

sub users {
    my ($self) = @_;
    $self->sql("CREATE USER 'syncline'\@'%' IDENTIFIED BY 'secret'", "GRANT ALL PRIVILEGES ON *.* TO 'syncline'\@'%' WITH GRANT OPTION");
}

sub signal { my ($self, $name) = @_; kill $name, $self->{pid} if $self->{pid}; return $self }
sub freeze { $_[0]->signal('STOP') }
sub thaw { $_[0]->signal('CONT') }

sub reap {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    while (time < $end) {
        if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
            delete $running{$self->{pid}};
            $self->{pid} = undef;
            return 1;
        }
        sleep 0.02;
    }
    return 0;
}

sub stop {
    my ($self) = @_;
    return $self unless $self->{pid};
    $self->{dbh}->disconnect if $self->{dbh} && $self->{dbh_pid} == $$;
    $self->{dbh} = undef;
    $self->signal('TERM');
    $self->reap(20) or $self->kill9;
    return $self;
}

sub kill9 {
    my ($self) = @_;
    return $self unless $self->{pid};
    $self->signal('KILL');
    $self->reap(10);
    return $self;
}

# What a server has to say of a failed test: its errors, and where it crashed if it did.
sub explain {
    my ($self) = @_;
    my @lines = split /\n/, $self->tail;
    my $crashed = 0;
    for (@lines) {
        $crashed ||= /got signal/;
        print STDERR "# port $self->{port}: $_\n" if $crashed || /\[ERROR\]/;
    }
}

# Whatever ends the test ends its servers.
sub end_all {
    return if $$ != $owner;
    my $failed = $?;
    for my $s (values %running) {
        kill 'CONT', $s->{pid};
        kill 'KILL', $s->{pid};
        waitpid $s->{pid}, 0;
        $s->{pid} = undef;
        $s->explain if $failed;
    }
    %running = ();
    $? = $failed;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local $?;
    $self->kill9 if $self->{pid};
    remove_tree($self->{dir}) unless $ENV{KEEP};
}

$SIG{$_} //= sub { exit 130 } for qw(INT TERM HUP);
END { end_all() }

1;
