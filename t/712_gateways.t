# Two gateways on one channel: one is fenced, says so and stays down, nothing is
# written twice - also when the first one was only frozen, with a transaction
# open at the target. A gateway whose state is lost goes on from the target; one
# whose disk is full goes on as well (reliability K9, N4, R1). PAIR='pgsql -> mysql' picks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use Syncline::Channel;
use Test::More;
use Time::HiRes qw(sleep time);

my $more = "chunk_rows = 200;\n";

sub fenced {
    my ($c) = @_;
    my $s = $c->daemon->status('shop') or return 0;
    return $s->{cause} && $s->{cause}{class} eq 'fenced' ? $s : 0;
}

sub flows { my ($c) = @_; my $s = $c->daemon->status('shop'); return $s && $s->{flowing} }

for my $name (Syncline::Channel::pairs('mariadb -> mariadb', 'mysql -> mysql')) {
    my ($source, $target) = Syncline::Channel::servers($name);
    my @c = map { Syncline::Channel->new(source => $source, target => $target, more => $more) } 1 .. 2;
    my ($first, $second) = @c;
    $first->populate(300)->begin;
    is($first->wait_loaded(60), '', "$name: loaded");
    is($first->settle(30), '', "$name: equal");
    $first->audit;

    # Under load, so that the first one finds its sessions gone in the midst of work.
    for my $round (1 .. 3) {
        my $load = $first->write(writers => 4, seed => $round, pause => 0.001);
        sleep 0.3;
        $round == 1 ? $second->begin : $second->tool('start', 'shop');
        ok($second->daemon->until(sub { fenced($first) || fenced($second) }, 20), "$name, round $round: one of two is fenced")
            or diag map { $_->explain } @c;
        my ($down, $up) = fenced($first) ? ($first, $second) : ($second, $first);
        ok($up->daemon->wait_flowing('shop', 20), "$name, round $round: the other one runs") or diag $up->explain;
        my $status = fenced($down);
        like($status->{cause}{text}, qr/another gateway/, "$name, round $round: it says so");
        my $restarts = $status->{restarts};
        sleep 1;
        ok(!$down->workers && fenced($down), "$name, round $round: and stays down");
        $load->stop;
        $up->{marks} = $source->one('SELECT n FROM shop.marker');
        is($up->settle(20), '', "$name, round $round: both ends are equal");
        is($up->audited, '', "$name, round $round: nothing was written twice") or diag map { $_->explain } @c;
        ($first, $second) = ($up, $down);
    }

    # The first one is frozen as a whole, in the midst of work; it holds locks at the target.
    my $load = $first->write(writers => 4, seed => 9, pause => 0.001);
    sleep 0.3;
    my @frozen = ($first->daemon->{pid}, $first->workers);
    kill 'STOP', @frozen;
    my $began = time;
    $second->tool('start', 'shop');
    ok($second->daemon->wait_flowing('shop', 20), "$name: a second gateway takes a frozen one's channel over") or diag $second->explain;
    cmp_ok(time - $began, '<', 10, "$name: in " . sprintf('%.1f s', time - $began));
    sleep 0.5;
    $load->stop;
    $second->{marks} = $source->one('SELECT n FROM shop.marker');
    is($second->settle(20), '', "$name: it carries everything");
    kill 'CONT', @frozen;
    ok($first->daemon->until(sub { fenced($first) }, 20), "$name: thawed, the first one is fenced") or diag $first->explain;
    is($second->settle(20), '', "$name: and has changed nothing");
    is($second->audited, '', "$name: nothing was written twice");
    $first->stop;

    # The state directory is lost, with the daemon: the target knows all.
    $second->kill_all;
    remove_tree($second->daemon->{dir} . '/state');
    $source->sql("INSERT INTO shop.word VALUES ('lost', 'st', 1)");
    $second->begin;
    is($second->settle(20), '', "$name: without its state directory it goes on") or diag $second->explain;
    is($second->audited, '', "$name: nothing was written twice");
    $second->stop;
    $_->stop for $source, $target;
}

SKIP: {
    my ($source, $target) = Syncline::Channel::servers('mariadb -> mariadb');
    my $mount = $source->dir . '/small';
    mkdir $mount or die $!;
    skip 'no tmpfs can be mounted here', 1 if system("mount -t tmpfs -o size=512k tmpfs $mount 2>/dev/null") != 0;
    my $c = Syncline::Channel->new(source => $source, target => $target, more => $more, settings => {state_dir => "\"$mount/state\""});
    $c->populate(200)->begin;
    is($c->wait_loaded(60), '', 'full disk: loaded');
    is($c->settle(20), '', 'full disk: equal');
    $c->audit;
    open my $f, '>', "$mount/fill" or die $!;
    1 while syswrite $f, 'x' x 4096;
    my $load = $c->write(writers => 3, seed => 3, pause => 0.002);
    ok($c->daemon->until(sub { $c->daemon->log =~ /cannot write to .*full/ }, 10), 'full disk: it is said') or diag $c->explain;
    defined $c->arrive(5) or fail('full disk: the stream goes on');
    my ($exit, $out, $err) = $c->tool('pause', 'shop');
    isnt($exit, 0, 'full disk: an order that cannot be stored is refused');
    like($err, qr/full/, 'full disk: with the reason') or diag $out;
    $load->stop;
    is($c->settle(20), '', 'full disk: the stream went on');
    is($c->audited, '', 'full disk: each operation once');
    close $f;
    unlink "$mount/fill";
    ($exit, $out, $err) = $c->tool('pause', 'shop', '--wait');
    is($exit, 0, 'full disk: with space again orders are taken') or diag $err;
    $c->tool('resume', 'shop', '--wait');
    is($c->settle(20), '', 'full disk: and carried out');
    $c->stop;
    system('umount', $mount);
    $_->stop for $source, $target;
}
done_testing;
