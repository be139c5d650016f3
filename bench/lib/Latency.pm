package Latency;

# From the end of a commit at the source to the moment when a query at the target sees it: with
# nothing else going on, and under 1,000 transactions a second. Ours and MariaDB's replica in turn,
# on the same source.

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(sleep time);
use Bench;
use Ends;

my $table = 'bench.latency';

# One commit at a time, asked for until it is there.
sub idle {
    my ($source, $target, $next, $n) = @_;
    my ($s, $t) = ($source->dbh, $target->dbh);
    my $insert = $s->prepare("INSERT INTO $table VALUES (?, 0)");
    my $look = $t->prepare("SELECT 1 FROM $table WHERE id = ?");
    my @took;
    for (1 .. $n) {
        $insert->execute(++$$next);
        my $committed = time;
        my $there;
        do { $look->execute($$next); ($there) = $look->fetchrow_array; $look->finish } until $there || time > $committed + 10;
        push @took, (time - $committed) * 1000;
        sleep 0.02 + rand 0.02;
    }
    return @took;
}

# The writer keeps its own record of when each commit returned.
sub writer {
    my ($source, $from, $n, $rate, $out) = @_;
    my $s = $source->dbh;
    my $insert = $s->prepare("INSERT INTO $table VALUES (?, 0)");
    my $start = time;
    my @at;
    for my $i (0 .. $n - 1) {
        my $due = $start + $i / $rate - time;
        sleep $due if $due > 0.0005;
        $insert->execute($from + 1 + $i);
        push @at, time;
    }
    printf $out "%.6f\n", $_ for @at;
    close $out;
    POSIX::_exit(0);
}

sub loaded {
    my ($source, $target, $next, $n) = @_;
    my $t = $target->dbh;
    my $look = $t->prepare("SELECT MAX(id) FROM $table");
    pipe my $in, my $out or die "pipe: $!";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) { close $in; writer($source, $$next, $n, 1000, $out) }
    close $out;
    my ($seen, @visible) = ($$next);
    my $end = time + $n / 1000 * 3 + 30;
    while ($seen < $$next + $n && time < $end) {
        $look->execute;
        my ($max) = $look->fetchrow_array;
        my $now = time;
        push @visible, ($now) x ($max - $seen) if $max > $seen;
        $seen = $max if $max > $seen;
        sleep 0.0003;
    }
    my @committed = <$in>;
    waitpid $pid, 0;
    die "not all came through\n" if @visible != $n || @committed != $n;
    $$next += $n;
    return map { ($visible[$_] - $committed[$_]) * 1000 } 0 .. $n - 1;
}

# Ours and the peer in turn, on the same source; the row 0 is at all three.
sub contest {
    my ($prefix, $source, $target, $beside, $goal) = @_;
    my $next = 0;
    my ($n_idle, $n_loaded) = (scaled(1000) / 2, scaled(10_000));
    my (%idle, %loaded);
    for my $run (1 .. runs()) {
        for my $who (qw(ours replica)) {
            my @i = idle($source, $target->{$who}, \$next, $n_idle);
            my @l = loaded($source, $target->{$who}, \$next, $n_loaded);
            note(sprintf '%s: run %d: idle p50 %.2f p99 %.2f ms; under load p50 %.2f p99 %.2f ms', $who, $run,
                map({ percentile($_, @i) } 50, 99), map { percentile($_, @l) } 50, 99);
            for (50, 99) { push @{$idle{$who}{$_}}, percentile($_, @i); push @{$loaded{$who}{$_}}, percentile($_, @l) }
        }
    }
    for (['idle', \%idle], ['1000tps', \%loaded]) {
        my ($name, $took) = @$_;
        for my $p (50, 99) {
            my ($ours, $peer) = map { median(@{$took->{$_}{$p}}) } qw(ours replica);
            figure("$prefix-$name-p$p", ours => $ours, peer => $peer, unit => 'ms', ratio => $ours / $peer, goal => $goal->{"$name-$p"} // '-',
                beside => $beside);
        }
    }
}

sub latency {
    my $source = source();
    $source->sql('CREATE DATABASE bench', "CREATE TABLE $table (id BIGINT PRIMARY KEY, x INT) ENGINE=InnoDB", "INSERT INTO $table VALUES (0, 0)");
    my %target = map { $_ => target() } qw(ours replica);
    my $c = Ends::Channel->new($source, $target{ours})->start;
    $target{replica}->sql('CREATE DATABASE bench', "CREATE TABLE $table (id BIGINT PRIMARY KEY, x INT) ENGINE=InnoDB", "INSERT INTO $table VALUES (0, 0)");
    replica($target{replica}, $source, $source->one('SELECT @@gtid_binlog_pos'), 0);
    wait_until(60, 'the table at the target', sub { eval { $target{ours}->one("SELECT 1 FROM $table") } });
    contest('latency', $source, \%target, "MariaDB's replica", {'idle-50' => '<=5', 'idle-99' => '<=5'});
    $c->stop;
}

1;
