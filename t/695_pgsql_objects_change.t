# PostgreSQL to PostgreSQL, what becomes of objects that are no tables while the channel streams:
# views, routines, sequences, types and domains altered, renamed and moved, their columns, labels,
# attributes and constraints too; what no column tells of a table; what a single partition has;
# comments on everything; what CASCADE takes along. After each step
# pg_dump says the same of both ends, and nothing had to be left out. Under other names, too. (R120)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Dump;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;

my @made = (
    'CREATE SCHEMA shop', 'CREATE SCHEMA crm', 'CREATE SCHEMA elsewhere', q{CREATE TYPE shop.mood AS ENUM ('low', 'high')}, 'CREATE DOMAIN shop.few AS int CONSTRAINT under CHECK (VALUE < 9)', 'CREATE TYPE shop.pair AS (a int, b text COLLATE "C")', 'CREATE SEQUENCE shop.s', 'CREATE TABLE crm.c (id int PRIMARY KEY)',
    'CREATE TABLE shop.t (id serial PRIMARY KEY, v text, m shop.mood, n shop.few, p shop.pair, ms shop.mood[], CONSTRAINT positive CHECK (id > 0))', 'CREATE INDEX t_v ON shop.t (v)', q{INSERT INTO shop.t (v, m, n, p, ms) VALUES ('one', 'low', 1, '(1,x)', '{high}')},
    'CREATE TABLE shop.part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)', 'CREATE TABLE shop.part_1 PARTITION OF shop.part FOR VALUES FROM (0) TO (100)', 'CREATE VIEW shop.v AS SELECT id, v FROM shop.t', 'CREATE VIEW shop.w AS SELECT v FROM shop.v', 'CREATE MATERIALIZED VIEW shop.mv AS SELECT id, v FROM shop.t', 'CREATE UNIQUE INDEX mv_id ON shop.mv (id)',
    q{CREATE FUNCTION shop.f(n int, m shop.mood DEFAULT 'low') RETURNS int LANGUAGE sql AS 'SELECT 1'}, q{CREATE PROCEDURE shop.p(a int) LANGUAGE sql AS 'SELECT 1'},
);
my @steps = (
    ['a view: its name, columns, options, defaults', 'ALTER VIEW shop.v RENAME TO v2', 'ALTER VIEW shop.v2 RENAME COLUMN v TO value', 'ALTER VIEW shop.v2 SET (security_barrier = true)', q{ALTER VIEW shop.v2 ALTER COLUMN value SET DEFAULT 'it''s'},
        'ALTER TABLE shop.v2 ALTER COLUMN id SET DEFAULT 5', 'ALTER VIEW shop.v2 ALTER COLUMN id DROP DEFAULT', 'CREATE OR REPLACE VIEW shop.v2 WITH (security_barrier = true) AS SELECT id, v AS value, n FROM shop.t', 'ALTER VIEW shop.v2 RESET (security_barrier)', 'ALTER TABLE shop.w RENAME TO x'],
    ['a materialized view', 'ALTER MATERIALIZED VIEW shop.mv RENAME TO kept', 'ALTER MATERIALIZED VIEW shop.kept RENAME COLUMN v TO value', 'ALTER MATERIALIZED VIEW shop.kept SET (fillfactor = 70, autovacuum_enabled = false)', 'ALTER MATERIALIZED VIEW shop.kept RESET (autovacuum_enabled)',
        'CREATE INDEX kept_v ON shop.kept (lower(value))', 'ALTER INDEX shop.mv_id RENAME TO kept_id', 'CREATE INDEX gone ON shop.kept (id, value)', 'DROP INDEX shop.gone'],
    ['routines', 'ALTER FUNCTION shop.f(int, shop.mood) IMMUTABLE STRICT COST 7 SET work_mem = 99', 'ALTER FUNCTION shop.f RENAME TO g', 'ALTER ROUTINE shop.g RESET work_mem', q{CREATE OR REPLACE FUNCTION shop.g(n int, m shop.mood DEFAULT 'high') RETURNS int LANGUAGE sql AS 'SELECT 2'},
        'ALTER PROCEDURE shop.p(int) SECURITY DEFINER', 'ALTER PROCEDURE shop.p RENAME TO q', q{CREATE FUNCTION shop.g(text) RETURNS text LANGUAGE sql AS 'SELECT $1'}, 'ALTER FUNCTION shop.g(text) RENAME TO h'],
    ['sequences', 'ALTER SEQUENCE shop.s INCREMENT 5 MAXVALUE 1000 CYCLE', 'ALTER SEQUENCE shop.s RENAME TO numbers', 'ALTER SEQUENCE shop.numbers AS smallint RESTART 50', 'ALTER SEQUENCE shop.numbers OWNED BY shop.t.id', 'ALTER SEQUENCE shop.t_id_seq INCREMENT 3', 'ALTER SEQUENCE shop.numbers OWNED BY NONE'],
    ['an enum', q{ALTER TYPE shop.mood RENAME VALUE 'low' TO 'sad'}, q{INSERT INTO shop.t (m, ms) VALUES ('sad', '{sad}')}, q{ALTER TYPE shop.mood ADD VALUE 'awful' BEFORE 'sad'}, q{ALTER TYPE shop.mood ADD VALUE 'well' AFTER 'sad'}, 'ALTER TYPE shop.mood RENAME TO feeling', q{INSERT INTO shop.t (m, ms) VALUES ('awful', '{awful,well}')}],
    ['a composite type', 'ALTER TYPE shop.pair RENAME ATTRIBUTE a TO first', 'ALTER TYPE shop.pair ADD ATTRIBUTE c numeric(5,2)', q{INSERT INTO shop.t (p) VALUES ('(2,y,3.25)')}, 'ALTER TYPE shop.pair DROP ATTRIBUTE b', 'ALTER TYPE shop.pair RENAME TO two', q{INSERT INTO shop.t (p) VALUES ('(4,5.75)')}, q{UPDATE shop.t SET v = 'updated' WHERE id = 1},
        'CREATE TYPE shop.free AS (a int)', 'ALTER TYPE shop.free ALTER ATTRIBUTE a TYPE bigint'],
    ['a domain', 'ALTER DOMAIN shop.few SET DEFAULT 3', 'ALTER DOMAIN shop.few ADD CONSTRAINT over CHECK (VALUE > -9)', 'ALTER DOMAIN shop.few RENAME CONSTRAINT under TO below', 'ALTER DOMAIN shop.few ADD CONSTRAINT gone CHECK (VALUE <> 7)', 'ALTER DOMAIN shop.few DROP CONSTRAINT gone', 'ALTER DOMAIN shop.few RENAME TO little',
        'ALTER DOMAIN shop.little DROP DEFAULT', 'ALTER DOMAIN shop.little ADD CONSTRAINT later CHECK (VALUE <> 8) NOT VALID', 'ALTER DOMAIN shop.little VALIDATE CONSTRAINT later', 'CREATE DOMAIN shop.must AS text', 'ALTER DOMAIN shop.must SET NOT NULL', 'INSERT INTO shop.t (n) VALUES (2)'],
    ['what no column tells of a table', 'ALTER TABLE shop.t ADD CONSTRAINT short CHECK (length(v) < 99), ADD CONSTRAINT gone CHECK (id <> 77)', 'ALTER TABLE shop.t RENAME CONSTRAINT short TO brief', 'ALTER TABLE shop.t DROP CONSTRAINT gone', 'CREATE INDEX t_expr ON shop.t (lower(v)) WHERE id > 1', 'CREATE INDEX t_gin ON shop.t USING gin (ms)',
        'CREATE INDEX t_desc ON shop.t (v DESC) INCLUDE (m)', 'CREATE INDEX gone ON shop.t USING hash (v)', 'DROP INDEX shop.gone', 'CREATE INDEX gone ON shop.t ((id + 1))', 'DROP INDEX shop.gone', 'ALTER INDEX shop.t_expr RENAME TO t_lower', q{CREATE TABLE shop.n (id int PRIMARY KEY, v text CHECK (v <> ''), r int4range, EXCLUDE USING gist (r WITH &&))}, 'CREATE UNIQUE INDEX n_u ON shop.n (v) WHERE id > 5', q{INSERT INTO shop.n VALUES (1, 'a', '[1,2)'), (2, 'a', '[2,3)')}],
    ['what a partition has for itself', q{COMMENT ON TABLE shop.part_1 IS 'the first'}, q{ALTER TABLE shop.part_1 ALTER COLUMN v SET DEFAULT 'x', ADD CONSTRAINT own CHECK (id < 90), ALTER COLUMN v SET NOT NULL}, 'CREATE INDEX part_1_v ON shop.part_1 (v)', 'ALTER INDEX shop.part_1_v RENAME TO part_1_w', 'CREATE INDEX gone ON shop.part_1 (v, id)', 'DROP INDEX shop.gone', q{INSERT INTO shop.part (id, v) VALUES (1, 'a')}],
    ['tables that are made, with all that they have', q{CREATE TABLE shop.w (id int GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY, n serial, v text COLLATE "C" DEFAULT 'x' NOT NULL, g text GENERATED ALWAYS AS (upper(v)) STORED, CONSTRAINT w_v UNIQUE (v) INCLUDE (n)) WITH (fillfactor = 70)}, 'CREATE TABLE shop.heir (e int, PRIMARY KEY (id)) INHERITS (shop.w)', 'ALTER TABLE shop.w ADD COLUMN h int DEFAULT 1',
        'CREATE TABLE shop.z (id int PRIMARY KEY, a text, b int DEFAULT 5) PARTITION BY LIST (id)', 'CREATE TABLE shop.z1 PARTITION OF shop.z FOR VALUES IN (1)', 'CREATE TABLE shop.z2 PARTITION OF shop.z DEFAULT PARTITION BY HASH (id)', 'CREATE TABLE shop.z3 PARTITION OF shop.z2 FOR VALUES WITH (MODULUS 1, REMAINDER 0)', 'INSERT INTO shop.z VALUES (1), (2)', 'CREATE INDEX z_a ON shop.z (a)', q{INSERT INTO shop.w (v) VALUES ('b')}],
    ['what statements add to tables', 'CREATE TABLE shop.y1 (id int PRIMARY KEY, a int, b text)', q{ALTER TABLE shop.y1 ADD COLUMN g int GENERATED ALWAYS AS (a + 1) STORED, ADD COLUMN k text COLLATE "C", ADD COLUMN n bigserial, ADD COLUMN i int GENERATED BY DEFAULT AS IDENTITY (INCREMENT 3)}, 'ALTER TABLE shop.y1 RENAME COLUMN g TO h', 'ALTER TABLE shop.y1 ADD CONSTRAINT x_a UNIQUE NULLS NOT DISTINCT (a), ADD UNIQUE (b) INCLUDE (a)', 'ALTER TABLE shop.y1 ALTER COLUMN h DROP EXPRESSION',
        'ALTER TABLE shop.y1 ADD COLUMN c int UNIQUE, ADD CONSTRAINT x_c UNIQUE (a, c) DEFERRABLE', 'ALTER TABLE shop.y1 ADD CONSTRAINT to_w FOREIGN KEY (a) REFERENCES shop.w', 'ALTER TABLE shop.y1 ALTER CONSTRAINT to_w DEFERRABLE INITIALLY DEFERRED', 'ALTER TABLE shop.y1 SET (fillfactor = 60)', 'ALTER TABLE shop.y1 REPLICA IDENTITY FULL', 'ALTER TABLE shop.y1 ALTER COLUMN k TYPE varchar(9)', 'ALTER TABLE shop.y1 RENAME CONSTRAINT x_a TO x_b',
        'CREATE VIEW shop.of_x AS SELECT n, i FROM shop.y1', 'ALTER TABLE shop.y1 ALTER COLUMN i DROP IDENTITY', q{ALTER TABLE shop.y1 ALTER COLUMN b TYPE int USING 7}, 'UPDATE shop.z SET b = NULL', 'ALTER TABLE shop.z ADD CONSTRAINT z_b FOREIGN KEY (b) REFERENCES shop.w'],
    ['partitions that come and go', 'ALTER TABLE shop.z DETACH PARTITION shop.z1', 'CREATE VIEW shop.of_z1 AS SELECT * FROM shop.z1', 'ALTER TABLE shop.z ATTACH PARTITION shop.z1 FOR VALUES IN (1, 7)', 'CREATE TABLE shop.z5 PARTITION OF shop.z FOR VALUES IN (5)', 'DROP TABLE shop.z5', 'INSERT INTO shop.z (id, b) VALUES (7, NULL)'],
    ['comments', q{COMMENT ON TABLE shop.t IS 'of t; it''s \\'}, q{COMMENT ON COLUMN shop.t.v IS 'of v'}, q{COMMENT ON COLUMN shop.t.m IS 'gone'}, 'COMMENT ON COLUMN shop.t.m IS NULL', q{COMMENT ON INDEX shop.t_v IS 'of an index'}, q{COMMENT ON CONSTRAINT positive ON shop.t IS 'of a constraint'}, q{COMMENT ON VIEW shop.v2 IS 'of a view'},
        q{COMMENT ON COLUMN shop.v2.value IS 'of its column'}, q{COMMENT ON MATERIALIZED VIEW shop.kept IS 'kept'}, q{COMMENT ON INDEX shop.kept_v IS 'of its index'}, q{COMMENT ON FUNCTION shop.g(int, shop.feeling) IS 'of a function'}, q{COMMENT ON PROCEDURE shop.q IS 'of a procedure'}, q{COMMENT ON SEQUENCE shop.numbers IS 'of a sequence'},
        q{COMMENT ON TYPE shop.feeling IS 'of an enum'}, q{COMMENT ON TYPE shop.two IS 'of a type'}, q{COMMENT ON COLUMN shop.two.first IS 'of an attribute'}, q{COMMENT ON DOMAIN shop.little IS 'of a domain'}, q{COMMENT ON CONSTRAINT below ON DOMAIN shop.little IS 'of its constraint'}, q{COMMENT ON COLUMN shop.kept.value IS 'of a kept column'}],
    ['comments taken away, and names that change under them', 'COMMENT ON TABLE shop.t IS NULL', 'ALTER TABLE shop.t RENAME COLUMN v TO text', 'COMMENT ON FUNCTION shop.g(int, shop.feeling) IS NULL', 'ALTER VIEW shop.v2 RENAME TO v3', 'COMMENT ON TYPE shop.two IS NULL', q{COMMENT ON COLUMN shop.t.text IS 'of text'}, 'ALTER INDEX shop.t_v RENAME TO t_text'],
    ['into another schema and back', map { ("ALTER $_->[0] shop.$_->[1] SET SCHEMA crm", $_->[2] ? "ALTER $_->[0] crm.$_->[1] SET SCHEMA shop" : ()) } ['VIEW', 'v3', 1], ['MATERIALIZED VIEW', 'kept'], ['FUNCTION', 'g(int, shop.feeling)', 1], ['SEQUENCE', 'numbers'], ['TYPE', 'feeling', 1], ['DOMAIN', 'little'], ['TYPE', 'two']],
    ['out of the selection, where it stays, and into it', 'CREATE VIEW elsewhere.comes AS SELECT 1 AS one', q{CREATE TYPE elsewhere.kind AS ENUM ('a')}, 'ALTER VIEW elsewhere.comes SET SCHEMA shop', 'ALTER TYPE elsewhere.kind SET SCHEMA shop', q{ALTER TYPE shop.kind ADD VALUE 'b'}],
    ['what CASCADE takes along', 'CREATE TABLE shop.u (id int PRIMARY KEY, k shop.kind, w int)', 'CREATE VIEW shop.u1 AS SELECT id, w FROM shop.u', 'CREATE VIEW shop.u2 AS SELECT * FROM shop.u1', 'CREATE FUNCTION shop.of_u(r shop.u) RETURNS int LANGUAGE sql AS \'SELECT 1\'', 'ALTER TABLE shop.u DROP COLUMN w CASCADE', 'CREATE VIEW shop.u3 AS SELECT id FROM shop.u', 'INSERT INTO shop.u VALUES (1)', 'DROP TABLE shop.u CASCADE', 'CREATE VIEW shop.y AS SELECT shop.h(\'a\') AS h', 'DROP FUNCTION shop.h CASCADE', 'DROP TYPE shop.kind CASCADE'],
    ['a schema that is dropped', 'CREATE SCHEMA crm2', 'CREATE TYPE crm2.t AS ENUM (\'t\')', 'CREATE FUNCTION crm2.d() RETURNS int LANGUAGE sql AS \'SELECT 1\'', 'CREATE TABLE crm2.a (id int PRIMARY KEY, t crm2.t, d int DEFAULT crm2.d())', 'CREATE VIEW crm2.v AS SELECT * FROM crm2.a', 'INSERT INTO crm2.a VALUES (1)', 'DROP SCHEMA crm2 CASCADE'],
);

sub carries {
    my ($objects, %names) = @_;
    $_->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop crm crm2 elsewhere syncline), values %names) for $source, $target;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test', @made);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects);
    my $renamed = sub {
        my ($text) = @_;
        $text =~ s/\b$_\.(?=\w)/$names{$_}./g, $text =~ s/SCHEMA $_;/SCHEMA $names{$_};/g for keys %names;
        return $text;
    };
    my %now = map { $_ => $names{$_} || $_ } qw(shop crm);
    for my $step (['loaded'], %names ? ['all of it before any is read', map { @$_[1 .. $#$_] } @steps] : @steps) {
        my ($what, @statements) = @$step;
        $source->sql(@statements);
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$now{shop}: $what") or diag($pair->output), return $pair;
        same(dump_of($target, sort values %now), $renamed->(dump_of($source, sort keys %now)), 'pg_dump says the same of both');
        is($target->one("SELECT string_agg(t::text, ' ' ORDER BY id) FROM $now{shop}.t t"), $source->one('SELECT string_agg(t::text, \' \' ORDER BY id) FROM shop.t t'), 'rows are equal');
    }
    unlike($pair->output, qr/is left out|could not note/, 'nothing had to be left out') or diag $pair->output;
    return $pair;
}

my $pair = carries('{ database = "shop"; }, { database = "crm*"; }');
is($target->one(q{SELECT nextval('crm.numbers')}), 50, 'a sequence that began anew does so there');
$source->sql('CREATE VIEW shop.leaves AS SELECT 1 AS one', 'ALTER VIEW shop.leaves SET SCHEMA elsewhere');
$pair->start('caught-up');
is($pair->wait(60), 0, 'a view that leaves the selection') or diag $pair->output;
like($pair->output, qr/`ALTER VIEW shop\.leaves SET SCHEMA elsewhere` takes it out of the selection/, 'is named');
is($target->one(q{SELECT count(*) FROM pg_views WHERE schemaname = 'shop' AND viewname = 'leaves'}), 1, 'and stays');
$source->sql('ALTER SCHEMA crm RENAME TO crm3');
$pair->start('caught-up');
is($pair->wait(60), 0, 'a schema with another name') or diag $pair->output;
same(dump_of($target, 'crm3'), dump_of($source, 'crm3'), 'what is in it moves');

carries('{ database = "shop"; to_database = "store"; }, { database = "crm"; to_database = "people"; }, { database = "crm2"; }', shop => 'store', crm => 'people');
done_testing;
