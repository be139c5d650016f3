# A statement that takes longer than read_timeout at a MySQL server - an index of a large table, a
# lock that somebody holds - is no silence: another connection sees our session work, and it is
# waited for, once. A server that is frozen meanwhile is given up, and gone on with when it is back
# (N1, R84, R88).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::MariaDB;
use Syncline::MySQL;
use Test::More;
use Time::HiRes qw(sleep);

my $patience = $Syncline::Daemon::patience;
for my $class ('Syncline::MariaDB', 'Syncline::MySQL') {
    my ($source, $target) = map { $class->new } 1 .. 2;
    my $name = $class =~ s/.*:://r;
    my $c = Syncline::Channel->new(source => $source, target => $target, read_timeout => '1s');
    $c->populate(50);
    $c->begin;
    is($c->wait_loaded(60), '', "$name: loaded");
    is($c->settle(30), '', "$name: equal");
    my @workers = $c->workers;

    my $holder = $target->dbh;
    my $works = sub { scalar(() = $c->daemon->log =~ /works on a statement since \d+ s/g) };
    $holder->do('LOCK TABLES shop.customer READ');
    $source->sql('ALTER TABLE shop.customer ADD COLUMN late INT NOT NULL DEFAULT 7');
    ok($c->until(sub { $works->() >= 3 }, 30 * $patience), "$name: it is waited for, three times as long as read_timeout") or diag $c->explain;
    $holder->do('UNLOCK TABLES');
    ok(defined $c->arrive(30 * $patience), "$name: and arrives") or diag $c->explain;
    is_deeply([sort $c->workers], [sort @workers], "$name: by the same workers");
    unlike($c->daemon->log, qr/started again/, "$name: nothing was begun anew");

    # Frozen in the midst of it.
    my $before = $works->();
    $holder->do('LOCK TABLES shop.customer READ');
    $source->sql('ALTER TABLE shop.customer ADD COLUMN later INT NOT NULL DEFAULT 8');
    ok($c->until(sub { $works->() > $before }, 30 * $patience), "$name: another one is waited for");
    kill 'STOP', $target->pid;
    ok($c->until(sub { $c->daemon->log =~ /started again/ }, 30 * $patience), "$name: a server that is frozen meanwhile is given up") or diag $c->explain;
    kill 'CONT', $target->pid;
    $holder->do('UNLOCK TABLES');
    is($c->settle(60), '', "$name: and gone on with") or diag $c->explain;
    is($target->one('SELECT COUNT(*) FROM shop.customer WHERE late = 7 AND later = 8'), $source->one('SELECT COUNT(*) FROM shop.customer'), "$name: both statements have run, once");
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
