# The n-th call of the operating system fails: reads, writes and syncs of files, of which the daemon has
# some, sockets, maps, descriptors, processes; in the daemon, the reader, the writer. What is broken says so; all goes on by itself,
# both ends are equal, each operation ran once; an interrupted call disturbs nobody (reliability R5).
# SEED=n repeats; FULL=1 takes more of the places.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use File::Temp;
use Syncline::Channel;
use Syncline::Daemon;
use Syncline::MariaDB;
use Syncline::OS;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'an instrumented build takes no library before its own' if !Syncline::OS::possible($Syncline::Daemon::build);
my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";
srand $seed;

# The daemon alone, from its start to a channel that flows: it ends with a reason, or goes on.
{
    my $dir = File::Temp->newdir(TMPDIR => 1);
    my $os = Syncline::OS->new("$dir");
    my $d = Syncline::Daemon->new(env => {$os->env}, preload => $os->library);
    $d->channel('a')->start;
    ok($d->wait_flowing('a'), 'a daemon, undisturbed');
    $d->stop;
    my %errors = (read => 'EIO', write => 'ENOSPC', sync => 'EIO', descriptor => 'EMFILE', map => 'ENOMEM', send => 'EPIPE', receive => 'ECONNRESET');
    my ($ended, $disturbed) = (0, 0);
    for my $kind (sort keys %errors) {
        my $places = $os->hits($kind) or fail("there are calls of $kind"), next;
        $places = 300 if $places > 300;    # from there on it does what it has done before
        my $count = $ENV{FULL} ? $places : 3;
        my @wrong;
        for my $n (map { $ENV{FULL} ? $_ : 1 + int exp rand log $places } 1 .. $count) {
            remove_tree("$d->{dir}/state");
            unlink "$d->{dir}/log";
            $os->fail($kind, $errors{$kind}, n => $n, process => 'synclined');
            $d->start;
            my $state = '';
            $d->until(sub { $d->ended || ($state = $d->state('a')) eq 'Synchronizing' }, 10) or push @wrong, "$n: $state: " . $d->log;
            $os->calm;
            if ($d->ended) {
                $ended++;
                push @wrong, "$n: ended with $d->{status} and no reason: " . $d->log if $d->{status} & 127 || $d->log !~ /error|fatal/;
                $d->start;
                ($state = $d->wait_state('a', 'Synchronizing')) eq 'Synchronizing' or push @wrong, "$n: started again: $state: " . $d->log;
            } else {
                $disturbed++;
            }
            my $status = $d->stop;
            push @wrong, "$n: asked to end: " . ($status // 'it does not') if ($status // -1) ne '0';
        }
        is("@wrong", '', "$kind: $count of the first $places calls of a daemon fail");
    }
    note "$ended times it ended with a reason, $disturbed times it went on";
}

my %class = (mysql => 'Syncline::MariaDB', pgsql => 'Syncline::PostgreSQL');
my @faults = (
    [read => 'EIO'], [write => 'ENOSPC'], [write => 'EIO'], [send => 'EPIPE'], [receive => 'ECONNRESET'], [sync => 'EIO'], [descriptor => 'EMFILE'],
    [map => 'ENOMEM'], [fork => 'EAGAIN'],
);
my $rounds = $ENV{FULL} ? 20 : 1;
for my $pair ('mysql -> mysql', 'pgsql -> pgsql') {
    my ($source, $target) = map { $class{$_}->new } split / -> /, $pair;
    my $os = Syncline::OS->new($source->dir);
    my $c = Syncline::Channel->new(source => $source, target => $target, env => {$os->env}, preload => $os->library, more => "chunk_rows = 100;\n");
    $c->populate(200)->begin;
    is($c->wait_loaded(60), '', "$pair: loaded");
    is($c->settle(30), '', "$pair: equal");
    $c->audit;
    my $load = $c->write(writers => 1, seed => $seed, pause => 0.005);

    # A call that is interrupted is made again: nobody ends.
    my $before = $c->daemon->status('shop');
    for my $kind (qw(send receive)) {
        for my $process (qw(synclined syncline-reader syncline-writer)) {
            $os->fail($kind, 'EINTR', n => 1 + int rand 5, count => 2, process => $process);
            $c->until(sub { sleep 0.02; 0 }, 0.2);
        }
    }
    $os->calm;
    ok(defined $c->arrive(20), "$pair: calls that are interrupted");
    my $after = $c->daemon->status('shop');
    is_deeply([map { $after->{$_} } qw(generation reader_pid writer_pid)], [map { $before->{$_} } qw(generation reader_pid writer_pid)],
        "$pair: interrupted calls disturb nobody") or diag $c->explain;

    my ($failed, $slowest, @stuck) = (0, 0);
    for my $fault (@faults) {
        my ($kind, $error) = @$fault;
        last if @stuck;
        for my $process ($kind =~ /^(?:fork|read|write|sync)$/ ? 'synclined' : qw(synclined syncline-reader syncline-writer)) {
            for my $round (1 .. $rounds) {
                my $was = $os->failed($kind);
                $os->fail($kind, $error, n => int exp rand log 25, count => 1 + int rand 2, process => $process);
                # Half of them meet a worker that begins.
                $c->kill_worker($process =~ /(reader|writer)/ ? $1 : 'reader') if ($round + ($kind lt 'n')) % 2;
                $c->until(sub { $os->failed($kind) > $was }, 0.4);
                $os->calm;
                my $s = $c->arrive(20);
                push @stuck, "$kind, $error in $process: " . $c->explain if !defined $s;
                last if @stuck;
                $failed += $os->failed($kind) - $was;
                $slowest = $s if $s > $slowest;
            }
        }
    }
    is("@stuck", '', "$pair: whichever call fails, it goes on by itself");
    $load->stop;
    is($c->settle(30), '', "$pair: both ends are equal") or diag $c->explain;
    is($c->audited, '', "$pair: each operation once");
    cmp_ok($failed, '>', 2 * $rounds, sprintf '%s: %d calls have failed, the slowest way back took %.1f s', $pair, $failed, $slowest);
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
