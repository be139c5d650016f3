# The writer is killed in every gap around a DDL statement - before its note,
# noted, run, position moved, done - for each kind of statement: it takes effect
# once, and nobody has to mend anything (reliability K5). PAIR='mysql -> pgsql' picks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Failpoint;
use Test::More;

my @gaps = map {"writer.ddl.$_"} qw(before noted run checkpoint done);
my $partitions = 'PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100))';

# [what comes before, the statement, a single gap]; a and b have the same columns and other rows.
my @kinds = (
    ['', 'CREATE TABLE shop.k (id INT PRIMARY KEY, v INT)'],
    ['INSERT INTO shop.k VALUES (1, 1)', 'CREATE TABLE shop.l LIKE shop.k'],
    ['', 'CREATE TABLE shop.m (id INT PRIMARY KEY) SELECT 5 AS id'],
    ['', 'ALTER TABLE shop.k ADD COLUMN w INT NOT NULL DEFAULT 3'],
    ['', 'ALTER TABLE shop.k MODIFY v BIGINT, ADD KEY (w)'],
    ['', 'ALTER TABLE shop.k DROP COLUMN v, ALGORITHM=COPY'],
    ['', 'ALTER TABLE shop.k ENGINE=InnoDB'],
    ['', 'CREATE INDEX x ON shop.a (v)'],
    ['', 'DROP INDEX x ON shop.a'],
    ['', 'ALTER TABLE shop.k RENAME TO shop.n'],
    ['', 'RENAME TABLE shop.n TO shop.k'],
    ['', 'RENAME TABLE shop.a TO shop.tmp, shop.b TO shop.a, shop.tmp TO shop.b'],
    ['', 'RENAME TABLE shop.a TO shop.tmp, shop.b TO shop.a, shop.tmp TO shop.b', 'run'],
    ['INSERT INTO shop.a VALUES (50, 1)', 'ALTER TABLE shop.a ADD COLUMN s INT'],
    ['INSERT INTO shop.l (id) VALUES (8)', 'TRUNCATE TABLE shop.l'],
    ['INSERT INTO shop.l (id) VALUES (9)', 'DROP TABLE shop.k, shop.m'],
    ['', 'ALTER TABLE shop.p EXCHANGE PARTITION p0 WITH TABLE shop.q'],
    ['', 'ALTER TABLE shop.p EXCHANGE PARTITION p0 WITH TABLE shop.q', 'run'],
    ['INSERT INTO shop.p VALUES (60, 6)', 'ALTER TABLE shop.p TRUNCATE PARTITION p1'],
    ['INSERT INTO shop.p VALUES (61, 7)', 'ALTER TABLE shop.p DROP PARTITION p0'],
    ['', 'CREATE VIEW shop.v AS SELECT id FROM shop.a'],
    ['', 'ALTER VIEW shop.v AS SELECT id, v FROM shop.a'],
    ['', 'CREATE OR REPLACE VIEW shop.v AS SELECT v FROM shop.a'],
    ['', 'DROP VIEW shop.v'],
    ['', 'CREATE FUNCTION shop.f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1'],
    ['', 'DROP FUNCTION shop.f'],
    ['', 'CREATE PROCEDURE shop.pr() SELECT 1'],
    ['', 'DROP PROCEDURE shop.pr'],
    ['', 'CREATE DATABASE extra'],
    ['', 'CREATE TABLE extra.t (id INT PRIMARY KEY)'],
);

# What MariaDB has, and MySQL does in two.
my @replace = (
    ['', 'CREATE OR REPLACE TABLE shop.r (id INT PRIMARY KEY, w INT)'],
    ['INSERT INTO shop.r VALUES (7, 7)', 'CREATE OR REPLACE TABLE shop.r (id INT PRIMARY KEY, x INT)'],
    ['INSERT INTO shop.r VALUES (8, 8)', 'CREATE OR REPLACE TABLE shop.r LIKE shop.a'],
);

# What both languages have, for pairs with PostgreSQL.
my @common = (
    ['', 'CREATE TABLE shop.k (id INT PRIMARY KEY, v INT)'],
    ['INSERT INTO shop.k VALUES (1, 1)', 'ALTER TABLE shop.k ADD COLUMN w INT'],
    ['INSERT INTO shop.k VALUES (2, 2, 2)', 'ALTER TABLE shop.k RENAME COLUMN w TO x'],
    ['INSERT INTO shop.k (id, x) VALUES (3, 3)', 'ALTER TABLE shop.k DROP COLUMN v'],
    ['', 'ALTER TABLE shop.k RENAME TO %s'],
    ['INSERT INTO shop.n (id, x) VALUES (4, 4)', 'TRUNCATE TABLE shop.n'],
    ['INSERT INTO shop.n (id, x) VALUES (5, 5)', 'DROP TABLE shop.n'],
    ['', 'CREATE TABLE shop.n (id INT PRIMARY KEY, other INT)'],
    ['INSERT INTO shop.n VALUES (5, 5)', 'ALTER TABLE shop.a ADD COLUMN s INT'],
);

sub columns {
    my ($db) = @_;
    return join "\n", map { join ' ', @$_ } @{$db->rows(q{SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'shop' ORDER BY 1, 2})};
}

sub definitions {
    my ($db) = @_;
    my @all;
    for my $t (@{$db->rows("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('shop', 'extra') ORDER BY 1, 2")}) {
        (my $text = $db->rows("SHOW CREATE TABLE `$t->[0]`.`$t->[1]`")->[0][1]) =~ s/ AUTO_INCREMENT=\d+//;
        push @all, $text;
    }
    return join "\n", @all, map {"@$_"}
        @{$db->rows("SELECT routine_name, routine_definition FROM information_schema.routines WHERE routine_schema = 'shop' ORDER BY 1")},
        @{$db->rows("SELECT schema_name, default_collation_name FROM information_schema.schemata WHERE schema_name IN ('shop', 'extra') ORDER BY 1")};
}

my %kinds = ('mariadb -> mariadb' => [@kinds, @replace], 'mysql -> mysql' => \@kinds, 'mariadb -> mysql' => \@replace);
for my $name (Syncline::Channel::pairs(sort keys %kinds)) {
    my $pg = $name =~ /pgsql/;
    my $apart = $pg || $name eq "mariadb -> mysql";    # two languages
    my ($source, $target) = Syncline::Channel::servers($name, options => $name eq 'mysql -> mysql' ? ['--log-bin-trust-function-creators=1'] : []);
    my $file = $source->dir . '/failpoints';
    my $f = Syncline::Failpoint->new($file);
    my $c = Syncline::Channel->new(
        source => $source, target => $target, build => Syncline::Failpoint::build(), env => {SYNCLINE_FAILPOINTS => $file},
        objects => '{ database = "shop"; }' . ($pg ? '' : ', { database = "extra"; }'),
    );
    $source->sql(
        $source->kind eq 'mysql' ? 'CREATE DATABASE shop' : 'CREATE SCHEMA shop', 'CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)',
        (map {"CREATE TABLE shop.$_ (id INT PRIMARY KEY, v INT)"} qw(a b q)), 'INSERT INTO shop.a VALUES (1, 1)',
        'INSERT INTO shop.b VALUES (2, 2), (3, 3)', 'INSERT INTO shop.q VALUES (2, 9), (3, 9)',
    );
    $source->sql("CREATE TABLE shop.p (id INT PRIMARY KEY, v INT) $partitions", 'INSERT INTO shop.p VALUES (1, 1), (11, 2)') if !$pg;
    my %has = map { $_->{name} => 1 } $f->points($source, $target);
    my ($renamed, $show) = ($source->kind eq 'mysql' ? 'shop.n' : 'n', $apart ? \&columns : \&definitions);
    $c->begin;
    is($c->wait_loaded(30), '', "$name: loaded");
    my ($kills, $wanted) = (0, 0);
    for my $k (@{$kinds{$name} // \@common}) {
        my ($before, $statement, $one) = @$k;
        my @in = grep { $has{$_} } $one ? "writer.ddl.$one" : @gaps;
        $statement = sprintf $statement, $renamed if $statement =~ /%s/;
        my %was = map { $_ => $f->fired($_) } @in;
        $source->sql($before) if $before;
        is($c->settle(10), '', "$name: before") or last;
        $f->arm($_) for @in;
        $source->sql($statement);
        my $wrong = $c->settle(20);
        $f->disarm;
        is($wrong, '', "$name: rows after $statement") or diag($c->explain), last;
        is($show->($target), $show->($source), "$name: definitions after it");
        is_deeply([grep { $f->fired($_) == $was{$_} } @in], [], "$name: with the writer killed at " . join(' ', @in));
    }
    if ($apart) { $c->stop; $_->stop for $source, $target; next }

    # Without the right to see the engine's numbers, tables that look alike are a person's to judge.
    $source->sql('CREATE TABLE shop.e (id INT PRIMARY KEY)', 'CREATE TABLE shop.g (id INT PRIMARY KEY)', 'INSERT INTO shop.e VALUES (1)');
    $target->sql('REVOKE PROCESS ON *.* FROM syncline@"%"');
    is($c->settle(10), '', "$name: two tables that look alike");
    $f->arm('writer.ddl.run');
    $source->sql('RENAME TABLE shop.e TO shop.tmp, shop.g TO shop.e, shop.tmp TO shop.g');
    is($c->daemon->wait_state('shop', 'Synchronization Failed', 20), 'Synchronization Failed', "$name: the channel stops") or diag $c->explain;
    my ($exit, $out) = $c->tool('status', 'shop');
    like($out, qr/whether it has run cannot be told.*DELETE FROM/s, "$name: and says why and what to do");
    $target->sql('RENAME TABLE shop.e TO shop.tmp, shop.g TO shop.e, shop.tmp TO shop.g', 'DELETE FROM syncline.ddl_note');
    $c->tool('start', 'shop', '--wait');
    is($c->settle(20), '', "$name: done as it says, it goes on") or diag $c->explain;
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
