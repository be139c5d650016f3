# Eight writers hammer keyed, multi-unique, foreign-key and keyless tables while
# everything is loaded and streamed, with kill -9 of reader, writer and their
# parent at random. At the end both ends are equal row by row, audit triggers on
# the target have counted every operation of the stream once, and a poller never
# saw an invariant over several tables broken (R88; house 5).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 12;
diag "SEED=$seed";
srand $seed;

for my $class (qw(Syncline::MariaDB Syncline::MySQL)) {
    my ($name) = $class =~ /::(\w+)/;
    my ($source, $target) = map { $class->new } 1 .. 2;
    schema($source);
    fill($source, 3000);
    my $load = Syncline::Load->start($source, writers => 8, seed => $seed, pause => 0.004);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 300;\n");

    # While it loads and streams, with kills.
    my $kills = $pair->with_kills($seconds);
    $pair->start('loaded');
    is($pair->wait(90), 0, "$name: loaded after $kills kills") or diag $pair->output;

    # Streaming only: every operation counts.
    my $before = $load->stop;
    $pair->start('caught-up');
    is($pair->wait(90), 0, "$name: caught up") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: equal after $before transactions");
    audit($source);
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: audited") or diag $pair->output;
    audit($target);
    $load = Syncline::Load->start($source, writers => 8, seed => $seed + 1, pause => 0.004);
    my $poller = poller($target, 'SELECT (SELECT SUM(balance) FROM shop.account) + (SELECT SUM(balance) FROM shop.bank)', 4000);
    $kills = $pair->with_kills($seconds);
    my $transactions = $load->stop;
    $pair->start('caught-up');
    is($pair->wait(90), 0, "$name: caught up after $kills kills and $transactions transactions") or diag $pair->output;
    my ($polls, $bad) = $poller->stop;
    cmp_ok($polls, '>', 50, "$name: $polls polls of the invariant");
    is($bad // '', '', "$name: it held at every moment");
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal");
    is(audit_counts($target), audit_counts($source), "$name: every operation ran once");
    unlike($pair->output, qr/^conflict/m, "$name: no conflict");
    $_->stop for $source, $target;
}

done_testing;
