# What MySQL and MariaDB write differently, in tables that load and in statements that follow
# (R7, R8): said in the target's words; left out with a warning where no column depends on it;
# else the channel stops and says what this server cannot have. Both directions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

# Of each: tables (the columns behind "id INT PRIMARY KEY"), then statements on a table each
# (id, v, KEY v (v)); a pattern of what SHOW CREATE TABLE of the target has, or not ('!').
my %carried = (
    'mysql-9.7 -> mariadb-11.8' => {
        tables => [
            ['u VARCHAR(36) DEFAULT (uuid())', qr/DEFAULT uuid\(\)/i], ['h INT INVISIBLE', qr/`h` int\(11\)/], ['a INT, KEY k (a) INVISIBLE', qr/KEY `k`/], ['g POINT NOT NULL SRID 4326, SPATIAL KEY (g)', qr/SPATIAL/],
            ['a INT, KEY k (a DESC)', qr/`a` DESC/], ['a VARCHAR(5) COLLATE utf8mb4_0900_ai_ci', qr/uca1400|0900/], ['j JSON, a INT GENERATED ALWAYS AS (json_extract(j, "$.a")) VIRTUAL', qr/`a` int\(11\) GENERATED/], ['j JSON DEFAULT (JSON_ARRAY())', qr/json_array/i],
            ['a DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)', qr/ON UPDATE/i], ['a INT, b INT DEFAULT (1 + 2)', qr/1 \+ 2/], ['v VECTOR(3)', qr/vector\(3\)/i], ['a INT) COMPRESSION="zlib" COMMENT="c"#', qr/COMMENT='c'/],
        ],
        statements => [
            ['ALTER TABLE # ADD g POINT SRID 0', qr/`g` point/], ['ALTER TABLE # ALTER INDEX v INVISIBLE', qr/IGNORED/], ['ALTER TABLE # ALTER COLUMN v SET INVISIBLE', qr/`v` int\(11\)/, 'skipped'], ['CREATE INDEX f ON # ((v + 1))', qr/KEY `v`/, 'skipped'],
            ['ALTER TABLE # ADD m DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), ALGORITHM=COPY', qr/`m`/], ['ALTER TABLE # ADD q INT, ALGORITHM=INSTANT', qr/`q`/], ['ALTER TABLE # RENAME COLUMN v TO w', qr/`w`/], ['ALTER TABLE # ADD q INT, COMPRESSION="zlib"', qr/`q`/], ['ANALYZE TABLE # UPDATE HISTOGRAM ON v', qr/`v`/],
        ],
        stops => [['ALTER TABLE # ADD b INT, ADD KEY f ((v + 1))', qr/this server cannot have that: undo it at the source, and reset the channel/]],
        database => 'utf8mb4_0900_as_cs',
    },
    'mariadb-11.8 -> mysql-9.7' => {
        tables => [
            ['u VARCHAR(36) DEFAULT (uuid())', qr/DEFAULT \(uuid\(\)\)/], ['a TIMESTAMP NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), b DATETIME(3) DEFAULT current_timestamp(3)', qr/ON UPDATE CURRENT_TIMESTAMP/], ['h INT INVISIBLE', qr/`h` int/],
            ['a INT DEFAULT (1 + 2), b TEXT DEFAULT "t", c VARCHAR(20) DEFAULT concat("a", "(b)"), d INT DEFAULT 5', qr/DEFAULT \(concat.*`d` int DEFAULT '5'/s], ['a INT AS (id + 1) PERSISTENT', qr/STORED/], ['a INT CHECK (a > 0), CONSTRAINT c CHECK (a < 1000)', qr/CHECK/],
            ['j JSON', qr/`j` longtext/], ['a INT, KEY k (a) IGNORED', qr/KEY `k`.*INVISIBLE/], ['a TEXT COMPRESSED', qr/`a` text/], ['a INT) PAGE_COMPRESSED=1 COMMENT="c"#', qr/COMMENT='c'/], ['a VARCHAR(5) COLLATE utf8mb4_uca1400_ai_ci', qr/0900_ai_ci/], ['a VARCHAR(5) COLLATE utf8mb4_nopad_bin', qr/utf8mb4_bin/],
            ['v VECTOR(3)', qr/vector\(3\)/i],
        ],
        statements => [
            ['ALTER TABLE # ADD COLUMN IF NOT EXISTS q INT', qr/`q`/], ['ALTER TABLE # ADD COLUMN IF NOT EXISTS v INT', qr/`v`/, 'skipped'], ['ALTER TABLE # DROP COLUMN IF EXISTS nope', qr/`v`/, 'skipped'], ['CREATE INDEX IF NOT EXISTS k ON # (v)', qr/KEY `k`/],
            ['ALTER TABLE # ADD a TIMESTAMP NOT NULL DEFAULT current_timestamp()', qr/`a` timestamp/], ['ALTER TABLE # NOWAIT ADD z INT', qr/`z`/], ['ALTER TABLE # ALTER INDEX v IGNORED', qr/INVISIBLE/], ['ALTER TABLE # ADD a INT AS (id + 1) PERSISTENT', qr/STORED/],
            ['ALTER TABLE # ADD a TEXT DEFAULT "x"', qr/`a` text/], ['ALTER TABLE # ADD a VARCHAR(20) DEFAULT concat("a", "b")', qr/concat/], ['ALTER TABLE # RENAME COLUMN v TO w', qr/`w`/],
        ],
        stops => [['ALTER TABLE # ADD s DATE, ADD e DATE, ADD PERIOD FOR p (s, e)', qr/this server cannot have that: undo it at the source, and reset the channel/]],
        database => 'utf8mb4_unicode_520_ci',
    },
);

for my $direction (sort keys %carried) {
    my ($from, $to) = split / -> /, $direction;
    my ($source, $target) = (node($from), node($to));
    my $c = $carried{$direction};
    my (%want, $n, $m);
    $source->sql('CREATE DATABASE shop');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }');
    for my $case (@{$c->{tables}}) {
        my ($columns, $pattern) = @$case;
        my $name = 'c' . ++$n;
        my $text = $columns =~ /^(.*)#$/ ? $1 : "$columns)";
        $source->sql("CREATE TABLE shop.$name (id INT PRIMARY KEY, $text");
        $want{$name} = [$columns, $pattern];
    }
    for my $case (@{$c->{statements}}) { $source->sql('CREATE TABLE shop.s' . ++$m . ' (id INT PRIMARY KEY, v INT, KEY v (v))', "INSERT INTO shop.s$m VALUES (1, 10)") }
    is($pair->follow($source, $target, 60), 0, "$direction: loaded") or diag $pair->output;
    $m = 0;
    for my $case (@{$c->{statements}}) {
        my ($statement, $pattern) = @$case;
        my $name = 's' . ++$m;
        sleep 1 if $statement =~ /current_timestamp/;    # the rows get the moment of the statement, not of its coming
        $source->sql($statement =~ s/#/shop.$name/r, "INSERT INTO shop.$name (id) VALUES (2)");
        $want{$name} = [$statement, $pattern];
    }
    $source->sql("ALTER DATABASE shop COLLATE $c->{database}", 'CREATE TABLE shop.later (id INT PRIMARY KEY, a VARCHAR(9))', "INSERT INTO shop.later VALUES (1, 'a')");
    is($pair->follow($source, $target, 60), 0, "$direction: followed") or diag $pair->output;
    for my $name (sort keys %want) { like($target->rows("SHOW CREATE TABLE shop.$name")->[0][1], $want{$name}[1], "$direction: $want{$name}[0]") }
    my $skipped = () = $pair->output =~ /a DDL statement was skipped/g;
    is($skipped, scalar(grep { $_->[2] } @{$c->{statements}}), "$direction: what was left out was said");
    # Columns that only one end computes, or shows, are its own.
    my @differences = grep { !/other columns|invisible/ } compare($source, $target, 'shop');
    is(join("\n", @differences), '', "$direction: equal");
    isnt($target->one("SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = 'shop'"), 'utf8mb4_unicode_ci', "$direction: the database's default followed");
    for my $case (@{$c->{stops}}) {
        my ($statement, $text) = @$case;
        $source->sql('CREATE TABLE shop.stop (id INT PRIMARY KEY, v INT)');
        $source->sql($statement =~ s/#/shop.stop/r);
        is($pair->follow($source, $target, 30), 65, "$direction: $statement stops");
        like($pair->output, $text, "$direction: and says why");
    }
    $_->stop for $source, $target;
}

# What is no table to us: a sequence goes on at its own end, a table with history is named.
{
    my ($source, $target) = (node('mariadb-10.11'), node('mariadb-10.11'));
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.t (id INT PRIMARY KEY)', 'CREATE SEQUENCE shop.q', 'CREATE TABLE shop.h (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING', 'INSERT INTO shop.h VALUES (1, 1)');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }');
    is($pair->follow($source, $target, 60), 0, 'loads beside a sequence and a table with history') or diag $pair->output;
    $source->sql('INSERT INTO shop.t VALUES (NEXTVAL(shop.q))');
    is($pair->follow($source, $target, 60), 0, 'a sequence moves') or diag $pair->output;
    is($target->one('SELECT id FROM shop.t'), 1, 'and what it gave is carried');
    $source->sql('UPDATE shop.h SET n = 2');
    is($pair->follow($source, $target, 60), 78, 'a table with history stops the channel');
    like($pair->output, qr/shop\.h is a system-versioned table, which is not carried; leave it out: \{ database = "shop"; table = "h"; exclude = true; \}/, 'and is named, with what to do');
}
done_testing;
