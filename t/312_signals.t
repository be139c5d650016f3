# TERM drains, a second TERM and QUIT do not wait, USR1 opens the log again,
# and what the service manager hears.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Socket;
use Syncline::Daemon;
use Test::More;
use Time::HiRes qw(time);

my $d = Syncline::Daemon->new;
$d->channel('a')->start;
ok($d->wait_flowing('a'), 'it flows');
is($d->stop, 0, 'TERM');
like($d->said, qr/reader (\d+) drain.*writer \1 drain/s, 'TERM drains');
like($d->log, qr/synclined ends/, 'and says so');
ok(!-e "$d->{dir}/run/control.sock", 'the socket is gone');

# ---- a drain that takes long ----

$d = Syncline::Daemon->new;
$d->channel('a')->fake('reader.slow', "\n")->start;
ok($d->wait_flowing('a'), 'it flows');
$d->signal('TERM');
ok($d->until(sub { $d->said =~ /reader \d+ drain/ }), 'it drains');
ok(!$d->ended, 'and waits');
my ($exit) = $d->tool('list');
is($exit, 0, 'the tool works meanwhile');
my $began = time;
$d->signal('TERM');
is($d->wait_end(5), 0, 'a second TERM ends at the last commit');
cmp_ok(time - $began, '<', 4, 'soon');

$d = Syncline::Daemon->new;
$d->channel('a')->fake('reader.slow', "\n")->start;
$d->wait_flowing('a');
is($d->signal('QUIT')->wait_end(5), 0, 'QUIT does not wait at all');
unlike($d->said, qr/ drain/, 'it did not drain');

$d = Syncline::Daemon->new(settings => {drain_timeout => '"300ms"'});
$d->channel('a')->fake('reader.slow', "\n")->start;
$d->wait_flowing('a');
is($d->stop, 0, 'drain_timeout bounds the drain');
like($d->log, qr/longer than drain_timeout/, 'and it is said');

# ---- kill -9 of the daemon ----

$d = Syncline::Daemon->new;
$d->channel('a')->start;
my $s = $d->wait_flowing('a');
$d->signal('KILL');
is($d->wait_end, 'signal 9', 'the daemon is killed');
ok($d->until(sub { !kill(0, $s->{reader_pid}) && !kill(0, $s->{writer_pid}) }), 'its workers go with it');
$d->start;
ok($d->wait_flowing('a'), 'the next one goes on, over the socket left behind');
$d->stop;

# ---- the log file ----

$d = Syncline::Daemon->new;
$d->configure(log_file => "\"$d->{dir}/file.log\"")->channel('a')->start;
ok($d->wait_flowing('a'), 'it flows');
like($d->read_file('file.log'), qr/synclined .* starts/, 'it logs to its file');
rename "$d->{dir}/file.log", "$d->{dir}/file.log.1";
$d->signal('USR1');
ok($d->until(sub { $d->read_file('file.log') =~ /opened again/ }), 'USR1: a new file');
$d->fake('writer.fail', "conflict it broke\n");
ok($d->until(sub { $d->read_file('file.log') =~ /writer\[\d+\] a: it broke/ }), 'workers write to it, too');
unlike($d->read_file('file.log.1'), qr/it broke/, 'and not to the old one');
$d->stop;

# ---- the service manager ----

$d = Syncline::Daemon->new(env => {NOTIFY_SOCKET => '', WATCHDOG_USEC => 400_000});
my $path = "$d->{dir}/notify";
$d->{env}{NOTIFY_SOCKET} = $path;
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die $!;
$notify->blocking(0);
my $heard = '';
my $hear = sub {
    my ($want) = @_;
    return $d->until(sub { my $m; while (defined $notify->recv($m, 4096)) { $heard .= "$m\n" } $heard =~ $want });
};
$d->channel('a')->start;
ok($hear->(qr/^READY=1$/m), 'READY');
ok($hear->(qr/^STATUS=1 channels, 1 flow/m), 'STATUS');
ok($hear->(qr/^WATCHDOG=1$/m), 'WATCHDOG');
$heard = '';
$d->signal('HUP');
ok($hear->(qr/^RELOADING=1.*^READY=1$/ms), 'RELOADING, then READY');
$d->signal('TERM');
ok($hear->(qr/^STOPPING=1$/m), 'STOPPING');
is($d->wait_end, 0, 'the end');

# ---- -d ----

$d = Syncline::Daemon->new;
$d->configure(log_file => "\"$d->{dir}/file.log\"")->channel('a')->start('-d');
is($d->wait_end, 0, 'the first process ends when the daemon is up');
my ($pid) = $d->read_file('run/synclined.pid') =~ /^(\d+)$/;
ok($pid && kill(0, $pid), 'the pid file names one that lives');
ok($d->wait_flowing('a'), 'it works');
kill 'TERM', $pid;
ok($d->until(sub { !-e "$d->{dir}/run/synclined.pid" }), 'TERM ends it, the pid file goes');
done_testing;
