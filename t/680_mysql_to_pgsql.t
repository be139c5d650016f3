# MariaDB 10.11 to PostgreSQL 15: eight writers hammer keyed, multi-unique, foreign-key
# and keyless tables while everything is loaded and streamed, with kill -9 of reader,
# writer and their parent at random. Both ends are equal by a text of each value that
# says the same at both; while only changes flow, triggers have counted every operation
# once, and a poller never saw an invariant over two tables broken. (R120; spec 7.3-7.5)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 10;
diag "SEED=$seed";
srand $seed;

my ($source, $target) = (Syncline::MariaDB->new, Syncline::PostgreSQL->new);
schema($source);
fill($source, 3000);
my $load = Syncline::Load->start($source, writers => 8, seed => $seed, pause => 0.004);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 300;\n");

my $kills = $pair->with_kills($seconds);
$pair->start('loaded');
is($pair->wait(90), 0, "loaded after $kills kills") or diag $pair->output;
my $transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, 'caught up') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', "equal after $transactions transactions");

audit($source);
$pair->start('caught-up');
is($pair->wait(60), 0, 'audited') or diag $pair->output;
audit_pg($target, 'shop', alone => 1);
$load = Syncline::Load->start($source, writers => 8, seed => $seed + 1, pause => 0.004);
my $poller = poller($target, 'SELECT (SELECT sum(balance) FROM shop.account) + (SELECT sum(balance) FROM shop.bank)', 4000);
$kills = $pair->with_kills($seconds);
$transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, "caught up after $kills kills and $transactions transactions") or diag $pair->output;
my ($polls, $bad) = $poller->stop;
cmp_ok($polls, '>', 50, "$polls polls of the invariant");
is($bad // '', '', 'it held at every moment');
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
is(audit_counts($target), audit_counts($source), 'every operation ran once');
unlike($pair->output, qr/^conflict/m, 'no conflict');

done_testing;
