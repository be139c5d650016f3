# `where` while everything happens at once: eight writers move rows in and out of the filters,
# also by key changes, while tables load in small chunks, with kill -9 of reader and writer.
# Then statements that change what a filter stands on, another filter, and images
# that have less than it needs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";

my %where = (a => 'n BETWEEN 20 AND 70', b => "(city = 'tokyo' OR city IS NULL) AND n != 5", k => 'n < 50', w => 'id > 500 OR n IN (1, 2, 3)');
my $objects = join ', ', '{ database = "marker"; }, { database = "shop"; table = "k2"; where = "n >= 50"; }', map { qq({ database = "shop"; table = "$_"; where = "$where{$_}"; }) } sort keys %where;
my @cities = ('tokyo', 'TOKYO ', "t\x{f4}kyo", 'sandiego', undef, '');

sub city { my ($db) = @_; my $c = $cities[rand @cities]; return defined $c ? $db->quote($c) : 'NULL' }

# One transaction of a writer.
sub act {
    my ($dbh) = @_;
    my $id = int rand 1500;
    my $t = (qw(a b w))[rand 3];
    my $dice = rand;
    $dbh->begin_work;
    if ($dice < 0.2) { $dbh->do("INSERT IGNORE INTO shop.$t (id, n, city, v) VALUES ($id, " . int(rand 100) . ', ' . city($dbh) . ", 'new')") }
    elsif ($dice < 0.3) { $dbh->do("DELETE FROM shop.$t WHERE id = $id") }
    elsif ($dice < 0.4) { $dbh->do("UPDATE IGNORE shop.$t SET id = " . int(rand 1500) . ", v = 'moved' WHERE id = $id") }
    elsif ($dice < 0.5) { $dbh->do('UPDATE shop.k SET n = ' . int(rand 100) . " WHERE v = 'k$id'") }
    elsif ($dice < 0.55) { $dbh->do("INSERT INTO shop.k (n, v) VALUES (" . int(rand 100) . ", 'k$id')") }
    else { $dbh->do("UPDATE shop.$t SET n = " . int(rand 100) . ', city = ' . city($dbh) . ", v = '" . int(rand 1e6) . "' WHERE id BETWEEN $id AND " . ($id + int rand 4)) }
    $dbh->commit;
}

sub writers {
    my ($db, $n, $seed) = @_;
    my @pids;
    for my $i (1 .. $n) {
        my $pid = fork() // die "fork: $!";
        push @pids, $pid;
        next if $pid;
        srand $seed * 100 + $i;
        my $dbh = $db->dbh;
        my $over;
        local $SIG{TERM} = sub { $over = 1 };
        while (!$over) { eval { act($dbh); 1 } or eval { $dbh->rollback }; sleep 0.004 }
        POSIX::_exit(0);
    }
    return @pids;
}

sub differences {
    my ($source, $target, %other) = @_;
    my @wrong;
    for my $t (sort keys %where) {
        my $filter = $other{$t} // $where{$t};
        my ($a, $b) = map { join "\n", map { join '|', map { $_ // 'NULL' } @$_ } @{$_->[0]->rows("SELECT id, n, HEX(city), v FROM shop.$t $_->[1] ORDER BY 1, 2, 3, 4")} } [$source, "WHERE $filter"], [$target, ''];
        push @wrong, "$t: " . length($a) . ' and ' . length($b) if $a ne $b;
    }
    return join "\n", @wrong;
}

for my $class (qw(Syncline::MariaDB Syncline::MySQL)) {
    my ($name) = $class =~ /::(\w+)/;
    srand $seed;
    my ($source, $target) = map { $class->new } 1 .. 2;
    my $columns = "n INT, city VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, v VARCHAR(40)";
    $source->sql('CREATE DATABASE shop', "CREATE TABLE shop.k (id INT, $columns)", map { "CREATE TABLE shop.$_ (id INT PRIMARY KEY, $columns)" } qw(a b w));
    for my $t (qw(a b w k)) {
        $source->sql("INSERT INTO shop.$t VALUES " . join ', ', map { "($_, " . int(rand 100) . ', ' . city($source->main_dbh) . ", 'k$_')" } 1 .. 1200);
    }
    my @pids = writers($source, 8, $seed);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects, more => "chunk_rows = 40;\n");
    $pair->start;
    my ($kills, $end) = (0, time + ($ENV{SECONDS} || 6));
    while (time < $end) { sleep 0.2 + rand 0.6; $kills += $pair->kill_worker }
    $pair->kill_all;
    $pair->start('loaded');
    is($pair->wait(90), 0, "$name: loaded after $kills kills") or diag $pair->output;
    kill 'TERM', @pids;
    waitpid $_, 0 for @pids;
    is($pair->follow($source, $target, 90), 0, "$name: caught up") or diag $pair->output;
    is(differences($source, $target), '', "$name: as the server finds it");
    unlike($pair->output, qr/^conflict/m, "$name: no conflict");

    # A statement that makes other rows meet it: the table loads again.
    $source->sql("INSERT INTO shop.b (id, n, city) VALUES (9001, 1, 'TOKYO'), (9002, 1, 'tokyo')", 'ALTER TABLE shop.b MODIFY city VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', "INSERT INTO shop.b (id, n, city) VALUES (9003, 1, 'Tokyo'), (9004, 1, 'tokyo')");
    # One that does not: it goes on.
    $source->sql('ALTER TABLE shop.a MODIFY v VARCHAR(50), ADD x INT', 'UPDATE shop.a SET n = 30, x = 1 WHERE id < 100', 'TRUNCATE TABLE shop.w', "INSERT INTO shop.w VALUES (501, 1, NULL, 'x'), (1, 9, NULL, 'y')");
    is($pair->follow($source, $target, 90), 0, "$name: statements") or diag $pair->output;
    $pair->start('loaded');
    is($pair->wait(60), 0, "$name: loaded again");
    is(differences($source, $target), '', "$name: a changed collation");
    is($target->one('SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.b WHERE id > 9000'), '9002,9004', "$name: other rows meet it now");

    # A name that has another filter.
    $source->sql('RENAME TABLE shop.k TO shop.k2');
    is($pair->follow($source, $target, 90), 0, "$name: renamed") or diag $pair->output;
    $pair->start('loaded');
    is($pair->wait(60), 0, "$name: renamed, loaded again");
    is($target->one('SELECT COUNT(*) - SUM(n >= 50) FROM shop.k2'), 0, "$name: through the filter of its new name");
    is($target->one('SELECT COUNT(*) FROM shop.k2'), $source->one('SELECT COUNT(*) FROM shop.k2 WHERE n >= 50'), "$name: all of them");
    $source->sql('RENAME TABLE shop.k2 TO shop.k');

    # Another filter: what came through the old one goes.
    my $other = Syncline::Pair->new(source => $source, target => $target, objects => $objects =~ s/BETWEEN 20 AND 70/> 60/r);
    $other->{marks} = $pair->{marks};
    $other->start('loaded');
    is($other->wait(60), 0, "$name: another filter") or diag $other->output;
    is($other->follow($source, $target, 60), 0, "$name: another filter is followed");
    is(differences($source, $target, a => 'n > 60'), '', "$name: loaded through it");
    like($other->output, qr/shop\.a has another `where`/, 'and says so');

    # What it stands on goes away: that table ends, the others do not.
    $source->sql('ALTER TABLE shop.a DROP COLUMN n', "INSERT INTO shop.a (id, v) VALUES (20000, 'x')", "INSERT INTO shop.w VALUES (20000, 7, NULL, 'x')");
    is($other->follow($source, $target, 60), 0, "$name: a dropped column") or diag $other->output;
    like($other->output, qr/quarantined shop\.a: .*column "n" is not among the table's.*syncline resync test shop\.a/, "$name: says what is to be done");
    is($target->one('SELECT COUNT(*) FROM shop.w WHERE id = 20000'), 1, "$name: the others go on");
    is($target->one('SELECT COUNT(*) FROM shop.a WHERE id = 20000'), 0, "$name: that one has ended");

    # Less than whole rows in the log.
    $source->sql('SET GLOBAL binlog_row_image = MINIMAL');
    $source->{dbh} = undef;
    $source->sql("UPDATE shop.b SET v = 'less' WHERE n IS NOT NULL", "INSERT INTO shop.w VALUES (20001, 7, NULL, 'x')");
    is($other->follow($source, $target, 60), 0, "$name: parts of rows") or diag $other->output;
    like($other->output, qr/quarantined shop\.b: the log has no value of column "city", which `where` of shop\.b needs; set binlog_row_image=FULL at the source/, "$name: a row that cannot be told");
    is($target->one('SELECT COUNT(*) FROM shop.w WHERE id = 20001'), 1, "$name: the others go on");
    $_->stop for $source, $target;
}

done_testing;
