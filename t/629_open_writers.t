# The lock behind which a chunk's place in the log is taken waits for transactions that have
# written to the table and not ended: one that commits in between would be in the log before that
# place, and not yet to be seen. Old servers give the plain lock beside them. (R84, S0)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;
use Time::HiRes qw(sleep time);

sub waits_for_lock {
    my ($db) = @_;
    return grep { ($_->[7] // '') =~ /^LOCK TABLES/ && $_->[5] >= 1 } @{$db->rows('SHOW FULL PROCESSLIST')};
}

# What is without a key is always loaded so.
my $target = node('mariadb-10.11');
for my $name (grep {/^m/} names()) {
    my $source = node($name);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.events (n INT, v INT) ENGINE=InnoDB', 'INSERT INTO shop.events VALUES (1, 1), (2, 2)');
    my $writer = $source->dbh;
    $writer->do('BEGIN');
    $writer->do('INSERT INTO shop.events VALUES (3, 3)');

    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('loaded');
    my ($waits, $end) = (0, time + 20 * $Syncline::Daemon::patience);
    sleep 0.1 while !($waits = waits_for_lock($source)) && time < $end;
    ok($waits, "$name: a writer's transaction is waited for") or diag $pair->output;
    $writer->do('COMMIT');
    is($pair->wait(60), 0, "$name: and the table loads when it has ended") or diag $pair->output;
    $source->sql('INSERT INTO shop.events VALUES (4, 4)');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: the lock is not kept") or diag $pair->output;
    is_deeply([compare($source, $target, 'shop')], [], "$name: nothing is lost");
    $target->sql(map {"DROP DATABASE $_"} qw(shop syncline));
}
done_testing;
