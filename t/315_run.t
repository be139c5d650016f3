# `syncline run`: one channel in the foreground, without a daemon.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;    # its directory and files; it is not started
$d->channel('one');
my $file = "$d->{dir}/conf.d/one.conf";
my $libexec = "$d->{dir}/libexec";
$ENV{TMPDIR} = "$d->{dir}";

sub run { return $d->tool('run', $file, '--libexec', $libexec, @_) }

sub begin {
    my @words = @_;
    unlink "$d->{dir}/run.err";
    my $pid = fork // die $!;
    if ($pid == 0) {
        $ENV{SYNCLINE_FAKE_DIR} = "$d->{dir}/fake";
        open STDERR, '>', "$d->{dir}/run.err" or die $!;
        exec "$Syncline::Daemon::build/syncline", 'run', $file, '--libexec', $libexec, @words;
    }
    return $pid;
}

sub ended { my ($pid) = @_; waitpid $pid, 0; return $? & 127 ? "signal " . ($? & 127) : $? >> 8 }

my ($exit, $out, $err) = run('--until', 'loaded');
is($exit, 0, '--until loaded');
like($err, qr/one: done, loaded/, 'says so');
like($d->said, qr/reader (\d+) drain.*writer \1 drain/s, 'and drains');
is_deeply([glob "$d->{dir}/syncline-run-*"], [], 'its temporary state is gone');

($exit, $out, $err) = run('--until', 'caught-up', '--state', "$d->{dir}/st");
is($exit, 0, '--until caught-up');
ok(-e "$d->{dir}/st/syncline.db", '--state keeps the state');
unlike($err, qr/[\r\033]/, 'plain lines when piped');

$d->fake('reader.behind', "\n");
my $pid = begin('--until', 'caught-up', '--verbose');
ok($d->until(sub { $d->read_file('run.err') =~ /Synchronizing/ }), 'it runs while the source is ahead');
is(waitpid($pid, 1), 0, 'and does not end');
$d->unfake('reader.behind');
is(ended($pid), 0, 'until it has caught up');

$pid = begin('--verbose');
ok($d->until(sub { $d->read_file('run.err') =~ /flows/ }), 'without --until it runs on');
kill 'TERM', $pid;
is(ended($pid), 0, 'TERM drains, that is a good end');
$d->fake('reader.behind', "\n");
$pid = begin('--verbose', '--until', 'caught-up');
ok($d->until(sub { $d->read_file('run.err') =~ /flows/ }), 'with --until');
kill 'INT', $pid;
is(ended($pid), 1, 'INT before it is reached is a failure');
$d->unfake('reader.behind');

# ---- the one table of statuses ----

$d->fake('writer.check', "fail no rights\n");
($exit, $out, $err) = run('--until', 'loaded');
is($exit, 78, 'a failed precheck');
like("$out$err", qr/^fail\s+Destination.*remedy: mend it/ms, 'with its items');
$d->unfake('writer.check');
$d->fake('writer.start', "conflict row id=5\n");
($exit, $out, $err) = run('--until', 'loaded');
is($exit, 66, 'a conflict');
like($err, qr/syncline: row id=5\n  what to do: tell it otherwise/, 'text and remedy');
$d->fake('writer.start', "retry not now\n");
($exit, $out, $err) = run('--until', 'loaded', '--state', "$d->{dir}/st");
is($exit, 0, 'what may heal is tried again');
$d->fake('writer.start', "data bad row\n");
($exit) = run('--until', 'loaded', '--state', "$d->{dir}/st2");
is($exit, 65, 'data');
($exit) = run('--until', 'loaded', '--state', "$d->{dir}/st2");
is($exit, 0, 'run again: a failed channel tries again');

$d->channel('two', more => "lannes = 1;");
($exit, $out, $err) = $d->tool('run', "$d->{dir}/conf.d/two.conf");
is($exit, 78, 'a mistake in the file');
like($err, qr{conf.d/two.conf:\d+: error: .*lanes}, 'with its place');
($exit, $out, $err) = $d->tool('run', $file, '--libexec', '/nowhere', '--until', 'loaded');
is($exit, 78, 'no workers');
like($err, qr{cannot execute the worker /nowhere/syncline-}, 'says where it looked');

# ---- a wish that the target remembers ----

$d->fake('wish', "paused\n");
my $starts = () = $d->said =~ /reader \d+ start/g;
($exit, $out, $err) = run('--until', 'loaded');
is($exit, 1, 'what was paused is not started');
like($err, qr/is Paused at its target.*--start/s, 'and how to');
is(scalar(() = $d->said =~ /reader \d+ start/g), $starts, 'nothing flowed');
($exit) = run('--until', 'loaded', '--start');
is($exit, 0, '--start');
is($d->read_file('fake/wish'), "running\n", 'the target knows');

# ---- check of a file ----

($exit, $out) = $d->tool('check', $file, '--libexec', $libexec);
is($exit, 0, 'check FILE needs no daemon');
like($out, qr/^pass\s+Source/m, 'its items');

SKIP: {
    skip 'needs root to become somebody else', 2 if $> != 0;
    my $nobody = (getpwnam 'nobody')[2];
    my $p = fork // die $!;
    chmod 0777, $d->{dir}, "$d->{dir}/fake";
    chmod 0666, "$d->{dir}/fake/log", "$d->{dir}/fake/wish";
    if ($p == 0) {
        $ENV{SYNCLINE_FAKE_DIR} = "$d->{dir}/fake";
        open STDERR, '>', "$d->{dir}/nobody.err" or die $!;
        POSIX::setuid($nobody);
        exec "$Syncline::Daemon::build/syncline", 'run', $file, '--libexec', $libexec, '--until', 'loaded';
    }
    waitpid $p, 0;
    is($? >> 8, 0, 'any user may run it') or diag $d->read_file('nobody.err');
    is_deeply([glob "$d->{dir}/syncline-run-*"], [], 'and leaves nothing');
}

# ---- the real thing, with fake ends ----

my $real = Syncline::Daemon->new(real_workers => 1);
$real->channel('real', source => 'tables = 3; rows = 500; transactions = 3000; seed = 7;');
($exit, $out, $err) = $real->tool('run', "$real->{dir}/conf.d/real.conf", '--libexec', "$real->{dir}/libexec", '--until', 'caught-up');
is($exit, 0, 'real workers, fake ends') or diag $err;
like(`ASAN_OPTIONS=detect_leaks=0 $Syncline::Daemon::build/t/tools/fake_check $real->{dir}/conf.d/real.conf $real->{dir}/real.journal 2>&1`,
    qr/^ok txn=3000 /, 'every commit was a prefix of the source');
done_testing;
