# The store: damaged, missing, newer; what was paused or stopped never starts by that.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

for my $case (['pause', 'Paused'], ['stop', 'Completed']) {
    my ($verb, $state) = @$case;
    my $d = Syncline::Daemon->new;
    $d->channel('a')->start;
    ok($d->wait_flowing('a'), 'it flows');
    is(($d->tool($verb, 'a', '--wait'))[0], 0, $verb);
    is($d->stop, 0, 'the daemon ends');
    my $starts = () = $d->said =~ /reader \d+ start/g;
    if ($verb eq 'pause') {
        unlink glob "$d->{dir}/state/*";
    } else {
        $d->write_file('state/syncline.db', 'x' x 100_000);
    }
    $d->start;
    is($d->wait_state('a', $state), $state, "store lost: the target knows that it was $state");
    ok($d->until(sub { $d->status('a')->{idle} }), 'it rests');
    is(scalar(() = $d->said =~ /reader \d+ start/g), $starts, 'nothing flowed');
    if ($verb eq 'pause') {
        is(($d->tool('start', 'a', '--wait'))[0], 0, 'and starts when it is told to');
    } else {
        like($d->log, qr/was damaged; it was moved to/, 'the damage is said');
        is(scalar(() = glob "$d->{dir}/state/syncline.db.damaged-*"), 1, 'the damaged file is kept');
    }
    $d->stop;
}

# ---- a wish that could not be told at once ----

my $d = Syncline::Daemon->new(settings => {restart_delay_max => '"200ms"'});
$d->channel('a')->start;
ok($d->wait_flowing('a'), 'it flows');
$d->fake('writer.start', "retry+ the target is away\n");
kill 'KILL', $d->status('a')->{writer_pid};
ok($d->until(sub { $d->status('a')->{restarts}{failures_in_a_row} > 1 }), 'the target is away');
is(($d->tool('pause', 'a'))[0], 0, 'pause is accepted at once');
is($d->state('a'), 'Paused', 'and holds');
ok($d->until(sub { $d->status('a')->{restarts}{failures_in_a_row} > 1 }), 'it tries to tell the target');
$d->unfake('writer.start');
ok($d->until(sub { $d->read_file('fake/wish') eq "paused\n" }), 'the target is told when it is back');
ok($d->until(sub { my $s = $d->status('a'); $s->{wish_in_target} && $s->{idle} }), 'then nothing runs');
$d->stop;

# ---- a reset that could not be done at once ----

$d->start;
$d->fake('writer.clear', "config no rights to drop\n");
is(($d->tool('reset', 'a', '--yes', '--wait'))[0], 78, 'a reset that fails says so');
my $s = $d->status('a');
like($s->{cause}{text}, qr/the reset is not done: no rights to drop/, 'and what is missing');
is(($d->tool('start', 'a'))[0], 1, 'nothing starts before it is done');
is($d->stop, 0, 'the daemon ends');
$d->start;
ok($d->until(sub { !-e "$d->{dir}/fake/wish" }), 'the next daemon does it');
is($d->wait_state('a', 'Not Configured'), 'Not Configured', 'Not Configured');
$d->stop;

# ---- what the source keeps goes with a stop and a reset, when the target has done its part ----

$d->start;
is(($d->tool('start', 'a', '--wait'))[0], 0, 'it begins again');
$d->fake('reader.clear', "config+ the slot is not ours\n");
is(($d->tool('stop', 'a', '--wait'))[0], 78, 'a stop that leaves something at the source says so');
$s = $d->status('a');
is($s->{state}, 'Completed', 'Completed all the same');
like($s->{cause}{text}, qr/the stop is not done: the slot is not ours/, 'and what is missing');
is($d->read_file('fake/wish'), "completed\n", 'the target knows it');
is(($d->tool('reset', 'a', '--yes', '--wait'))[0], 78, 'nor is a reset done');
like($d->status('a')->{cause}{text}, qr/the reset is not done: the slot is not ours/, 'and says so');
ok(!-e "$d->{dir}/fake/wish", 'but at the target');
$d->unfake('reader.clear');
is(($d->tool('reset', 'a', '--yes', '--wait'))[0], 0, 'until the source lets it go');
is($d->status('a')->{cause}, undef, 'then nothing is missing');
$d->stop;

# ---- a newer store ----

system('sqlite3', "$d->{dir}/state/syncline.db", 'PRAGMA user_version = 77') == 0 or plan skip_all => 'no sqlite3';
$d->start;
is($d->wait_end, 78, 'a newer store is refused');
like($d->log, qr/version 77; this program knows versions up to/, 'and named');

# ---- two daemons ----

$d = Syncline::Daemon->new;
$d->channel('a')->start;
$d->wait_flowing('a');
my $second = `$Syncline::Daemon::build/synclined -c $d->{dir}/syncline.conf 2>&1`;
is($? >> 8, 78, 'a second daemon on one state directory is refused');
like($second, qr/another supervisor uses the state directory/, 'and told why');
$d->stop;
done_testing;
