# Tables that come into the selection from outside of it: the statements of gh-ost and of
# pt-online-schema-change under load, with tables selected by name and by database; a rename
# from outside, CREATE .. LIKE of an outside table, CREATE TABLE IF NOT EXISTS of one that loads.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;
use Time::HiRes qw(sleep);

my @work = (
    sub { $_[0]->do('INSERT INTO shop.t (v, n) VALUES (?, ?)', undef, 'v' . int rand 1e6, int rand 100) },
    sub { $_[0]->do('UPDATE shop.t SET n = n + 1, v = CONCAT(v, "u") WHERE id = ?', undef, 1 + int rand 600) },
    sub { $_[0]->do('DELETE FROM shop.t WHERE id = ?', undef, 1 + int rand 600) if rand() < 0.3 },
    sub { $_[0]->do('UPDATE shop.other SET n = n + 1 WHERE id = ?', undef, 1 + int rand 3) },
);

sub clean { $_->sql(map { "DROP DATABASE IF EXISTS $_" } qw(shop marker syncline)) for @_ }

sub begin {
    my ($source) = @_;
    $source->sql(
        'CREATE DATABASE shop', 'CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(60), n INT) ENGINE=InnoDB', 'CREATE TABLE shop.other (id INT PRIMARY KEY, n INT) ENGINE=InnoDB',
        'INSERT INTO shop.other VALUES (1, 0), (2, 0), (3, 0)', 'INSERT INTO shop.t (v, n) VALUES ' . join ',', map { "('first $_', $_)" } 1 .. 600
    );
}

sub copy {
    my ($source, $to, $how) = @_;
    for my $i (0 .. 5) { $source->sql("$how INTO shop.$to (id, v, n) (SELECT id, v, n FROM shop.t FORCE INDEX (PRIMARY) WHERE id > @{[$i * 200]} AND id <= @{[$i * 200 + 200]} LOCK IN SHARE MODE)") }
}

# As gh-ost says it, atomic cut-over included: the rename waits behind a lock until the sentry is gone.
sub ghost {
    my ($source, $alter) = @_;
    $source->sql(
        "CREATE /* gh-ost */ TABLE shop._t_ghc (id BIGINT AUTO_INCREMENT, last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hint VARCHAR(64) CHARACTER SET ascii NOT NULL, value VARCHAR(255) CHARACTER SET ascii NOT NULL, PRIMARY KEY (id), UNIQUE KEY hint_uidx (hint)) AUTO_INCREMENT=256",
        'CREATE /* gh-ost */ TABLE shop._t_gho LIKE shop.t', "ALTER /* gh-ost */ TABLE shop._t_gho $alter",
        "INSERT /* gh-ost */ INTO shop._t_ghc (id, hint, value) VALUES (NULLIF(1, 0), 'state', 'GhostTableMigrated') ON DUPLICATE KEY UPDATE last_update = NOW(), value = VALUES(value)"
    );
    copy($source, '_t_gho', 'INSERT /* gh-ost */ IGNORE');
    my $holder = $source->dbh;
    $holder->do($_) for "CREATE /* gh-ost */ TABLE shop._t_del (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB COMMENT='ghost-cut-over-sentry'", 'LOCK /* gh-ost */ TABLES shop.t WRITE, shop._t_del WRITE';
    my $pid = fork() // die;
    if ($pid == 0) {
        my $d = $source->dbh;
        my $ok = eval { $d->do('RENAME /* gh-ost */ TABLE shop.t TO shop._t_del, shop._t_gho TO shop.t') };
        POSIX::_exit($ok ? 0 : 1);
    }
    for (1 .. 200) { last if $source->one("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'RENAME /* gh-ost%'"); sleep 0.05 }
    $holder->do($_) for 'DROP /* gh-ost */ TABLE IF EXISTS shop._t_del', 'UNLOCK TABLES';
    waitpid $pid, 0;
    die "the rename failed" if $?;
    $source->sql('DROP /* gh-ost */ TABLE IF EXISTS shop._t_ghc', 'DROP /* gh-ost */ TABLE IF EXISTS shop._t_del');
}

sub online {
    my ($source, $alter) = @_;
    my $guard = 'DECLARE CONTINUE HANDLER FOR 1146 BEGIN END';
    my $put = 'REPLACE INTO shop._t_new (id, v, n) VALUES (NEW.id, NEW.v, NEW.n)';
    my $create = $source->rows('SHOW CREATE TABLE shop.t')->[0][1] =~ s/CREATE TABLE `t`/CREATE TABLE `shop`.`_t_new`/r;
    $source->sql(
        $create, "ALTER TABLE shop._t_new $alter", "CREATE TRIGGER shop.pt_osc_shop_t_del AFTER DELETE ON shop.t FOR EACH ROW BEGIN $guard; DELETE IGNORE FROM shop._t_new WHERE shop._t_new.id <=> OLD.id; END",
        "CREATE TRIGGER shop.pt_osc_shop_t_upd AFTER UPDATE ON shop.t FOR EACH ROW BEGIN $guard; DELETE IGNORE FROM shop._t_new WHERE !(OLD.id <=> NEW.id) AND shop._t_new.id <=> OLD.id; $put; END",
        "CREATE TRIGGER shop.pt_osc_shop_t_ins AFTER INSERT ON shop.t FOR EACH ROW BEGIN $guard; $put; END"
    );
    copy($source, '_t_new', 'INSERT LOW_PRIORITY IGNORE');
    $source->sql('ANALYZE TABLE shop._t_new /* pt-online-schema-change */', 'RENAME TABLE shop.t TO shop._t_old, shop._t_new TO shop.t', 'DROP TABLE IF EXISTS shop._t_old',
        map { "DROP TRIGGER IF EXISTS shop.pt_osc_shop_t_$_" } qw(del upd ins));
}

my %objects = (
    tables => '{ database = "shop"; table = "t"; }, { database = "shop"; table = "other"; }, { database = "marker"; }',
    database => '{ database = "shop"; }, { database = "marker"; }',
);

for my $name (qw(mysql-8.0 mariadb-10.11)) {
    my ($source, $target) = (node($name), node($name));
    for my $by (qw(tables database)) {
        my $is = "$name, selected by $by";
        clean($source, $target);
        begin($source);
        my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects{$by}, more => "chunk_rows = 100;\n");
        is($pair->follow($source, $target, 60), 0, "$is: loaded") or diag $pair->output;
        my $load = Syncline::Load->start($source, writers => 2, seed => 3, pause => 0.01, work => \@work);
        $pair->start;
        ghost($source, 'ADD COLUMN w INT NOT NULL DEFAULT 7 AFTER id, MODIFY n BIGINT');
        $pair->kill_worker;
        $pair->stop;
        is($pair->follow($source, $target, 60), 0, "$is: gh-ost") or diag $pair->output;
        $pair->start;
        online($source, 'ADD COLUMN x VARCHAR(5) DEFAULT "x", DROP COLUMN w, ADD INDEX (n)');
        $pair->kill_worker;
        cmp_ok($load->stop, '>', 20, "$is: under load");
        $pair->stop;
        $pair->start('caught-up');
        is($pair->wait(60), 0, "$is: pt-online-schema-change") or diag $pair->output;
        is($pair->follow($source, $target, 60), 0, "$is: to the log's end") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', "$is: equal") or diag $pair->output;
        is($target->one("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 't' AND column_name = 'x'"), 1, "$is: with its new column");
        unlike($pair->output, qr/^conflict|^quarantined/m, "$is: without a conflict");
    }

    # One by one: moved in where there was nothing, swapped in with others that stay inside, made LIKE one outside.
    clean($source, $target);
    begin($source);
    my $more = ', { database = "shop"; table = "u"; }, { database = "shop"; table = "l"; }, { database = "shop"; table = "m"; }';
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects{tables} . $more);
    $source->sql('CREATE TABLE shop.outside (id INT PRIMARY KEY, o INT) ENGINE=InnoDB', 'INSERT INTO shop.outside VALUES (1, 10), (2, 20)', 'CREATE TABLE shop.out2 LIKE shop.outside');
    is($pair->follow($source, $target, 60), 0, "$name: loaded") or diag $pair->output;
    $source->sql(
        'RENAME TABLE shop.outside TO shop.u', 'INSERT INTO shop.u VALUES (3, 30)', 'CREATE TABLE shop.l LIKE shop.out2', 'INSERT INTO shop.l VALUES (5, 50)', 'ALTER TABLE shop.l ADD COLUMN z INT',
        'INSERT INTO shop.l VALUES (6, 60, 600)', 'ALTER TABLE shop.out2 RENAME TO shop.m, ADD COLUMN y INT', 'INSERT INTO shop.m VALUES (7, 70, 700)', 'UPDATE shop.t SET n = -1 WHERE id = 5'
    );
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: tables come in") or diag $pair->output;
    is($pair->follow($source, $target, 60), 0, "$name: and stream") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: equal") or diag $pair->output;
    $source->sql('CREATE TABLE shop.outside (id INT PRIMARY KEY, q INT) ENGINE=InnoDB', 'INSERT INTO shop.outside VALUES (8, 80)', 'RENAME TABLE shop.l TO shop.gone, shop.u TO shop.l, shop.outside TO shop.u', 'INSERT INTO shop.u VALUES (9, 90)', 'INSERT INTO shop.l VALUES (99, 9)');
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: a statement that moves some within and one in") or diag $pair->output;
    is($pair->follow($source, $target, 60), 0, "$name: all of it") or diag $pair->output;
    is(join("\n", grep { !/^gone|table gone/ } compare($source, $target, 'shop')), '', "$name: equal again") or diag $pair->output;

    # What exists is not made, whatever state it is in: a table that loads goes on with that.
    clean($source, $target);
    begin($source);
    $source->sql('INSERT INTO shop.t (v, n) SELECT v, n FROM shop.t') for 1 .. 5;
    $pair = Syncline::Pair->new(source => $source, target => $target, objects => $objects{tables}, more => "chunk_rows = 200;\nlanes = 1;\n");
    $pair->start;
    for (1 .. 500) { last if eval { ($target->one("SELECT COUNT(*) FROM shop.t") // 0) > 0 }; sleep 0.01 }
    for (1 .. 5) { $source->sql('CREATE TABLE IF NOT EXISTS shop.t (id INT PRIMARY KEY)'); sleep 0.02 }
    $pair->stop;
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: CREATE TABLE IF NOT EXISTS while it loads") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: loaded to its end");
    $_->stop for $source, $target;
}
done_testing;
