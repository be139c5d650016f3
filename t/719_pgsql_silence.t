# PostgreSQL servers that say nothing: stopped as a whole, behind a network that forgets, at source
# and target, while a channel loads and while it streams. After read_timeout a second connection
# asks what the session does: what does not work is given up, with its reason and remedy, and the
# channel goes on when the server is back; what works is waited for, however long it takes:
# a statement, a lock, a transaction that a new slot waits for. What of a handshake is lost is not
# taken for a wrong password. (N1, K9; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::PostgreSQL;
use Syncline::Proxy;
use Test::More;
use Time::HiRes qw(sleep time);

my $patience = $Syncline::Daemon::patience;
my %server = (source => Syncline::PostgreSQL->new(options => ['wal_sender_timeout=2s']), target => Syncline::PostgreSQL->new);
my %proxy = map { $_ => Syncline::Proxy->new(port => $server{$_}->port) } qw(source target);
my $c = Syncline::Channel->new(
    %server, source_port => $proxy{source}->port, target_port => $proxy{target}->port, read_timeout => '1s',
    more => "chunk_rows = 50;\nlanes = 2;\nring_size = \"1MiB\";\n",
);

# What the log has said since the last call: \z of it is remembered.
my $seen = 0;
sub news { my $log = $c->daemon->log; my $news = substr $log, $seen; $seen = length $log; return $news }
sub says {
    my ($what, $name) = @_;
    my $since = $seen;
    ok($c->until(sub { substr($c->daemon->log, $since) =~ $what }, 20 * $patience), $name) or diag substr $c->daemon->log, $since;
    news();
}
# The session of a channel's worker that waits for a reply may be any: all say so.
sub silent { my ($end) = @_; return qr/the $end is silent: nothing has come from it for 1 s \($end\.read_timeout\); / }

# A new slot waits for the transactions that run: held here, the source says nothing.
$c->populate(4000);
my $running = $server{source}->dbh;
$running->begin_work;
$running->do('INSERT INTO shop.marker VALUES (2, 0)');
$c->begin;
says(qr/the source has not answered for 1 s: its session works \(active, Lock: transactionid\)/, 'a transaction that a new slot waits for is no silence');
$proxy{target}->set(rate => 60_000);    # so that it loads for long enough
$running->commit;

my $chunks;
sub chunks { return eval { $server{target}->one('SELECT count(*) FROM syncline.chunk') } // 0 }
sub stopped { my ($db, $signal) = @_; kill $signal, $db->{pid}, $db->children }

my %how = (
    stopped => [sub { stopped($server{$_[0]}, 'STOP') }, sub { stopped($server{$_[0]}, 'CONT') }, 'another connection: .*nobody answered in time'],
    frozen => [sub { $proxy{$_[0]}->set(freeze => 1) }, sub { $proxy{$_[0]}->clear }, 'another connection: .*nobody answered in time'],
    lost => [sub { $proxy{$_[0]}->set(lose => 1) }, sub { }, 'its session (?:waits for us \((?:idle|active)|there has ended)'],
);

sub away {
    my ($end, $how) = @_;
    my ($begin, $end_of_it, $why) = @{$how{$how}};
    news();
    $begin->($end);
    # By the supervisor: until then the pair of before may still be asked whose the channel is.
    says(qr/channel "shop": .*${\ silent($end)}$why.*; started again/, "$end: $how: is given up, and why");
    if ($how ne 'lost') {
        ok($c->until(sub { ($c->tool('status', 'shop'))[1] =~ /^  last failure .*$end is silent/m }, 20 * $patience), 'status names it, too') or diag $c->explain;
    }
    $end_of_it->($end);
}

for my $end (qw(source target)) {
    for my $how ($end eq 'source' ? 'frozen' : 'stopped', 'lost') {
        ok($c->daemon->wait_flowing('shop', 60), 'it flows');
        $chunks = chunks();
        ok($c->until(sub { chunks() != $chunks }, 60 * $patience), 'it loads on') or diag $c->explain;
        is($c->state, 'Performing Initial Synchronization', "$end: $how: while it loads");
        away($end, $how);
        $proxy{target}->set(rate => 60_000);
    }
}
$_->clear for values %proxy;
is($c->wait_loaded(120), '', 'loaded');
is($c->settle(60), '', 'both ends are equal');
$c->audit;

my $load = $c->write(writers => 2, seed => 1, pause => 0.01);
for my $end (qw(source target)) {
    for my $how (qw(frozen stopped lost)) {
        away($end, $how);
        ok(defined $c->arrive(60 * $patience), "$end: $how: it goes on") or diag $c->explain;
    }
}
sub refusals { return scalar(() = Syncline::PostgreSQL::slurp($_[0]->log_file) =~ /password authentication failed for user "syncline"/g) }

# Half of a handshake is answered as a wrong password: it is said again.
for my $end (qw(source target)) {
    $c->tool('pause', 'shop', '--wait');
    my ($before, $refused) = ($proxy{$end}->happened, refusals($server{$end}));
    $proxy{$end}->set(half => 150, way => 'up');
    $c->tool('resume', 'shop');
    ok($c->until(sub { $proxy{$end}->happened > $before }, 20 * $patience), "$end: a handshake of which half arrives");
    ok(defined $c->arrive(60 * $patience), "$end: is no wrong password") or diag $c->explain;
    is(refusals($server{$end}), $refused + 1, 'although the server says so');
}
$load->stop;
is($c->settle(60), '', 'both ends are equal');
is($c->audited, '', 'each operation once');
unlike($c->daemon->log, qr/conflict/, 'no conflict');

# What takes long is no silence: the workers stay.
my @workers = $c->workers;
my $t = $server{target};
$t->sql(q{CREATE FUNCTION shop.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$},
    'CREATE TRIGGER slow BEFORE UPDATE ON shop.marker FOR EACH ROW EXECUTE FUNCTION shop.slow()', 'ALTER TABLE shop.marker ENABLE ALWAYS TRIGGER slow');
ok(defined $c->arrive(60 * $patience), 'a statement of three times read_timeout arrives') or diag $c->explain;
says(qr/the target has not answered for 1 s: its session works \(active, Timeout: PgSleep\)/, 'and is seen to work') if news() !~ /Timeout: PgSleep/;
$t->sql('DROP TRIGGER slow ON shop.marker');
my $lock = $t->dbh;
$lock->begin_work;
$lock->do('LOCK TABLE shop.marker IN SHARE MODE');
$server{source}->sql('UPDATE shop.marker SET n = -1 WHERE id = 1', 'CREATE TABLE shop.wide_rows (id int PRIMARY KEY, v text)', q{INSERT INTO shop.wide_rows SELECT i, repeat(i::text, 1000) FROM generate_series(1, 3000) i});
says(qr/the target has not answered for 1 s: its session works \(active, Lock: relation\)/, 'a lock is waited for');
sleep 4;    # the ring is full, nobody reads the log: the source waits longer than its wal_sender_timeout
$lock->rollback;
ok(defined $c->arrive(60 * $patience), 'and goes') or diag $c->explain;
is_deeply([$c->workers], \@workers, 'by the same workers');

$c->stop;
$_->stop for values %server;
done_testing;
