# The source dies and its replica takes over, with GTIDs of both families: the channel is
# pointed there and goes on, also from the midst of a load; nothing is lost or twice. A
# server with another history is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;
use Time::HiRes qw(sleep time);

sub follow {
    my ($replica, $of) = @_;
    my $port = $of->port;
    $replica->sql('SET SESSION sql_log_bin = 0', "DROP USER 'syncline'\@'%'", 'SET SESSION sql_log_bin = 1', 'RESET MASTER');
    if ($replica->isa('Syncline::MariaDB')) {
        $replica->sql("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = $port, MASTER_USER = 'syncline', MASTER_PASSWORD = 'secret', MASTER_USE_GTID = slave_pos", 'START SLAVE');
    }
    else {
        $replica->sql("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = $port, MASTER_USER = 'syncline', MASTER_PASSWORD = 'secret', MASTER_AUTO_POSITION = 1", 'START SLAVE');
    }
}

# Everything that `of` has logged is at the replica.
sub wait_for {
    my ($replica, $of) = @_;
    if ($replica->isa('Syncline::MariaDB')) {
        my $gtids = $of->one('SELECT @@GLOBAL.gtid_binlog_pos');
        is($replica->one("SELECT MASTER_GTID_WAIT('$gtids', 30)"), 0, 'the replica has it all');
    }
    else {
        my $gtids = $of->one("SELECT REPLACE(\@\@GLOBAL.gtid_executed, '\\n', '')");
        is($replica->one("SELECT WAIT_FOR_EXECUTED_GTID_SET('$gtids', 30)"), 0, 'the replica has it all');
    }
}

for my $name (qw(mysql-8.0 mariadb-10.11)) {
    my @options = $name =~ /mariadb/ ? (options => ['--log-slave-updates']) : ();
    my ($source, $replica, $target) = (node($name), node($name, @options), node($name));
    $source->sql('FLUSH LOGS') for 1 .. 5;    # its files have other names than the replica's
    follow($replica, $source);
    schema($source);
    fill($source, 3000);
    # One table does not load before the source dies.
    $source->sql('CREATE TABLE shop.held (id INT PRIMARY KEY)', 'INSERT INTO shop.held VALUES (1)');
    my $holder = $source->dbh;
    $holder->do('LOCK TABLES shop.held WRITE');
    my $load = Syncline::Load->start($source, writers => 2, seed => 3, pause => 0.003);
    my %channel = (target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 200;\n");
    my $pair = Syncline::Pair->new(source => $source, %channel);
    $pair->start;
    for (1 .. 400) {
        last if eval { ($target->one('SELECT COUNT(*) FROM syncline.chunk') // 0) >= 3 };
        sleep 0.01;
    }
    $load->stop;
    wait_for($replica, $source);
    $source->kill9;
    my $loaded = $target->one("SELECT COUNT(*) FROM syncline.table_state WHERE state = 'streaming' AND name <> ''");
    $pair->kill_all;
    cmp_ok($loaded, '<', 10, "$name: the source died while tables load ($loaded of 10 had been loaded)");

    # A server that is no replica of it.
    my $other = node($name);
    my $stranger = Syncline::Pair->new(source => $other, %channel);
    $stranger->start;
    ok($stranger->wait_for(qr/the source is another server: its identity is \S+, the channel "test" was begun with \S+: it does not have every transaction that the target has/),
        "$name: another server is refused") or diag $stranger->output;
    $stranger->kill_all;

    $replica->sql('STOP SLAVE');
    $load = Syncline::Load->start($replica, writers => 2, seed => 4, pause => 0.003);
    $pair = Syncline::Pair->new(source => $replica, %channel);
    $pair->start('loaded');
    is($pair->wait(60), 0, "$name: loaded from the replica") or diag $pair->output;
    like($pair->output, qr/the source is another server: \S+ goes on from/, "$name: said so");
    my $transactions = $load->stop;
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: caught up after $transactions transactions") or diag $pair->output;
    is(join("\n", compare($replica, $target, 'shop')), '', "$name: equal");
    unlike($pair->output, qr/^conflict/m, "$name: nothing came twice");
    is(() = $pair->output =~ /the source is another server/g, 1, "$name: from then on it is the channel's own");
    $_->stop for $source, $replica, $target, $other;
}
done_testing;
