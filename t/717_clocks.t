# Clocks that jump: the gateway's wall clock is three days ahead, then three behind, while it loads
# and streams. No timeout fires, rows arrive, a killed worker is back as quickly as ever, and what
# is measured is right again soon (reliability Q1).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::MariaDB;
use Syncline::OS;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'an instrumented build takes no library before its own' if !Syncline::OS::possible($Syncline::Daemon::build);
my $day = 86400;
my %class = (mysql => 'Syncline::MariaDB', pgsql => 'Syncline::PostgreSQL');

for my $pair ('mysql -> mysql', 'pgsql -> pgsql') {
    my ($source, $target) = map { $class{$_}->new } split / -> /, $pair;
    my $os = Syncline::OS->new($source->dir);
    my $c = Syncline::Channel->new(source => $source, target => $target, env => {$os->env}, preload => $os->library,
        settings => {heartbeat_timeout => '"3s"', history => '"30d"'}, more => "chunk_rows = 20;\n");
    my $d = $c->daemon;
    $c->populate(200);
    my $load = $c->write(writers => 1, seed => 1, pause => 0.005);
    $c->begin;
    $c->until(sub { $c->state =~ /Initial|Synchronizing/ }, 30);
    $os->turn(3 * $day);
    is($c->wait_loaded(60), '', "$pair: the clock jumps while it loads") or diag $c->explain;
    $load->stop;
    is($c->settle(30), '', "$pair: both ends are equal");
    $c->audit;
    $load = $c->write(writers => 2, seed => 2, pause => 0.002);

    for my $turn (-3 * $day, 3 * $day, 0) {
        my $name = sprintf '%s: %+d days', $pair, $turn / $day;
        ok($d->wait_flowing('shop', 20), "$name: it flows");
        my $before = $d->status('shop');
        $os->turn($turn);
        my $s = $c->arrive(20) // 99;
        cmp_ok($s, '<', 3, sprintf '%s: a row arrives in %.2f s', $name, $s);
        # More than any timeout that has been set; long ones would have fired at once.
        sleep 3.5;
        my $after = $d->status('shop');
        is_deeply([map { $after->{$_} } qw(generation reader_pid writer_pid)], [map { $before->{$_} } qw(generation reader_pid writer_pid)],
            "$name: no timeout fired") or diag $c->explain;
        $c->kill_worker('writer');
        $s = $c->arrive(20) // 99;
        cmp_ok($s, '<', 3, sprintf '%s: a killed worker is back in %.2f s', $name, $s);
        # Clocks are compared every ten seconds, and when a worker begins.
        my $m;
        ok($c->until(sub { sleep 0.2; $m = ($d->status('shop') // {})->{metrics}; $m && abs(($m->{source_clock_offset_us} // 0) + $turn * 1e6) < 1e6 }, 30),
            "$name: the source's clock is known to be another") or diag explain $m;
        ok($c->until(sub { sleep 0.1; $m = ($d->status('shop') // {})->{metrics}; $m && $m->{caught_up} && ($m->{delay_ms} // 1e9) < 5000 }, 30),
            "$name: caught up, under load, with a delay that is true") or diag explain $m;
    }
    is(($c->tool('metrics', 'shop', '--since', '1d'))[0], 0, "$pair: history is told");
    $load->stop;
    is($c->settle(30), '', "$pair: both ends are equal") or diag $c->explain;
    is($c->audited, '', "$pair: each operation once");
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
