# An idle database of a PostgreSQL cluster whose other databases are busy: the slot goes on, so
# that the source keeps no log for it, and the delay stays near zero, with and without the
# heartbeat's table, which is there while the channel is, gets newer, and goes with a reset.
# (R31, R160)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::PostgreSQL;
use Test::More;

my $patience = $Syncline::Daemon::patience;
my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
$source->sql('CREATE DATABASE busy');
my $busy = $source->dbh(database => 'busy');
$busy->do('CREATE TABLE t (id serial PRIMARY KEY, v text)');

sub beat { return eval { $source->one('SELECT beat FROM syncline.dts_postgres_heartbeat') } }

for my $more ('', 'heartbeat_table = "dts_postgres_heartbeat";') {
    my $with = $more ? 'with a heartbeat' : 'without';
    $_->sql(map {"DROP SCHEMA IF EXISTS $_ CASCADE"} qw(shop syncline)) for $source, $target;
    my $c = Syncline::Channel->new(source => $source, target => $target)->populate(10);
    my $d = $c->daemon;
    $d->write_file('conf.d/shop.conf', $d->read_file('conf.d/shop.conf') =~ s/read_timeout/$more read_timeout/r);
    $c->begin;
    is($c->wait_loaded(60), '', "$with: loaded");
    is($c->settle(30), '', "$with: equal");
    $busy->do(q{INSERT INTO t (v) SELECT repeat('busy', 100) FROM generate_series(1, 5000)});
    my $lsn = $source->one('SELECT pg_current_wal_lsn()');
    my $passed = sub { $source->one(q{SELECT confirmed_flush_lsn >= ?::pg_lsn FROM pg_replication_slots WHERE slot_name = 'syncline_shop'}, $lsn) };
    ok($c->until($passed, 30 * $patience), "$with: what is confirmed passes the other database's log");
    # What the server keeps goes on at its own pace, by records of running transactions.
    my $kept = sub { $busy->do('CHECKPOINT'); $source->one(q{SELECT restart_lsn >= ?::pg_lsn FROM pg_replication_slots WHERE slot_name = 'syncline_shop'}, $lsn) };
    ok($c->until($kept, 60 * $patience), "$with: the source keeps no log for it any more");
    cmp_ok($d->status('shop')->{metrics}{delay_ms}, '<', 5000 * $patience, "$with: no delay");
    if (!$more) {
        is($source->one(q{SELECT to_regclass('syncline.dts_postgres_heartbeat')}), undef, 'no table where none is wanted');
    } else {
        my $first = beat();
        ok($first, 'the table is there');
        ok($c->until(sub { (beat() // $first) gt $first }, 30 * $patience), 'and gets newer');
        is($target->one(q{SELECT to_regclass('syncline.dts_postgres_heartbeat')}), undef, 'it is not carried');
    }
    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$with: reset");
    ok($c->until(sub { $d->status('shop')->{idle} }, 30), 'which leaves');
    is($source->one(q{SELECT to_regclass('syncline.dts_postgres_heartbeat')}), undef, 'no table');
    $c->stop;
}
done_testing;
