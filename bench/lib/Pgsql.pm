package Pgsql;

# PostgreSQL at one end or both. Loads beside pg_dump | psql (and the bound that a binary COPY
# sets) and pgloader; delays beside the server's own logical replication.

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time);
use Bench;
use Ends qw(source);
use Latency;
use Syncline::PostgreSQL;
use parent 'Exporter';

our @EXPORT_OK = qw(server login cpu_of_server fill equal subscribe $all $text);

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

our $text = q{substr(repeat(md5(i::text || random()::text), 4), 1, 120), substr(repeat(md5(random()::text), 2), 1, 60)};

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
our $all = 'sum(hashtext(t::text)::bigint)';

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

# ---- delay ----

sub subscribe {
    my ($source, $target, $slot) = @_;
    $target->sql(sprintf "CREATE SUBSCRIPTION native CONNECTION 'host=127.0.0.1 port=%d user=syncline password=secret dbname=test' PUBLICATION native WITH (create_slot = false, slot_name = '%s', copy_data = false)",
        $source->port, $slot);
}

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
