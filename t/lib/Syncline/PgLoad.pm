package Syncline::PgLoad;

# Tables and a mix of transactions for a PostgreSQL source; see Load.pm.
#
#   pg_schema($db); pg_fill($db, 1000);
#   my $w = Syncline::Load->start($db, pg_load(), writers => 8, seed => 1);
#
# Keys of several kinds, several unique keys, cascades, self-reference, keyless with
# REPLICA IDENTITY FULL, values out of line, a partitioned table; savepoints taken
# back, two-phase commits, changes of keys, swaps of unique values.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(pg_schema pg_fill pg_load);

my $accounts = 20;

# Partitioned tables have keys from 11 on, and are published from 13 on, at this and at other ends.
sub pg_schema {
    my ($db, @others) = @_;
    my $parts = !grep { $_->one('SHOW server_version_num') < 130000 } $db, @others;
    $db->sql('CREATE SCHEMA shop', map { "CREATE TABLE shop.$_" }
        'customer (id bigserial PRIMARY KEY, name text NOT NULL, note text, n int NOT NULL DEFAULT 0)',
        'seat (id int PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, place int UNIQUE)',
        'orders (id serial PRIMARY KEY, customer bigint REFERENCES shop.customer ON DELETE CASCADE ON UPDATE CASCADE, total numeric(12,2))',
        'item (orders int NOT NULL REFERENCES shop.orders ON DELETE CASCADE, line int NOT NULL, what text, PRIMARY KEY (orders, line))',
        'word (w text NOT NULL, lang char(2) NOT NULL, hits int NOT NULL, PRIMARY KEY (w, lang))',
        'events (at timestamptz, kind int, what text)',
        'tree (id int PRIMARY KEY, parent int REFERENCES shop.tree ON DELETE SET NULL, v text)',
        'blob (id int PRIMARY KEY, n int, body text, raw bytea)',
        'account (id int PRIMARY KEY, balance int NOT NULL)', 'bank (id int PRIMARY KEY, balance int NOT NULL)',
        'measure (day date NOT NULL, id int NOT NULL, v float8, PRIMARY KEY (day, id))' . ($parts ? ' PARTITION BY RANGE (day)' : ''),
        ($parts ? map { "measure_$_->[0] PARTITION OF shop.measure FOR VALUES FROM ('$_->[1]') TO ('$_->[2]')" }
            ['a', '2020-01-01', '2020-07-01'], ['b', '2020-07-01', '2021-01-01'] : ()),
        'wide (id uuid PRIMARY KEY, a smallint, b boolean, c numeric, d numeric(20,5), e real, f float8, g date, h time(3), i timetz, '
            . 'j interval, k int[], l text[], m jsonb, n json, o inet, p bit(11), q varbit, r int4range, s point, t char(5), u "char", v timestamp(3))');
    $db->sql('ALTER TABLE shop.events REPLICA IDENTITY FULL',
        map { "INSERT INTO shop.$_ SELECT i, 100 FROM generate_series(1, $accounts) i" } qw(account bank));
    return $db;
}

sub pg_fill {
    my ($db, $n) = @_;
    $db->sql(
        "INSERT INTO shop.customer (name, note) SELECT 'first ' || i, repeat('x', i % 40) FROM generate_series(1, $n) i",
        "INSERT INTO shop.orders (customer, total) SELECT i, i / 4.0 FROM generate_series(1, $n) i",
        "INSERT INTO shop.item SELECT i, 1, 'thing ' || i FROM generate_series(1, $n) i",
        "INSERT INTO shop.seat SELECT i, 'c' || i, CASE WHEN i % 3 <> 0 THEN i END FROM generate_series(1, $n) i",
        "INSERT INTO shop.word SELECT 'Word' || i, CASE i % 2 WHEN 0 THEN 'en' ELSE 'de' END, i FROM generate_series(1, $n) i",
        "INSERT INTO shop.events SELECT now(), i % 7, 'e' || i % 50 FROM generate_series(1, $n / 2) i",
        "INSERT INTO shop.tree SELECT i, nullif(i / 3, 0), 't' || i FROM generate_series(1, $n) i",
        "INSERT INTO shop.blob SELECT i, 0, (SELECT string_agg(md5((i * 1000 + k)::text), '') FROM generate_series(1, 150) k), '\\x00ff'::bytea FROM generate_series(1, $n / 10) i",
        "INSERT INTO shop.measure SELECT date '2020-01-01' + i % 360, i, i / 3.0 FROM generate_series(1, $n) i",
        (map { wide($_) } 1 .. $n / 10),
    );
}

sub wide {
    my ($i) = @_;
    my $id = sprintf '00000000-0000-4000-8000-%012d', $i;
    return "INSERT INTO shop.wide VALUES ('$id', @{[int(rand 60000) - 30000]}, @{[rand() < 0.5 ? 'true' : 'false']}, @{[(1.50, q('NaN'), '1e30', '-0.000001')[rand 4]]}, "
        . "@{[rand 1e9]}, @{[rand]}, @{[(rand() * 1e200, q('-Infinity'), q('NaN'))[rand 3]]}, @{[(q('infinity'), q('2020-02-29'), q('0044-03-15 BC'))[rand 3]]}, "
        . "'23:59:59.5', '12:00:00+02', '1 year 2 mons -3 days 04:05:06.789', '{1,NULL,3}', '{a,\"b c\",NULL}', '{\"k\": [@{[int rand 100]}, 1.50, \"x\", null]}', "
        . "'{\"b\":1,  \"a\":2}', '10.0.0.0/8', B'10101010101', B'0011', '[1,@{[2 + int rand 9]})', '(1.5,-2)', 'ab', 'x', '2020-08-01 12:34:56.@{[int rand 1000]}') "
        . "ON CONFLICT (id) DO UPDATE SET a = excluded.a, c = excluded.c, f = excluded.f, g = excluded.g, m = excluded.m, r = excluded.r";
}

my @work = (
    sub { $_[0]->do('INSERT INTO shop.customer (name, note) VALUES (?, ?)', undef, 'c' . int rand 1e9, 'n' x rand 60) },
    sub { $_[0]->do(q{UPDATE shop.customer SET n = n + 1, note = coalesce(note, '') || 'u' WHERE id = ?}, undef, 1 + int rand 3000) },
    sub { $_[0]->do('DELETE FROM shop.customer WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.3 },
    sub { $_[0]->do('UPDATE shop.customer SET id = id + 1000000 WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.1 },
    sub { $_[0]->do('INSERT INTO shop.orders (customer, total) SELECT id, ? FROM shop.customer WHERE id >= ? ORDER BY id LIMIT 2', undef, sprintf('%.2f', rand 100), int rand 3000) },
    sub { $_[0]->do(q{INSERT INTO shop.item SELECT id, ?, 'more' FROM shop.orders WHERE id >= ? ORDER BY id LIMIT 3 ON CONFLICT DO NOTHING}, undef, int rand 9, int rand 3000) },
    sub { $_[0]->do('DELETE FROM shop.orders WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.3 },
    sub {
        my ($d) = @_;
        my ($a, $b) = (1 + int rand 200, 1 + int rand 200);
        my $code = $d->selectrow_array('SELECT code FROM shop.seat WHERE id = ? FOR UPDATE', undef, $a) // return;
        my $other = $d->selectrow_array('SELECT code FROM shop.seat WHERE id = ? FOR UPDATE', undef, $b) // return;
        return if $a == $b;
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, "tmp$$", $a);
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, $code, $b);
        $d->do('UPDATE shop.seat SET code = ? WHERE id = ?', undef, $other, $a);
    },
    sub { my $p = rand() < 0.3 ? undef : 5000 + int rand 100000; $_[0]->do('UPDATE shop.seat SET place = ? WHERE id = ?', undef, $p, 1 + int rand 300) },
    sub { $_[0]->do(q{INSERT INTO shop.word VALUES (?, 'en', 1) ON CONFLICT (w, lang) DO UPDATE SET hits = shop.word.hits + 1}, undef, ('Word', 'word')[rand 2] . int rand 500) },
    sub { $_[0]->do(q{DELETE FROM shop.word WHERE w = ? AND lang = 'de'}, undef, 'Word' . int rand 500) },
    sub { $_[0]->do(q{INSERT INTO shop.events VALUES (now(), ?, ?), ('2020-01-01', 1, 'same'), ('2020-01-01', 1, 'same')}, undef, int rand 7, 'e' . int rand 50) },
    sub { $_[0]->do('UPDATE shop.events SET kind = kind + 1 WHERE ctid IN (SELECT ctid FROM shop.events WHERE what = ? LIMIT 2)', undef, 'e' . int rand 50) },
    sub { $_[0]->do(q{DELETE FROM shop.events WHERE ctid IN (SELECT ctid FROM shop.events WHERE what = 'same' LIMIT 1)}) },
    sub { $_[0]->do('DELETE FROM shop.tree WHERE id = ?', undef, 1 + int rand 3000) if rand() < 0.3 },
    sub { $_[0]->do('INSERT INTO shop.tree VALUES (?, NULL, ?) ON CONFLICT (id) DO UPDATE SET v = excluded.v', undef, 1 + int rand 3000, 'v' . rand) },
    sub { $_[0]->do('UPDATE shop.blob SET n = n + 1 WHERE id = ?', undef, 1 + int rand 300) },    # body stays out of line
    sub { $_[0]->do('UPDATE shop.blob SET body = body || ? WHERE id = ?', undef, 'more' . rand, 1 + int rand 300) },
    sub { $_[0]->do(q{UPDATE shop.measure SET v = v + 1, day = CASE WHEN ? THEN day ELSE date '2020-01-01' + (extract(doy FROM day)::int + 180) % 360 END WHERE id = ?}, undef, rand() < 0.7, 1 + int rand 3000) },
    sub {
        my ($d) = @_;
        my ($x, $from, $to) = (1 + int rand 9, 1 + int rand $accounts, 1 + int rand $accounts);
        $d->do('UPDATE shop.account SET balance = balance - ? WHERE id = ?', undef, $x, $from);
        $d->do('UPDATE shop.bank SET balance = balance + ? WHERE id = ?', undef, $x, $to);
    },
    sub { $_[0]->do(wide(1 + int rand 400)) },
);

my $prepared = 0;

# Now and then in two phases.
sub commit {
    my ($d) = @_;
    if (rand() >= 0.05) { $d->commit; return }
    my $name = "p$$." . $prepared++;
    $d->do("PREPARE TRANSACTION '$name'");
    $d->do("COMMIT PREPARED '$name'");
}

# plain => 1: without the table `wide`, whose values only PostgreSQL has; flat => 1: no subtransaction
# that commits.
sub pg_load { my (%o) = @_; return (work => [$o{plain} ? @work[0 .. $#work - 1] : @work], commit => \&commit, release => $o{flat}) }

1;
