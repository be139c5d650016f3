# Tables of every shape: partitions, foreign keys (to themselves, in rings,
# cascades that the log does not carry), no key, keys that do not identify, keys
# of beginnings, a thousand columns, engines without transactions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my @tables = (
    # name, columns | options, columns and values of an INSERT from numbers (n)
    # partitions
    ['p_range', 'id INT, d INT NOT NULL, v INT, PRIMARY KEY (id, d) | PARTITION BY RANGE (d) (PARTITION a VALUES LESS THAN (3), PARTITION b VALUES LESS THAN (6), PARTITION c VALUES LESS THAN MAXVALUE)', 'id, d, v', 'n, n % 9, n'],
    ['p_list', "id INT, d INT NOT NULL, v INT, PRIMARY KEY (id, d) | PARTITION BY LIST (d) (PARTITION a VALUES IN (0, 1), PARTITION b VALUES IN (2, 3, 4))", 'id, d, v', 'n, n % 5, n'],
    ['p_hash', 'id INT PRIMARY KEY, v INT | PARTITION BY HASH (id) PARTITIONS 7', 'id, v', 'n, n'],
    ['p_key', 'k VARCHAR(20), v INT, PRIMARY KEY (k) | PARTITION BY KEY (k) PARTITIONS 5', 'k, v', 'CONCAT("k", n), n'],
    ['p_columns', "a INT, b VARCHAR(9), v INT, PRIMARY KEY (a, b) | PARTITION BY RANGE COLUMNS (a, b) (PARTITION x VALUES LESS THAN (30, 'm'), PARTITION y VALUES LESS THAN (MAXVALUE, MAXVALUE))", 'a, b, v', 'n, "q", n'],
    ['p_sub', 'id INT, d INT NOT NULL, v INT, PRIMARY KEY (id, d) | PARTITION BY RANGE (d) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION a VALUES LESS THAN (4), PARTITION b VALUES LESS THAN MAXVALUE)', 'id, d, v', 'n, n % 9, n'],
    ['p_bare', 'd INT, v INT | PARTITION BY HASH (d) PARTITIONS 3', 'd, v', 'n % 8, n % 8'],
    # no key, or none that identifies
    ['bare', 'a INT, v INT, t TEXT', 'a, v, t', 'n % 6, n % 6, CONCAT("x", n % 2)'], ['one', 'v INT', 'v', 'n % 3'],
    ['half', 'a INT NULL, v INT, UNIQUE KEY (a)', 'a, v', 'IF(n % 5, n, NULL), n'],
    ['halves', 'a INT NULL, b INT NOT NULL, v INT, UNIQUE KEY (a, b)', 'a, b, v', 'IF(n % 3, n, NULL), n % 7, n'],
    ['two', 'a INT NULL UNIQUE, b INT NOT NULL, v INT, UNIQUE KEY z (b)', 'a, b, v', 'NULLIF(n, 5), n, n'],
    ['indexed', 'a INT, v INT, KEY (a), KEY (v)', 'a, v', 'n, n'],
    # keys of beginnings, long, wide, descending
    ['prefix', 't VARCHAR(200) NOT NULL, v INT, PRIMARY KEY (t(7))', 't, v', 'CONCAT(LPAD(n, 7, "0"), "same rest"), n'],
    ['blob_prefix', 'b BLOB NOT NULL, v INT, PRIMARY KEY (b(9)), UNIQUE KEY two (v, b(3))', 'b, v', 'CONCAT(LPAD(n, 9, "0"), CHAR(0, 255)), n'],
    ['late_prefix', 'a INT NOT NULL, t TEXT NOT NULL, v INT, UNIQUE KEY (t(5), a), PRIMARY KEY (a)', 'a, t, v', 'n, REPEAT("z", n % 9), n'],
    ['sixteen', join(', ', (map { "c$_ SMALLINT NOT NULL" } 1 .. 16), 'v INT', 'PRIMARY KEY (' . join(',', map { "c$_" } reverse 1 .. 16) . ')'), join(',', (map { "c$_" } 1 .. 16), 'v'), join(',', (map { "n % (1 + $_)" } 1 .. 15), 'n', 'n')],
    ['key_last', 'v INT, x INT, id INT NOT NULL, PRIMARY KEY (id)', 'id, v', 'n, n'],
    ['enum_key', "e ENUM('a', 'b', 'c', 'd') NOT NULL, id INT NOT NULL, v INT, PRIMARY KEY (e, id)", 'e, id, v', 'n % 4 + 1, n, n'],
    ['wide', join(', ', 'id INT PRIMARY KEY', (map { "c$_ " . ('TINYINT', 'VARCHAR(5)', 'DATE', 'INT NOT NULL DEFAULT 7')[$_ % 4] } 1 .. 998), 'v INT'), 'id, v, c4, c5, c996, c998', 'n, n, 1, "x", 2, "2020-01-01"'],
    # foreign keys
    ['f_parent', 'id INT PRIMARY KEY, code INT NOT NULL, v INT, UNIQUE KEY (code)', 'id, code, v', 'n, n + 5000, n'],
    ['f_child', 'id INT PRIMARY KEY, p INT NULL, v INT, FOREIGN KEY (p) REFERENCES f_parent (id) ON DELETE CASCADE ON UPDATE CASCADE', 'id, p, v', 'n, n, n'],
    ['f_grandchild', 'id INT PRIMARY KEY, p INT NULL, v INT, FOREIGN KEY (p) REFERENCES f_child (id) ON DELETE SET NULL ON UPDATE CASCADE', 'id, p, v', 'n, n, n'],
    ['f_code', 'id INT PRIMARY KEY, c INT NULL, v INT, FOREIGN KEY (c) REFERENCES f_parent (code) ON UPDATE SET NULL ON DELETE SET NULL', 'id, c, v', 'n, n + 5000, n'],
    ['f_self', 'id INT PRIMARY KEY, up INT NULL, v INT, FOREIGN KEY (up) REFERENCES f_self (id) ON DELETE CASCADE', 'id, up, v', 'n, IF(n % 10 = 2, NULL, n - 1), n'],
    ['f_ring_a', 'id INT PRIMARY KEY, b INT NULL, v INT', 'id, v', 'n, n'],
    ['f_ring_b', 'id INT PRIMARY KEY, a INT NULL, v INT, CONSTRAINT ring_b FOREIGN KEY (a) REFERENCES f_ring_a (id) ON DELETE SET NULL', 'id, a, v', 'n, n, n'],
    ['f_bare', 'p INT NULL, v INT, FOREIGN KEY (p) REFERENCES f_parent (id) ON DELETE CASCADE ON UPDATE SET NULL', 'p, v', 'n, n % 5'],
    # other engines: by the house made InnoDB at the target
    ['e_myisam', 'id INT PRIMARY KEY, v INT | ENGINE=MyISAM', 'id, v', 'n, n'], ['e_memory', 'id INT PRIMARY KEY, v INT | ENGINE=MEMORY', 'id, v', 'n, n'],
    ['e_myisam_bare', 'a INT, v INT | ENGINE=MyISAM', 'a, v', 'n % 5, n'], ['e_csv', 'a INT NOT NULL, v INT NOT NULL | ENGINE=CSV', 'a, v', 'n % 5, n'],
    ['e_archive', 'a INT NOT NULL, v INT NOT NULL | ENGINE=ARCHIVE', 'a, v', 'n % 5, n'],
);
my @aria = (['e_aria', 'id INT PRIMARY KEY, v INT | ENGINE=Aria', 'id, v', 'n, n'], ['e_aria_bare', 'a INT, v INT | ENGINE=Aria TRANSACTIONAL=0', 'a, v', 'n, n']);

sub insert {
    my ($db, $list, $from) = @_;
    my $dbh = $db->dbh;
    $dbh->do('SET foreign_key_checks = 0') if $from == 1;
    for my $t (@$list) {
        (my $values = $t->[3]) =~ s/\bn\b/(n + $from)/g;
        $dbh->do("INSERT INTO shapes.$t->[0] ($t->[2]) SELECT $values FROM shapes.numbers");
    }
}

sub change {
    my ($db, $list) = @_;
    my $dbh = $db->dbh;
    for my $t (@$list) {
        my $name = $t->[0];
        next if $name eq 'e_archive';
        $dbh->do("UPDATE shapes.$name SET v = v + 100 ORDER BY v LIMIT 11");
        $dbh->do("DELETE FROM shapes.$name ORDER BY v LIMIT 5");
        next if $name eq 'e_csv';
        $dbh->do("UPDATE shapes.$name SET v = NULL LIMIT 3");
    }
    # What the log does not tell: children that go or change with their parents.
    $dbh->do($_) for 'DELETE FROM shapes.f_parent WHERE id % 7 = 3', 'UPDATE shapes.f_parent SET id = id + 100000 WHERE id % 7 = 4', 'UPDATE shapes.f_parent SET code = code + 700000 WHERE id % 7 = 5',
        'DELETE FROM shapes.f_self WHERE id % 20 = 13', 'UPDATE shapes.f_ring_a SET b = id WHERE id % 3 = 0 AND id IN (SELECT id FROM shapes.f_ring_b)', 'UPDATE shapes.f_ring_a SET b = NULL WHERE id % 6 = 0',
        'DELETE FROM shapes.f_ring_a WHERE b IS NULL LIMIT 5', 'DELETE FROM shapes.f_child WHERE id % 7 = 6';
}

my %servers = (MariaDB => [map { Syncline::MariaDB->new(options => ['--plugin-load-add=ha_archive.so']) } 1 .. 2], MySQL => [map { Syncline::MySQL->new } 1 .. 2]);
for my $case (['MariaDB', 'MariaDB'], ['MySQL', 'MySQL'], ['MariaDB', 'MySQL'], ['MySQL', 'MariaDB']) {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    my %engines = map { $_->[0] => 1 } @{$source->rows("SELECT UPPER(ENGINE) FROM information_schema.ENGINES WHERE SUPPORT IN ('YES', 'DEFAULT')")};
    my @here = grep { !($_->[1] =~ /ENGINE=(\w+)/) || $engines{uc $1} } @tables, @aria;
    for my $db ($source, $target) { $db->sql('SET foreign_key_checks = 0', map { "DROP DATABASE IF EXISTS $_" } qw(shapes marker syncline)) }
    $source->sql('CREATE DATABASE shapes CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'CREATE TABLE shapes.numbers (n INT PRIMARY KEY)',
        'INSERT INTO shapes.numbers VALUES ' . join(',', map { "($_)" } 1 .. 60), 'USE shapes');
    for my $t (@here) {
        my ($columns, $options) = split / \| /, $t->[1];
        $source->sql("CREATE TABLE shapes.$t->[0] ($columns) " . ($options // 'ENGINE=InnoDB'));
    }
    $source->sql('ALTER TABLE shapes.f_ring_a ADD CONSTRAINT ring_a FOREIGN KEY (b) REFERENCES shapes.f_ring_b (id) ON DELETE CASCADE');
    insert($source, \@here, 1);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shapes"; }, { database = "marker"; }', more => "chunk_rows = 16;\n");
    $pair->mark($source)->start('loaded');
    is($pair->wait(60), 0, "$from to $to: loaded") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shapes')), '', "$from to $to: the load is exact");
    insert($source, \@here, 1001);
    change($source, \@here);
    is($pair->follow($source, $target), 0, "$from to $to: streamed") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shapes')), '', "$from to $to: the stream is exact");
    is($target->one("SELECT GROUP_CONCAT(DISTINCT ENGINE) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shapes'"), 'InnoDB', "$from to $to: all are InnoDB");
    my $partitions = "SELECT TABLE_NAME, PARTITION_NAME, PARTITION_METHOD FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = 'shapes' AND PARTITION_NAME IS NOT NULL ORDER BY 1, 2";
    is_deeply($target->rows($partitions), $source->rows($partitions), "$from to $to: partitions");
    # DDL of partitions, and engines of tables that come later.
    $source->sql('ALTER TABLE shapes.p_range REORGANIZE PARTITION c INTO (PARTITION c VALUES LESS THAN (8), PARTITION d VALUES LESS THAN MAXVALUE)',
        'ALTER TABLE shapes.p_list ADD PARTITION (PARTITION z VALUES IN (9))', 'ALTER TABLE shapes.p_hash COALESCE PARTITION 2', 'ALTER TABLE shapes.p_key ADD PARTITION PARTITIONS 2',
        'ALTER TABLE shapes.p_sub TRUNCATE PARTITION b', 'ALTER TABLE shapes.p_range DROP PARTITION a', 'INSERT INTO shapes.p_list VALUES (7777, 9, 1)',
        'CREATE TABLE shapes.later (id INT PRIMARY KEY, v INT) ENGINE=MyISAM', 'INSERT INTO shapes.later VALUES (1, 1), (2, 2)', 'UPDATE shapes.later SET v = 5',
        'ALTER TABLE shapes.e_myisam ADD COLUMN w INT DEFAULT 3, ENGINE=MyISAM', 'INSERT INTO shapes.e_myisam VALUES (50000, 1, 1)');
    is($pair->follow($source, $target), 0, "$from to $to: DDL of them") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shapes')), '', "$from to $to: and exact");
    is_deeply($target->rows($partitions), $source->rows($partitions), "$from to $to: the same partitions");
    is($target->one("SELECT GROUP_CONCAT(DISTINCT ENGINE) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shapes'"), 'InnoDB', "$from to $to: still all InnoDB");
}

done_testing;
