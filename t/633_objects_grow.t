# Tables that come into the selection of a channel that is at work, and leave it: schema and rows
# first, then changes, whatever happens to them meanwhile and whoever dies; without an initial part
# only what changes from then on. What stands at the target under the name is nobody's to touch. Tables
# that are made while the channel is down come with their own statements; those whose
# statements the log does not tell come in as well. (R34, R35; S7.2)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Pair;
use Test::More;

my $one = '{ database = "shop"; table = "a"; }';
my $both = "$one, { database = \"shop\"; table = \"b\"; }";
my $all = '{ database = "shop"; }';

for my $name ('mariadb -> mariadb', 'pgsql -> pgsql') {
    my ($source, $target) = Syncline::Channel::servers($name);
    my $pg = $source->kind eq 'postgresql';
    my $to_pg = $target->kind eq 'postgresql';
    my ($from, $n) = ($source, 1000);

    my $pair = sub { my ($objects, $more) = @_; return Syncline::Pair->new(source => $from, target => $target, objects => $objects, more => "chunk_rows = 20;\n" . ($more // '')) };
    my $runs = sub {
        my ($what, $p, $exit) = @_;
        $p->start('caught-up');
        is($p->wait(60), $exit // 0, "$name: $what") or diag $p->output;
    };
    my $equal = sub { my ($what, $expected) = @_; is(join("\n", compare($source, $target, 'shop')), $expected // '', "$name: $what") };
    my $change = sub {
        my (@tables) = @_;
        $n++;
        $source->sql(map { ("INSERT INTO shop.$_ VALUES ($n, 'new')", "UPDATE shop.$_ SET v = '$n' WHERE id BETWEEN 10 AND 20", "DELETE FROM shop.$_ WHERE id = " . ($n - 970)) } @tables);
    };
    my $drop = sub { my ($db, @schemas) = @_; $db->sql(map { $db->kind eq 'postgresql' ? "DROP SCHEMA IF EXISTS $_ CASCADE" : "DROP DATABASE IF EXISTS $_" } @schemas) };
    my $anew = sub {
        $drop->($_, qw(shop syncline)) for $source, $target;
        $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test') if $pg;
        $source->sql($pg ? 'CREATE SCHEMA shop' : 'CREATE DATABASE shop');
        for my $t (qw(a b)) {
            $source->sql("CREATE TABLE shop.$t (id INT PRIMARY KEY, v VARCHAR(40))", "INSERT INTO shop.$t VALUES " . join ', ', map {"($_, 'v$_')"} 1 .. 100);
        }
    };

    for my $rights ('', $pg ? 'without notes, ' : ()) {
        $anew->();
        if ($rights) {
            $source->sql(q{CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'secret'}, 'GRANT CREATE ON DATABASE test TO keeper', 'ALTER SCHEMA shop OWNER TO keeper', map {"ALTER TABLE shop.$_ OWNER TO keeper"} qw(a b));
            $from = $source->endpoint =~ s/"syncline"/"keeper"/r;
        }
        $runs->("${rights}one table", $pair->($one));
        $change->(qw(a b));
        my $p = $pair->($both);
        $runs->("${rights}two", $p);
        $equal->("${rights}both are there");
        like($p->output, qr/shop\.b is selected and new to the channel/, "$name: it is said");
        $change->(qw(a b));
        $runs->("${rights}they go on", $p);
        $equal->("${rights}both are equal");

        # Leaves, comes back: what stands there is somebody's.
        $runs->("${rights}one again", $p = $pair->($one));
        like($p->output, qr/shop\.b is not selected any more/, "$name: it is said");
        $change->(qw(a b));
        $runs->("${rights}which goes on", $pair->($one));
        isnt(join("\n", compare($source, $target, 'shop')), '', "$name: the other does not");
        $runs->("${rights}it comes back, and the target has such a table", $p = $pair->($both), 78);
        like($p->output, qr/shop\.b.*drop it/s, "$name: what to do is said");
        $target->sql('DROP TABLE shop.b');
        $runs->("${rights}without that", $pair->($both));
        $equal->("${rights}both are equal");

        # Made while nobody looks: by a statement in the log, or by none.
        $runs->("${rights}a whole database", $pair->($all));
        my $d = $source->dbh;
        $d->do($_) for 'CREATE TABLE shop.c (id INT PRIMARY KEY, v VARCHAR(40))', q{INSERT INTO shop.c VALUES (1, 'c'), (15, 'd')}, q{UPDATE shop.c SET v = 'cc' WHERE id = 1};
        $d->do('SET sql_log_bin = 0') if !$pg;
        $d->do($_) for 'CREATE TABLE shop.d (id INT PRIMARY KEY, v VARCHAR(40))', q{INSERT INTO shop.d VALUES (1, 'c'), (15, 'd')};
        $d->do('SET sql_log_bin = 1') if !$pg;
        $change->(qw(a c d));
        $source->sql('ALTER TABLE shop.c OWNER TO keeper', 'ALTER TABLE shop.d OWNER TO keeper') if $rights;
        $p = $pair->($all);
        $p->start;
        select undef, undef, undef, 0.1;
        $p->kill_all;
        $runs->("${rights}tables made meanwhile", $p);
        $equal->("${rights}they are there");
        $change->(qw(a b c d));
        $runs->("${rights}and go on", $p);
        $equal->("${rights}all are equal");
    }
    $from = $source;

    # Killed again and again while it comes in.
    $anew->();
    $runs->('one table', $pair->($one));
    my $p = $pair->($both);
    for (1 .. 6) { $p->start('caught-up'); select undef, undef, undef, 0.05 * $_; $change->(qw(a b)); $p->kill_all }
    $runs->('killed while it comes in', $p);
    $equal->('both are equal');

    # Without an initial part: what changes from then on.
    $anew->();
    $target->sql($to_pg ? 'CREATE SCHEMA shop' : 'CREATE DATABASE shop', map { ("CREATE TABLE shop.$_ (id INT PRIMARY KEY, v VARCHAR(40))") } qw(a b));
    $source->sql('DELETE FROM shop.a', 'DELETE FROM shop.b');
    $runs->('one table, without an initial part', $pair->($one, "initial = ();\n"));
    $source->sql(map {"INSERT INTO shop.$_ VALUES (1, 'x')"} qw(a b));
    $runs->('two', $p = $pair->($both, "initial = ();\n"));
    $source->sql(map {"INSERT INTO shop.$_ VALUES (2, 'y')"} qw(a b));
    $runs->('two, changed', $p);
    is_deeply($target->rows('SELECT id FROM shop.a ORDER BY id'), [[1], [2]], "$name: of the first, all");
    is_deeply($target->rows('SELECT id FROM shop.b ORDER BY id'), [[2]], "$name: of the other, what came since");
    $_->stop for $source, $target;
}

# As it is done: the file is written anew and read again, while the channel is at work.
my ($source, $target) = Syncline::Channel::servers('mariadb -> pgsql');
$source->sql('CREATE DATABASE shop', map { ("CREATE TABLE shop.$_ (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO shop.$_ VALUES (1, 'x')") } qw(a b));
my $daemon = Syncline::Daemon->new(real_workers => 1);
my $select = sub {
    $daemon->write_file('conf.d/shop.conf', sprintf "source = { %s };\ntarget = { %s };\nobjects = ( %s );\n", $source->endpoint, $target->endpoint, $_[0]);
    chmod 0600, "$daemon->{dir}/conf.d/shop.conf";
};
my $becomes = sub {
    my ($what, $differences) = @_;
    my $now = sub { join "\n", eval { compare($source, $target, 'shop') } };
    $daemon->until(sub { $now->() eq $differences }, 30 * $Syncline::Daemon::patience);
    is($now->(), $differences, "reload: $what") or diag $daemon->log;
};
$select->($one);
$daemon->start;
$daemon->wait_state('shop', 'Synchronizing', 30);
$becomes->('one table', 'table b is missing at the target');
$select->($both);
is(($daemon->tool('reload'))[0], 0, 'reload: with another');
$becomes->('both', '');
$source->sql(map {"INSERT INTO shop.$_ VALUES (2, 'y')"} qw(a b));
$becomes->('they go on', '');
$select->($one);
is(($daemon->tool('reload'))[0], 0, 'reload: with one');
$daemon->until(sub { $daemon->log =~ /shop\.b is not selected any more/ }, 30 * $Syncline::Daemon::patience);
$source->sql(map {"INSERT INTO shop.$_ VALUES (3, 'z')"} qw(a b));
$becomes->('which goes on alone', "b: 1 at the source, 0 at the target: 3|7A\nb: 1 rows differ");
$daemon->stop;
done_testing;
