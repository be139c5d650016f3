# Every failpoint of common/failpoints.def, in each phase that the list gives it:
# kill -9 there, under load, between two real servers. After each, both ends are
# equal row by row, and on streaming tables audit triggers have counted each
# operation once (R88; issue 5, 6). PAIR=name, ONLY=name or phase pick, SEED=n repeats.
# MySQL to MySQL in whole; of the others a sample with each seed, FULL=1 all of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Compare;
use Syncline::Failpoint;
use Syncline::MariaDB;
use Syncline::Matrix;
use Syncline::PostgreSQL;
use List::Util ();
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
my $only = $ENV{ONLY} // '';
diag "SEED=$seed";
srand $seed;

my @points = Syncline::Failpoint::list();
cmp_ok(scalar @points, '>=', 40, 'there are ' . @points . ' failpoints');
my %seen;
$seen{$_->{name}}++ for @points;
is_deeply([grep { $seen{$_} > 1 } sort keys %seen], [], 'each name stands for one place');
is(scalar(grep { !/^(?:supervisor|reader|writer)$/ } map { $_->{process} } @points), 0, 'each lives in one of the three processes');

my %class = (mysql => 'Syncline::MariaDB', pgsql => 'Syncline::PostgreSQL');
# How many cells of each phase a sample has.
my %pairs = ('mysql -> mysql' => 1000, map { $_ => $ENV{FULL} || $only ? 1000 : 5 } 'mysql -> pgsql', 'pgsql -> pgsql', 'pgsql -> mysql');
# What is being loaded can only be compared when it is: several kills a load.
my %at_once = (load => 5);

sub ddl {
    my ($db, $n) = @_;
    my $pg = $db->kind eq 'postgresql';
    return (
        "CREATE TABLE shop.d$n (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO shop.d$n VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE shop.d$n ADD COLUMN w INT" . ($pg ? '' : ' FIRST'), "INSERT INTO shop.d$n (w, id, v) VALUES (7, 3, 'c')",
        ($pg ? () : ("CREATE TABLE shop.l$n LIKE shop.customer", "CREATE TABLE shop.e$n AS SELECT * FROM shop.d$n", "CREATE VIEW shop.v$n AS SELECT id FROM shop.d$n")),
        "UPDATE shop.d$n SET v = 'u'", $pg ? "ALTER TABLE shop.d$n RENAME TO f$n" : "RENAME TABLE shop.d$n TO shop.f$n",
        "INSERT INTO shop.f$n (w, id, v) VALUES (8, 4, 'd')", ($pg ? () : ("DROP VIEW shop.v$n", "DROP TABLE shop.e$n, shop.l$n")),
        "TRUNCATE TABLE shop.f$n", "INSERT INTO shop.f$n (w, id, v) VALUES (9, 5, 'e')", ($n % 3 == 0 ? "DROP TABLE shop.f$n" : ()),
    );
}

sub matrix {
    my ($pair, $sample) = @_;
    my ($source, $target) = map { $class{$_}->new } split / -> /, $pair;
    my $file = $source->dir . '/failpoints';
    my $f = Syncline::Failpoint->new($file);
    my @points = $f->points($source, $target);
    my $c = Syncline::Channel->new(
        source => $source, target => $target, build => Syncline::Failpoint::build(), env => {SYNCLINE_FAILPOINTS => $file},
        more => "chunk_rows = 40;\nlanes = 3;\nring_size = \"1MiB\";\n",
    );
    $c->populate(250);
    $source->sql('CREATE TABLE shop.big (id INT PRIMARY KEY, v TEXT)', $source->kind eq 'mysql' ? 'CREATE DATABASE elsewhere' : 'CREATE SCHEMA elsewhere',
        'CREATE TABLE elsewhere.t (a INT)', q{INSERT INTO shop.big SELECT id, 'x' FROM shop.customer LIMIT 200});
    my $m = Syncline::Matrix->new(
        channel => $c, points => $f, ddl => sub { ddl($source, @_) },
        quiet => sub { $source->sql('INSERT INTO elsewhere.t VALUES (1)') },
    );
    my $began = time;
    for my $phase (@Syncline::Matrix::phases) {
        if ($phase eq 'stream') {
            is($c->settle(60), '', "$pair: equal before it streams");
            $target->sql('UPDATE shop.account SET balance = balance + 1 WHERE id = 1');
            like(join("\n", compare($source, $target, 'shop')), qr/account/, "$pair: what compares notices a value");
            $target->sql('UPDATE shop.account SET balance = balance - 1 WHERE id = 1');
            $c->audit;
        }
        is($m->count($phase), '', "$pair, $phase: undisturbed") or diag($c->explain), BAIL_OUT('a channel that works is what faults are put into');
        my @of = grep { grep { $_ eq $phase } @{$_->{phases}} } @points;
        @of = grep { index($_->{name}, $only) >= 0 || $phase eq $only } @of if $only;
        @of = List::Util::shuffle(@of) if $at_once{$phase} || $sample < @of;
        splice @of, $sample if $sample < @of;
        while (my @some = splice @of, 0, $at_once{$phase} // 1) {
            is($m->cells($phase, @some), '', "$pair, $phase: " . join ' ', map { $_->{name} } @some) or diag $c->explain;
        }
        diag sprintf '%s, %s: %.1f s', $pair, $phase, time - $began;
    }
    diag $pair, "\n", $m->table;
    my ($p50, $p99) = Syncline::Matrix::quantiles(@{$m->{recoveries}});
    diag sprintf '%s: from the kill to a row at the target: p50 %.0f ms, p99 %.0f ms, of %d', $pair, $p50 * 1000, $p99 * 1000, scalar @{$m->{recoveries}};
    $c->stop;
    $_->stop for $source, $target;
}

matrix($_, $pairs{$_}) for grep { !$ENV{PAIR} || $_ eq $ENV{PAIR} } sort { $pairs{$b} <=> $pairs{$a} || $a cmp $b } keys %pairs;
done_testing;
