# Columns that are not written, not seen or not there: generated (virtual, stored,
# in keys), invisible, keys that the server makes by itself, defaults that are
# expressions. Loaded, streamed, and through ALTER.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

# name => what of a family, definition, INSERT of rows with the numbers $n .. $n + 19 from seq
my @both = (
    ['virtual', 'id INT PRIMARY KEY, a INT, v INT AS (a * 2) VIRTUAL, b INT', '(id, a, b) SELECT n, n, n'],
    ['stored', 'id INT PRIMARY KEY, s VARCHAR(40) AS (CONCAT(a, "-", b)) STORED, a VARCHAR(20), b VARCHAR(10)', '(id, a, b) SELECT n, CONCAT("a", n), "b"'],
    ['only_key', 'a INT NOT NULL, k INT AS (a + 1) STORED, UNIQUE KEY (k)', '(a) SELECT n'],
    ['virtual_unique', 'id INT PRIMARY KEY, a VARCHAR(20), v VARCHAR(20) AS (LOWER(a)) VIRTUAL, UNIQUE KEY (v)', '(id, a) SELECT n, CONCAT("A", n)'],
    ['in_json', 'id INT PRIMARY KEY, j JSON, v INT AS (JSON_EXTRACT(j, "$.n")) VIRTUAL, KEY (v)', '(id, j) SELECT n, JSON_OBJECT("n", n)'],
    ['invisible', 'id INT PRIMARY KEY, h INT NOT NULL DEFAULT 5 INVISIBLE, v INT', '(id, h, v) SELECT n, n + 1, n'],
    ['invisible_key', 'id INT NOT NULL INVISIBLE AUTO_INCREMENT, v INT, PRIMARY KEY (id)', '(v) SELECT n'],
    ['invisible_default', 'id INT PRIMARY KEY, h VARCHAR(9) DEFAULT "x" INVISIBLE', '(id) SELECT n'],
    ['counted', 'id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, v INT', '(v) SELECT n'],
    ['counted_zero', 'id INT AUTO_INCREMENT PRIMARY KEY, v INT', '(id, v) SELECT IF(n = 1, 0, n), n'],
    ['counted_second', 'a INT NOT NULL, id INT NOT NULL AUTO_INCREMENT, PRIMARY KEY (a, id), KEY (id)', '(a, id) SELECT n % 3, n'],
    ['expression', 'id INT PRIMARY KEY, d VARCHAR(40) DEFAULT (CONCAT("a", 1)), t TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)', '(id) SELECT n'],
    ['updated', 'id INT PRIMARY KEY, a INT, t DATETIME(3) NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP(3)', '(id, a) SELECT n, n'],
    ['checked', 'id INT PRIMARY KEY, a INT CHECK (a > -5), CONSTRAINT two CHECK (a < 100000 OR id = 0)', '(id, a) SELECT n, n'],
    ['nothing_else', 'a INT, v INT AS (a + 1) VIRTUAL', '(a) SELECT n % 4'],
);
my %own = (
    MySQL => [
        ['true_key', 'a INT NOT NULL, k INT AS (a + 1) STORED NOT NULL, UNIQUE KEY (k)', '(a) SELECT n'],
        ['made_key', 'a INT, b VARCHAR(10)', '(b, a) SELECT "x", n', 'SET sql_generate_invisible_primary_key = ON'],
        ['functional', 'id INT PRIMARY KEY, a VARCHAR(20), UNIQUE KEY f ((UPPER(a)))', '(id, a) SELECT n, CONCAT("a", n)'],
        ['generated_key', 'a INT, b INT AS (a) VIRTUAL, PRIMARY KEY (a), KEY d (b DESC)', '(a) SELECT n'],
        ['unforced', 'id INT PRIMARY KEY, a INT, CHECK (a > 1000) NOT ENFORCED', '(id, a) SELECT n, n'],
        ['many_valued', 'id INT PRIMARY KEY, j JSON, KEY m ((CAST(j->"$.a" AS UNSIGNED ARRAY)))', '(id, j) SELECT n, JSON_OBJECT("a", JSON_ARRAY(n, n + 1))'],
    ],
    MariaDB => [
        ['persistent', 'id INT PRIMARY KEY, a INT, p INT AS (a + 1) PERSISTENT', '(id, a) SELECT n, n'],
        ['period', 'id INT PRIMARY KEY, a DATE, b DATE, PERIOD FOR p (a, b)', '(id, a, b) SELECT n, "2020-01-01", "2020-02-02"'],
        ['uuid_made', 'u UUID DEFAULT UUID() PRIMARY KEY, a INT', '(a) SELECT n'],
        ['long_unique', 'id INT PRIMARY KEY, t TEXT, UNIQUE KEY (t)', '(id, t) SELECT n, REPEAT(CONCAT("x", n), 500)'],
    ],
);
my %alter = (
    virtual => 'MODIFY a BIGINT, ADD COLUMN c INT AS (b + 1) STORED FIRST, ADD COLUMN d INT DEFAULT 3',
    stored => 'DROP COLUMN s, ADD COLUMN s2 VARCHAR(30) AS (CONCAT(b, a)) VIRTUAL', invisible => 'ALTER COLUMN h SET DEFAULT 6, ADD COLUMN w INT DEFAULT 8 INVISIBLE FIRST',
    counted => 'ADD COLUMN x INT AS (v + 1) VIRTUAL, AUTO_INCREMENT = 5000', nothing_else => 'ADD COLUMN b INT INVISIBLE DEFAULT 4', checked => 'ADD COLUMN z INT CHECK (z > 0)',
);

sub insert {
    my ($db, $tables, $from) = @_;
    my $dbh = $db->dbh;
    $dbh->do("INSERT INTO columns.$_->[0] $_->[2] FROM columns.numbers WHERE n BETWEEN ? AND ?", undef, $from, $from + 39) for @$tables;
}

sub change {
    my ($db, $tables) = @_;
    my $dbh = $db->dbh;
    for my $t (@$tables) {
        my $name = $t->[0];
        my ($column) = $t->[2] =~ /(\w+)\) SELECT/;
        my $new = $name =~ /json|many/ ? 'JSON_OBJECT("n", 7)' : $name =~ /period/ ? '"2020-03-03"' : $name =~ /unique|stored|functional/ ? 'CONCAT("z", ' . $column . ')' : "$column + 1000";
        $dbh->do("UPDATE columns.$name SET $column = $new ORDER BY $column LIMIT 9");
        $dbh->do("DELETE FROM columns.$name ORDER BY $column LIMIT 3");
        $dbh->do("REPLACE INTO columns.$name $t->[2] FROM columns.numbers WHERE n BETWEEN 60 AND 65");
    }
}

my %servers = (MariaDB => [map { Syncline::MariaDB->new } 1 .. 2], MySQL => [map { Syncline::MySQL->new } 1 .. 2]);
for my $case (['MariaDB', 'MariaDB'], ['MySQL', 'MySQL'], ['MariaDB', 'MySQL'], ['MySQL', 'MariaDB']) {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    my @tables = (@both, $from eq $to ? @{$own{$from}} : ());
    # An expression as a default, invisible columns: each family has words of its own for the other.
    @tables = grep { $_->[0] !~ /^(?:invisible|expression|virtual_unique|in_json)/ } @tables if $from ne $to;
    for my $db ($source, $target) { $db->sql("DROP DATABASE IF EXISTS $_") for qw(columns marker syncline) }
    $source->sql('CREATE DATABASE columns CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'CREATE TABLE columns.numbers (n INT PRIMARY KEY)',
        'INSERT INTO columns.numbers VALUES ' . join(',', map { "($_)" } 1 .. 400));
    for my $t (@tables) {
        my $dbh = $source->dbh;
        $dbh->do($t->[3]) if $t->[3];
        $dbh->do("CREATE TABLE columns.$t->[0] ($t->[1])");
    }
    insert($source, \@tables, 1);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "columns"; }, { database = "marker"; }', more => "chunk_rows = 16;\n");
    $pair->mark($source)->start('loaded');
    is($pair->wait(60), 0, "$from to $to: loaded") or diag $pair->output;
    is(join("\n", compare($source, $target, 'columns')), '', "$from to $to: the load is exact");
    insert($source, \@tables, 101);
    change($source, \@tables);
    is($pair->follow($source, $target), 0, "$from to $to: streamed") or diag $pair->output;
    is(join("\n", compare($source, $target, 'columns')), '', "$from to $to: the stream is exact");
    for my $t (grep { $alter{$_->[0]} } @tables) { $source->sql("ALTER TABLE columns.$t->[0] $alter{$t->[0]}") }
    insert($source, \@tables, 201);
    change($source, \@tables);
    is($pair->follow($source, $target), 0, "$from to $to: altered") or diag $pair->output;
    is(join("\n", compare($source, $target, 'columns')), '', "$from to $to: and still exact");
    my $counter = "SELECT MAX(id) FROM columns.counted";
    is($target->one($counter), $source->one($counter), "$from to $to: counted on");
}

# What is a table in the log alone is refused before it begins.
{
    my ($source, $target) = @{$servers{MariaDB}};
    $source->sql('CREATE DATABASE kinds', 'CREATE TABLE kinds.plain (id INT PRIMARY KEY)', 'CREATE TABLE kinds.versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING', 'CREATE SEQUENCE kinds.numbers');
    $ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
    my $check = sub { my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $_[0]); return scalar `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1` };
    my $out = $check->('{ database = "kinds"; }');
    like($out, qr/^fail  Kinds of tables\n      cause: source table kinds\.$_ is of the kind .*\n      remedy: leave it out/m, "$_: told beforehand") for qw(versioned numbers);
    $out = $check->('{ database = "kinds"; }, { database = "kinds"; table = "versioned"; exclude = true; }, { database = "kinds"; table = "numbers"; exclude = true; }');
    unlike($out, qr/Kinds of tables/, 'and left out by the remedy') or diag $out;
}

done_testing;
