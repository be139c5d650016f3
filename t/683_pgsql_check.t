# What a PostgreSQL source must have, each item with its cause and remedy: wal_level, slots and senders, the right to replicate, tables with an identity;
# and a slot whose log the source has removed stops the channel. (R33-R60)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $target = Syncline::PostgreSQL->new;

sub fails {
    my ($what, $source, $item, $cause, $remedy) = @_;
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`;
    is($? >> 8, 78, "$what: exit 78");
    like($out, qr/^fail  \Q$item\E\n      cause: .*$cause.*\n      remedy: .*$remedy/m, "$what: \"$item\" with its cause and remedy") or diag $out;
}

my @tables = ('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', 'INSERT INTO shop.a SELECT i FROM generate_series(1, 100) i');

my $source = Syncline::PostgreSQL->new(options => ['wal_level=replica', 'max_replication_slots=1', 'max_slot_wal_keep_size=1', 'min_wal_size=32', 'max_wal_size=32']);
$source->sql(@tables);
fails('wal_level', $source, 'Value of wal_level in the source database', 'wal_level is replica', 'set wal_level = logical');
push @{$source->{options}}, 'wal_level=logical';
$source->stop->start;
$source->sql(q{SELECT pg_create_physical_replication_slot('other')});
fails('slots', $source, 'Replication slots of the source database', 'all of max_replication_slots are taken', 'raise it');
$source->sql(q{SELECT pg_drop_replication_slot('other')}, q{CREATE ROLE plain LOGIN PASSWORD 'secret' IN ROLE root});
fails('no right', $source->endpoint =~ s/"syncline"/"plain"/r, 'Source database permissions', 'it lacks the attribute REPLICATION', 'check --sql');
$source->sql('CREATE TABLE shop.k (id int)');
fails('no identity', $source, 'Replica identity', 'shop\.k has no replica identity', 'REPLICA IDENTITY FULL');
$source->sql('DROP TABLE shop.k', 'CREATE TABLE shop.k (a int, b int GENERATED ALWAYS AS (a % 10) STORED, PRIMARY KEY (b, a))');
fails('computed key', $source, 'Replica identity', 'shop\.k has no replica identity .*the server computes', 'REPLICA IDENTITY FULL');
$source->sql('DROP TABLE shop.k');

my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
$source->sql('CREATE TABLE shop.p (id int PRIMARY KEY) PARTITION BY RANGE (id)', 'CREATE TABLE shop.p1 PARTITION OF shop.p DEFAULT');
like(`$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`, qr/^warn  TRUNCATE in the source database\n      cause: TRUNCATE of a single partition .*: shop\.p\n      remedy: .*resync/m, 'what the log of partitions lacks');
$source->sql('DROP TABLE shop.p');
$pair->start('caught-up');
is($pair->wait(60), 0, 'it runs') or diag $pair->output;
my $end = time + 60;
while (time < $end) {
    $source->sql('UPDATE shop.a SET v = repeat(id::text, 1000)', 'SELECT pg_switch_wal()', 'CHECKPOINT');
    last if $source->one(q{SELECT wal_status FROM pg_replication_slots}) eq 'lost';
}
$pair->start('caught-up');
is($pair->wait(60), 78, 'a slot whose log is gone stops it');
like($pair->output, qr/the replication slot syncline_test is lost: the source has removed log/, 'and says so');

done_testing;
