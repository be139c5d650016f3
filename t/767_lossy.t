# What may be lost between MySQL and PostgreSQL, and only where `lossy` says so (spec S4, S8.2).
# Columns: every target column, made by hand, that cannot hold all of the source's is refused by
# the precheck, by name, with both types, what is lost and the word that accepts it; the others
# pass; accepted, rows arrive as said here. Values: what the target has no value for stops the
# channel at its row; accepted, it is NULL. Loaded and streamed, both ways; also a column that is
# changed at the target later on.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my $libexec = $ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my %what = (
    digits => 'digits, of a number or of a second', time => 'the time of day, the date or the zone', padding => 'blanks or zero bytes at the end',
    json => 'how the JSON was written: its numbers, the order of its keys, blanks',
);

# type at PostgreSQL, at MySQL, word or '', value, what MySQL then has
my @to_mysql = (
    ['numeric', 'DECIMAL(65,30)', 'digits', "'0.1234567890123456789012345678904'", '0.123456789012345678901234567890'], ['numeric(10,4)', 'DECIMAL(10,2)', 'digits', '1.239', '1.24'], ['numeric(10,2)', 'DECIMAL(12,4)', '', '1.25', '1.2500'],
    ['numeric(10,2)', 'DOUBLE', '', '1.25', '1.25'], ['numeric(20,2)', 'DOUBLE', 'digits', "'1.25'", '1.25'], ['numeric(10,2)', 'INT', 'digits', '1.75', '2'], ['bigint', 'DOUBLE', 'digits', '5', '5'], ['integer', 'DOUBLE', '', '5', '5'],
    ['integer', 'FLOAT', 'digits', '5', '5'], ['double precision', 'FLOAT', 'digits', '0.5', '0.5'], ['real', 'DOUBLE', '', '0.5', '0.5'], ['double precision', 'DECIMAL(9,2)', 'digits', '0.126', '0.13'], ['text', 'INT', 'digits', "'7'", '7'],
    ['numeric', 'LONGTEXT', '', "'NaN'", 'NaN'], ['timestamp', 'DATETIME', 'digits', "'2020-01-01 00:00:00.4'", '2020-01-01 00:00:00'], ['timestamp(3)', 'DATETIME(6)', '', "'2020-01-01 00:00:00.4'", '2020-01-01 00:00:00.400000'],
    ['timestamptz(0)', 'TIMESTAMP NULL', '', "'2020-01-01 00:00:00+00'", '2020-01-01 00:00:00'], ['timestamp(0)', 'DATE', 'time', "'2020-01-01 10:00:00'", '2020-01-01'], ['date', 'DATETIME', '', "'2020-01-01'", '2020-01-01 00:00:00'],
    ['time(2)', 'TIME', 'digits', "'10:00:00.25'", '10:00:00'], ['interval', 'TIME', 'time', "'10:00:00'", '10:00:00'], ['timetz', 'VARCHAR(30)', '', "'10:00:00+02'", '10:00:00+02'], ['text', 'CHAR(10)', 'padding', "'a  '", 'a'],
    ['char(5)', 'CHAR(5)', '', "'a'", 'a'], ['varchar(5)', 'VARCHAR(5)', '', "'a '", 'a '], ['bytea', 'BINARY(3)', 'padding', q{'\x61'}, "a\0\0"], ['bytea', 'VARBINARY(3)', '', q{'\x61'}, 'a'], ['uuid', 'CHAR(36)', '', "'ffffffff-ffff-4fff-8fff-000000000001'", 'ffffffff-ffff-4fff-8fff-000000000001'],
    ['jsonb', 'JSON', 'json', q{'{"bb": 1, "a": 1.50}'}, '{"a": 1.5, "bb": 1}'], ['json', 'LONGTEXT', '', q{'{"bb": 1,  "a": 1.50}'}, '{"bb": 1,  "a": 1.50}'], ['int[]', 'VARCHAR(20)', '', "'{1,2}'", '{1,2}'], ['boolean', 'TINYINT(1)', '', 'true', '1'],
    ['bigint', 'SMALLINT', '', '5', '5'],
);
# The other way.
my @to_pgsql = (
    ['DECIMAL(10,4)', 'numeric(10,2)', 'digits', '1.239', '1.24'], ['DECIMAL(10,4)', 'numeric', '', '1.239', '1.2390'], ['DECIMAL(10,4)', 'money', 'digits', '1.239', '$1.24'], ['DECIMAL(9,2)', 'bigint', 'digits', '7.00', undef],
    ['BIGINT UNSIGNED', 'bigint', '', '5', '5'], ['BIGINT', 'real', 'digits', '5', '5'], ['INT', 'double precision', '', '5', '5'], ['DOUBLE', 'real', 'digits', '0.5', '0.5'], ['DOUBLE', 'numeric', '', '0.5', '0.5'], ['TINYINT(1)', 'boolean', 'digits', '1', 'true'],
    ['TIME(6)', 'interval(2)', 'digits', "'-100:00:00.256'", '-100:00:00.26'], ['TIME(3)', 'interval', '', "'-100:00:00.256'", '-100:00:00.256'], ['TIME', 'time', '', "'10:00:00'", '10:00:00'], ['DATETIME(6)', 'timestamp(0)', 'digits', "'2020-01-01 00:00:00.4'", '2020-01-01 00:00:00'],
    ['DATETIME', 'timestamptz', '', "'2020-01-01 00:00:00'", '2020-01-01 00:00:00+00'], ['DATETIME', 'date', 'time', "'2020-01-01 10:00:00'", '2020-01-01'], ['VARCHAR(9)', 'date', 'time', "'2020-01-0'", undef], ['VARCHAR(9)', 'char(9)', 'padding', "'a '", 'a'],
    ['CHAR(9)', 'char(9)', '', "'a'", 'a'], ['VARCHAR(9)', 'text', '', "'a '", 'a '], ['JSON', 'jsonb', 'json', q{'{"bb": 1, "a": 1e2}'}, undef], ['JSON', 'json', '', q{'{"bb": 1}'}, '{"bb": 1}'], ["ENUM('a','b')", 'text', '', "'b'", 'b'],
    ["SET('a','b')", 'text', '', "'a,b'", 'a,b'], ['YEAR', 'smallint', '', '2020', '2020'], ['BIT(3)', 'bit(3)', '', "b'101'", '101'], ['VARBINARY(3)', 'bytea', '', "x'00ff'", '\x00ff'],
);

sub check {
    my ($pair) = @_;
    return scalar qx{$libexec/syncline check ${\ $pair->conf} 2>&1};
}

sub by_column {
    my ($source, $target, $make, @types) = @_;
    $source->sql("CREATE $make shop");
    $target->sql($make eq 'SCHEMA' ? 'CREATE DATABASE shop' : 'CREATE SCHEMA shop');
    my $what = ref($source) . ' to ' . ref($target);
    my $text = $make eq 'SCHEMA' ? 'v' : 'v::text';
    for (0 .. $#types) {
        my ($from, $to, undef, $value) = @{$types[$_]};
        $source->sql("CREATE TABLE shop.t$_ (id int PRIMARY KEY, v $from)", "INSERT INTO shop.t$_ VALUES (1, $value), (2, NULL)");
        $target->sql("CREATE TABLE shop.t$_ (id int PRIMARY KEY, v $to)");
    }
    my @ends = (source => $source, target => $target, objects => '{ database = "shop"; }');
    my $pair = Syncline::Pair->new(@ends, id => 'strict', more => qq(initial = ["data"];\n));
    # At most so many are named at once: in turn.
    my ($out, %refused) = ('');
    for my $from (map { $_ * 20 } 0 .. $#types / 20) {
        my $part = Syncline::Pair->new(@ends[0 .. 3], objects => join(', ', map { qq({ database = "shop"; table = "t$_"; }) } $from .. ($from + 19 < $#types ? $from + 19 : $#types)), id => "part$from", more => qq(initial = ["data"];\n));
        $out .= check($part);
    }
    $refused{$1} = [$2, $3, $4, $5] while $out =~ /^fail  Destination column types\n\s+cause: column "v" of shop\.t(\d+) is (.+?), "v" at the target (.+?): that can lose (.+?)\n.*?lossy = \["(\w+)"\]/smg;
    for (0 .. $#types) {
        my ($from, $to, $word) = @{$types[$_]};
        is($refused{$_} ? $refused{$_}[3] : '', $word, "$what: $from in $to: " . ($word || 'exact'));
        is($refused{$_}[2], $what{$word}, 'says what') if $word;
    }
    $pair->start('caught-up');
    is($pair->wait(60), 78, "$what: a run refuses it, too");
    like($pair->output, qr/that can lose .*accept that: lossy = /s, 'by name');

    $pair = Syncline::Pair->new(@ends, id => 'loose', more => qq(initial = ["data"]; existing = "clear"; lossy = ["digits", "time", "padding", "json"];\n));
    my @good = grep { defined $types[$_][4] } 0 .. $#types;
    $source->sql(map { "DELETE FROM shop.t$_ WHERE id = 1" } grep { !defined $types[$_][4] } 0 .. $#types);
    unlike(check($pair), qr/^fail  Destination column types/m, "$what: accepted, all pass");
    for my $round (1, 3) {
        $source->sql(map { "INSERT INTO shop.t$_ VALUES ($round, $types[$_][3])" } @good) if $round == 3;
        $pair->start('caught-up');
        is($pair->wait(90), 0, $round == 1 ? 'loaded' : 'streamed') or diag $pair->output;
        for (@good) {
            my ($from, $to, $word, undef, $there) = @{$types[$_]};
            is($target->one("SELECT $text FROM shop.t$_ WHERE id = $round"), $there, "$what: $from in $to");
        }
    }

    # Later on, behind our back.
    my ($wide) = grep { $types[$_][2] eq '' && $types[$_][0] =~ /^(?:numeric|DECIMAL)/ } @good;
    $target->sql($make eq 'SCHEMA' ? "ALTER TABLE shop.t$wide MODIFY v INT" : "ALTER TABLE shop.t$wide ALTER v TYPE int");
    $source->sql("INSERT INTO shop.t$wide VALUES (4, $types[$wide][3])");
    $pair = Syncline::Pair->new(@ends, id => 'loose', more => qq(initial = ["data"]; existing = "clear"; lossy = ["time", "padding", "json"];\n));
    $pair->start('caught-up');
    is($pair->wait(60), 78, "$what: a column that was changed at the target is refused");
    like($pair->output, qr/column "v" of shop\.t\d+ is .*: that can lose digits.*\Qlossy = ["digits"]\E/s, 'by name');
    $_->sql(($make eq q(SCHEMA) xor $_ == $target) ? 'DROP SCHEMA shop CASCADE' : 'DROP DATABASE shop') for $source, $target;
}

my ($maria, $nine, $pgsql) = (Syncline::MariaDB->new, Syncline::MySQL->new(version => '9.7'), Syncline::PostgreSQL->new);
by_column($pgsql, $nine, 'SCHEMA', @to_mysql);
by_column($maria, $pgsql, 'DATABASE', @to_pgsql);

# ---- values ----

# type, its one good value, values that the target has not
sub by_value {
    my ($source, $target, $make, $word, @types) = @_;
    my $what = ref($source) . ' to ' . ref($target);
    my @ends = (source => $source, target => $target, objects => '{ database = "shop"; }');
    $source->sql("CREATE $make shop", map { "CREATE TABLE shop.t$_ (id int PRIMARY KEY, v $types[$_][0] NOT NULL)" } 0 .. $#types);
    for my $i (0 .. $#types) {
        my ($type, undef, @bad) = @{$types[$i]};
        my $pair = Syncline::Pair->new(@ends, id => "stops$i", objects => qq({ database = "shop"; table = "t$i"; }));
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$type: nothing there") or diag $pair->output;
        $source->sql("INSERT INTO shop.t$i VALUES (7, $bad[0])");
        $pair->start('caught-up');
        is($pair->wait(60), 66, "$what: $type $bad[0] stops the channel");
        like($pair->output, qr/insert of shop\.t$i where id=7/, 'at its row');
        $source->sql("INSERT INTO shop.t$i VALUES (1, $types[$i][1]), (9, $types[$i][1])");
        $target->sql("DROP TABLE shop.t$i");
        $pair = Syncline::Pair->new(@ends, id => "loads$i", objects => qq({ database = "shop"; table = "t$i"; }));
        $pair->start('caught-up');
        is($pair->wait(60), 65, "$what: $type $bad[0] stops a load");
        like($pair->output, qr/cannot load the row of shop\.t$i where id=7: /, 'at its row, too');
        $source->sql("DELETE FROM shop.t$i");
        $target->sql("DROP TABLE shop.t$i");
    }
    my $pair = Syncline::Pair->new(@ends, id => 'nulls', more => qq(lossy = [$word];\n));
    my $id = 0;
    for my $round ('loaded', 'streamed') {
        for my $i (0 .. $#types) {
            my (undef, @values) = @{$types[$i]};
            $source->sql(map { "INSERT INTO shop.t$i VALUES (" . ($id + $_) . ", $values[$_])" } 0 .. $#values);
        }
        $id += 10;
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$what: accepted, $round") or diag $pair->output;
        for my $i (0 .. $#types) {
            is($target->one("SELECT COUNT(*) FROM shop.t$i WHERE v IS NULL AND id >= $id - 9"), @{$types[$i]} - 2, "$types[$i][0]: NULL");
            is($target->one("SELECT COUNT(*) FROM shop.t$i WHERE v IS NOT NULL AND id = $id - 10"), 1, 'and no more of them');
        }
    }
    # Rows go on being found.
    $source->sql(map { my $i = $_; ("UPDATE shop.t$i SET v = $types[$i][1] WHERE id = 1", "UPDATE shop.t$i SET v = $types[$i][2] WHERE id = 0", "DELETE FROM shop.t$i WHERE id = 11") } 0 .. $#types);
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$what: changed") or diag $pair->output;
    is($target->one("SELECT COUNT(*) FROM shop.t$_ WHERE (id = 1 AND v IS NOT NULL) OR (id = 0 AND v IS NULL)"), 2, "$types[$_][0]: and back") for 0 .. $#types;
    $_->sql(($make eq q(SCHEMA) xor $_ == $target) ? 'DROP SCHEMA shop CASCADE' : 'DROP DATABASE shop') for $source, $target;
}
by_value($pgsql, $maria, 'SCHEMA', '"nan", "dates", "digits", "json"', ['double precision', '0.5', "'NaN'", "'Infinity'", "'-Infinity'"], ['real', '0.5', "'-Infinity'"], ['numeric(20,5)', '0.5', "'NaN'"],
    ['date', "'2020-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'10000-01-01'"], ['timestamp', "'9999-12-31 23:59:59'", "'infinity'", "'0044-03-15 00:00:00 BC'"], ['timestamptz', "'2020-01-01 00:00:00+00'", "'294276-01-01 00:00:00+00'"]);
$maria->sql("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'");
by_value($maria, $pgsql, 'DATABASE', '"dates", "json"', ['DATE', "'2020-02-29'", "'0000-00-00'", "'2020-00-01'", "'2021-02-29'"], ['DATETIME(3)', "'1000-01-01 00:00:00'", "'0000-00-00'", "'2020-01-00 10:00:00'"], ["TIMESTAMP", "'2020-01-01 00:00:00'", "'0000-00-00'"]);

# Text with a zero byte, which no word makes anything else of; it is told where it stands.
$maria->sql('CREATE DATABASE shop', 'CREATE TABLE shop.z (id INT PRIMARY KEY, v TEXT)', q{INSERT INTO shop.z VALUES (1, 'a'), (2, x'610062')});
my $zero = Syncline::Pair->new(source => $maria, target => $pgsql, id => 'zero', objects => '{ database = "shop"; }');
$zero->start('caught-up');
is($zero->wait(60), 65, 'a zero byte stops a load');
like($zero->output, qr/cannot load the row of shop\.z where id=2: .*column "v": text with a zero byte/, 'at its row');
$maria->sql(q{UPDATE shop.z SET v = 'b' WHERE id = 2});
$zero->start('caught-up');
is($zero->wait(60), 0, 'taken away, it goes on') or diag $zero->output;
$maria->sql(q{INSERT INTO shop.z VALUES (3, x'00')});
$zero->start('caught-up');
is($zero->wait(60), 66, 'and the stream');
like($zero->output, qr/insert of shop\.z where id=3 .*column "v": text with a zero byte/, 'at its row');
$maria->sql('DROP DATABASE shop');
$pgsql->sql('DROP SCHEMA shop CASCADE');

# A table without a key: its rows are found by what became of them.
$pgsql->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.f (a float8, d date)', 'ALTER TABLE shop.f REPLICA IDENTITY FULL', q{INSERT INTO shop.f VALUES ('NaN', 'infinity'), (1, 'infinity'), ('NaN', '2020-01-01')});
my $keyless = Syncline::Pair->new(source => $pgsql, target => $maria, id => 'keyless', objects => '{ database = "shop"; }', more => qq(lossy = ["nan", "dates"];\n));
$keyless->start('caught-up');
is($keyless->wait(60), 0, 'without a key') or diag $keyless->output;
$pgsql->sql(q{UPDATE shop.f SET a = 2 WHERE d = '2020-01-01'}, q{DELETE FROM shop.f WHERE a = 1}, q{UPDATE shop.f SET d = '2021-01-01' WHERE a = 'NaN'});
$keyless->start('caught-up');
is($keyless->wait(60), 0, 'streamed') or diag $keyless->output;
is(join(' ', map { join ',', map { $_ // 'NULL' } @$_ } @{$maria->rows('SELECT * FROM shop.f ORDER BY d')}), '2,2020-01-01 NULL,2021-01-01', 'its rows');
$maria->sql('DROP DATABASE shop');
$pgsql->sql('DROP SCHEMA shop CASCADE');

# With a word our own tables have the types that people want.
$pgsql->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.t (id int PRIMARY KEY, n numeric, w numeric(100,50), j jsonb, a numeric[])', q{INSERT INTO shop.t VALUES (1, 1.5, 2.5, '{"a": 1.50}', '{1.5}')});
my $pair = Syncline::Pair->new(source => $pgsql, target => $nine, objects => '{ database = "shop"; }', more => qq(lossy = ["digits", "json"];\n));
$pair->start('caught-up');
is($pair->wait(60), 0, 'digits and JSON') or diag $pair->output;
is($nine->one(q{SELECT GROUP_CONCAT(COLUMN_TYPE ORDER BY ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop'}), 'int,decimal(65,30),decimal(65,30),json,longtext', 'types at MySQL');
is($nine->one('SELECT CONCAT(n + w, j->"$.a") FROM shop.t'), '4.' . '0' x 30 . '1.5', 'values');
$nine->sql('CREATE DATABASE back', 'CREATE TABLE back.t (id INT PRIMARY KEY, j JSON, x VECTOR(2))', q{INSERT INTO back.t VALUES (1, '{"a": 1}', x'0000803f00000040')});
$pair = Syncline::Pair->new(source => $nine, target => $pgsql, id => 'back', objects => '{ database = "back"; }', more => qq(lossy = ["json"];\n));
$pair->start('caught-up');
is($pair->wait(60), 0, 'JSON, the other way') or diag $pair->output;
is($pgsql->one(q{SELECT pg_typeof(j) || ' ' || (j->'a') || ' ' || pg_typeof(x) || ' ' || x::text FROM back.t}), 'jsonb 1 bytea \x0000803f00000040', 'jsonb, and a VECTOR');

done_testing;
