# What comes with a database: tables as SHOW CREATE tells them, views in the order
# in which they need each other, functions and procedures; patterns, what is
# left out, what is called otherwise. In the initial schema and in the stream.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my @tables = (
    "everything (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, a VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'it''s' COMMENT 'x ; \\\\ \"',"
        . " b DECIMAL(9,3) UNSIGNED ZEROFILL, c TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), d SET('a','b') DEFAULT 'a,b', e BIT(3) DEFAULT b'101',"
        . " f BINARY(3) DEFAULT 'ab', g TEXT, h POINT NOT NULL, i ENUM('x','y''z') NULL DEFAULT NULL, j DATE DEFAULT '2020-01-01', k INT AS (LENGTH(f)) VIRTUAL COMMENT 'made', l DOUBLE NOT NULL DEFAULT 1.5,"
        . " PRIMARY KEY (id), UNIQUE KEY u (a(5), b DESC), KEY m (k), KEY n (c) USING BTREE COMMENT 'kc', FULLTEXT KEY ft (g), SPATIAL KEY sp (h), CONSTRAINT ck CHECK (l > 0))"
        . " ENGINE=InnoDB AUTO_INCREMENT=500 DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_bin ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 COMMENT='all; of \"it\"' STATS_PERSISTENT=0 MAX_ROWS=77",
    'child (id INT PRIMARY KEY, p BIGINT UNSIGNED, CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES everything (id) ON UPDATE CASCADE ON DELETE SET NULL) CHARSET=ucs2',
    'plain (id INT PRIMARY KEY, v INT)', 'tmp_one (id INT PRIMARY KEY)', 'tmp_two (id INT PRIMARY KEY)', 'log_1 (id INT PRIMARY KEY)', 'log_22 (id INT PRIMARY KEY)',
);
# Named so that the alphabet is the wrong order.
my @others = (
    'CREATE VIEW shop.z_base AS SELECT id, v FROM shop.plain WHERE v > 1', 'CREATE VIEW shop.m_middle AS SELECT z.id FROM shop.z_base z JOIN shop.plain p ON p.id = z.id',
    'CREATE VIEW shop.a_top AS SELECT m.id, z.v FROM shop.m_middle m, shop.z_base z WHERE m.id = z.id', 'CREATE VIEW shop.b_across AS SELECT id FROM other.y_view',
    'CREATE FUNCTION shop.twice(x INT) RETURNS INT DETERMINISTIC NO SQL COMMENT "it\'s" RETURN x * 2', 'CREATE FUNCTION shop.a_uses(x INT) RETURNS INT DETERMINISTIC RETURN shop.twice(x) + 1',
    'CREATE VIEW shop.a_calls AS SELECT shop.a_uses(id) AS n FROM shop.m_middle', 'CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW shop.checked (k, w) AS SELECT id, v FROM shop.plain WHERE v < 100 WITH CASCADED CHECK OPTION',
    "CREATE PROCEDURE shop.fill(IN a INT, OUT b INT) SQL SECURITY INVOKER MODIFIES SQL DATA BEGIN DECLARE i INT DEFAULT 0; -- a comment; with `quotes'\n WHILE i < a DO INSERT INTO shop.plain VALUES (i + 1000, i); SET i = i + 1; END WHILE; SET b = i; END",
);

sub shown {
    my ($db, $what, $name) = @_;
    my $row = $db->sql("USE mysql")->rows("SHOW CREATE $what $name")->[0];
    return $row->[$what =~ /TABLE|VIEW/ ? 1 : 2];
}

my %servers = (MariaDB => [map { Syncline::MariaDB->new } 1 .. 2], MySQL => [map { Syncline::MySQL->new } 1 .. 2]);
for my $family (sort keys %servers) {
    my ($source, $target) = @{$servers{$family}};
    $source->sql('CREATE DATABASE shop CHARACTER SET latin2 COLLATE latin2_bin', 'CREATE DATABASE other', 'CREATE TABLE other.x (id INT PRIMARY KEY)', 'CREATE VIEW other.y_view AS SELECT id FROM other.x', 'USE shop');
    $source->sql("CREATE TABLE shop.$_") for @tables;
    $source->sql($_) for @others, "INSERT INTO shop.plain VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO shop.everything (a, h) VALUES ('a', POINT(1, 2))";
    my $pair = Syncline::Pair->new(source => $source, target => $target,
        objects => '{ database = "shop"; }, { database = "shop"; table = "tmp_*"; exclude = true; }, { database = "shop"; table = "log_?"; exclude = true; }, { database = "oth*"; }, { database = "marker"; }');
    is($pair->follow($source, $target), 0, "$family: carried") or diag $pair->output;
    for my $table (map { /^(\w+)/ } @tables) {
        my $there = $target->one("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '$table'");
        is($there, $table =~ /^(?:tmp_|log_1)/ ? 0 : 1, "$family: $table is " . ($there ? 'there' : 'left out'));
        is(shown($target, 'TABLE', "shop.$table"), shown($source, 'TABLE', "shop.$table"), "$family: $table as at the source") if $there && $table ne 'everything';
    }
    # (MySQL names a column's set again where the definition did)
    my @everything = map { shown($_, 'TABLE', 'shop.everything') =~ s/AUTO_INCREMENT=\d+//r =~ s/ CHARACTER SET utf8mb3//gr } $target, $source;
    is($everything[0], $everything[1], "$family: all that a table can say");
    is(shown($target, 'VIEW', "shop.$_"), shown($source, 'VIEW', "shop.$_"), "$family: view $_") for qw(z_base m_middle a_top b_across a_calls checked);
    is(shown($target, 'FUNCTION', "shop.$_"), shown($source, 'FUNCTION', "shop.$_"), "$family: function $_") for qw(twice a_uses);
    is(shown($target, 'PROCEDURE', 'shop.fill'), shown($source, 'PROCEDURE', 'shop.fill'), "$family: procedure fill");
    my $default = "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'shop'";
    is($target->one($default), 'latin2_bin', "$family: the database's default");

    $source->sql('CREATE TABLE shop.later (id INT PRIMARY KEY, v VARCHAR(9))', 'CREATE TABLE shop.tmp_three (id INT PRIMARY KEY)', 'INSERT INTO shop.tmp_three VALUES (1)', "INSERT INTO shop.later VALUES (1, 'x')",
        'INSERT INTO shop.tmp_one VALUES (1)', 'CREATE TABLE shop.log_333 LIKE shop.log_22', 'INSERT INTO shop.log_333 VALUES (5)', 'ALTER VIEW shop.z_base AS SELECT id, v, 1 AS one FROM shop.plain', 'CREATE OR REPLACE VIEW shop.a_top AS SELECT 1 AS x',
        'DROP VIEW shop.b_across', 'DROP FUNCTION shop.a_uses', 'CREATE FUNCTION shop.new_one() RETURNS VARCHAR(20) DETERMINISTIC RETURN "\\\\x"', 'DROP PROCEDURE shop.fill', 'CREATE VIEW other.late AS SELECT id FROM shop.later',
        'CREATE DATABASE other2', 'CREATE TABLE other2.t (id INT PRIMARY KEY)', 'INSERT INTO other2.t VALUES (4)');
    is($pair->follow($source, $target), 0, "$family: streamed") or diag $pair->output;
    is(shown($target, 'VIEW', $_), shown($source, 'VIEW', $_), "$family: view $_ now") for qw(shop.z_base shop.a_top other.late);
    is(shown($target, 'FUNCTION', 'shop.new_one'), shown($source, 'FUNCTION', 'shop.new_one'), "$family: a new function");
    is(shown($target, 'TABLE', 'shop.later'), shown($source, 'TABLE', 'shop.later'), "$family: a later table, by the database's default");
    is_deeply([map { $_->[0] } @{$target->rows("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND (TABLE_NAME LIKE 'tmp%' OR TABLE_NAME LIKE 'log%') ORDER BY 1")}], ['log_22', 'log_333'], "$family: later ones by the patterns");
    is($target->one("SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'"), 2, "$family: dropped ones are gone");
    is($target->one("SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_NAME = 'b_across'"), 0, "$family: a dropped view too");
    is(join("\n", map { compare($source, $target, $_) } qw(other other2)), '', "$family: a later database by its pattern");

    # What a routine says of a table would be said of another one at the target.
    $source->sql('CREATE DATABASE named', 'CREATE TABLE named.plain (id INT PRIMARY KEY)',
        'CREATE FUNCTION named.counts() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM plain)');
    $_->sql('DROP DATABASE marker') for $source, $target;
    my $mapped = sub {
        return Syncline::Pair->new(source => $source, target => $target, id => 'named', objects => '{ database = "named"; }, { database = "named"; table = "plain"; to_table = "simple"; }, { database = "marker"; }')
    };
    my $refused = $mapped->();
    $refused->start('loaded');
    is($refused->wait(60), 78, "$family: a routine that names what is renamed is refused");
    like($refused->output, qr/function named\.counts cannot be copied: it names "plain", which the channel renames or drops; keep that name/, "$family: and says which");
    is($target->one("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'named'"), 0, "$family: before anything is made");
    $source->sql('DROP FUNCTION named.counts', 'INSERT INTO named.plain VALUES (1)');
    my $goes = $mapped->();
    is($goes->follow($source, $target), 0, "$family: without it, it goes on") or diag $goes->output;
    $source->sql('CREATE PROCEDURE named.shows() SELECT id FROM named.plain', 'CREATE FUNCTION named.one() RETURNS INT DETERMINISTIC RETURN 1', 'INSERT INTO named.plain VALUES (2)');
    is($goes->follow($source, $target), 0, "$family: one that comes later is left out") or diag $goes->output;
    like($goes->output, qr/create procedure named\.shows is not carried: it names "plain"/, "$family: with a warning");
    is_deeply([map { $_->[0] } @{$target->rows("SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'named'")}], ['one'], "$family: others are carried");
    is($target->one('SELECT COUNT(*) FROM named.simple'), 2, "$family: and rows go on");
}

done_testing;
