# PostgreSQL to PostgreSQL by an account that may not make an event trigger at the source, so
# that what changes in tables is seen by the rows that follow: columns added with and without
# constants, dropped, renamed, of other types, in transactions of their own and amid
# rows; TRUNCATE; names mapped, columns left out; and what stops the channel, with its
# remedy: a slot that is gone, a column whose values the log does not tell.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1 .. 2;
# Owner of all, through root, and nobody's superuser.
$source->sql(q{CREATE ROLE plain LOGIN REPLICATION PASSWORD 'secret' IN ROLE root}, 'GRANT CREATE ON DATABASE test TO plain');

sub clean {
    $_->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop store syncline)) for $source, $target;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test');
}

sub pair { return Syncline::Pair->new(source => $source->endpoint =~ s/"syncline"/"plain"/r, target => $target, objects => '{ database = "shop"; }', @_) }

sub carried {
    my ($pair, $what) = @_;
    $pair->start('caught-up');
    is($pair->wait(60), 0, $what) or diag $pair->output;
}

clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text, w int)', 'CREATE TABLE shop.b (id int PRIMARY KEY)',
    q{INSERT INTO shop.a SELECT i, 'v' || i, i FROM generate_series(1, 100) i});
my $pair = pair();
carried($pair, 'loaded');
for my $statement (
    q{ALTER TABLE shop.a ADD COLUMN x int NOT NULL DEFAULT 7}, q{ALTER TABLE shop.a ADD COLUMN y text},
    q{ALTER TABLE shop.a RENAME COLUMN v TO name}, q{ALTER TABLE shop.a DROP COLUMN w},
    q{ALTER TABLE shop.a ALTER COLUMN x TYPE bigint}, q{ALTER TABLE shop.a ADD COLUMN z timestamptz DEFAULT '2020-01-01 12:00+00', ADD COLUMN u numeric(5,2) DEFAULT 1.5},
    q{ALTER TABLE shop.a DROP COLUMN y, ADD COLUMN y int}, q{ALTER TABLE shop.a RENAME COLUMN y TO last}
) {
    $source->sql($statement, 'UPDATE shop.a SET id = id WHERE id = 5', 'INSERT INTO shop.a (id) SELECT max(id) + 1 FROM shop.a');
    carried($pair, $statement);
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}
my $d = $source->dbh;
$d->begin_work;
$d->do($_) for 'INSERT INTO shop.b VALUES (1)', q{UPDATE shop.a SET name = 'before' WHERE id = 1}, 'ALTER TABLE shop.a ADD COLUMN amid int DEFAULT 3',
    q{UPDATE shop.a SET name = 'after', amid = 4 WHERE id = 2}, 'INSERT INTO shop.b VALUES (2)', 'TRUNCATE shop.b', 'INSERT INTO shop.b VALUES (3)',
    'ALTER TABLE shop.a DROP COLUMN amid', q{UPDATE shop.a SET name = 'last' WHERE id = 3};
$d->commit;
carried($pair, 'statements amid the rows of one transaction');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
carried($pair, 'and again from there');

# What cannot go on.
$source->sql('ALTER TABLE shop.a ADD COLUMN r float8 DEFAULT random()', 'UPDATE shop.a SET id = id WHERE id = 5');
$pair->start('caught-up');
is($pair->wait(60), 78, 'a default computed for each row stops the channel');
like($pair->output, qr/column "r" was added to source table shop\.a with a value computed for each row/, 'and says so');

clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text, secret text)', q{INSERT INTO shop.a VALUES (1, 'x', 's')});
$pair = pair(objects => '{ database = "shop"; table = "a"; to_database = "store"; to_table = "client"; columns = (("v", "name")); drop_columns = ("secret"); }');
carried($pair, 'under other names');
$source->sql('ALTER TABLE shop.a ADD COLUMN n int DEFAULT 1', q{INSERT INTO shop.a VALUES (2, 'y', 't', 5)}, q{UPDATE shop.a SET secret = 'u', v = 'z' WHERE id = 1});
carried($pair, 'changes and columns too');
is_deeply($target->rows('SELECT * FROM store.client ORDER BY id'), [[1, 'z', 1], [2, 'y', 5]], 'mapped and left out');
$source->sql(q{SELECT pg_drop_replication_slot('syncline_test')});
$pair->start('caught-up');
is($pair->wait(60), 78, 'a slot that is gone stops the channel');
like($pair->output, qr/the replication slot syncline_test is not there, and with it the changes/, 'and says so');

clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.k (a int)');
$pair = pair();
$pair->start('caught-up');
is($pair->wait(60), 78, 'a table that could not be changed any more is not published');
like($pair->output, qr/source table "shop"\."k" has no replica identity/, 'and named');
is($source->one('SELECT count(*) FROM pg_publication'), 0, 'nothing was published');

# What a table inherits to others has its own rows, and theirs are theirs.
clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.base (id int PRIMARY KEY, v text)', 'CREATE TABLE shop.child (extra int, PRIMARY KEY (id)) INHERITS (shop.base)',
    'CREATE TABLE shop.loose (v text)', 'CREATE TABLE shop.more (w text) INHERITS (shop.loose)', map { "ALTER TABLE shop.$_ REPLICA IDENTITY FULL" } qw(loose more));
$source->sql(q{INSERT INTO shop.base SELECT i, 'base' FROM generate_series(1, 80, 2) i}, q{INSERT INTO shop.child SELECT i, 'child', i FROM generate_series(2, 80, 2) i},
    q{INSERT INTO shop.loose VALUES ('a'), ('a')}, q{INSERT INTO shop.more VALUES ('a', 'b')});
$pair = pair(more => "chunk_rows = 16;\n");
carried($pair, 'tables that inherit');
$source->sql(q{UPDATE shop.base SET v = v || '!' WHERE id < 6}, q{INSERT INTO shop.more VALUES ('c', 'd')}, q{DELETE FROM shop.loose WHERE v = 'a' AND tableoid = 'shop.more'::regclass});
carried($pair, 'and change');
is_deeply($target->rows("SELECT * FROM ONLY shop.$_ ORDER BY 1, 2"), $source->rows("SELECT * FROM ONLY shop.$_ ORDER BY 1, 2"), "own rows of $_") for qw(base child more);
is($target->one('SELECT count(*) FROM ONLY shop.loose'), 2, 'own rows of loose');

# Rows of which the log has nothing, and keys that the server computes.
clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.nothing ()', q{CREATE TABLE shop.computed (v text GENERATED ALWAYS AS (repeat('x', 3)) STORED)},
    'CREATE TABLE shop.key (a int, b int GENERATED ALWAYS AS (a % 10) STORED, v int, PRIMARY KEY (b, a))', (map { "ALTER TABLE shop.$_ REPLICA IDENTITY FULL" } qw(nothing computed key)),
    ('INSERT INTO shop.nothing DEFAULT VALUES', 'INSERT INTO shop.computed DEFAULT VALUES') x 12, 'INSERT INTO shop.key (a, v) SELECT i, 0 FROM generate_series(1, 40) i');
$pair = pair();
carried($pair, 'tables without columns, and with computed ones');
$source->sql((map { "DELETE FROM shop.$_ WHERE ctid IN (SELECT ctid FROM shop.$_ LIMIT 3)" } qw(nothing computed)), 'INSERT INTO shop.nothing DEFAULT VALUES',
    'UPDATE shop.key SET v = 1 WHERE a < 20', 'UPDATE shop.key SET a = a + 100 WHERE a < 10', 'DELETE FROM shop.key WHERE a > 30 AND a < 40');
carried($pair, 'and their changes');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');

# Statements that meet a schema of which the target has only a part.
clean();
$source->sql('CREATE SCHEMA shop', map { ("CREATE TABLE shop.$_ (id int PRIMARY KEY)", "INSERT INTO shop.$_ VALUES (1)") } qw(a b));
$target->sql(q{CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN IF to_regclass('shop.a') IS NOT NULL AND to_regclass('shop.b') IS NOT NULL THEN RAISE 'not both'; END IF; END $$},
    'CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION public.refuse()');
$pair = pair();
$pair->start('caught-up');
isnt($pair->wait(60), 0, 'a table cannot be made');
is($target->one(q{SELECT num_nonnulls(to_regclass('shop.a'), to_regclass('shop.b'))}), 1, 'the one before it was');
$source->sql('TRUNCATE shop.a, shop.b', map { "INSERT INTO shop.$_ VALUES (2)" } qw(a b));
$target->sql('DROP EVENT TRIGGER refuse');
carried($pair, 'TRUNCATE of both tables');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');

# Whatever an account is set to, and its database: values, statements and waits are as ever.
clean();
my %set = (DateStyle => 'German', IntervalStyle => 'sql_standard', TimeZone => 'Asia/Kathmandu', bytea_output => 'escape', extra_float_digits => '-5', search_path => 'shop',
    array_nulls => 'off', standard_conforming_strings => 'off', quote_all_identifiers => 'on', default_transaction_isolation => 'repeatable read',
    statement_timeout => '1s', lock_timeout => '1ms', idle_in_transaction_session_timeout => '20ms', idle_session_timeout => '300ms');
sub settle { my ($how) = @_; my %role = ($source => 'plain', $target => 'syncline'); for my $db ($source, $target) { $db->sql(map { "ALTER ROLE $role{$db} $how $_" . ($how eq 'SET' ? " = '$set{$_}'" : '') } sort keys %set) } }
settle('SET');
$source->sql('CREATE SCHEMA shop', q{CREATE TABLE shop.a (id int PRIMARY KEY, d date, i interval, t timestamptz, b bytea, f float8, a text[], s text DEFAULT E'\\\\', "order" int)});
my $row = q{'2020-02-03', '1 mon -2 days 03:04', '2020-02-03 04:05+06', E'\\\\001a', 1.0 / 3, ARRAY['a', NULL, 'NULL'], E'\\\\', 1};
$source->sql("INSERT INTO shop.a SELECT i, $row FROM generate_series(1, 200) i");
$pair = pair(more => "chunk_rows = 16;\nlanes = 4;\n");
carried($pair, 'with accounts that are set to other styles');
$pair->start('caught-up');
my $writer = $source->dbh;
for my $i (1 .. 60) { $writer->do("INSERT INTO shop.a SELECT $i * 1000, $row"); $writer->do("UPDATE shop.a SET d = d + 1 WHERE id IN ($i, $i + 1)") }
is($pair->wait(60), 0, 'and changes') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
unlike($pair->output, qr/^conflict/m, 'no conflict');
settle('RESET');

# Tables of the target's own making: empty they are filled, with rows they are not (R47).
clean();
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', q{INSERT INTO shop.a VALUES (1, 'source')});
$target->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', q{INSERT INTO shop.a VALUES (7, 'target')});
$pair = pair(more => "initial = [\"data\"];\n");
$pair->start('caught-up');
is($pair->wait(60), 78, 'a target table that has rows stops the channel');
like($pair->output, qr/shop\.a .*has rows/, 'and says so');
is($target->one('SELECT count(*) FROM shop.a'), 1, 'nothing is written');
$target->sql('DELETE FROM shop.a');
carried($pair, 'an empty one is filled');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');

done_testing;
