# XA transactions: their rows come at their commit's place in the log, once, whether they
# were prepared just before it or hours ago, by this run or before it, with whatever in between.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;
use Time::HiRes qw(sleep);

my $target = node('mysql-8.0');

sub clean { $_->sql(map { "DROP DATABASE IF EXISTS $_" } qw(shop marker audit syncline)) for @_ }

sub pair {
    my ($source) = @_;
    return Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }', more => "chunk_rows = 100;\n");
}

# A prepared transaction that nobody holds.
sub prepare {
    my ($source, $xid, @statements) = @_;
    my $d = $source->dbh;
    $d->do($_) for "XA START $xid", @statements, "XA END $xid", "XA PREPARE $xid";
    $d->disconnect;
}

# Once its session is gone, which takes the server a moment.
sub finish {
    my ($source, $how, $xid) = @_;
    for (1 .. 200) { return 1 if eval { $source->sql("XA $how $xid"); 1 }; sleep 0.05 }
    return 0;
}

sub target_rows { join ' ', map { $_->[0] } @{$target->rows('SELECT v FROM shop.t ORDER BY id')} }

my @cases = (
    ['mysql-5.7', '--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'], ['mysql-8.0', '--binlog-transaction-compression=ON'], ['mysql-9.7'], ['mariadb-10.5'],
    ['mariadb-11.8', '--log-bin-compress=ON'],
);

for my $case (@cases) {
    my ($name, @options) = @$case;
    my $source = node($name, options => \@options);
    my $is = "$name @options";
    clean($target);

    # Begun before the channel, committed behind its load, behind rotations, by a run that has not seen it.
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB', "INSERT INTO shop.t VALUES (1, 'loaded')");
    prepare($source, "'before'", "INSERT INTO shop.t VALUES (2, 'before')");
    prepare($source, "'undone'", "INSERT INTO shop.t VALUES (3, 'undone')");
    my $pair = pair($source);
    is($pair->follow($source, $target, 60), 0, "$is: begins with prepared transactions") or diag $pair->output;
    is(target_rows(), 'loaded', "$is: which are not there");
    prepare($source, "'long','b',77", "UPDATE shop.t SET v = 'changed' WHERE id = 1", 'INSERT INTO shop.t VALUES ' . join ',', map { "($_, 'r$_')" } 10 .. 19);
    $source->sql('FLUSH LOGS', "INSERT INTO shop.t VALUES (4, 'between')");
    is($pair->follow($source, $target, 60), 0, "$is: goes on while they wait") or diag $pair->output;
    $source->sql('FLUSH LOGS', "INSERT INTO shop.t VALUES (5, 'behind')");
    ok(finish($source, 'COMMIT', "'before'") && finish($source, 'ROLLBACK', "'undone'") && finish($source, 'COMMIT', "'long','b',77"), "$is: they end");
    # An identifier has a second life, prepared and ended within one run.
    prepare($source, "'before'", "UPDATE shop.t SET v = 'again' WHERE id = 4");
    ok(finish($source, 'COMMIT', "'before'"), "$is: an identifier is used again");
    is($pair->follow($source, $target, 60), 0, "$is: and come") or diag $pair->output;
    is(target_rows(), join(' ', qw(changed before again behind), map { "r$_" } 10 .. 19), "$is: once each");

    # More than is kept in memory.
    $source->sql('CREATE TABLE shop.blobs (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB', 'SET NAMES utf8mb4');
    $pair->start;
    prepare($source, "'large'", map { "INSERT INTO shop.blobs VALUES ($_, REPEAT(UNHEX('" . sprintf('%02x', $_) . "'), 900 * 1024))" } 1 .. 7);
    $source->sql("INSERT INTO shop.t VALUES (6, 'last')");
    ok(finish($source, 'COMMIT', "'large'"), "$is: a large one ends");
    $pair->stop;
    is($pair->follow($source, $target, 60), 0, "$is: and comes") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$is: equal");
    unlike($pair->output, qr/^conflict/m, "$is: no conflict");

    # All of it at once, while tables load, with workers killed.
    clean($source, $target);
    limit(Syncline::Versions::lacks($source), Syncline::Versions::lacks($target));
    schema($source);
    fill($source, 300);
    my $load = Syncline::Load->start($source, writers => 3, seed => 5, pause => 0.002, xa => 1);
    $pair = pair($source);
    $pair->mark($source)->start;
    for (1 .. 6) { sleep 0.3 + rand 0.3; $_ % 3 ? $pair->kill_worker : do { $pair->kill_all; $pair->start } }
    my $transactions = $load->stop;
    cmp_ok($transactions, '>', 50, "$is: transactions under load");
    $pair->kill_all;
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$is: workers killed") or diag $pair->output;
    is($pair->follow($source, $target, 60), 0, "$is: to the log's end") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$is: equal, whatever was killed when") or diag $pair->output;
    unlike($pair->output, qr/^conflict/m, "$is: no row missing or double on the way");
    $source->stop;
}

# A log that does not reach back that far: said, with what to do.
{
    my $source = node('mysql-8.0');
    clean($target);
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20))');
    prepare($source, "'lost'", "INSERT INTO shop.t VALUES (1, 'lost')");
    my $pair = pair($source);
    is($pair->follow($source, $target, 60), 0, 'follows') or diag $pair->output;
    $source->sql('FLUSH LOGS');
    is($pair->follow($source, $target, 60), 0, 'into the next file') or diag $pair->output;
    my $file = $source->rows('SHOW BINARY LOGS')->[-1][0];
    $source->sql("PURGE BINARY LOGS TO '$file'");
    ok(finish($source, 'COMMIT', "'lost'"), 'committed');
    is($pair->follow($source, $target, 60), 65, 'what cannot be read again stops the channel');
    like($pair->output, qr/the log commits the XA transaction X'6c6f7374',X'',1, which was prepared before the source's oldest log file; keep logs at the source longer/,
        'and is said, with what to do');
}
done_testing;
