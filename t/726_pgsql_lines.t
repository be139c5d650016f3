# A PostgreSQL source of before 10, read by test_decoding's lines, beside a MySQL target: TRUNCATE,
# which its log does not have, is named by the precheck; a statement whose writer dies behind it is
# known again, although the server has said in between that its log is longer. (S6.2; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Failpoint;
use Syncline::MariaDB;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my $source = Syncline::PostgreSQL->new(version => '9.6');
my $target = Syncline::MariaDB->new;
my $file = $source->dir . '/failpoints';
my $f = Syncline::Failpoint->new($file);
my $c = Syncline::Channel->new(source => $source, target => $target, build => Syncline::Failpoint::build(), env => {SYNCLINE_FAILPOINTS => $file});
$source->sql('CREATE DATABASE busy', 'CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v int)', 'INSERT INTO shop.a VALUES (1, 1)',
    'CREATE TABLE shop.marker (id int PRIMARY KEY, n int NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
my $busy = $source->dbh(database => 'busy');
$busy->do('CREATE TABLE t (id serial PRIMARY KEY, v text)');
my $tx = $source->dbh;
$c->begin;
is($c->wait_loaded(60), '', 'loaded');
like(($c->tool('check', $c->daemon->{dir} . '/conf.d/shop.conf'))[1], qr/^warn  TRUNCATE in the source database\n +cause: PostgreSQL 9\.6 does not log TRUNCATE: the target keeps the rows\n +remedy: .*DELETE.*resync/m,
    'TRUNCATE is not in the log, and that is said');

for my $i (1 .. 5) {
    ok(defined $c->arrive(60), "$i: a row arrives") or diag $c->explain;
    # The place moves by a word of the server's alone, which the target need not have yet; between
    # that and the commit lies so much log that the server has other words for the next reader.
    $busy->do('INSERT INTO t (v) SELECT 1 FROM generate_series(1, 100)');
    my $lsn = $source->one('SELECT pg_current_xlog_location()');
    $c->until(sub { $source->one('SELECT sent_location >= ?::pg_lsn FROM pg_stat_replication', $lsn) }, 10);
    sleep 0.3;
    my $fired = $f->fired('writer.ddl.run');
    $f->arm('writer.ddl.run');
    $tx->begin_work;
    $tx->do("ALTER TABLE shop.a ADD COLUMN c$i int");
    $busy->do('INSERT INTO t (v) SELECT 1 FROM generate_series(1, 300000)');
    $tx->commit;
    ok($c->until(sub { $f->fired('writer.ddl.run') > $fired }, 30 * $Syncline::Daemon::patience), "$i: the writer dies behind a statement");
    is($c->settle(60), '', "$i: which has run once") or last;
}
like($c->daemon->log, qr/had run before the crash/, 'it was known again');
$c->stop;
$_->stop for $source, $target;
done_testing;
