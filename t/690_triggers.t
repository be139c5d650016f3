# triggers = "copy" (R92; spec S0, S6.11): they are at the target, in their order, and do nothing
# for rows of ours; they fire for everybody else's. Initial schema, stream, a table that
# loads again; what cannot follow a rename is refused. "none": there are none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

sub triggers {
    my ($db) = @_;
    return join "\n", map { join ' ', map { s/\s+/ /gr } @$_[0 .. 4], (join ',', grep { /ANSI_QUOTES|STRICT_TRANS/ } split /,/, $_->[5]), $_->[6] } @{$db->rows(
        "SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, SQL_MODE, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop' ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER")};
}
# What the target has without what we put around it.
sub unguarded { my ($text) = @_; return $text =~ s/IF \@syncline_applies IS NULL THEN (.*?) ; END IF/$1/gmr }

my @modes = ("SET sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'", "SET sql_mode = 'STRICT_TRANS_TABLES'");
my %servers = (MariaDB => [map { Syncline::MariaDB->new } 1 .. 3], MySQL => [map { Syncline::MySQL->new } 1 .. 3]);
for my $family (sort keys %servers) {
    my ($source, $target, $third) = @{$servers{$family}};
    $source->sql('CREATE DATABASE shop', 'USE shop', 'CREATE TABLE a (id INT PRIMARY KEY, v INT, stamp VARCHAR(60))', 'CREATE TABLE audit (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(90))', 'CREATE TABLE plain (id INT PRIMARY KEY)',
        "CREATE TRIGGER b_first BEFORE INSERT ON a FOR EACH ROW SET NEW.stamp = CONCAT(IFNULL(NEW.stamp, ''), ' -- one;')",
        "CREATE TRIGGER a_second BEFORE INSERT ON shop.a FOR EACH ROW FOLLOWS b_first SET NEW.stamp = CONCAT(NEW.stamp, ' two')", "CREATE TRIGGER c_zeroth BEFORE INSERT ON a FOR EACH ROW PRECEDES b_first SET NEW.stamp = 'zero'",
        "CREATE TRIGGER changed AFTER UPDATE ON a FOR EACH ROW work: BEGIN -- for each row\n DECLARE i INT DEFAULT 0; IF NEW.v = OLD.v THEN LEAVE work; END IF; WHILE i < 2 DO INSERT INTO audit (what) VALUES (CONCAT('update; ', NEW.id, ' ', i)); SET i = i + 1; END WHILE; END work",
        $modes[0], 'CREATE TRIGGER "gone ""x" AFTER DELETE ON "a" FOR EACH ROW INSERT INTO "audit" ("what") VALUES (\'it\'\'s gone\')', $modes[1], '/*!50003 CREATE TRIGGER dump_style BEFORE DELETE ON plain FOR EACH ROW SET @x = 1 */');
    $source->sql("INSERT INTO a (id, v) VALUES (1, 1), (2, 2), (3, 3)", 'UPDATE a SET v = v + 1', 'DELETE FROM a WHERE id = 3');
    my $copy = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }, { database = "marker"; }', more => qq(triggers = "copy";\n));
    is($copy->follow($source, $target), 0, "$family: loaded") or diag $copy->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$family: rows come once");
    is(unguarded(triggers($target)), triggers($source), "$family: the triggers are there, in their order");

    $source->sql("INSERT INTO a (id, v) VALUES (11, 1), (12, 2), (13, 3)", 'UPDATE a SET v = v + 1 WHERE id > 10', 'DELETE FROM a WHERE id = 13', 'DROP TRIGGER a_second',
        "CREATE TRIGGER later AFTER INSERT ON audit FOR EACH ROW INSERT INTO plain VALUES (NEW.n)", "CREATE TRIGGER between_ BEFORE INSERT ON a FOR EACH ROW FOLLOWS c_zeroth SET NEW.v = NEW.v * 2;", 'UPDATE a SET v = v + 1', 'INSERT INTO a (id, v) VALUES (20, 5)');
    is($copy->follow($source, $target), 0, "$family: streamed") or diag $copy->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$family: rows still come once");
    is(unguarded(triggers($target)), triggers($source), "$family: triggers come and go");
    unlike($copy->output, qr/^conflict/m, "$family: no conflict");

    # A key that changes while the table loads and the like: it is made anew, with its triggers.
    $target->sql("UPDATE syncline.table_state SET state = 'reload' WHERE name = 'a'");
    is($copy->follow($source, $target), 0, "$family: loads again") or diag $copy->output;
    $copy->start('loaded');
    is($copy->wait(60), 0, "$family: loaded again");
    is(unguarded(triggers($target)), triggers($source), "$family: with its triggers");
    is(join("\n", compare($source, $target, 'shop')), '', "$family: and its rows");

    # A target that is a source in its turn (R78); its own writers fire what rows of ours do not.
    my $on = Syncline::Pair->new(source => $target, target => $third, objects => '{ database = "shop"; }, { database = "marker"; }', more => qq(triggers = "copy";\n));
    $on->{marks} = 100;
    is($on->follow($target, $third), 0, "$family: from there on to a third") or diag $on->output;
    is(triggers($third), triggers($target), "$family: the same triggers there");
    $source->sql('UPDATE a SET v = v + 100');
    is($copy->follow($source, $target), 0, "$family: a change at the first");
    $target->sql('UPDATE shop.a SET v = -1 WHERE id = 1', 'INSERT INTO shop.a (id, v) VALUES (99, 1)');
    is($on->follow($target, $third), 0, "$family: reaches the third");
    is($target->one("SELECT COUNT(*) FROM shop.audit WHERE what LIKE 'update; 1 %'") - $source->one("SELECT COUNT(*) FROM shop.audit WHERE what LIKE 'update; 1 %'"), 2, "$family: applications at the target fire them");
    is($target->one('SELECT stamp FROM shop.a WHERE id = 99'), 'zero -- one;', "$family: in their order");
    is(join("\n", compare($target, $third, 'shop')), '', "$family: the third is as the second");

    # None by default; a name that a body cannot follow.
    $third->sql('DROP DATABASE shop', 'DROP DATABASE marker', 'DROP DATABASE syncline');
    my $none = Syncline::Pair->new(source => $source, target => $third, id => 'none', objects => '{ database = "shop"; }');
    $none->start('caught-up');
    is($none->wait(60), 0, "$family: none by default") or diag $none->output;
    is(triggers($third), '', "$family: there are none");
    $third->sql('DROP DATABASE shop', 'DROP DATABASE syncline');
    my $bad = Syncline::Pair->new(source => $source, target => $third, id => 'bad', objects => '{ database = "shop"; }, { database = "shop"; table = "audit"; to_table = "trail"; }', more => qq(triggers = "copy";\n));
    $bad->start('loaded');
    is($bad->wait(60), 78, "$family: a body that names what is called otherwise");
    like($bad->output, qr/trigger shop\.changed cannot be copied: it names "audit", which the channel renames or drops/, 'and says so');
    $_->stop for $source, $target, $third;
}
done_testing;
