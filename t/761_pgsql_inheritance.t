# PostgreSQL to PostgreSQL, tables that inherit: a row is one table's, not its parents', also where
# a parent has one with the same key. Loaded, streamed by single rows and by many, emptied, loaded
# again; with their own columns, defaults and constraints, as pg_dump says it. (R83, R85; spec S2.1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
my @tables = qw(base derived further log log_old);
$source->sql(
    'CREATE SCHEMA shop', q{CREATE TABLE shop.base (id int PRIMARY KEY, v text DEFAULT 'b', n int CHECK (n > 0))}, 'CREATE TABLE shop.derived (w int, PRIMARY KEY (id), CHECK (w > 1)) INHERITS (shop.base)', q{ALTER TABLE shop.derived ALTER v SET DEFAULT 'd'},
    'CREATE TABLE shop.further (x int, v text, PRIMARY KEY (id)) INHERITS (shop.derived)', 'CREATE TABLE shop.log (a int, b text)', 'CREATE TABLE shop.log_old () INHERITS (shop.log)', (map { "ALTER TABLE shop.$_ REPLICA IDENTITY FULL" } qw(log log_old)),
    'CREATE TABLE shop.part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)', 'CREATE TABLE shop.part_1 PARTITION OF shop.part DEFAULT',
    (map { "INSERT INTO shop.$_ (id, n) SELECT i, i FROM generate_series(1, 500) i" } qw(base derived further)), (map { "INSERT INTO shop.$_ SELECT i % 3, 'x' FROM generate_series(1, 9) i" } qw(log log_old)), q{INSERT INTO shop.part SELECT i, 'v' FROM generate_series(1, 500) i});

sub rows { my ($db) = @_; return join "\n", map { my $t = $_; map { join ' ', $t, map { $_ // 'NULL' } @$_ } @{$db->rows("SELECT * FROM ONLY shop.$t x ORDER BY x::text")} } @tables }
# A default that differs from the parent's is said in one place or in another.
my $defaults = q{SELECT string_agg(adrelid::regclass || ' ' || adnum || ' ' || pg_get_expr(adbin, adrelid), ', ' ORDER BY adrelid::regclass::text, adnum) FROM pg_attrdef WHERE adrelid::regclass::text LIKE 'shop.%'};
sub dump_of { my ($db) = @_; return join "\n", grep { !/^(?:--|SET |SELECT pg_catalog.set_config|\\|$)|DEFAULT 'd'/ } split /\n/, scalar qx{${\ $db->home}/pg_dump -h $db->{dir} -p ${\ $db->port} -U root -d test --schema-only --no-owner --no-publications -n shop} }
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
sub carried {
    my ($what, $of) = @_;
    ($of // $pair)->start('caught-up');
    is(($of // $pair)->wait(60), 0, $what) or diag $pair->output;
    is(rows($target), rows($source), 'each table has its own rows');
    is($target->one('SELECT string_agg(p::text, $$ $$ ORDER BY id) FROM shop.part p'), $source->one('SELECT string_agg(p::text, $$ $$ ORDER BY id) FROM shop.part p'), 'and partitions the whole\'s');
}
carried('loaded');
is(dump_of($target), dump_of($source), 'pg_dump says the same of both');
is($target->one($defaults), $source->one($defaults), 'with the defaults of each table');
$source->sql(q{UPDATE ONLY shop.base SET v = 'one' WHERE id = 7}, 'DELETE FROM ONLY shop.base WHERE id = 8', q{UPDATE ONLY shop.derived SET v = 'one', w = 5 WHERE id = 9}, 'DELETE FROM ONLY shop.log WHERE a = 1', q{UPDATE ONLY shop.log SET b = 'y' WHERE a = 2}, q{UPDATE shop.part SET v = 'w' WHERE id = 5});
carried('single rows');
$source->sql(q{UPDATE ONLY shop.base SET v = 'many' WHERE id > 100}, 'DELETE FROM ONLY shop.base WHERE id > 400', q{UPDATE shop.derived SET v = 'both' WHERE id < 5}, 'UPDATE ONLY shop.derived SET id = id + 1000 WHERE id > 450', 'DELETE FROM shop.part WHERE id > 400');
carried('many rows');
$source->sql('TRUNCATE ONLY shop.base', q{INSERT INTO shop.base (id) VALUES (1)});
carried('emptied alone');
$source->sql('TRUNCATE shop.log', 'TRUNCATE shop.part', q{INSERT INTO shop.part VALUES (1, 'new')});
carried('emptied with all below');
$target->sql(q{UPDATE syncline.table_state SET state = 'reload' WHERE name = 'base'}, 'DELETE FROM ONLY shop.base');
carried('loaded again');
is(dump_of($target), dump_of($source), 'as it was');

# Where the tables are there: the parent's rows go, the children's stay until it is their turn.
$target->sql('DROP SCHEMA syncline CASCADE');
carried('cleared', Syncline::Pair->new(source => $source, target => $target, id => 'clear', objects => '{ database = "shop"; }', more => qq(existing = "clear";\n)));

done_testing;
