# Indexes of a large table that only make searching faster are made when its rows are there: not
# unique ones, nor those that foreign keys, counters and rows without a key look through. Killed
# between their end and their return, in the midst of being made, or met by a statement that is
# about them, they are all there in the end, on MariaDB and MySQL.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Compare;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = 60_000;

sub indexes {
    my ($db) = @_;
    return join "\n", map { join ' ', map { $_ // '-' } @$_ } @{$db->rows(q{SELECT table_name, index_name, seq_in_index, column_name, sub_part, non_unique, index_type, index_comment
        FROM information_schema.statistics WHERE table_schema = 'shop' ORDER BY 1, 2, 3})};
}

sub has { my ($db, $table, $index) = @_; return (eval { indexes($db) } // '') =~ /^$table $index /m }
sub noted { my ($db) = @_; return eval { $db->one('SELECT COUNT(*) FROM syncline.later_index') } // 0 }

sub soon {
    my ($condition) = @_;
    my $end = time + 60;
    while (time < $end) { return 1 if $condition->(); sleep 0.002 }
    return 0;
}

for my $name ('mariadb -> mariadb', 'mysql -> mysql') {
    my ($source, $target) = Syncline::Channel::servers($name);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.n (id INT PRIMARY KEY)', 'INSERT INTO shop.n VALUES (0)',
        (map { 'INSERT INTO shop.n SELECT id + (SELECT COUNT(*) FROM shop.n x) FROM shop.n y' } 1 .. 16), "DELETE FROM shop.n WHERE id >= $rows",
        'CREATE TABLE shop.a (id INT PRIMARY KEY, k INT, s VARCHAR(40) NOT NULL, u INT, c INT NOT NULL AUTO_INCREMENT, UNIQUE KEY u (u), KEY k (k), '
            . q{KEY ks (k, s(10)) COMMENT 'of `k`, it''s', KEY c (c), FULLTEXT KEY f (s))},
        'CREATE TABLE shop.parent (id INT PRIMARY KEY, code INT, n INT, KEY code (code), KEY n (n))',
        'CREATE TABLE shop.child (id INT PRIMARY KEY, p INT, q INT, n INT, KEY q (q), KEY n (n), FOREIGN KEY (p) REFERENCES shop.parent (id), '
            . 'FOREIGN KEY (q) REFERENCES shop.parent (code))',
        'CREATE TABLE shop.nokey (a INT, KEY a (a))', 'CREATE TABLE shop.small (id INT PRIMARY KEY, k INT, KEY k (k))', 'INSERT INTO shop.small VALUES (1, 1)',
        q{INSERT INTO shop.a SELECT id, RAND(1) * 1000000, MD5(id), id, id + 1 FROM shop.n}, 'INSERT INTO shop.parent SELECT id, id, id FROM shop.n',
        'INSERT INTO shop.child SELECT id, id, id, id FROM shop.n', 'INSERT INTO shop.nokey SELECT id FROM shop.n',
        'ANALYZE TABLE shop.a, shop.parent, shop.child, shop.nokey');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 2000;\nlanes = 2;\n");

    my $all = indexes($source);
    $pair->start;
    ok(soon(sub { noted($target) }), "$name: some wait");
    $pair->kill_all;
    $pair->start;
    ok(soon(sub { (eval { $target->one(q{SELECT COUNT(*) FROM syncline.chunk WHERE name = 'a'}) } // 0) > 2 }), "$name: killed there, it loads") or diag $pair->output;
    # Of the one table that was killed between note and deed they may have been kept.
    cmp_ok(scalar(grep { has($target, @$_) } [a => 'k'], [parent => 'n'], [child => 'n']), '<=', 1, "$name: indexes that only help to search wait");
    is_deeply([grep { !has($target, @$_) } [a => 'PRIMARY'], [a => 'u'], [a => 'c'], [a => 'f'], [parent => 'code'], [child => 'p'], [child => 'q'],
        [nokey => 'a'], [small => 'k']], [], "$name: all others are there");

    # A statement about one that waits, and one that makes another.
    $source->sql('DROP INDEX k ON shop.a', 'ALTER TABLE shop.a ADD KEY k2 (k, u)', 'UPDATE shop.a SET k = k + 1 WHERE id % 100 = 0');
    my $cut = soon(sub { grep { ($_->[7] // '') =~ /^ALTER TABLE .*ADD KEY/ } @{$target->rows('SHOW PROCESSLIST')} });
    ok($cut, "$name: they are made");
    $pair->kill_all;
    $pair->start('caught-up');
    is($pair->wait(120), 0, "$name: killed while they are made, it ends") or diag $pair->output;
    is(indexes($target), indexes($source), "$name: then all are there");
    isnt(indexes($source), $all, "$name: the statements have run");
    is(noted($target), 0, "$name: none waits");
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal");
    $_->stop for $source, $target;
}
done_testing;
