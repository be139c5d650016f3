# Two thousand tables in one channel (FULL=1: ten thousand): loaded, stopped, and
# a quarter of them changed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::MariaDB->new(options => ['--table-open-cache=4000']) } 1 .. 2;
my $n = $ENV{FULL} ? 10000 : 2000;
$source->sql('CREATE DATABASE many');
$source->sql(sprintf('CREATE TABLE many.t%05d (id INT PRIMARY KEY, v INT)', $_), sprintf('INSERT INTO many.t%05d VALUES (1, %d), (2, 2)', $_, $_)) for 1 .. $n;
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "many"; }, { database = "marker"; }');
my $begin = time;
$pair->mark($source)->start;
my $streaming = 0;
while ($streaming <= $n && time < $begin + $n / 10) {
    sleep 0.2;
    $streaming = eval { $target->one("SELECT COUNT(*) FROM syncline.table_state WHERE state = 'streaming' AND name <> ''") } // 0;
}
is($streaming, $n + 1, "$n tables: all of them stream");
note sprintf '%d tables loaded in %.1f s', $n, time - $begin;
is($pair->stop, 0, "$n tables: stopped") or diag $pair->output;
$source->sql(sprintf('UPDATE many.t%05d SET v = v + 1', $_), sprintf('INSERT INTO many.t%05d VALUES (3, 3)', $_)) for map { 1 + ($_ * 7) % $n } 1 .. $n / 4;
$begin = time;
is($pair->follow($source, $target, $n / 10), 0, "$n tables: streamed") or diag $pair->output;
note sprintf '%d of them changed in %.1f s', $n / 4, time - $begin;
is(join("\n", compare($source, $target, 'many')), '', "$n tables: equal");

done_testing;
