# Greenplum as a target, what a channel chooses there (spec 7.3-7.5, 8.9, S4.3, S6.2, S6.4; S3.7):
# each kind of change alone (R126), other names of columns, several tables into one, each right
# of the account (R46), each type that is left out (R121), keys (R56, R125). As t/768: on PostgreSQL
# that says it is Greenplum 7.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Guise;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my ($mysql, $pgsql, $server) = (Syncline::MariaDB->new, map { Syncline::PostgreSQL->new } 1, 2);
my $target = Syncline::Guise->new(server => $server, as => 'greenplum 7');
my $id = 0;

sub channel { my ($source, $objects, $more) = @_; return Syncline::Pair->new(source => $source, target => $target, objects => $objects, more => $more || '', id => 'c' . ++$id) }
sub carried { my ($pair, $what) = @_; $pair->start('caught-up'); is($pair->wait(60), 0, $what) or diag $pair->output }
sub check { my ($pair) = @_; return scalar `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1` }
sub rows { my ($db, $sql) = @_; return join ' ', map { join ':', map { $_ // '' } @$_ } @{$db->rows($sql)} }

# ---- kinds of changes, each alone (R126) ----

my %kinds = (insert => '1:first 2:first 3:first 4:second', update => '1:first 2:second 3:first', delete => '1:first 2:first', all => '1:first 2:second 4:second', 'exclude' => '1:first 2:second 4:second');
for my $kind (sort keys %kinds) {
    $mysql->sql('CREATE OR REPLACE DATABASE shop', 'CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20))', q{INSERT INTO shop.t VALUES (1, 'first'), (2, 'first'), (3, 'first')});
    $server->sql('DROP SCHEMA IF EXISTS shop CASCADE');
    my $pair = channel($mysql, '{ database = "shop"; table = "t"; }', $kind eq 'all' ? '' : $kind eq 'exclude' ? qq(ddl = "exclude";\n) : qq(dml = ["$kind"];\n));
    carried($pair, "$kind: loaded");
    is(rows($server, 'SELECT * FROM shop.t ORDER BY 1'), '1:first 2:first 3:first', "$kind: all rows");
    $mysql->sql(q{INSERT INTO shop.t VALUES (4, 'second')}, q{UPDATE shop.t SET v = 'second' WHERE id = 2}, 'DELETE FROM shop.t WHERE id = 3', 'ALTER TABLE shop.t ADD KEY (v)');
    carried($pair, "$kind: streamed");
    is(rows($server, 'SELECT id, v FROM shop.t ORDER BY 1'), $kinds{$kind}, "$kind: these changes alone");
    is($server->one(q{SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop'}), $kind eq 'exclude' ? 1 : 2, "$kind: ALTER TABLE is " . ($kind eq 'exclude' ? 'not carried' : 'carried'));
}

# ---- names of columns, and several tables into one ----

$mysql->sql('CREATE TABLE shop.east (id INT PRIMARY KEY, v VARCHAR(20), note TEXT)', 'CREATE TABLE shop.west LIKE shop.east', q{INSERT INTO shop.east VALUES (1, 'e', 'x'), (2, 'e', 'x')}, q{INSERT INTO shop.west VALUES (2, 'w', 'x'), (3, 'w', 'x')});
my @feed = map { channel($mysql, qq({ database = "shop"; table = "$_"; to_database = "dw"; to_table = "sales"; columns = ( ("v", "value") ); drop_columns = ["note"]; primary_key = ["id"]; distributed_by = ["id"]; }), qq(existing = "ignore";\n)) } qw(east west);
carried($_, 'several tables into one: loaded') for @feed;
is(rows($server, 'SELECT id, value FROM dw.sales ORDER BY 1'), '1:e 2:e 3:w', 'ignore: adds, and keeps what is there (R124)');
unlike(check($feed[1]), qr/^fail/m, 'ignore: no conflict of names');
$mysql->sql(q{UPDATE shop.east SET v = 'E' WHERE id = 1}, q{INSERT INTO shop.west VALUES (4, 'w', 'y')}, q{ALTER TABLE shop.west CHANGE v w VARCHAR(20)}, q{UPDATE shop.west SET w = 'W' WHERE id = 3});
carried($feed[0], 'several tables into one: the first streams');
is(rows($server, 'SELECT id, value FROM dw.sales ORDER BY 1'), '1:E 2:e 3:w', 'under its names');

# ---- rights (R46) ----

$server->sql(q{CREATE ROLE poor LOGIN PASSWORD 'secret'}, 'GRANT CREATE, TEMPORARY ON DATABASE test TO poor', 'GRANT ALL ON SCHEMA dw, syncline TO poor', 'GRANT ALL ON ALL TABLES IN SCHEMA syncline TO poor', 'ALTER TABLE dw.sales OWNER TO poor');
my $poor = Syncline::Pair->new(source => $mysql, target => $target->endpoint =~ s/"syncline"/"poor"/r, id => 'poor', objects => '{ database = "shop"; table = "east"; to_database = "dw"; to_table = "sales"; columns = ( ("v", "value") ); drop_columns = ["note"]; }', more => qq(existing = "ignore";\n));
unlike(check($poor), qr/lacks/, 'all rights');
for my $right (qw(SELECT INSERT UPDATE DELETE TRUNCATE)) {
    $server->sql("REVOKE $right ON dw.sales FROM poor");
    like(check($poor), qr/^fail  Destination database permissions\n      cause: the account lacks $right on target table "dw"\."sales"/m, "R46: no $right");
    $server->sql("GRANT $right ON dw.sales TO poor");
}
$server->sql('ALTER TABLE dw.sales OWNER TO root', 'GRANT ALL ON dw.sales TO poor');
like(check($poor), qr/the account lacks ALTER TABLE \(it is not its owner\)/, 'R46: no ALTER TABLE');

# ---- types (R121), keys (R56) ----

my @types = ('bit(3)', 'bit varying(5)', 'integer[]', 'text[]', 'uuid', 'tsquery', 'tsvector', 'txid_snapshot');
$pgsql->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.p (id int PRIMARY KEY, ' . join(', ', map { "c$_ $types[$_]" } 0 .. $#types) . ', v text)', 'ALTER TABLE shop.p REPLICA IDENTITY FULL', 'CREATE TABLE shop.k (id int)', 'ALTER TABLE shop.k REPLICA IDENTITY FULL',
    q{INSERT INTO shop.p VALUES (1, B'101', B'1', '{1}', '{a}', '11111111-1111-1111-1111-111111111111', 'a & b', 'a b', '10:20:12,15', 'v')});
$server->sql('DROP SCHEMA IF EXISTS shop CASCADE', 'CREATE SCHEMA shop', 'CREATE TABLE shop.p (id int PRIMARY KEY, v text)', 'CREATE TABLE shop.k (id int)', 'GRANT ALL ON SCHEMA shop TO syncline', 'ALTER TABLE shop.p OWNER TO syncline', 'ALTER TABLE shop.k OWNER TO syncline');
my $from = channel($pgsql, '{ database = "shop"; table = "p"; }');
my $out = check($from);
like($out, qr/^warn  Column types\n      cause: column "c$_" of shop\.p is of the type \Q$types[$_]\E and is left out/m, "$types[$_] is told") for 0 .. $#types;
carried($from, 'the rest');
is(rows($server, 'SELECT * FROM shop.p'), '1:v', 'is there');
like(check(channel($pgsql, '{ database = "shop"; table = "k"; }')), qr/^fail  Keys of the destination tables\n      cause: target table "shop"\."k" has no primary key/m, 'R56: a table without a key');

done_testing;
