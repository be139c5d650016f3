# The tool as somebody meets it who does not know it yet: wrong words, no daemon, no
# such channel, no right to the socket. Exit statuses are those of the manual, and
# each text says what to do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;
$d->channel('one');
my %commands = map { my ($name, $arguments, @options) = split /\t/; $name => [$arguments, @options] } split /\n/, `$Syncline::Daemon::build/syncline --dump-commands`;

sub says {
    my ($what, $exit, $text, @words) = @_;
    my ($got, $out, $err) = $d->tool(@words);
    is($got, $exit, "$what: exit $exit") or diag "$out$err";
    like($err, $text, "$what: says so") or diag $out;
    return $err;
}

# ---- words ----

says('no command', 2, qr/a command is missing.*what to do: see `syncline help`/s);
says('no such command', 2, qr/no command "lst".*see `syncline help`/s, 'lst');
says('help of no command', 2, qr/no command "lst"/, 'help', 'lst');
for my $name (sort keys %commands) {
    my ($arguments, @options) = @{$commands{$name}};
    my @needed = map { lc } grep { !/^\[/ } split ' ', $arguments;
    for my $help ([$name, '--help'], ['help', $name]) {
        my ($exit, $out) = $d->tool(@$help);
        is($exit, 0, "@$help");
        like($out, qr/^  \Q$_\E\b/m, "@$help: $_") for @options;
    }
    my $usage = qr/usage: syncline \Q$name\E .*what to do: see `syncline help \Q$name\E`/s;
    says("$name --nosuch", 2, qr/no option "--nosuch".*$usage/s, $name, @needed, '--nosuch');
    says("$name -x", 2, qr/two dashes: "-x".*$usage/s, $name, @needed, '-x');
    says("$name with too much", 2, qr/too many: "more".*$usage/s, $name, ('word') x (split ' ', $arguments), 'more');
    says("$name with too little", 2, qr/an argument is missing.*$usage/s, $name, @needed[1 .. $#needed]) if @needed;
}
my @values = (
    ['errors', '--limit', 'many'], ['errors', '--limit', '0'], ['errors', '--limit', '-3'], ['metrics', 'one', '--since', '5'], ['metrics', 'one', '--since', 'x'],
    ['top', '--interval', '0s'], ['top', '--interval', '1'], ['pause', 'one', '--timeout', 'soon'], ['run', 'one.conf', '--until', 'never'],
);
says("@$_", 2, qr/\Q$_->[-2]\E wants/, @$_) for @values;
says('a value that is missing', 2, qr/a value is missing after "--socket"/, 'list', '--socket');
says('a value for a flag', 2, qr/takes no value/, 'list', '--json=yes');

# ---- files ----

for my $command ('run', 'check') {
    says("$command of no file", 78, qr{cannot read \./nosuch\.conf: No such file}, $command, './nosuch.conf');
    says("$command of a directory", 78, qr/is a directory/, $command, $d->{dir});
}

# ---- no daemon ----

for my $name (grep { $_ ne 'run' } sort keys %commands) {
    my @needed = map { lc } grep { !/^\[/ } split ' ', $commands{$name}[0];
    says("$name without a daemon", 3, qr/cannot reach synclined on \Q$d->{dir}\E.*what to do: start synclined/s, $name, @needed, $name eq 'reset' ? '--yes' : ());
}
says('check of a name that is no file', 3, qr/no file "shop" here, so it is taken for a channel/, 'check', 'shop');

# ---- a daemon ----

$d->start;
$d->wait_state('one', 'Synchronizing', 20);
for my $name (qw(status start resume pause stop reset resync check errors top metrics)) {
    my @more = $name eq 'resync' ? 'a.b' : $name eq 'reset' ? '--yes' : ();
    says("$name of a channel that is not there", 1, qr/no channel "nosuch".*what to do: `syncline list` names/s, $name, 'nosuch', @more);
}
says('resync of a table that is not there', 1, qr/has no table "a\.b".*`syncline status one` lists/s, 'resync', 'one', 'a.b');
says('reset without an answer', 1, qr/Type the channel's name.*nothing was done/s, 'reset', 'one');
is($d->state('one'), 'Synchronizing', 'and nothing was done');

SKIP: {
    skip 'needs root to become somebody else', 2 if $> != 0;
    chmod 0755, $d->{dir}, "$d->{dir}/run";
    my $pid = fork // die $!;
    if ($pid == 0) {
        open STDERR, '>', "$d->{dir}/nobody.err" or die $!;
        open STDOUT, '>&', \*STDERR;
        POSIX::setgid((getpwnam 'nobody')[3]);
        POSIX::setuid((getpwnam 'nobody')[2]);
        exec "$Syncline::Daemon::build/syncline", 'list', '--socket', "$d->{dir}/run/control.sock" or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    cmp_ok($? >> 8, '!=', 0, 'somebody without a right');
    like($d->read_file('nobody.err'), qr/what to do: .*socket_group/, 'and who has one');
}
$d->stop;
done_testing;
