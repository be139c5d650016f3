# PostgreSQL to MySQL, types by table: what column each one gets, and its values at their limits,
# loaded and streamed, the same text at both ends. What MySQL has no type for is the text that
# PostgreSQL prints; values that it cannot hold stop the channel and are named (spec S4).
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Compare;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

# type, column type at MySQL, [value, text at MySQL (else the one that PostgreSQL prints)]
my $long = 'longtext';
my @types = (
    ['boolean', 'tinyint(1)', ['true', 1], ['false', 0]], ['smallint', 'smallint(6)', [-32768], [32767]], ['integer', 'int(11)', ['-2147483648'], [2147483647]], ['bigint', 'bigint(20)', ["'-9223372036854775808'"], ["'9223372036854775807'"]],
    ['numeric(65,30)', 'decimal(65,30)', ['-' . '9' x 35 . '.' . '9' x 30]], ['numeric', $long, ["'NaN'"], ['1.50'], ["'Infinity'"]], ['numeric(100,50)', $long, ['1.5']], ['numeric(3,-2)', $long, ['12345']],
    ['real', 'float', ['0.5'], ['-1.5e10', '-15000000000']], ['double precision', 'double', ['0.1'], ["'-1.7976931348623157e308'"]], ['text', $long, ["''"], ["repeat('größe 😀', 9000)"], [q{E'it''s \\\\ \\t\\n'}]], ['varchar(10)', 'varchar(10)', ["'größe  '"]],
    ['char(5)', 'varchar(5)', ["'ab'", 'ab   ']], ['bytea', 'longblob', [q{'\x00ff27'}, '00FF27'], [q{'\x'}, '']], ['date', 'date', ["'2020-02-29'"], ["'9999-12-31'"]], ['time(3)', 'time(3)', ["'23:59:59.999'"], ["'24:00'", '24:00:00.000']],
    ['timestamp', 'datetime(6)', ["'2020-02-29 23:59:59.999999'"], ["'1000-01-01 00:00:00'", '1000-01-01 00:00:00.000000']], ['timestamptz(0)', 'datetime', ["'2020-01-01 12:00+02'", '2020-01-01 10:00:00']], ['timetz', $long, ["'12:00+02'"]],
    ['interval', $long, ["'1 year -2 mons +3 days -04:05:06.789'"]], ['uuid', 'char(36)', ["'ffffffff-ffff-4fff-8fff-000000000001'"]], ['json', $long, ['\'{"b":1,  "a":1.50}\'']], ['jsonb', $long, ['\'{"b":1,  "a":1.50}\'']], ['xml', $long, ["'<a/>'"]],
    ['bit(12)', 'bit(12)', ["B'100000000001'", '801'], ["B'000000000000'", '0']], ['bit(65)', 'longblob', ["repeat('1', 65)::bit(65)", '01' . 'FF' x 8]], ['varbit', $long, ["B'0011'"]], ['int[]', $long, ["'[2:3]={1,NULL}'"]], ['text[]', $long, [q{ARRAY['a"b,c', NULL, '']}]],
    ['int4range', $long, ["'[1,5)'"], ["'empty'"]], ['nummultirange', $long, ["'{[1.50,2]}'"]], ['inet', $long, ["'10.1.2.3/8'"]], ['cidr', $long, ["'2001:db8::/32'"]], ['macaddr', $long, ["'08:00:2b:01:02:03'"]], ['money', $long, ["'1234.56'", '$1,234.56']],
    ['point', $long, ["'(1.5,-2)'"]], ['polygon', $long, ["'((0,0),(1,0),(1,1))'"]], ['tsvector', $long, [q{'''a b'':1A'}]], ['pg_lsn', $long, ["'0/16B3748'"]], ['oid', 'bigint(20)', [4294967295]], ['name', $long, ["'a'"]], ['"char"', $long, ["'x'"]],
    ['shop.mood', $long, [q{'o''k'}]], ['shop.positive', 'bigint(20)', [5]], ['shop.pair', $long, [q{ROW(1, 'x, "y"')::shop.pair}]],
);
my ($source, $target) = (Syncline::PostgreSQL->new, Syncline::MariaDB->new);
$source->sql('CREATE SCHEMA shop', q{CREATE TYPE shop.mood AS ENUM ('sad', 'o''k')}, 'CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0)', 'CREATE TYPE shop.pair AS (a int, b text)');
my %expected;
sub fill {
    my ($from) = @_;
    for my $i (0 .. $#types) {
        my ($type, undef, @values) = @{$types[$i]};
        for my $k (0 .. $#values) {
            my ($value, $text) = @{$values[$k]};
            $source->sql("INSERT INTO shop.t$i VALUES (@{[$from + $k]}, ($value)::$type)");
            $expected{$i}{$from + $k} = $text // $source->one("SELECT v::text FROM shop.t$i WHERE id = @{[$from + $k]}");
        }
        $source->sql("INSERT INTO shop.t$i VALUES (@{[$from + 50]}, NULL)");
        $expected{$i}{$from + 50} = undef;
    }
}
sub as_text {
    my ($type) = @_;
    return $type =~ /blob/ ? 'HEX(v)' : $type =~ /^bit/ ? 'HEX(v + 0)' : 'v';
}
$source->sql(map { "CREATE TABLE shop.t$_ (id int PRIMARY KEY, v $types[$_][0])" } 0 .. $#types);
fill(100);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
sub same {
    my ($what) = @_;
    $pair->start('caught-up');
    is($pair->wait(90), 0, $what) or diag $pair->output;
    for my $i (0 .. $#types) {
        my ($type, $column) = @{$types[$i]};
        is($target->one("SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 't$i' AND COLUMN_NAME = 'v'"), $column, "$type is $column");
        my %there = map { $_->[0] => $_->[1] } @{$target->rows("SELECT id, ${\ as_text($column)} FROM shop.t$i")};
        if ($type =~ /^double/) { $_ = defined $_ ? 0 + $_ : undef for values %there, values %{$expected{$i}} }
        is_deeply(\%there, $expected{$i}, "$type: its values") or diag explain [\%there, $expected{$i}];
    }
}
same('loaded');
fill(200);
$source->sql(map { "DELETE FROM shop.t$_ WHERE id = 100" } 0 .. $#types);
delete $expected{$_}{100} for 0 .. $#types;
same('streamed');

# What MySQL cannot hold is refused by value.
for (['double precision', "'NaN'"], ['real', "'Infinity'"], ['timestamp', "'infinity'"], ['date', "'0044-03-15 BC'"], ['timestamptz(0)', "'294276-01-01 00:00:00+00'"]) {
    my ($type, $value) = @$_;
    my ($i) = grep { $types[$_][0] eq $type } 0 .. $#types;
    $source->sql("INSERT INTO shop.t$i VALUES (900, $value)");
    $pair->start('caught-up');
    is($pair->wait(60), 66, "$type $value stops the channel");
    like($pair->output, qr/cannot apply insert of shop\.t$i where id=900/, 'and is named');
    $source->sql("DELETE FROM shop.t$i WHERE id = 900");
    my $skip = Syncline::Pair->new(id => 'test', source => $source, target => $target, objects => '{ database = "shop"; }', more => qq{conflict = "Ignore";\n});
    $skip->start('caught-up');
    is($skip->wait(60), 0, 'with conflict = "Ignore" it is left out') or diag $skip->output;
}

# Keys that differ by the blanks at their end.
for my $mysql ($target, Syncline::MySQL->new(version => '8.0')) {
    my $name = $mysql->one('SELECT VERSION()');
    $source->sql('DROP SCHEMA IF EXISTS blank CASCADE', 'CREATE SCHEMA blank', 'CREATE TABLE blank.k (k varchar(9) PRIMARY KEY, u text UNIQUE)', q{INSERT INTO blank.k VALUES ('a', 'b'), ('a ', 'b '), ('A', 'B'), ('a  ', E'b\t')});
    my $pair = Syncline::Pair->new(id => 'blank', source => $source, target => $mysql, objects => '{ database = "blank"; }');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: keys that blanks at the end tell apart") or diag $pair->output;
    unlike($pair->output, qr/does not know the collation/, 'the server can do so');
    $source->sql(q{UPDATE blank.k SET u = u || ' ' WHERE k = 'a '}, q{DELETE FROM blank.k WHERE k = 'a'}, q{INSERT INTO blank.k VALUES ('a   ', 'b')}, q{UPDATE blank.k SET k = 'a' WHERE k = 'a  '});
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: and their changes") or diag $pair->output;
    is(join("\n", compare($source, $mysql, 'blank')), '', "$name: both ends are equal");
    $source->sql(q{SELECT pg_drop_replication_slot('syncline_blank')}, 'DROP PUBLICATION syncline_blank');
}

done_testing;
