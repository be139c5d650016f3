# Tables that the other family, or an older server, cannot have as they are (R7, R8): each is
# carried, with a warning of what is lost, or refused by the precheck, by its name, before
# anything is made at the target. What the precheck lets pass is what the load can make.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;

# Of each: columns behind "id INT PRIMARY KEY" (with what follows the parenthesis behind #), what
# the precheck says: '' carried in silence; 'lost ..' a warning with those words; else the words of
# the refusal. Values of a row, and what SHOW CREATE TABLE of the target has.
my %features = (
    'mysql-9.7 -> mariadb-11.8' => [
        ['h INT INVISIBLE, v INT', '', undef, qr/`h` int\(11\) DEFAULT NULL INVISIBLE/], ['a INT, KEY k (a) INVISIBLE', '', '5', qr/KEY `k` \(`a`\) IGNORED/], ['u VARCHAR(36) DEFAULT (uuid())', '', undef, qr/DEFAULT uuid\(\)/],
        ['g POINT NOT NULL SRID 4326, SPATIAL KEY (g)', 'lost SRID 4326'], ['j JSON, KEY k ((CAST(j->"$.a" AS UNSIGNED ARRAY)))', 'lost KEY `k` ((cast(json_extract(`j`,', q('{"a": [1, 2]}')],
        ['a INT, b INT, KEY k ((a + 1), b), UNIQUE KEY u (b, (a * b)), KEY p (b)', 'lost UNIQUE KEY `u` (`b`,((`a` * `b`))), KEY `k` (((`a` + 1)),`b`)', '1, 2', qr/KEY `p` \(`b`\)\n\)/],
        ['a INT, CONSTRAINT c CHECK (a > 0) NOT ENFORCED', 'lost NOT ENFORCED', '-1'], ['a TEXT, FULLTEXT KEY f (a) WITH PARSER ngram', 'lost WITH PARSER `ngram`', "'abc'", qr/FULLTEXT KEY `f` \(`a`\)/],
        ['a INT COLUMN_FORMAT DYNAMIC STORAGE MEMORY', 'lost STORAGE MEMORY, COLUMN_FORMAT DYNAMIC', '3'], ['a INT) COMPRESSION="zlib"#', "lost COMPRESSION='zlib'", '3'],
        ['a VARCHAR(9) CHECK (regexp_like(a, "x"))', qr/`regexp_like`\(\)' cannot be used in the CHECK clause/], ['a BINARY(16) DEFAULT (uuid_to_bin(uuid()))', qr/`uuid_to_bin`\(\)' cannot be used in the DEFAULT clause of `a`/],
        ['a BINARY(16), b VARCHAR(36) AS (bin_to_uuid(a)) VIRTUAL', qr/`bin_to_uuid`\(\)' cannot be used in the GENERATED ALWAYS AS clause of `b`/], ['v VECTOR(3)', '', q(STRING_TO_VECTOR('[1,2,3]')), qr/vector\(3\)/],
    ],
    'mariadb-11.8 -> mysql-9.7' => [
        ["a INET6, b INET4 DEFAULT '1.2.3.4', c UUID DEFAULT '00112233-4455-6677-8899-aabbccddeeff', d INET6 NOT NULL DEFAULT '2001:db8::1', KEY (a), UNIQUE KEY (c)", '', "'fe80::1', '10.0.0.1', uuid(), '::1'", qr/`d` binary\(16\) NOT NULL DEFAULT/],
        ['uuid UUID DEFAULT uuid(), inet6 INT', '', 'uuid(), 3', qr/DEFAULT \(uuid_to_bin\(uuid\(\)\)\)/], ['h INT INVISIBLE, v INT', '', undef, qr/`h` int DEFAULT NULL \/\*!80023 INVISIBLE/],
        ['v VECTOR(3) NOT NULL, VECTOR INDEX (v)', 'lost VECTOR KEY `v` (`v`)', "Vec_FromText('[1,2,3]')"], ['a TEXT COMPRESSED', 'lost COMPRESSED', "'abc'"], ['a INT) PAGE_COMPRESSED=1#', "lost `PAGE_COMPRESSED`='1'", '3'],
        ['s DATE, e DATE, PERIOD FOR p (s, e)', qr/shop\.\w+ cannot be had at the target \(PERIOD FOR `p` \(`s`, `e`\)\)/], ['s DATE, e DATE, PERIOD FOR p (s, e), UNIQUE (id, p WITHOUT OVERLAPS)', qr/\(PERIOD FOR `p` \(`s`, `e`\)\)/],
        ['a INT, b VARCHAR(99) AS (json_detailed(a)) VIRTUAL', qr/disallowed function: `json_detailed`/], ['a BLOB UNIQUE', qr/column 'a' used in key specification without a key length/], ['a INT CHECK (nvl(a, 1) > 0)', '', '3'],
        ['a INT) ENGINE=Aria TRANSACTIONAL=1#', '', '3', qr/ENGINE=InnoDB/], ['a VARCHAR(9) COLLATE utf8mb4_uca1400_swedish_ai_ci', '', "'a'"],
        ['a INT) WITH SYSTEM VERSIONING#', 'kind system versioned'], ['SEQUENCE', 'kind sequence'],
    ],
    'mysql-9.7 -> mysql-5.7' => [
        ['a INT, KEY k ((a + 1))', 'lost KEY `k` (((`a` + 1)))', '4'], ['h INT INVISIBLE, v INT', 'lost INVISIBLE'], ['a INT, KEY k (a DESC)', '', '4'], ['a INT CHECK (a > 0)', '', '4'], ['a VARCHAR(9) COLLATE utf8mb4_0900_ai_ci', '', "'a'"],
        ['a INT DEFAULT (1 + 2)', qr/`a` int DEFAULT \(\(1 \+ 2\)\)/], ['v VECTOR(3)', qr/`v` vector\(3\)/], ['g POINT NOT NULL SRID 4326', 'lost SRID 4326'], ['j JSON', '', q('{"a": 1}')],
    ],
    'mariadb-11.8 -> mariadb-10.5' => [
        ['a UUID', qr/Unknown data type: 'uuid'/], ['v VECTOR(3)', qr/Unknown data type: 'vector'/], ['a INET6', '', "'::1'"], ['a INET4', qr/Unknown data type: 'inet4'/], ['a INT, KEY k (a) IGNORED', 'lost IGNORED', '4'], ['a INT, KEY k (a DESC)', '', '4'],
    ],
);

for my $direction (sort keys %features) {
    my ($from, $to) = split / -> /, $direction;
    my ($source, $target) = (node($from), node($to));
    my (%says, %what, %shows);
    $source->sql('CREATE DATABASE shop');
    for my $feature (@{$features{$direction}}) {
        my ($columns, $says, $values, $shows) = @$feature;
        my $name = 'c' . keys %says;
        $source->sql($columns eq 'SEQUENCE' ? "CREATE SEQUENCE shop.$name" : "CREATE TABLE shop.$name (id INT PRIMARY KEY, " . ($columns =~ /^(.*)#$/ ? $1 : "$columns)"));
        $source->sql("INSERT INTO shop.$name VALUES (1, $values)") if defined $values;
        @{$says{$name}} = $says;
        ($what{$name}, $shows{$name}) = ("$direction: $columns", $shows);
    }
    my $objects = '{ database = "shop"; }';
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects);
    my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>/dev/null`;
    is($? >> 8, 78, "$direction: the precheck fails") or diag $out;
    my %said;
    while ($out =~ /^(fail|warn)  (?:Table definitions|Kinds of tables)\n      cause: ((?:(?!\n      remedy: ).)*source table shop\.(\w+)(?:(?!\n      remedy: ).)*)\n      remedy: \S/msg) { push @{$said{$3}}, "$1 $2" }
    for my $name (sort keys %says) {
        my ($says) = @{$says{$name}};
        my $said = join "\n", @{$said{$name} // []};
        if (ref $says) { like($said, qr/^fail .*$says/s, "$what{$name}: refused by its name"); $objects .= qq(, { database = "shop"; table = "$name"; exclude = true; }) }
        elsif ($says =~ /^kind (.*)/) { like($said, qr/^fail source table shop\.$name is of the kind "$1"/, "$what{$name}: refused by its kind"); $objects .= qq(, { database = "shop"; table = "$name"; exclude = true; }) }
        elsif ($says =~ /^lost (.*)/) { like($said, qr/^warn .* goes without: \Q$1\E/, "$what{$name}: a warning of what is lost") }
        else { is($said, '', "$what{$name}: nothing to say") }
    }
    is($target->one("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('shop', 'syncline')"), 0, "$direction: the precheck has left nothing at the target");

    # What was let pass can be made, and has its rows.
    my $rest = Syncline::Pair->new(source => $source, target => $target, objects => $objects);
    `$Syncline::Pair::build/syncline check ${\ $rest->conf} 2>/dev/null`;
    is($? >> 8, 0, "$direction: without the refused ones it passes");
    $rest->start('caught-up');
    is($rest->wait(60), 0, "$direction: loaded") or diag $rest->output;
    for my $name (grep { $shows{$_} } sort keys %shows) { like($target->rows("SHOW CREATE TABLE shop.$name")->[0][1], $shows{$name}, "$what{$name}: as the target can have it") }
    for my $name (grep { !ref $says{$_}[0] && $says{$_}[0] !~ /^kind/ } sort keys %says) { is($target->one("SELECT COUNT(*) FROM shop.$name"), $source->one("SELECT COUNT(*) FROM shop.$name"), "$what{$name}: its rows") }
    $_->stop for $source, $target;
}
# In the stream: what MariaDB says and MySQL does not know is said otherwise, or stops; nothing is lost.
{
    my ($source, $target) = (node('mariadb-11.8'), node('mysql-9.7'));
    my $bytes = sub { my ($what) = @_; return join ' ', map { uc unpack 'H*', $_ // '' } map { @$_ } @{$_[1]->rows("SELECT $what FROM shop.a ORDER BY id")} };
    my $both = sub {
        my ($what, $columns) = @_;
        my @cast = map { my $c = $_; join ', ', map { "CAST($_ AS BINARY($c))" } split / /, $columns->{$c} } sort keys %$columns;
        is($bytes->(join(', ', @cast), $target), $bytes->(join(', ', @cast), $source), $what);
    };
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, six INET6, four INET4, u UUID, UNIQUE KEY (six))', "INSERT INTO shop.a VALUES (1, '::1', '1.2.3.4', '00112233-4455-6677-8899-aabbccddeeff'), (2, NULL, NULL, NULL)",
        'CREATE TABLE shop.r (id INT PRIMARY KEY, v INT)', 'INSERT INTO shop.r VALUES (1, 1)', 'CREATE TABLE shop.child (id INT PRIMARY KEY, r INT, FOREIGN KEY (r) REFERENCES shop.r (id))', 'CREATE TABLE shop.h (id INT PRIMARY KEY, n INT)', 'INSERT INTO shop.h VALUES (1, 1)');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }');
    is($pair->follow($source, $target, 60), 0, 'addresses load') or diag $pair->output;
    $both->('addresses are the same bytes', {16 => 'six u', 4 => 'four'});
    $source->sql("INSERT INTO shop.a VALUES (3, 'fe80::dead:beef', '255.0.0.1', 'ffeeddcc-bbaa-4988-8766-554433221100')", "UPDATE shop.a SET six = '::2', u = 'a0112233-4455-6677-8899-aabbccddeeff' WHERE six = '::1'", "DELETE FROM shop.a WHERE id = 2",
        "ALTER TABLE shop.a ADD d6 INET6 NOT NULL DEFAULT '2001:db8::1', ADD d4 INET4 NOT NULL DEFAULT '10.0.0.1', ADD du UUID NOT NULL DEFAULT '123e4567-e89b-12d3-a456-426614174000', ADD n INET6", "INSERT INTO shop.a (id, six) VALUES (4, '::4')", 'SET foreign_key_checks = 0',
        'CREATE OR REPLACE TABLE shop.r (id INT PRIMARY KEY, w VARCHAR(9))', "INSERT INTO shop.r VALUES (5, 'new')", 'CREATE OR REPLACE TABLE shop.s LIKE shop.r', 'CREATE OR REPLACE TABLE shop.s SELECT id, w FROM shop.r', 'CREATE OR REPLACE TABLE shop.s SELECT id + 1 AS id, w FROM shop.r', 'SET foreign_key_checks = 1');
    is($pair->follow($source, $target, 60), 0, 'and go on, with CREATE OR REPLACE TABLE') or diag $pair->output;
    $both->('the same bytes still, and of new columns', {16 => 'six u d6 du n', 4 => 'four d4'});
    is_deeply($target->rows("SELECT * FROM shop.$_"), $source->rows("SELECT * FROM shop.$_"), "shop.$_ is the new one") for qw(r s);
    $source->sql('ALTER TABLE shop.h ADD SYSTEM VERSIONING', 'UPDATE shop.h SET n = 2');
    is($pair->follow($source, $target, 60), 65, 'ADD SYSTEM VERSIONING stops before the first row');
    like($pair->output, qr/ADD SYSTEM VERSIONING` at the target .*; this server cannot have that: undo it at the source, and reset the channel; or leave the table out of `objects`/, 'with what to do');
    is($target->one('SELECT n FROM shop.h'), 1, 'nothing of it is done');
    $source->sql("INSERT INTO shop.r VALUES (6, 'later')");
    my $text = do { local (@ARGV, $/) = ($pair->conf); <> };
    $text =~ s/\{ database = "shop"; \}/{ database = "shop"; }, { database = "shop"; table = "h"; exclude = true; }/ or die;
    { open my $conf, '>', $pair->conf or die; print $conf $text }
    is($pair->follow($source, $target, 60), 0, 'and with that it goes on') or diag $pair->output;
    is($target->one('SELECT w FROM shop.r WHERE id = 6'), 'later', 'nothing is lost');
    $_->stop for $source, $target;
}
done_testing;
