# Which changes are carried: `dml` in each selection against a model (spec S5.5, S6.2), and
# `ddl = "exclude"`: what then holds when the source's tables change.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";
srand $seed;

my ($source, $target) = (Syncline::MySQL->new, Syncline::MariaDB->new);
my @kinds = qw(insert update delete);

# ---- dml ----

# key => unique value; what the target is to have, by the rules of syncline.conf(5).
sub apply {
    my ($have, $carries, $kind, $old, $key, $u) = @_;
    return if !$carries->{$kind};
    return if $kind eq 'update' && !exists $have->{$old};
    delete $have->{$old} if defined $old;
    return if $kind eq 'delete';
    for (keys %$have) { delete $have->{$_} if $have->{$_} == $u }
    $have->{$key} = $u;
}

$source->sql('CREATE DATABASE shop');
my @selections = map { my $bits = $_; [grep { $bits & 1 << ($_ eq 'insert' ? 0 : $_ eq 'update' ? 1 : 2) } @kinds] } 0 .. 7;
my @tables = map { 't' . join '', map { substr $_, 0, 1 } @$_ } @selections;
$source->sql(map { ("CREATE TABLE shop.$_ (id INT PRIMARY KEY, u INT UNIQUE)", "INSERT INTO shop.$_ VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)") } @tables);
my @pairs = map {
    my ($k, $table) = ($_, $tables[$_]);
    Syncline::Pair->new(source => $source, target => $target, id => $table, objects => qq({ database = "shop"; table = "$table"; }, { database = "marker"; table = "marker"; to_table = "$table"; }),
        more => 'dml = [' . join(', ', map { qq("$_") } @{$selections[$k]}) . "];\n")
} 0 .. $#tables;
for my $k (0 .. $#pairs) { $pairs[$k]->start('caught-up'); is($pairs[$k]->wait(60), 0, "$tables[$k]: loaded") or diag $pairs[$k]->output }
for my $k (0 .. $#tables) {
    my ($table, %carries) = ($tables[$k], map { $_ => 1 } @{$selections[$k]});
    my %is = my %have = map { $_ => $_ } 1 .. 5;
    is(join(' ', map { "@$_" } @{$target->rows("SELECT id, u FROM shop.$table ORDER BY 1")}), join(' ', map { "$_ $is{$_}" } sort keys %is), "$table: the load is no change");
    for (1 .. 150) {
        my ($key, $u, $kind) = (1 + int rand 8, 1 + int rand 8, $kinds[rand 3]);
        my @present = sort keys %is;
        my $old = @present ? $present[rand @present] : next;
        if ($kind eq 'insert') {
            next if exists $is{$key} || grep { $_ == $u } values %is;
            $source->sql("INSERT INTO shop.$table VALUES ($key, $u)");
            apply(\%is, {insert => 1}, $kind, undef, $key, $u);
            apply(\%have, \%carries, $kind, undef, $key, $u);
        } elsif ($kind eq 'update') {
            next if grep { $_ != $old && ($_ == $key || $is{$_} == $u) } keys %is;
            next if $key == $old && $u == $is{$old};
            $source->sql("UPDATE shop.$table SET id = $key, u = $u WHERE id = $old");
            apply(\%is, {update => 1}, $kind, $old, $key, $u);
            apply(\%have, \%carries, $kind, $old, $key, $u);
        } else {
            $source->sql("DELETE FROM shop.$table WHERE id = $old");
            apply(\%is, {delete => 1}, $kind, $old);
            apply(\%have, \%carries, $kind, $old);
        }
    }
    $pairs[$k]->start('caught-up');
    is($pairs[$k]->wait(60), 0, "$table: caught up") or diag $pairs[$k]->output;
    is(join(' ', map { "@$_" } @{$target->rows("SELECT id, u FROM shop.$table ORDER BY 1")}), join(' ', map { "$_ $have{$_}" } sort keys %have), "$table: what is selected, by the model");
    unlike($pairs[$k]->output, qr/^conflict/m, "$table: no conflict");
}

# A child whose parent never came.
$source->sql('CREATE DATABASE fk', 'CREATE TABLE fk.p (id INT PRIMARY KEY)', 'CREATE TABLE fk.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES fk.p (id))', 'INSERT INTO fk.p VALUES (1)', 'INSERT INTO fk.c VALUES (1, 1)');
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "fk"; }, { database = "marker"; }', more => 'dml = ["update", "delete"];' . "\n");
$pair->start('caught-up');
is($pair->wait(60), 0, 'a child, loaded');
$source->sql('INSERT INTO fk.p VALUES (2)', 'UPDATE fk.c SET p = 2', 'DELETE FROM fk.c', 'DELETE FROM fk.p');
$pair->start('caught-up');
is($pair->wait(60), 0, 'its parent never came: no conflict') or diag $pair->output;
is($target->one('SELECT (SELECT COUNT(*) FROM fk.p) + (SELECT COUNT(*) FROM fk.c)'), 0, 'what went, went');

# ---- ddl = "exclude" ----

for my $to (Syncline::MySQL->new, $target) {
    my $name = ref($to) =~ s/.*:://r;
    $source->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS marker', 'CREATE DATABASE shop', 'USE shop', 'CREATE TABLE a (id INT PRIMARY KEY, v INT)', 'CREATE TABLE b (id INT PRIMARY KEY)', 'CREATE TABLE g (id INT PRIMARY KEY)', 'INSERT INTO a VALUES (1, 1)', 'INSERT INTO b VALUES (1)', 'INSERT INTO g VALUES (1)');
    $to->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS marker', 'DROP DATABASE IF EXISTS syncline');
    $pair = Syncline::Pair->new(source => $source, target => $to, objects => '{ database = "shop"; }, { database = "marker"; }', more => qq(ddl = "exclude";\n));
    is($pair->follow($source, $to), 0, "$name: loaded") or diag $pair->output;
    $source->sql('ALTER TABLE a ADD INDEX (v)', 'TRUNCATE TABLE g', 'DROP TABLE g', 'CREATE VIEW w AS SELECT 1', 'CREATE TABLE late (id INT PRIMARY KEY)', 'INSERT INTO a VALUES (2, 2)', 'ALTER TABLE a DROP COLUMN v', 'INSERT INTO a VALUES (3)');
    is($pair->follow($source, $to), 0, "$name: statements are left out") or diag $pair->output;
    is(join(' ', map { join ',', map { $_ // 'NULL' } @$_ } @{$to->rows('SELECT * FROM shop.a ORDER BY 1')}), '1,1 2,2 3,NULL', "$name: rows go on");
    is($to->one("SELECT GROUP_CONCAT(TABLE_NAME ORDER BY 1) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'"), 'a,b,g', "$name: the target's tables are its own");
    is($to->one("SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'a'"), 1, "$name: and their indexes");
    is($to->one('SELECT COUNT(*) FROM shop.g'), 1, "$name: and what a TRUNCATE would have taken");
    like($pair->output, qr/ddl = "exclude": not carried: ALTER TABLE a ADD INDEX/, "$name: each is said");
    my %stop = (
        'ALTER TABLE b ADD COLUMN n INT' => ['INSERT INTO b VALUES (2, 2)', qr/target table shop\.b has no column "n".*add the column at the target/, 'ALTER TABLE shop.b ADD COLUMN n INT'],
        'CREATE TABLE more (id INT PRIMARY KEY)' => ['INSERT INTO more VALUES (7)', qr/shop\.more\b.*does not exist.*create it/, 'CREATE TABLE shop.more (id INT PRIMARY KEY)'],
        'RENAME TABLE b TO b2' => ['INSERT INTO b2 VALUES (3, 3)', qr/shop\.b2\b.*does not exist/, 'RENAME TABLE shop.b TO shop.b2'],
    );
    for my $statement (sort keys %stop) {
        my ($row, $why, $remedy) = @{$stop{$statement}};
        $source->sql($statement, $row);
        is($pair->follow($source, $to), 78, "$name: $statement: stops at what the target lacks");
        like($pair->output, $why, "$name: says what to do");
        $to->sql($remedy);
        is($pair->follow($source, $to), 0, "$name: and goes on") or diag $pair->output;
    }
    is(join(' ', map { join ',', map { $_ // 'NULL' } @$_ } @{$to->rows('SELECT * FROM shop.b2 ORDER BY 1')}), '1,NULL 2,2 3,3', "$name: nothing is lost");
    is($to->one('SELECT id FROM shop.more'), 7, "$name: nor of a new table");
}

done_testing;
