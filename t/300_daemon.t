# A channel's life under the daemon: the states of spec S1.2 and what the
# operator may do (R17-R26).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;
$d->fake('reader.tables', "3 1\n")->channel('orders')->start;

is($d->wait_state('orders', 'Performing Initial Synchronization'), 'Performing Initial Synchronization',
    'a new file starts by itself after its precheck (R18, R19)');
ok($d->until(sub { $d->said =~ /reader \d+ check.*writer \d+ start.*reader \d+ start/s }), 'precheck, then target, then source') or diag $d->said;
$d->fake('reader.tables', "3 3\n");
is($d->wait_state('orders', 'Synchronizing'), 'Synchronizing', 'all tables stream: Synchronizing (R19)');

my ($exit, $out, $err) = $d->tool('list');
is($exit, 0, 'list');
like($out, qr/^orders\s+Synchronizing/m, 'the state by its name (R26)');

($exit, $out) = $d->tool('pause', 'orders', '--wait');
is($exit, 0, 'pause --wait');
is($out, "orders: Paused\n", 'what it says');
is($d->read_file('fake/wish'), "paused\n", 'the target knows the wish');
my $s = $d->status('orders');
ok($s->{idle}, 'nothing runs');
ok($s->{wish_in_target}, 'and the store knows that the target does');
like($d->said, qr/reader (\d+) drain.*writer \1 drain/s, 'the pair was drained: reader first');

($exit) = $d->tool('pause', 'orders');
is($exit, 1, 'a paused channel cannot be paused');
($exit) = $d->tool('resume', 'orders', '--wait');
is($exit, 0, 'resume --wait (R21)');
is($d->state('orders'), 'Synchronizing', 'it does not load again');
is($d->until(sub { $d->read_file('fake/wish') eq "running\n" }), 1, 'the target knows that, too');

($exit) = $d->tool('stop', 'orders', '--wait');
is($exit, 0, 'stop --wait (R22)');
is($d->state('orders'), 'Completed', 'Completed (R23)');
is($d->read_file('fake/wish'), "completed\n", 'the target knows it');
for my $verb (qw(start pause stop)) {
    ($exit, $out, $err) = $d->tool($verb, 'orders');
    is($exit, 1, "a completed channel refuses $verb");
    like($err, qr/is Completed.*what to do/s, 'and says why');
}

($exit, $out, $err) = $d->tool('reset', 'orders');
is($exit, 1, 'reset asks, and no answer is no (R24)');
is($d->state('orders'), 'Completed', 'nothing was done');
($exit) = $d->tool('reset', 'orders', '--yes', '--wait');
is($exit, 0, 'reset --yes (R25)');
is($d->state('orders'), 'Not Configured', 'Not Configured');
ok(!-e "$d->{dir}/fake/wish", 'the target was cleared');
($exit) = $d->tool('reset', 'orders', '--yes');
is($exit, 1, 'there is nothing to reset now');

is($d->stop, 0, 'TERM ends the daemon');
$d->start;
is($d->state('orders'), 'Not Configured', 'after a reset it waits for a start');
($exit) = $d->tool('start', 'orders', '--wait', '--timeout', '10s');
is($exit, 0, 'which it gets');
is($d->stop, 0, 'TERM again');
$d->start;
ok($d->wait_flowing('orders'), 'a channel that ran runs again');
is($d->state('orders'), 'Synchronizing', 'in its state');
($exit) = $d->tool('pause', 'orders', '--wait');
is($d->stop, 0, 'TERM while paused');
$d->start;
is($d->state('orders'), 'Paused', 'a paused channel stays paused');
ok($d->status('orders')->{idle}, 'and idle');
is($d->stop, 0, 'the end');

# ---- a precheck that fails ----

$d = Syncline::Daemon->new;
$d->fake('writer.check', "fail the password is wrong\n")->channel('orders')->start;
is($d->wait_state('orders', 'Precheck Failed'), 'Precheck Failed', 'a failed item blocks the start (R18)');
$s = $d->status('orders');
like($s->{cause}{text}, qr/1 of 2 precheck items failed: Destination database connectivity: the password is wrong/,
    'the cause names the item');
is($s->{cause}{remedy}, 'mend it', 'and the remedy');
is(scalar @{$s->{precheck}}, 2, 'all items are kept (R38)');
unlike($d->said, qr/ start$/m, 'no worker was started for more');
($exit, $out) = $d->tool('check', 'orders');
is($exit, 78, 'check says so, too');
like($out, qr/^pass\s+Source.*^fail\s+Destination.*cause: the password is wrong.*remedy: mend it/ms, 'with its items');
($exit, $out) = $d->tool('check', 'orders', '--sql');
is($out, "-- the reader wants this\n-- the writer wants this\n", 'check --sql');
($exit, $out, $err) = $d->tool('start', 'orders', '--wait');
is($exit, 78, 'start --wait tells the class of the failure');
like($err, qr/password is wrong/, 'and the reason');
$d->fake('writer.check', "warn the versions differ\n");
($exit) = $d->tool('start', 'orders', '--wait');
is($exit, 0, 'a warning is no obstacle');
$d->stop;

# A precheck that could not be made is made again: nothing was found wrong.
$d = Syncline::Daemon->new;
$d->fake('writer.checking', "retry the connection was lost\n")->channel('orders')->start;
is($d->wait_state('orders', 'Synchronizing'), 'Synchronizing', 'a precheck whose connection was lost is made again');
is($d->status('orders')->{restarts}{count}, 1, 'and that is counted');
$d->stop;

done_testing;
