# PostgreSQL to PostgreSQL: indexes and constraints that are renamed, dropped, made of others, or made
# anew by the server for a column's new type, while foreign keys stand on them; of generated
# columns, too. Both ends have the same ones, and nothing is said to be left out. (R88, R120)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
$source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.g (id int PRIMARY KEY, a varchar(20), b text, up text GENERATED ALWAYS AS (upper(b)) STORED UNIQUE)',
    q{INSERT INTO shop.g SELECT i, i, 'b' || i FROM generate_series(1, 20) i}, 'CREATE TABLE shop.c (id int PRIMARY KEY, g int REFERENCES shop.g)');
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');

sub defined_at {
    my ($db) = @_;
    return join "\n", map { $_->[0] } @{$db->rows(q{SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' UNION ALL
        SELECT conrelid::regclass || ' ' || conname || ' ' || replace(pg_get_constraintdef(oid), ' NOT VALID', '') FROM pg_constraint WHERE connamespace = 'shop'::regnamespace ORDER BY 1})};
}

for my $statements (
    ['SELECT 1'],
    # renamed and dropped
    ['CREATE INDEX i1 ON shop.g (b) INCLUDE (id)', 'ALTER INDEX shop.i1 RENAME TO i2', 'CREATE INDEX i1 ON shop.g (b)'],
    ['CREATE INDEX u1 ON shop.g (up) INCLUDE (id)', 'ALTER INDEX shop.g_up_key RENAME TO up'], ['ALTER INDEX shop.u1 RENAME TO u2', 'CREATE UNIQUE INDEX u3 ON shop.g (up, b)'],
    ['DROP INDEX shop.u3', 'DROP INDEX shop.i2'],
    # for another type
    ['ALTER TABLE shop.g ALTER a TYPE varchar(30)'], ['ALTER TABLE shop.g ALTER id TYPE bigint'],
    ['ALTER TABLE shop.g ADD UNIQUE (a, b)', 'CREATE TABLE shop.d (id int PRIMARY KEY, a varchar(20), b text, FOREIGN KEY (a, b) REFERENCES shop.g (a, b))',
        q{CREATE INDEX part ON shop.g (a) WHERE b > 'a'}, q{ALTER TABLE shop.g ADD CHECK (a <> 'x')}, 'ALTER TABLE shop.g ALTER a TYPE text'],
    # (it loads again, and the foreign keys come back)
    ['ALTER TABLE shop.g ALTER a TYPE varchar(50) USING a'],
    ['ALTER TABLE shop.g RENAME a TO aa', 'ALTER TABLE shop.g ALTER aa TYPE varchar(60)', 'DROP INDEX shop.part'],
    # of another
    ['CREATE UNIQUE INDEX odd ON shop.g (aa)', 'ALTER TABLE shop.g ADD CONSTRAINT k UNIQUE USING INDEX odd'],
    ['CREATE UNIQUE INDEX even ON shop.g (b)', 'ALTER TABLE shop.g ADD CONSTRAINT even UNIQUE USING INDEX even'],
    # partitions that are referred to
    ['CREATE TABLE shop.p (id int PRIMARY KEY) PARTITION BY RANGE (id)', 'CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES FROM (0) TO (9)', 'CREATE TABLE shop.p2 PARTITION OF shop.p FOR VALUES FROM (9) TO (99)',
        'INSERT INTO shop.p VALUES (1), (10)', 'CREATE TABLE shop.of (id int PRIMARY KEY, p int REFERENCES shop.p)', 'INSERT INTO shop.of VALUES (1, 1)'],
    ['ALTER TABLE shop.p DETACH PARTITION shop.p2', 'INSERT INTO shop.of VALUES (2, 1)'],
) {
    $source->sql(@$statements, q{UPDATE shop.g SET b = b || '.' WHERE id < 5});
    $pair->start('caught-up');
    is($pair->wait(60), 0, join '; ', @$statements) or diag $pair->output;
    is(defined_at($target), defined_at($source), 'the same definitions');
    is(join("\n", compare($source, $target, 'shop')), '', 'and rows');
}
unlike($pair->output, qr/left out/, 'nothing is left out') or diag grep { /left out/ } split /^/, $pair->output;

done_testing;
