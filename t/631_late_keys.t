# Keys of a large table at a PostgreSQL target are made of all its rows at once, unless something
# needs them before: the first change of the table, a statement, a transaction that is read on while
# it runs. Each time a load is held half-way, nothing but rows is there, then the keys are, while it
# is still held; a writer that is killed before and behind goes on; in the end the ends are equal,
# keys, indexes and rows. What foreign keys refer to and small tables have their keys all the time,
# and rows that clash are a stop that names them. (R84, R88, R130)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Pair;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = 60_000;

sub soon {
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // 30) * $Syncline::Daemon::patience;
    while (time < $end) { return 1 if $condition->(); sleep 0.01 }
    return 0;
}

sub make {
    my ($db) = @_;
    my $pg = $db->kind eq 'postgresql';
    my ($numbers, $text) = $pg ? ("generate_series(1, $rows) n", 'md5(n::text)') : ("(SELECT seq AS n FROM shop.seq_1_to_$rows) s", 'MD5(n)');
    $db->sql($pg ? 'CREATE SCHEMA shop' : 'CREATE DATABASE shop');
    $db->sql('CREATE TABLE shop.a (id INT PRIMARY KEY, u INT NOT NULL, s VARCHAR(40), k INT' . ($pg ? '' : ', UNIQUE KEY a_u (u), UNIQUE KEY a_sk (s, k), KEY a_k (k)') . ')',
        ($pg ? ('ALTER TABLE shop.a ADD CONSTRAINT a_u UNIQUE (u)', 'CREATE UNIQUE INDEX a_sk ON shop.a (s, k)', 'CREATE INDEX a_k ON shop.a (k)',
            'ALTER TABLE shop.a ADD CONSTRAINT a_late UNIQUE (k, u) DEFERRABLE') : ()),
        'CREATE TABLE shop.parent (id INT PRIMARY KEY, n INT)',
        'CREATE TABLE shop.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES shop.parent (id))', 'CREATE TABLE shop.small (id INT PRIMARY KEY, k INT)',
        "INSERT INTO shop.a SELECT n * 2, n * 3, $text, n % 100 FROM $numbers", "INSERT INTO shop.parent SELECT n, n FROM $numbers",
        "INSERT INTO shop.child SELECT n, n FROM $numbers", 'INSERT INTO shop.small VALUES (1, 1)');
    $db->sql($pg ? 'ANALYZE' : 'ANALYZE TABLE shop.a, shop.parent, shop.child');
}

# Keys and indexes of a target's table by name.
sub indexes { my ($db, $table) = @_; return join ' ', map { $_->[0] } @{$db->rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'shop' AND tablename = ? ORDER BY 1", $table)} }

# All there is to say of them.
sub definitions {
    my ($db) = @_;
    return join "\n", map { join ' ', map { $_ // '-' } @$_ } @{$db->rows(q{SELECT c.relname, pg_get_indexdef(x.indexrelid), x.indisprimary, o.conname, pg_get_constraintdef(o.oid)
        FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid LEFT JOIN pg_constraint o ON o.conindid = x.indexrelid AND o.contype <> 'f'
        WHERE c.relnamespace = 'shop'::regnamespace ORDER BY 1, 2})};
}

sub state_of { my ($db, $table) = @_; return eval { $db->one('SELECT state FROM syncline.table_state WHERE name = ?', $table) } // '' }
sub chunks { my ($db, $table) = @_; return eval { $db->one('SELECT count(*) FROM syncline.chunk WHERE name = ?', $table) } // 0 }

# The table cannot be read at the source until `run` or `release`.
package Hold {
    sub new {
        my ($class, $db) = @_;
        my $self = bless {d => $db->dbh, pg => $db->kind eq 'postgresql'}, $class;
        $self->{d}->do($self->lock);
        return $self;
    }
    sub lock { $_[0]{pg} ? 'BEGIN; LOCK TABLE shop.a IN ACCESS EXCLUSIVE MODE' : 'LOCK TABLES shop.a WRITE' }
    # Changes that are committed although it is held; one chunk at most comes between.
    sub run { my ($self, @sql) = @_; $self->{d}->do($_) for @sql, 'COMMIT; ' . $self->lock }
    sub release { $_[0]{d}->do($_[0]{pg} ? 'COMMIT' : 'UNLOCK TABLES') }
}

# What comes while the load of a is held: [name, in the session that holds it, in another one]
my @cases = (
    ['a change', ['UPDATE shop.a SET k = k + 1000 WHERE id IN (2, 4, 119998, 120000)', 'DELETE FROM shop.a WHERE id IN (6, 119996)', q{INSERT INTO shop.a VALUES (1, 1, 'new', 1)}]],
    ['a statement', undef, ['CREATE TABLE shop.more (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES shop.a (id))', 'INSERT INTO shop.more VALUES (1, 2)']],
    ['a large transaction', ['INSERT INTO shop.small SELECT %s, 1 FROM %s', 'UPDATE shop.a SET k = k + 1000 WHERE id IN (2, 120000)']],
);

sub statements {
    my ($db, $held) = @_;
    my @numbers = $db->kind eq 'postgresql' ? ('n', 'generate_series(2, 12000) n') : ('seq', 'shop.seq_2_to_12000');
    return map { /%s/ ? sprintf($_, @numbers) : $_ } @$held;
}

for my $name ('pgsql -> pgsql', 'mariadb -> pgsql') {
    my ($source, $target) = Syncline::Channel::servers($name);
    my $pg = $source->kind eq 'postgresql';
    my $kept = $pg ? 'a_late' : '';
    for my $case (@cases) {
        my ($what, $held, $beside) = @$case;
        my $title = "$name, $what";
        make($source);
        my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 500;\nlanes = 2;\n");
        $pair->start('caught-up');
        soon(sub { chunks($target, 'a') > 3 }) or diag $pair->output;
        my $hold = Hold->new($source);
        is(state_of($target, 'a'), 'loading', "$title: the load is held half-way") or diag $pair->output;
        is(indexes($target, 'a'), $kept, "$title: nothing is there that can wait");
        is(indexes($target, 'parent'), 'parent_pkey', "$title: what a foreign key refers to is there");
        is(indexes($target, 'small'), 'small_pkey', "$title: a small table has its key");

        # Another writer knows as much.
        $pair->kill_all;
        $pair->start('caught-up');
        soon(sub { (() = $pair->output =~ /^flowing/mg) == 2 });
        is(indexes($target, 'a'), $kept, "$title: killed, they still wait");

        if ($held && $pg) {
            $hold->run(statements($source, $held));
            ok(soon(sub { indexes($target, 'a') =~ /a_pkey.* a_sk a_u/ }), "$title: then the keys are made") or diag $pair->output;
            is(state_of($target, 'a'), 'loading', "$title: while it loads");
            unlike(indexes($target, 'a'), qr/\ba_k\b/, "$title: what only searching needs still waits");
            ok(soon(sub { $target->one('SELECT k FROM shop.a WHERE id = 2') >= 1000 }), "$title: it has arrived");
            $pair->kill_all;
            $hold->release;
            $pair->start('caught-up');
        } else { # a reference locks what it refers to; a MySQL source's log stands while the chunk waits
            $hold->release;
            $source->sql($held ? ('BEGIN', statements($source, $held), 'COMMIT') : @$beside);
        }
        is($pair->wait(60), 0, "$title: it ends") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', "$title: both ends are equal");
        is(definitions($target), definitions($source), "$title: and their indexes") if $pg;
        like(indexes($target, 'a'), qr/a_k.*a_pkey|a_pkey.*a_k/, "$title: keys and indexes are there");
        $pair->start('caught-up');
        $source->sql('UPDATE shop.a SET k = k - 1 WHERE id > 100000');
        is($pair->wait(60), 0, "$title: it goes on") or diag $pair->output;
        is(join("\n", compare($source, $target, 'shop')), '', "$title: with equal ends");
        unlike($pair->output, qr/^conflict/m, "$title: no conflict");
        $target->sql('DROP SCHEMA shop CASCADE', 'DROP SCHEMA syncline CASCADE');
        if ($pg) { $source->sql(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active}, 'DROP SCHEMA shop CASCADE') }
        else { $source->sql('DROP DATABASE shop') }
    }

    # Rows that somebody else writes clash with nothing until the key is made.
    make($source);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 500;\nlanes = 2;\n");
    $pair->start('loaded');
    soon(sub { chunks($target, 'a') > 3 });
    my $hold = Hold->new($source);
    $target->sql(q{INSERT INTO shop.a SELECT 120000, 0, 'mine', 0});
    $hold->release;
    isnt($pair->wait(60), 0, "$name: rows that clash stop the channel");
    like($pair->output, qr/making the keys of source table shop\.a, which have waited for its rows.*120000/s, "$name: it says which");
    like($pair->output, qr/resync \S+ shop\.a/, "$name: and what to do");
    $_->stop for $source, $target;
}
done_testing;
