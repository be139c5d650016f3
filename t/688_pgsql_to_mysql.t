# PostgreSQL 15 to MariaDB 10.11: eight writers, loads and changes under kill -9 as in
# t/682; both ends are equal by a text of each value that says the same at both. Columns
# added, renamed and dropped, TRUNCATE. A value that MySQL cannot hold is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 10;
diag "SEED=$seed";
srand $seed;

my ($source, $target) = (Syncline::PostgreSQL->new, Syncline::MariaDB->new);
pg_schema($source);
pg_fill($source, 2000);
$source->sql('DROP TABLE shop.wide');
my $load = Syncline::Load->start($source, pg_load(plain => 1), writers => 8, seed => $seed, pause => 0.004);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 300;\n");
my $kills = $pair->with_kills($seconds);
my $transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, "caught up after $kills kills and $transactions transactions") or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'equal');
unlike($pair->output, qr/^conflict/m, 'no conflict');

for my $statement (
    'ALTER TABLE shop.customer ADD COLUMN x int NOT NULL DEFAULT 7', 'ALTER TABLE shop.customer RENAME COLUMN note TO remark',
    'ALTER TABLE shop.customer ADD COLUMN y numeric(6,2)',
    'ALTER TABLE shop.customer DROP COLUMN x', 'TRUNCATE shop.events', 'TRUNCATE shop.seat, shop.word'
) {
    $source->sql($statement);
    $source->sql(q{INSERT INTO shop.customer (name) VALUES ('new')}, q{INSERT INTO shop.events VALUES (now(), 1, 'x')});
    $pair->start('caught-up');
    is($pair->wait(60), 0, $statement) or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}

# Indexes and keys come and go with them: a column takes those along that have it.
$source->sql('CREATE TABLE shop.keys (a int, b int, c text, d varchar(9), PRIMARY KEY (a, b), UNIQUE (c, b))', q{INSERT INTO shop.keys SELECT i, i % 3, 'c' || i, 'd' FROM generate_series(1, 50) i});
sub keys_at_target {
    return join ' ', map { "$_->[0]" . ($_->[1] ? '' : '!') . "($_->[2])" } @{$target->rows(q{SELECT INDEX_NAME, NON_UNIQUE, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX)
        FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'keys' GROUP BY INDEX_NAME, NON_UNIQUE ORDER BY INDEX_NAME})};
}
for my $step (
    ['SELECT', 'keys_c_b_key!(c,b) PRIMARY!(a,b)'],
    ['CREATE INDEX plain ON shop.keys (d, a)', 'keys_c_b_key!(c,b) plain(d,a) PRIMARY!(a,b)'],
    ['ALTER TABLE shop.keys RENAME COLUMN d TO e', 'keys_c_b_key!(c,b) plain(e,a) PRIMARY!(a,b)'],
    ['ALTER INDEX shop.plain RENAME TO fancy', 'fancy(e,a) keys_c_b_key!(c,b) PRIMARY!(a,b)'],
    ['DROP INDEX shop.fancy', 'keys_c_b_key!(c,b) PRIMARY!(a,b)'],
    ['ALTER TABLE shop.keys DROP CONSTRAINT keys_c_b_key', 'PRIMARY!(a,b)'],
    ['ALTER TABLE shop.keys ADD CONSTRAINT once UNIQUE (b, c), ALTER COLUMN c TYPE varchar(30)', 'once!(b,c) PRIMARY!(a,b)'],
    ['ALTER TABLE shop.keys DROP CONSTRAINT keys_pkey, ADD PRIMARY KEY (a), ADD COLUMN f int', 'once!(b,c) PRIMARY!(a)'],
    ['CREATE UNIQUE INDEX partial ON shop.keys (f) WHERE f > 0', 'once!(b,c) PRIMARY!(a)'],
    ['ALTER TABLE shop.keys DROP COLUMN b', 'PRIMARY!(a)'],
) {
    my ($statement, $keys) = @$step;
    $source->sql($statement, q{UPDATE shop.keys SET c = c || '.'}) if $statement ne 'SELECT';
    $pair->start('caught-up');
    is($pair->wait(60), 0, $statement) or diag $pair->output;
    is(keys_at_target(), $keys, 'keys');
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}

$source->sql(q{UPDATE shop.measure SET v = 'NaN' WHERE id = 5});
$pair->start('caught-up');
is($pair->wait(60), 66, 'a value that MySQL cannot hold stops the channel');
like($pair->output, qr/cannot apply update of shop\.measure/, 'and says where');

done_testing;
