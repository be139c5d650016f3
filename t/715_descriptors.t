# No descriptor left, no process to be had: the daemon says so, idles, keeps what runs
# running, and goes on by itself when there are some again (reliability R4).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Syncline::OS;
use File::Temp;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep time);

sub lowest_free { my ($pid) = @_; my $n = 0; $n++ while -l "/proc/$pid/fd/$n"; return $n }

sub limit { my ($pid, $n) = @_; system('prlimit', '--pid', $pid, "--nofile=$n:") == 0 or die "prlimit: $?" }

sub cpu {
    my ($pid) = @_;
    open my $f, '<', "/proc/$pid/stat" or die "stat: $!";
    my @s = split ' ', <$f> =~ s/.*\)//r;
    return ($s[11] + $s[12]) / 100;
}

{
    my $d = Syncline::Daemon->new;
    $d->channel('a');
    # As a careful shell has it.
    limit($$, 64);
    $d->start;
    limit($$, 1024);
    ok($d->wait_flowing('a'), 'a soft limit of 64 is raised');
    my $pid = $d->{pid};
    my $before = $d->status('a');

    limit($pid, lowest_free($pid));
    my @waiting = (IO::Socket::UNIX->new(Peer => "$d->{dir}/run/control.sock"), IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $d->{port}));
    is(scalar(grep { defined } @waiting), 2, 'two connections wait to be taken');
    ok($d->until(sub { $d->log =~ /cannot take a connection on .*control\.sock: Too many open files/ }), 'no descriptor: it is said');
    my ($cpu, $began) = (cpu($pid), time);
    sleep 2;
    cmp_ok((cpu($pid) - $cpu) / (time - $began), '<', 0.05, 'no descriptor: it rests');
    $d->signal('HUP');
    ok($d->until(sub { $d->log =~ /reload|Too many open files.*conf|cannot (?:open|read).*Too many/ }), 'no descriptor: a reload says why it is none') or diag $d->log;
    undef @waiting;
    limit($pid, 4096);
    my $after;
    ok($d->until(sub { ($after = $d->status('a')) && $after->{flowing} }), 'with descriptors it answers again');
    is_deeply([map { $after->{$_} } qw(generation reader_pid writer_pid)], [map { $before->{$_} } qw(generation reader_pid writer_pid)], 'its channel felt nothing');

    # Enough to read files and answer, not for another pair: for its rings, or for its workers' own.
    for my $case ([b => 5], [c => 12]) {
        my ($id, $few) = @$case;
        limit($pid, lowest_free($pid) + $few);
        $d->channel($id);
        $d->tool('reload');
        my $s;
        ok($d->until(sub { ($s = $d->status($id)) && $s->{restarts}{count} > 1 }, 20), "$few more: another channel is tried again and again") or diag $d->log;
        like($s->{restarts}{last_failure}{text} // '', qr/: Too many open files|status 75 \(retry\) before it was ready/, "$few more: it says why") or diag $d->log;
        ok($d->status('a')->{flowing}, "$few more: the other one flows");
        ($cpu, $began) = (cpu($pid), time);
        sleep 2;
        cmp_ok((cpu($pid) - $cpu) / (time - $began), '<', 0.1, "$few more: no busy loop");
        limit($pid, 4096);
        ok($d->wait_flowing($id, 20), 'with descriptors it starts by itself') or diag $d->log;
    }
    like($d->log, qr/no descriptors for a worker: raise their limit/, 'a worker without descriptors says what to do');
    is($d->status('a')->{generation}, $before->{generation}, 'and the other one was never started again');
    is($d->stop, 0, 'the end');
}

SKIP: {
    skip 'an instrumented build takes no library before its own', 5 if !Syncline::OS::possible($Syncline::Daemon::build);
    my $dir = File::Temp->newdir(TMPDIR => 1);
    my $os = Syncline::OS->new("$dir");
    my $d = Syncline::Daemon->new(env => {$os->env}, preload => $os->library);
    $d->channel('a')->start;
    ok($d->wait_flowing('a'), 'it flows');
    $os->fail('fork', 'EAGAIN', count => 3);
    kill 'KILL', $d->status('a')->{reader_pid};
    ok($d->until(sub { $os->failed('fork') == 3 }, 20), 'three times there was no process to be had');
    like($d->log, qr/cannot fork for .*: Resource temporarily unavailable; started again in \d+ ms/, 'it is said');
    ok($d->wait_flowing('a', 20), 'then there was');
    is($d->stop, 0, 'the end');
}
done_testing;
