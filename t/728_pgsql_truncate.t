# TRUNCATE at PostgreSQL sources before 11, whose log does not have it: by `truncate_triggers` a trigger
# of ours on each selected table notes it. In its place among rows, with tables that refer to
# others, taken back, of tables that are made, renamed and loaded meanwhile, by sessions that run no
# triggers; what the channel does not take has none. A table that is busy is waited for, a
# reset leaves no trigger. Without it, or without the right, the precheck warns. The same of single
# partitions at later ones. (S6.2, S8.1; R88)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::MariaDB;
use Syncline::PostgreSQL;
use Test::More;

my $patience = $Syncline::Daemon::patience;

sub channel {
    my ($source, $target, $option, $more) = @_;
    my $c = Syncline::Channel->new(source => $source, target => $target, more => $more);
    my $d = $c->daemon;
    $d->write_file('conf.d/shop.conf', $d->read_file('conf.d/shop.conf') =~ s/read_timeout/$option read_timeout/r);
    return $c;
}

sub check { my ($c) = @_; return ($c->tool('check', $c->daemon->{dir} . '/conf.d/shop.conf'))[1] }

for (['9.6', Syncline::MariaDB->new], ['10', Syncline::PostgreSQL->new, qq{triggers = "copy";\n}]) {
    my ($version, $target, $more) = @$_;
    my $source = Syncline::PostgreSQL->new(version => $version);
    my $watched = sub { join ' ', map { $_->[0] } @{$source->rows(q{SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'syncline_truncate' ORDER BY 1})} };
    my $rows = sub { my ($table, $ids) = @_; $source->sql("INSERT INTO shop.$table SELECT i, i FROM generate_series(1, $ids) i") };
    $source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.marker (id int PRIMARY KEY, n int NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)', (map { "CREATE TABLE shop.$_ (id int PRIMARY KEY, n int)" } qw(a kept)),
        'CREATE SCHEMA other', 'CREATE TABLE other.x (id int PRIMARY KEY)', 'CREATE TABLE shop.b (id int PRIMARY KEY, a int REFERENCES shop.a)', 'CREATE TABLE shop.keyless (id int, n int)', 'ALTER TABLE shop.keyless REPLICA IDENTITY FULL', 'CREATE ROLE plain LOGIN REPLICATION PASSWORD \'secret\'');
    $rows->($_, 10) for qw(a b kept keyless);

    my $c = channel($source, $target, '');
    like(check($c), qr/^warn  TRUNCATE in the source database\n      cause: .* does not log TRUNCATE.*\n      remedy: set source\.truncate_triggers/m, "$version: without triggers that is said");
    $c = channel($source, $target, 'truncate_triggers = true;', $more);
    like(check($c), qr/^pass  TRUNCATE in the source database$/m, "$version: with them it is not");
    my $busy = $source->dbh;
    $busy->begin_work;
    $busy->do('UPDATE shop.kept SET n = 0 WHERE id = 1');
    $c->begin;
    ok($c->until(sub { $c->daemon->log =~ /cannot make or drop the trigger of source\.truncate_triggers on shop\.kept/ }, 30 * $patience), "$version: a busy table is waited for");
    $busy->commit;
    is($c->wait_loaded(60), '', "$version: loaded");
    is($watched->(), 'shop.a shop.b shop.kept shop.keyless shop.marker', "$version: the tables have triggers");

    unlike(check($c), qr/syncline_truncate/, "$version: which are not the tables' own");

    $source->sql('TRUNCATE shop.a, shop.b');
    $rows->($_, 3) for qw(a b);
    $source->sql('BEGIN', 'INSERT INTO shop.kept VALUES (11, 0)', 'TRUNCATE shop.keyless', 'INSERT INTO shop.keyless VALUES (1, 1), (1, 1)', 'SAVEPOINT s', 'TRUNCATE shop.kept', 'ROLLBACK TO s', 'COMMIT');
    is($c->settle(60), '', "$version: tables that refer to each other, and a keyless one among rows; what is taken back is not done") or diag $c->explain;
    $source->sql('TRUNCATE other.x', 'CREATE TABLE shop.later (id int PRIMARY KEY, n int)', 'INSERT INTO shop.later VALUES (1, 1)', 'TRUNCATE shop.later', 'INSERT INTO shop.later VALUES (2, 2)', 'ALTER TABLE shop.kept RENAME TO moved', q{SET session_replication_role = 'replica'},
        'TRUNCATE shop.moved', q{SET session_replication_role = 'origin'}, 'INSERT INTO shop.moved VALUES (5, 5)', 'TRUNCATE shop.a CASCADE');
    is($c->settle(60), '', "$version: new and renamed tables, by whom it may be") or diag $c->explain;
    is($target->one('SELECT count(*) FROM shop.b'), 0, "$version: it has reached those that refer to it");
    is($watched->(), 'shop.a shop.b shop.keyless shop.later shop.marker shop.moved', "$version: so have their triggers");
    is($target->one('SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal'), 0, "$version: which are not copied with those of the tables") if $more;
    $rows->('a', 5000);
    is(($c->tool('resync', 'shop', 'shop.a'))[0], 0, "$version: a table loads again");
    $source->sql('TRUNCATE shop.a CASCADE');
    $rows->('a', 2);
    is($c->wait_loaded(60), '', "$version: and is truncated meanwhile");
    is($c->settle(60), '', "$version: equal") or diag $c->explain;

    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$version: a reset");
    ok($c->until(sub { $c->daemon->status('shop')->{idle} }, 30), "$version: which ends it");
    is($watched->(), '', "$version: leaves no trigger");
    my $d = $c->daemon;
    $d->write_file('conf.d/shop.conf', $d->read_file('conf.d/shop.conf') =~ s/user = "syncline"/user = "plain"/r);
    like(check($c), qr/^warn  TRUNCATE in the source database$/m, "$version: who may not make them is told");
    $c->stop;
}

# Single partitions, whose TRUNCATE no server logs.
for my $target (Syncline::MariaDB->new, Syncline::PostgreSQL->new) {
    my $source = Syncline::PostgreSQL->new;
    my $kind = $target->kind;
    $source->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.marker (id int PRIMARY KEY, n int NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)', 'CREATE TABLE shop.p (id int PRIMARY KEY) PARTITION BY RANGE (id)',
        'CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES FROM (0) TO (10)', 'INSERT INTO shop.p SELECT generate_series(0, 9)');
    my $c = channel($source, $target, '');
    like(check($c), qr/^warn  TRUNCATE in the source database\n      cause: TRUNCATE of a single partition is not in the log/m, "$kind: partitions without triggers are said");
    $c = channel($source, $target, 'truncate_triggers = true;');
    like(check($c), qr/^pass  TRUNCATE in the source database$/m, "$kind: with them they are not");
    $c->begin;
    is($c->wait_loaded(60), '', "$kind: loaded");
    $source->sql('CREATE TABLE shop.p2 PARTITION OF shop.p FOR VALUES FROM (10) TO (20)', 'INSERT INTO shop.p SELECT generate_series(10, 15)', 'TRUNCATE shop.p1', 'INSERT INTO shop.p VALUES (1)', 'TRUNCATE shop.p2', 'INSERT INTO shop.p VALUES (12)');
    is($c->settle(60), '', "$kind: partitions that were there, and new ones") or diag $c->explain;
    is($target->one('SELECT count(*) FROM shop.p'), 2, "$kind: are empty there, too");
    $c->stop;
}
done_testing;
