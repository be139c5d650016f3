# Random faults for as long as wanted: workers and daemon killed and frozen, places
# of common/failpoints.def, networks cut, servers restarted and frozen, pauses,
# DDL, a second or so apart, under load. Every 20 s or so the load stops for a
# moment: both ends must be equal, every operation counted once.
# make check-faults SEED=n MINUTES=n; in CI a sample. The pair of engines is chance's,
# or PAIR='mysql -> pgsql'.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Failpoint;
use Syncline::Matrix;
use Syncline::Proxy;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = ($ENV{MINUTES} || 0.5) * 60;
srand $seed;
my @pairs = ('mariadb -> mariadb', 'mysql -> mysql', 'mariadb -> pgsql', 'pgsql -> pgsql', 'pgsql -> mariadb');
my $pair = $ENV{PAIR} || $pairs[rand @pairs];
diag "SEED=$seed MINUTES=" . $seconds / 60 . " PAIR='$pair'";

my %server;
@server{qw(source target)} = Syncline::Channel::servers($pair);
my $from_pg = $server{source}->kind eq 'postgresql';
my %proxy = map { $_ => Syncline::Proxy->new(port => $server{$_}->port) } keys %server;
my $file = $server{source}->dir . '/failpoints';
my $f = Syncline::Failpoint->new($file);
my $c = Syncline::Channel->new(
    %server, source_port => $proxy{source}->port, target_port => $proxy{target}->port,
    build => Syncline::Failpoint::build(), env => {SYNCLINE_FAILPOINTS => $file}, settings => {heartbeat_timeout => '"3s"'},
    more => "chunk_rows = 100;\nlanes = 3;\nring_size = \"1MiB\";\n",
);
my ($load, $transactions, $ddl) = (undef, 0, 0);

sub write_on { $load = $c->write(writers => 3, seed => 1 + int rand 1e6, pause => 0.004) }
sub pick { return $_[rand @_] }

my @points = $f->points(@server{qw(source target)});
# Once it streams.
my @live = grep { "@{$_->{phases}}" ne 'load' } @points;
my %fault = (
    'kill a worker' => [6, sub { $c->kill_worker(pick(qw(reader writer))) }],
    'kill the daemon' => [2, sub { $c->kill_all }],
    'failpoint: kill' => [8, sub { $f->arm(pick(@live)->{name}, n => 1 + int rand 12) }],
    'failpoint: lose the server' => [4, sub { $f->arm(pick(@live)->{name}, n => 1 + int rand 12, action => 'lose') }],
    'failpoint: delay' => [3, sub { $f->arm(pick(@live)->{name}, n => 1 + int rand 12, action => 'delay', ms => 1 + int rand 300) }],
    'freeze a worker' => [1, sub { my @w = $c->workers(pick(qw(reader writer))); kill 'STOP', @w; sleep rand 1.5; kill 'CONT', @w }],
    'cut a connection' => [5, sub {
        my ($end, $how) = (pick(keys %proxy), pick(qw(cut half)));
        my $way = pick(qw(up down));
        $proxy{$end}->set($how => int(exp rand log 60_000), way => $way);
    }],
    'swallow a COMMIT reply' => [4, sub { $proxy{target}->set(swallow => 1 + int rand 20) }],
    'silence' => [2, sub { my $p = pick(values %proxy); $p->set(freeze => pick('1', 'up', 'down')); sleep rand 1; $p->clear }],
    'refuse connections' => [1, sub { my $p = pick(values %proxy); $p->set(refuse => 1); sleep rand 1; $p->clear }],
    'delay packets' => [1, sub { pick(values %proxy)->set(delay => 5, jitter => 20) }],
    'restart the target' => [1, sub { $server{target}->stop->start }],
    'kill the target' => [1, sub { $server{target}->kill9->start }],
    'restart the source' => [1, sub { $transactions += $load->stop; $server{source}->stop->start; write_on() }],
    'freeze a server' => [1, sub { my $s = pick(values %server); $s->freeze; sleep rand 1; $s->thaw }],
    'pause and resume' => [2, sub { $c->revive; $c->tool('pause', 'shop'); sleep rand 0.3; $c->tool('resume', 'shop') }],
    'DDL' => [3, sub {
        my $n = ++$ddl;
        $server{source}->sql("CREATE TABLE shop.s$n (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.s$n VALUES (1, 1)", "ALTER TABLE shop.s$n ADD COLUMN w INT" . ($from_pg ? '' : ' FIRST'),
            "INSERT INTO shop.s$n (w, id, v) VALUES (5, 2, 2)", $n % 2 ? "DROP TABLE shop.s$n" : $from_pg ? "ALTER TABLE shop.s$n RENAME TO r$n" : "RENAME TABLE shop.s$n TO shop.r$n");
    }],
);
my @lots = map { ($_) x $fault{$_}[0] } sort keys %fault;
my (%count, %before);

# Whatever an unlucky pause has left: what was ordered last is that it runs.
sub running {
    my $state = '';
    $c->until(
        sub {
            $state = $c->state;
            $c->tool('resume', 'shop') if $state eq 'Paused';
            sleep 0.1;
            return $state eq 'Synchronizing';
        },
        60);
    return $state eq 'Synchronizing' ? '' : "the channel is \"$state\"\n" . $c->explain;
}

my $checks = 0;

sub proven {
    $_->clear for values %proxy;
    $f->disarm;
    $transactions += $load->stop;
    my $wrong = running() || $c->settle(60) || $c->audited;
    is($wrong, '', 'check ' . ++$checks . ": after $transactions transactions") or diag $c->explain;
    return !$wrong;
}

$c->populate(300);
write_on();
$c->begin;
my $began = time;
# A precheck that dies is a person's to look at; from then on there are faults: it loads meanwhile.
$c->until(sub { $c->state =~ /Init|Synchronizing/ }, 30);
for (1 .. 5) {
    my $lot = pick('kill a worker', 'failpoint: kill', 'cut a connection');
    sleep rand 0.4;
    $count{$lot}++;
    $lot =~ /failpoint/ ? $f->arm(pick(@points)->{name}, n => 1 + int rand 5) : $fault{$lot}[1]->();
}
$f->disarm;
is($c->wait_loaded(90), '', 'loaded') or BAIL_OUT('not loaded');
$transactions += $load->stop;
is($c->settle(60), '', 'equal after the load') or BAIL_OUT('not equal');
$c->audit;
write_on();
my $next = time + 20;
my $good = 1;
while ($good && time < $began + $seconds) {
    sleep rand 0.8;
    my $lot = pick(@lots);
    $count{$lot}++;
    note sprintf '%.1f s: %s', time - $began, $lot;
    $c->revive;
    $fault{$lot}[1]->();
    if (time > $next) { $good = proven(); write_on(); $next = time + 20 }
}
$good &&= proven();
my $faults = 0;
$faults += $_ for values %count;
my $fired = 0;
$fired += $f->fired($_->{name}) for @points;
diag sprintf 'SEED=%d %s: %.1f minutes, %d faults (%d failpoints acted), %d transactions, %d checks, 0 lost, 0 doubled', $seed, $pair, (time - $began) / 60,
    $faults, $fired, $transactions, $checks if $good;
diag sprintf '  %4d  %s', $count{$_}, $_ for sort keys %count;
$c->stop;
done_testing;
