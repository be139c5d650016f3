# Deaths: who is started again, when, and what people see of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;
use Time::HiRes qw(time sleep);

my $d = Syncline::Daemon->new;
$d->channel('a')->channel('b')->start;
is($d->wait_state($_, 'Synchronizing'), 'Synchronizing', "$_ is loaded") for qw(a b);
my $b_before = $d->status('b');

# ---- kill -9 of either ends both; a new generation ----

for my $role (qw(reader writer)) {
    my $old = $d->status('a');
    kill 'KILL', $old->{"${role}_pid"};
    my $new = $d->until(sub { my $s = $d->status('a'); $s->{flowing} && $s->{generation} > $old->{generation} && $s });
    ok($new, "killed the $role: it flows again");
    isnt($new->{reader_pid}, $old->{reader_pid}, 'another reader');
    isnt($new->{writer_pid}, $old->{writer_pid}, 'another writer');
    ok(!kill(0, $old->{reader_pid}) && !kill(0, $old->{writer_pid}), 'the old ones are gone');
    is($new->{state}, 'Synchronizing', 'the state has not moved');
    is($new->{restarts}{count}, $old->{restarts}{count} + 1, 'the restart is counted');
    like((map {$_->{text} // ''} @{$new->{history}})[0], qr/the $role was killed by signal 9/, 'and told');
}
is($d->status('b')->{reader_pid}, $b_before->{reader_pid}, 'the other channel felt nothing');

# ---- back-off, seen ----

$d->fake('writer.start', "retry+ the target is away\n");
kill 'KILL', $d->status('a')->{writer_pid};
my $seen = $d->until(sub {
    my $s = $d->status('a');
    $s->{restarts}{failures_in_a_row} >= 4 && defined $s->{restarts}{next} && $s;
});
ok($seen, 'failures in a row are counted while the target is away');
is($seen->{activity}, 'waiting to start again', 'what it does');
is($seen->{restarts}{last_failure}{text}, 'the target is away', 'why');
is($seen->{restarts}{last_failure}{class}, 'retry', 'the class');
cmp_ok($seen->{restarts}{next}, '<', time + 1.1, 'the next start is not later than restart_delay_max');
my ($exit, $out) = $d->tool('status', 'a');
like($out, qr/restarts\s+\d+, failures in a row \d+, next start at.*last failure\s+the target is away/s, 'for people, too');
$d->unfake('writer.start');
ok($d->wait_flowing('a'), 'it comes back when the target does');

is(($d->tool('pause', 'b', '--wait'))[0], 0, 'b rests: the orders below are for a');

# ---- classes that are not restarted ----

for my $case (['conflict', 66], ['data', 65], ['config', 78], ['fenced', 67]) {
    my ($class, $status) = @$case;
    $d->fake('writer.fail', "$class row id=5 is in the way\n");
    is($d->wait_state('a', 'Synchronization Failed'), 'Synchronization Failed', "$class: Synchronization Failed (R20)");
    my $s = $d->status('a');
    ok($s->{idle}, 'nothing is started again');
    is($s->{cause}{class}, $class, 'the class is kept');
    is($s->{cause}{exit}, $status, "that is $status");
    is("$s->{cause}{text}; $s->{cause}{remedy}", 'row id=5 is in the way; tell it otherwise', 'text and remedy');
    ($exit) = $d->tool('start', 'a', '--wait');
    is($exit, 0, 'a person starts it again');
}
($exit, $out) = $d->tool('errors', 'a');
like($out, qr/row id=5 is in the way/, 'errors lists what there was');

# ---- a hung worker ----

my $old = $d->status('a');
kill 'STOP', $old->{reader_pid};
my $new = $d->until(sub { my $s = $d->status('a'); $s->{flowing} && $s->{generation} > $old->{generation} && $s });
ok($new, 'a worker that reports nothing is replaced');
ok(!kill(0, $old->{reader_pid}), 'the hung one is gone');
like(join("\n", map {$_->{text} // ''} @{$new->{history}}), qr/reader has reported nothing for 2000 ms/, 'and the reason told');

# ---- a long statement is no hang ----

$d->fake('writer.busy', "\n");
$d->until(sub { sleep 1.2; 1 });    # one report goes by: that it is busy must have been said
$old = $d->status('a');
kill 'STOP', $old->{writer_pid};
my $end = time + 3;
$d->until(sub { time > $end || !$d->status('a')->{flowing} }, 5);
is($d->status('a')->{generation}, $old->{generation}, 'a writer inside one long statement counts as alive');
kill 'CONT', $old->{writer_pid};
is($d->stop, 0, 'and ends when it is told to');
done_testing;
