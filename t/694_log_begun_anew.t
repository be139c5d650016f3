# A log that is begun anew (RESET MASTER) and has grown past our place since: file, offset and
# GTIDs are all there again, of other transactions. With and without GTIDs, on the oldest and the
# newest of each family (FULL=1: on all), the channel knows it by when the file was begun, stops,
# and says what to do; a server that was merely restarted, or has gone on to new files and purged
# the old ones, is the same still.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Pair;
use Syncline::Versions;
use Test::More;
use Time::HiRes qw(sleep);

sub reset_log {
    my ($db) = @_;
    $db->sql(!$db->isa('Syncline::MariaDB') && $db->at_least(8.4) ? 'RESET BINARY LOGS AND GTIDS' : 'RESET MASTER');
}

my $target = node('mariadb-10.11');
my @some = $ENV{FULL} ? names() : qw(mysql-5.5 mysql-9.7 mariadb-10.1 mariadb-11.8);
for my $name (@some, 'mysql-8.0 without GTIDs') {
    my ($version, $without) = $name =~ /^(\S+)(.*)/;
    my $source = node($version, $without ? (options => ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF']) : ());
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    my $runs = sub { my ($exit, $what) = @_; $pair->start('caught-up'); is($pair->wait(60), $exit, "$name: $what") or diag $pair->output };
    my @rows = map {"INSERT INTO shop.a VALUES ($_, REPEAT('x', 200))"} 1 .. 10;
    $target->sql("DROP DATABASE IF EXISTS $_") for qw(shop syncline);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=InnoDB', @rows);
    $runs->(0, 'loaded');

    # The same log: restarted, grown by files, the old ones gone.
    if ($version eq $some[-1]) { $source->stop; $source->start }
    $source->sql('INSERT INTO shop.a VALUES (11, "restarted")', 'FLUSH LOGS', 'INSERT INTO shop.a VALUES (12, "next file")');
    $runs->(0, 'a new file');
    $source->sql('FLUSH LOGS');
    my @logs = map { $_->[0] } @{$source->rows('SHOW BINARY LOGS')};
    $runs->(0, 'another');
    my $stands = $without || $version eq 'mysql-5.5' ? -2 : -1;    # without GTIDs the file in which we stand is wanted
    $source->sql("PURGE BINARY LOGS TO '$logs[$stands]'", 'INSERT INTO shop.a VALUES (13, "purged")');
    $runs->(0, 'what we have read is purged');
    is($target->one('SELECT COUNT(*) FROM shop.a'), 13, "$name: all rows are there");

    # Another log, with everything that ours had in the same places and more.
    sleep 1.1;
    reset_log($source);
    for my $file (1 .. 6) { $source->sql("DELETE FROM shop.a WHERE id < 100", @rows, 'FLUSH LOGS', "INSERT INTO shop.a VALUES (${file}00, 'anew')", $rows[0] =~ s/\(1,/(${file}01,/r) }
    $runs->(78, 'RESET MASTER, and more than there was');
    like($pair->output, qr/the log of the source .* does not have what the target has: the channel stands at \S+ begun=\d+.*begun anew \(RESET MASTER\)/, "$name: says so");
    is($target->one("SELECT COUNT(*) FROM shop.a WHERE v = 'anew'"), 0, "$name: nothing of it is applied");
    $source->stop;
}

done_testing;
