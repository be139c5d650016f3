# MySQL and MariaDB to PostgreSQL, what databases and tables have that is not carried: each kind is
# named by the precheck, with what to do; where there is nothing of the kind nothing is said. To a
# target of the same language events alone are not carried. Indexes over words and expressions are left out, and
# rows go on. What tables have beside is t/764. (R38; spec S0, S8.1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my ($target, $maria) = (Syncline::PostgreSQL->new, Syncline::MariaDB->new);
my $defaults = q{CREATE TABLE shop.d (id INT PRIMARY KEY, a INT DEFAULT (1 + 1), b VARCHAR(9) DEFAULT (CONCAT('a', 'b')), c INT DEFAULT -5, d VARCHAR(30) DEFAULT 'f(x) + 1', e BIT(3) DEFAULT b'101', f DATETIME DEFAULT CURRENT_TIMESTAMP, g INT DEFAULT NULL,
    h DOUBLE DEFAULT 1e10, i VARBINARY(9) DEFAULT x'00ff', j INT DEFAULT (a), k CHAR(3) DEFAULT '', l TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6))};
my @made = (
    'CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE DATABASE plain', 'CREATE TABLE plain.t (id INT PRIMARY KEY, v VARCHAR(9) DEFAULT "x", w DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3), KEY (v))', 'CREATE DATABASE other',
    'CREATE TABLE shop.a (id INT PRIMARY KEY, v LONGTEXT, w VARCHAR(100), g POINT NOT NULL, n INT, CONSTRAINT positive CHECK (n > 0), FULLTEXT KEY words (v), SPATIAL KEY places (g), KEY (v(20)), KEY (w))',
    'CREATE TABLE shop.p (id INT PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP) PARTITION BY HASH (id) PARTITIONS 2', 'CREATE VIEW shop.vi AS SELECT id FROM shop.a',
    'CREATE FUNCTION shop.f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1', 'CREATE PROCEDURE shop.pr() SELECT 1', 'CREATE TRIGGER shop.tr BEFORE INSERT ON shop.p FOR EACH ROW SET NEW.id = NEW.id', 'CREATE EVENT shop.ev ON SCHEDULE EVERY 1 YEAR DO SET @x = 1',
    'CREATE VIEW other.unseen AS SELECT 1 AS one',
);
my $put = sub { my ($source, $table, $id) = @_; $source->sql("INSERT INTO shop.$table VALUES ($id, '" . join('', map { sprintf '%04x', rand 65536 } 1 .. 5000) . "', 'w', ST_GeomFromText('POINT(1 1)'), 5)") };

sub check {
    my ($source, $to, $objects, $more) = @_;
    my $pair = Syncline::Pair->new(source => $source, target => $to, objects => $objects, more => $more);
    my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`;
    my %said;
    $said{$1} = [$2, $3] while $out =~ /^warn  Objects that are not carried\n      cause: ([^:\n]+): (.+)\n      remedy: (.+)$/mg;
    return (\%said, $out);
}

for my $source (Syncline::MariaDB->new, Syncline::MySQL->new) {
    my $name = $source->isa('Syncline::MariaDB') ? 'mariadb' : 'mysql';
    $source->sql('SET GLOBAL log_bin_trust_function_creators = 1') if $name eq 'mysql';
    $source->sql(@made, $defaults, $name eq 'mysql' ? 'ALTER TABLE shop.a ADD INDEX ex ((id + 1))' : ());
    $put->($source, 'a', 1);
    my %expected = (
        'constraints (CHECK)' => 'shop.a positive', 'defaults that are computed' => 'shop.d a, shop.d b, shop.d j', 'columns that each UPDATE sets (ON UPDATE)' => 'shop.p at', partitions => 'shop.p HASH', triggers => 'shop.p tr', events => 'shop.ev', views => 'shop.vi', 'functions and procedures' => 'shop.f, shop.pr',
        'indexes (FULLTEXT, SPATIAL, of expressions)' => join(', ', $name eq 'mysql' ? 'shop.a ex' : (), 'shop.a places', 'shop.a words'),
    );
    my ($said, $out) = check($source, $target, '{ database = "shop"; }');
    is_deeply({map { $_ => $said->{$_}[0] } keys %$said}, \%expected, "$name: each kind is named") or diag $out;
    like($said->{$_}[1], qr/by hand|nothing need be done/, "$name: $_: with what to do") for sort keys %$said;
    unlike($out, qr/unseen/, "$name: nothing of others");
    ($said, $out) = check($source, $target, '{ database = "shop"; table = "p"; }');
    is(join(', ', sort keys %$said), 'columns that each UPDATE sets (ON UPDATE), partitions, triggers', "$name: of a table alone what is its own");
    like((check($source, $target, '{ database = "plain"; }'))[1], qr/^pass  Objects that are not carried$/m, "$name: where there are none, that is said");
    unlike((check($source, $target, '{ database = "shop"; }', qq{initial = ("data");\nexisting = "ignore";\n}))[1], qr/not carried/, "$name: nothing to a target whose schema is another's");
    ($said, $out) = check($source, $maria, '{ database = "shop"; }');
    is_deeply({map { $_ => $said->{$_}[0] } keys %$said}, {events => 'shop.ev'}, "$name: to one of the same language there is little");

    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }');
    $target->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop syncline));
    for my $id (2, 3) {
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$name: carried") or diag $pair->output;
        $source->sql('CREATE TABLE shop.later (id INT PRIMARY KEY, v LONGTEXT, w VARCHAR(100), g POINT NOT NULL, n INT, FULLTEXT KEY words (v))', 'ALTER TABLE shop.a ADD FULLTEXT KEY (v, w)') if $id == 2;
        $put->($source, $_, $id) for qw(a later);
    }
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: long texts are not in the way of an index over words") or diag $pair->output;
    is($target->one('SELECT string_agg(indexname, $$ $$ ORDER BY indexname) FROM pg_indexes WHERE schemaname = $$shop$$ AND tablename IN ($$a$$, $$later$$)'), 'a_pkey a_v a_w later_pkey', "$name: indexes");
    is($target->one('SELECT count(*) FROM shop.later'), 2, "$name: with all rows");
}
done_testing;
