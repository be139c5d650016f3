# Partial updates of JSON (binlog_row_value_options=PARTIAL_JSON): what the log has in parts
# arrives whole. Random documents and paths; where the value before is not in the log it is said.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

my @keys = ('a', 'b', 'bb', 'ab', 'key', 'longer key', 'ünïcode', '日本', 'qu"ote', 'back\\slash', 'do.t', 'br[0]', "tab\t", "\x01", '$', '', 'Z', '😀', "it's");
my @scalars = ('null', 'true', 'false', '0', '-1', '32768', '-2147483649', '18446744073709551615', '1.5', '1e100', '0.1', '"text"', '"q\\"u\\\\o"', '"\\u0001\\n"', '"日本"', '""', '[]', '{}',
    '[1, 2, [3]]', '{"a": {"b": [1, {"c": null}]}}', '"' . 'l' x 300 . '"');
my @values = ((map { "CAST('" . s/([\\'])/$1$1/gr . "' AS JSON)" } @scalars), "CAST(1.25 AS DECIMAL(10,2))", "CAST('2020-02-03 04:05:06.7' AS DATETIME(6))", "CAST(x'00ff' AS BINARY)", "'plain'", '7');
srand($ENV{SEED} // 4);

sub pick { $_[rand @_] }
sub text { my ($s) = @_; return "'" . $s =~ s/([\\'])/$1$1/gr . "'" }
sub quoted { my ($k) = @_; return '"' . join('', map { /["\\]/ ? "\\$_" : ord $_ < 32 ? sprintf('\\u%04x', ord $_) : $_ } split //, $k) . '"' }

sub path {
    my $p = '$';
    for (1 .. 1 + rand 3) { $p .= rand() < 0.6 ? '.' . quoted(pick(@keys)) : pick('[0]', '[1]', '[2]', '[9]', '[last]', '[last-1]') }
    return $p;
}

sub document {
    my ($depth) = @_;
    return pick(@scalars) if $depth == 0 || rand() < 0.2;
    return '[' . join(', ', map { document($depth - 1) } 1 .. rand 5) . ']' if rand() < 0.4;
    my %seen;
    return '{' . join(', ', map { quoted($_) . ': ' . document($depth - 1) } grep { !$seen{$_}++ } map { pick(@keys) } 1 .. 1 + rand 6) . '}';
}

sub change {
    my ($column) = @_;
    my $e = $column;
    for (1 .. 1 + rand 3) {
        my $p = text(path());
        my $f = pick(qw(JSON_SET JSON_SET JSON_REPLACE JSON_REMOVE));
        $e = $f eq 'JSON_REMOVE' ? "JSON_REMOVE($e, $p)" : "$f($e, $p, " . pick(@values) . ')';
    }
    return "$column = $e";
}

sub partial_events {
    my ($db) = @_;
    my $n = 0;
    for my $file (map { $_->[0] } @{$db->rows('SHOW BINARY LOGS')}) { $n += grep { $_->[2] eq 'Update_rows_partial' } @{$db->rows("SHOW BINLOG EVENTS IN '$file'")} }
    return $n;
}

for my $name (qw(mysql-8.0 mysql-9.7)) {
    my $source = node($name, options => ['--binlog-row-value-options=PARTIAL_JSON']);
    my $target = node('mysql-8.0');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }');
    $source->sql('SET NAMES utf8mb4', 'CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE TABLE shop.j (id INT PRIMARY KEY, x JSON, n INT, y JSON, pad VARCHAR(20), z JSON)',
        map { my $id = $_; "INSERT INTO shop.j VALUES ($id, " . join(', ', map { $_ eq 'n' ? 1 : $_ eq 'p' ? "'p'" : text('{"pad": "' . 'p' x 400 . '", "sub": ' . document(3) . '}') } qw(x n y p z)) . ')' } 1 .. 60);
    is($pair->follow($source, $target, 60), 0, "$name: loaded") or diag $pair->output;
    my $changed = 0;
    my $dbh = $source->main_dbh;
    $dbh->{PrintError} = 0;
    for my $i (1 .. 1500) {
        my @columns = grep { rand() < 0.5 } qw(x y z);
        my $set = join ', ', (map { change($_) } @columns), @columns == 0 || rand() < 0.3 ? "n = n + 1" : ();
        # A path of a name needs what it stands in: most go below "sub".
        $set =~ s/'\$(?=[.\[])/rand() < 0.8 ? "'\$.sub" : "'\$"/ge;
        $changed += eval { $dbh->do("UPDATE shop.j SET $set WHERE id " . pick('= ', '= ', '> 55 OR id = ') . (1 + int rand 60)) } // 0;
    }
    cmp_ok($changed, '>', 700, "$name: rows changed");
    cmp_ok(partial_events($source), '>', 400, "$name: the log has parts");
    is($pair->follow($source, $target, 60), 0, "$name: carried") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: whole at the target, SEED=" . ($ENV{SEED} // 4));
    unlike($pair->output, qr/^conflict|quarantine/m, "$name: nothing else was said") or diag $pair->output;

    $source->sql("INSERT INTO shop.j (id, x) SELECT 99, JSON_OBJECT('pad', REPEAT('p', 400), 'q', REPEAT('q', 400))");
    # Without the value before it a part says nothing: the table waits for a resync, the others go on.
    $source->sql("SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE shop.j SET x = JSON_SET(x, '\$.pad', 'short') WHERE id = 99", 'CREATE TABLE shop.other (id INT PRIMARY KEY)', 'INSERT INTO shop.other VALUES (1)');
    is($pair->follow($source, $target, 60), 0, "$name: a minimal image does not end the channel") or diag $pair->output;
    like($pair->output, qr/the log has a part of column "x" of shop\.j, and not the value before it; set binlog_row_image=FULL or binlog_row_value_options='' at the source/, "$name: it is said");
    is($target->one('SELECT COUNT(*) FROM shop.other'), 1, "$name: others go on");
    $source->stop;
    $target->stop;
}
done_testing;
