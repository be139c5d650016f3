# Networks between gateway and servers, by our own proxy: cuts at sampled bytes of
# a session, halves that end, COMMIT replies that are lost, silence, delay,
# thin and chopped lines. Both ends are equal after each and every operation
# ran once (reliability N1-N4).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Proxy;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
my $cuts = $ENV{FULL} ? 250 : 5;
diag "SEED=$seed";
srand $seed;
sub faults {
    my ($pair) = @_;
    my ($source, $target) = Syncline::Channel::servers($pair);
    my %proxy = (source => Syncline::Proxy->new(port => $source->port), target => Syncline::Proxy->new(port => $target->port));
    my $c = Syncline::Channel->new(
        source => $source, target => $target, source_port => $proxy{source}->port, target_port => $proxy{target}->port,
        more => "chunk_rows = 100;\n",
    );
    $c->populate(200);

    # While it loads, too: both ends are cut again and again.
    {
        my $load = $c->write(writers => 2, seed => $seed, pause => 0.004);
        $c->begin;
        # A precheck that fails is a person's to look at.
        $c->until(sub { $c->state =~ /Init|Synchronizing/ }, 30);
        my $end = time + 4;
        while (time < $end) {
            $_->set(cut => 200 + int rand 8000, way => (qw(up down))[rand 2]) for values %proxy;
            sleep 0.3 + rand 0.3;
        }
        my $n = 0;
        $n += $_->clear->happened for values %proxy;
        is($c->wait_loaded(60), '', "$pair: loaded in spite of $n cuts");
        $load->stop;
        cmp_ok($n, '>', 3, "there were $n");
        is($c->settle(30), '', "$pair: both ends are equal") or diag $c->explain;
    }
    $c->audit;
    my $load;
    my $writing = sub { $load = $c->write(writers => 2, seed => ++$seed, pause => 0.004) };
    my $proven = sub {
        my ($what) = @_;
        $load->stop;
        is($c->settle(30), '', "$pair: $what: both ends are equal") or diag $c->explain;
        is($c->audited, '', "$pair: $what: each operation once");
    };

    for my $end (qw(source target)) {
        my $p = $proxy{$end};
        for my $fault (qw(cut half)) {
            for my $way (qw(up down)) {
                my ($before, $slowest) = ($p->happened, 0);
                $writing->();
                for (1 .. $cuts) {
                    $p->set($fault => int(exp rand log 40_000), way => $way);
                    my $began = time;
                    # The log's connection says little upwards: workers that come back bring bytes.
                    $c->kill_worker($end eq 'source' ? 'reader' : 'writer') if !$c->until(sub { $p->happened > $before + $_ - 1 }, 0.7);
                    $c->until(sub { $p->happened > $before + $_ - 1 }, 3);
                    my $s = $c->arrive(20) // 99;
                    $slowest = $s if $s > $slowest;
                }
                $p->clear;
                my $n = $p->happened - $before;
                cmp_ok($n, '>', 0, sprintf '%s, %s %s: %d times, slowest recovery %.1f s', $end, $fault, $way, $n, $slowest);
                cmp_ok($slowest, '<', 8, "$end, $fault $way: each time it went on");
                $proven->("$end, $fault $way");
            }
        }
    }

    {
        my ($p, $before) = ($proxy{target}, $proxy{target}->happened);
        my $wanted = $ENV{FULL} ? 1000 : 25;
        $writing->();
        for (1 .. $wanted) {
            $p->set(swallow => 1 + int rand 5);
            $c->until(sub { $p->happened >= $before + $_ }, 5);
        }
        $p->clear;
        is($p->happened - $before, $wanted, "$wanted replies to COMMIT were lost");
        $proven->('swallowed COMMIT');
    }

    for my $end (qw(source target)) {
        my $p = $proxy{$end};
        for my $way ('1', 'up', 'down') {
            $writing->();
            $p->set(freeze => $way);
            sleep 1.5;
            $p->clear;
            my $s = $c->arrive(20) // 99;
            cmp_ok($s, '<', 1.5, sprintf '%s: frozen (%s), then back in %.2f s', $end, $way, $s);
            $proven->("$end: frozen ($way)");
        }
        # Connections that nobody will ever answer: read_timeout is 5 s here.
        $writing->();
        $p->set(lose => 1);
        my $s = $c->arrive(20) // 99;
        cmp_ok($s, '<', 15, sprintf '%s: connections lost without a word are given up, back in %.1f s', $end, $s);
        $proven->("$end: lost without a word");
        $p->set(refuse => 1);
        sleep 1;
        $writing->();
        $p->clear;
        $s = $c->arrive(20) // 99;
        cmp_ok($s, '<', 2, sprintf '%s: refused, then back in %.2f s', $end, $s);
        $proven->("$end: refused");
    }

    for my $case ([delay => 100, jitter => 50], [rate => 65_536], [slice => 1]) {
        $writing->();
        $_->set(@$case) for values %proxy;
        my $s = $c->arrive(30);
        ok(defined $s, "@$case: a row arrives" . (defined $s ? sprintf ' in %.1f s', $s : '')) or diag $c->explain;
        $load->stop;
        sleep 1;
        $_->clear for values %proxy;
        $proven->("@$case");
    }
    SKIP: {
        # Of machines that vanish no packet tells: the kernel asks for us.
        my @ss = `ss -Htno state established 2>/dev/null`;
        skip 'there is no ss', 1 if !@ss;
        my $port = $proxy{source}->port;
        ok((grep { /127\.0\.0\.1:$port\s+timer:\(keepalive,/ } @ss), 'connections are watched for silence') or diag @ss;
    }
    $c->stop;
    $_->stop for $source, $target;
}

faults($_) for Syncline::Channel::pairs('mariadb -> mariadb');
done_testing;
