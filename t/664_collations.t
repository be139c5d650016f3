# Collations that the target does not know, and defaults that are not the source's: a
# table has the same character sets and the nearest collations, whoever named them -
# itself, its database, the server - and text arrives as it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

# Source; target; what the target makes of the source's utf8mb4 default, and of a binary one of 0900's kind.
my @cases = (
    ['mysql-8.0', 'mariadb-10.11', 'utf8mb4_uca1400_nopad_ai_ci', 'utf8mb4_0900_as_cs', 'utf8mb4_uca1400_nopad_as_cs'],
    ['mysql-8.0', 'mysql-5.7', 'utf8mb4_unicode_520_ci', 'utf8mb4_de_pb_0900_as_cs', 'utf8mb4_bin'],
    ['mysql-8.0', 'mysql-5.5', 'utf8mb4_unicode_ci', 'utf8mb4_0900_bin', 'utf8mb4_bin'],
    ['mariadb-11.8', 'mysql-8.0', 'utf8mb4_0900_ai_ci', 'utf8mb4_uca1400_swedish_as_ci', 'utf8mb4_0900_as_ci'],
    ['mariadb-11.8', 'mariadb-10.1', 'utf8mb4_unicode_520_ci', 'utf8mb4_nopad_bin', 'utf8mb4_bin'],
    ['mysql-5.5', 'mysql-8.0', 'utf8mb4_general_ci', 'utf8mb4_unicode_ci', 'utf8mb4_unicode_ci'],
);

sub collation_of {
    my ($db, $table, $column) = @_;
    return $db->one('SELECT collation_name FROM information_schema.columns WHERE table_schema = "shop" AND table_name = ? AND column_name = ?', $table, $column);
}

for my $case (@cases) {
    my ($from, $to, $default, $other, $becomes) = @$case;
    my ($source, $target) = (node($from), node($to));
    my $name = "$from to $to";
    $source->sql(
        'SET NAMES utf8mb4', 'CREATE DATABASE shop CHARACTER SET utf8mb4',
        "CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(50), o VARCHAR(20) CHARACTER SET utf8mb4 COLLATE $other, UNIQUE KEY (v)) CHARACTER SET utf8mb4",
        'CREATE TABLE shop.b (v VARCHAR(30) CHARACTER SET utf8 COLLATE utf8_bin PRIMARY KEY, w VARCHAR(10) CHARACTER SET utf8 COLLATE utf8_unicode_ci) CHARACTER SET utf8',
        "INSERT INTO shop.a VALUES (1, 'Zo\xc3\xab', 'x'), (2, 'y', NULL)", "INSERT INTO shop.b VALUES ('Zo\xc3\xab', '\xc3\xa9')",
        "CREATE VIEW shop.seen AS SELECT id FROM shop.a WHERE v = 'Zo\xc3\xab' COLLATE utf8mb4_unicode_ci",
    );
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: loaded") or diag $pair->output;
    $source->sql(
        "CREATE TABLE shop.c (id INT PRIMARY KEY, v VARCHAR(20) DEFAULT '\xc3\xb6', o VARCHAR(20) COLLATE $other)", 'INSERT INTO shop.c (id, o) VALUES (1, "x")',
        "UPDATE shop.b SET w = '\xc3\x84' WHERE v = 'Zo\xc3\xab'", "ALTER TABLE shop.a ADD x VARCHAR(10) CHARACTER SET utf8 DEFAULT '\xc3\xb6'",
        "INSERT INTO shop.a (id, v) VALUES (3, 'q')", "DELETE FROM shop.b WHERE v = 'none'",
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: streamed") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: equal");
    is(collation_of($target, 'a', 'v'), $default, "$name: a table's default");
    is(collation_of($target, 'c', 'v'), $default, "$name: the database's default, for a table that came later");
    is(collation_of($target, $_, 'o'), $becomes, "$name: $other in $_") for qw(a c);
    is($target->one('SELECT id FROM shop.seen'), 1, "$name: a view that names one");
    $_->stop for $source, $target;
}

# A character set that has no relative: said, with what to do.
{
    my ($source, $target) = (node('mysql-8.0'), node('mariadb-10.11'));
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET gb18030)');
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $pair->start('caught-up');
    is($pair->wait(60), 65, 'a character set that the target does not have: exit 65');
    like($pair->output, qr/cannot create table shop\.a at the target: .*gb18030.*; this target has nothing like it: use a character set and collation at the source that both/, 'with its remedy');
}
done_testing;
