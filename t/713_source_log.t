# The source's log is not what it was: purged past our place, begun anew, or
# written by other settings. The channel stops within seconds with what is wanted
# and what to do, or goes on right; never past a gap (reliability S2, S5).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::MariaDB;
use Syncline::MySQL;
use Test::More;
use Time::HiRes qw(sleep time);

sub failed {
    my ($c, $what, $cause) = @_;
    my $began = time;
    is($c->daemon->wait_state('shop', 'Synchronization Failed', 20), 'Synchronization Failed', "$what: the channel stops") or diag $c->explain;
    my $s = $c->daemon->status('shop');
    cmp_ok(time - $began, '<', 5, sprintf '%s: in %.1f s', $what, time - $began);
    like($s->{cause}{text}, $cause, "$what: says why");
    isnt($s->{cause}{remedy} // '', '', "$what: and what to do");
    sleep 0.5;
    ok(!$c->workers, "$what: nothing restarts");
}

for my $class (qw(Syncline::MariaDB Syncline::MySQL)) {
    my ($name) = $class =~ /::(\w+)/;
    my $mariadb = $name eq 'MariaDB';
    my ($source, $target) = map { $class->new } 1 .. 2;
    my $c = Syncline::Channel->new(source => $source, target => $target);
    $c->populate(50)->begin;
    is($c->wait_loaded(60), '', "$name: loaded");
    is($c->settle(20), '', "$name: equal");

    # Settings of the log that may change under us.
    $source->sql('FLUSH BINARY LOGS', 'FLUSH BINARY LOGS');
    is($c->settle(20), '', "$name: new files are followed");
    my $dbh = $source->dbh;
    $dbh->do('SET SESSION binlog_row_image = MINIMAL');
    $dbh->do('UPDATE shop.word SET hits = hits + 1 WHERE lang = "en"');
    $dbh->do('DELETE FROM shop.item WHERE orders < 10');
    is($c->settle(20), '', "$name: minimal row images") or diag $c->explain;
    $source->sql('SET GLOBAL binlog_row_metadata = MINIMAL', 'INSERT INTO shop.word VALUES ("minimal", "xx", 1)');
    is($c->settle(20), '', "$name: minimal metadata") or diag $c->explain;
    $source->sql('SET GLOBAL binlog_row_metadata = FULL');
    if ($mariadb) {
        $source->sql('SET GLOBAL log_bin_compress = 1');
        $source->sql('INSERT INTO shop.events SELECT NOW(6), 1, REPEAT("z", 40) FROM shop.customer');
        is($c->settle(20), '', "$name: compressed events");
    } else {
        $dbh->do('SET SESSION binlog_transaction_compression = ON');
        $dbh->do('INSERT INTO shop.events SELECT NOW(6), 1, REPEAT("z", 40) FROM shop.customer');
        is($c->settle(20), '', "$name: compressed transactions");
    }
    $dbh->do('SET SESSION binlog_format = STATEMENT');
    $dbh->do('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    $dbh->do('USE shop');
    $dbh->do('UPDATE word SET hits = 100 WHERE lang = "en"');
    failed($c, "$name: a change as a statement", qr/as a statement/);
    $c->stop;
    $_->stop for $source, $target;

    # Purged while we were away.
    ($source, $target) = map { $class->new } 1 .. 2;
    $c = Syncline::Channel->new(source => $source, target => $target);
    $c->populate(20)->begin;
    is($c->wait_loaded(60), '', "$name: loaded");
    is($c->settle(20), '', "$name: equal");
    $c->tool('pause', 'shop', '--wait');
    $source->sql('INSERT INTO shop.word VALUES ("gone", "xx", 1)', 'FLUSH BINARY LOGS', 'INSERT INTO shop.word VALUES ("kept", "xx", 1)', 'FLUSH BINARY LOGS');
    my @logs = map { $_->[0] } @{$source->rows('SHOW BINARY LOGS')};
    # As long as the server believes that somebody reads a file it stays.
    $c->daemon->until(sub { $source->sql("PURGE BINARY LOGS TO '$logs[-1]'"); $source->rows('SHOW BINARY LOGS')->[0][0] eq $logs[-1] }, 20);
    is($source->rows('SHOW BINARY LOGS')->[0][0], $logs[-1], "$name: the source has purged its log");
    $c->tool('resume', 'shop');
    failed($c, "$name: purged", qr/has purged the log that the channel needs: .*oldest file there is \Q$logs[-1]\E/s);
    is($target->one('SELECT COUNT(*) FROM shop.word WHERE w = "kept"'), 0, "$name: purged: nothing behind the gap is applied");
    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$name: reset");
    $target->sql('DROP DATABASE shop');
    $c->tool('start', 'shop');
    is($c->wait_loaded(60), '', "$name: reset and started, as it says") or diag $c->explain;
    is($c->settle(20), '', "$name: both ends are equal");

    # The log is begun anew while it streams: what it was is gone.
    $source->sql($mariadb || $source->version lt '8.2' ? 'RESET MASTER' : 'RESET BINARY LOGS AND GTIDS');
    $source->sql('INSERT INTO shop.word VALUES ("anew", "xx", 1)');
    failed($c, "$name: RESET MASTER", qr/log/);
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
