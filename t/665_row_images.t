# Rows of which the log has a part (binlog_row_image): what changed is what is written,
# also while tables load and keys move. Where a part is not enough it is said.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

my $target = node('mysql-8.0');

sub clean { $_->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline') for @_ }

for my $case (['mysql-8.0', 'MINIMAL'], ['mysql-8.0', 'NOBLOB'], ['mysql-5.6', 'MINIMAL'], ['mariadb-10.11', 'MINIMAL'], ['mariadb-10.11', 'NOBLOB'], ['mariadb-11.8', 'FULL_NODUP']) {
    my ($from, $image) = @$case;
    my $source = node($from, options => ["--binlog-row-image=$image"]);
    is(join("\n", smoke($source, $target)), '', "$from: $image");

    # Defaults, blobs, keyless rows, unique values, one statement for all of it.
    clean($source, $target);
    $source->sql(
        'CREATE DATABASE shop', 'USE shop',
        "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, u VARCHAR(20) UNIQUE, n INT NOT NULL DEFAULT 7, b LONGBLOB, t TEXT, at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)",
        'CREATE TABLE k (x INT, y VARCHAR(20), z BLOB)', 'CREATE TABLE w (p INT, q INT, v BLOB, PRIMARY KEY (p, q))',
    );
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('loaded');
    is($pair->wait(60), 0, "$from: $image: loaded") or diag $pair->output;
    $source->sql(
        "INSERT INTO a (u) VALUES ('one')", "INSERT INTO a (u, b, t) VALUES ('two', REPEAT('b', 70000), 'text'), ('three', NULL, NULL)", "UPDATE a SET n = n + 1",
        "UPDATE a SET u = CONCAT(u, '!') WHERE id > 1", "UPDATE a SET b = 'small' WHERE id = 3", "UPDATE a SET id = 30 WHERE id = 3", 'UPDATE a SET b = NULL WHERE id = 2',
        "INSERT INTO k VALUES (1, 'same', 'z'), (1, 'same', 'z'), (2, NULL, NULL)", "UPDATE k SET y = 'other' WHERE x = 1 LIMIT 1", 'DELETE FROM k WHERE x = 2',
        "INSERT INTO w VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')", 'UPDATE w SET q = q + 10 WHERE p = 1', 'DELETE FROM w WHERE q = 12', "INSERT INTO a (id) VALUES (50)", 'DELETE FROM a WHERE id = 1',
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$from: $image: changes") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$from: $image: equal");
    $source->stop;
}

# Keys move across chunks while the table loads: it loads again rather than lose a row.
{
    my $source = node('mysql-8.0', options => ['--binlog-row-image=MINIMAL']);
    clean($target);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(200), n INT NOT NULL)', 'SET cte_max_recursion_depth = 100000',
        "INSERT INTO shop.a WITH RECURSIVE s AS (SELECT 1 n UNION ALL SELECT n + 1 FROM s WHERE n < 40000) SELECT n * 2, REPEAT('v', 150), n FROM s");
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 500;\nlanes = 1;\n");
    $pair->start;
    for (1 .. 200) {
        last if eval { ($target->one('SELECT COUNT(*) FROM shop.a') // 0) > 1000 };
        select undef, undef, undef, 0.01;
    }
    for my $i (1 .. 20) { $source->sql('UPDATE shop.a SET id = ' . (2 * $i + 1) . ' WHERE id = ' . (80002 - 2 * $i)) }
    $pair->stop;
    $pair->start('caught-up');
    is($pair->wait(90), 0, 'keys moved into what was loaded') or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'and no row is lost');
    unlike($pair->output, qr/^conflict/m, 'nor a conflict');

    # A target that finds its rows otherwise than the source: the image does not have that.
    clean($source, $target);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, code INT NOT NULL)', 'INSERT INTO shop.a VALUES (1, 10)');
    $target->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT, code INT NOT NULL PRIMARY KEY)');
    $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "existing = \"ignore\";\n");
    $pair->start('caught-up');
    is($pair->wait(60), 0, 'loaded into another key') or diag $pair->output;
    $source->sql('UPDATE shop.a SET code = 11');
    $pair->start('caught-up');
    is($pair->wait(60), 65, 'a change whose row cannot be found: exit 65');
    like($pair->output, qr/the log has no value of column "code" of shop\.a, which finds the row at the target; set binlog_row_image=FULL at the source/, 'said, with what to do');
}
done_testing;
