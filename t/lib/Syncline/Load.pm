package Syncline::Load;

# Writers that hammer a source while it is carried.
#
#   limit('fraction', 'json')       does without what an end does not know
#   schema($db)                     database `shop`: keyed, several unique keys, foreign keys with
#                                   cascades, self-reference, text key, keyless, accounts, wide
#   my $w = Syncline::Load->start($db, writers => 8, seed => 1);
#   $w->stop                        ends them; number of transactions
#                                   (work => [subs], commit => sub, release => 1: another mix; see PgLoad.pm)
#                                   (xa => 1: XA transactions, in every way they can end)
#   audit($db), audit_counts($db)   triggers that count every row operation; audit_pg($db) at PostgreSQL
#   my $p = poller($db, 'SELECT ...', expected)   polls an invariant; $p->stop: violations
#
# Every writer is a process with a random, seeded mix of transactions over all
# tables: several statements each, rollbacks, savepoints, REPLACE, ON DUPLICATE
# KEY, key changes, swaps of unique values.

use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep time);
our @EXPORT = qw(limit schema fill audit audit_pg audit_counts poller);

my @tables = (
    'customer (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60) NOT NULL, note TEXT, n INT NOT NULL DEFAULT 0)',
    'seat (id INT PRIMARY KEY, code VARCHAR(20) NOT NULL, place INT NULL, UNIQUE KEY code (code), UNIQUE KEY place (place))',
    'orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED, total DECIMAL(12,2), '
        . 'FOREIGN KEY (customer) REFERENCES SCHEMA.customer (id) ON DELETE CASCADE ON UPDATE CASCADE)',
    'item (orders INT NOT NULL, line INT NOT NULL, what VARCHAR(30), PRIMARY KEY (orders, line), '
        . 'FOREIGN KEY (orders) REFERENCES SCHEMA.orders (id) ON DELETE CASCADE)',
    'word (w VARCHAR(40) NOT NULL, lang CHAR(2) NOT NULL, hits INT NOT NULL, PRIMARY KEY (w, lang))',
    'events (at DATETIME(6), kind INT, what VARCHAR(40))',
    'account (id INT PRIMARY KEY, balance INT NOT NULL)',
    'bank (id INT PRIMARY KEY, balance INT NOT NULL)',
    'wide (id BIGINT PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT UNSIGNED, e DECIMAL(30,10), f FLOAT, '
        . "g DOUBLE, h DATE, i DATETIME(6), j TIME(3), k TIMESTAMP(6) NULL, l YEAR, m VARCHAR(50) CHARACTER SET latin1, "
        . "n VARBINARY(80), o BINARY(8), p BIT(12), q ENUM('x','y','z'), r SET('a','b','c'), s BLOB, t JSON)",
);
my $accounts = 20;
my %without;
my $now = 'NOW(6)';

sub limit {
    %without = map { $_ => 1 } @_;
    $now = $without{fraction} ? 'NOW()' : 'NOW(6)';
}

sub definition {
    my ($schema, $text) = @_;
    $text =~ s/\bSCHEMA\b/$schema/g;
    $text =~ s/\b(DATETIME|TIMESTAMP|TIME)\(\d\)/$1/g if $without{fraction};
    $text =~ s/\bJSON\b/TEXT/g if $without{json};
    return $text;
}

sub schema {
    my ($db, $schema) = @_;
    $schema ||= 'shop';
    $db->sql("CREATE DATABASE $schema CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", map { "CREATE TABLE $schema." . definition($schema, $_) . ' ENGINE=InnoDB' } @tables);
    $db->sql("INSERT INTO $schema.account VALUES " . join(',', map { "($_, 100)" } 1 .. $accounts),
        "INSERT INTO $schema.bank VALUES " . join(',', map { "($_, 100)" } 1 .. $accounts));
}

# Rows that are there before anything else.
sub fill {
    my ($db, $n) = @_;
    my $dbh = $db->main_dbh;
    $dbh->begin_work;
    for my $i (1 .. $n) {
        $dbh->do('INSERT INTO shop.customer (name, note) VALUES (?, ?)', undef, "first $i", 'x' x ($i % 40));
        $dbh->do('INSERT INTO shop.orders (customer, total) VALUES (?, ?)', undef, $i, $i / 4);
        $dbh->do('INSERT INTO shop.item VALUES (?, 1, ?)', undef, $i, "thing $i");
        $dbh->do('INSERT INTO shop.seat VALUES (?, ?, ?)', undef, $i, "c$i", $i % 3 ? $i : undef);
        $dbh->do('INSERT INTO shop.word VALUES (?, ?, ?)', undef, "Word$i", ('en', 'de')[$i % 2], $i);
        $dbh->do("INSERT INTO shop.events VALUES ($now, ?, ?)", undef, $i % 7, 'e' . $i % 50) if $i % 2;
        wide($dbh, $i) if $i % 5 == 0;
        if ($i % 500 == 0) { $dbh->commit; $dbh->begin_work }
    }
    $dbh->commit;
}

sub wide {
    my ($dbh, $id) = @_;
    $dbh->do(
        "REPLACE INTO shop.wide VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, $now, ?, ?, ?, ?, ? + 0, ? + 0, ? + 0, ?, ?)",
        undef, $id, int(rand 256) - 128, int rand 65536, int(rand 1000) - 500, '18446744073709551615', rand(1e9) - 5e8, rand, rand() * 1e100,
        sprintf('20%02d-0%d-1%d', rand 100, 1 + rand 9, rand 10), '2020-08-01 12:34:56.' . int(rand 1e6), '-' . int(rand 800) . ':59:59.123',
        1901 + int rand 200, "caf\xe9 " . int(rand 1e6), join('', map { chr rand 128 } 1 .. rand 40), "ab\0" . int(rand 10), int(rand 4096),
        1 + int(rand 3), int(rand 8), join('', map { chr rand 256 } 1 .. rand 300), '{"k": [' . int(rand 100) . ', 1.5, "x", null]}');
}

my @work = (
    sub { my ($d) = @_; $d->do('INSERT INTO shop.customer (name, note) VALUES (?, ?)', undef, 'c' . int rand 1e9, 'n' x rand 60) },
    sub { my ($d) = @_; $d->do('UPDATE shop.customer SET n = n + 1, note = CONCAT(COALESCE(note, ""), "u") WHERE id = ?', undef, 1 + int rand 3000) },
    sub { my ($d) = @_; $d->do('DELETE FROM shop.customer WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.3 },
    sub { my ($d) = @_; $d->do('UPDATE shop.customer SET id = id + 1000000 WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.1 },
    sub { my ($d) = @_; $d->do('INSERT INTO shop.orders (customer, total) SELECT id, ? FROM shop.customer WHERE id >= ? ORDER BY id LIMIT 2', undef, rand 100, int rand 3000) },
    sub { my ($d) = @_; $d->do('INSERT IGNORE INTO shop.item SELECT id, ?, "more" FROM shop.orders WHERE id >= ? ORDER BY id LIMIT 3', undef, int rand 9, int rand 3000) },
    sub { my ($d) = @_; $d->do('DELETE FROM shop.orders WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.3 },
    sub {    # values of a unique key wander
        my ($d) = @_;
        my ($a, $b) = (1 + int rand 200, 1 + int rand 200);
        my $code = $d->selectrow_array('SELECT code FROM shop.seat WHERE id = ? FOR UPDATE', undef, $a) // return;
        my $other = $d->selectrow_array('SELECT code FROM shop.seat WHERE id = ? FOR UPDATE', undef, $b) // return;
        return if $a == $b;
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, "tmp$$", $a);
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, $code, $b);
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, $other, $a);
    },
    sub { my ($d) = @_; my $p = rand() < 0.3 ? undef : int rand 300; $d->do('UPDATE shop.seat SET place = ? WHERE id = ? AND NOT place <=> ?', undef, $p, 1 + int rand 300, $p) },
    sub { my ($d) = @_; $d->do('REPLACE INTO shop.seat VALUES (?, ?, NULL)', undef, 1 + int rand 300, 'r' . int rand 400) },
    sub { my ($d) = @_; $d->do('INSERT INTO shop.word VALUES (?, "en", 1) ON DUPLICATE KEY UPDATE hits = hits + 1', undef, ('Word', 'word')[rand 2] . int rand 500) },
    sub { my ($d) = @_; $d->do('DELETE FROM shop.word WHERE w = ? AND lang = "de"', undef, 'Word' . int rand 500) },
    sub { my ($d) = @_; $d->do("INSERT INTO shop.events VALUES ($now, ?, ?), ('2020-01-01', 1, 'same'), ('2020-01-01', 1, 'same')", undef, int rand 7, 'e' . int rand 50) },
    sub { my ($d) = @_; $d->do('UPDATE shop.events SET kind = kind + 1 WHERE what = ? LIMIT 2', undef, 'e' . int rand 50) },
    sub { my ($d) = @_; $d->do('DELETE FROM shop.events WHERE what = "same" LIMIT 1') },
    sub {    # money moves between two tables: the sum of both never changes
        my ($d) = @_;
        my ($x, $from, $to) = (1 + int rand 9, 1 + int rand $accounts, 1 + int rand $accounts);
        $d->do('UPDATE shop.account SET balance = balance - ? WHERE id = ?', undef, $x, $from);
        $d->do('UPDATE shop.bank SET balance = balance + ? WHERE id = ?', undef, $x, $to);
    },
    sub { my ($d) = @_; wide($d, 1 + int rand 400) },
    sub { my ($d) = @_; $d->do('UPDATE shop.wide SET a = (a + 1) % 100, t = ? WHERE id = ?', undef, '[1, {"a": "b"}]', 1 + int rand 400) },
);

sub one_transaction {
    my ($d, $work, $commit, $release) = @_;
    $d->begin_work;
    for (1 .. 1 + rand 5) {
        $work->[rand @$work]->($d);
        if (rand() < 0.05) { $d->do('SAVEPOINT s'); $work->[rand @$work]->($d); $d->do('ROLLBACK TO SAVEPOINT s'); $d->do('RELEASE SAVEPOINT s') if $release }
    }
    rand() < 0.1 ? $d->rollback : $commit->($d);
}

# The same as a branch: committed in one phase or two, rolled back before or after it was
# prepared, ended by the session that began it or, once that is gone, by another one.
sub xa_transaction {
    my ($d, $work, $db) = @_;
    our $branch //= 0;
    my $xid = "'b$$', '" . ++$branch . "', " . int rand 4;
    my $begun = eval {
        $d->do("XA START $xid");
        for (1 .. 1 + rand 5) {
            $work->[rand @$work]->($d);
            if (rand() < 0.05) { $d->do('SAVEPOINT s'); $work->[rand @$work]->($d); $d->do('ROLLBACK TO SAVEPOINT s') }
        }
        $d->do("XA END $xid");
        1;
    };
    if (!$begun || rand() < 0.05) { eval { $d->do("XA END $xid") }; $d->do("XA ROLLBACK $xid"); return $d }
    if (rand() < 0.3) { $d->do("XA COMMIT $xid ONE PHASE"); return $d }
    $d->do("XA PREPARE $xid");
    sleep rand 0.05 if rand() < 0.2;
    my $end = (rand() < 0.15 ? 'XA ROLLBACK ' : 'XA COMMIT ') . $xid;
    if (rand() < 0.9) { $d->do($end); return $d }
    $d->disconnect;
    $d = $db->dbh;
    for (1 .. 100) { last if eval { $d->do($end) }; sleep 0.05 }    # the other session may not be gone yet
    return $d;
}

sub writer {
    my ($db, $seed, $o, $out) = @_;
    my ($pause, $work, $commit) = ($o->{pause}, $o->{work} || \@work, $o->{commit} || sub { $_[0]->commit });
    my ($end, $n) = (0, 0);
    local $SIG{TERM} = sub { $end = 1 };
    srand $seed;
    my $d = $db->dbh;
    while ($o->{xa} && !$end) { $d = xa_transaction($d, $work, $db); $n++; sleep $pause if $pause }
    while (!$end) {
        eval { one_transaction($d, $work, $commit, $o->{release}); $n++; 1 } or eval { $d->rollback if !$d->{AutoCommit}; 1 } or last;
        sleep $pause if $pause;
    }
    print $out "$n\n";
    close $out;
    POSIX::_exit(0);
}

sub start {
    my ($class, $db, %o) = @_;
    my $self = bless {children => []}, $class;
    for my $i (1 .. $o{writers} || 4) {
        pipe my $in, my $out or die "pipe: $!";
        my $pid = fork() // die "fork: $!";
        if ($pid == 0) { close $in; writer($db, ($o{seed} || 1) * 100 + $i, \%o, $out) }
        close $out;
        push @{$self->{children}}, [$pid, $in];
    }
    return $self;
}

sub stop {
    my ($self) = @_;
    my $total = 0;
    kill 'TERM', $_->[0] for @{$self->{children}};
    for my $c (@{$self->{children}}) {
        my $n = readline $c->[1];
        $total += $n || 0;
        waitpid $c->[0], 0;
    }
    $self->{children} = [];
    return $total;
}

sub DESTROY { my ($self) = @_; kill 'KILL', $_->[0] for @{$self->{children}} }

# ---- audit ----

sub audit {
    my ($db, $schema) = @_;
    $schema ||= 'shop';
    $db->sql('CREATE DATABASE IF NOT EXISTS audit', 'CREATE TABLE IF NOT EXISTS audit.ops (tbl VARCHAR(64), op CHAR(1)) ENGINE=InnoDB');
    for my $t (map { $_->[0] } @{$db->rows("SELECT table_name FROM information_schema.tables WHERE table_schema = ?", $schema)}) {
        for my $op (qw(INSERT UPDATE DELETE)) {
            $db->sql("CREATE TRIGGER $schema.audit_${t}_$op AFTER $op ON $schema.$t FOR EACH ROW INSERT INTO audit.ops VALUES ('$t', '"
                    . substr($op, 0, 1) . "')");
        }
    }
}

# What a cascade does has no trigger at MySQL; alone => 1 does not count it here either, which
# can only be told before the row.
sub audit_pg {
    my ($db, $schema, %o) = @_;
    my ($when, $if) = $o{alone} ? ('BEFORE', 'pg_trigger_depth() = 1') : ('AFTER', 'true');
    $db->sql('CREATE SCHEMA audit', 'CREATE TABLE audit.ops (tbl text, op text)',
        qq{CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            \$\$ BEGIN
                IF $if THEN INSERT INTO audit.ops VALUES (TG_ARGV[0], left(TG_OP, 1)); END IF;
                RETURN coalesce(NEW, OLD);
            END \$\$});
    for my $t (map { $_->[0] } @{$db->rows(q{SELECT relname FROM pg_class WHERE relnamespace = ?::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition}, $schema)}) {
        $db->sql("CREATE TRIGGER audit $when INSERT OR UPDATE OR DELETE ON $schema.$t FOR EACH ROW EXECUTE PROCEDURE audit.note('$t')",
            "ALTER TABLE $schema.$t ENABLE ALWAYS TRIGGER audit");
    }
}

sub audit_counts {
    my ($db) = @_;
    return join "\n", map { "@$_" } @{$db->rows('SELECT tbl, op, COUNT(*) FROM audit.ops GROUP BY tbl, op ORDER BY tbl, op')};
}

# ---- invariants ----

sub poller {
    my ($db, $query, $expected) = @_;
    pipe my $in, my $out or die "pipe: $!";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        my ($end, $polls, $bad) = (0, 0, '');
        local $SIG{TERM} = sub { $end = 1 };
        my $d = $db->dbh;
        while (!$end) {
            my $got = eval { $d->selectrow_array($query) };
            if (!defined $got) { sleep 0.05; $d = eval { $db->dbh } || $d; next }
            $polls++;
            $bad ||= "$got instead of $expected" if $got ne $expected;
            sleep 0.002;
        }
        print $out "$polls $bad\n";
        close $out;
        POSIX::_exit(0);
    }
    close $out;
    return bless {pid => $pid, in => $in}, 'Syncline::Load::Poller';
}

package Syncline::Load::Poller;

# (number of polls, violation or '')
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    my $line = readline $self->{in};
    waitpid $self->{pid}, 0;
    return (split ' ', $line // '0', 2)[0, 1];
}

1;
