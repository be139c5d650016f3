# Greenplum and AnalyticDB PG as targets (spec 7.3-7.5, 8.9, 10.1, 10.2: R120-R131, S4.3, S6.4,
# S6.10). Greenplum itself cannot be had. What is said to it is shown on PostgreSQL: 9.5 says that
# it is Greenplum 6 (PostgreSQL 9.4) and 15 that it is 7, through a proxy that takes DISTRIBUTED
# .. out of statements and writes all of them down (Guise.pm). What Greenplum makes of them -
# segments, locks, its planner - is not shown by anything here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Guise;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(time);

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";
srand $seed;
my $id = 0;

sub channel {
    my ($source, $target, $objects, $more) = @_;
    return Syncline::Pair->new(source => $source, target => $target, objects => $objects, more => $more || '', id => 'c' . ++$id);
}
sub carried { my ($pair, $what, $until) = @_; $pair->start($until || 'caught-up'); is($pair->wait(60), 0, $what) or diag $pair->output }
sub stops { my ($pair, $status, $pattern, $what) = @_; $pair->start('caught-up'); is($pair->wait(60), $status, "$what stops"); like($pair->output, $pattern, "$what: said") }
sub check { my ($pair) = @_; return scalar `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1` }
sub objects { my ($more, @tables) = @_; return join ', ', map { qq({ database = "shop"; table = "$_"; @{[$more->{$_} // '']} }) } @tables }
sub described { my ($db, $sql) = @_; return join ' ', map { join ':', map { $_ // '' } @$_ } @{$db->rows($sql)} }
sub key { my ($db, $table) = @_; return $db->one("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'shop.$table'::regclass") }

# Transactions of one row and of many: both ways of a change.
sub work {
    my ($dbh) = @_;
    my $n = 1 + int rand 300;
    my @do = (
        sub { $dbh->do("INSERT INTO shop.a (id, region, u, v, t) SELECT seq, seq % 5, CONCAT('u', seq, '_', ?), 'new', NOW(6) FROM shop.seq_${n}_to_@{[$n + 20]} ON DUPLICATE KEY UPDATE v = CONCAT('again ', ?)", undef, rand, rand) },
        sub { $dbh->do("UPDATE shop.a SET v = ?, t = NULL WHERE id BETWEEN $n AND $n + 30", undef, "x\t\\\n" . rand) },
        sub { $dbh->do("UPDATE shop.a SET n = n + 1 WHERE id = $n") },
        sub { $dbh->do("DELETE FROM shop.a WHERE id BETWEEN $n AND $n + 15") },
        sub { $dbh->do("UPDATE shop.a SET region = region + 1 WHERE id BETWEEN $n AND $n + 10") },
        sub { $dbh->do("UPDATE IGNORE shop.a SET id = id + 400 WHERE id BETWEEN $n AND $n + 10") },
        sub { $dbh->do("UPDATE shop.b SET v = ? WHERE a = $n % 20", undef, rand) },
        sub { my ($x, $y) = map { int rand 20 } 1, 2; $dbh->do("UPDATE shop.account SET balance = balance - 1 WHERE id = $x"); $dbh->do("UPDATE shop.account SET balance = balance + 1 WHERE id = $y") },
    );
    $do[rand @do]->() for 1 .. 1 + rand 3;
}

my ($source, $old, $new) = (Syncline::MariaDB->new, Syncline::PostgreSQL->new(version => '9.5'), Syncline::PostgreSQL->new);
my $six = Syncline::Guise->new(server => $old, as => 'greenplum 6');
my $seven = Syncline::Guise->new(server => $new, as => 'greenplum 7');
$source->sql('CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE DATABASE marker',
    q{CREATE TABLE shop.a (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, region INT NOT NULL DEFAULT 0, u VARCHAR(60), n INT NOT NULL DEFAULT 0, v TEXT, t DATETIME(6), m BIT(5), g POINT, UNIQUE KEY u (u), UNIQUE KEY ru (region, id, u), KEY (n)) COMMENT 'it''s'},
    'CREATE TABLE shop.b (a INT, line INT, v DOUBLE, PRIMARY KEY (a, line))', 'CREATE TABLE shop.account (id INT PRIMARY KEY, balance INT NOT NULL)',
    q{INSERT INTO shop.a (id, region, u, v, m, g) SELECT seq, seq % 5, CONCAT('u', seq), 'first', 3, POINT(1, 2) FROM shop.seq_1_to_500}, 'INSERT INTO shop.b SELECT seq % 20, seq, 0.1 FROM shop.seq_1_to_200', 'INSERT INTO shop.account SELECT seq - 1, 100 FROM shop.seq_1_to_20');

# ---- MySQL to both ----

for my $case ([6, $six], [7, $seven]) {
    my ($name, $target) = @$case;
    $source->sql('CREATE DATABASE IF NOT EXISTS shop');
    my $objects = objects({a => 'primary_key = ["region", "id"]; distributed_by = ["region"];'}, qw(a b account));
    my $pair = channel($source, $target, $objects, "chunk_rows = 100;\n");
    my $load = Syncline::Load->start($source, writers => 4, seed => $seed, pause => 0.01, work => [\&work]);
    my $kills = $pair->with_kills(4);
    carried($pair, "$name: loaded after $kills kills", 'loaded');
    my $poller = poller($target->{server}, 'SELECT sum(balance) FROM shop.account', 2000);
    $kills = $pair->with_kills(3);
    my $transactions = $load->stop;
    carried($pair, "$name: caught up after $kills kills and $transactions transactions");
    my ($polls, $bad) = $poller->stop;
    is($bad // '', '', "$name: an invariant held at each of $polls polls");
    is(join("\n", grep { !/other columns/ } compare($source, $target->{server}, 'shop')), '', "$name: equal");
    my $columns = 'id, region, u, n, v, t';
    is(described($target, "SELECT $columns FROM shop.a ORDER BY id") =~ s/\.(\d+?)0*(?=[ :]|$)/.$1/gr, described($source, "SELECT $columns FROM shop.a ORDER BY id") =~ s/\.(\d+?)0*(?=[ :]|$)/.$1/gr, "$name: the table with columns that are left out, too");
    unlike($pair->output, qr/^conflict/m, "$name: no conflict");

    is(described($target, q{SELECT attname FROM pg_attribute WHERE attrelid = 'shop.a'::regclass AND attnum > 0 ORDER BY attnum}), 'id region u n v t', "$name: columns of types that it does not take are left out (R121)");
    is(key($target, 'a'), 'PRIMARY KEY (region, id)', "$name: the primary key is as configured (R125)");
    is(key($target, 'b'), 'PRIMARY KEY (a, line)', "$name: or the source's");
    is(described($target, q{SELECT relname, indisunique FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'shop.a'::regclass AND NOT indisprimary ORDER BY 1}), 'a_PRIMARY:0 a_n:0 a_ru:1 a_u:0', "$name: indexes without the distribution's columns are plain ones");
    cmp_ok($target->one(q{INSERT INTO shop.a (region) VALUES (9) RETURNING id}), '>', $source->one('SELECT MAX(id) FROM shop.a'), "$name: the next number") if $name == 6;
    $target->sql('DELETE FROM shop.a WHERE region = 9 AND u IS NULL AND v IS NULL');

    # Changes of tables (R122); none makes a table that is not listed (R123).
    $source->sql('ALTER TABLE shop.b ADD COLUMN c VARCHAR(20) NOT NULL DEFAULT \'d\'', 'ALTER TABLE shop.b CHANGE v w DOUBLE', 'ALTER TABLE shop.b ADD COLUMN x BIT(3)', 'UPDATE shop.b SET c = CONCAT(line), x = 1 WHERE a = 3', 'ALTER TABLE shop.b ADD UNIQUE KEY (c, line)', 'CREATE TABLE shop.later (id INT PRIMARY KEY)', 'INSERT INTO shop.later VALUES (1)');
    carried($pair, "$name: changes of tables");
    is(described($target, 'SELECT a, line, c FROM shop.b ORDER BY 1, 2'), described($source, 'SELECT a, line, c FROM shop.b ORDER BY 1, 2'), "$name: a new column and its values");
    is(described($target, q{SELECT attname FROM pg_attribute WHERE attrelid = 'shop.b'::regclass AND attnum > 0 ORDER BY attnum}), 'a line w c', "$name: a renamed one; none of a type that is not taken");
    is($target->one(q{SELECT to_regclass('shop.later')}), undef, "$name: a table that is not listed is not made");
    is($target->one(q{SELECT count(*) FROM pg_index WHERE indrelid = 'shop.b'::regclass AND indisunique}), 1, "$name: nor a unique index without the distribution's columns");
    my $wider = Syncline::Pair->new(source => $source, target => $target, id => "c$id", objects => $objects . ', { database = "shop"; table = "later"; }', more => "chunk_rows = 100;\n");
    carried($wider, "$name: listed");
    is($target->one('SELECT id FROM shop.later'), 1, "$name: it is taken in");

    # What was said.
    my @said = $target->statements;
    my @made = grep { /^\s*(?:CREATE SEQUENCE.*?; )?CREATE (?:TEMPORARY )?TABLE/ } @said;
    cmp_ok(scalar @made, '>', 7, "$name: tables were made");
    is_deeply([grep { !/DISTRIBUTED (?:BY|RANDOMLY)/ } @made], [], "$name: each says how it is distributed");
    ok(scalar(grep { /"shop"\."a" .* DISTRIBUTED BY \("region"\)/ } @made), "$name: as configured (R125)");
    ok(scalar(grep { /"shop"\."b" .* DISTRIBUTED BY \("a", "line"\)/ } @made), "$name: or by the primary key");
    ok(scalar(grep { /^UPDATE "shop"\."a" AS t SET .* FROM pg_temp/ } @said), "$name: many updates are merged");
    ok(scalar(grep { /^DELETE FROM "shop"\."a" AS t USING pg_temp/ } @said), "$name: and deletes");
    my @newer = grep { /ON CONFLICT|(?:INDEX|COLUMN) IF NOT EXISTS|AS IDENTITY|OVERRIDING/ } @said;
    is_deeply(\@newer, [], "$name: nothing is said that PostgreSQL 9.4 does not know") if $name == 6;
    is_deeply([grep { /FOREIGN KEY|REFERENCES/ } @said], [], "$name: no foreign key");
    $source->sql('DROP TABLE shop.later', 'ALTER TABLE shop.b DROP KEY c, DROP COLUMN c, DROP COLUMN x, CHANGE w v DOUBLE');
}

# ---- tables that exist (R124), kinds of changes (R126) ----

my $b = objects({}, 'b');
sub exists_with { $six->sql('DELETE FROM shop.b', 'INSERT INTO shop.b VALUES (0, 20, 7), (99, 1, 7)') }
$old->sql('DROP TABLE shop.b', 'CREATE TABLE shop.b (a int, line int, v float8, PRIMARY KEY (a, line))');
exists_with();
stops(channel($source, $six, $b), 78, qr/target table shop\.b exists already/, 'intercept: a table that exists');
my $keep = channel($source, $six, $b, qq(existing = "ignore";\n));
carried($keep, 'ignore');
is($six->one('SELECT count(*) FROM shop.b'), 201, 'ignore: adds');
is($six->one('SELECT v FROM shop.b WHERE line = 20'), 7, 'ignore: a row that is there stays');
is_deeply([grep { /ON CONFLICT/ } $six->statements], [], 'ignore: without ON CONFLICT');
exists_with();
my $clear = channel($source, $six, $b, qq(existing = "clear";\ndml = ["insert", "delete"];\n));
unlike(check($clear), qr/^fail/m, 'clear: the check passes');
carried($clear, 'clear');
is(described($six, 'SELECT a, line FROM shop.b ORDER BY 1, 2'), described($source, 'SELECT a, line FROM shop.b ORDER BY 1, 2'), 'clear: has the source\'s rows alone');
$source->sql('UPDATE shop.b SET v = 5', 'DELETE FROM shop.b WHERE line < 50', 'INSERT INTO shop.b VALUES (100, 100, 1)');
carried($clear, 'kinds of changes');
is($six->one('SELECT count(*) || \':\' || count(nullif(v, 5)) FROM shop.b'), '152:152', 'no updates, but inserts and deletes');

# ---- what is refused, and what is told ----

$source->sql('CREATE TABLE shop.k (v INT)', 'CREATE TABLE shop.u (id UUID PRIMARY KEY, v INT)', 'CREATE TABLE shop.c (id INT PRIMARY KEY, p BIGINT UNSIGNED, FOREIGN KEY (p) REFERENCES shop.a (id) ON DELETE CASCADE)');
my $out = check(channel($source, $six, objects({a => 'distributed_by = ["n"];'}, qw(a k u c)), qq(existing = "clear";\n)));
like($out, qr/^warn  Column types\n      cause: column "m" of shop\.a is of the type bit\(5\) and is left out/m, 'a column that is left out is told (R121)');
like($out, qr/^fail  Keys of the destination tables\n      cause: source table shop\.k has no primary key.*\n      remedy: .*primary_key/m, 'a table without a key');
like($out, qr/^fail  Keys of the destination tables\n      cause: source table shop\.u has no primary key.*carried/m, 'or with one of such a type');
like($out, qr/^fail  .*\n      cause: foreign key \S+ of source table shop\.c has an action/m, 'cascades that nobody runs');
like($out, qr/^warn  Locks of the destination database\n.*\n.*lanes = 1/m, 'lanes and locks of tables');
$old->sql('DROP TABLE shop.a');
like(check(channel($source, $six, objects({a => 'distributed_by = ["n"];'}, 'a'))), qr/distributed_by of shop\.a names "n", which is no column of the target's primary key/, 'a distribution beside the key');
stops(channel($source, $six, objects({}, 'k')), 78, qr/shop\.k has no primary key/, 'a table without a key');
like(check(channel($source, $six->endpoint(''), $b)), qr/^fail  Version of the destination database\n.*Greenplum.*\n      remedy: set target\.dialect = "greenplum"/m, 'Greenplum is known');
like(check(channel($source, $new->endpoint . ' dialect = "greenplum";', $b)), qr/remedy: set target\.dialect = "postgresql"/, 'and what is none');
$old->sql(q{CREATE ROLE plain LOGIN PASSWORD 'secret'}, 'GRANT CREATE ON DATABASE test TO plain', 'GRANT USAGE ON SCHEMA shop, syncline TO plain', 'GRANT SELECT, INSERT, UPDATE ON shop.b TO plain');
like(check(channel($source, $six->endpoint =~ s/user = "syncline"/user = "plain"/r, $b, qq(existing = "ignore";\n))), qr/^fail  Destination database permissions\n      cause: the account lacks DELETE, TRUNCATE, ALTER TABLE/m, 'rights (R46)');

# From MySQL 9.6 on what cascades did is in the log: nothing is left for the target to do. Not where
# the engine does it itself.
my $nine = Syncline::MySQL->new(version => '9.7');
$nine->sql('CREATE DATABASE shop', 'CREATE TABLE shop.h (id INT PRIMARY KEY, v INT)', 'CREATE TABLE shop.i (id INT PRIMARY KEY, h INT, FOREIGN KEY (h) REFERENCES shop.h (id) ON DELETE CASCADE ON UPDATE CASCADE)', 'CREATE TABLE shop.j (id INT PRIMARY KEY, h INT)',
    'INSERT INTO shop.h VALUES (1, 1), (2, 2), (3, 3)', 'INSERT INTO shop.i VALUES (10, 1), (20, 2), (30, 3)', 'INSERT INTO shop.j VALUES (10, 1), (20, 2), (30, 3)');
my $cascades = channel($nine, $six, objects({}, qw(h i j)));
unlike(check($cascades), qr/^fail/m, 'cascades that are in the log pass');
carried($cascades, 'loaded');
$nine->sql('DELETE FROM shop.h WHERE id = 1', 'UPDATE shop.h SET id = 9 WHERE id = 2', 'DELETE FROM shop.j WHERE h < 3', 'ALTER TABLE shop.j ADD FOREIGN KEY (h) REFERENCES shop.h (id) ON DELETE SET NULL', 'DELETE FROM shop.h WHERE id = 3');
carried($cascades, 'cascades');
is(described($six, "SELECT * FROM shop.$_ ORDER BY 1"), described($nine, "SELECT * FROM shop.$_ ORDER BY 1"), "of MySQL 9.7: table $_") for qw(h i j);
push @{$nine->{options}}, '--innodb-native-foreign-keys=ON';
$nine->stop->start;
like(check($cascades), qr/cause: foreign key \S+ of source table shop\.i has an action/, 'cascades that the engine does are not in the log');
undef $nine;

# ---- PostgreSQL to Greenplum (R127-R131, S6.10) ----

$new->sql('DROP SCHEMA shop CASCADE', 'DROP SCHEMA syncline CASCADE', 'CREATE SCHEMA shop', 'CREATE TABLE shop.p (id int PRIMARY KEY, v text, l int[], x uuid, s tsvector, w bit varying(4), txt numeric(10,2))', 'ALTER TABLE shop.p REPLICA IDENTITY FULL', 'CREATE TABLE shop.q (id int PRIMARY KEY)',
    q{INSERT INTO shop.p SELECT i, 'v' || i, ARRAY[i], '11111111-1111-1111-1111-111111111111', 'a b', B'01', i / 3.0 FROM generate_series(1, 300) i});
my $from = channel($new, $six, objects({}, 'p'));
like(check($from), qr/^fail  Schema name conflict\n      cause: target table "shop"\."p" does not exist/m, 'the tables are made by hand (R127)');
$old->sql('CREATE TABLE shop.p (id int, v text, txt numeric(10,2))');
like(check($from), qr/^fail  Keys of the destination tables\n      cause: target table "shop"\."p" has no primary key/m, 'with a key');
$old->sql('ALTER TABLE shop.p ADD PRIMARY KEY (id)');
$out = check($from);
unlike($out, qr/^fail/m, 'then the check passes') or diag $out;
like($out, qr/^warn  Column types\n      cause: column "$_" of shop\.p is of the type/m, "column $_ is told (R121)") for qw(l x s w);
like(check(channel($new, $six, objects({}, 'q'), qq(existing = "clear";\n))), qr/^warn  Replica identity\n      cause: shop\.q is not REPLICA IDENTITY FULL/m, 'a table without REPLICA IDENTITY FULL is told (R130)');
carried($from, 'loaded');
my $all = 'SELECT id, v, txt FROM shop.p ORDER BY id';
is(described($six, $all), described($new, $all), 'rows (full sync is the default)');
$new->sql(q{UPDATE shop.p SET v = 'later' WHERE id < 100}, 'DELETE FROM shop.p WHERE id > 280', 'UPDATE shop.p SET id = id + 1000 WHERE id BETWEEN 200 AND 250', q{UPDATE shop.p SET l = '{9}' WHERE id < 50});
carried($from, 'streamed');
is(described($six, $all), described($new, $all), 'changes');
$new->sql('ALTER TABLE shop.p ADD COLUMN d int', 'UPDATE shop.p SET d = id WHERE id < 10');
stops($from, 78, qr/target table shop\.p has no column "d"/, 'a statement at the source');
$old->sql('ALTER TABLE shop.p ADD COLUMN d int');
carried($from, 'the same at the target (R129)');
$all =~ s/txt/txt, d/;
is(described($six, $all), described($new, $all), 'then it goes on');
my $two = channel($new, $six, objects({}, 'p'), '');
open my $f, '+<', $two->conf or die;
my $text = do { local $/; <$f> };
$text =~ s/database = "test"/database = ("test", "other")/;
seek $f, 0, 0; truncate $f, 0; print $f $text; close $f;
like(check($two), qr/source\.database wants a text/, 'one database a channel (R131)');

done_testing;
