# PostgreSQL to PostgreSQL and to MariaDB, what statements do to tables, noted by the
# source in the log's order: tables created (as such, from a query, with rows amid the same
# transaction), renamed, moved between schemas and in and out of the selection, dropped;
# columns whose values the log does not tell; partitions that come and go; many statements
# before the first of them is read. (R120-R126)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my $source = Syncline::PostgreSQL->new;
my %target = (postgresql => Syncline::PostgreSQL->new, mysql => Syncline::MariaDB->new);

sub run_on {
    my ($kind) = @_;
    my $target = $target{$kind};
    $source->sql((map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop other syncline)), 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots',
        'DROP PUBLICATION IF EXISTS syncline_test');
    $source->sql('CREATE SCHEMA shop', 'CREATE SCHEMA other', 'CREATE TABLE shop.a (id int PRIMARY KEY, v varchar(40), w int)',
        q{INSERT INTO shop.a SELECT i, 'v' || i, i FROM generate_series(1, 50) i}, 'CREATE TABLE other.in (id int PRIMARY KEY, v int)', 'INSERT INTO other.in VALUES (1, 1), (2, 2)');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    my $carried = sub {
        my ($what, @statements) = @_;
        $source->sql(@statements);
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$kind: $what") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', 'equal');
    };
    $carried->('loaded');
    # (and all that follows)
    $carried->('what older rows have in new columns, said by a session to which values look otherwise', q{SET DateStyle = 'German, DMY'}, q{SET TimeZone = 'Asia/Tokyo'}, q{SET bytea_output = 'escape'}, q{SET IntervalStyle = 'iso_8601'},
        'CREATE TABLE shop.fills (id int PRIMARY KEY)', 'INSERT INTO shop.fills VALUES (1)', q{ALTER TABLE shop.fills ADD COLUMN f1 boolean NOT NULL DEFAULT false, ADD COLUMN f2 timestamptz DEFAULT '01.02.2020 03:04:05.6',
            ADD COLUMN f3 bytea DEFAULT 'a\\000b', ADD COLUMN f4 bit(3) DEFAULT B'101', ADD COLUMN f5 jsonb DEFAULT '{"a": [1, "x"]}', ADD COLUMN f6 text NOT NULL DEFAULT 'it''s', ADD COLUMN f7 date DEFAULT '05.06.2021',
            ADD COLUMN f8 int[] DEFAULT '{1,2}', ADD COLUMN f9 boolean DEFAULT true, ADD COLUMN f10 timestamptz DEFAULT now(), ADD COLUMN f11 interval DEFAULT '1 day 02:00'}, 'INSERT INTO shop.fills VALUES (2)');
    $carried->('a new table', 'CREATE TABLE shop.b (id int PRIMARY KEY, n numeric(8,2) NOT NULL, UNIQUE (n))', 'INSERT INTO shop.b VALUES (1, 1.5), (2, 2.5)');
    $carried->('renamed and changed before it is read', 'ALTER TABLE shop.b RENAME TO c', 'INSERT INTO shop.c VALUES (3, 3.5)', 'ALTER TABLE shop.c ADD COLUMN t varchar(9) DEFAULT \'d\'',
        q{INSERT INTO shop.c VALUES (4, 4.5, 'x')}, 'ALTER TABLE shop.c RENAME COLUMN n TO m', 'ALTER TABLE shop.c DROP COLUMN t', 'UPDATE shop.c SET m = 9 WHERE id = 3',
        'CREATE INDEX byt ON shop.a (w)', 'DROP INDEX shop.byt', 'ALTER TABLE shop.c RENAME TO b', 'INSERT INTO shop.b VALUES (5, 5)');
    my $d = $source->dbh;
    $d->begin_work;
    $d->do($_) for 'INSERT INTO shop.a VALUES (100, \'before\', 1)', 'CREATE TABLE shop.d (id int PRIMARY KEY, v int)', 'INSERT INTO shop.d VALUES (1, 1)', 'SAVEPOINT s',
        'CREATE TABLE shop.gone (id int PRIMARY KEY)', 'ROLLBACK TO s', 'ALTER TABLE shop.d ADD COLUMN w int', 'INSERT INTO shop.d VALUES (2, 2, 2)', 'DELETE FROM shop.a WHERE id = 100';
    $d->commit;
    $carried->('a table and its rows in one transaction');
    $carried->('out of the selection and dropped', 'CREATE TABLE shop.e (id int PRIMARY KEY)', 'CREATE TABLE shop.f (id int PRIMARY KEY)', 'INSERT INTO shop.e VALUES (1)', 'DROP TABLE shop.e', 'DROP TABLE shop.f');
    is($source->one(q{SELECT count(*) FROM pg_publication_tables WHERE pubname = 'syncline_test' AND tablename IN ('e', 'f')}), 0, 'nothing is left published');
    $carried->('into the selection, with rows', 'ALTER TABLE other.in SET SCHEMA shop', 'INSERT INTO shop.in VALUES (3, 3)', 'UPDATE shop.in SET v = 20 WHERE id = 2');
    $carried->('from a query', 'CREATE TABLE shop.q AS SELECT * FROM shop.a', 'ALTER TABLE shop.q REPLICA IDENTITY FULL', q{UPDATE shop.q SET v = 'q' WHERE id < 10});
    $carried->('dropped and made again otherwise', 'DROP TABLE shop.d', 'CREATE TABLE shop.d (k varchar(10) PRIMARY KEY)', q{INSERT INTO shop.d VALUES ('k')});
    $carried->('values that only the source can compute', q{ALTER TABLE shop.a ADD COLUMN r float8 NOT NULL DEFAULT random()}, 'UPDATE shop.a SET w = 0 WHERE id = 5',
        q{ALTER TABLE shop.a ALTER COLUMN v TYPE int USING length(v)}, 'INSERT INTO shop.a VALUES (200, 7, 8)');
    $carried->('other values of the same type', 'ALTER TABLE shop.a ALTER COLUMN w TYPE int USING w + 1000');
    $carried->('partitions', 'CREATE TABLE shop.p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k)', 'CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES IN (1)',
        'CREATE TABLE shop.p2 (id int, k int, PRIMARY KEY (id, k))', 'INSERT INTO shop.p VALUES (1, 1)', 'INSERT INTO shop.p2 VALUES (2, 2)',
        'ALTER TABLE shop.p ATTACH PARTITION shop.p2 FOR VALUES IN (2)', 'INSERT INTO shop.p VALUES (3, 2)');
    $carried->('a partition that goes', 'ALTER TABLE shop.p DETACH PARTITION shop.p1', 'INSERT INTO shop.p1 VALUES (9, 1)', 'TRUNCATE shop.p');
    $carried->('partitions that come, and go with their rows', 'CREATE TABLE shop.m (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)', map({ "CREATE TABLE shop.m$_ PARTITION OF shop.m FOR VALUES FROM ($_) TO (${_}9)" } 1, 20), 'INSERT INTO shop.m VALUES (5, 1), (25, 2)');
    $carried->('dropped, taken out and put in', 'DROP TABLE shop.m1', 'CREATE TABLE shop.m3 PARTITION OF shop.m FOR VALUES FROM (300) TO (400)', 'INSERT INTO shop.m VALUES (300, 3)', 'ALTER TABLE shop.m DETACH PARTITION shop.m20', 'UPDATE shop.m20 SET v = 9', 'CREATE TABLE shop.m1 (LIKE shop.m INCLUDING ALL)',
        'INSERT INTO shop.m1 VALUES (7, 7)', 'ALTER TABLE shop.m ATTACH PARTITION shop.m1 FOR VALUES FROM (1) TO (19)', 'DELETE FROM shop.m WHERE id = 300');
    $carried->('tables that refer to each other', 'CREATE TABLE shop.parent (id int PRIMARY KEY, v text)', 'CREATE TABLE shop.child (id int PRIMARY KEY, p int REFERENCES shop.parent)', q{INSERT INTO shop.parent VALUES (1, '1')}, 'INSERT INTO shop.child VALUES (1, 1)');
    $carried->('one of them loads again', 'ALTER TABLE shop.parent ALTER COLUMN v TYPE int USING v::int + 1', 'ALTER TABLE shop.parent REPLICA IDENTITY FULL', 'INSERT INTO shop.child VALUES (2, 1)');
    $carried->('one loses the key that the other refers to, then both go and one comes', 'ALTER TABLE shop.parent DROP CONSTRAINT parent_pkey CASCADE', 'ALTER TABLE shop.parent ADD PRIMARY KEY (id)', 'ALTER TABLE shop.child ADD CONSTRAINT again FOREIGN KEY (p) REFERENCES shop.parent', 'INSERT INTO shop.child VALUES (3, 1)',
        'DROP TABLE shop.parent, shop.child', 'CREATE TABLE shop.parent (other int PRIMARY KEY)', 'INSERT INTO shop.parent VALUES (1)');
    $carried->('nothing that is carried', 'CREATE TEMP TABLE x (id int)', 'DROP TABLE x', 'CREATE TABLE other.y (id int)', 'DROP TABLE other.y', 'CREATE TABLE shop.unkeyed (id int)', 'DROP TABLE shop.unkeyed');
    like($pair->output, qr/new source table shop\.unkeyed has no replica identity/, 'but what could be is named');
    is($source->one('SELECT count(*) FROM syncline.ddl'), 0, 'the notes are gone');
    is($source->one('SELECT count(*) FROM pg_class WHERE relname = \'unkeyed\''), 0, 'the tables too');
}

run_on('postgresql');
run_on('mysql');

done_testing;
