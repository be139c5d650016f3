# Which server a PostgreSQL source is, looked at each time that the channel connects: a
# promoted standby that has the slot (17: sync_replication_slots) is gone on with, under
# load, every operation once; one that never had it, one that was promoted before what the
# target has, another cluster, and a server that was put back to a backup are clear stops
# with golden words (t/data/errors). (spec S6; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use Syncline::Channel;
use Syncline::Compare;
use Syncline::Golden;
use Syncline::Load;
use Syncline::PostgreSQL;
use Test::More;

my $target = Syncline::PostgreSQL->new;
my ($source, $c);

sub server { return Syncline::PostgreSQL->new(@_) }

sub streaming {
    my ($name) = @_;
    $target->sql(map {"DROP SCHEMA IF EXISTS $_ CASCADE"} qw(shop syncline audit));
    $c = Syncline::Channel->new(source => $source, target => $target)->populate(200)->begin;
    is($c->wait_loaded(60), '', "$name: it streams");
    is($c->settle(30), '', "$name: equal");
}

# The service's address leads there from now on.
sub lead_to {
    my ($server) = @_;
    my $d = $c->daemon;
    my $text = $d->read_file('conf.d/shop.conf');
    my $old = $c->{source}->port;
    $text =~ s/^(source = .* port = )$old;/$1 . $server->port . ';'/e;
    $d->write_file('conf.d/shop.conf', $text);
    $c->{source} = $server;
    is(($c->tool('reload'))[0], 0, 'the channel is led to another server');
}

sub proven {
    my ($name) = @_;
    my $d = $c->daemon;
    is($d->wait_state('shop', 'Synchronization Failed', 30), 'Synchronization Failed', "$name: stops") or diag $c->explain;
    Syncline::Golden->new(SOURCE => $c->{source}->port, TARGET => $target->port, DIR => $d->{dir}, LSN => qr/\b[0-9A-F]+\/[0-9A-F]+\b/, CLUSTER => qr/\b\d{15,}\b/)
        ->begin($name)->status($d, 'shop')->done;
    is($target->one(q{SELECT count(*) FROM shop.customer WHERE name = 'behind'}), 0, "$name: nothing behind the gap is applied");
    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$name: reset");
    $target->sql('DROP SCHEMA shop CASCADE');
    my ($exit, undef, $err) = $c->tool('start', 'shop', '--wait', '--timeout', '60s');
    is($exit, 0, "$name: started again") or diag $err, $c->explain;
    is($c->settle(30), '', "$name: both ends are equal");
    $c->stop;
}

sub insert { my ($db, $v) = @_; $db->sql("INSERT INTO shop.customer (name) VALUES ('$v')") }

my @synced = ('sync_replication_slots=on', 'hot_standby_feedback=on');
my $has_slot = sub { $_[0]->one(q{SELECT 1 FROM pg_replication_slots WHERE slot_name = 'syncline_shop' AND synced AND NOT temporary}) };

# ---- a standby that has the slot ----

$source = server(version => '17', options => ['synchronized_standby_slots=standby']);
my $standby = $source->standby(options => [@synced, 'synchronized_standby_slots=']);
streaming('failover');
ok($source->one(q{SELECT failover FROM pg_replication_slots WHERE slot_name = 'syncline_shop'}), 'the slot is one that standbys take over');
ok($c->daemon->until(sub { $has_slot->($standby) }, 120), 'the standby has it');
$c->audit;
ok($standby->received_all($source), 'and all else');
my $load = $c->write(writers => 4, seed => 1, pause => 0.004);
$c->arrive for 1 .. 20;
$source->kill9;
eval { $load->stop };
lead_to($standby);
ok($c->until(sub { $c->daemon->log =~ /the source is a standby: it is in recovery; started again/ }, 60), 'a standby is waited for') or diag $c->explain;
$standby->promote;
$load = $c->write(writers => 4, seed => 2, pause => 0.004);
ok(defined $c->arrive(60), 'promoted, it is gone on with') or diag $c->explain;
$load->stop;
is($c->settle(60), '', 'both ends are equal');
is($c->audited, '', 'every operation ran once');
unlike($c->daemon->log, qr/conflict/, 'no conflict');
like($c->daemon->log, qr/the source is another server: \d+:2:test goes on from \d+:1:test/, 'the log says so');
$c->kill_worker('reader');
ok(defined $c->arrive(60), 'so it does after a restart');
$c->stop;
$_->stop for $source, $standby;

# ---- a standby that is behind the target ----

$source = server(version => '17');
$standby = $source->standby(options => \@synced);
streaming('pgsql-standby-behind');
ok($c->daemon->until(sub { $has_slot->($standby) }, 120), 'the standby has the slot');
$standby->sql(q{ALTER SYSTEM SET primary_conninfo = ''}, 'SELECT pg_reload_conf()');
ok($c->daemon->until(sub { !$standby->children(qr/walreceiver/) }, 60), 'and receives nothing more');
insert($source, 'lost');
is($c->settle(30), '', 'but the target does');
$source->kill9;
$standby->promote;
insert($standby, 'behind');
lead_to($standby);
proven('pgsql-standby-behind');
$_->stop for $source, $standby;

# ---- a standby that never had it ----

$source = server();
$standby = $source->standby;
streaming('pgsql-standby-without-slot');
ok($standby->received_all($source), 'the standby has all');
$source->kill9;
$standby->promote;
insert($standby, 'behind');
lead_to($standby);
proven('pgsql-standby-without-slot');
$_->stop for $source, $standby;

# ---- a server that was put back ----

$source = server();
streaming('pgsql-source-restored');
my ($data, $backup) = map { $source->dir . "/$_" } qw(data backup);
$source->stop;
system('cp', '-a', $data, $backup) == 0 or die;
$source->start;
insert($source, 'x' x 1000) for 1 .. 100;
is($c->settle(30), '', 'the target has more than the backup');
$source->stop;
remove_tree($data);
rename $backup, $data or die $!;
$source->start;
insert($source, 'behind');
proven('pgsql-source-restored');
$source->stop;

# ---- another cluster ----

my $other;
($source, $other) = (server(), server(version => '16'));    # two of one version are copies of one cluster
streaming('pgsql-other-cluster');
$source->stop;
Syncline::Channel->new(source => $other, target => $target)->populate(200);
insert($other, 'behind');
lead_to($other);
proven('pgsql-other-cluster');

done_testing;
