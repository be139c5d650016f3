# Reader and writer with fake ends: rings, load, seam and stream under kill -9.
# The journal is held against the source's whole history (R88; house 5, 6).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep);

my $build = $Syncline::Pair::build;

sub pair {
    my ($seed, $transactions) = @_;
    my $journal = File::Temp::tmpnam();
    my $p = Syncline::Pair->new(
        source => qq(kind = "fake"; tables = 3; rows = 600; transactions = $transactions; seed = $seed;),
        target => qq(kind = "fake"; file = "$journal";),
        objects => '{ database = "fake"; }',
        more => "chunk_rows = 100;\nlanes = 3;\n",
    );
    $p->{journal} = $journal;
    return $p;
}

sub verdict {
    my ($p) = @_;
    my $out = `$build/t/tools/fake_check $p->{conf} $p->{journal} 2>&1`;
    unlink $p->{journal};
    return $out;
}

for my $seed (1 .. 5) {
    my $p = pair($seed, 3000)->start('caught-up');
    is($p->wait(60), 0, "seed $seed: loaded and caught up") or diag $p->output;
    like(verdict($p), qr/^ok txn=3000 /, "seed $seed: every commit was a prefix of the source");
}

for my $seed (11 .. 14) {
    my $p = pair($seed, 12000)->start('caught-up');
    srand $seed;
    my $kills = 0;
    for (1 .. 8) {
        sleep 0.1 + rand 0.3;
        last if !$p->{pid};
        $kills += $p->kill_worker;
    }
    is($p->wait(90), 0, "seed $seed: caught up after $kills kills") or diag $p->output;
    like(verdict($p), qr/^ok txn=12000 /, "seed $seed: nothing lost, nothing doubled");
}

{
    my $p = pair(21, 12000)->start;
    $p->wait_for(qr/^flowing/m);
    my @workers = $p->workers('reader|writer');
    is(scalar @workers, 2, 'a reader and a writer run');
    $p->kill_all;
    my $gone = 0;
    for (1 .. 100) { $gone = !grep { kill 0, $_ } @workers; last if $gone; sleep 0.02 }
    ok($gone, 'they do not outlive their parent');
    $p->start('caught-up');
    is($p->wait(60), 0, 'another one goes on from the target');
    like(verdict($p), qr/^ok txn=12000 /, 'nothing lost, nothing doubled');
}

done_testing;
