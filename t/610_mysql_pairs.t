# MariaDB 10.11 and MySQL 8.0, each to each: schema, rows, every change, DDL
# (R61-R68, R83-R88), with names mapped on the way in one of them (R66-R68).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep);

my %servers = (mariadb => [map { Syncline::MariaDB->new } 1 .. 2], mysql => [map { Syncline::MySQL->new } 1 .. 2]);

sub clean {
    my ($db) = @_;
    $db->sql("DROP DATABASE IF EXISTS $_") for qw(shop store syncline audit);
}

for my $case (['mariadb', 'mariadb'], ['mysql', 'mysql'], ['mariadb', 'mysql'], ['mysql', 'mariadb']) {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    clean($_) for $source, $target;
    schema($source);
    fill($source, 1500);
    my $load = Syncline::Load->start($source, writers => 3, seed => 5, pause => 0.002);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 200;\n");
    $pair->start('loaded');
    is($pair->wait(90), 0, "$from to $to: loaded while it is written to") or diag $pair->output;
    $pair->start;
    $source->sql(
        'ALTER TABLE shop.customer ADD COLUMN extra INT NOT NULL DEFAULT 7 AFTER name',
        'CREATE TABLE shop.later (id INT PRIMARY KEY, v VARCHAR(10))',
        'INSERT INTO shop.later VALUES (1, "a"), (2, "b")',
        'ALTER TABLE shop.later ADD COLUMN w INT FIRST',
        'INSERT INTO shop.later VALUES (9, 3, "c")',
        'ALTER TABLE shop.later DROP COLUMN v, ADD COLUMN x TEXT',
        'UPDATE shop.later SET x = "y"',
        'CREATE INDEX hits ON shop.word (hits)',
        'DROP INDEX hits ON shop.word',
        'RENAME TABLE shop.later TO shop.late',
        'INSERT INTO shop.late VALUES (1, 77, "d")',
        'CREATE VIEW shop.rich AS SELECT id FROM shop.account WHERE balance > 100',
        'CREATE TABLE shop.gone (id INT)',
        'DROP TABLE shop.gone',
        'CREATE TABLE shop.copy LIKE shop.word',
        'INSERT INTO shop.copy SELECT * FROM shop.word',
        'TRUNCATE TABLE shop.events',
        'INSERT INTO shop.events VALUES (NOW(6), 1, "x"), (NOW(6), 1, "x")',
    );
    sleep 1;
    my $transactions = $load->stop;
    cmp_ok($transactions, '>', 100, "$from to $to: $transactions transactions meanwhile");
    $pair->stop;
    $pair->start('caught-up');
    is($pair->wait(90), 0, "$from to $to: caught up") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$from to $to: both ends are equal") or diag $pair->output;
    is($target->one("SELECT COUNT(*) FROM information_schema.views WHERE table_schema = 'shop'"), 1, "$from to $to: the view came along");
}

{
    my ($source, $target) = ($servers{mariadb}[0], $servers{mysql}[1]);
    clean($_) for $source, $target;
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, name VARCHAR(20), note TEXT)',
        'CREATE TABLE shop.b (id INT PRIMARY KEY)', 'INSERT INTO shop.a VALUES (1, "x", "secret"), (2, "y", "secret")');
    my $pair = Syncline::Pair->new(
        source => $source, target => $target,
        objects => '{ database = "shop"; table = "a"; to_database = "store"; to_table = "client"; }',
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'one table under another name') or diag $pair->output;
    $source->sql('ALTER TABLE shop.a ADD COLUMN more INT', 'UPDATE shop.a SET more = 5 WHERE id = 1', 'INSERT INTO shop.b VALUES (1)');
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'its changes and DDL too') or diag $pair->output;
    is_deeply($target->rows('SELECT id, name, more FROM store.client ORDER BY id'), [[1, 'x', 5], [2, 'y', undef]], 'mapped');
    is($target->one("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ('shop', 'store')"), 1, 'and nothing else');
    clean($target);
    $pair = Syncline::Pair->new(
        source => $source, target => $target,
        objects => '{ database = "shop"; table = "a"; to_table = "c"; columns = (("name", "title")); drop_columns = ("note", "later"); }',
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'a column under another name, one left out') or diag $pair->output;
    $source->sql(
        'ALTER TABLE shop.a MODIFY name VARCHAR(30), ADD KEY (name)', 'ALTER TABLE shop.a ADD COLUMN later INT', 'ALTER TABLE shop.a MODIFY note LONGTEXT',
        'INSERT INTO shop.a (id, name, note, later) VALUES (3, "z", "secret", 1)', 'ALTER TABLE shop.a DROP COLUMN note, ADD COLUMN last INT AFTER name',
        'UPDATE shop.a SET last = id, name = CONCAT(name, name)',
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'DDL of them too') or diag $pair->output;
    is_deeply($target->rows('SELECT * FROM shop.c ORDER BY id'), [[1, 'xx', 1, 5], [2, 'yy', 2, undef], [3, 'zz', 3, undef]], 'mapped and left out, in rows and DDL');
}

done_testing;
