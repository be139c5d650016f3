package PgCatchUp;

# A backlog of row changes between two PostgreSQL servers, applied while nothing else happens,
# beside the server's own logical replication. All start from copies of one target, each from a
# slot that has nothing to read again.

use strict;
use warnings;
use Time::HiRes qw(time);
use Bench;
use Ends;
use Pgsql qw(server login cpu_of_server fill equal subscribe $all $text);

# As in Ends.pm: half updates, a quarter inserts, a quarter deletes, each of exactly one row.
my $procedure = <<"SQL";
CREATE OR REPLACE PROCEDURE bench.changes(total int, per int, already int, filled int) LANGUAGE plpgsql AS \$\$
DECLARE r bigint;
BEGIN
    FOR i IN 0 .. total - 1 LOOP
        IF i % 4 = 1 THEN
            r := ((already + i) / 4 * 7368787::bigint) % (filled / 4);
            DELETE FROM bench.sbtest1 WHERE id = r * 8 + 8;
        ELSIF i % 4 = 3 THEN
            r := ((already + i) / 4 * 7368787::bigint) % filled;
            INSERT INTO bench.sbtest1 SELECT r * 2 + 1, 1 + random() * filled, $text;
        ELSE
            r := floor(random() * (filled / 4)) * 4 + floor(random() * 3);
            UPDATE bench.sbtest1 SET k = k + 1, c = substr(repeat(md5(random()::text), 4), 1, 120) WHERE id = r * 2 + 2;
        END IF;
        IF (i + 1) % per = 0 THEN COMMIT; END IF;
    END LOOP;
END \$\$
SQL

sub warm {
    my ($db) = @_;
    $db->sql('CREATE EXTENSION IF NOT EXISTS pg_prewarm');
    $db->rows(q{SELECT pg_prewarm(oid) FROM pg_class WHERE relnamespace = 'bench'::regnamespace AND relkind IN ('r', 'i')});
}

# A slot as another one, which stands where the template does.
sub slot {
    my ($source, $from, $name) = @_;
    $source->sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$name'", "SELECT pg_copy_logical_replication_slot('$from', '$name')");
}

# What has been applied may not have been confirmed; that ours meets again, and the server's own must not.
sub keep_slots {
    my ($source) = @_;
    slot($source, 'syncline_bench', $_) for qw(keep keep_native);
    $source->rows("SELECT pg_replication_slot_advance('keep_native', pg_current_wal_lsn())");
}

# A slot reads again from where the oldest transaction stood at a checkpoint: without one all that has been applied.
sub settle {
    my ($source) = @_;
    my $here = $source->one('SELECT pg_current_wal_lsn()');
    wait_until(60, 'the slot to move on', sub {
            $source->sql('CHECKPOINT');
            $source->one('SELECT 1 FROM pg_replication_slots WHERE slot_name = ? AND restart_lsn >= ?', 'syncline_bench', $here);
        });
}

sub wait_marker {
    my ($target, $marker, $also) = @_;
    wait_until(1200, 'the last change at the target', sub { $also->() if $also; $target->one('SELECT 1 FROM bench.marker WHERE id = ?', $marker) });
}

sub catch_up_ours {
    my ($s, $seen, $more) = @_;
    my $target = server($s->{template});
    warm($target);
    slot($s->{source}, 'keep', 'syncline_bench');
    my ($cpu, $start) = (cpu_of_server($target), time);
    my $c = Ends::Channel->new($s->{source}, $target, $more)->start;
    wait_marker($target, $s->{marker}, sub { $c->lives });
    my $took = time - $start;
    my $w = $c->watch->look;
    push @{$seen->{target}}, (cpu_of_server($target) - $cpu) / $s->{rows} * 1e6;
    push @{$seen->{own}}, ($w->cpu('reader') + $w->cpu('writer')) / $s->{rows} * 1e6;
    push @{$seen->{memory}}, $w->own;
    note(sprintf '  us/row: reader %.1f, writer %.1f, target server %.1f', map({ $w->cpu($_) / $s->{rows} * 1e6 } qw(reader writer)), $seen->{target}[-1]);
    settle($s->{source});
    $c->stop;
    compare($s, $target);
    $target->stop;
    if ($s->{keep}) { system('rm', '-rf', $s->{keep}); system('cp', '-a', '--reflink=auto', $target->dir . '/data', $s->{keep}) == 0 or die "cp: $?" }
    return $took;
}

sub catch_up_native {
    my ($s, $seen) = @_;
    my $target = server($s->{template});
    warm($target);
    slot($s->{source}, 'keep_native', 'native');
    my ($cpu, $start) = (cpu_of_server($target), time);
    subscribe($s->{source}, $target, 'native');
    wait_marker($target, $s->{marker});
    my $took = time - $start;
    push @{$seen->{native}}, (cpu_of_server($target) - $cpu) / $s->{rows} * 1e6;
    note(sprintf '  us/row: target server %.1f', $seen->{native}[-1]);
    compare($s, $target);
    $target->kill9;
    return $took;
}

sub compare { my ($s, $target) = @_; equal($s->{source}, $target, "bench.$_", $all) for @{$s->{tables}} }

# The changes are made, then applied: by us in each of the ways asked for, and by the server itself.
sub backlog {
    my ($s, $name, $make, %ways) = @_;
    my %seen;
    keep_slots($s->{source});
    $make->();
    $s->{marker} += $s->{rows};
    $s->{source}->sql("INSERT INTO bench.marker VALUES ($s->{marker})");
    my %t = turns(
        runs(),
        (map { my $way = $_; $way => sub { catch_up_ours($s, $seen{$way} ||= {}, qq{apply = "$way";\n}) } } sort keys %ways),
        native => sub { catch_up_native($s, \%seen) });
    my %rate = map { $_ => $s->{rows} / $t{$_} } keys %t;
    my $peer_cpu = median(@{$seen{native}});
    for my $way (sort keys %ways) {
        my $figure = $way eq 'atomic' ? $name : "$name-$way";
        my $cpu = median(@{$seen{$way}{target}});
        figure($figure, ours => $rate{$way}, peer => $rate{native}, unit => 'rows/s', ratio => $rate{$way} / $rate{native}, goal => $ways{$way}, beside => 'logical replication of the server');
        figure("$figure-cpu", ours => median(@{$seen{$way}{own}}), unit => 'us/row', goal => '<10', beside => 'reader + writer');
        figure("$figure-target-cpu", ours => $cpu, peer => $peer_cpu, unit => 'us/row', ratio => $peer_cpu / $cpu, goal => '-', beside => 'CPU of the target server');
        figure("$figure-memory", ours => median(@{$seen{$way}{memory}}), unit => 'MiB', goal => $way eq 'atomic' ? '<=64' : '-', beside => 'reader + writer without rings');
    }
}

# A target that has what the source has now; where such a one goes after the next backlog.
sub stage {
    my ($s) = @_;
    my $loaded = server();
    @$s{qw(template keep)} = map { $loaded->dir . "/stage$_" } 1, 2;
    Ends::Channel->new($s->{source}, $loaded)->start('caught-up')->wait;
    $loaded->stop;
    rename $loaded->dir . '/data', $s->{template} or die "rename: $!";
    $s->{marker} = 0;
    return $loaded;
}

sub catch_up {
    my ($rows, $filled) = (scaled(400_000), scaled(1_000_000));
    my $source = server();
    fill($source, $filled, 2);
    $source->sql($procedure, 'CREATE PUBLICATION native FOR TABLE bench.sbtest1, bench.marker');
    my %s = (source => $source, tables => ['sbtest1'], rows => $rows);
    my $kept = stage(\%s);
    my $changes = sub { my ($per) = @_; return sub { $source->sql("CALL bench.changes($rows, $per, $s{marker}, $filled)") } };
    backlog(\%s, 'pg-catch-up-1', $changes->(1), atomic => '>=2');
    # The slot stands where the channel's last target does.
    $s{template} = delete $s{keep};
    backlog(\%s, 'pg-catch-up-100', $changes->(100), atomic => '>=2');
}

# Three updates and an insert each; tellers and branches are few, and change all the time.
sub pgbench {
    my $rows = scaled(400_000);
    my $source = server();
    my $pgbench = sub { child_seconds("PGOPTIONS='-c search_path=bench' pgbench ${\ login($source) =~ s/-d //r} @_ 2>&1 >/dev/null | grep -i error >&2; true") };
    $source->sql('CREATE SCHEMA bench', 'CREATE TABLE bench.marker (id int PRIMARY KEY)');
    $pgbench->('-q -i -s 10');
    $source->sql('ALTER TABLE bench.pgbench_history REPLICA IDENTITY FULL');
    my @tables = map { "pgbench_$_" } qw(accounts branches tellers history);
    $source->sql('CREATE PUBLICATION native FOR TABLE ' . join ', ', map { "bench.$_" } @tables, 'marker');
    my %s = (source => $source, tables => \@tables, rows => $rows);
    my $kept = stage(\%s);
    delete $s{keep};
    backlog(\%s, 'pg-catch-up-pgbench', sub { $pgbench->('-n -c 4 -t', $rows / 16) }, atomic => '>=2', fastest => '-');
}

1;
