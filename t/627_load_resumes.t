# Chunks larger than their ring give rows back while they run. A load that is cut off among them
# goes on where the target says it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::Pair;

my ($source, $target) = map { Syncline::MariaDB->new } 1 .. 2;
$source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, x CHAR(100) NOT NULL) ENGINE=InnoDB',
    'INSERT INTO shop.a SELECT seq * 3, REPEAT(MD5(seq), 3) FROM shop.seq_1_to_60000', 'ANALYZE TABLE shop.a');
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }',
    more => "chunk_rows = 3000;\nload_ring_size = \"64KiB\";\nlanes = 2;\n");

# The stored bounds as text: a length before each value.
sub bounds {
    my $rows = eval { $target->rows('SELECT number, lo, hi, is_last FROM syncline.chunk ORDER BY number') } || [];
    return map { [$_->[0], map { length $_ ? unpack('V/a*', $_) : '' } @$_[1, 2]] } @$rows;
}

my ($cuts, @seen) = (0);
for my $wanted (2, 6, 11) {
    $pair->start;
    my $end = time + 60;
    while (time < $end && (@seen = bounds()) < $wanted) { sleep 0.005 }
    $pair->kill_all;
    @seen = bounds();
    last if !@seen;    # it was faster
    $cuts++;
    my @wrong = grep { my ($n, $lo, $hi) = @$_; $lo ne ($n ? 9000 * $n : '') || ($hi ne 9000 * ($n + 1) && $hi ne '') } @seen;
    is_deeply(\@wrong, [], "cut $cuts: the bounds of " . @seen . ' chunks are keys of theirs');
}
cmp_ok($cuts, '>', 0, 'the load was cut off');
$pair->start('loaded');
is($pair->wait(120), 0, 'it ends') or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');
unlike($pair->output, qr/gave way/, 'no chunk had to give way to another');
done_testing;
