# Every type of PostgreSQL at its limits, PostgreSQL to PostgreSQL, loaded and streamed:
# as a value and in arrays beside a key, as the key itself, and in a table without a key.
# Which types there are is asked of pg_type: one that is not named here fails the test.
# Enums, domains, composites, ranges of the user's own and extensions' types are made
# at the target. Both ends print what they please: the session settings that say how are
# other ones at each end. Types that the server itself takes no values of are refused.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

my @digits = ("'0'", "'1.50'", "'-0.000000000000000000000000000001'", "'NaN'", "'1e131071'", "'" . ('9' x 300) . '.' . ('9' x 300) . "'");
my @moments = ("'2020-02-29 23:59:59.999999'", "'infinity'", "'-infinity'", "'4714-11-24 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.5'");
my @zoned = (@moments[0 .. 2], "'4714-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'2020-10-25 01:30:00+02'");
my $odd = q{E'tab\\tnl\\ncr\\r\\\\\\\\ q"\\' \\\\N {}(),;%s $1 größe 日本 😀 \\x01\\x1f'};
my $hex = q{'\\x00ff5c275c4e0a0d09'};

# typname => [values], then words: value: no key by the time or size of it; arrays of it are tried unless `plain`.
my %types = (
    bool => [['true', 'false']], bytea => [["''", $hex, q{decode(repeat('00ff', 40000), 'hex')}]], char => [["'a'", "''", q{'"'}]],
    name => [["'a'", "''", "repeat('x', 63)", $odd]], int8 => [["'-9223372036854775808'", "'9223372036854775807'", '0']], int2 => [["'-32768'", '32767', '0']],
    int4 => [["'-2147483648'", '2147483647', '0']], text => [["''", $odd, "repeat('ü', 100000)", "'NULL'", "'\\N'", "E'\\\\.'"]],
    oid => [['0', '4294967295']], json => [['\'{"b":1,  "a":[1.50,null,"x\\\\u0041"],"b":2}\'', "'null'", "' 1e400 '", qq{'"'||repeat('y',70000)||'"'}]],
    jsonb => [['\'{"b":1,  "a":[1.50,null,"größe"],"b":2}\'', "'null'", "'1e400'", "'-0.0'", "'[]'"]], xml => [["'<a b=\"1\">x</a>'", "'text, <b/> and more'"]],
    point => [["'(1.5,-2)'", "'(Infinity,NaN)'", "'(1e-300,5e-324)'"]], lseg => [["'[(0,0),(1e300,-1)]'"]], path => [["'((0,0),(1,1),(2,0))'", "'[(0,0),(1,1)]'"]],
    box => [["'(2,2),(0.1,-1)'"]], polygon => [["'((0,0),(1,0),(1,1))'"]], line => [["'{1,-1,0.1}'"]], circle => [["'<(0,0),1.5>'"]],
    float4 => [["'3.4028235e38'", "'-1e-45'", "'0.1'", "'NaN'", "'-Infinity'", "'-0'", "'16777217'"]],
    float8 => [["'1.7976931348623157e308'", "'5e-324'", "'0.1'", "'NaN'", "'Infinity'", "'-0'", "'0.30000000000000004'"]],
    money => [["'-92233720368547758.08'", "'1234.56'", "'92233720368547758.07'"]],
    macaddr => [["'08:00:2b:01:02:03'"]], macaddr8 => [["'08:00:2b:01:02:03:04:05'"]], inet => [["'10.1.2.3/8'", "'::ffff:1.2.3.4'", "'fe80::1/64'"]],
    cidr => [["'10.0.0.0/8'", "'2001:db8::/32'"]], aclitem => [["'root=r*w/root'", "'=X/root'"]], bpchar => [["'ab  '", "''", $odd]], varchar => [["''", $odd, "'x  '"]],
    date => [["'infinity'", "'-infinity'", "'4714-11-24 BC'", "'5874897-12-31'", "'2020-02-29'"]],
    time => [["'00:00'", "'24:00:00'", "'23:59:59.999999'"]], timestamp => [\@moments], timestamptz => [\@zoned],
    interval => [["'178000000 years'", "'-178000000 years -1 mons'", "'1 year -2 mons +3 days -04:05:06.789'", "'0'", "'-0.000001 s'", "'1 mon'", "'31 days'"]],
    timetz => [["'00:00:00+15:59'", "'24:00:00-15:59'", "'12:00:00.000001+02'"]], bit => [["B'1'", "B'0'"]], varbit => [["B''", "B'0011'", "repeat('10', 500)::varbit"]],
    numeric => [[@digits, "'Infinity'", "'-Infinity'"]], refcursor => [["'c'"]], uuid => [["'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00000000-0000-0000-0000-000000000000'"]],
    tsvector => [[q{'''a b'':1A,2 ''it''''s'':3 ''größe'''}, "''"]], tsquery => [[q{'a & (b | !c) <2> d:*AB'}, "''"]], pg_lsn => [["'0/0'", "'FFFFFFFF/FFFFFFFF'"]],
    jsonpath => [[q{'$.a[*] ? (@ > 1.5 && @.b == "x")'}, "'strict \$'"]], xid => [["'4294967295'"]], xid8 => [["'18446744073709551615'"]], cid => [["'5'"]],
    tid => [["'(4294967295,65535)'"]], int2vector => [["'1 2 -3'", "''"], 'plain'], oidvector => [["'1 2 4294967295'", "''"], 'plain'],
    txid_snapshot => [["'10:20:12,15'"]], pg_snapshot => [["'10:20:12,15'"]],
    regproc => [["'pg_catalog.now'", "'-'"]], regprocedure => [["'pg_catalog.abs(int8)'"]], regoper => [["'pg_catalog.||/'"]], regoperator => [["'pg_catalog.+(int4,int4)'"]],
    regclass => [["'pg_catalog.pg_class'", "'4000000000'"]], regtype => [["'int4[]'", "'timestamptz'"]], regconfig => [["'pg_catalog.english'"]],
    regdictionary => [["'pg_catalog.simple'"]], regnamespace => [["'pg_catalog'"]], regrole => [["'root'"]], regcollation => [[q{'pg_catalog."C"'}]],
    int4range => [["'empty'", "'[1,2147483647)'", "'(,5)'", "'(,)'"]], numrange => [["'[1.50,NaN]'", "'(,-1e300]'"]], int8range => [["'[-9223372036854775808,9223372036854775807)'"]],
    tsrange => [[q{'["2020-01-01 00:00:00.5",infinity)'}]], tstzrange => [[q{'["2020-01-01 00:00:00.5+02",infinity]'}, "'empty'"]], daterange => [["'[2020-02-28,2020-03-01)'"]],
    (map { $_->[0] . 'multirange' => [["'{}'", $_->[1]]] } [int4 => "'{[1,3),[5,9)}'"], [num => "'{[1.50,2],(3,)}'"], [int8 => "'{(,0)}'"],
        [ts => q{'{["2020-01-01 00:00:00.5",infinity)}'}], [tstz => q{'{["2020-01-01 00:00:00.5+00",infinity)}'}], [date => "'{[2020-02-28,2020-03-01)}'"]),
);
# Of the server's own tables and statistics: it takes no value of them from anybody.
my @closed = qw(pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list pg_brin_bloom_summary pg_brin_minmax_multi_summary gtsvector);
# Beside what pg_type lists: with modifiers, the user's own, extensions'.
my @more = (
    ['numeric(20,5)', ["'NaN'", "'-123456789012345.12345'", '0']], ['numeric(1000,0)', ["'" . '9' x 1000 . "'"]], ['numeric(3,-2)', ["'12345'"]], ['numeric(3,7)', ["'0.0000123'"]],
    ['char(5)', ["'ab'", "''"]], ['varchar(10)', ["repeat('日', 10)"]], ['bit(11)', ["B'10101010101'"]], ['bit(65)', ["repeat('1', 65)::bit(65)"]], ['varbit(7)', ["B'1'"]],
    ['timestamp(3)', [@moments[0 .. 2, 5]]], ['timestamptz(0)', [@zoned[0 .. 2]]], ['time(2)', ["'23:59:58.999'", "'24:00'"]], ['timetz(1)', ["'12:00:00.19+02'"]],
    ['interval day to second(2)', ["'3 days 04:05:06.789'"]], ['interval year', ["'5 years'"]],
    ['shop.mood', ["'sad'", "'o''k; \"q\"'", "'größe'"]], ['shop.positive', ['1', '2147483647']], ['shop.deep', [q{'a@b'}]], ['shop.pair', [q{ROW(1,'x, "y" \\ (z)','{1.50,NULL}')::shop.pair}, 'ROW(NULL,NULL,NULL)::shop.pair']],
    ['shop.nested', [q{ROW(ROW(1,'a','{}')::shop.pair,'sad')::shop.nested}]], ['shop.floats', ["'[5e-324,0.1]'", "'empty'"]], ['shop.floatsets', ["'{[0.1,0.2]}'"]],
    ['ext.hstore', [q{'"a b"=>"1,2", c=>NULL'}, "''"]], ['ext.citext', ["'Größe'", "''"]], ['ext.ltree', ["'a.b_c.d'"]], ['ext.cube', ["'(0.1,2),(3,4)'"]],
);
my @made = (
    'CREATE SCHEMA shop', 'CREATE SCHEMA ext', (map { "CREATE EXTENSION $_ SCHEMA ext" } qw(hstore citext ltree cube)),
    q{CREATE TYPE shop.mood AS ENUM ('sad', 'o''k; "q"', 'größe')}, 'CREATE DOMAIN shop.positive AS integer DEFAULT 5 NOT NULL CONSTRAINT more CHECK (VALUE > 0)',
    q{CREATE DOMAIN shop.mail AS ext.citext CHECK (VALUE::text ~ '@')}, 'CREATE DOMAIN shop.deep AS shop.mail COLLATE "C" CHECK (length(VALUE::text) < 100)',
    'CREATE TYPE shop.pair AS (a int, b text COLLATE "C", c numeric(9,2)[])', 'CREATE TYPE shop.nested AS (p shop.pair, m shop.mood)',
    'CREATE TYPE shop.floats AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = shop.floatsets)',
);

my @options = (
    [qw(lc_monetary=C IntervalStyle=sql_standard DateStyle=German TimeZone=Asia/Kathmandu extra_float_digits=0 bytea_output=escape xmlbinary=hex search_path=shop)],
    ['DateStyle=SQL,DMY', qw(IntervalStyle=iso_8601 TimeZone=America/St_Johns xmloption=document search_path=ext)]);
my ($source, $target) = map { Syncline::PostgreSQL->new(options => $_) } @options;
my %closed = map { $_ => 1 } @closed;
my %there = map { $_->[0] => 1 } @{$source->rows(
        q{SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'd', 'e', 'r', 'm') AND NOT (typcategory = 'A' AND typelem <> 0 AND typlen = -1 AND typinput = 'array_in'::regproc)})};
is(join(' ', sort grep { !$types{$_} && !$closed{$_} } keys %there), '', 'every type of pg_type is here');
is(join(' ', sort grep { !$there{$_} } keys %types, @closed), '', 'and no other');

$source->sql(@made);
my (@tables, $n);
for my $row ((map { [$_ eq 'char' ? '"char"' : $_, @{$types{$_}}] } sort keys %types), @more) {
    my ($type, $values, $how) = (@$row, '');
    $n++;
    my $array = $how eq 'plain' ? 'int' : "${type}[]";
    my @all = map { "($_)::$type" } @$values;
    $source->sql("CREATE TABLE shop.v_$n (id int PRIMARY KEY, v $type, a $array)", "CREATE TABLE shop.n_$n (v $type, id int)", "ALTER TABLE shop.n_$n REPLICA IDENTITY FULL");
    # With the domain's NOT NULL a value, elsewhere NULL too.
    my @rows = (@all, $type =~ /positive/ ? () : "NULL::$type");
    my ($i, @keyed) = 0;
    for my $v (@rows) {
        my $a = $how eq 'plain' ? 'NULL::int' : $v eq $rows[0] ? "ARRAY[" . join(', ', @rows) . "]::${type}[]" : $i == 1 ? "'{}'" : "ARRAY[[$v], [$v]]::${type}[]";
        $i++;
        push @keyed, "($i, $v, $a)";
    }
    my $key = eval { $source->sql("CREATE TABLE shop.k_$n (v $type PRIMARY KEY, n int)"); 1 };
    @all = grep { !/repeat|99999/ } @all if $key;
    push @tables, {n => $n, type => $type, array => $how ne 'plain', keyed => \@keyed, rows => \@rows, key => $key && @all ? 1 : 0, all => \@all};
}
sub fill {
    my ($from) = @_;
    $source->sql(map { my $t = $_; (
            "INSERT INTO shop.v_$t->{n} SELECT id + $from, v, a FROM (VALUES " . join(', ', @{$t->{keyed}}) . ') x (id, v, a)',
            "INSERT INTO shop.n_$t->{n} SELECT v, $from FROM (VALUES " . join(', ', map { "($_)" } @{$t->{rows}}) . ') x (v)') } @tables);
}
fill(0);
$source->sql(map { my $t = $_; map { "INSERT INTO shop.k_$t->{n} VALUES ($_, 0)" } @{$t->{all}}[0 .. $#{$t->{all}} - 1] } grep { $_->{key} } @tables);

my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
sub carried {
    my ($what) = @_;
    $pair->start('caught-up');
    is($pair->wait(120), 0, $what) or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', 'equal');
}
$target->sql('CREATE SCHEMA ext', map { "CREATE EXTENSION $_ SCHEMA ext" } qw(hstore citext ltree cube));
carried('loaded: ' . @tables . ' types');
fill(100);
$source->sql(map { my $t = $_; (
        $t->{array} ? "UPDATE shop.v_$t->{n} SET v = a[1] WHERE id = 101" : (),
        "UPDATE shop.v_$t->{n} x SET v = y.v, a = NULL FROM shop.v_$t->{n} y WHERE x.id = 1 AND y.id = 102", "DELETE FROM shop.v_$t->{n} WHERE id = 2",
        "UPDATE shop.n_$t->{n} SET id = id + 1 WHERE id = 0", "DELETE FROM shop.n_$t->{n} WHERE ctid = (SELECT min(ctid) FROM shop.n_$t->{n} WHERE id = 100)",
        $t->{key} ? ("INSERT INTO shop.k_$t->{n} VALUES ($t->{all}[-1], 1)", "UPDATE shop.k_$t->{n} SET n = 5", "DELETE FROM shop.k_$t->{n} WHERE v::text = ($t->{all}[0])::$t->{type}::text") : ()) } @tables);
carried('streamed');

# What the server itself does not take: refused before anything is begun.
$source->sql('CREATE SCHEMA closed', map { "CREATE TABLE closed.c_$_ (id int PRIMARY KEY, v $_)" } @closed);
my $closed = Syncline::Pair->new(id => 'closed', source => $source, target => $target, objects => '{ database = "closed"; }');
$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $out = `$Syncline::Pair::build/syncline check ${\ $closed->conf} 2>&1`;
is($? >> 8, 78, 'a table with such a column fails the precheck');
like($out, qr/column "v" of closed\.c_$_ is of the type $_, of which a server takes no values/, $_) for @closed;
$source->sql(map({ "DROP TABLE closed.c_$_" } @closed), 'CREATE UNLOGGED TABLE closed.fast (id int PRIMARY KEY)');
$out = `$Syncline::Pair::build/syncline check ${\ $closed->conf} 2>&1`;
is($? >> 8, 78, 'an unlogged table fails the precheck');
like($out, qr/closed\.fast is unlogged: its changes are nowhere in the log\n.*SET LOGGED/, 'and is named');

done_testing;
