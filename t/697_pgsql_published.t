# A table that someone takes out of our publication at a PostgreSQL source, or lets it tell in part: its
# changes are in the log no more, and the log does not say so. It is put back and loads again:
# by the source's note of the statement, though it was put back by hand since; where the
# account may not have such notes, by a look at the start and every so often. Where it cannot be put back
# the channel stops and says what to do. (R33, R120; spec S0)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;

sub soon {
    my ($condition) = @_;
    my $end = time + 30 * ($ENV{PATIENCE} // 4);
    sleep 0.1 while !$condition->() && time < $end;
    return $condition->();
}

sub anew {
    my ($from) = @_;
    my @schemas = map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop syncline);
    $_->sql(@schemas) for $source, $target;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots', 'DROP PUBLICATION IF EXISTS syncline_test', 'CREATE SCHEMA shop',
        (map { "CREATE TABLE shop.$_ (id int PRIMARY KEY, v text)" } qw(a b)), (map { "INSERT INTO shop.$_ SELECT i, 'v' || i FROM generate_series(1, 20) i" } qw(a b)));
    return Syncline::Pair->new(source => $from || $source, target => $target, objects => '{ database = "shop"; }');
}

my $again = qr/source table shop\.a was taken out of the publication syncline_test, or told of in part: it is put back, and loads again/;
my $pair = anew();
my $n = 100;

# While the channel is stopped.
sub carries {
    my ($what, $pattern, @statements) = @_;
    my $before = length $pair->output;
    $source->sql(@statements, "INSERT INTO shop.a VALUES (@{[$n++]}, 'later')");
    $pair->start('caught-up');
    is($pair->wait(60), 0, $what) or diag $pair->output;
    my $said = substr $pair->output, $before;
    $pattern ? like($said, $pattern, 'it is said') : unlike($said, qr/taken out/, 'nothing is said');
    is(join("\n", compare($source, $target, 'shop')), '', 'and nothing is lost');
}
my @changes = ('UPDATE shop.a SET v = v || v WHERE id < 5', 'DELETE FROM shop.a WHERE id BETWEEN 6 AND 8', q{INSERT INTO shop.b VALUES (99, 'b')}, 'DELETE FROM shop.b WHERE id = 99');
carries('loaded', undef);
carries('taken out', $again, 'ALTER PUBLICATION syncline_test DROP TABLE shop.a', @changes);
carries('all is as it was', undef, @changes);
carries('taken out and put back', $again, 'ALTER PUBLICATION syncline_test DROP TABLE shop.a', @changes, 'ALTER PUBLICATION syncline_test ADD TABLE shop.a');
carries('of inserts alone', $again, q{ALTER PUBLICATION syncline_test SET (publish = 'insert')}, @changes);
carries('some rows of one alone, nothing of the others, no notes', $again, 'ALTER PUBLICATION syncline_test SET TABLE shop.a WHERE (id > 15)', @changes);
like($pair->output, qr/the source's notes \(syncline\.ddl\) were taken out|shop\.b was taken out/, 'those too');
carries('statements are followed again', undef, 'CREATE TABLE shop.c (id int PRIMARY KEY)', 'INSERT INTO shop.c VALUES (1)', 'ALTER TABLE shop.a ADD COLUMN w int DEFAULT 3');

# While it streams.
$pair->start;
$source->sql('ALTER PUBLICATION syncline_test DROP TABLE shop.a', 'UPDATE shop.a SET w = id', 'ALTER PUBLICATION syncline_test ADD TABLE shop.a', 'UPDATE shop.b SET v = id');
ok(soon(sub { join('', compare($source, $target, 'shop')) eq '' }), 'while it streams: nothing is lost') or diag $pair->output;
$pair->stop;

# Without notes.
$source->sql(q{CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'secret'}, q{CREATE ROLE other}, 'GRANT CREATE ON DATABASE test TO keeper');
my $keeper = $source->endpoint =~ s/"syncline"/"keeper"/r;
$pair = anew($keeper);
$source->sql('ALTER SCHEMA shop OWNER TO keeper', map { "ALTER TABLE shop.$_ OWNER TO keeper" } qw(a b));
carries('without notes: loaded', undef);
carries('taken out', $again, 'ALTER PUBLICATION syncline_test DROP TABLE shop.a', @changes);
carries('all is as it was', undef, @changes);
$pair->start;
ok(soon(sub { $source->one('SELECT count(*) FROM pg_replication_slots WHERE active') }), 'streams');
$source->sql('ALTER PUBLICATION syncline_test DROP TABLE shop.a', 'UPDATE shop.a SET v = id');
ok(soon(sub { join('', compare($source, $target, 'shop')) eq '' }), 'while it streams: nothing is lost') or diag $pair->output;
$pair->stop;
$source->sql('ALTER PUBLICATION syncline_test DROP TABLE shop.b', 'ALTER TABLE shop.b OWNER TO other', 'GRANT SELECT ON shop.b TO keeper');
$pair->start('caught-up');
is($pair->wait(60), 78, 'one that cannot be put back stops the channel') or diag $pair->output;
like($pair->output, qr/table "?shop"?\."?b"? was taken out of the publication, .*cannot be put into the publication syncline_test at the source.*must be owner of table b.*let an administrator run ALTER PUBLICATION syncline_test ADD TABLE .*`syncline resync`/, 'and says what to do');
done_testing;
