# apply = "fastest": changes of one row are merged, transactions are not torn. Under load, with the
# writer killed again and again, both ends are equal in the end and at every moment on the way the
# sum that each transaction keeps is kept; what has no key or hangs on foreign keys is run change
# by change, once each. Status says what the channel gives up (issue 5, 1).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep);

my %class = (mysql => 'Syncline::MariaDB', pgsql => 'Syncline::PostgreSQL');
# Not merged: their counts are the source's, to the last one.
my @whole = qw(customer orders item events);

# A job is made, changed a few times and taken away; some stay. Names of jobs, which are unique, wander.
sub job {
    my ($d) = @_;
    my $id = 1 + int rand 40;
    $d->do('DELETE FROM shop.job WHERE id = ?', undef, $id);
    $d->do('INSERT INTO shop.job VALUES (?, ?, 0)', undef, $id, "job $id");
    $d->do('UPDATE shop.job SET n = n + 1 WHERE id = ?', undef, $id) for 1 .. 1 + rand 4;
    $d->do('UPDATE shop.job SET n = n + 1, name = ? WHERE id = ?', undef, "done $id", $id);
    $d->do('UPDATE shop.job SET name = ? WHERE id = ?', undef, "job $id", 1 + $id % 40) if rand() < 0.1;
    $d->do('DELETE FROM shop.job WHERE id = ?', undef, $id) if rand() < 0.8;
}

sub counts {
    my ($db) = @_;
    return {map { ("$_->[0] $_->[1]" => $_->[2]) } @{$db->rows('SELECT tbl, op, COUNT(*) FROM audit.ops GROUP BY tbl, op')}};
}

for my $pair ('mysql -> mysql', 'pgsql -> pgsql') {
    my ($source, $target) = map { $class{$_}->new } split / -> /, $pair;
    my $c = Syncline::Channel->new(source => $source, target => $target, more => "apply = \"fastest\";\nlanes = 3;\n");
    $c->populate(200);
    $source->sql('CREATE TABLE shop.job (id INT PRIMARY KEY, name VARCHAR(20) UNIQUE, n INT NOT NULL)');
    $c->begin;
    is($c->wait_loaded(60), '', "$pair: loaded");
    is($c->settle(30), '', "$pair: equal after the load");
    my ($exit, $out) = $c->tool('status', 'shop');
    like($out, qr/guarantee\s+fastest: .*merged/, "$pair: status says what it gives up");
    like($c->daemon->status('shop')->{guarantee}, qr/^fastest: /, "$pair: and so does its JSON");
    $c->audit;

    my $poll = poller($target, 'SELECT (SELECT SUM(balance) FROM shop.account) + (SELECT SUM(balance) FROM shop.bank)', 4000);
    my $kills = 0;
    for my $round (1 .. 3) {
        # What piles up is what merges.
        $c->tool('pause', 'shop', '--wait');
        my @load = ($c->write(writers => 2, seed => $round), Syncline::Load->start($source, writers => 1, seed => 50 + $round, work => [\&job]));
        sleep 0.7;
        $c->tool('resume', 'shop', '--wait');
        for (1 .. 4) { sleep 0.2; $kills += $c->kill_worker('writer') ? 1 : 0; $c->revive }
        $_->stop for @load;
        is($c->settle(60), '', "$pair, round $round: both ends are equal") or diag $c->explain;
    }
    cmp_ok($kills, '>', 4, "$pair: the writer was killed $kills times");
    my ($polls, $bad) = $poll->stop;
    is($bad, '', "$pair: no transaction was seen in part, in $polls looks");

    # A writer that has only met the parent knows of its children all the same: what hangs on the row goes with it.
    $c->tool('pause', 'shop', '--wait');
    my $parent = $source->one('SELECT MIN(customer) FROM shop.orders');
    my $d = $source->dbh(AutoCommit => 0);
    my ($name) = $d->selectrow_array('SELECT name FROM shop.customer WHERE id = ?', undef, $parent);
    $d->do('DELETE FROM shop.customer WHERE id = ?', undef, $parent);
    $d->do('INSERT INTO shop.customer (id, name) VALUES (?, ?)', undef, $parent, $name);
    $d->commit;
    $d->disconnect;
    $c->tool('resume', 'shop', '--wait');
    is($c->settle(60), '', "$pair: a parent that goes and comes back takes its children away") or diag $c->explain;

    my ($s, $t) = map { counts($_) } $source, $target;
    my @differ = grep { ($s->{$_} // 0) != ($t->{$_} // 0) } map { my $n = $_; map {"$n $_"} qw(I U D) } @whole;
    is_deeply(\@differ, [], "$pair: keyless rows and relatives: each change once");
    my ($there, $here) = map { my $n = $_; my $sum = 0; $sum += $n->{"job $_"} // 0 for qw(I U D); $sum } $s, $t;
    cmp_ok($here, '<', $there * 0.8, "$pair: of $there changes of jobs the target ran $here");
    unlike($c->daemon->log, qr/conflict/, "$pair: no conflict");
    my ($merged) = ($c->daemon->http('/metrics'))[2] =~ /^syncline_changes_merged_total\{channel="shop"\} (\d+)/m;
    ok($merged, "$pair: merged changes are counted");
    $c->stop;
    $_->stop for $source, $target;
}
done_testing;
