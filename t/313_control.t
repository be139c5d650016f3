# The control socket: who may use it, bounds, and the tool's exit statuses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use JSON::PP;
use Syncline::Daemon;
use Test::More;

$SIG{PIPE} = 'IGNORE';
my $d = Syncline::Daemon->new;
my ($exit, $out, $err) = $d->tool('list');
is($exit, 3, 'no daemon: 3');
like($err, qr/cannot reach synclined.*what to do/s, 'and what to do');

$d->channel('a')->start;
ok($d->wait_flowing('a'), 'it flows');
is((stat "$d->{dir}/run/control.sock")[2] & 0777, 0660, 'socket_mode');

# ---- usage ----

for my $words ([], ['lisst'], ['list', '--no'], ['list', '--json=1'], ['status', 'a', 'b'], ['pause'], ['errors', '--limit'],
    ['top', '--interval', 'often'], ['metrics', 'a', '--since', 'x'], ['list', '-x'], ['run', 'x', '--until', 'never']) {
    ($exit, $out, $err) = $d->tool(@$words);
    is($exit, 2, "usage: syncline @$words");
}
($exit, $out) = $d->tool('--help');
is($exit, 0, '--help');
like($out, qr/^  pause /m, 'lists the commands');
($exit, $out) = $d->tool('pause', '--help');
like($out, qr/--timeout TIME/, 'a command has its own');
($exit, $out, $err) = $d->tool('status', 'nobody');
is($exit, 1, 'an unknown channel: 1');
like($err, qr/no channel "nobody"/, 'said');
($exit, $out) = $d->tool('--version');
like($out, qr/^syncline \d/, '--version');

# ---- JSON on all ----

for my $words (['list'], ['status', 'a'], ['errors', 'a'], ['metrics', 'a'], ['check', 'a'], ['reload'], ['start', 'a']) {
    ($exit, $out) = $d->tool(@$words, '--json');
    my $j = eval { decode_json($out || '{}') };
    ok($j, "@$words --json is JSON") or diag $out;
    is($j->{version}, 1, 'and has a version') if $exit == 0;
}
$d->fake('reader.tables', "2 1\n");
$d->channel('b');
$d->tool('reload');
($exit, $out, $err) = $d->tool('reset', 'a', '--yes', '--wait');
($exit, $out, $err) = $d->tool('start', 'a', '--wait', '--timeout', '300ms');
is($exit, 4, 'timed out: 4');
like($err, qr/a: /, 'progress in plain lines when piped');
unlike($err, qr/[\r\033]/, 'without control characters');

# ---- raw requests ----

sub ask {
    my ($line) = @_;
    my $s = IO::Socket::UNIX->new(Peer => "$d->{dir}/run/control.sock") or return 'no connection';
    print $s $line;
    $s->shutdown(1) if $line !~ /\n\z/;
    return scalar(<$s>) // 'closed';
}
like(ask("{\"verb\":\"dance\"}\n"), qr/"ok":false.*dance.*not known/, 'an unknown verb');
like(ask("[1]\n"), qr/"ok":false/, 'no object');
like(ask("{{{\n"), qr/"ok":false/, 'no JSON');
like(ask("{\"verb\":7}\n"), qr/"ok":false/, 'no text');
is(ask('x' x 200_000), 'closed', 'a line without end is cut off');
like(ask('{"verb":"list"}' . "\n" . '{"verb":"list"}' . "\n"), qr/"ok":true/, 'two at once');

my @many = map { IO::Socket::UNIX->new(Peer => "$d->{dir}/run/control.sock") } 1 .. 80;
ok($d->until(sub { (grep { defined $_ && $_->connected } @many) > 0 }), 'many connections');
@many = ();
is(($d->until(sub { ($d->tool('list'))[0] == 0 })), 1, 'and it still answers');

# ---- top ----

my $pid = fork // die $!;
if ($pid == 0) {
    open STDOUT, '>', "$d->{dir}/top.out" or die $!;
    exec "$Syncline::Daemon::build/syncline", 'top', '--interval', '100ms', '--socket', "$d->{dir}/run/control.sock";
}
ok($d->until(sub { my @n = $d->read_file('top.out') =~ /^CHANNEL/mg; @n > 2 }), 'top looks again and again');
kill 'TERM', $pid;
waitpid $pid, 0;

# ---- peers ----

SKIP: {
    skip 'needs root to become somebody else', 6 if $> != 0;
    my ($nobody, $group) = ((getpwnam 'nobody')[2], (getgrnam 'daemon')[2]);
    chmod 0755, $d->{dir};
    chmod 0666, "$d->{dir}/run/control.sock";
    my $as = sub {
        my ($gids) = @_;
        my $p = fork // die $!;
        if ($p == 0) {
            $) = $gids;
            $> = $nobody;
            ($<) = $nobody;
            my $s = IO::Socket::UNIX->new(Peer => "$d->{dir}/run/control.sock") or die $!;
            print $s "{\"verb\":\"list\"}\n";
            my $answer = <$s> // '';
            open my $f, '>', "/tmp/syncline-answer-$$" or die $!;
            print $f $answer;
            close $f;
            require POSIX;
            POSIX::_exit(0);
        }
        waitpid $p, 0;
        open my $f, '<', "/tmp/syncline-answer-$p" or return '';
        my $answer = <$f>;
        unlink "/tmp/syncline-answer-$p";
        return $answer // '';
    };
    my $plain = (getpwnam 'nobody')[3];
    like($as->("$plain $plain"), qr/"ok":false.*not allowed/, 'another user is refused, whatever the file mode is');
    like($d->log, qr/control: user $nobody .* not allowed/, 'and logged');
    $d->stop;
    $d->configure(socket_group => '"daemon"', socket_mode => '"0666"')->start;
    is((stat "$d->{dir}/run/control.sock")[5], $group, 'socket_group owns the socket');
    like($as->("$plain $plain $group"), qr/"ok":true/, 'a member is served');
    like($as->("$group $group"), qr/"ok":true/, 'by the main group, too');
    like($as->("$plain $plain"), qr/not allowed/, 'others are not');
}
$d->stop;
done_testing;
