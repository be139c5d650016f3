# Foreign keys as the source had them: a session with foreign_key_checks off makes no
# cascade, so the target makes none either; what MySQL 9.6 and later cascade is in the
# log, and must not be done twice. Targets do their own cascades for all others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

my %target = map { $_ => node($_) } qw(mariadb-10.11 mysql-9.7);
for my $from (qw(mysql-5.5 mysql-8.0 mysql-9.7 mariadb-10.11)) {
    my $source = node($from);
    for my $to (sort keys %target) {
        my $target = $target{$to};
        $_->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline') for $source, $target;
        $source->sql(
            'CREATE DATABASE shop', 'USE shop', 'CREATE TABLE p (id INT PRIMARY KEY) ENGINE=InnoDB',
            'CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB',
            'CREATE TABLE d (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES c (id) ON DELETE SET NULL) ENGINE=InnoDB',
            'INSERT INTO p VALUES (1), (2), (3), (4), (6)', 'INSERT INTO c VALUES (11, 1), (12, 2), (13, 3), (14, 4), (16, 6)',
            'INSERT INTO d VALUES (21, 11), (22, 12), (24, 14)',
        );
        my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$from to $to: loaded") or diag $pair->output;
        $source->sql(
            'UPDATE p SET id = 5 WHERE id = 1', 'DELETE FROM p WHERE id IN (2, 3, 5)', 'SET foreign_key_checks = 0', 'DELETE FROM p WHERE id = 4',
            'UPDATE p SET id = 7 WHERE id = 6', 'INSERT INTO c VALUES (19, 99)', 'SET foreign_key_checks = 1', 'UPDATE d SET c = 19 WHERE id = 24',
        );
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$from to $to: cascades, and changes without them") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', "$from to $to: equal");
        is_deeply($target->rows('SELECT id, p FROM shop.c ORDER BY id'), [[14, 4], [16, 6], [19, 99]], "$from to $to: children whose parents went without a check stay");
    }
    $source->stop;
}

# Tables made and dropped in quick succession, under kills: where the log does not name its
# columns, only what is kept with each statement says what they were.
{
    my ($source, $target) = (node('mariadb-10.1'), $target{'mariadb-10.11'});
    $target->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline');
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.stays (id INT PRIMARY KEY)');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('loaded');
    is($pair->wait(60), 0, 'loaded') or diag $pair->output;
    for my $i (1 .. 60) {
        $source->sql("CREATE TABLE shop.t$i (id INT PRIMARY KEY, v VARCHAR(9))", "INSERT INTO shop.t$i VALUES (1, 'a')", "ALTER TABLE shop.t$i ADD w INT FIRST",
            "INSERT INTO shop.t$i VALUES (5, 2, 'b')", "INSERT INTO shop.stays VALUES ($i)", $i % 2 ? "DROP TABLE shop.t$i" : "RENAME TABLE shop.t$i TO shop.u$i");
    }
    $pair->start;
    my $kills = 0;
    for (1 .. 12) { select undef, undef, undef, 0.3; $kills += $pair->kill_worker }
    $pair->stop;
    $pair->start('caught-up');
    is($pair->wait(60), 0, "60 tables made, filled, changed and gone, under $kills kills") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}
done_testing;
