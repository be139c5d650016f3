# Shapes (R77-R79): one source to two targets, by filters that split a table; two sources into
# one table; a chain of three; all at once, with rows moving between the parts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my ($north, $south, $middle, $end) = (Syncline::MySQL->new, Syncline::MariaDB->new, Syncline::MySQL->new, Syncline::MariaDB->new);
my $next = 0;
sub channel {
    my ($id, $from, $to, $objects, $more) = @_;
    return {pair => Syncline::Pair->new(source => $from, target => $to, id => $id, objects => $objects, more => $more || ''), from => $from, to => $to, id => $id};
}
sub carried { my ($c, $until) = @_; $c->{pair}->start($until || 'caught-up'); is($c->{pair}->wait(60), 0, "$c->{id}: $_[2]") or diag $c->{pair}->output }
sub orders { my ($db, $where) = @_; return join ' ', map { "@$_" } @{$db->rows('SELECT id, region, n FROM shop.orders ' . ($where ? "WHERE $where " : '') . 'ORDER BY id')} }

my $table = 'CREATE TABLE shop.orders (id INT PRIMARY KEY, region VARCHAR(10) NOT NULL, n INT NOT NULL)';
$_->sql('CREATE DATABASE shop', $table) for $north, $south;
$north->sql('INSERT INTO shop.orders VALUES ' . join ', ', map { "($_, '" . ($_ % 2 ? 'east' : 'west') . "', $_)" } 1 .. 100);
$south->sql('INSERT INTO shop.orders VALUES ' . join ', ', map { "($_, 'south', $_)" } 1001 .. 1050);

# One to many: a table split over two targets.
my $east = channel('east', $north, $middle, q({ database = "shop"; table = "orders"; to_database = "east"; where = "region = 'east'"; }));
my $west = channel('west', $north, $end, q({ database = "shop"; table = "orders"; to_database = "west"; where = "region = 'west'"; }));
# Many to one: two sources in one table; the same two columns of keys never meet.
my $from_north = channel('from_north', $north, $middle, '{ database = "shop"; }', qq(existing = "ignore";\n));
my $from_south = channel('from_south', $south, $middle, '{ database = "shop"; }', qq(existing = "ignore";\n));
# A chain: what came to the middle goes on.
my $chain = channel('chain', $middle, $end, '{ database = "shop"; to_database = "all_of_it"; }');

carried($_, undef, 'loaded') for $east, $west, $from_north, $from_south, $chain;
sub is_right {
    my ($when) = @_;
    is(orders($north, "region = 'east'"), join(' ', map { "@$_" } @{$middle->rows('SELECT id, region, n FROM east.orders ORDER BY id')}), "$when: one part here");
    is(orders($north, "region = 'west'"), join(' ', map { "@$_" } @{$end->rows('SELECT id, region, n FROM west.orders ORDER BY id')}), "$when: the other there");
    is(orders($middle), orders($north) . ' ' . orders($south), "$when: both sources in one table");
    is(orders($middle), join(' ', map { "@$_" } @{$end->rows('SELECT id, region, n FROM all_of_it.orders ORDER BY id')}), "$when: and at the end of the chain");
}
is_right('loaded');

# All at once.
$_->{pair}->start for $east, $west, $from_north, $from_south, $chain;
for my $i (1 .. 60) {
    $north->sql("UPDATE shop.orders SET region = IF(region = 'east', 'west', 'east'), n = n + 1 WHERE id BETWEEN $i AND " . ($i + 5));
    $south->sql("UPDATE shop.orders SET n = n + $i WHERE id > " . (1000 + $i), 'INSERT INTO shop.orders VALUES (' . (2000 + $i) . ", 'south', $i)");
    $north->sql("DELETE FROM shop.orders WHERE id = $i") if $i % 7 == 0;
    $_->{pair}->kill_worker for $i % 20 == 10 ? ($east, $from_north, $from_south, $chain)[rand 4] : ();
}
$_->{pair}->stop for $east, $west, $from_north, $from_south, $chain;
carried($_, undef, 'caught up') for $east, $west, $from_north, $from_south, $chain;
is_right('after changes');
unlike($_->{pair}->output, qr/^conflict/m, "$_->{id}: no conflict") for $east, $west, $from_north, $from_south, $chain;

# DDL in the chain, and the same DDL of two sources in one table, as a person does it.
$north->sql('ALTER TABLE shop.orders ADD COLUMN note VARCHAR(10)');
carried($from_north, undef, 'a column');
$south->sql("UPDATE shop.orders SET n = 0 WHERE id = 1001");
carried($from_south, undef, 'a source without it goes on');
carried($chain, undef, 'the column goes down the chain');
is($end->one("SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'all_of_it' AND COLUMN_NAME = 'note'"), 1, 'at the end too');
is_right('after a column');

done_testing;
