# Commits that are in the log and not yet visible, or visible and not yet told of: a
# semi-synchronous replica withholds its acknowledgements while a load runs, so that
# hundreds of commits stand still inside the windows of its chunks. Both ends are equal
# in the end: no chunk's snapshot is taken for more, or for less, than what it sees
# (house 6; R84, R88). SEED=n repeats.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::SemiSync;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";
my $target = Syncline::MariaDB->new;

# [what it is, the source, where a commit waits, how long at most, rows of each table: enough that the load meets hundreds of such commits]
my @cases = (
    ['MariaDB', sub { Syncline::MariaDB->new }, 'AFTER_SYNC', 0.1, 2500],
    ['MariaDB', sub { Syncline::MariaDB->new }, 'AFTER_COMMIT', 0.03, 15_000],
    ['MySQL', sub { Syncline::MySQL->new(version => '9.7') }, 'AFTER_SYNC', 0.1, 4000],
    ['MySQL', sub { Syncline::MySQL->new(version => '9.7') }, 'AFTER_COMMIT', 0.03, 15_000],
    ['MySQL without GTIDs', sub { Syncline::MySQL->new(version => '9.7', options => ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF']) }, 'AFTER_SYNC', 0.1, 4000],
);

# Rows of their own mostly, so that commits stand still beside each other and not behind each other.
my @work = (
    sub { $_[0]->do('UPDATE shop.customer SET n = n + 1 WHERE id = ?', undef, 1 + int rand 2500) },
    sub { $_[0]->do('INSERT INTO shop.customer (name) VALUES (?)', undef, 'c' . int rand 1e9) },
    sub { $_[0]->do('UPDATE shop.seat SET place = NULL, code = ? WHERE id = ?', undef, 's' . rand, 1 + int rand 2500) },
    sub { $_[0]->do('DELETE FROM shop.word WHERE w = ?', undef, 'Word' . int rand 2500) },
    sub { $_[0]->do('REPLACE INTO shop.word VALUES (?, "en", 1)', undef, 'Word' . int rand 2500) },
    sub { $_[0]->do('INSERT INTO shop.events VALUES (NOW(6), ?, "e")', undef, int rand 7) },
);

for my $case (@cases) {
    my ($name, $make, $point, $hold, $rows) = @$case;
    my $source = $make->();
    schema($source);
    fill($source, $rows);
    my $replica = Syncline::SemiSync->new($source, point => $point, hold => $hold, seed => $seed);
    my $load = Syncline::Load->start($source, work => \@work, writers => 8, seed => $seed);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 40;\nlanes = 3;\n");
    my $before = $replica->stalled;
    $pair->start('loaded');
    is($pair->wait(120), 0, "$name, $point: loaded") or diag $pair->output;
    my $stalled = $replica->stalled - $before;
    cmp_ok($stalled, '>=', 100, "$name, $point: $stalled commits stood still meanwhile");
    is($replica->unheeded, 0, "$name, $point: for as long as was asked");
    $replica->end;
    my $transactions = $load->stop;
    $pair->start('caught-up');
    is($pair->wait(90), 0, "$name, $point: caught up") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name, $point: both ends are equal after $transactions transactions");
    unlike($pair->output, qr/^conflict/m, "$name, $point: no conflict");
    $source->stop;
    $target->sql('DROP DATABASE shop', 'DROP DATABASE syncline');
}
done_testing;
