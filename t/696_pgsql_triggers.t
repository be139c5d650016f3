# PostgreSQL to PostgreSQL, triggers = "copy" (R92; spec S0, S6.11): triggers of selected tables and views
# are at the target with the functions that they call, and do nothing for rows of ours; they fire for
# everybody else's. Initial schema, stream, TRUNCATE, a table that loads again. "none": there are none,
# and those that the target has of its own stay when its table loads again.
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
$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;

sub pair_of {
    my ($more, %o) = @_;
    $_->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop lib syncline)) for $source, $target;
    $source->sql(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test', 'CREATE SCHEMA shop', 'CREATE SCHEMA lib', 'CREATE TABLE shop.a (id int PRIMARY KEY, v int)', 'CREATE TABLE shop.audit (n serial PRIMARY KEY, what text)',
        'CREATE TABLE shop.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)', 'CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES FROM (0) TO (1000)', 'CREATE VIEW shop.w AS SELECT * FROM shop.a',
        q{CREATE FUNCTION lib.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.audit (what) VALUES (TG_NAME || ' ' || TG_OP); RETURN NEW; END $$}, 'CREATE TRIGGER one AFTER INSERT OR UPDATE OF v ON shop.a FOR EACH ROW WHEN (NEW.v > 1) EXECUTE FUNCTION lib.note()',
        'CREATE TRIGGER off AFTER DELETE ON shop.a FOR EACH ROW EXECUTE FUNCTION lib.note()', 'ALTER TABLE shop.a DISABLE TRIGGER off', 'CREATE CONSTRAINT TRIGGER late AFTER DELETE ON shop.a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lib.note()', q{COMMENT ON TRIGGER one ON shop.a IS 'the first'},
        'CREATE TRIGGER emptied AFTER TRUNCATE ON shop.a EXECUTE FUNCTION lib.note()', 'CREATE TRIGGER parts AFTER INSERT ON shop.p FOR EACH ROW EXECUTE FUNCTION lib.note()', 'CREATE TRIGGER inst INSTEAD OF INSERT ON shop.w FOR EACH ROW EXECUTE FUNCTION lib.note()', 'INSERT INTO shop.a SELECT i, i FROM generate_series(1, 10) i', 'INSERT INTO shop.p SELECT i, i FROM generate_series(1, 10) i',
    );
    return Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => $more, %o);
}

my $pair = pair_of(qq(triggers = "copy";\n));
my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`;
like($out, qr/^warn  Triggers\n      cause: triggers that are copied: shop\.a emptied, shop\.a late, shop\.a off, shop\.a one, shop\.p parts and 1 more\n      remedy: have the tables that they write among the objects/m, 'the precheck says what is copied, and what that means') or diag $out;
unlike($out, qr/^      cause: triggers: /m, 'and not that they are left out');

sub carries {
    my ($what, @statements) = @_;
    $source->sql(@statements);
    $pair->start('caught-up');
    is($pair->wait(60), 0, $what) or diag $pair->output;
    same(dump_of($target, 'shop', 'lib'), dump_of($source, 'shop', 'lib'), 'the same triggers, and all else');
    is(join("\n", compare($source, $target, 'shop')), '', 'rows come once');
}
carries('loaded');
carries('streamed', 'INSERT INTO shop.a VALUES (11, 5)', 'UPDATE shop.a SET v = v + 1', 'DELETE FROM shop.a WHERE id < 4', 'TRUNCATE shop.a', 'INSERT INTO shop.a SELECT i, i FROM generate_series(1, 10) i', 'INSERT INTO shop.p VALUES (20, 20)', 'INSERT INTO shop.w VALUES (1, 1)');
carries('triggers come, change and go', 'CREATE TRIGGER two BEFORE UPDATE ON shop.a FOR EACH ROW EXECUTE FUNCTION lib.note()', 'ALTER TRIGGER one ON shop.a RENAME TO first', 'ALTER TABLE shop.a ENABLE TRIGGER off', 'ALTER TABLE shop.a DISABLE TRIGGER two', 'DROP TRIGGER late ON shop.a', q{COMMENT ON TRIGGER first ON shop.a IS 'another word'},
    'CREATE OR REPLACE TRIGGER emptied BEFORE TRUNCATE ON shop.a EXECUTE FUNCTION lib.note()', 'DROP TRIGGER inst ON shop.w', 'CREATE TRIGGER again INSTEAD OF DELETE ON shop.w FOR EACH ROW EXECUTE FUNCTION lib.note()', 'ALTER TABLE shop.a RENAME TO b', 'UPDATE shop.b SET v = v + 1', 'CREATE TABLE shop.c (id int PRIMARY KEY)', 'CREATE TRIGGER c AFTER INSERT ON shop.c FOR EACH ROW EXECUTE FUNCTION lib.note()', 'INSERT INTO shop.c VALUES (1)');
$target->sql(q{UPDATE syncline.table_state SET state = 'reload' WHERE name IN ('b', 'p')});
carries('two tables loaded again');
my $before = $target->one('SELECT count(*) FROM shop.audit');
$target->sql(q{SELECT setval('shop.audit_n_seq', 1000)}, 'INSERT INTO shop.b VALUES (100, 100)', 'INSERT INTO shop.p VALUES (100, 100)');
is($target->one('SELECT string_agg(what, \' \' ORDER BY n) FROM shop.audit WHERE n > 1000'), 'first INSERT parts INSERT', 'they fire for others');

# Without the right to keep them from firing.
$target->sql(q{CREATE ROLE poor LOGIN PASSWORD 'secret'}, 'GRANT CREATE, TEMPORARY ON DATABASE test TO poor', 'GRANT ALL ON SCHEMA shop, lib TO poor');
my $poor = Syncline::Pair->new(id => 'poor', source => $source, target => $target->endpoint =~ s/"syncline"/"poor"/r, objects => '{ database = "shop"; }', more => qq(triggers = "copy";\nstate_schema = "ours";\n));
$out = `$Syncline::Pair::build/syncline check ${\ $poor->conf} 2>&1`;
like($out, qr/^fail .*\n.*session_replication_role: the copies of triggers would do once more what rows of ours bring/m, 'the account must be allowed to keep them from firing') or diag $out;

# None, as ever; the target's own.
$pair = pair_of('');
$pair->start('caught-up');
is($pair->wait(60), 0, 'none') or diag $pair->output;
$source->sql('CREATE TRIGGER two BEFORE UPDATE ON shop.a FOR EACH ROW EXECUTE FUNCTION lib.note()', 'UPDATE shop.a SET v = v + 1');
$pair->start('caught-up');
is($pair->wait(60), 0, 'none in the stream') or diag $pair->output;
my $triggers = q{SELECT coalesce(string_agg(tgname, ' ' ORDER BY tgname), '') FROM pg_trigger WHERE NOT tgisinternal};
is($target->one($triggers), '', 'there are none');
$target->sql('CREATE TRIGGER own AFTER INSERT ON shop.a FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', q{UPDATE syncline.table_state SET state = 'reload' WHERE name = 'a'});
$pair->start('caught-up');
is($pair->wait(60), 0, 'loaded again') or diag $pair->output;
is($target->one($triggers), 'own', 'the target\'s own is there again');
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
done_testing;
