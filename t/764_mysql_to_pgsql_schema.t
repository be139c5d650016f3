# MySQL to PostgreSQL, what a table is beside its columns' types: defaults as far as the other
# server can be told them, identities whose next value is above all rows, comments of tables and
# columns; the types by table, loaded and streamed, at their limits; a table that loads again
# (R120; spec S4.3, S4.4).
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

# definition at MySQL, type at PostgreSQL, values
my @types = (
    ['TINYINT', 'smallint', [-128, 127]], ['TINYINT UNSIGNED', 'smallint', [0, 255]], ['SMALLINT', 'smallint', [-32768, 32767]], ['SMALLINT UNSIGNED', 'integer', [65535]],
    ['MEDIUMINT UNSIGNED', 'integer', [16777215]], ['INT', 'integer', [-2147483648, 2147483647]], ['INT UNSIGNED', 'bigint', [4294967295]], ['BIGINT', 'bigint', ['-9223372036854775808', '9223372036854775807']],
    ['BIGINT UNSIGNED', 'numeric(20,0)', ['18446744073709551615', 0]], ['DECIMAL(65,30)', 'numeric(65,30)', ['-' . '9' x 35 . '.' . '9' x 30, '0.' . '0' x 29 . '1']], ['FLOAT', 'real', ['-3.40282e38', '1.17549e-38', '0.5']],
    ['DOUBLE', 'double precision', ['1.7976931348623157e308', '2.2250738585072014e-308', '-0.1']], ['BIT(1)', 'bit(1)', ["b'1'", "b'0'"]], ['BIT(12)', 'bit(12)', ["b'100000000001'"]], ['BIT(64)', 'bit(64)', ["x'8000000000000001'"]],
    ['CHAR(5)', 'character varying(5)', ["'ab'", "''", "'größe'"]], ['VARCHAR(30)', 'character varying(30)', ["'trail  '", "'it''s \\\\ \\t\\n'", "REPEAT('😀', 30)"]], ['LONGTEXT', 'text', ["''", "REPEAT('größe', 50000)"]],
    ['BINARY(4)', 'bytea', ["x'00ff'", "'a'"]], ['VARBINARY(9)', 'bytea', ["x''", "x'005c27'"]], ['LONGBLOB', 'bytea', ["REPEAT(x'00ff', 50000)"]], ['DATE', 'date', ["'1000-01-01'", "'9999-12-31'", "'2020-02-29'"]],
    ['TIME(6)', 'interval(6)', ["'-838:59:59'", "'838:59:59.000000'", "'00:00:00.000001'", "'-00:00:01'"]], ['DATETIME(6)', 'timestamp(6) without time zone', ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"]], ['DATETIME', 'timestamp(0) without time zone', ["'2020-03-29 02:30:00'"]],
    ['TIMESTAMP(3) NULL', 'timestamp(3) with time zone', ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999'"]], ['YEAR', 'smallint', [1901, 2155, 0]], ["ENUM('a','it''s','größe')", 'text', [1, 2, 3]], ["SET('a','b','größe')", 'text', [0, 7]], ['JSON', 'text', ["'{\"a\": [1, \"x\", null]}'"]],
);
my ($source, $target) = (Syncline::MariaDB->new, Syncline::PostgreSQL->new);
my @values;
$source->sql("SET time_zone = '+00:00'", 'CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE DATABASE marker', 'USE shop');
for my $i (0 .. $#types) {
    my ($type, undef, $values) = @{$types[$i]};
    $source->sql("CREATE TABLE shop.v$i (id INT PRIMARY KEY, v $type)");
    push @values, map { ["v$i", $_] } @$values, 'NULL';
    $source->sql("CREATE TABLE shop.k$i (v $type NOT NULL PRIMARY KEY, n INT)") if $type !~ /LONG|JSON|FLOAT|DOUBLE|NULL|SET|ENUM/;
}
my $at = 0;
sub fill {
    my ($n) = @_;
    for (@values) {
        my ($table, $value) = @$_;
        $source->sql("INSERT INTO shop.$table VALUES (@{[++$at]}, $value)");
        (my $key = $table) =~ s/v/k/;
        $source->sql("REPLACE INTO shop.$key VALUES ($value, $n)") if $value ne 'NULL' && $source->one("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '$key'");
    }
}
fill(1);
$source->sql(
    q{CREATE TABLE shop.said (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'the "number"', a INT DEFAULT -5, b DECIMAL(5,2) NOT NULL DEFAULT 1.50, c VARCHAR(20) DEFAULT 'it''s \\\\ \\n', d VARCHAR(20) NOT NULL DEFAULT '',
        e DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3), f DATE DEFAULT '2020-02-29', g ENUM('x','y') NOT NULL DEFAULT 'y', h BIT(5) DEFAULT b'101', i DOUBLE DEFAULT 1e10, j TEXT, k VARCHAR(20) DEFAULT 'CURRENT_TIMESTAMP',
        l INT DEFAULT NULL, m TIME DEFAULT '-10:00:00', n VARCHAR(9) DEFAULT (CONCAT('a', 'b')), KEY (a), KEY (c(5), d)) COMMENT = 'all; it''s'},
    'CREATE TABLE shop.counted (id INT AUTO_INCREMENT PRIMARY KEY, v INT) AUTO_INCREMENT = 50', 'INSERT INTO shop.said (a) VALUES (1), (2), (3)', 'INSERT INTO shop.counted (v) VALUES (1), (2)',
);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
sub carried {
    my ($what) = @_;
    $pair->start('caught-up');
    is($pair->wait(90), 0, $what) or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}
carried('loaded');
for my $i (0 .. $#types) {
    is($target->one("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.v$i'::regclass AND attname = 'v'"), $types[$i][1], "$types[$i][0] is $types[$i][1]");
}
my %default = map { @$_ } @{$target->rows(q{SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = 'shop.said'::regclass})};
is_deeply(
    \%default,
    {id => q{nextval('shop.said_id_seq'::regclass)}, a => q{'-5'::integer}, b => '1.50', c => qq{'it''s \\ \n'::character varying}, d => q{''::character varying}, e => 'CURRENT_TIMESTAMP(3)', f => q{'2020-02-29'::date}, g => q{'y'::text},
        h => q{'00101'::"bit"}, i => q{'10000000000'::double precision}, k => q{'CURRENT_TIMESTAMP'::character varying}, m => q{'-10:00:00'::interval(0)}},
    'defaults') or diag explain \%default;
is($target->one(q{SELECT obj_description('shop.said'::regclass) || '|' || col_description('shop.said'::regclass, 1)}), q{all; it's|the "number"}, 'comments');
is($target->one(q{SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'said'}), 3, 'indexes');

fill(2);
$source->sql('UPDATE shop.said SET a = 9 WHERE id = 2', 'INSERT INTO shop.said (id) VALUES (70)', 'INSERT INTO shop.counted VALUES (90, 1)', 'DELETE FROM shop.v0 WHERE id < 5');
carried('streamed');
is($target->one('INSERT INTO shop.said (a) VALUES (5) RETURNING id'), 71, 'the next number of a BIGINT UNSIGNED');
is($target->one('INSERT INTO shop.counted (v) VALUES (5) RETURNING id'), 91, 'and of an identity');
$target->sql('DELETE FROM shop.said WHERE id = 71', 'DELETE FROM shop.counted WHERE id = 91');

$target->sql(q{UPDATE syncline.table_state SET state = 'reload' WHERE name = 'said'}, 'ALTER TABLE shop.said DROP COLUMN b CASCADE', 'DELETE FROM shop.said WHERE id = 1');
carried('loaded again');
is($target->one(q{SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'said'}), 3, 'with its indexes');

# What MySQL computes is told, unless it is there.
$source->sql('CREATE DATABASE computed', 'CREATE TABLE computed.t (id INT PRIMARY KEY, v INT, g INT AS (v + 1) STORED, h INT AS (v + 2) VIRTUAL)', 'INSERT INTO computed.t (id, v) VALUES (1, 1)');
$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $computed = Syncline::Pair->new(id => 'computed', source => $source, target => $target, objects => '{ database = "computed"; }', more => qq(existing = "ignore";\n));
my $out = qx{$Syncline::Pair::build/syncline check ${\ $computed->conf} 2>&1};
like($out, qr/^warn  Destination column types\n      cause: column "$_" of computed\.t is generated and is left out/m, "a generated column: $_") for qw(g h);
$target->sql('CREATE SCHEMA computed', 'CREATE TABLE computed.t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v + 1) STORED, h int GENERATED ALWAYS AS (v + 2) STORED)', 'GRANT ALL ON SCHEMA computed TO syncline', 'ALTER TABLE computed.t OWNER TO syncline');
unlike(qx{$Syncline::Pair::build/syncline check ${\ $computed->conf} 2>&1}, qr/is generated/, 'made by hand, it is not');
$computed->start('caught-up');
is($computed->wait(60), 0, 'and is computed there') or diag $computed->output;
is($target->one('SELECT t::text FROM computed.t'), '(1,1,2,3)', 'with its values');

# MySQL tells its defaults otherwise.
$source = Syncline::MySQL->new;
$source->sql('CREATE DATABASE shop', q{CREATE TABLE shop.m (id INT AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT 7, b VARCHAR(9) DEFAULT 'NULL', c BIT(3) DEFAULT b'11', d TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, e VARCHAR(9) DEFAULT (CONCAT('a', 'b')), f DATETIME DEFAULT NULL)});
$target->sql('DROP SCHEMA shop CASCADE');
$pair = Syncline::Pair->new(id => 'eight', source => $source, target => $target, objects => '{ database = "shop"; }');
carried('MySQL 8');
is_deeply($target->rows(q{SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = 'shop.m'::regclass AND a.attname <> 'id' ORDER BY a.attnum}),
    [[a => '7'], [b => q{'NULL'::character varying}], [c => q{'011'::"bit"}], [d => 'CURRENT_TIMESTAMP(0)']], 'defaults of MySQL');

done_testing;
