# Reload: the plan, all or nothing, and who is restarted (R32, R33).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;
$d->channel('a')->channel('b')->channel('c')->start;
ok($d->wait_flowing($_), "$_ flows") for qw(a b c);
is($d->wait_state($_, 'Synchronizing'), 'Synchronizing', "$_ is loaded") for qw(a b c);
my %pid = map {$_ => $d->status($_)->{reader_pid}} qw(a b c);

my ($exit, $out, $err) = $d->tool('reload');
is($exit, 0, 'reload');
is($out, "nothing changes\n", 'nothing changes');

# ---- all or nothing ----

$d->channel('a', more => 'group_rows = 7;')->channel('b', more => 'lannes = 3;')->channel('new');
($exit, $out, $err) = $d->tool('reload');
is($exit, 78, 'a mistake in one file refuses all');
like($err, qr{conf.d/b.conf:\d+: error: .*lannes.*did you mean "lanes"}, 'with its place and a suggestion');
is($d->status($_)->{reader_pid}, $pid{$_}, "$_ runs on") for qw(a b c);
is($d->status('new'), undef, 'the new one is not there');
$d->signal('HUP');
ok($d->until(sub { $d->log =~ /reload: .*lannes/ }), 'HUP says so in the log');
is($d->status('a')->{reader_pid}, $pid{a}, 'and changes nothing either');

# ---- dry run, then the same by HUP ----

$d->channel('b');
unlink "$d->{dir}/conf.d/c.conf";
my @plan = (
    qr/^a: group_rows: 1000 -> 7 \(restart channel\)$/m,
    qr/^c: stops, its file is gone; source and target keep what it needs to go on, such as log for a replication slot, until a reset$/m,
    qr/^new: new, starts after its precheck$/m);
($exit, $out) = $d->tool('reload', '--dry-run');
is($exit, 0, 'reload --dry-run');
like($out, $_, "the plan: $_") for @plan;
is($d->status($_)->{reader_pid}, $pid{$_}, "$_ runs on") for qw(a b c);
$d->signal('HUP');
ok($d->until(sub { my $s = $d->status('a'); $s->{flowing} && $s->{reader_pid} != $pid{a} }), 'a: drained, and restarted');
is($d->state('a'), 'Synchronizing', 'its state stays');
is($d->status('a')->{restarts}{count}, 0, 'that is no failure');
ok($d->until(sub { !$d->status('c') }), 'c is gone');
is($d->wait_state('new', 'Synchronizing'), 'Synchronizing', 'new has started');
is($d->status('b')->{reader_pid}, $pid{b}, 'b felt nothing');
like($d->log, qr/reload: a: group_rows/, 'the plan is logged');

# ---- a live setting restarts nothing ----

my $pid = $d->status('a')->{reader_pid};
$d->channel('a', more => "group_rows = 7;\nname = \"Orders of the shop\";");
($exit, $out) = $d->tool('reload');
like($out, qr/^a: name: unset -> Orders of the shop \(live\)$/m, 'live');
is($d->status('a')->{name}, 'Orders of the shop', 'it holds');
is($d->status('a')->{reader_pid}, $pid, 'the pair runs on');

# ---- objects: prechecked again, allowed in some states only ----

my $checks = () = $d->said =~ / check$/mg;
$d->channel('a', objects => '{ database = "fake"; }, { database = "more"; }', more => "group_rows = 7;\nname = \"x\";");
($exit, $out) = $d->tool('reload');
is($exit, 0, 'objects change in Synchronizing (R32)');
ok($d->until(sub { my $s = $d->status('a'); $s->{flowing} && $s->{reader_pid} != $pid }), 'it goes on');
is($d->wait_state('a', 'Synchronizing'), 'Synchronizing', 'as Synchronizing');
cmp_ok(scalar(() = $d->said =~ / check$/mg), '>', $checks, 'after a precheck (R33)');

$d->tool('stop', 'a', '--wait');
$d->channel('a', objects => '{ database = "fake"; }', more => "group_rows = 7;\nname = \"x\";");
($exit, $out, $err) = $d->tool('reload');
is($exit, 78, 'not in Completed');
like($err, qr/Synchronizing, Paused and Synchronization Failed only/, 'as the spec says');
$d->channel('a', objects => '{ database = "fake"; }, { database = "more"; }', more => "group_rows = 7;\nname = \"x\";");

# ---- what belongs to the target's data ----

$d->channel('b', more => 'initial = ["data"];');
($exit, $out, $err) = $d->tool('reload');
is($exit, 78, 'a setting that is never reloaded refuses');
like($err, qr/b.conf: error: .*reset the channel first/, 'and says what to do');
is($d->stop, 0, 'the end');
done_testing;
