# PostgreSQL 15 to PostgreSQL 15: eight writers hammer tables with keys of several kinds,
# several unique keys, cascades, a tree, partitions, large values and no key at all, with
# savepoints taken back and two-phase commits, while everything is loaded and streamed,
# with kill -9 of reader, writer and their parent at random. Both ends are equal; while
# only changes flow, triggers have counted every operation once, and a poller never saw
# an invariant over two tables broken. The source has been told of nothing that the
# target does not hold. (R88; house 5, 6)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 10;
diag "SEED=$seed";
srand $seed;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1 .. 2;
pg_schema($source);
pg_fill($source, 3000);
my $load = Syncline::Load->start($source, pg_load(), writers => 8, seed => $seed, pause => 0.004);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 300;\n");
my ($looks, $ahead) = (0, '');

# The slot's position is never behind... ahead of the checkpoint's.
sub look {
    my $confirmed = $source->one('SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = ?', 'syncline_test') // return;
    my $held = eval { $target->one(q{SELECT split_part(resume_at, '+', 1) FROM syncline.checkpoint}) } // return;
    $looks++;
    $ahead ||= "$confirmed over $held" if $target->one('SELECT ?::pg_lsn > ?::pg_lsn', $confirmed, $held);
}

my $kills = $pair->with_kills($seconds, \&look);
$pair->start('loaded');
is($pair->wait(90), 0, "loaded after $kills kills") or diag $pair->output;
my $transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, 'caught up') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', "equal after $transactions transactions");

audit_pg($source, 'shop');
audit_pg($target, 'shop');
$load = Syncline::Load->start($source, pg_load(), writers => 8, seed => $seed + 1, pause => 0.004);
my $poller = poller($target, 'SELECT (SELECT sum(balance) FROM shop.account) + (SELECT sum(balance) FROM shop.bank)', 4000);
$kills = $pair->with_kills($seconds, \&look);
$transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, "caught up after $kills kills and $transactions transactions") or diag $pair->output;
my ($polls, $bad) = $poller->stop;
cmp_ok($polls, '>', 50, "$polls polls of the invariant");
is($bad // '', '', 'it held at every moment');
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
is(audit_counts($target), audit_counts($source), 'every operation ran once');
unlike($pair->output, qr/^conflict/m, 'no conflict');
cmp_ok($looks, '>', 20, "$looks looks at the slot");
is($ahead, '', 'it never stood ahead of the target');

done_testing;
