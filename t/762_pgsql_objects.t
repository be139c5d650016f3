# PostgreSQL to PostgreSQL, the initial schema: pg_dump says the same of both ends. Defaults,
# identities, sequences with their values, constraints of every kind, generated columns,
# indexes of every kind, partitions, enums, domains, composites, comments, views on views,
# materialized views, functions that need each other; in an order in which they can be made,
# which is neither that of names nor that of their making. Then the same under other names;
# a table that loads again is made anew, with what stands on it (R120; spec 2, 5).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Dump;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1 .. 2;

my @made = (
    'CREATE SCHEMA shop', 'CREATE SCHEMA lib', 'CREATE EXTENSION pg_trgm SCHEMA lib', 'CREATE EXTENSION btree_gist SCHEMA lib',
    q{CREATE TYPE lib.unused AS ENUM ('x')}, q{CREATE TYPE lib.size AS ENUM ('s', 'it''s')}, 'CREATE SEQUENCE shop.free AS smallint INCREMENT -3 MINVALUE -30000 MAXVALUE 5 START 5 CACHE 7 CYCLE',
    q{COMMENT ON SEQUENCE shop.free IS 'shop.free ; it''s'}, q{SELECT nextval('shop.free')},
    q{CREATE FUNCTION shop.z_price(numeric, text DEFAULT 'shop.a; $$') RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT AS $f$ BEGIN RETURN shop.m_rate() * $1; /* ' */ END $f$},
    'CREATE FUNCTION shop.m_rate() RETURNS numeric LANGUAGE sql IMMUTABLE RETURN 1.5', q{COMMENT ON FUNCTION shop.z_price(numeric, text) IS 'price'},
    'CREATE DOMAIN shop.cents AS bigint DEFAULT 7 CONSTRAINT positive CHECK (VALUE >= 0)', q{COMMENT ON DOMAIN shop.cents IS 'money'},
    'CREATE TYPE shop.pair AS (a shop.cents, b text COLLATE "C")',
    q{CREATE TABLE shop.parent (a int NOT NULL, b text COLLATE "C" DEFAULT 'it''s \\', PRIMARY KEY (a), CONSTRAINT two UNIQUE NULLS NOT DISTINCT (b, a) DEFERRABLE INITIALLY DEFERRED)},
    q{CREATE TABLE shop."Odd ""name""; --" ("select" int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5) PRIMARY KEY, "a b" text)},
    q{CREATE TABLE shop.child (id bigserial PRIMARY KEY, p int DEFAULT 1, s lib.size DEFAULT 's', price numeric(9,2) DEFAULT shop.z_price(1), cost numeric GENERATED ALWAYS AS (price * 2) STORED, pr shop.pair, at timestamptz DEFAULT now(),
        during tstzrange, tags text[] DEFAULT '{a,"b c"}', free int DEFAULT nextval('shop.free'), name text NOT NULL CONSTRAINT named CHECK (length(name) > 0 AND name <> 'shop.parent'), b text,
        CONSTRAINT no_overlap EXCLUDE USING gist (p WITH =, during WITH &&) WHERE (p IS NOT NULL), CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES shop.parent ON DELETE SET NULL ON UPDATE CASCADE) WITH (fillfactor = 70)},
    'ALTER TABLE shop.child ADD CONSTRAINT self FOREIGN KEY (id) REFERENCES shop.child',
    'ALTER TABLE shop.parent ADD UNIQUE (a, b)', 'ALTER TABLE shop.child ADD CONSTRAINT late FOREIGN KEY (p, b) REFERENCES shop.parent (a, b) MATCH FULL ON UPDATE RESTRICT DEFERRABLE INITIALLY DEFERRED',
    'ALTER TABLE shop.child ADD CONSTRAINT partly FOREIGN KEY (p, b) REFERENCES shop.parent (a, b) ON DELETE SET NULL (b) DEFERRABLE',
    'CREATE INDEX child_expr ON shop.child (lower(name) DESC NULLS LAST, (price + 1)) INCLUDE (at) WHERE price > 5', 'CREATE UNIQUE INDEX child_part ON shop.child (name) WHERE p IS NULL',
    'CREATE INDEX child_gin ON shop.child USING gin (tags)', 'CREATE INDEX child_trgm ON shop.child USING gist (name lib.gist_trgm_ops)', 'CREATE INDEX child_brin ON shop.child USING brin (at) WITH (pages_per_range = 8)',
    'CREATE INDEX child_hash ON shop.child USING hash (name)', 'CREATE INDEX child_c ON shop.child (name COLLATE "C" text_pattern_ops)', q{COMMENT ON INDEX shop.child_gin IS 'gin'},
    q{COMMENT ON TABLE shop.child IS 'of shop.parent; it''s'}, q{COMMENT ON COLUMN shop.child.name IS E'line\\nline'}, q{COMMENT ON CONSTRAINT named ON shop.child IS 'c'},
    'CREATE TABLE shop.part (day date NOT NULL, id int NOT NULL, v text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day)',
    q{CREATE TABLE shop.part_2020 PARTITION OF shop.part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (id)}, 'CREATE TABLE shop.part_2020_1 PARTITION OF shop.part_2020 FOR VALUES IN (1, 2)',
    'CREATE TABLE lib.part_rest PARTITION OF shop.part DEFAULT', 'CREATE INDEX part_v ON shop.part (v)', 'CREATE INDEX rest_only ON lib.part_rest (v, day)', 'CREATE TABLE shop.hashed (id int PRIMARY KEY) PARTITION BY HASH (id)',
    'CREATE TABLE shop.hashed_0 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)', 'CREATE TABLE shop.hashed_1 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
    'CREATE TABLE shop.log (at timestamptz, what text)', 'ALTER TABLE shop.log REPLICA IDENTITY FULL',
    'CREATE VIEW shop.z_base AS SELECT id, name, p FROM shop.child WHERE price > 1', 'CREATE VIEW shop.m_middle WITH (security_barrier = true) AS SELECT z.id, p.b FROM shop.z_base z JOIN shop.parent p ON p.a = z.p',
    q{CREATE VIEW shop.a_top AS SELECT m.id, shop.row_of(m.id::int) AS r, 'shop.child' AS t FROM shop.m_middle m} =~ s/shop\.row_of\(m\.id::int\)/m.b/r, q{COMMENT ON VIEW shop.a_top IS 'top'},
    'CREATE FUNCTION shop.row_of(i int) RETURNS shop.child STABLE BEGIN ATOMIC SELECT * FROM shop.child WHERE id = i; END', 'CREATE VIEW shop.a_calls AS SELECT (shop.row_of(1)).name',
    'CREATE MATERIALIZED VIEW shop.mat AS SELECT p, count(*) AS n FROM shop.z_base GROUP BY p', 'CREATE UNIQUE INDEX mat_p ON shop.mat (p)',
    q{CREATE PROCEDURE shop.fill(n int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.child (name, b) SELECT 'n' || i, 'b1' FROM generate_series(1, n) i; END $$},
    q{COMMENT ON COLUMN shop.a_top.r IS 'of a view'}, q{ALTER VIEW shop.a_top ALTER COLUMN id SET DEFAULT 4}, q{COMMENT ON MATERIALIZED VIEW shop.mat IS 'kept'}, q{COMMENT ON COLUMN shop.mat.n IS 'n'}, q{COMMENT ON INDEX shop.mat_p IS 'of mat'}, q{COMMENT ON TYPE shop.pair IS 'two'}, q{COMMENT ON COLUMN shop.pair.b IS 'of two'},
    q{COMMENT ON CONSTRAINT positive ON DOMAIN shop.cents IS 'above'}, q{COMMENT ON PROCEDURE shop.fill IS 'fills'}, q{COMMENT ON SEQUENCE shop.child_id_seq IS 'counts'}, q{COMMENT ON TYPE lib.size IS 'sizes'},
    q{COMMENT ON TABLE shop.part IS 'whole'}, q{COMMENT ON TABLE shop.part_2020_1 IS 'part of a part'}, q{COMMENT ON COLUMN lib.part_rest.v IS 'of the rest'}, q{COMMENT ON INDEX lib.rest_only IS 'its own'}, q{ALTER TABLE lib.part_rest ALTER COLUMN v SET DEFAULT 'rest', ALTER COLUMN v SET NOT NULL}, 'ALTER TABLE shop.part_2020_1 ADD CONSTRAINT own CHECK (id < 3), ADD CONSTRAINT own_key UNIQUE (id, v, day), SET (fillfactor = 50)',
    q{COMMENT ON CONSTRAINT own ON shop.part_2020_1 IS 'its own'}, q{ALTER TABLE shop.hashed ADD COLUMN v int DEFAULT 7}, 'ALTER TABLE shop.hashed_0 ALTER COLUMN v DROP DEFAULT',
    q{INSERT INTO shop.parent SELECT i, 'b' || i FROM generate_series(1, 20) i}, q{INSERT INTO shop.child (p, b, name, during) SELECT i, 'b' || i, 'name' || i, tstzrange('2020-01-01', '2020-01-02') FROM generate_series(1, 20) i},
    q{INSERT INTO shop."Odd ""name""; --" ("a b") SELECT 'x' FROM generate_series(1, 3)}, q{INSERT INTO shop.part SELECT date '2019-12-30' + i, 1, 'v' FROM generate_series(1, 5) i}, 'INSERT INTO shop.hashed SELECT generate_series(1, 10)',
);
$source->sql(@made);
sub carried {
    my ($pair, $what) = @_;
    $pair->start('caught-up');
    is($pair->wait(60), 0, $what) or diag $pair->output;
}

my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $check = qx{$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1};
is($? >> 8, 0, 'the precheck passes') or diag $check;
like($check, qr/^warn  Extensions\n.*use btree_gist, pg_trgm/m, 'and names the extensions that are needed') or diag $check;
carried($pair, 'carried');
same(dump_of($target, 'shop', 'lib'), dump_of($source, 'shop', 'lib') =~ s/CREATE TYPE lib.unused AS ENUM \(\n    'x'\n\);\n//r, 'pg_dump says the same of both');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
is($target->one(q{SELECT string_agg(typname, ' ' ORDER BY typname) FROM pg_type WHERE typnamespace = 'lib'::regnamespace AND typtype = 'e'}), 'size', 'of another schema what is needed');
my $values = q{SELECT string_agg(sequencename || ' ' || last_value, ', ' ORDER BY sequencename) FROM pg_sequences WHERE schemaname = 'shop'};
is($target->one($values), $source->one($values), 'sequences stand where they stood');

# Changes, and defaults at the target that go on where the source's stood.
$source->sql(q{UPDATE shop.child SET price = 9, tags = '{}' WHERE id < 5}, q{UPDATE shop."Odd ""name""; --" SET "a b" = 'y'}, q{INSERT INTO shop.part VALUES ('2020-05-05', 2, 'w')}, 'CALL shop.fill(3)',
    q{UPDATE shop.part SET day = day + 400}, q{INSERT INTO shop.log VALUES (now(), 'x'), (now(), 'x')});
carried($pair, 'streamed');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');

# Made anew: what was done to the table goes, what stands on it stays.
my $before = dump_of($target, 'shop');
$target->sql(q{UPDATE syncline.table_state SET state = 'reload' WHERE name IN ('parent', 'child', 'part')}, 'ALTER TABLE shop.parent DROP CONSTRAINT two', 'ALTER TABLE shop.child ADD COLUMN more int, DROP CONSTRAINT named',
    'CREATE SCHEMA mine', 'CREATE VIEW mine.names AS SELECT name, id FROM shop.child', 'CREATE VIEW mine.more AS SELECT more FROM shop.child', 'CREATE VIEW mine.above AS SELECT name FROM mine.names',
    'CREATE TABLE mine.own (p int CONSTRAINT mine_fk REFERENCES shop.parent)', q{DELETE FROM shop.child WHERE id = 7}, q{INSERT INTO shop.parent VALUES (77, 'z')});
carried($pair, 'three tables loaded again');
same(dump_of($target, 'shop'), $before, 'they are what they were');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
is($target->one('SELECT count(*) FROM mine.above'), $source->one('SELECT count(*) FROM shop.child'), 'views of others on them are there');
is($target->one(q{SELECT count(*) FROM pg_constraint WHERE conname = 'mine_fk'}), 1, 'foreign keys of others too');
like($pair->output, qr/what stands on mine\.more cannot be made again at the target, its table has changed: .*column child\.more does not exist/, 'one that cannot be is named');

# Under other names: what is text in routines stays as it is.
$source->sql('DROP FUNCTION shop.z_price CASCADE', 'DROP FUNCTION shop.row_of CASCADE', 'DROP PROCEDURE shop.fill');
$target->sql('DROP SCHEMA shop, lib, mine CASCADE');
$pair = Syncline::Pair->new(id => 'other', source => $source, target => $target, objects => '{ database = "shop"; to_database = "Store 2"; }, { database = "shop"; table = "parent"; to_database = "Store 2"; to_table = "top"; }');
carried($pair, 'carried under other names') or diag $pair->output;
my $expected = dump_of($source, 'shop') =~ s/\bshop\.parent(?!'|; it)/shop.top/gr =~ s/\bshop\.(?=\w|")(?!(?:child'::text|parent'|parent; it|free ;))/"Store 2"./gr =~ s/SCHEMA shop/SCHEMA "Store 2"/r;
my @lines = map { [sort map { s/,$//r } split /\n/] } $expected, dump_of($target, '\'"Store 2"\'');
my %there = map { $_ => 1 } @{$lines[1]};
is(join("\n", grep { !$there{$_} } @{$lines[0]}), '', 'every line of pg_dump with the other names');
is($target->one(q{SELECT count(*) FROM "Store 2".top}), 20, 'with rows');

# Selected one by one: a view on what is not selected is left out.
$target->sql('DROP SCHEMA "Store 2", lib CASCADE');
$pair = Syncline::Pair->new(id => 'one', source => $source, target => $target, objects => '{ database = "shop"; to_database = "few"; }, { database = "shop"; table = "parent"; exclude = true; }');
carried($pair, 'without one table');
like($pair->output, qr/view shop\.m_middle is left out: it stands on table parent, which is not selected/, 'a view on it is left out, with a word');
is($target->one(q{SELECT string_agg(viewname, ' ' ORDER BY viewname) FROM pg_views WHERE schemaname = 'few'}), 'z_base', 'others are there');

done_testing;
