# PostgreSQL servers that go away in each of their ways - fast, immediate, kill -9 - while a channel
# loads and while it streams: a source, whose fast shutdown waits until we have confirmed
# its log; a target, also with a COMMIT on its way, and with the reply to a COMMIT lost. The
# channel goes on by itself, both ends are equal, each operation ran once. (S1, T1, N4; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::PostgreSQL;
use Syncline::Proxy;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";
srand $seed;

my %server = map { $_ => Syncline::PostgreSQL->new } qw(source target);
my $proxy = Syncline::Proxy->new(port => $server{target}->port);
my $c = Syncline::Channel->new(%server, target_port => $proxy->port, more => "chunk_rows = 50;\nlanes = 2;\n");
my $load;

sub write_on {
    eval { $load->stop } if $load;    # writers of a lost source have ended
    $load = $c->write(writers => 3, seed => int rand 1e6, pause => 0.01);
}

sub away {
    my ($end, $how) = @_;
    my $began = time;
    $server{$end}->$how;
    cmp_ok(time - $began, '<', 20, "$end: $how: it lets go");
    sleep rand 0.5;
    $server{$end}->start;
    write_on() if $end eq 'source';
}

# ---- while it loads: each answer of the target takes its time, so that it does for long enough ----

$proxy->set(delay => 10);
$c->populate(2000)->begin;
write_on();
my $chunks = 0;
sub chunks { return eval { $server{target}->one('SELECT count(*) FROM syncline.chunk') } // 0 }
for my $end (qw(source target)) {
    for my $how (qw(stop immediate kill9)) {
        ok($c->until(sub { chunks() != $chunks }, 60), 'it loads on') or diag $c->explain;
        $chunks = chunks();
        is($c->state, 'Performing Initial Synchronization', "$end: $how: while it loads");
        away($end, $how);
    }
}
$proxy->clear;
is($c->wait_loaded(120), '', 'loaded');
$load->stop;
is($c->settle(60), '', 'both ends are equal');

# ---- while it streams ----

$c->audit;
write_on();
for my $end (qw(source target)) {
    for my $how (qw(stop immediate kill9)) {
        ok(defined $c->arrive(60), "$end: $how: it streams") or diag $c->explain;
        away($end, $how);
    }
}

# kill -9 with commits under way, and one that is done but not said to be.
for (1 .. 5) {
    ok(defined $c->arrive(60), 'it streams');
    sleep rand 0.3;
    $server{target}->kill9->start;
}
for my $nth (1 .. 5) {
    ok(defined $c->arrive(60), 'it streams');
    my $before = $proxy->happened;
    $proxy->set(swallow => $nth);
    ok($c->until(sub { $proxy->happened > $before }, 60), 'the reply to a COMMIT was lost');
}
$proxy->clear;
$load->stop;
is($c->settle(60), '', 'both ends are equal');
is($c->audited, '', 'each operation ran once');
unlike($c->daemon->log, qr/conflict/, 'no conflict');
$c->stop;
done_testing;
