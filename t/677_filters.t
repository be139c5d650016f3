# `where`: what the stream finds true of a row, the server does too (R71-R76; spec S4.6). Every
# operator over every type that can be compared, over hostile rows: loaded, inserted, and moved
# in and out by updates. The oracle is the server's own SELECT with the filter's text.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my @columns = (
    ['u', 'BIGINT UNSIGNED', 'NULL', 0, 1, '9223372036854775807', '9223372036854775808', '18446744073709551615', 100, 101],
    ['i', 'INT', 'NULL', -2147483648, 2147483647, 0, -1, 100, 101, 99],
    ['dc', 'DECIMAL(40,10)', 'NULL', 0, '-0.0000000001', '0.0000000001', '123456789012345678901234567890.0000000001', '-123456789012345678901234567890.1', '1.5', '1.5000000001', '10', '9.9'],
    ['d', 'DATE', 'NULL', "'0000-00-00'", "'2020-02-29'", "'2020-03-01'", "'1000-01-01'", "'9999-12-31'", "'2020-00-00'"],
    ['dn', 'DATE NOT NULL', "'0000-00-00'", "'2020-02-29'", "'2021-01-01'"],
    ['dt', 'DATETIME(3)', 'NULL', "'0000-00-00 00:00:00'", "'2020-08-01 00:00:00'", "'2020-08-01 12:34:56.123'", "'2020-08-01 12:34:56.1'", "'9999-12-31 23:59:59.999'"],
    ['ts', 'TIMESTAMP(2) NULL', 'NULL', "'1970-01-01 00:00:01'", "'2020-03-29 01:30:00.25'", "'2020-08-01 00:00:00'", "'2038-01-19 03:14:07'"],
    ['tm', 'TIME(1)', 'NULL', "'-838:59:59'", "'838:59:59'", "'-00:00:00.5'", "'00:00:00'", "'12:34:56.7'", "'100:00:00'", "'99:59:59'"],
    ['y', 'YEAR', 'NULL', 0, 1901, 2155, 2020],
    ['e', "ENUM('tokyo','Sandiego','z''q','\x{e9}') CHARACTER SET utf8mb4", 'NULL', "'tokyo'", "'Sandiego'", "'z''q'", "'\x{e9}'", "''"],
    map({ [$_->[0], "VARCHAR(80) CHARACTER SET $_->[1] COLLATE $_->[2]", 'NULL', "''", "' '", "'tokyo'", "'TOKYO'", "'tokyo '", "'tokyo\\t'", "'Tokyo\\0'", "'t\x{f4}kyo'", "'sandiego'", "'s'",
        "'stra\x{df}e'", "'strasse'", "'\x{e9}'", "'e'", "'it''s'", "'-'", "'_'", "'a'", "'b'", "'B'", "'\x{fc}'", "'ue'", "REPEAT('x', 80)"] }
        ['general', 'utf8mb4', 'utf8mb4_general_ci'], ['bin', 'utf8mb4', 'utf8mb4_bin'], ['unicode', 'utf8mb4', 'utf8mb4_unicode_ci'], ['latin', 'latin1', 'latin1_swedish_ci'],
        ['german', 'latin1', 'latin1_german2_ci'], ['lbin', 'latin1', 'latin1_bin'], ['ucs', 'ucs2', 'ucs2_general_ci'], ['newer', 'utf8mb4', 'NEWER'], ['nopad', 'utf8mb4', 'NOPAD']),
    ['fixed', 'CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'NULL', "''", "'tokyo'", "'tokyo   '", "'TOKYO'", "'a'"],
    ['f', 'DOUBLE', 'NULL', 0, 1],
);

my @texts = ("= 'tokyo'", "!= 'tokyo'", "<> 'Tokyo '", "in ('sandiego', 'tokyo')", "NOT IN ('t\x{f4}kyo', 'e')", "< 's'", ">= 'strasse'", "BETWEEN 'a' AND 'b'", "= ''", "= 'stra\x{df}e'", "> '-'", "= 'it''s'", "= 'ue'");
my @filters = (
    'u > 100', 'u >= 9223372036854775808', 'u < -1', 'u = 18446744073709551615', 'u != 18446744073709551616', 'u <= 100.5', 'i>100', 'i >= -2147483648', 'i = +100', 'i < 100.0000001', 'i NOT BETWEEN -1 AND 100',
    'i IN (0, 101, 99.0)', 'i NOT IN (0, 101)', 'NOT (i = 100)', 'i IS NULL', 'i IS NOT NULL AND u IS NULL', 'i = 100 OR u = 100', 'NOT i > 0 AND NOT u > 1', '(i = 0 OR i = -1) AND NOT (u IS NULL OR u = 0)', 'i > 0 or not u > 1 and i < 0',
    'dc = 0', 'dc > 0', 'dc <= 1.5', 'dc > 1.50', 'dc >= 123456789012345678901234567890.0000000001', 'dc < -123456789012345678901234567890.0', 'dc IN (1.5, 10, -0.0000000001)', 'dc < 10', 'dc = 12345678901234567890123456789012345.000000000000000000000000000001', 'u < 12345678901234567890123456789012345678901234567890123456789012345',
    "d > '2020-02-29'", "d = '2020-02-29'", "d < '1000-01-01'", "d BETWEEN '1000-01-01' AND '2020-03-01'", "d IS NULL", "dn != '2021-01-01'",
    "dt >= '2020-08-01'", "dt = '2020-08-01 12:34:56.1'", "dt = '2020-08-01 12:34:56.123'", "dt < '1000-01-01'", "dt <= '9999-12-31 23:59:59'", "dt > '2020-08-01 12:34:56.12'",
    "ts > '2020-03-29 01:30:00'", "ts = '2020-03-29 01:30:00.25'", "ts <= '2038-01-19 03:14:07'", "ts < '2020-08-01'", "ts > '1970-01-01 00:00:01'", "ts < '2050-01-01'", "ts > '1950-01-01'", "tm = '00:00:00'", "tm < '00:00:00'", "tm > '99:59:59'", "tm <= '-838:59:59'", "tm = '-00:00:00.5'", "tm IN ('12:34:56.7', '838:59:59')",
    'y = 2020', 'y > 1901', 'y < 2155', 'y != 2020', "e = 'tokyo'", "e != 'tokyo'", "e IN ('Sandiego', 'z''q')", "e NOT IN ('\x{e9}')", 'e IS NULL', 'f IS NULL', '`i` = 100 AND bin <> \'b\'',
    (map { my $c = $_; map { "$c $_" } @texts } qw(general bin unicode latin german lbin ucs newer nopad fixed)),
);

# Refused before anything is carried: the text, and what is said of it.
my @refused = (
    ['WHERE i > 1', qr/the word WHERE is left out/], ['shop.t.i > 1', qr/named without it/], ['nothing > 1', qr/column "nothing" is not among the table's/], ["i = 'x'", qr/column "i" is compared with a number only/], ["general = \"b\"", qr/texts stand in 'single quotes'/],
    ['i >', qr/a number or a 'text' is expected at "the end"/], ['i = u', qr/a column is compared with a literal only/], ['i = NULL', qr/write IS NULL/], ['i + 1 > 2', qr/none of the operators stands at "\+/], ['LOWER(bin) = 1', qr/functions cannot be carried/], ["general LIKE 'a%'", qr/none of the operators stands at "LIKE/],
    ['(i > 1', qr/AND, OR or \) is expected/], ['i > 1)', qr/AND, OR or the end is expected/], ["bin = 'x", qr/a quote is not closed/], ['f > 1', qr/is approximate/], ['g = 1', qr/is computed by the server/], ["d = '2020-02-30'", qr/compared with a date only/], ["dt = '2020-01-01 00:00:00.1234'", qr/as many digits/],
    ["e = 'TOKYO'", qr/has no such label/], ["e > 'tokyo'", qr/by =, != and IN only/], ['y = 20', qr/1901 to 2155/], ["latin = '\x{65e5}'", qr/has characters that column "latin" \(latin1\) cannot hold/], ['i = 1e3', qr/a number is digits/], ['dn IS NOT NULL', qr/is NOT NULL/], ['i <=> 1', qr/a number or a 'text' is expected/], ['i = 1 && u = 2', qr/AND, OR or the end/],
    ['u = ' . '1' x 66, qr/at most 65/], ['(' x 100 . 'i = 1' . ')' x 100, qr/too many brackets/], ['', qr/a column is expected at "the end"/], ["b = 'x'", qr/only ask IS NULL/],
);

sub text { my ($s) = @_; utf8::encode(my $bytes = $s); return $bytes }
# As a file has it.
sub quoted { my ($s) = @_; return '"' . (text($s) =~ s/([\\"])/\\$1/gr) . '"' }

my %servers = (MariaDB => [map { Syncline::MariaDB->new(session => "SET NAMES utf8mb4, sql_mode = '', time_zone = '+00:00'") } 1 .. 2], MySQL => [map { Syncline::MySQL->new(session => "SET NAMES utf8mb4, sql_mode = '', time_zone = '+00:00'") } 1 .. 2]);
for my $family (sort keys %servers) {
    my ($source, $target) = @{$servers{$family}};
    my %newer = $family eq 'MySQL' ? (NEWER => 'utf8mb4_0900_as_cs', NOPAD => 'utf8mb4_0900_ai_ci') : (NEWER => 'utf8mb4_unicode_520_ci', NOPAD => 'utf8mb4_nopad_bin');
    my $definition = join(', ', 'id INT PRIMARY KEY', (map { "`$_->[0]` " . $_->[1] =~ s/(NEWER|NOPAD)/$newer{$1}/r } @columns), 'g BIGINT AS (i + 1) VIRTUAL', 'b VARBINARY(9)');
    $source->sql('CREATE DATABASE shop', "CREATE TABLE shop.rows_ ($definition)");
    my $most = 0;
    for (@columns) { $most = @$_ - 2 if @$_ - 2 > $most }
    for my $id (0 .. 2 * $most - 1) {
        # Each column walks through its values at its own pace.
        my @values = map { my ($k, @v) = ($_, @{$columns[$_]}[2 .. $#{$columns[$_]}]); $v[($id + int($id / $most) * $k) % @v] } 0 .. $#columns;
        $source->sql("INSERT INTO shop.rows_ (id, " . join(', ', map { "`$_->[0]`" } @columns) . ") VALUES ($id, " . join(', ', @values) . ')');
    }
    my @names = map { sprintf 'f%03d', $_ } 0 .. $#filters;
    $source->sql("CREATE TABLE shop.$_ ($definition)") for @names;
    my $list = join ', ', map { "`$_->[0]`" } @columns;
    $source->sql("INSERT INTO shop.$_ (id, $list) SELECT id, $list FROM shop.rows_ WHERE id < $most") for @names;

    my $pair = Syncline::Pair->new(source => $source, target => $target,
        objects => join(', ', '{ database = "marker"; }', map { sprintf '{ database = "shop"; table = "%s"; where = %s; }', $names[$_], quoted($filters[$_]) } 0 .. $#filters));
    my $right = sub {
        my ($when) = @_;
        is($pair->follow($source, $target, 120), 0, "$family: $when") or diag $pair->output;
        my @wrong;
        for my $k (0 .. $#filters) {
            my @want = map { $_->[0] } @{$source->rows("SELECT id FROM shop.$names[$k] WHERE $filters[$k] ORDER BY id")};
            my @have = map { $_->[0] } @{$target->rows("SELECT id FROM shop.$names[$k] ORDER BY id")};
            push @wrong, text("$filters[$k]: @have instead of @want") if "@have" ne "@want";
        }
        is(join("\n", @wrong), '', "$family: $when: as the server finds it");
    };
    $right->('loaded');
    $source->sql("INSERT INTO shop.$_ (id, $list) SELECT id, $list FROM shop.rows_ WHERE id >= $most") for @names;
    $right->('inserted');
    # Every row takes the values of another.
    for my $name (@names) { $source->sql("UPDATE shop.$name t JOIN shop.rows_ r ON r.id = (t.id + 5) % (2 * $most) SET " . join(', ', map { "t.`$_->[0]` = r.`$_->[0]`" } @columns)) }
    $right->('moved in and out');
    $source->sql("UPDATE shop.$_ SET id = id + 1000 WHERE id % 3 = 0", "DELETE FROM shop.$_ WHERE id % 4 = 1") for @names;
    $right->('keys changed, rows deleted');
    unlike($pair->output, qr/conflict:/, "$family: no conflict");

    for my $case (@refused) {
        my ($where, $why) = @$case;
        my $bad = Syncline::Pair->new(source => $source, target => $target, id => 'bad', objects => '{ database = "shop"; table = "rows_"; where = ' . quoted($where) . '; }', more => "existing = \"ignore\";\n");
        $bad->start('loaded');
        is($bad->wait(30), 78, text("$family: refused: " . substr($where, 0, 60)));
        utf8::decode(my $said = $bad->output);
        like($said, $why, 'it says why');
    }
    $_->stop for $source, $target;
}

done_testing;
