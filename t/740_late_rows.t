#!/usr/bin/perl
# A backlog of small transactions on random rows, of which some meet rows that another group in flight
# has: those are run late, at the gate. At every moment the sum is the source's, and a killed writer
# leaves nothing half done.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;

my ($rows, $transfers) = (40_000, 12_000);
my ($source, $target) = map { Syncline::MariaDB->new } 1 .. 2;
$source->sql(
    'CREATE DATABASE bank', 'CREATE TABLE bank.account (id INT PRIMARY KEY, v BIGINT NOT NULL) ENGINE=InnoDB',
    "INSERT INTO bank.account SELECT seq, 1000 FROM bank.seq_1_to_$rows", <<"SQL");
CREATE PROCEDURE bank.transfers(IN n INT, IN accounts INT)
BEGIN
    DECLARE a, b, i INT DEFAULT 0;
    SET autocommit = 0;
    WHILE i < n DO
        SET a = 1 + FLOOR(RAND() * accounts), b = 1 + FLOOR(RAND() * accounts), i = i + 1;
        UPDATE bank.account SET v = v - i WHERE id = a;
        UPDATE bank.account SET v = v + i WHERE id = b;
        COMMIT;
    END WHILE;
END
SQL
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "bank"; table = "account"; }', more => "lanes = 4;\n");
$pair->start('caught-up');
is($pair->wait(120), 0, 'the table is loaded') or diag $pair->output;

$source->sql("CALL bank.transfers($transfers, $rows)");
my $commits = sub { $target->rows("SHOW GLOBAL STATUS LIKE 'Com_commit'")->[0][1] };
my $turns = sub { $target->one('SELECT turn FROM syncline.checkpoint') };
my ($before, $first, $wrong, $looks, $cut, $status) = ($commits->(), $turns->(), 0, 0, 0);
my $end = time + 120;
$pair->start('caught-up');
while (time < $end && !defined($status = eval { $pair->wait(0.01) })) {
    $looks++;
    $wrong++ if $target->one('SELECT SUM(v) FROM bank.account') != $rows * 1000;
    next if $cut || $turns->() < $first + 4;
    $cut = 1;
    $pair->kill_all;
    $pair->start('caught-up');
}
is($status, 0, 'it catches up') or diag $pair->output;
is($wrong, 0, "no transfer was seen halfway in $looks looks");
ok($cut, 'a writer was killed on the way');
is(join("\n", compare($source, $target, 'bank')), '', 'both ends are equal');
note $commits->() - $before, ' commits';
done_testing;
