# The life of a PostgreSQL source's slot and publication: they have the channel's name;
# a reset, and a stop for good, drop them, also when the source is away meanwhile; a file that is
# taken away leaves them, and that is said. Dropped, invalidated or taken from under a running channel, each is a
# clear stop with golden words (t/data/errors), nothing behind the gap is applied, and
# what the remedy says makes the channel go on. (spec S6; R24, R25, R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Golden;
use Syncline::PostgreSQL;
use Test::More;

my $source = Syncline::PostgreSQL->new(options => ['max_slot_wal_keep_size=1', 'min_wal_size=32', 'max_wal_size=32']);
my $target = Syncline::PostgreSQL->new;
my $c;

sub slots { return join ',', map { $_->[0] } @{$source->rows(q{SELECT slot_name FROM pg_replication_slots UNION ALL SELECT 'for ' || pubname FROM pg_publication ORDER BY 1})} }

sub streaming {
    my ($name) = @_;
    $target->sql('DROP SCHEMA IF EXISTS shop CASCADE', 'DROP SCHEMA IF EXISTS syncline CASCADE');
    $source->sql('DROP SCHEMA IF EXISTS shop CASCADE', 'CREATE SCHEMA shop', 'CREATE TABLE shop.a (id serial PRIMARY KEY, v text)',
        q{INSERT INTO shop.a (v) VALUES ('one'), ('two')}, 'CREATE TABLE shop.marker (id int PRIMARY KEY, n int NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
    $c = Syncline::Channel->new(source => $source, target => $target)->begin;
    is($c->wait_loaded(60), '', "$name: it streams");
    is($c->settle(30), '', "$name: equal");
}

sub insert { my ($v) = @_; $source->sql("INSERT INTO shop.a (v) VALUES ('$v')") }

sub loads_again {
    my ($name) = @_;
    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$name: reset");
    is(slots(), '', "$name: which leaves nothing at the source");
    $target->sql('DROP SCHEMA shop CASCADE');
    my ($exit, undef, $err) = $c->tool('start', 'shop', '--wait', '--timeout', '60s');
    is($exit, 0, "$name: started again") or diag $err, $c->explain;
    is($c->settle(30), '', "$name: both ends are equal");
    $c->tool('stop', 'shop', '--wait');
    $c->stop;
}

sub proven {
    my ($name) = @_;
    my ($d, $file) = ($c->daemon, $c->daemon->{dir} . '/conf.d/shop.conf');
    is($d->wait_state('shop', 'Synchronization Failed', 30), 'Synchronization Failed', "$name: stops") or diag $c->explain;
    Syncline::Golden->new(SOURCE => $source->port, TARGET => $target->port, DIR => $d->{dir}, LSN => qr/\b[0-9A-F]+\/[0-9A-F]+\b/)
        ->begin($name)->status($d, 'shop')->command($d, 'run', $file, '--until', 'caught-up')->done;
    is($target->one(q{SELECT count(*) FROM shop.a WHERE v = 'behind'}), 0, "$name: nothing behind the gap is applied");
    loads_again($name);
}

# ---- given up ----

my $both = 'for syncline_shop,syncline_shop';
streaming('reset');
is(slots(), $both, 'slot and publication have the name of the channel');
my $selected = sub { $source->one('SELECT count(*) FROM syncline.selected') };
is($selected->(), 1, 'and so has what its trigger publishes');
$c->tool('pause', 'shop', '--wait');
is(slots(), $both, 'a pause keeps them');
like($c->daemon->log, qr/the source keeps all log from here on for the replication slot syncline_shop/, 'and says so');
loads_again('reset');
is(slots(), '', 'a stop for good drops them, too');
is($selected->(), 0, 'and the trigger publishes nothing for it');

streaming('source away');
$source->stop;
is(($c->tool('reset', 'shop', '--yes'))[0], 0, 'a reset while the source is away is accepted');
ok($c->daemon->until(sub { $c->daemon->status('shop')->{restarts}{failures_in_a_row} > 1 }, 60), 'and tried again and again');
$source->start;
ok($c->daemon->until(sub { $c->daemon->status('shop')->{idle} }, 60), 'until the source is back');
is(slots(), '', 'then nothing is left there');
$c->stop;

streaming('file gone');
unlink $c->daemon->{dir} . '/conf.d/shop.conf';
my (undef, $plan) = $c->tool('reload');
like($plan, qr/^shop: stops, its file is gone; source and target keep what it needs to go on, such as log for a replication slot, until a reset$/m, 'a file that goes away keeps them: the plan says so');
ok($c->daemon->until(sub { $c->daemon->log =~ /"shop" has left/ }, 60), 'so does the log');
like($c->daemon->log, qr/the source keeps all log from here on for the replication slot syncline_shop/, 'by the name of the slot');
is(slots(), $both, 'there they are');
$c->stop;
$source->sql(q{SELECT pg_drop_replication_slot('syncline_shop')}, 'DROP PUBLICATION syncline_shop');

# ---- taken away ----

streaming('pgsql-slot-gone');
$c->tool('pause', 'shop', '--wait');
insert('gone');
$source->sql(q{SELECT pg_drop_replication_slot('syncline_shop')});
insert('behind');
$c->tool('resume', 'shop');
proven('pgsql-slot-gone');

# The server lets nobody drop what is in use, so somebody has ended our connection first.
streaming('pgsql-slot-gone-streaming');
$source->sql(q{DO $$ BEGIN
    LOOP
        PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'syncline_shop';
        BEGIN PERFORM pg_drop_replication_slot('syncline_shop'); EXIT; EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.01); END;
    END LOOP;
END $$});
insert('behind');
proven('pgsql-slot-gone-streaming');

streaming('pgsql-slot-lost');
$c->tool('pause', 'shop', '--wait');
insert('gone');
$c->daemon->until(sub { $source->sql(q{UPDATE shop.a SET v = repeat(v, 1000) WHERE id = 1}, q{UPDATE shop.a SET v = 'one' WHERE id = 1}, 'SELECT pg_switch_wal()', 'CHECKPOINT');
    $source->one(q{SELECT wal_status FROM pg_replication_slots}) eq 'lost' }, 60);
insert('behind');
$c->tool('resume', 'shop');
proven('pgsql-slot-lost');

streaming('pgsql-publication-gone');
$c->tool('pause', 'shop', '--wait');
insert('gone');
$source->sql('DROP PUBLICATION syncline_shop');
insert('behind');
$c->tool('resume', 'shop');
proven('pgsql-publication-gone');

streaming('pgsql-publication-gone-streaming');
$source->sql('DROP PUBLICATION syncline_shop');
insert('behind');
proven('pgsql-publication-gone-streaming');

done_testing;
