package Syncline::Pair;

# One channel's reader and writer, run by t/tools/pair.c without a supervisor.
#
#   my $p = Syncline::Pair->new(source => $db1, target => $db2, objects => '...',
#                               more => "chunk_rows = 300;\n");
#                               workers => $dir: those of another build
#   $p->start('caught-up');     or 'loaded', or nothing: until stop
#   $p->wait(60)                exit status; dies after so many seconds
#   $p->stop                    drains; exit status
#   $p->follow($db1, $db2, 60)  starts, waits until all that the source has now is at
#                               the target, stops; exit status (not 0 also if it took longer).
#                               Wants `marker` (n INT PRIMARY KEY) in a database `marker`,
#                               which $p->mark($db1) makes and the objects select
#   $p->kill_worker('reader')   kill -9 of 'reader', 'writer' or either
#   $p->kill_all                kill -9 of the parent: the workers must go too
#   $p->with_kills(10, sub {})  runs that long under kills of workers and parent, ends; how many. The
#                               sub looks at things between
#   $p->output                  what it printed, log lines included

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

our $top = abs_path(dirname(__FILE__) . '/../../..');
our $build = $ENV{SYNCLINE_BUILD} || "$top/build";
my %running;
my $owner = $$;

sub endpoint {
    my ($db) = @_;
    return ref $db ? $db->endpoint : $db;
}

sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{KEEP});
    my $self = bless {dir => $dir, conf => "$dir/" . ($o{id} || 'test') . '.conf', workers => $o{workers} || $build, starts => 0}, $class;
    open my $f, '>', $self->{conf} or die "$self->{conf}: $!";
    chmod 0600, $self->{conf};
    printf $f "source = { %s };\ntarget = { %s };\nobjects = ( %s );\n%s", endpoint($o{source}), endpoint($o{target}), $o{objects},
        $o{more} || '';
    close $f;
    return $self;
}

sub conf { $_[0]{conf} }
sub log_file { "$_[0]{dir}/log" }

sub start {
    my ($self, @until) = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self->log_file;
        open STDERR, '>&', \*STDOUT;
        $ENV{SYNCLINE_LIBEXEC} = $self->{workers};
        exec "$build/t/tools/pair", $self->{conf}, @until or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $running{$pid} = 1;
    return $self;
}

sub wait {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds || 60);
    while (time < $end) {
        if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
            delete $running{$self->{pid}};
            $self->{pid} = undef;
            return $? & 127 ? 128 + ($? & 127) : $? >> 8;
        }
        sleep 0.02;
    }
    die "the pair did not end in $seconds s\n" . $self->output;
}

sub stop { my ($self, $seconds) = @_; kill 'TERM', $self->{pid}; return $self->wait($seconds || 60) }

sub mark {
    my ($self, $source) = @_;
    $source->sql('CREATE DATABASE IF NOT EXISTS marker', 'CREATE TABLE IF NOT EXISTS marker.marker (n INT PRIMARY KEY) ENGINE=InnoDB',
        'REPLACE INTO marker.marker VALUES (' . ++$self->{marks} . ')');
    return $self;
}

# (caught-up is content with the last second of the log still to come)
sub follow {
    my ($self, $source, $target, $seconds) = @_;
    $self->mark($source)->start;
    my $end = time + ($seconds || 60);
    while (time < $end) {
        my $mark = eval { $target->one("SELECT n FROM marker.marker WHERE n = $self->{marks}") };
        return $self->stop if defined $mark;
        if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
            delete $running{$self->{pid}};
            return ($? & 127 ? 128 + ($? & 127) : $? >> 8) || 'ended too early';
        }
        sleep 0.02;
    }
    $self->stop;
    return 'too late';
}

sub workers {
    my ($self, $role) = @_;
    my @found;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $stat or next;
        my ($pid, $name, $ppid) = (<$f> // '') =~ /^(\d+) \((.*)\) \S (\d+)/ or next;
        push @found, $pid if $self->{pid} && $ppid == $self->{pid} && $name =~ /^syncline-(?:$role)/;
    }
    return @found;
}

sub kill_worker {
    my ($self, $role) = @_;
    my @pids = $self->workers($role || 'reader|writer') or return 0;
    return kill 'KILL', $pids[rand @pids];
}

sub kill_all {
    my ($self) = @_;
    kill 'KILL', $self->{pid};
    return $self->wait(5);
}

sub with_kills {
    my ($self, $seconds, $look) = @_;
    my ($kills, $end) = (0, time + $seconds);
    $self->start;
    while (time < $end) {
        for (1 .. 3) { sleep 0.1 + rand 0.4; $look->() if $look }
        if (rand() < 0.2) { $self->kill_all; $self->start; $kills++ }
        else { $kills += $self->kill_worker }
    }
    $self->kill_all;
    return $kills;
}

sub output {
    my ($self) = @_;
    open my $f, '<', $self->log_file or return '';
    local $/;
    return <$f>;
}

# Polls until the output matches.
sub wait_for {
    my ($self, $pattern, $seconds) = @_;
    my $end = time + ($seconds || 30);
    while (time < $end) {
        return 1 if $self->output =~ $pattern;
        sleep 0.05;
    }
    return 0;
}

END {
    if ($$ == $owner) {
        my $status = $?;
        for my $pid (keys %running) { kill 'KILL', $pid; waitpid $pid, 0 }
        $? = $status;
    }
}

1;
