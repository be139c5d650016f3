# MariaDB to PostgreSQL: keys of every type of MySQL's, spelled in all ways that their collations take for one - as
# a primary key, as a second key, in tables without any -, keys over the first characters, cascades,
# JSON, partitions, by four writers, as "atomic" and with workers that load every table without its keys as
# "fastest"; kills of all processes while it loads and while it streams; then the ends are equal. (R88, R120)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Failpoint;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 4;
diag "SEED=$seed";
srand $seed;

my $rows = 40;    # of a table: few, so that writers meet

sub one_of { return $_[rand @_] }
sub n { return 1 + int rand($_[0] // $rows) }

# Types of keys: what makes a value of a number, spelled in one of its ways
my %types = (
    folded => ['VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', sub { "'" . one_of('a', 'A', "\xc3\xa4", 'a ', 'a  ') . $_[0] . one_of('', ' ') . "'" }],
    expanded => ['VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci', sub { "'" . one_of('ss', "\xc3\x9f", 'SS') . $_[0] . "'" }],
    binary_text => ['VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', sub { "'" . one_of('a', 'A') . $_[0] . one_of('', ' ', "\t") . "'" }],
    latin => ['CHAR(10) CHARACTER SET latin1', sub { "'" . one_of("\xc3\xa9", 'E', 'e') . $_[0] . "'" }],
    bytes => ['VARBINARY(10)', sub { sprintf "x'00ff%02x%s'", $_[0], one_of('', '00', '20') }],
    padded => ['BINARY(5)', sub { sprintf "x'00ff%02x%s'", $_[0], one_of('', '20', '2000') }],
    decimal => ['DECIMAL(20,5)', sub { one_of('', '-') . $_[0] . one_of('', '.5', '.50000') }],
    unsigned => ['BIGINT UNSIGNED', sub { "18446744073709551615 - $_[0]" }],
    double => ['DOUBLE', sub { $_[0] / 3 }],
    float => ['FLOAT', sub { $_[0] / 10 }],
    datetime => ['DATETIME(3)', sub { "'2020-01-01 00:00:00.00$_[0]' + INTERVAL $_[0] SECOND" }],
    timestamp => ['TIMESTAMP(6)', sub { "FROM_UNIXTIME(1600000000.$_[0])" }],
    time => ['TIME(2)', sub { "SEC_TO_TIME($_[0] * 70000 - 1000000)" }],
    year => ['YEAR', sub { 1980 + $_[0] }],
    date => ['DATE', sub { "'2020-01-01' + INTERVAL $_[0] DAY" }],
    enum => ["ENUM('a','B','c d','')", sub { "'" . ('a', 'B', 'c d')[$_[0] % 3] . "'" }],
    set => ["SET('a','b','c')", sub { $_[0] % 8 }],
    bit => ['BIT(10)', sub { $_[0] }],
);

# name, columns, values of a number, options
my @tables = (
    ['prefix', 'id INT PRIMARY KEY, t TEXT, b BLOB, j JSON, UNIQUE KEY (t(5)), UNIQUE KEY (b(3))', q(%1$d, 't%1$d xx', 'b%1$d', '{"a": %1$d}')],
    ['prefix_primary', 't VARCHAR(200) NOT NULL, v INT, PRIMARY KEY (t(4))', q('p%1$d', 0)],
    ['parent', 'id INT PRIMARY KEY, c INT UNIQUE', '%1$d, %1$d'],
    ['child', 'id INT PRIMARY KEY, p INT, q INT, FOREIGN KEY (p) REFERENCES shop.parent (c) ON UPDATE CASCADE ON DELETE CASCADE, FOREIGN KEY (q) REFERENCES shop.parent (id) ON DELETE SET NULL ON UPDATE SET NULL', '%1$d, %1$d, %1$d'],
    ['grandchild', 'id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES shop.child (id) ON DELETE CASCADE', '%1$d, %1$d'],
    ['json', 'id INT PRIMARY KEY, j JSON, f LONGTEXT', q(%1$d, '{"b":1.50, "a": [null]}', '')],
    ['part', 'id INT, d DATE, v INT, PRIMARY KEY (id, d)', q(%1$d, '2020-01-01', 0), 'PARTITION BY HASH (id) PARTITIONS 4'],
);

sub make {
    my ($db) = @_;
    $db->sql('SET NAMES utf8mb4', 'CREATE DATABASE shop');
    for my $name (sort keys %types) {
        my ($type, $value) = @{$types{$name}};
        $db->sql("CREATE TABLE shop.k_$name (v INT NOT NULL DEFAULT 0, k $type NOT NULL PRIMARY KEY, w TEXT)", "CREATE TABLE shop.u_$name (id INT AUTO_INCREMENT PRIMARY KEY, k $type NULL UNIQUE, v INT NOT NULL DEFAULT 0)",
            "CREATE TABLE shop.f_$name (k $type NULL, v INT)",
            map { ("INSERT IGNORE INTO shop.k_$name (k) VALUES (" . $value->($_) . ')', "INSERT IGNORE INTO shop.u_$name (k) VALUES (" . $value->($_) . ')', "INSERT INTO shop.f_$name VALUES (" . $value->($_) . ', 1)') } 1 .. $rows);
    }
    for (@tables) {
        my ($name, $columns, $values, $options) = (@$_, '');
        $db->sql("CREATE TABLE shop.$name ($columns) $options", map { sprintf "INSERT INTO shop.$name VALUES ($values)", $_ } 1 .. $rows);
    }
}

# What fails is taken back.
sub try {
    my ($d, @sql) = @_;
    $d->do('SAVEPOINT try');
    return if eval { $d->do($_) for @sql; 1 };
    die $@ if $@ =~ /syntax|doesn't exist|Deadlock|Unknown|Lost/;
    $d->do('ROLLBACK TO SAVEPOINT try');
}

sub keyed {
    my ($d) = @_;
    my $name = one_of(sort keys %types);
    my $value = $types{$name}[1];
    my ($i, $p, $u, $f) = (n(), map { "shop.${_}_$name" } qw(k u f));
    my ($any, $same) = (sub { $value->(n()) }, sub { $value->($i) });
    try($d, @{one_of(
        ["INSERT INTO $p (k) VALUES (${\$any->()}) ON DUPLICATE KEY UPDATE v = v + 1"],
        ["INSERT INTO $p (k) VALUES (${\$any->()}) ON DUPLICATE KEY UPDATE v = v + 1, k = VALUES(k)"],
        ["REPLACE INTO $p (k, w) VALUES (${\$any->()}, 'r')"],
        ["UPDATE IGNORE $p SET k = ${\$any->()}, v = v + 1 WHERE k = ${\$any->()}"],
        ["UPDATE $p SET v = v + 1 WHERE k = ${\$same->()}", "UPDATE $p SET k = ${\$same->()} WHERE k = ${\$same->()}"],
        ["DELETE FROM $p WHERE k = ${\$any->()}"],
        ["DELETE FROM $p WHERE k = ${\$same->()}", "INSERT INTO $p (k, w) VALUES (${\$same->()}, 'b')"],
        ["INSERT INTO $u (k) VALUES (${\$any->()})"],
        ["REPLACE INTO $u (id, k) VALUES (${\n()}, ${\$any->()})"],
        ["UPDATE $u SET k = ${\$any->()} WHERE id = ${\n()}"],
        ["UPDATE $u SET k = NULL WHERE k = ${\$same->()}", "UPDATE $u SET k = ${\$same->()} WHERE id = ${\n()}"],
        ["DELETE FROM $u WHERE k = ${\$same->()}", "INSERT INTO $u (k) VALUES (${\$same->()})"],
        ["INSERT INTO $f VALUES (${\$same->()}, 1), (${\$same->()}, 1), (NULL, 1)"],
        ["UPDATE $f SET v = v + 1 WHERE k = ${\$same->()} LIMIT 1"],
        ["UPDATE $f SET k = ${\$any->()} WHERE k = ${\$same->()} LIMIT 1"],
        ["DELETE FROM $f WHERE k = ${\$same->()} LIMIT 1"],
    )});
}

sub does { my @sql = @_; return sub { try($_[0], map { ref $_ ? $_->() : $_ } @sql) } }

my @work = (
    (\&keyed) x 20,
    does(sub { "UPDATE shop.prefix SET t = 't${\n()} " . ('y' x n(6)) . "' WHERE id = ${\n()}" }),
    does(sub { "UPDATE shop.prefix SET b = 'b${\n()}', j = JSON_SET(j, '\$.x', ${\n()}) WHERE id = ${\n()}" }),
    does(sub { my $i = n(); ("DELETE FROM shop.prefix WHERE id = $i", "INSERT INTO shop.prefix VALUES ($i, 'T${\n()} z', NULL, NULL)") }),
    does(sub { "INSERT INTO shop.prefix_primary VALUES ('P${\n()}${\('q' x n(5))}', 1) ON DUPLICATE KEY UPDATE v = v + 1" }),
    does(sub { "UPDATE IGNORE shop.prefix_primary SET t = 'p${\n()}x' WHERE t LIKE 'p${\n()}%'" }, sub { "DELETE FROM shop.prefix_primary WHERE t LIKE 'p${\n()}%'" }),
    does(sub { "UPDATE shop.parent SET c = ${\n(80)} WHERE id = ${\n()}" }), does(sub { "DELETE FROM shop.parent WHERE id = ${\n(60)}" }),
    does(sub { "INSERT IGNORE INTO shop.parent VALUES (${\n(60)}, ${\n(80)})" }, sub { "INSERT INTO shop.child SELECT ${\n(80)}, c, id FROM shop.parent ORDER BY RAND() LIMIT 1" }),
    does(sub { "INSERT INTO shop.grandchild SELECT ${\n(80)}, id FROM shop.child ORDER BY RAND() LIMIT 1" }), does(sub { "DELETE FROM shop.child WHERE id = ${\n(80)}" }),
    does(sub { "UPDATE shop.json SET j = '{\"b\":1.5${\n()}0, \"\xc3\xa9\": \"\\\\u00e9\"}', f = REPEAT('\xc3\xb6', ${\n(9000)}) WHERE id = ${\n()}" }),
    does(sub { "UPDATE shop.part SET d = '2020-01-01' + INTERVAL ${\n()} DAY, id = ${\n(60)} WHERE id = ${\n(60)}" }),
);

my $source = Syncline::MariaDB->new;
make($source);
for (['atomic', "lanes = 4;\nchunk_rows = 20;\n"], ['fastest', "apply = \"fastest\";\nlanes = 4;\nchunk_rows = 20;\n", Syncline::Failpoint::build()]) {
    my ($id, $more, $workers) = @$_;
    my $target = Syncline::PostgreSQL->new;
    my $pair = Syncline::Pair->new(id => $id, source => $source, target => $target, objects => '{ database = "shop"; }', more => $more, workers => $workers);
    for my $what ('loaded', 'streamed') {
        my $load = Syncline::Load->start($source, work => \@work, writers => 4, seed => $seed++, pause => 0.01, release => 1);
        my $kills = $pair->with_kills($seconds);
        my $transactions = $load->stop;
        cmp_ok($transactions, '>', 100, "$id: $transactions transactions, $kills kills");
        $pair->start('caught-up');
        is($pair->wait(60 * $Syncline::Daemon::patience), 0, "$id: $what") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', "$id: both ends are equal");
    }
    unlike($pair->output, qr/^(?:conflict|quarantined)/m, "$id: no conflict");
}
done_testing;
