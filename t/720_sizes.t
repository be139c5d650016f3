# Sizes: a transaction of many rows, a large row, a transaction over many tables, a
# DDL between two halves of a load, many tables. Each is applied whole, and each
# process's peak memory is printed and bounded (issue 5; reliability B1, B2).
# FULL=1: 5,000,000 rows, 64 MiB, 10,000 tables; normally less of each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Memory;
use Test::More;
use Time::HiRes qw(sleep time);

my $full = $ENV{FULL};
my ($rows, $row_mib, $tables) = $full ? (5_000_000, 64, 10_000) : (300_000, 16, 400);
my $patience = $full ? 500 : 90;
my $memory;

sub pair {
    my (%o) = @_;
    my ($source, $target) = map { Syncline::MariaDB->new(options => ['--innodb-buffer-pool-size=256M', '--table-open-cache=4000', '--open-files-limit=30000']) } 1 .. 2;
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
    my $c = Syncline::Channel->new(source => $source, target => $target, more => "lanes = 4;\n" . ($o{more} // ''),
        read_timeout => '60s');    # as preset: a catalog of 10,000 tables takes its time
    $memory = Syncline::Memory->new(pids => sub { ($c->daemon->{pid}, $c->workers) });
    return ($source, $target, $c);
}

# Own memory: of reader and writer together 64 MiB and twice the largest change, which each has
# once (the images of an UPDATE are one change); and no process more than its half. What each of them
# knows of a table is 1 KiB.
sub bounded {
    my ($what, $largest, $known) = @_;
    $largest //= 0;
    my $of_tables = ($known // 0) / 1024;
    $memory->look;
    diag "$what: " . $memory->report;
    my %own = map { $_ => $memory->peak($_) } qw(synclined reader writer);
    cmp_ok($own{synclined}, '<=', 16 + $of_tables, sprintf '%s: synclined has %.0f MiB', $what, $own{synclined});
    cmp_ok($own{$_}, '<=', 48 + $largest, sprintf '%s: the %s has %.0f MiB beside its rings', $what, $_, $own{$_}) for qw(reader writer);
    my $both = 64 + 2 * $largest + 2 * $of_tables;
    cmp_ok($own{reader} + $own{writer}, '<=', $both, sprintf '%s: together at most %d MiB', $what, $both);
}

sub arrive {
    my ($c, $seconds) = @_;
    my $n = ++$c->{marks};
    my ($began, $looked) = (time, 0);
    $c->{source}->sql("UPDATE shop.marker SET n = $n WHERE id = 1");
    $c->until(
        sub {
            if (time > $looked + 0.05) { $memory->look; $looked = time }
            my $got = eval { $c->{target}->one('SELECT n FROM shop.marker WHERE id = 1') };
            return defined $got && $got == $n;
        },
        $seconds) or return undef;
    return time - $began;
}

sub same {
    my ($c, @queries) = @_;
    my @of = map {
        my $db = $_;
        join "\n", map { my $q = $_; join '|', map { join ',', map { $_ // 'NULL' } @$_ } @{$db->rows($q)} } @queries
    } @$c{qw(source target)};
    return $of[0] eq $of[1] ? '' : "source: $of[0]\ntarget: $of[1]";
}

my ($source, $target, $c) = pair();
$source->sql('CREATE TABLE shop.r (id INT PRIMARY KEY, a INT, v VARCHAR(60))', 'CREATE TABLE shop.fat (id INT PRIMARY KEY, v LONGBLOB)',
    map {"CREATE TABLE shop.t$_ (id INT PRIMARY KEY, v INT)"} 1 .. 100);
$c->begin;
is($c->wait_loaded(60), '', 'it streams');

# One transaction of many rows; on the way nothing of it is seen.
{
    my $poller = poller($target, "SELECT COUNT(*) IN (0, $rows) FROM shop.r", 1);
    my $began = time;
    $source->sql("INSERT INTO shop.r SELECT seq, seq % 1000, CONCAT('row number ', seq, REPEAT('x', seq % 20)) FROM mysql.seq_1_to_$rows");
    my $written = time;
    my $s = arrive($c, $patience);
    ok(defined $s, sprintf 'a transaction of %d rows: %.1f s at the source, %.1f s later at the target', $rows, $written - $began, $s // -1) or diag $c->explain;
    my ($polls, $bad) = $poller->stop;
    is($bad // '', '', "whole at every moment ($polls looks)");
    is(same($c, 'SELECT COUNT(*), SUM(id), SUM(a), SUM(CRC32(v)) FROM shop.r'), '', 'its rows are all there');
    bounded("$rows rows inserted");
    $source->sql("UPDATE shop.r SET a = a + 1 WHERE id <= $rows / 3");
    ok(defined arrive($c, $patience), 'a third of them updated as one transaction') or diag $c->explain;
    is(same($c, 'SELECT COUNT(*), SUM(id), SUM(a), SUM(CRC32(v)) FROM shop.r'), '', 'all of them');
    $source->sql("DELETE FROM shop.r WHERE id <= $rows / 3");
    ok(defined arrive($c, $patience), 'and deleted') or diag $c->explain;
    is(same($c, 'SELECT COUNT(*), SUM(id), SUM(a), SUM(CRC32(v)) FROM shop.r'), '', 'all of them');
    bounded("a third of $rows rows updated, then deleted");
}

# A killed writer in the midst of one: nothing of it stays, all of it comes.
{
    $source->sql("INSERT INTO shop.r SELECT seq + 10000000, 1, 'again' FROM mysql.seq_1_to_" . int $rows / 3);
    sleep 0.4;
    $c->kill_worker('writer');
    ok(defined arrive($c, $patience), 'a writer killed in the midst of a large transaction') or diag $c->explain;
    is(same($c, 'SELECT COUNT(*), SUM(id) FROM shop.r'), '', 'it is there, once');
}

# A transaction over 100 tables.
{
    my $dbh = $source->main_dbh;
    for my $round (1 .. 3) {
        $dbh->begin_work;
        for my $i (1 .. 100) { $dbh->do("INSERT INTO shop.t$i VALUES ($round, $i)"); $dbh->do("UPDATE shop.t$i SET v = v + 1 WHERE id = 1") }
        $dbh->commit;
    }
    ok(defined arrive($c, 30), 'transactions over 100 tables');
    is(same($c, map {"SELECT COUNT(*), SUM(v) FROM shop.t$_"} 1 .. 100), '', 'whole');
    bounded('100 tables in a transaction');
}
$c->stop;
$_->stop for $source, $target;

# A large row, loaded and streamed.
($source, $target, $c) = pair();
$source->sql('CREATE TABLE shop.fat (id INT PRIMARY KEY, v LONGBLOB)', "INSERT INTO shop.fat VALUES (1, REPEAT('a', $row_mib << 20)), (2, 'small')");
$c->begin;
ok($c->until(sub { $memory->look; (eval { $target->one('SELECT COUNT(*) FROM shop.fat') } // 0) == 2 }, $patience), "a row of $row_mib MiB is loaded");
is($c->wait_loaded($patience), '', 'and the channel goes on');
bounded("a row of $row_mib MiB loaded", $row_mib);
my $checksum = 'SELECT id, LENGTH(v), MD5(v) FROM shop.fat ORDER BY id';
$source->sql("INSERT INTO shop.fat VALUES (3, REPEAT('b', $row_mib << 20))");
my $s = arrive($c, $patience);
ok(defined $s, sprintf 'and streamed, in %.1f s', $s // -1) or diag $c->explain;
bounded("a row of $row_mib MiB inserted", $row_mib);
$source->sql("UPDATE shop.fat SET v = REPEAT('c', $row_mib << 20) WHERE id = 3");
ok(defined arrive($c, $patience), 'and updated: two images') or diag $c->explain;
is(same($c, $checksum), '', 'byte by byte');
bounded("a row of $row_mib MiB updated", 2 * $row_mib);
{
    my ($writer) = $c->workers('writer');
    my $own = sub { open my $f, '<', "/proc/$writer/status" or return 0; return (join '', <$f>) =~ /^RssAnon:\s+(\d+)/m ? $1 / 1024 : 0 };
    ok($c->until(sub { $own->() < 16 }, 10), sprintf 'afterwards the writer has given it back: %.0f MiB', $own->());

    $target->sql('SET GLOBAL max_allowed_packet = 4 << 20');
    $c->kill_worker('writer');    # sessions keep the limit that they began with
    $source->sql("UPDATE shop.fat SET v = REPEAT('d', $row_mib << 20) WHERE id = 3");
    is($c->daemon->wait_state('shop', 'Synchronization Failed', 30), 'Synchronization Failed', 'a row larger than the target allows stops the channel');
    like(($c->tool('status', 'shop'))[1], qr/shop\.fat.*max_allowed_packet/s, 'with the table and what to do') or diag $c->explain;
    $target->sql('SET GLOBAL max_allowed_packet = 256 << 20');
    $c->tool('start', 'shop', '--wait');
    ok(defined arrive($c, $patience), 'done as it says, it goes on');
    is(same($c, $checksum), '', 'byte by byte');
}
$c->stop;
$_->stop for $source, $target;

# A DDL between two halves of a load: one that keeps the table, one that drops another.
($source, $target, $c) = pair(more => "chunk_rows = 500;\n");
$source->sql("CREATE TABLE shop.$_ (id INT PRIMARY KEY, v VARCHAR(40))") for qw(one two);
$source->sql("INSERT INTO shop.one SELECT seq, CONCAT('value ', seq) FROM mysql.seq_1_to_60000", "INSERT INTO shop.two SELECT seq, 'x' FROM mysql.seq_1_to_2000");
$c->begin;
my $half = $c->until(sub { (eval { $target->one('SELECT COUNT(*) FROM shop.one') } // 0) > 3000 }, 30);
my $loaded = $target->one('SELECT COUNT(*) FROM shop.one');
$source->sql('ALTER TABLE shop.one ADD COLUMN w INT NOT NULL DEFAULT 5 AFTER id', 'UPDATE shop.one SET w = 6 WHERE id % 3 = 0', 'DROP TABLE shop.two',
    'CREATE TABLE shop.three (id INT PRIMARY KEY)', 'INSERT INTO shop.three VALUES (1)');
ok($half && $loaded < 60000, "$loaded of 60000 rows were there when the table was changed");
is($c->wait_loaded(60), '', 'it is loaded');
is($c->settle(30), '', 'both ends are equal') or diag $c->explain;
bounded('DDL while it loads');
$c->stop;
$_->stop for $source, $target;

# Many tables.
($source, $target, $c) = pair();
$source->main_dbh->do('SET foreign_key_checks = 0');
$source->sql("CREATE TABLE shop.m$_ (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.m$_ VALUES (1, $_)") for 1 .. $tables;
my $began = time;
$c->begin;
my $looked = 0;
my $loading = $c->until(sub { $memory->look; sleep 0.1; $c->state eq 'Synchronizing' }, $full ? 550 : 90);
ok($loading, sprintf '%d tables are loaded, in %.1f s', $tables, time - $began) or diag $c->explain;
$source->sql("INSERT INTO shop.m$tables VALUES (2, 2)");
ok(defined arrive($c, 30), 'and stream');
is($target->one("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'"), $tables + 1, 'all of them');
is(same($c, map {"SELECT id, v FROM shop.m$_"} 1, int($tables / 2), $tables), '', 'with their rows');
bounded("$tables tables", 0, $tables);
$c->stop;
done_testing;
