# The daemon with real workers and real servers: a channel is loaded and streams
# while its source is written to; kill -9 of daemon and workers, a store that is
# gone, a second gateway, a conflict (R17-R29, R88; house 7).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::MariaDB->new } 1 .. 2;
schema($source);
fill($source, 2000);

sub channel {
    my ($daemon, $more) = @_;
    my $file = sprintf "source = { %s };\ntarget = { %s };\nobjects = ( { database = \"shop\"; } );\nchunk_rows = 300;\n%s",
        Syncline::Pair::endpoint($source), Syncline::Pair::endpoint($target), $more // '';
    $daemon->write_file('conf.d/shop.conf', $file);
    chmod 0600, "$daemon->{dir}/conf.d/shop.conf";
    return $daemon;
}

sub workers {
    my ($daemon) = @_;
    my %of;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $file or next;
        my ($pid, $name, $parent) = (<$f> // '') =~ /^(\d+) \((.*)\) \S (\d+)/ or next;
        push @{$of{$parent}}, $pid if $name =~ /^syncline-/;
    }
    return @{$of{$daemon->{pid}} // []};
}

# Every row of the source is at the target: the source is quiet, so equality ends the wait.
sub equal {
    my ($seconds) = @_;
    my ($end, @different) = (time + ($seconds // 60));
    do { @different = compare($source, $target, 'shop'); sleep 0.2 if @different } while (@different && time < $end);
    return join "\n", @different;
}

my $daemon = channel(Syncline::Daemon->new(real_workers => 1))->start;
my $load = Syncline::Load->start($source, writers => 4, seed => 7, pause => 0.004);
is($daemon->wait_state('shop', 'Synchronizing', 60), 'Synchronizing', 'its rows are loaded while they change') or diag $daemon->log;

# kill -9 of daemon and workers.
for my $round (1 .. 4) {
    sleep 0.3;
    my @workers = workers($daemon);
    if ($round % 2) {
        kill 'KILL', $daemon->{pid};
        is($daemon->wait_end, 'signal 9', "round $round: the daemon is killed");
        ok($daemon->until(sub { !grep { kill 0, $_ } @workers }, 5), "round $round: its workers do not outlive it");
        $daemon->start;
    } else {
        kill 'KILL', $workers[rand @workers] if @workers;
    }
    ok($daemon->wait_flowing('shop', 20), "round $round: the channel runs again by itself") or diag $daemon->log;
}
my $transactions = $load->stop;
is(equal(), '', "equal after $transactions transactions") or diag $daemon->log;
my $status;
$daemon->until(sub { $status = $daemon->status('shop'); $status->{metrics}{caught_up} }, 10);
is_deeply([grep { $_->{state} ne 'streaming' } @{$status->{table_list}}], [], 'status says that every table streams');

cmp_ok(abs($status->{metrics}{source_clock_offset_us}), '<', 5e5, "the source's clock is ours: one machine");
isnt($status->{metrics}{source_clock_offset_us}, 0, 'and was asked');
is($status->{metrics}{source_backlog_bytes}, 0, 'nothing of the log is left to read');

# A store that is gone is rebuilt from the target; nothing that was paused starts by that.
$daemon->tool('pause', 'shop', '--wait');
is($daemon->state('shop'), 'Paused', 'paused');
is($daemon->stop, 0, 'TERM drains');
remove_tree("$daemon->{dir}/state");
$daemon->start;
sleep 1;
unlike($daemon->state('shop'), qr/^Synchronizing$/, 'without its store the daemon does not start what was paused');
is(scalar(workers($daemon)), 0, 'no worker runs');
$source->sql('INSERT INTO shop.word VALUES ("after", "xx", 1)');
$daemon->tool('resume', 'shop', '--wait');
$daemon->tool('start', 'shop', '--wait') if $daemon->state('shop') ne 'Synchronizing';
is(equal(20), '', 'and goes on from the target alone') or diag $daemon->log;

# Another gateway takes the channel over; the first one is fenced and stays down.
my $other = channel(Syncline::Daemon->new(real_workers => 1, settings => {log_format => '"json"'}))->start;
ok($other->wait_flowing('shop', 20), 'a second gateway runs the channel') or diag $other->log;
$source->sql('INSERT INTO shop.word VALUES ("second", "xx", 1)');
is(equal(20), '', 'it goes on where the first one was') or diag $other->log;
ok($daemon->until(sub { my $s = $daemon->status('shop'); $s && !$s->{flowing} && $s->{cause} && $s->{cause}{class} eq 'fenced' && $s->{cause}{text} =~ /another gateway/ }, 10),
    'the first one says that it was fenced')
    or diag explain($daemon->status('shop')), $daemon->log;
sleep 1.5;
is(scalar(workers($daemon)), 0, 'and stays down');
is($daemon->stop, 0, 'it ends');

# A conflict stops the channel with its reason, the key and both images.
$target->sql('UPDATE shop.word SET hits = 77 WHERE w = "second"', 'DELETE FROM shop.word WHERE w = "after"');
$source->sql('UPDATE shop.word SET hits = 2 WHERE w = "after"');
is($other->wait_state('shop', 'Synchronization Failed', 20), 'Synchronization Failed', 'a row that is missing at the target is a conflict');
my ($exit, $out) = $other->tool('errors', 'shop');
like($out, qr/word.*after/s, 'errors names table and key');
sleep 1;
is(scalar(workers($other)), 0, 'nothing restarts');
$target->sql('INSERT INTO shop.word VALUES ("after", "xx", 1)', 'UPDATE shop.word SET hits = 1 WHERE w = "second"');
$other->tool('start', 'shop', '--wait');
is(equal(20), '', 'put right and started again it goes on, without a loss') or diag $other->log;
is($other->stop, 0, 'the end');
my @lines = split /\n/, $other->log;
is_deeply([grep { !eval { JSON::PP::decode_json($_) } } @lines], [], 'its log was JSON lines');
ok((grep { /"writer"/ } @lines), "also the workers'") or diag $other->log;

done_testing;
