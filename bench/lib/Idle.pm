package Idle;

# 100 channels in one daemon, with nothing to do: what they cost.

use strict;
use warnings;
use Time::HiRes qw(sleep time);
use Bench;
use Ends;
use Syncline::Daemon;

my $channels = 100;
my $seconds = 20;

# Its share of the pages that several have mapped.
sub pss { my ($pid) = @_; return Bench::slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s*(\d+)/m ? $1 / 1024 : 0 }

sub idle {
    my ($source, $target) = (source(), target());
    $source->sql('CREATE DATABASE bench', 'CREATE TABLE bench.t (id INT PRIMARY KEY) ENGINE=InnoDB', 'INSERT INTO bench.t VALUES (1)');
    my $d = Syncline::Daemon->new(real_workers => 1, settings => {heartbeat_timeout => '"30s"'});
    for my $i (1 .. $channels) {
        my $text = Ends::Channel::text($source, $target) =~ s/database = "bench";/database = "bench"; to_database = "bench$i";/r;
        $d->write_file("conf.d/c$i.conf", $text);
    }
    $d->start;
    my $flowing = $d->until(sub { my ($s) = $d->tool('list'); my $n = () = $d->read_file('tool.out') =~ /Synchronizing/g; $n == $channels }, 180);
    die "not all channels came up\n" . $d->read_file('tool.out') if !$flowing;
    sleep 3;
    my @pids = ($d->{pid}, children($d->{pid}));
    my $before = 0;
    $before += cpu_of($_) for @pids;
    my $start = time;
    sleep $seconds;
    my $after = 0;
    $after += cpu_of($_) for @pids;
    my $percent = ($after - $before) / (time - $start) * 100;
    my ($memory, $daemon) = (0, pss($d->{pid}));
    $memory += pss($_) for @pids[1 .. $#pids];
    note(sprintf 'daemon %.1f MiB; %d workers', $daemon, $#pids);
    figure('idle-channels-cpu', ours => $percent, unit => '%core', goal => '<5', beside => "$channels channels, daemon included");
    figure('idle-channels-memory', ours => $memory / $channels, unit => 'MiB', goal => '-', beside => 'reader + writer of one channel');
    $d->stop;
}

sub children {
    my ($parent) = @_;
    my @found;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid) = Bench::slurp($stat) =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        push @found, $pid if $ppid == $parent;
    }
    return @found;
}

1;
