# Every column type at its limits, byte by byte, loaded and streamed: as a value
# beside a key, as the key itself, and in a table without a key. Which types
# there are is asked of the server: each word that it knows is tried as one.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my $odd_labels = q{('x', '', 'it''s', 'a b', 'back\\\\slash', '"q"', '`b`', 'größe', '日本', 'Ω', '%s', '?', '-1', ' lead')};
my $bytes = q{CONCAT(x'00', 'a', x'00', CONVERT(x'0d0a1a275c2260ff80c328' USING binary))};
my $bit64 = join ',', map { "'m$_'" } 1 .. 64;
my @moments = (
    "'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'", "'2020-03-29 01:59:59.5'", "'2020-10-25 00:30:00'",
    "'2020-10-25 01:30:00'", "'2000-02-29 23:59:59.000001'",
);
my @days = ("'0000-00-00'", "'0001-01-01'", "'1000-01-01'", "'9999-12-31'", "'2020-02-31'", "'2020-00-00'", "'2020-11-00'", "'2019-02-29'", "'2024-02-29'");
my @dates = ((map { s/'$/ 00:00:00'/r } @days), "'9999-12-31 23:59:59.999999'", "'2020-02-31 12:34:56.000001'", "'0000-00-00 00:00:00'");
my @hours = ("'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'100:00:00'", "'-00:00:00.000001'", "'00:00:00.999999'", "'12:34:56.789'");
my %wkt = (
    point => 'POINT(1 2)', linestring => 'LINESTRING(0 0, 1.5 -1, 2 2)', polygon => 'POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))',
    multipoint => 'MULTIPOINT(1 1, 2 2)', multilinestring => 'MULTILINESTRING((0 0, 1 1), (2 2, 3 3))',
    multipolygon => 'MULTIPOLYGON(((0 0, 1 0, 1 1, 0 1, 0 0)))', geometrycollection => 'GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))',
);
my @json = (
    'null', 'true', 'false', '0', '-1', '32767', '-32768', '65535', '2147483647', '-2147483648', '4294967295', '9223372036854775807',
    '-9223372036854775808', '18446744073709551615', '1.5', '-0.0', '0.1', '1e300', '1.7976931348623157e308', '5e-324', '1e-7', '123456789.125', '1e15', '1e16',
    '1e17', '1e21', '123456789012345.0', '1e14', '1e-15', '1.25e-15', '1e-16', '-2.5e-20', '0.001', '0.5e-5', '3.0', '100.0', '""', '"text"', '"größe 😀 \\u0000 \\u001f \\" \\\\ / \\b\\f\\n\\r\\t \\u007f"', '[]', '{}', '[[[]]]', '{"": {"": []}}',
    '{"b": 1, "a": [1, 2.5, "x", null, true], "größe": {"k\\"q": "v"}}', '[' . join(',', 1 .. 400) . ']',
    '{' . join(',', map { qq{"k$_": "} . ('v' x $_) . '"' } 1 .. 400) . '}', '"' . ('y' x 70000) . '"',
);

# [type by information_schema, definition, values, words]: no_key: it cannot be
# a whole key; value: nothing but a value is worth the time; a family: its own.
my @types = (
    ['tinyint', 'TINYINT', [-128, 0, 127]], ['tinyint', 'TINYINT UNSIGNED', [0, 255]], ['tinyint', 'TINYINT(3) UNSIGNED ZEROFILL', [7, 255]],
    ['tinyint', 'BOOLEAN', [0, 1]], ['smallint', 'SMALLINT', [-32768, 32767]], ['smallint', 'SMALLINT UNSIGNED', [65535, 1]],
    ['mediumint', 'MEDIUMINT', [-8388608, 8388607]], ['mediumint', 'MEDIUMINT UNSIGNED', [16777215, 3]], ['int', 'INT', [-2147483648, 2147483647]],
    ['int', 'INT UNSIGNED', [4294967295, 5]], ['bigint', 'BIGINT', ['-9223372036854775808', '9223372036854775807', 0]],
    ['bigint', 'BIGINT UNSIGNED', ['18446744073709551615', '9223372036854775808', 0]], ['bigint', 'BIGINT(20) UNSIGNED ZEROFILL', ['18446744073709551615', 42]],
    ['decimal', 'DECIMAL(65,30)', [('9' x 35) . '.' . ('9' x 30), '-' . ('9' x 35) . '.' . ('9' x 30), '0.' . ('0' x 29) . '1', '-0.5', 0]],
    ['decimal', 'DECIMAL(65,0)', ['9' x 65, '-' . ('9' x 65), 0]], ['decimal', 'DECIMAL(30,30)', ['0.' . ('9' x 30), '-0.' . ('9' x 30), 0]],
    ['decimal', 'DECIMAL(10,2) UNSIGNED ZEROFILL', ['1.5', '99999999.99', 0]], ['decimal', 'DECIMAL(9,9)', ['0.123456789', '-0.000000001']],
    ['float', 'FLOAT', ['0e0', '3.40282347e38', '-3.40282347e38', '1.17549435e-38', '1.4e-45', '0.1e0', '16777217e0', '-1.5e0'], 'no_key'],
    ['float', 'FLOAT(10,3)', ['1.125', '-1234.567'], 'no_key'],
    ['double', 'DOUBLE', ['0e0', '1.7976931348623157e308', '-1.7976931348623157e308', '2.2250738585072014e-308', '4.9e-324', '0.1e0', '9007199254740993e0', '-1e-5'], 'no_key'],
    ['bit', 'BIT(1)', ["b'0'", "b'1'"]], ['bit', 'BIT(12)', ["b'0'", 4095, "b'100000000001'"]], ['bit', 'BIT(64)', ["x'ffffffffffffffff'", "x'8000000000000000'", "b'1'"]],
    ['char', 'CHAR(255)', ["''", "'a'", "REPEAT('ü', 255)", "'😀'", q{'O''Reilly \\\\ "x" `y` ; DROP TABLE t; -- /* '}, "'0'", "'NULL'"]], ['char', 'CHAR(0)', ["''"], 'no_key'],
    ['varchar', 'VARCHAR(700)', ["''", "'a'", "' lead'", "REPEAT('日', 700)", "'a\\0b'", "'tab\\tnl\\ncr\\r'", "REPEAT('a', 255)", "REPEAT('b', 256)", "'trail  '"]],
    ['varchar', 'VARCHAR(16000)', ["REPEAT('日', 16000)"], 'no_key'],
    ['tinytext', 'TINYTEXT', ["''", "REPEAT('a', 255)"], 'no_key'], ['text', 'TEXT', ["''", "REPEAT('a', 65535)", "'trail  '"], 'no_key'],
    ['mediumtext', 'MEDIUMTEXT', ["REPEAT('größe', 20000)"], 'no_key'], ['longtext', 'LONGTEXT', ["REPEAT('😀', 1000000)"], 'no_key'],
    ['binary', 'BINARY(16)', ["x'00'", "'abc'", "x'61000000'", "REPEAT(x'ff', 16)", "x''", "REPEAT(x'20', 16)"]], ['binary', 'BINARY(255)', ["REPEAT(x'fe', 255)", "x'01'"]],
    ['varbinary', 'VARBINARY(700)', ["x''", "x'00'", "x'0000'", "x'6120'", "REPEAT(x'ff', 700)", $bytes, "x'61'"]],
    ['tinyblob', 'TINYBLOB', ["x''", "REPEAT(x'00', 255)"], 'no_key'], ['blob', 'BLOB', ["x''", $bytes, "REPEAT(x'c3', 65535)"], 'no_key'],
    ['mediumblob', 'MEDIUMBLOB', ["REPEAT(x'80', 70000)"], 'no_key'], ['longblob', 'LONGBLOB', ["REPEAT(x'5c', 3000000)"], 'no_key'],
    ['enum', "ENUM$odd_labels", [1 .. 14]], ['enum', 'ENUM(' . join(',', map { "'e$_'" } 1 .. 300) . ')', [1, 255, 256, 300]], ['enum', "ENUM('a', 'b')", [1, 2, "'nonsense'"]],
    ['set', 'SET' . $odd_labels =~ s/'', //r, ["''", 1, 3, 8191, 4096]], ['set', "SET($bit64)", ['18446744073709551615', '9223372036854775808', 0, 1]], ['set', "SET('')", [0, 1]],
    ['year', 'YEAR', [0, 1901, 1970, 2155]], ['date', 'DATE', \@days],
    (map { my $n = $_; ['time', "TIME($n)", [distinct($n, @hours)]] } 0, 3, 6), ['time', 'TIME(6)', ["'-838:59:59.999999'", "'838:59:59.999999'"], 'MariaDB'],
    (map { ['time', "TIME($_)", ["'-01:02:03.123456'", "'01:02:03.123456'", "'-00:00:00'", "'-00:00:59.9'"], 'value'] } 1, 2, 4, 5),
    (map { my $n = $_; ['datetime', "DATETIME($n)", [distinct($n, @dates)]] } 0, 3, 6), (map { ['datetime', "DATETIME($_)", ["'1969-12-31 23:59:58.123456'"], 'value'] } 1, 2, 4, 5),
    (map { my $n = $_; ['timestamp', "TIMESTAMP($n) NULL", [distinct($n, @moments)]] } 0, 3, 6), (map { ['timestamp', "TIMESTAMP($_) NULL", ["'2001-09-09 01:46:39.123456'"], 'value'] } 1, 2, 4, 5),
    ['json', 'JSON', [map { quoted($_) } @json], 'no_key'],
    (map { my $t = $_; [$t, uc $t, ["ST_GeomFromText('$wkt{$t}')", "ST_GeomFromText('$wkt{$t}', 0)"], 'no_key'] } grep { $_ ne 'geometrycollection' } sort keys %wkt),
    ['geometry', 'GEOMETRY', [(map { "ST_GeomFromText('$_', 4326)" } map { $wkt{$_} } sort keys %wkt), "ST_GeomFromText('POINT(1e300 -0.1)')"], 'no_key'],
    ['geometrycollection', 'GEOMETRYCOLLECTION', ["ST_GeomFromText('$wkt{geometrycollection}')"], 'MariaDB no_key'],
    ['geomcollection', 'GEOMETRYCOLLECTION', ["ST_GeomFromText('$wkt{geometrycollection}')"], 'MySQL no_key'],
    ['point', 'POINT SRID 4326', ["ST_GeomFromText('POINT(52 13)', 4326)"], 'MySQL no_key'], ['geometry', 'GEOMETRY SRID 3857', ["ST_GeomFromText('POINT(1 2)', 3857)"], 'MySQL no_key'],
    ['json', 'JSON', ["CAST(CAST('2020-01-02 03:04:05.000006' AS DATETIME(6)) AS JSON)", "CAST(CAST('2020-01-02' AS DATE) AS JSON)", "CAST(CAST('-12:34:56.5' AS TIME(6)) AS JSON)"], 'MySQL no_key'],
    ['inet4', 'INET4', ["'0.0.0.0'", "'255.255.255.255'", "'127.0.0.1'", "'32.32.32.32'"], 'MariaDB'],
    ['inet6', 'INET6', ["'::'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'2001:db8::ff00:42:8329'", "'::192.0.2.128'", "'1::'"], 'MariaDB'],
    ['uuid', 'UUID', ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'123e4567-e89b-12d3-a456-426655440000'",
            "'017f22e2-79b0-7cc3-98c4-dc0c0c07398f'", "'c232ab00-9414-11ec-b3c8-9f6bdeced846'", "'3d813cbb-47fb-32ba-91df-831e1593ac29'"], 'MariaDB'],
    ['vector', 'VECTOR(3)', ["x'0000803f000000c00000003f'", "x'000000000000000000000000'", "x'ffff7f7fffff7fff01000000'"], 'new no_key'],
    ['vector', 'VECTOR(16000)', ["REPEAT(x'0000803f', 16000)"], 'new no_key'],
    ['varchar', 'VARCHAR(1000) COMPRESSED', ["''", "'a'", "REPEAT('größe', 200)"], 'MariaDB no_key'], ['varbinary', 'VARBINARY(1000) COMPRESSED', ["REPEAT(x'00', 1000)", "x''"], 'MariaDB no_key'],
    ['text', 'TEXT COMPRESSED', ["''", "REPEAT('größe', 9000)", "'a'"], 'MariaDB no_key'], ['longblob', 'LONGBLOB COMPRESSED', ["REPEAT(x'00', 1000000)", 'x\'00\''], 'MariaDB no_key'],
);

# As keys values must differ within the digits that the column has.
sub distinct {
    my ($digits, @values) = @_;
    my %seen;
    return grep { my ($whole, $part) = /^'(.*?)(?:\.(\d+))?'$/; my $cut = substr(($part // '') . '000000', 0, $digits);
        my $key = "$whole.$cut"; $key =~ s/^-(00:00:00\.0*)$/$1/; !$seen{$key}++ } @values;
}

sub quoted { my ($s) = @_; $s =~ s/([\\'])/\\$1/g; return "'$s'" }

# What the server takes as a type, by asking it about every word that it has.
sub server_types {
    my ($db) = @_;
    my $dbh = $db->main_dbh;
    my %words;
    $words{$_->[0]}++ for @{$db->rows('SELECT WORD FROM information_schema.KEYWORDS')}, @{$db->rows("SELECT PLUGIN_NAME FROM information_schema.PLUGINS")};
    for my $topic (map { $_->[0] } @{$db->rows('SELECT name FROM mysql.help_topic')}) { $words{uc $_}++ for $topic =~ /([A-Za-z]\w+)/g }
    my %types;
    $db->sql('CREATE DATABASE words');
    for my $word (grep { /^\w+$/ } sort keys %words) {
        for my $tail ('', '(1)', "('a')", ' VARYING(1)') {
            next if !eval { $dbh->do("CREATE TABLE words.t (v $word$tail)"); 1 };
            $types{lc $db->one("SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'words' AND TABLE_NAME = 't'")} = 1;
            $dbh->do('DROP TABLE words.t');
            last;
        }
    }
    $db->sql('DROP DATABASE words');
    return sort keys %types;
}

sub belongs {
    my ($type, @servers) = @_;
    return 0 if marked($type, 'new') && grep { !/ / } @servers;
    return !marked($type, 'MariaDB|MySQL') || !grep { !marked($type, s/ .*//r) } @servers;
}

sub marked { my ($type, $words) = @_; return ($type->[3] // '') =~ /$words/ }

# As a value, as a key, without any key.
sub tables {
    my ($i, $type) = @_;
    my ($name, $definition, $values, $what) = @$type;
    my $whole = $definition =~ s/ NULL$//r;
    return (
        ["v_$i", "id INT PRIMARY KEY, v $definition"],
        marked($type, 'value') ? () : ["n_$i", "v $definition, n INT"],
        marked($type, 'value|no_key') ? () : ["k_$i", "v $whole NOT NULL, n INT, x INT NOT NULL, PRIMARY KEY (v, n)"],
    );
}

sub make {
    my ($db, $types) = @_;
    $db->sql('CREATE DATABASE types CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci');
    for my $i (0 .. $#$types) { $db->sql("CREATE TABLE types.$_->[0] ($_->[1]) ENGINE=InnoDB") for tables($i, $types->[$i]) }
    $db->sql('CREATE TABLE types.sixteen (n INT PRIMARY KEY)', 'INSERT INTO types.sixteen VALUES ' . join(',', map { "($_)" } 1 .. 16));
}

# Each value twice beside a key and without one, in sessions of several zones.
sub insert {
    my ($db, $types, $round) = @_;
    my $dbh = $db->dbh;
    $dbh->do("SET sql_mode = 'ALLOW_INVALID_DATES', foreign_key_checks = 0");
    for my $i (0 .. $#$types) {
        my $n = 0;
        $dbh->begin_work;
        for my $value ('NULL', @{$types->[$i][2]}) {
            my $id = $round * 1000 + ++$n;
            $dbh->do('SET time_zone = ?', undef, '+00:00');
            $dbh->do("INSERT INTO types.v_$i VALUES ($id, $value)");
            $dbh->do("INSERT INTO types.n_$i VALUES ($value, $n), ($value, $n)") if !marked($types->[$i], 'value');
            next if $types->[$i][0] ne 'timestamp' || $round != 2;
            $dbh->do('SET time_zone = ?', undef, (qw(SYSTEM +05:30 -12:59))[$n % 3]);
            $dbh->do("UPDATE IGNORE types.v_$i SET v = '2020-03-29 03:15:00' WHERE id = $id") if $n % 2;
        }
        $dbh->commit;
    }
    $dbh->do('SET time_zone = ?', undef, '+00:00');
    for my $i (grep { !marked($types->[$_], 'value|no_key') } 0 .. $#$types) {
        $dbh->begin_work;
        # As many rows of a value as a chunk has: each value becomes a bound.
        $dbh->do("REPLACE INTO types.k_$i SELECT $_, n + 8 * $round, $round FROM types.sixteen") for @{$types->[$i][2]};
        $dbh->commit;
    }
}

# Rows found again by their values: changed, moved, deleted.
sub change {
    my ($db, $types) = @_;
    my $dbh = $db->dbh;
    $dbh->do("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
    for my $i (0 .. $#$types) {
        $dbh->begin_work;
        if (!marked($types->[$i], 'value')) {
            $dbh->do("UPDATE types.n_$i SET n = n + 1000 WHERE n % 2 = 0 LIMIT 7");
            $dbh->do("DELETE FROM types.n_$i WHERE n % 3 = 0 LIMIT 4");
        }
        $dbh->do("UPDATE types.v_$i a JOIN types.v_$i b ON b.id = a.id + 1000 SET a.v = NULL, b.v = a.v WHERE a.id % 2 = 0");
        if (!marked($types->[$i], 'value|no_key')) {
            $dbh->do("UPDATE types.k_$i SET x = x + 1 WHERE n % 2 = 0");
            $dbh->do("UPDATE types.k_$i SET n = n + 100 WHERE n % 5 = 0");
            $dbh->do("DELETE FROM types.k_$i WHERE n % 3 = 0");
        }
        $dbh->commit;
    }
}

$ENV{TZ} = 'Europe/Berlin';    # a system zone with a summer
my %servers = (
    MariaDB => [map { Syncline::MariaDB->new } 1 .. 2], MySQL => [map { Syncline::MySQL->new } 1 .. 2],
    'MariaDB 11.8' => [map { Syncline::MariaDB->new(version => '11.8') } 1 .. 2], 'MySQL 9.7' => [map { Syncline::MySQL->new(version => '9.7') } 1 .. 2],
);
for my $family (sort keys %servers) {
    my %covered = map { $_->[0] => 1 } grep { belongs($_, $family) } @types;
    my @there = server_types($servers{$family}[0]);
    cmp_ok(scalar @there, '>', 30, "$family takes " . @there . ' types');
    is_deeply([grep { !$covered{$_} } @there], [], "$family: each of them is in the list of this test");
}

for my $case (['MariaDB', 'MariaDB'], ['MySQL', 'MySQL'], ['MariaDB', 'MySQL'], ['MySQL', 'MariaDB'], map { ["$_", "$_"] } 'MariaDB 11.8', 'MySQL 9.7') {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    my @here = grep { belongs($_, $from, $to) } @types;
    for my $db ($source, $target) { $db->sql("DROP DATABASE IF EXISTS $_") for qw(types marker syncline) }
    make($source, \@here);
    insert($source, \@here, 1);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "types"; }, { database = "marker"; }', more => "chunk_rows = 16;\n");
    $pair->mark($source)->start('loaded');
    is($pair->wait(60), 0, "$from to $to: loaded") or diag $pair->output;
    is(join("\n", compare($source, $target, 'types')), '', "$from to $to: the load is exact");
    insert($source, \@here, 2);
    change($source, \@here);
    is($pair->follow($source, $target), 0, "$from to $to: streamed") or diag $pair->output;
    is(join("\n", compare($source, $target, 'types')), '', "$from to $to: the stream is exact");
}

done_testing;
