package CatchUp;

# A backlog of row changes, applied while nothing else happens, beside MariaDB's own replica. All
# start from copies of one target, at the same place in the source's log.

use strict;
use warnings;
use File::Path qw(remove_tree);
use Time::HiRes qw(time);
use Bench;
use Ends;

# Both indexes in the buffer pool, for everybody.
sub warm { my ($db) = @_; $db->rows("SELECT COUNT(*), SUM(k) FROM bench.sbtest1 FORCE INDEX ($_)") for qw(PRIMARY k_1) }

sub wait_marker {
    my ($target, $marker, $also) = @_;
    wait_until(1200, 'the last change at the target', sub { $also->() if $also; $target->one('SELECT 1 FROM bench.marker WHERE id = ?', $marker) });
}

sub ours {
    my ($s, $seen, $more) = @_;
    my $target = target($s->{template});
    warm($target);
    my $meter = Bench::Meter->new('source server' => $s->{source}->pid, 'target server' => $target->pid);
    my $c = Ends::Channel->new($s->{source}, $target, $more)->start;
    wait_marker($target, $s->{marker}, sub { $c->lives });
    my $w = $c->watch->look;
    my $m = $meter->read(map { $_ => $w->cpu($_) } qw(reader writer));
    push @{$seen->{meter}}, $m;
    push @{$seen->{ours}}, $m->{'target server'} / $s->{rows} * 1e6;
    note(sprintf '  us/row: reader %.1f, writer %.1f, source server %.1f, target server %.1f; reader %.0f MiB (%.0f shared), writer %.0f MiB (%.0f)',
        map({ $m->{$_} / $s->{rows} * 1e6 } 'reader', 'writer', 'source server', 'target server'),
        map { ($w->peak($_), $w->shared($_)) } qw(reader writer));
    push @{$seen->{cpu}}, ($w->cpu('reader') + $w->cpu('writer')) / $s->{rows} * 1e6;
    push @{$seen->{memory}}, $w->own;
    $c->stop;
    same($s->{source}, $target, $s->{table});
    # Where the next figure starts from.
    $target->stop;
    if ($seen->{keep}) { remove_tree($seen->{keep}); system('cp', '-a', '--reflink=auto', $target->dir . '/data', $seen->{keep}) == 0 or die "cp: $?" }
    return $m->{wall};
}

sub theirs {
    my ($s, $threads, $seen) = @_;
    my $target = target($s->{template});
    warm($target);
    my $cpu = cpu_of($target->pid);
    my $start = time;
    replica($target, $s->{source}, $s->{gtid}, $threads);
    wait_marker($target, $s->{marker});
    my $took = time - $start;
    push @{$seen->{$threads ? 'parallel' : 'replica'}}, (cpu_of($target->pid) - $cpu) / $s->{rows} * 1e6;
    note(sprintf '  us/row: target server %.1f', $seen->{$threads ? 'parallel' : 'replica'}[-1]);
    same($s->{source}, $target, $s->{table});
    $target->kill9;
    return $took;
}

sub segment {
    my ($s, $per, $goal, $keep) = @_;
    my %seen = (keep => $keep);
    $s->{gtid} = $s->{source}->one('SELECT @@gtid_binlog_pos');
    changes($s->{source}, $s->{rows}, $per, $s->{done}, $s->{filled});
    $s->{done} += $s->{rows};
    $s->{marker} = $s->{done};
    my %t = turns(
        runs(),
        ours => sub { ours($s, \%seen) },
        replica => sub { theirs($s, 0, \%seen) },
        parallel => sub { theirs($s, 4, \%seen) });
    my $best = $t{replica} < $t{parallel} ? 'replica' : 'parallel';
    my ($ours, $peer) = map { $s->{rows} / $_ } @t{'ours', $best};
    figure("catch-up-$per", ours => $ours, peer => $peer, unit => 'rows/s', ratio => $ours / $peer, goal => ">=$goal",
        holds => holds(@{$seen{meter}}), beside => "MariaDB's replica, " . ($best eq 'replica' ? 'one thread' : '4 threads'));
    figure("catch-up-$per-cpu", ours => median(@{$seen{cpu}}), unit => 'us/row', goal => '<10', holds => holds(@{$seen{meter}}), beside => 'reader + writer');
    my ($cpu, $peer_cpu) = map { median(@{$seen{$_}}) } 'ours', $best;
    figure("catch-up-$per-target-cpu", ours => $cpu, peer => $peer_cpu, unit => 'us/row', ratio => $peer_cpu / $cpu, goal => '-',
        beside => 'CPU of the target server');
    figure("catch-up-$per-memory", ours => median(@{$seen{memory}}), unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
}

sub catch_up {
    my $source = source();
    # The table keeps its size: in a smaller one more changes would meet.
    my %s = (source => $source, table => 'bench.sbtest1', rows => scaled(500_000), filled => 1_000_000, done => 0);
    fill($source, $s{filled}, 2);
    my $loaded = target();
    my @stage = map { $loaded->dir . "/stage$_" } 1, 2;
    Ends::Channel->new($source, $loaded)->start('caught-up')->wait;
    $loaded->stop;
    rename $loaded->dir . '/data', $stage[0] or die "rename: $!";
    $s{template} = $stage[0];
    segment(\%s, 1, 3, $stage[1]);
    $s{template} = $stage[1];
    remove_tree($stage[0]);
    segment(\%s, 100, 2);
}

# A queue: each job is made, changed three times and taken away, a transaction each time.
my $jobs = <<'SQL';
CREATE PROCEDURE bench.jobs(IN total INT)
BEGIN
    DECLARE i INT DEFAULT 0;
    WHILE i < total DO
        SET i = i + 1;
        INSERT INTO bench.job VALUES (i, 0, REPEAT('x', 60));
        UPDATE bench.job SET state = 1 WHERE id = i;
        UPDATE bench.job SET state = 2 WHERE id = i;
        UPDATE bench.job SET state = 3 WHERE id = i;
        DELETE FROM bench.job WHERE id = i;
    END WHILE;
    INSERT INTO bench.marker VALUES (-1);
END
SQL

# What merging is for: apply = "fastest" beside our own "atomic" and the replica.
sub fastest {
    my $source = source();
    my $n = scaled(60_000);
    my %s = (source => $source, table => 'bench.job', rows => $n * 5, marker => -1);
    fill($source, 1000, 2);
    $source->sql('CREATE TABLE bench.job (id INT PRIMARY KEY, state INT NOT NULL, what VARCHAR(60) NOT NULL, KEY (state)) ENGINE=InnoDB', $jobs);
    my $loaded = target();
    Ends::Channel->new($source, $loaded)->start('caught-up')->wait;
    $loaded->stop;
    $s{template} = $loaded->dir . '/data';
    $s{gtid} = $source->one('SELECT @@gtid_binlog_pos');
    $source->sql("CALL bench.jobs($n)");
    my (%fastest, %atomic, %replica);
    my %t = turns(
        runs(),
        fastest => sub { ours(\%s, \%fastest, "apply = \"fastest\";\n") },
        atomic => sub { ours(\%s, \%atomic) },
        replica => sub { theirs(\%s, 0, \%replica) });
    my %rate = map { $_ => $s{rows} / $t{$_} } keys %t;
    figure('fastest', ours => $rate{fastest}, peer => $rate{atomic}, unit => 'rows/s', ratio => $rate{fastest} / $rate{atomic}, goal => '>=2',
        holds => holds(@{$fastest{meter}}), beside => 'our own apply = "atomic"');
    figure('fastest-replica', ours => $rate{fastest}, peer => $rate{replica}, unit => 'rows/s', ratio => $rate{fastest} / $rate{replica}, goal => '-',
        beside => "MariaDB's replica, one thread");
    figure('fastest-memory', ours => median(@{$fastest{memory}}), unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
    my ($cpu, $peer) = (median(@{$fastest{ours}}), median(@{$atomic{ours}}));
    figure('fastest-target-cpu', ours => $cpu, peer => $peer, unit => 'us/row', ratio => $peer / $cpu, goal => '-', beside => 'CPU of the target server; our own "atomic"');
}

1;
