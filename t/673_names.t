# Names that are hard to write and values that look like SQL, under the modes
# that change how SQL is written, at either end. Each hard name is a database, a
# table, a column, an index and a view; loaded, streamed, altered, mapped.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my @names = (
    'quote\'s', 'double"quote', 'back`tick', '``', 'dot.dot', '%s%n', '100%', "new\nline", "tab\there", 'größe', '表', 'таблица', 'ﷺ', 'x' x 64, '表' x 45, 'select', 'table',
    'from', 'order', 'key', 'a b', ' lead', 'semi;colon', '-- comment', '/* x */', '#hash', '$dollar', '1', '007', '1e5', '?', '??', '*', 'a*b?', '\\', 'back\\slash', '\\\'', '@at', '@@x', '(par)', '0x41',
    "\x{7f}del", 'NULL', 'default', 'comma,', '"', '\'', '{brace}', '|', '~', 'syncline', 'check', 'checkpoint', 'x&y=<z>', 'case', 'Case', 'CASE',
);
my @values = (
    q{'; DROP TABLE x; --}, q{\\'}, q{\\\\}, q{"}, q{`}, q{''}, q{?}, q{%s%n}, q{NULL}, q{\\0\\n\\Z}, qq{\0}, qq{\r\n\t\x1a}, q{/*! DROP */}, q{-- }, q{${x}}, q{@@version}, '', ' ', '0', 'x\'', '\\',
);
# Sessions of the source.
my %modes = (ANSI => 'ANSI', NBE => 'NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO', both => 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_AUTO_VALUE_ON_ZERO', none => '');

sub q_ { my ($s) = @_; $s =~ s/`/``/g; return "`$s`" }

# A name in a settings file: what libconfig takes as it is.
sub setting { my ($s) = @_; $s =~ s/([\\"])/\\$1/g; $s =~ s/\n/\\n/g; $s =~ s/\t/\\t/g; utf8::encode($s); return qq{"$s"} }

sub make {
    my ($db, $prefix) = @_;
    my $dbh = $db->dbh;
    my $number = 0;
    for my $name (@names) {
        my ($n, $view) = (q_($name), q_(substr($name, 0, 63) . 'v'));
        $dbh->do("CREATE TABLE `$prefix`.$n ($n VARCHAR(40) NOT NULL, `c``2` INT NULL, n INT AUTO_INCREMENT, PRIMARY KEY (n), KEY $n ($n), CONSTRAINT " . q_(++$number . substr($name, 0, 60))
                . " FOREIGN KEY (`c``2`) REFERENCES `$prefix`.$n (n) ON DELETE SET NULL) ENGINE=InnoDB COMMENT 'it''s; `x` -- \"c\"'");
        $dbh->do("CREATE VIEW `$prefix`.$view AS SELECT $n AS a, 'it''s' AS $n FROM `$prefix`.$n");
        $dbh->do("CREATE TABLE `$prefix`." . q_(substr("k$name", 0, 64)) . " ($n VARCHAR(40) NOT NULL, x INT, PRIMARY KEY ($n))");
    }
}

sub fill {
    my ($db, $prefix, $round) = @_;
    my $dbh = $db->dbh;
    for my $name (@names) {
        my $n = q_($name);
        $dbh->begin_work;
        $dbh->do("INSERT INTO `$prefix`.$n ($n, `c``2`) VALUES (" . $dbh->quote($_) . ", NULL)") for @values;
        $dbh->do("REPLACE INTO `$prefix`." . q_(substr("k$name", 0, 64)) . " VALUES (" . $dbh->quote("$_.") . ", $round)") for @values;
        $dbh->do("UPDATE `$prefix`.$n SET `c``2` = n WHERE n % 5 = 0");
        $dbh->do("DELETE FROM `$prefix`.$n WHERE n % 7 = 0 LIMIT 2");
        $dbh->commit;
    }
}

# DDL in a session's own way of writing.
sub alter {
    my ($db, $prefix, $mode) = @_;
    my $dbh = $db->dbh;
    $dbh->do("SET sql_mode = ?", undef, $modes{$mode});
    my $quote = $mode =~ /ANSI|both/ ? sub { my ($s) = @_; $s =~ s/"/""/g; qq{"$s"} } : \&q_;
    # Each name in one of the modes, all of them in the four.
    my ($i, $turn) = (0, (grep { (sort keys %modes)[$_] eq $mode } 0 .. 3)[0]);
    for my $name (grep { $i++ % 4 == $turn } @names) {
        my ($n, $new) = ($quote->($name), $quote->(substr("$mode$name", 0, 64)));
        my $text = $mode =~ /NBE|both/ ? q{'C:\\'} : q{'C:\\\\'};
        $dbh->do("USE " . $quote->($prefix));
        $dbh->do("ALTER TABLE $n ADD COLUMN $new VARCHAR(20) DEFAULT $text COMMENT 'it''s', ADD KEY " . $quote->(substr("i$mode$name", 0, 64)) . " ($new)");
        $dbh->do("CREATE TABLE " . $quote->(substr("t$mode$name", 0, 64)) . " ($n INT PRIMARY KEY, x VARCHAR(20) DEFAULT $text) COMMENT = $text");
        $dbh->do("INSERT INTO " . $quote->(substr("t$mode$name", 0, 64)) . " ($n) VALUES (1), (2)");
    }
    return if $mode ne 'both';
    $dbh->do('CREATE TABLE zero (id INT AUTO_INCREMENT PRIMARY KEY, "v" VARCHAR(20))');
    $dbh->do(q{INSERT INTO zero VALUES (0, 'a' || 'b'), (5, 'c\\')});
    $dbh->do('UPDATE zero SET "v" = \'x\' WHERE id = 0');
    $dbh->do('CREATE VIEW "ansi""view" AS SELECT "v" || \'\\\' AS "a\'b" FROM zero');
    $dbh->do('CREATE FUNCTION "f""x"("p" INT) RETURNS VARCHAR(20) DETERMINISTIC NO SQL RETURN \'a\\\' || "p"');
}

my $strict = 'ANSI,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE';
my @own = ("--sql-mode=$strict");
my %servers = (
    MariaDB => [Syncline::MariaDB->new, Syncline::MariaDB->new(options => [@own])],
    MySQL => [Syncline::MySQL->new(options => [@own]), Syncline::MySQL->new],
);
for my $case (['MariaDB', 'MariaDB'], ['MySQL', 'MySQL'], ['MariaDB', 'MySQL'], ['MySQL', 'MariaDB']) {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    for my $db ($source, $target) { $db->sql("DROP DATABASE IF EXISTS " . q_($_)) for 'names', 'o\'"dd. größe', 'marker', 'syncline', 'm`"\'%', map { s/\//_/gr } @names }
    $source->sql('CREATE DATABASE names CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'CREATE DATABASE `o\'"dd. größe` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci');
    make($source, 'names');
    fill($source, 'names', 1);
    # As databases of their own, and one of them under other names.
    my @dbs = ('double"quote', 'back`tick', 'größe', '表' x 45, 'select', '%s%n', 'semi;colon', "new\nline", '\\');
    for my $name (@dbs) {
        $source->sql('CREATE DATABASE ' . q_($name) . ' CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'CREATE TABLE ' . q_($name) . '.' . q_($name) . ' (n INT PRIMARY KEY)', 'INSERT INTO ' . q_($name) . '.' . q_($name) . ' VALUES (1)');
    }
    my $weird = 'o\'"dd. größe';
    $source->sql("CREATE TABLE `$weird`.`t``1` (`a``\"b` INT PRIMARY KEY, `drop'me` INT, c INT)", "INSERT INTO `$weird`.`t``1` VALUES (1, 2, 3)");
    my $objects = join ', ', '{ database = "names"; }', '{ database = "marker"; }', (map { '{ database = ' . setting($_) . '; }' } @dbs),
        '{ database = ' . setting($weird) . '; table = "t`1"; to_database = ' . setting('m`"\'%') . '; to_table = ' . setting('"to`\'') . '; columns = ((' . setting('a`"b') . ', ' . setting('c"d`') . ')); drop_columns = ("drop\'me"); }';
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects, more => "chunk_rows = 16;\n");
    $pair->mark($source)->start('loaded');
    is($pair->wait(60), 0, "$from to $to: loaded") or diag $pair->output;
    my $all = sub { join "\n", map { compare($source, $target, $_) } 'names', @dbs };
    is($all->(), '', "$from to $to: the load is exact");
    fill($source, 'names', 2);
    alter($source, 'names', $_) for sort keys %modes;
    $source->sql('INSERT INTO ' . q_($_) . '.' . q_($_) . ' VALUES (2)', 'RENAME TABLE ' . q_($_) . '.' . q_($_) . ' TO ' . q_($_) . '.`re``named`', 'INSERT INTO ' . q_($_) . '.`re``named` VALUES (3)') for @dbs;
    $source->sql("ALTER TABLE `$weird`.`t``1` ADD COLUMN `new\"``c` INT AFTER `a``\"b`, MODIFY `a``\"b` BIGINT", "INSERT INTO `$weird`.`t``1` VALUES (2, 3, 4, 5)");
    is($pair->follow($source, $target), 0, "$from to $to: streamed") or diag $pair->output;
    is($all->(), '', "$from to $to: the stream is exact");
    is_deeply($target->rows("SELECT `c\"d``` AS a, `new\"``c`, c FROM `m``\"'%`.`\"to``'` ORDER BY 1"), [[1, undef, 3], [2, 3, 5]], "$from to $to: mapped");
    my $shape = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, COLUMN_COMMENT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'names' ORDER BY BINARY TABLE_NAME, ORDINAL_POSITION";
    is_deeply($target->rows($shape), $source->rows($shape), "$from to $to: columns, defaults and comments are the same") if $from eq $to;
    is($target->one('SELECT CONCAT(COUNT(*), "") FROM information_schema.VIEWS WHERE TABLE_SCHEMA = "names"'), @names + 1, "$from to $to: views") if $to eq 'MySQL';
    is_deeply($target->rows('SELECT * FROM names.`ansi"view` ORDER BY 1'), $source->rows('SELECT * FROM names.`ansi"view` ORDER BY 1'), "$from to $to: a view of another mode");
    is($target->one('SELECT names.`f"x`(1)'), $source->one('SELECT names.`f"x`(1)'), "$from to $to: a function of another mode");
}

done_testing;
