# Tables that exist at the target (spec S6.1, S0): intercept, ignore and clear, each rule of
# theirs on real servers (R47, R89-R91, R124), and what the policy of conflicts then does (R97-R99).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my ($source, $target) = (Syncline::MySQL->new, Syncline::MariaDB->new);
my $id = 0;

sub channel {
    my ($more, %o) = @_;
    return Syncline::Pair->new(source => $source, target => $target, id => 'c' . ++$id, objects => $o{objects} || '{ database = "shop"; table = "a"; }', more => join "\n", $more, '');
}
sub run_until { my ($pair, $until) = @_; $pair->start($until || 'caught-up'); return $pair->wait(60) }
sub fresh {
    my (@there) = @_;
    $_->sql('DROP DATABASE IF EXISTS shop', 'CREATE DATABASE shop') for $source, $target;
    $source->sql('CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20), u INT UNIQUE)', "INSERT INTO shop.a VALUES (1, 'source', 1), (2, 'source', 2)");
    $target->sql(@there) if @there;
}
sub rows { my ($t) = @_; return join ' ', map { join ',', map { $_ // 'NULL' } @$_ } @{$target->rows('SELECT * FROM shop.' . ($t || 'a') . ' ORDER BY 1')} }
my $same = 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20), u INT UNIQUE)';

# ---- intercept ----

fresh($same);
my $pair = channel('');
is(run_until($pair), 78, 'intercept: a table that exists, empty or not, stops the start');
like($pair->output, qr/shop\.a.*exists.*(?:rename or drop|to_table)/s, 'says what to do');
is(rows(), '', 'and nothing is written');
$pair = channel('', objects => '{ database = "shop"; table = "a"; to_table = "b"; }');
is(run_until($pair), 0, 'intercept: mapping to a free name passes (R47)') or diag $pair->output;
is(rows('b'), '1,source,1 2,source,2', 'and carries');
$target->sql('DROP TABLE shop.a');
$pair = channel('');
is(run_until($pair), 0, 'intercept: dropped, it passes');
is(run_until($pair), 0, 'intercept: a channel with a checkpoint is not asked again') or diag $pair->output;

fresh();
$pair = channel('initial = ["data"];');
is(run_until($pair), 78, 'intercept without initial schema: the table must exist');
like($pair->output, qr/shop\.a does not exist/, 'said');
fresh($same);
$pair = channel('initial = ["data"];');
is(run_until($pair), 0, 'intercept without initial schema: an empty table is filled') or diag $pair->output;
is(rows(), '1,source,1 2,source,2', 'filled');

fresh($same, "INSERT INTO shop.a VALUES (7, 'target', 7)");
$pair = channel('initial = ["data"];');
is(run_until($pair), 78, 'intercept without initial schema: one that has rows stops the start');
like($pair->output, qr/shop\.a .*has rows/, 'said');
is(rows(), '7,target,7', 'and nothing is written');

# ---- after the load: conflicts ----

my @cases = (
    ['an INSERT whose row exists', "INSERT INTO shop.a VALUES (7, 'target', 7)", "INSERT INTO shop.a VALUES (7, 'new', 70)", qr/insert of shop\.a where id=7.*duplicate/, '7,target,7', '7,new,70'],
    ['an INSERT whose unique value exists', "INSERT INTO shop.a VALUES (8, 'target', 80)", "INSERT INTO shop.a VALUES (9, 'new', 80)", qr/insert of shop\.a where id=9.*duplicate/, '8,target,80', '9,new,80'],
    ['an UPDATE of a missing row', 'DELETE FROM shop.a WHERE id = 1', "UPDATE shop.a SET v = 'new' WHERE id = 1", qr/update of shop\.a where id=1.*missing/, '', '1,new,1'],
    ['a DELETE of a missing row', 'DELETE FROM shop.a WHERE id = 1', 'DELETE FROM shop.a WHERE id = 1', qr/delete of shop\.a where id=1.*missing/, '', ''],
);
for my $policy (qw(TaskFailed Ignore Overwrite)) {
    for my $case (@cases) {
        my ($name, $there, $here, $said, $kept, $written) = @$case;
        fresh();
        $pair = channel(qq(conflict = "$policy";));
        is(run_until($pair), 0, "$policy: $name: loaded") or diag $pair->output;
        $target->sql($there);
        $source->sql($here, "INSERT INTO shop.a VALUES (50, 'behind', 50)");
        my $status = run_until($pair);
        my $rest = join ' ', grep { !/^(?:2|50),/ && ($kept =~ /^1,/ || $written =~ /^1,/ || !/^1,source/) } split / /, rows();
        if ($policy eq 'TaskFailed') {
            is($status, 66, "$policy: $name: stops");
            like($pair->output, $said, "$policy: names the key");
            is($target->one('SELECT COUNT(*) FROM shop.a WHERE id = 50'), 0, "$policy: nothing goes past it");
        } else {
            is($status, 0, "$policy: $name: goes on") or diag $pair->output;
            is($rest, $policy eq 'Ignore' ? $kept : $written, "$policy: $name: the row");
            is($target->one('SELECT COUNT(*) FROM shop.a WHERE id = 50'), 1, "$policy: what is behind it comes");
        }
    }
}

# ---- ignore ----

fresh($same, "INSERT INTO shop.a VALUES (1, 'target', 10), (3, 'only here', 30), (4, 'in the way', 2)");
$pair = channel('existing = "ignore";');
is(run_until($pair), 0, 'ignore: a table with rows') or diag $pair->output;
is(rows(), '1,target,10 3,only here,30 4,in the way,2', 'ignore: rows whose key, or another unique value, is there stay as they are (R89)');
$source->sql("UPDATE shop.a SET v = 'later' WHERE id = 1", "INSERT INTO shop.a VALUES (3, 'new', 33)", "UPDATE shop.a SET v = 'later' WHERE id = 2", "INSERT INTO shop.a VALUES (6, 'gone', 6)");
is(run_until($pair), 0, 'ignore: changes') or diag $pair->output;
is(rows(), '1,later,1 2,later,2 3,new,33 6,gone,6', 'ignore: changes overwrite, and take what is in the way (R90); an UPDATE of a missing row inserts it');
$target->sql('DELETE FROM shop.a WHERE id = 6');
$source->sql('DELETE FROM shop.a WHERE id = 6', 'DELETE FROM shop.a WHERE id = 1');
is(run_until($pair), 0, 'ignore: a DELETE of none is nothing') or diag $pair->output;
is(rows(), '2,later,2 3,new,33', 'ignore: one of a row that is there takes it');
unlike($pair->output, qr/^conflict/m, 'ignore: none of it is a conflict');

fresh('CREATE TABLE shop.a (id INT PRIMARY KEY, extra INT DEFAULT 5, u INT UNIQUE)', 'INSERT INTO shop.a VALUES (1, 1, 1)');
$pair = channel('existing = "ignore";');
is(run_until($pair), 0, 'ignore: another schema') or diag $pair->output;
$source->sql("UPDATE shop.a SET v = 'x', u = 11 WHERE id = 1", "INSERT INTO shop.a VALUES (3, 'y', 3)");
is(run_until($pair), 0, 'ignore: another schema, changes') or diag $pair->output;
is($target->one("SELECT GROUP_CONCAT(id, ':', u ORDER BY id) FROM shop.a"), '1:11,2:2,3:3', 'ignore: the common columns are carried (R91)');
is($target->one('SELECT extra FROM shop.a WHERE id = 3'), 5, 'ignore: the others have their defaults');
fresh('CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20), u INT, must INT NOT NULL)');
$pair = channel('existing = "ignore";');
isnt(my $status = run_until($pair), 0, 'ignore: a schema that cannot take the rows fails');
like($pair->output, qr/cannot load the row of shop\.a where id=1: .*must.*a default where the source has no such column/, 'with a message that names the column');

# ---- clear ----

fresh('CREATE TABLE shop.b (id INT PRIMARY KEY, a INT, KEY (a))', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20), u INT UNIQUE, extra INT DEFAULT 5)', "INSERT INTO shop.a VALUES (1, 'target', 2, 0), (3, 'only here', 30, 0)", 'INSERT INTO shop.b VALUES (1, 3)', 'ALTER TABLE shop.b ADD FOREIGN KEY (a) REFERENCES shop.a (id)');
$pair = channel('existing = "clear";');
is(run_until($pair), 0, 'clear: a table with rows') or diag $pair->output;
is(rows(), '1,source,1,5 2,source,2,5', 'clear: has the source\'s alone (R124), and is the table that it was');
is(rows('b'), '1,3', 'clear: what refers to it stays');
$target->sql("INSERT INTO shop.a VALUES (9, 'later', 9, 0)");
$source->sql("UPDATE shop.a SET v = 'later' WHERE id = 1");
is(run_until($pair), 0, 'clear: changes') or diag $pair->output;
is(rows(), '1,later,1,5 2,source,2,5 9,later,9,0', 'clear: once, before the load');
fresh($same, "INSERT INTO shop.a VALUES (1, 'target', 2)");
$pair = channel(qq(existing = "clear";\ninitial = ["data"];));
is(run_until($pair), 0, 'clear: without initial schema') or diag $pair->output;
is(rows(), '1,source,1 2,source,2', 'clear: too');

# ---- a table that is to load again: not where its rows may be others' ----

fresh($same, "INSERT INTO shop.a VALUES (7, 'another', 7)");
$pair = channel('existing = "ignore";');
is(run_until($pair), 0, 'ignore: loaded beside another\'s rows') or diag $pair->output;
$source->sql('CREATE TABLE shop.a_new LIKE shop.a', "INSERT INTO shop.a_new VALUES (9, 'new', 9)", 'RENAME TABLE shop.a TO shop.a_old, shop.a_new TO shop.a');
is(run_until($pair), 78, 'ignore: a table that is to load again stops the channel');
like($pair->output, qr/shop\.a is to load again, and rows of target table shop\.a may be others'.*set existing = "intercept"/s, 'said');
is($target->one('SELECT v FROM shop.a WHERE id = 7'), 'another', 'and nothing of it is lost');
$id--;
$pair = channel('');
is(run_until($pair), 0, 'with intercept it loads') or diag $pair->output;
is(rows(), '9,new,9', 'anew');

done_testing;
