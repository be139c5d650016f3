# PostgreSQL to PostgreSQL, what is no table, in the log's order: views, routines, sequences, types
# and what columns get that nothing is said of, made, changed and dropped while the channel streams,
# under other names too; sequences stand where they stand at the source; what the target cannot have
# stays away and is named. Tables whose replica identity is an index. (R120-R126)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;

sub anew {
    my @schemas = map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop other sold syncline);
    $target->sql(@schemas);
    $source->sql(@schemas, 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test',
        'CREATE SCHEMA shop', 'CREATE SCHEMA other', 'CREATE TABLE shop.a (id serial PRIMARY KEY, v text, w int)', q{INSERT INTO shop.a (v) VALUES ('one'), ('two')}, 'CREATE TABLE other.x (id int PRIMARY KEY)');
}

sub soon {
    my ($condition) = @_;
    my $end = time + 30 * ($ENV{PATIENCE} // 4);
    sleep 0.1 while !$condition->() && time < $end;
    return $condition->();
}

# Of the schema: what it has but tables, in the server's words.
my $others = q{
    SELECT 'default ' || c.relname || '.' || a.attname || ' ' || pg_get_expr(d.adbin, d.adrelid) AS x FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum
        WHERE c.relnamespace = $1::regnamespace AND pg_get_expr(d.adbin, d.adrelid) NOT LIKE 'nextval%'
    UNION ALL SELECT 'view ' || relname || pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = $1::regnamespace
    UNION ALL SELECT 'routine ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace
    UNION ALL SELECT 'type ' || t.typname || coalesce((SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), '') FROM pg_type t WHERE typtype IN ('e', 'd') AND typnamespace = $1::regnamespace
    UNION ALL SELECT 'sequence ' || sequencename || ' ' || concat_ws(',', start_value, increment_by, max_value, cycle, last_value) FROM pg_sequences WHERE schemaname = $1::text
    ORDER BY 1};

sub others { my ($db, $schema) = @_; return join "\n", map { $_->[0] =~ s/\b$schema\.//gr } @{$db->main_dbh->selectall_arrayref($others, undef, $schema)} }

sub follows {
    my ($schema, %o) = @_;
    anew();
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $o{objects});
    my $carried = sub {
        my ($what, @statements) = @_;
        $source->sql(@statements);
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$schema: $what") or diag $pair->output;
        is(others($target, $schema), others($source, 'shop'), "$what: alike");
        is($target->one("SELECT count(*) FROM $schema.a"), $source->one('SELECT count(*) FROM shop.a'), 'with its rows');
    };
    $carried->('loaded');
    $carried->('defaults', q{ALTER TABLE shop.a ALTER COLUMN v SET DEFAULT 'it''s', ALTER COLUMN w SET DEFAULT 7}, 'INSERT INTO shop.a DEFAULT VALUES', 'ALTER TABLE shop.a ALTER COLUMN w DROP DEFAULT',
        q{CREATE TABLE shop.b (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), v text DEFAULT 'b')}, q{ALTER TABLE shop.a ADD COLUMN x int NOT NULL DEFAULT 5});
    $carried->('views', 'CREATE VIEW shop.some AS SELECT id, v FROM shop.a WHERE id > 1', 'CREATE VIEW shop.gone AS SELECT 1 AS one', 'CREATE MATERIALIZED VIEW shop.kept AS SELECT count(*) AS n FROM shop.a',
        'CREATE OR REPLACE VIEW shop.some AS SELECT id, v FROM shop.a WHERE id > 2', 'DROP VIEW shop.gone');
    $carried->('routines', q{CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'}, q{CREATE FUNCTION shop.gone() RETURNS int LANGUAGE sql AS 'SELECT 1'},
        q{CREATE OR REPLACE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n + n'}, 'DROP FUNCTION shop.gone()', q{CREATE PROCEDURE shop.p() LANGUAGE sql AS 'SELECT 1'});
    $carried->('types', q{CREATE TYPE shop.mood AS ENUM ('low', 'high')}, 'CREATE DOMAIN shop.few AS int CHECK (VALUE < 9)', 'CREATE TABLE shop.m (id int PRIMARY KEY, m shop.mood, n shop.few)', q{INSERT INTO shop.m VALUES (1, 'low', 1)},
        q{ALTER TYPE shop.mood ADD VALUE 'middle' AFTER 'low'}, q{INSERT INTO shop.m VALUES (2, 'middle', 2)}, q{CREATE TYPE shop.gone AS ENUM ('g')}, 'DROP TYPE shop.gone');
    is($target->one("SELECT string_agg(m::text, ',' ORDER BY m) FROM $schema.m"), 'low,middle', 'rows with the new label, which has its place');
    $carried->('sequences', 'CREATE SEQUENCE shop.s START 5 INCREMENT 2', 'CREATE SEQUENCE shop.gone', 'ALTER SEQUENCE shop.s MAXVALUE 1000 CYCLE', 'DROP SEQUENCE shop.gone', q{SELECT nextval('shop.s') FROM generate_series(1, 10)},
        q{INSERT INTO shop.a (v) VALUES ('more')});
    is($target->one("SELECT nextval('$schema.s')"), 25, 'the next number is a new one');

    $pair->start;
    $source->sql(q{SELECT nextval('shop.s') FROM generate_series(1, 100)}, q{INSERT INTO shop.a (v) VALUES ('streams')});
    ok(soon(sub { others($target, $schema) eq others($source, 'shop') }), 'sequences that move while it streams follow') or diag others($target, $schema), "\n", others($source, 'shop');
    $pair->stop;
    $carried->('what stands on a table that is not carried', 'CREATE VIEW other.v AS SELECT * FROM shop.a', 'DROP VIEW other.v');
    $source->sql('CREATE VIEW shop.v AS SELECT * FROM other.x', q{INSERT INTO shop.a (v) VALUES ('after')});
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'a view that the target cannot have') or diag $pair->output;
    like($pair->output, qr/what the source's statement has made is left out at the target: .*other\.x.*CREATE OR REPLACE VIEW/, 'is left out, and named');
    is($target->one("SELECT count(*) FROM $schema.a WHERE v = 'after'"), 1, 'rows go on');
}

follows('shop', objects => '{ database = "shop"; }');
follows('sold', objects => '{ database = "shop"; to_database = "sold"; }');

# An index as the replica identity.
for my $to ($target, Syncline::MariaDB->new) {
    my $kind = $to->kind;
    anew();
    $source->sql('CREATE TABLE shop.u (k int NOT NULL, t varchar(10) NOT NULL, v int)', 'CREATE UNIQUE INDEX u_k ON shop.u (k, t)', 'ALTER TABLE shop.u REPLICA IDENTITY USING INDEX u_k',
        q{INSERT INTO shop.u SELECT i, 't' || i, i FROM generate_series(1, 50) i}, 'ALTER TABLE shop.a REPLICA IDENTITY USING INDEX a_pkey');
    my $pair = Syncline::Pair->new(source => $source, target => $to, objects => '{ database = "shop"; }');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$kind: a table whose identity is its only unique index loads") or diag $pair->output;
    $source->sql('UPDATE shop.u SET v = v + 100 WHERE k < 10', 'UPDATE shop.u SET k = k + 1000 WHERE k IN (1, 20)', 'DELETE FROM shop.u WHERE k BETWEEN 30 AND 35', q{UPDATE shop.a SET v = 'changed', id = id + 10 WHERE id = 1});
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$kind: its changes") or diag $pair->output;
    is(join("\n", compare($source, $to, 'shop')), '', "$kind: equal");
}
{
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $source->sql('CREATE UNIQUE INDEX u_v ON shop.u (v)');
    like(`$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`, qr/shop\.u has no replica identity \(or an index that is not its only key,/, 'with another key beside it it is refused');
}
done_testing;
