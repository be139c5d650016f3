# snapshot = "held": a PostgreSQL source's tables - with keys, without, partitioned - are all loaded
# from one snapshot, in ranges of the places where rows lie, while eight writers are at work and
# reader, writer and parent are killed: each time the load begins again, both ends are equal
# and every operation of the stream ran once. Statements that change a table wait for the load and
# arrive; then nothing holds back the source's vacuum any more. (house 6; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Syncline::Proxy;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 5;
diag "SEED=$seed";
srand $seed;

my ($source, $target) = map { Syncline::PostgreSQL->new } 1 .. 2;
pg_schema($source);
pg_fill($source, 3000);
my $proxy = Syncline::Proxy->new(port => $target->port);
# Rings that do not take it all at once, and a target that is slow: it loads for a while.
my @ends = (source => $source, objects => '{ database = "shop"; }', more => qq{snapshot = "held";\nchunk_rows = 300;\nlanes = 3;\nload_ring_size = "64KiB";\n});

sub until_true {
    my ($what, $seconds) = @_;
    my $end = time + ($seconds // 20);
    my $got;
    sleep 0.02 while !($got = eval { $what->() }) && time < $end;
    return $got;
}

my $holding = q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'syncline' AND xact_start < now() - interval '100 ms' AND backend_xmin IS NOT NULL};

# ---- under load and kills ----

my $load = Syncline::Load->start($source, pg_load(), writers => 8, seed => $seed, pause => 0.004);
my $pair = Syncline::Pair->new(@ends, target => $target->endpoint($proxy->port));
$proxy->set(delay => 5);
$pair->start;
for my $round (1 .. 3) {
    my $begun = () = $pair->output =~ /(?:starts|begins again) at/g;
    ok(until_true(sub { $target->one('SELECT count(*) FROM syncline.chunk') > 0 }), "round $round: it loads");
    is($target->one(q{SELECT count(*) FROM syncline.table_state WHERE name = ''}), 0, 'and has not done so yet');
    ok(until_true(sub { $source->one($holding) >= 3 }), 'each lane holds the snapshot');
    if ($round == 3) { $pair->kill_all; $pair->start } else { $pair->kill_worker('reader', 'writer') }
    ok(until_true(sub { my $now = () = $pair->output =~ /(?:starts|begins again) at/g; $now > $begun }), 'it begins again');
}
$proxy->clear;
ok(until_true(sub { $target->one(q{SELECT count(*) FROM syncline.table_state WHERE name = ''}) }, 120), 'loaded') or diag $pair->output;
like($pair->output, qr/the load begins again at/, 'the log says that it began again');
ok(until_true(sub { !$source->one($holding) }), 'the snapshot is let go');
is($pair->stop, 0, 'it ends') or diag $pair->output;
my $transactions = $load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, 'caught up') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', "equal after $transactions transactions");
is($source->one(q{SELECT count(*) FROM pg_replication_slots}), 1, 'there is one slot');

# ---- the stream behind it ----

audit_pg($source, 'shop');
audit_pg($target, 'shop');
$load = Syncline::Load->start($source, pg_load(), writers => 8, seed => $seed + 1, pause => 0.004);
my $kills = $pair->with_kills($seconds);
$load->stop;
$pair->start('caught-up');
is($pair->wait(90), 0, "caught up after $kills kills") or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
is(audit_counts($target), audit_counts($source), 'every operation ran once');
unlike($pair->output, qr/^conflict/m, 'no conflict');

# ---- a statement that changes a table ----

$target->sql(map {"DROP SCHEMA $_ CASCADE"} qw(shop audit syncline));
$source->sql('DROP SCHEMA audit CASCADE');
$pair = Syncline::Pair->new(@ends, target => $target->endpoint($proxy->port));
$proxy->set(delay => 5);
$pair->start;
ok(until_true(sub { $target->one('SELECT count(*) FROM syncline.chunk') > 0 }), 'it loads');
my $changer = fork // die $!;
if ($changer == 0) {
    my $d = $source->dbh;
    $d->do('ALTER TABLE shop.word ADD COLUMN more int NOT NULL DEFAULT 7');
    POSIX::_exit(0);
}
ok(until_true(sub { $source->one(q{SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE shop.word%'}) }), 'a statement that changes a table waits');
is($target->one(q{SELECT count(*) FROM syncline.table_state WHERE name = ''}), 0, 'while it loads');
$proxy->clear;
ok(until_true(sub { $target->one(q{SELECT count(*) FROM syncline.table_state WHERE name = ''}) }, 60), 'the load goes on') or diag $pair->output;
waitpid $changer, 0;
is($?, 0, 'the statement is done then');
ok(until_true(sub { $target->one('SELECT more FROM shop.word LIMIT 1') == 7 }), 'and at the target, too');
is($pair->stop, 0, 'it ends');
$pair->start('caught-up');
is($pair->wait(60), 0, 'caught up') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
done_testing;
