# Constraints of PostgreSQL that can be deferred, between two servers: within a transaction, and
# within a statement, rows are alike that are not at its end. They are followed while a table loads
# and while it streams, unique ones, those of a primary key - which finds no row then - and foreign
# keys, with statements that make and drop such; where the account leaves the checks to the target
# a row that clashes at the end of a transaction is a stop that names it. MySQL gets plain indexes
# for them. (R120, R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
my $rows = 3000;
my $pair;
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.item (id int PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE, v text)',
    'CREATE TABLE shop.line (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text)', 'ALTER TABLE shop.line REPLICA IDENTITY FULL',
    'CREATE TABLE shop.parent (id int PRIMARY KEY)', 'CREATE TABLE shop.child (id int PRIMARY KEY, p int REFERENCES shop.parent DEFERRABLE INITIALLY IMMEDIATE)',
    "INSERT INTO shop.item SELECT i, i, 'v' || i FROM generate_series(1, $rows) i", "INSERT INTO shop.line SELECT i, 'v' || i FROM generate_series(1, 300) i",
    'INSERT INTO shop.parent SELECT generate_series(1, 20)', 'INSERT INTO shop.child SELECT i, i FROM generate_series(1, 20) i');

# Statements and transactions that no immediate check would let through, row by row.
sub shuffle {
    my $d = $source->dbh;
    $d->do('UPDATE shop.item SET place = place + 1');
    $d->do('UPDATE shop.line SET id = id + 1');
    $d->begin_work;
    $d->do($_) for 'SET CONSTRAINTS ALL DEFERRED',
        # two that change places, one that comes to the place of another, which goes
        'UPDATE shop.item SET place = x.place FROM shop.item x WHERE (shop.item.id, x.id) IN ((1, 500), (500, 1))',
        q{INSERT INTO shop.item SELECT max(id) + 1, min(place), 'new' FROM shop.item}, 'DELETE FROM shop.item WHERE v <> \'new\' AND place = (SELECT min(place) FROM shop.item)',
        'INSERT INTO shop.child SELECT max(id) + 1, max(id) + 100 FROM shop.child', 'INSERT INTO shop.parent SELECT max(p) FROM shop.child',
        'UPDATE shop.line SET id = id - 1', q{INSERT INTO shop.line SELECT max(id) + 1, 'more' FROM shop.line}, 'UPDATE shop.item SET place = place - 1',
        q{UPDATE shop.item SET id = (SELECT max(id) + 1 FROM shop.item), v = 'again' WHERE v = 'new'};
    $d->commit;
}

# What it was in the middle of, and what came when it had caught up already.
sub caught_up {
    my ($what) = @_;
    is($pair->wait(90), 0, $what) or diag $pair->output;
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'caught up') or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
}

$pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 100;\nlanes = 2;\n");
# What the load was about to bring comes by the stream as well.
$pair->start('caught-up');
my $end = time + 30 * $Syncline::Daemon::patience;
my $chunks = sub { eval { $target->one(q{SELECT count(*) FROM syncline.chunk WHERE name = 'item'}) } // 0 };
sleep 0.005 while $chunks->() < 3 && time < $end;
my $d = $source->dbh;
$d->begin_work;
$d->do('LOCK TABLE shop.item IN ACCESS EXCLUSIVE MODE');
cmp_ok($chunks->(), '<', $rows / 100, 'the load is held half-way');
$d->do(q{INSERT INTO shop.item SELECT i, i, 'late' FROM generate_series(10000, 10400) i});
$d->do('UPDATE shop.item SET place = place + 10');
$d->commit;
shuffle();
caught_up('loaded');

for my $what ('killed meanwhile', 'in peace') {
    $pair->start('caught-up');
    shuffle() for 1 .. 5;
    if ($what =~ /killed/) { $pair->kill_all; $pair->start('caught-up') }
    caught_up("changed, $what");
}

$source->sql('CREATE TABLE shop.more (id int PRIMARY KEY, i int, CONSTRAINT to_item FOREIGN KEY (i) REFERENCES shop.item DEFERRABLE INITIALLY DEFERRED, k int, CONSTRAINT k UNIQUE (k) DEFERRABLE)',
    'INSERT INTO shop.more SELECT i, i, i FROM generate_series(1, 50) i', 'UPDATE shop.more SET k = k + 1', 'ALTER TABLE shop.more DROP CONSTRAINT k',
    'ALTER TABLE shop.more ADD CONSTRAINT twice UNIQUE (k, i) DEFERRABLE', 'UPDATE shop.more SET k = 51 - k',
    'ALTER TABLE shop.item DROP CONSTRAINT item_place_key', 'ALTER TABLE shop.item ADD CONSTRAINT place UNIQUE (place)',
    'ALTER TABLE shop.item DROP CONSTRAINT place', 'ALTER TABLE shop.item ADD CONSTRAINT place UNIQUE (place) DEFERRABLE INITIALLY DEFERRED', 'UPDATE shop.item SET place = place + 1',
    'ALTER TABLE shop.line DROP CONSTRAINT line_pkey', 'ALTER TABLE shop.line ADD PRIMARY KEY (id) DEFERRABLE', 'UPDATE shop.line SET id = id + 1');
$pair->start('caught-up');
is($pair->wait(60), 0, 'statements about such constraints') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
my $defined = q{SELECT string_agg(conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid), '; ' ORDER BY conname) FROM pg_constraint
    WHERE connamespace = 'shop'::regnamespace AND contype IN ('p', 'u', 'f') AND convalidated};
is($target->one($defined =~ s/ AND convalidated//r =~ s/pg_get_constraintdef\(oid\)/replace(pg_get_constraintdef(oid), ' NOT VALID', '')/r), $source->one($defined), 'the constraints are as they are at the source');

# An account that may not leave such checks to the source, as a server's own replication does.
$target->sql('ALTER ROLE syncline NOSUPERUSER', 'GRANT CREATE ON DATABASE test TO syncline');
$pair->start('caught-up');
shuffle() for 1 .. 3;
is($pair->wait(90), 0, 'changed, by an account with fewer rights') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
$target->sql('INSERT INTO shop.item VALUES (-1, 99999, $$mine$$)');
$source->sql('UPDATE shop.item SET place = 99999 WHERE id = 300');
$pair->start('caught-up');
isnt($pair->wait(60), 0, 'what clashes at the end of a transaction stops the channel');
like($pair->output, qr/duplicate key.*\(place\)=\(99999\)/s, 'and is named');
$target->sql('DELETE FROM shop.item WHERE id = -1');
$pair->start('caught-up');
is($pair->wait(60), 0, 'without it the channel goes on') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
# MySQL knows no such constraints: plain indexes there, and the precheck says so (t/763).
$source->sql('UPDATE shop.more SET i = NULL', 'DELETE FROM shop.more');
my $mysql = Syncline::MariaDB->new;
my $other = Syncline::Pair->new(id => 'other', source => $source, target => $mysql, objects => '{ database = "shop"; }', more => "chunk_rows = 100;\n");
$other->start('caught-up');
is($other->wait(60), 0, 'to MySQL: loaded') or diag $other->output;
$other->start('caught-up');
shuffle() for 1 .. 3;
is($other->wait(60), 0, 'changed') or diag $other->output;
is(join("\n", compare($source, $mysql, 'shop')), '', 'both ends are equal');
is_deeply($mysql->rows(q{SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME IN ('item', 'line') ORDER BY 1, 2}),
    [['item', 'place', 1], ['item', 'PRIMARY', 0], ['line', 'line_pkey', 1]], 'with indexes that let rows be alike');
done_testing;
