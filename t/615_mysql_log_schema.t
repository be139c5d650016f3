# The schema follows the log by position: the reader meets each table as it was
# when its rows were written, however much later it reads them, and though the
# log does not name columns (binlog_row_metadata=MINIMAL) (R83-R88; house 4).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep);

my @history = (
    'INSERT INTO shop.a VALUES (2, "two")',
    'ALTER TABLE shop.a ADD COLUMN n INT NOT NULL DEFAULT 5 FIRST',
    'INSERT INTO shop.a VALUES (1, 3, "three")',
    'ALTER TABLE shop.a DROP COLUMN v, ADD COLUMN w DECIMAL(9,2)',
    'INSERT INTO shop.a VALUES (1, 4, 4.25)',
    'ALTER TABLE shop.a CHANGE w x VARCHAR(30) CHARACTER SET latin1, ADD UNIQUE KEY (x)',
    'UPDATE shop.a SET x = CONCAT("x", id)',
    'ALTER TABLE shop.a MODIFY n BIGINT UNSIGNED NOT NULL AFTER x',
    'INSERT INTO shop.a VALUES (5, "five", 18446744073709551615)',
    'CREATE TABLE shop.b (id INT PRIMARY KEY, e ENUM("p", "q"))',
    'INSERT INTO shop.b VALUES (1, "q")',
    'ALTER TABLE shop.b MODIFY e ENUM("q", "p", "r")',
    'INSERT INTO shop.b VALUES (2, "r"), (3, "q")',
    'RENAME TABLE shop.a TO shop.old, shop.b TO shop.a',
    'INSERT INTO shop.a VALUES (4, "p")',
    'INSERT INTO shop.old VALUES (6, "six", 6)',
    'ALTER TABLE shop.old DROP PRIMARY KEY, ADD PRIMARY KEY (id, n), RENAME TO shop.older',
    'DELETE FROM shop.older WHERE id = 2',
    'CREATE TABLE shop.gone (id INT PRIMARY KEY, t TEXT)',
    'INSERT INTO shop.gone VALUES (1, "soon")',
    'DROP TABLE shop.gone',
    'CREATE TABLE shop.gone (other DATETIME(3) PRIMARY KEY)',
    'INSERT INTO shop.gone VALUES ("2024-02-29 12:00:00.125")',
    'CREATE TABLE shop.picked AS SELECT id, e FROM shop.a WHERE id < 4',
    'INSERT INTO shop.picked VALUES (9, "p")',
);

for my $class ('Syncline::MariaDB', 'Syncline::MySQL') {
    my ($name) = $class =~ /(\w+)$/;
    my $source = $class->new(options => ['--binlog-row-metadata=MINIMAL']);
    my $target = $class->new;
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20))', 'INSERT INTO shop.a VALUES (1, "one")');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: loaded") or diag $pair->output;
    $source->sql(@history);
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: what was altered since its rows were written is read right") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal");
}

done_testing;
