package Load;

# Full load beside mydumper + myloader and mysqldump | mysql, each into a fresh server.

use strict;
use warnings;
use File::Temp ();
use Time::HiRes qw(time);
use Bench;
use Ends;

my $threads = 4;
my $rows_per_file = 50_000;    # else one thread has all of a table

sub ours {
    my ($source, $table, $seen) = @_;
    my $target = target();
    my $meter = Bench::Meter->new('source server' => $source->pid, 'target server' => $target->pid);
    my $c = Ends::Channel->new($source, $target, "lanes = $threads;\n");
    $c->start('loaded')->wait;
    my $w = $c->watch;
    my $m = $meter->read(map { $_ => $w->cpu($_) } qw(reader writer));
    push @{$seen->{meter}}, $m;
    same($source, $target, $table);
    note(sprintf '  reader %.2f s CPU, %.0f MiB (%.0f shared); writer %.2f s, %.0f MiB (%.0f); target server %.2f s',
        map({ ($w->cpu($_), $w->peak($_), $w->shared($_)) } qw(reader writer)), $m->{'target server'});
    push @{$seen->{memory}}, $w->own;
    push @{$seen->{ours}}, cpu_of($target->pid);
    $target->kill9;
    return $m->{wall};
}

# mydumper wants a space where the others want none.
sub login { my ($db, $space) = @_; return sprintf '-h 127.0.0.1 -P %d -u syncline -p%ssecret', $db->port, $space // '' }

sub mydumper {
    my ($source, $table, $seen) = @_;
    my $target = target();
    my $dir = File::Temp->newdir('syncline-bench-XXXXXX', TMPDIR => 1);
    my $took = child_seconds('mydumper ' . login($source, ' ') . " -B bench -t $threads -r $rows_per_file -o $dir/dump 2>&1 >/dev/null && myloader "
            . login($target, ' ') . " -t $threads -d $dir/dump 2>&1 >/dev/null");
    same($source, $target, $table);
    note(sprintf '  target server %.2f s', cpu_of($target->pid));
    push @{$seen->{mydumper}}, cpu_of($target->pid);
    $target->kill9;
    return $took;
}

sub dump_pipe {
    my ($source, $table) = @_;
    my $target = target();
    my $took = child_seconds('mariadb-dump ' . login($source) . ' --single-transaction --databases bench | mariadb ' . login($target));
    same($source, $target, $table);
    $target->kill9;
    return $took;
}

sub contest {
    my ($name, $source, $table, $rows, $goal, $dump_goal) = @_;
    my %seen;
    my %t = turns(
        runs(),
        ours => sub { ours($source, $table, \%seen) },
        mydumper => sub { mydumper($source, $table, \%seen) },
        dump => sub { dump_pipe($source, $table) });
    my %rate = map { $_ => $rows / $t{$_} } keys %t;
    figure($name, ours => $rate{ours}, peer => $rate{mydumper}, unit => 'rows/s', ratio => $rate{ours} / $rate{mydumper}, goal => ">=$goal",
        holds => holds(@{$seen{meter}}), beside => "mydumper+myloader, $threads threads");
    figure("$name-dump", ours => $rate{ours}, peer => $rate{dump}, unit => 'rows/s', ratio => $rate{ours} / $rate{dump},
        goal => $dump_goal, holds => holds(@{$seen{meter}}), beside => 'mysqldump | mysql');
    my ($cpu, $peer_cpu) = map { median(@{$seen{$_}}) / $rows * 1e6 } qw(ours mydumper);
    figure("$name-target-cpu", ours => $cpu, peer => $peer_cpu, unit => 'us/row', ratio => $peer_cpu / $cpu, goal => '-',
        beside => 'CPU of the target server');
    figure("$name-memory", ours => median(@{$seen{memory}}), unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
}

sub load {
    my $source = source();
    my $rows = scaled(1_000_000);
    fill($source, $rows, 1);
    contest('load', $source, 'bench.sbtest1', $rows, 1.3, '>=2');
}

sub wide {
    my $source = source();
    my $rows = scaled(100_000);
    fill_wide($source, $rows);
    contest('load-wide', $source, 'bench.wide', $rows, 1.5, '-');
}

1;
