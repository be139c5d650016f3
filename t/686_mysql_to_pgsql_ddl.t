# MariaDB to PostgreSQL: statements of the one language as changes of the other's tables
# (R122): columns added with the values that older rows get, renamed, dropped, of other
# types; indexes, keys, tables made, renamed, emptied, dropped. Character sets. What the
# log does not tell stops the channel with its remedy, a value that PostgreSQL cannot hold
# too.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my ($source, $target) = (Syncline::MariaDB->new, Syncline::PostgreSQL->new);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');

sub carried {
    my ($what) = @_;
    $pair->start('caught-up');
    is($pair->wait(60), 0, $what) or diag $pair->output;
}

$source->sql(
    'CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20), w INT, KEY (w))',
    'INSERT INTO shop.a VALUES (1, "x", 1), (2, NULL, 2)',
    'CREATE TABLE shop.prefix (v VARCHAR(50) NOT NULL, w INT, PRIMARY KEY (w, v(4)))', 'INSERT INTO shop.prefix VALUES ("abcdef", 1), ("qbcxyz", 1), ("abcdef", 2)',
    'CREATE TABLE shop.text (id INT PRIMARY KEY, l VARCHAR(20) CHARACTER SET latin1, g TEXT CHARACTER SET gbk, u VARCHAR(9) CHARACTER SET utf16, '
        . 'e ENUM("grün", "rot") CHARACTER SET latin1, s SET("a", "b"))',
    'INSERT INTO shop.text VALUES (1, _utf8mb4 "café €", _utf8mb4 "你好", _utf8mb4 "😀", 1, 3)',
);
carried('loaded');
is($target->one(q{SELECT l || '|' || g || '|' || u || '|' || e || '|' || s FROM shop.text}), "caf\x{e9} \x{20ac}|\x{4f60}\x{597d}|\x{1f600}|gr\x{fc}n|a,b",
    'text of every character set is UTF-8');
my $renamed = 0;
for my $statement (
    'ALTER TABLE shop.a ADD COLUMN x INT NOT NULL DEFAULT 7', 'ALTER TABLE shop.a ADD COLUMN y VARCHAR(10) NOT NULL FIRST',
    q{ALTER TABLE shop.a ADD COLUMN z DECIMAL(5,2) DEFAULT -1.50 COMMENT 'DEFAULT 3', ADD COLUMN e ENUM('p','q') NOT NULL DEFAULT 'q'},
    'ALTER TABLE shop.a ADD COLUMN n TEXT', 'ALTER TABLE shop.a CHANGE v name VARCHAR(30) NOT NULL DEFAULT ""', 'ALTER TABLE shop.a RENAME COLUMN w TO k',
    'ALTER TABLE shop.a MODIFY k BIGINT UNSIGNED', 'ALTER TABLE shop.a DROP COLUMN x', 'CREATE UNIQUE INDEX u ON shop.a (k, name)', 'DROP INDEX u ON shop.a',
    'ALTER TABLE shop.a DROP PRIMARY KEY, ADD PRIMARY KEY (id, k)', 'CREATE TABLE shop.b (id INT AUTO_INCREMENT PRIMARY KEY, t TIME(3), a INT)',
    'CREATE TABLE shop.c LIKE shop.b', 'RENAME TABLE shop.c TO shop.d', 'DROP TABLE shop.d', 'TRUNCATE TABLE shop.b',
    'UPDATE shop.prefix SET v = CONCAT("z", v)', 'ALTER TABLE shop.prefix DROP PRIMARY KEY, ADD PRIMARY KEY (v, w)', 'ALTER TABLE shop.prefix DROP PRIMARY KEY, ADD PRIMARY KEY (v(3), w)',
    'UPDATE shop.prefix SET v = CONCAT(w, v), w = w + 1', 'CREATE VIEW shop.v AS SELECT 1'
) {
    $source->sql('UPDATE shop.a SET name = "" WHERE name IS NULL') if $statement =~ /MODIFY/;
    $source->sql('UPDATE shop.a SET v = "" WHERE v IS NULL') if $statement =~ /CHANGE v/;
    $source->sql($statement, 'INSERT IGNORE INTO shop.a (id) SELECT MAX(id) + 1 FROM shop.a');
    $renamed ||= $statement =~ /RENAME COLUMN/;
    $source->sql('UPDATE shop.a SET k = id WHERE k IS NULL') if $renamed;
    $source->sql('INSERT INTO shop.b (t) VALUES ("-800:00:01.5")') if $statement =~ /TABLE shop\.b/;
    carried($statement);
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}
like($pair->output, qr/a DDL statement was skipped: `CREATE .* VIEW `shop`.`v` .* changes no table that is carried/, 'a view is skipped, with a word');

$source->sql('INSERT INTO shop.text (id, l) VALUES (2, "a\0b")');
$pair->start('caught-up');
is($pair->wait(60), 66, 'a zero byte in text stops the channel');
like($pair->output, qr/shop\.text.*column "l": text with a zero byte, which PostgreSQL cannot hold/, 'and says where');

$pair = Syncline::Pair->new(id => 'second', source => $source, target => $target, objects => '{ database = "shop"; table = "a"; to_table = "a2"; }');
carried('another channel');
$source->sql('ALTER TABLE shop.a ADD COLUMN r DOUBLE DEFAULT (RAND())');
$pair->start('caught-up');
is($pair->wait(60), 78, 'a default computed for each row stops the channel');
like($pair->output, qr/column "r" was added to source table shop\.a with a value computed for each row/, 'and says so');

done_testing;
