package Pgsql;

# PostgreSQL at one end or both. Loads beside pg_dump | psql (and the bound that a binary COPY
# sets) and pgloader; a backlog, and delays, beside the server's own logical replication.

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time);
use Bench;
use Ends qw(source);
use Latency;
use Syncline::PostgreSQL;

# Equal at both ends; nothing that comes by itself.
my @settings = qw(shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1h autovacuum=off wal_compression=off);

sub server { my ($data) = @_; return Syncline::PostgreSQL->new(options => \@settings, data => $data) }
# Over the network for everybody, as a gateway would.
sub login { my ($db) = @_; return sprintf '-h 127.0.0.1 -p %d -U syncline -d test', $db->port }
$ENV{PGPASSWORD} = 'secret';

# The postmaster's children that are there now or have been.
sub cpu_of_server {
    my ($db) = @_;
    my ($rest) = Bench::slurp('/proc/' . $db->pid . '/stat') =~ /^\d+ \(.*\) (.*)/ or return 0;
    my @f = split ' ', $rest;
    my $cpu = ($f[11] + $f[12] + $f[13] + $f[14]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $parent) = Bench::slurp($stat) =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        $cpu += cpu_of($pid) if $parent == $db->pid;
    }
    return $cpu;
}

my $text = q{substr(repeat(md5(i::text || random()::text), 4), 1, 120), substr(repeat(md5(random()::text), 2), 1, 60)};

sub fill {
    my ($db, $rows, $step) = @_;
    $db->sql('CREATE SCHEMA bench', 'CREATE TABLE bench.marker (id int PRIMARY KEY)',
        q{CREATE TABLE bench.sbtest1 (id int PRIMARY KEY, k int NOT NULL DEFAULT 0, c char(120) NOT NULL DEFAULT '', pad char(60) NOT NULL DEFAULT '')},
        "INSERT INTO bench.sbtest1 SELECT i * $step, 1 + random() * $rows, $text FROM generate_series(1, $rows) i", 'CREATE INDEX k_1 ON bench.sbtest1 (k)',
        'VACUUM ANALYZE bench.sbtest1');
}

# Dies unless both ends hold the same rows.
sub equal {
    my ($source, $target, $table, $sums) = @_;
    my ($a, $b) = map { join ',', @{$_->rows("SELECT count(*), $sums FROM $table t")->[0]} } $source, $target;
    die "$table differs: $a, $b\n" if $a ne $b;
}
my $all = 'sum(hashtext(t::text)::bigint)';

# ---- loads ----

sub ours {
    my ($source, $target, $sums, $seen) = @_;
    my $start = time;
    my $c = Ends::Channel->new($source, $target, "lanes = 2;\n");
    $c->start('loaded')->wait;
    my $took = time - $start;
    my ($w, $cpu) = ($c->watch, cpu_of_server($target));
    note(sprintf '  reader %.2f s CPU, %.0f MiB (%.0f shared); writer %.2f s, %.0f MiB (%.0f); target server %.2f s',
        map({ ($w->cpu($_), $w->peak($_), $w->shared($_)) } qw(reader writer)), $cpu);
    push @{$seen->{memory}}, $w->own;
    push @{$seen->{ours}}, $cpu;
    equal($source, $target, 'bench.sbtest1', $sums);
    return $took;
}

# What a slot holds is held for good: each turn drops it.
sub from_postgresql {
    my ($source, $seen) = @_;
    my $target = server();
    my $took = ours($source, $target, $all, $seen);
    $source->sql(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots}, 'DROP PUBLICATION syncline_bench');
    $target->kill9;
    return $took;
}

sub dump_pipe {
    my ($source, $seen) = @_;
    my $target = server();
    my $took = child_seconds("pg_dump ${\ login($source)} -n bench | psql -q -o /dev/null -v ON_ERROR_STOP=1 ${\ login($target)}");
    push @{$seen->{dump}}, cpu_of_server($target);
    equal($source, $target, 'bench.sbtest1', $all);
    $target->kill9;
    return $took;
}

# One stream, indexes afterwards, and nothing that watches over it.
sub binary_copy {
    my ($source) = @_;
    my $target = server();
    my ($s, $t) = map { "psql -q -v ON_ERROR_STOP=1 ${\ login($_)}" } $source, $target;
    my $took = child_seconds("pg_dump ${\ login($source)} -n bench --section=pre-data | $t -o /dev/null && "
            . "$s -c 'COPY bench.sbtest1 TO STDOUT (FORMAT binary)' | $t -c 'COPY bench.sbtest1 FROM STDIN (FORMAT binary)' && "
            . "pg_dump ${\ login($source)} -n bench --section=post-data | $t -o /dev/null");
    equal($source, $target, 'bench.sbtest1', $all);
    $target->kill9;
    return $took;
}

sub load {
    my $source = server();
    my $rows = scaled(1_000_000);
    my %seen;
    fill($source, $rows, 1);
    my %t = turns(
        runs(),
        ours => sub { from_postgresql($source, \%seen) },
        dump => sub { dump_pipe($source, \%seen) },
        bound => sub { binary_copy($source) });
    my %rate = map { $_ => $rows / $t{$_} } keys %t;
    figure('pg-load', ours => $rate{ours}, peer => $rate{dump}, unit => 'rows/s', ratio => $rate{ours} / $rate{dump}, goal => '>=1', beside => 'pg_dump | psql');
    figure('pg-load-bound', ours => $rate{ours}, peer => $rate{bound}, unit => 'rows/s', ratio => $rate{ours} / $rate{bound}, goal => '-', beside => 'COPY, binary, one stream');
    my ($cpu, $peer) = map { median(@{$seen{$_}}) / $rows * 1e6 } qw(ours dump);
    figure('pg-load-target-cpu', ours => $cpu, peer => $peer, unit => 'us/row', ratio => $peer / $cpu, goal => '-', beside => 'CPU of the target server');
    figure('pg-load-memory', ours => median(@{$seen{memory}}), unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
}

# Wall seconds, and the peak of its memory in MiB.
sub pgloader {
    my ($source, $seen) = @_;
    my $target = server();
    my $start = time;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'pgloader', '--root-dir', $target->dir . '/tmp', sprintf('mysql://syncline:secret@127.0.0.1:%d/bench', $source->port),
            sprintf('pgsql://root@unix:%s:%d/test', $target->dir, $target->port) or POSIX::_exit(127);
    }
    my $peak = 0;
    wait_until(1200, 'the end of pgloader', sub {
            my ($now) = peak_of($pid);
            $peak = $now if $now > $peak;
            return waitpid($pid, POSIX::WNOHANG()) == $pid;
        });
    die "pgloader failed\n" if $?;
    my $took = time - $start;
    equal($source, $target, 'bench.sbtest1', 'sum(k)');
    note(sprintf '  pgloader %.0f MiB', $peak);
    push @{$seen->{pgloader}}, $peak;
    $target->kill9;
    return $took;
}

sub from_mysql {
    my $source = source();
    my $rows = scaled(1_000_000);
    my %seen;
    Ends::fill($source, $rows, 1);
    my %t = turns(
        runs(),
        ours => sub { my $target = server(); my $took = ours($source, $target, 'sum(k)', \%seen); $target->kill9; $took },
        pgloader => sub { pgloader($source, \%seen) });
    my %rate = map { $_ => $rows / $t{$_} } keys %t;
    figure('mysql-pg-load', ours => $rate{ours}, peer => $rate{pgloader}, unit => 'rows/s', ratio => $rate{ours} / $rate{pgloader}, goal => '>=2', beside => 'pgloader');
    my ($own, $peer) = map { median(@{$seen{$_}}) } qw(memory pgloader);
    figure('mysql-pg-load-memory', ours => $own, peer => $peer, unit => 'MiB', ratio => $peer / $own, goal => '>=10', beside => 'pgloader; reader + writer without rings');
}

# ---- a backlog ----

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
    INSERT INTO bench.marker VALUES (already + total);
END \$\$
SQL

sub warm { my ($db) = @_; $db->sql('CREATE EXTENSION IF NOT EXISTS pg_prewarm'); $db->rows("SELECT pg_prewarm('bench.$_')") for qw(sbtest1 sbtest1_pkey k_1) }

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

sub wait_marker {
    my ($target, $marker, $also) = @_;
    wait_until(1200, 'the last change at the target', sub { $also->() if $also; $target->one('SELECT 1 FROM bench.marker WHERE id = ?', $marker) });
}

sub catch_up_ours {
    my ($s, $seen) = @_;
    my $target = server($s->{template});
    warm($target);
    slot($s->{source}, 'keep', 'syncline_bench');
    my ($cpu, $start) = (cpu_of_server($target), time);
    my $c = Ends::Channel->new($s->{source}, $target)->start;
    wait_marker($target, $s->{marker}, sub { $c->lives });
    my $took = time - $start;
    my $w = $c->watch->look;
    push @{$seen->{ours}}, (cpu_of_server($target) - $cpu) / $s->{rows} * 1e6;
    push @{$seen->{cpu}}, ($w->cpu('reader') + $w->cpu('writer')) / $s->{rows} * 1e6;
    push @{$seen->{memory}}, $w->own;
    note(sprintf '  us/row: reader %.1f, writer %.1f, target server %.1f', map({ $w->cpu($_) / $s->{rows} * 1e6 } qw(reader writer)), $seen->{ours}[-1]);
    $c->stop;
    equal($s->{source}, $target, 'bench.sbtest1', $all);
    $target->stop;
    if ($s->{keep}) { system('rm', '-rf', $s->{keep}); system('cp', '-a', '--reflink=auto', $target->dir . '/data', $s->{keep}) == 0 or die "cp: $?" }
    return $took;
}

sub subscribe {
    my ($source, $target, $slot) = @_;
    $target->sql(sprintf "CREATE SUBSCRIPTION native CONNECTION 'host=127.0.0.1 port=%d user=syncline password=secret dbname=test' PUBLICATION native WITH (create_slot = false, slot_name = '%s', copy_data = false)",
        $source->port, $slot);
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
    equal($s->{source}, $target, 'bench.sbtest1', $all);
    $target->kill9;
    return $took;
}

sub segment {
    my ($s, $per, $goal) = @_;
    my %seen;
    keep_slots($s->{source});
    $s->{source}->sql("CALL bench.changes($s->{rows}, $per, $s->{done}, $s->{filled})");
    $s->{marker} = $s->{done} += $s->{rows};
    my %t = turns(runs(), ours => sub { catch_up_ours($s, \%seen) }, native => sub { catch_up_native($s, \%seen) });
    my ($ours, $peer) = map { $s->{rows} / $t{$_} } qw(ours native);
    figure("pg-catch-up-$per", ours => $ours, peer => $peer, unit => 'rows/s', ratio => $ours / $peer, goal => ">=$goal", beside => 'logical replication of the server');
    figure("pg-catch-up-$per-cpu", ours => median(@{$seen{cpu}}), unit => 'us/row', goal => '<10', beside => 'reader + writer');
    my ($cpu, $peer_cpu) = map { median(@{$seen{$_}}) } qw(ours native);
    figure("pg-catch-up-$per-target-cpu", ours => $cpu, peer => $peer_cpu, unit => 'us/row', ratio => $peer_cpu / $cpu, goal => '-', beside => 'CPU of the target server');
    figure("pg-catch-up-$per-memory", ours => median(@{$seen{memory}}), unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
}

sub catch_up {
    my $source = server();
    my %s = (source => $source, rows => scaled(400_000), filled => scaled(1_000_000), done => 0);
    fill($source, $s{filled}, 2);
    $source->sql($procedure, 'CREATE PUBLICATION native FOR TABLE bench.sbtest1, bench.marker');
    my $loaded = server();
    my @stage = map { $loaded->dir . "/stage$_" } 1, 2;
    Ends::Channel->new($source, $loaded)->start('caught-up')->wait;
    $loaded->stop;
    rename $loaded->dir . '/data', $stage[0] or die "rename: $!";
    @s{qw(template keep)} = @stage;
    segment(\%s, 1, 2);
    # The slot stands where the channel's last target does.
    @s{qw(template keep)} = ($stage[1], undef);
    segment(\%s, 100, 2);
}

# ---- delay ----

sub latency {
    my $source = server();
    my @table = ('CREATE SCHEMA bench', 'CREATE TABLE bench.latency (id bigint PRIMARY KEY, x int)', 'INSERT INTO bench.latency VALUES (0, 0)');
    $source->sql(@table, 'CREATE PUBLICATION native FOR TABLE bench.latency', q{SELECT pg_create_logical_replication_slot('native', 'pgoutput')});
    my %target = map { $_ => server() } qw(ours replica);
    $target{replica}->sql(@table);
    my $c = Ends::Channel->new($source, $target{ours})->start;
    subscribe($source, $target{replica}, 'native');
    wait_until(60, 'the table at the target', sub { eval { $target{ours}->one('SELECT 1 FROM bench.latency') } });
    Latency::contest('pg-latency', $source, \%target, 'logical replication of the server', {'idle-50' => '<=5', 'idle-99' => '<=5'});
    $c->stop;
}

1;
