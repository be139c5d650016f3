# PostgreSQL 9.4 and 9.5 as sources. Their first minor releases lose transactions in their logical
# decoding: 9.5.3 is seen to, by SQL alone, and is refused with what to do, as are all such; 9.3 and
# older have none. As the minor releases that were mended (Guise.pm; 9.5.3 is the only one that can
# be had, the transactions that it loses are left out here) they are carried: tables with and without a
# key loaded while they are written to, changes, columns that change, and from 9.5 on new tables; a
# held snapshot; a target that stands before what the slot still has. (R33-R60, R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Guise;
use Syncline::Load;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my $source = Syncline::PostgreSQL->new(version => '9.5');
my $target = Syncline::PostgreSQL->new;

# ---- what is refused ----

sub decoded {
    my ($db) = @_;
    $db->sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)', q{SELECT pg_create_logical_replication_slot('proof', 'test_decoding')},
        'BEGIN', 'INSERT INTO t VALUES (2)', 'SAVEPOINT s', 'SELECT FROM t WHERE id = 1 FOR UPDATE', 'COMMIT', 'INSERT INTO t VALUES (3)');
    my @rows = map { $_->[0] =~ /INSERT: id\[integer\]:(\d)/ } @{$db->rows(q{SELECT data FROM pg_logical_slot_get_changes('proof', NULL, NULL)})};
    $db->sql(q{SELECT pg_drop_replication_slot('proof')}, 'DROP TABLE t');
    return "@rows";
}

is(decoded($source), '3', 'SQL alone: 9.5.3 does not decode a transaction with a subtransaction that only locks a row');
is(decoded($target), '2 3', 'as later ones do');

my $pair;

sub begin {
    my ($db, $more) = @_;
    $pair = Syncline::Pair->new(source => $db, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 150;\n" . ($more // ''));
    return $pair;
}

sub check { my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`; return ($? >> 8) . "\n$out" }

my $item = 'Version of the source database';
pg_schema($source, $target);
begin($source);
my $says = 'the source is PostgreSQL 9\.5\.3, whose logical decoding loses transactions; it was mended in 9\.5\.7';
like(check(), qr/^78\n(?:.*\n)*fail  $item\n      cause: $says\n      remedy: install the newest PostgreSQL 9\.5 at the source and restart it/, '9.5.3 is refused');
$pair->start('caught-up');
is($pair->wait(60), 78, 'nor does it run');
like($pair->output, qr/$says/, 'and says why');
is($source->one('SELECT count(*) FROM pg_replication_slots'), 0, 'nothing was made there');

for (['9.3.25', '9.3, which is too old: it has no logical decoding'], map { ["$_->[0]", "$_->[0], whose logical decoding loses transactions; it was mended in $_->[1]"] } ['9.4.11', '9.4.12'], ['9.6.2', '9.6.3']) {
    my ($version, $words) = @$_;
    my $guise = Syncline::Guise->new(server => $source, as => $version);
    begin($guise);
    like(check(), qr/^78\n(?:.*\n)*fail  $item\n      cause: the source is PostgreSQL \Q$words\E\n      remedy: \S/, "$version: $words");
}

# ---- what is carried ----

sub ends_well {
    my ($what) = @_;
    is($pair->wait(120), 0, $what) or diag $pair->output;
}

sub equal {
    my ($what) = @_;
    is(join("\n", compare($source, $target, 'shop')), '', "$what: both ends are equal");
    unlike($pair->output, qr/^conflict/m, "$what: no conflict");
}

my $guise;
for (['9.4.26', 'held'], ['9.4.26', 'chunks'], ['9.5.25', 'chunks']) {
    my ($version, $snapshot) = @$_;
    my ($notes, $what) = ($version gt '9.5', "$version, $snapshot");
    $guise = Syncline::Guise->new(server => $source, as => $version);
    $_->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop syncline)) for $source, $target;
    $source->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
    pg_schema($source, $target);
    pg_fill($source, 400);
    begin($guise, $snapshot eq 'held' ? qq{snapshot = "held";\n} : '');
    unlike(check(), qr/^fail/m, "$what: the precheck has nothing against it");
    my $load = Syncline::Load->start($source, pg_load(flat => 1), writers => 2, seed => 7, pause => 0.004);
    $pair->start('loaded');
    ends_well("$what: loaded");
    $source->sql('ALTER TABLE shop.customer ADD COLUMN extra int', 'UPDATE shop.customer SET extra = id WHERE id < 50');
    $source->sql('CREATE TABLE shop.later (id int PRIMARY KEY, v text)', q{INSERT INTO shop.later VALUES (1, 'a')}, 'ALTER TABLE shop.later RENAME TO late', 'CREATE TABLE shop.gone (id int PRIMARY KEY)', 'DROP TABLE shop.gone') if $notes;
    $load->stop;
    $pair->start('caught-up');
    ends_well("$what: caught up");
    equal($what);
    like($pair->output, qr/before PostgreSQL 9\.5 an event trigger is not told what was done/, "$what: and what is not seen is said") if !$notes;
}

# Somebody reads our slot: what it has read the target never gets.
for (1 .. 200) {
    $source->sql('UPDATE shop.account SET balance = balance + 1', q{SELECT pg_switch_xlog()}, 'CHECKPOINT', q{SELECT count(*) FROM pg_logical_slot_get_changes('syncline_test', NULL, NULL)});
    last if $source->one('SELECT restart_lsn > ?::pg_lsn FROM pg_replication_slots', $pair->output =~ m{.*position=([0-9A-F]+/[0-9A-F]+)}s);
}
$pair->start('caught-up');
is($pair->wait(60), 78, 'a slot that is ahead of the target stops it');
like($pair->output, qr/the replication slot syncline_test stands at \S+, behind what the target holds/, 'and says so');

done_testing;
