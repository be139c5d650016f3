package Syncline::PgKinds;

# Tables of every kind that a PostgreSQL source (15) can have, and transactions of every
# kind over them; see Load.pm.
#
#   kinds_prepare($_) for $source, $target    collations, which the channel does not make
#   kinds_settings($_) for $source, $target   how the channel's account would print and read
#   kinds_schema($source)                     schemas `shop`, what any target can hold, and `pg`, what PostgreSQL alone can
#   my $w = Syncline::Load->start($source, kinds_load(), writers => 8, seed => 1);
#
# Sessions change how values look, too. Statements that fail are taken back with their subtransaction.
#
# Left out is what the precheck refuses or warns of: keyless tables without REPLICA IDENTITY FULL,
# an index as the identity beside other keys, computed columns in it, unlogged tables (shop.scratch is
# one), foreign keys of single partitions, constraints that are NOT VALID, TRUNCATE of one partition.
# Collations are made at the target first. MySQL gets no computed columns, and no values such as NaN.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(kinds_prepare kinds_schema kinds_settings kinds_load);

my $rows = 40;    # of a table: few, so that writers meet

sub one_of { return $_[rand @_] }
sub n { return 1 + int rand($_[0] // $rows) }
sub text { my ($t) = @_; return "'" . $t =~ s/'/''/gr . "'" }

# Types of keys: [name, type, can MySQL hold it, a literal for a number, spelled in one of its ways]
my @types = (
    ['text', 'text', 1, sub { text(one_of('a', 'A', 'a ', ' a', "a\t", "\x{e4}", "\x{1d11e}", "a'b\\") . $_[0]) }],
    ['trail', 'varchar(20)', 1, sub { text('t' . $_[0] . one_of('', ' ', '  ', "\t")) }],
    ['fold', 'text COLLATE public.fold', 0, sub { text(one_of('straw', 'STRAW', 'Straw') . $_[0]) }],
    ['citext', 'citext', 0, sub { text(one_of('berry', 'BERRY', 'Berry') . $_[0]) }],
    ['bpchar', 'char(8)', 1, sub { text(one_of('c', 'c') . $_[0] . one_of('', ' ', '  ')) }],
    ['numeric', 'numeric', 0, sub { one_of('', '0', '-') . $_[0] . one_of('', '.0', '.00', '.5', '.50') }],
    ['decimal', 'numeric(12,3)', 1, sub { one_of('', '-') . $_[0] . one_of('', '.0', '.125') }],
    ['float8', 'float8', 1, sub { one_of(-1, 1) * $_[0] / one_of(3, 7) . '::float8' }],
    ['zero', 'float8', 0, sub { one_of("'0'", "'-0'", "'NaN'", "'Infinity'", "'-Infinity'", $_[0]) }],
    ['float4', 'float4', 1, sub { $_[0] / 10 . '::float4' }],
    ['smallint', 'smallint', 1, sub { $_[0] * 819 - 32767 }],
    ['bigint', 'bigint', 1, sub { "(9223372036854775807 - $_[0])" }],
    ['bool', 'bool', 1, sub { $_[0] % 2 ? 'true' : 'false' }],
    ['date', 'date', 1, sub { "date '2020-02-01' + $_[0]" }],
    ['infinite', 'date', 0, sub { one_of("'infinity'", "'-infinity'", "'0044-03-15 BC'", "date '2020-02-01' + $_[0]") }],
    ['timestamptz', 'timestamptz', 1, sub { "timestamptz '2020-10-25 00:00:00+00' + $_[0] * interval '15 minutes 1 microsecond'" }],
    ['timestamp', 'timestamp(3)', 1, sub { "timestamp '1969-12-31 23:59:58.999' + $_[0] * interval '1 ms'" }],
    ['time', 'time', 1, sub { one_of(q('24:00:00'), "time '23:59:59.999999' - $_[0] * interval '1 s'") }],
    ['timetz', 'timetz', 0, sub { sprintf q('%02d:00:00%+d'), 2 + $_[0] % 20, one_of(-2, 0, 2) }],
    ['interval', 'interval', 0, sub { one_of("'$_[0] days'", "'" . $_[0] * 24 . " hours'", "'" . $_[0] . " mons'", "'" . $_[0] * 30 . " days'") }],
    ['uuid', 'uuid', 1, sub { sprintf q('%s-0000-4000-8000-%012d'), one_of('AAAAAAAA', 'aaaaaaaa', '00000000'), $_[0] }],
    ['bytea', 'bytea', 1, sub { sprintf q('\x00ff5c27%02x%s'::bytea), $_[0], one_of('', '00', '20') }],
    ['enum', 'pg."Mo od"', 0, sub { text(('so so', "it's", 'A', 'a', '')[$_[0] % 5]) }],
    ['domain', 'pg.code', 0, sub { text(one_of('x', 'X') . $_[0]) }],
    ['composite', 'pg.pair', 0, sub { "ROW(" . one_of($_[0], "$_[0].0") . ', ' . one_of('NULL', q('a "b",\\'), "''") . ')::pg.pair' }],
    ['array', 'numeric[]', 0, sub { one_of("'{$_[0],1}'", "'{$_[0].0,1}'", "'{{$_[0]},{NULL}}'", "'[2:3]={$_[0],1}'", "'{}'") }],
    ['texts', 'text[]', 0, sub { one_of("ARRAY['a,b', NULL, '$_[0]', '\"', '']", "ARRAY['NULL', '$_[0]']") }],
    ['jsonb', 'jsonb', 0, sub { one_of("'{\"a\":$_[0], \"b\":null}'", "'{\"a\": $_[0].0, \"b\":null}'", "'$_[0]'", "'[]'") }],
    ['range', 'int4range', 0, sub { one_of("'[$_[0],100)'", "'[$_[0],99]'", "'empty'", "'(,$_[0])'") }],
    ['multirange', 'nummultirange', 0, sub { one_of("'{[$_[0],100),[200,300)}'", "'{[$_[0].0,100),[200,300)}'", "'{}'") }],
    ['inet', 'inet', 0, sub { one_of("'10.0.0.$_[0]'", "'10.0.0.$_[0]/32'", "'10.0.0.$_[0]/8'", "'::$_[0]'") }],
    ['bit', 'varbit', 0, sub { "B'" . join('', map { $_[0] >> $_ & 1 } 0 .. one_of(5, 6)) . "'" }],
    ['money', 'money', 0, sub { "'-$_[0].50'" }],
    ['char1', '"char"', 0, sub { "chr(64 + $_[0])::\"char\"" }],
    ['name', 'name', 0, sub { text(one_of('n', 'N') . $_[0]) }],
    ['tsvector', 'tsvector', 0, sub { text("'it''s':$_[0] " . one_of('b a', 'a b')) }],
    ['oid', 'oid', 1, sub { 4294967295 - $_[0] }],
);
my %type = map { $_->[0] => {sql => $_->[1], schema => $_->[2] ? 'shop' : 'pg', value => $_->[3]} } @types;

# What MySQL has is compared there by what it takes for the text of a value.
my @names = map { "\"$_\"" } 'id', 'sel ect', 'quo""te', 'it\'s', 'ba\\ck', '$1', '%s', 'tick`', "Gr\x{f6}\x{df}e", 'order';

sub kinds_prepare {
    my ($db) = @_;
    $db->sql(q{CREATE COLLATION public.fold (provider = icu, locale = 'und-u-ks-level2', deterministic = false)});
}

# How values and names are written, for the channel's account. All are what somebody may have set for it.
my %styles = (
    DateStyle => ['German', 'SQL, DMY', 'Postgres, MDY', 'ISO, YMD'], IntervalStyle => ['sql_standard', 'postgres_verbose', 'iso_8601', 'postgres'],
    TimeZone => ['Asia/Kathmandu', 'America/St_Johns', 'Europe/Berlin', 'UTC'], bytea_output => ['escape', 'hex'], extra_float_digits => [-5, 0, 3],
    search_path => ['', 'pg, shop', 'public, pg_catalog'], xmlbinary => ['hex', 'base64'], lc_monetary => ['C'],
);
my %account = (
    %styles, standard_conforming_strings => ['off', 'on'], quote_all_identifiers => ['on', 'off'], array_nulls => ['off'], backslash_quote => ['off'],
    default_transaction_isolation => ['"repeatable read"', 'serializable'], client_encoding => ['LATIN1', 'UTF8'], client_min_messages => ['error', 'debug1'],
    plan_cache_mode => ['force_generic_plan', 'force_custom_plan'], escape_string_warning => ['on'],
    statement_timeout => ['300ms'], lock_timeout => ['1ms'], idle_in_transaction_session_timeout => ['30ms'], idle_session_timeout => ['100ms'],
);

sub setting { my ($name, $value) = @_; return "$name = " . ($name eq "search_path" || $value =~ m{^"} ? $value =~ s{^"(.*)"$}{'$1'}r || "''" : "'$value'") }

sub kinds_settings {
    my ($db) = @_;
    $db->sql(map { 'ALTER ROLE syncline SET ' . setting($_, one_of(@{$account{$_}})) } sort keys %account);
}

my @plain = (
    # exclusion constraints
    ['pg', 'booking', 'id int PRIMARY KEY, room int, during int4range, EXCLUDE USING gist (room WITH =, during WITH &&)', '%1$s, %1$s %% 4, int4range(%1$s, %1$s + 1)'],
    ['pg', 'queue', 'id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED', '%1$s, int4range(%1$s, %1$s + 1)'],
    ['pg', 'partly', "id int PRIMARY KEY, room int, state text, EXCLUDE USING btree (room WITH =) WHERE (state = 'on')", "%1\$s, %1\$s, 'on'"],
    # constraints that can be deferred
    ['shop', 'place', 'id int PRIMARY KEY, pos int NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE, v int', '%1$s, %1$s, 0'],
    ['shop', 'dpk', 'id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int', '%1$s, 0'],
    ['shop', 'both', 'id int PRIMARY KEY, a int UNIQUE DEFERRABLE, b int UNIQUE', '%1$s, %1$s, %1$s'],
    # several unique keys and indexes
    ['shop', 'many', 'id int PRIMARY KEY, a int UNIQUE, b varchar(20), c int, d int, e int, UNIQUE (b, c)', "%1\$s, %1\$s, 'b' || %1\$s, %1\$s %% 3, %1\$s, NULL"],
    ['pg', 'odd', 'id int PRIMARY KEY, a int, b text, c int, d int, e text, UNIQUE NULLS NOT DISTINCT (c, d)', "%1\$s, %1\$s, 'b' || %1\$s, nullif(%1\$s, 3), nullif(%1\$s, 3), repeat('x', 3000)"],
    # composite keys whose columns change
    ['shop', 'comp', 'v int, a int, b varchar(20), c date, PRIMARY KEY (c, a, b)', "0, %1\$s, 'b', date '2020-01-01' + %1\$s"],
    # identities
    ['shop', 'full_key', 'id int PRIMARY KEY, n int, v text', "%1\$s, 0, repeat(md5('%1\$s'), 200)"],
    ['shop', 'full_none', 'k int, n float4, v text', "%1\$s %% 5, 0.1, 'same'"],
    ['shop', 'full_unique', 'k int UNIQUE, n int, v text', "nullif(%1\$s, 3), 0, repeat(md5('%1\$s'), 200)"],
    ['shop', 'by_index', 'k int NOT NULL, l varchar(20) NOT NULL, n int, v text', "%1\$s, 'l', 0, 'v'"],
    ['pg', 'nothing', '', undef],
    ['pg', 'none_odd', 'j json, p point, x xml, f float8, big text', "'{\"a\" : %1\$s}', '(%1\$s,-0)', '<a>%1\$s</a>', %1\$s / 3.0, repeat(md5('x'), 200)"],
    # generated columns
    ['pg', 'gen', 'id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED UNIQUE, c text GENERATED ALWAYS AS (repeat(md5(a::text), 200)) STORED', undef],
    ['pg', 'gen_key', 'a int, b int GENERATED ALWAYS AS (a % 10) STORED, v int, PRIMARY KEY (b, a)', undef],
    ['pg', 'gen_only', 'a text GENERATED ALWAYS AS (repeat(\'x\', 5)) STORED', undef],
    ['pg', 'incl', 'id int, v int, PRIMARY KEY (id) INCLUDE (v)', '%1$s, 0'],
    ['pg', 'gen_full', 'a int, b int GENERATED ALWAYS AS (a * 2) STORED, v int', undef],
    # values out of line
    ['shop', 'toast', 'id int PRIMARY KEY, n int, body text, raw bytea', "%1\$s, 0, (SELECT string_agg(md5((%1\$s * 1000 + k)::text), '') FROM generate_series(1, 200) k), decode(repeat(md5('%1\$s'), 300), 'hex')"],
    ['pg', 'toast_key', 'k text PRIMARY KEY, n int, body text', "(SELECT string_agg(md5((%1\$s * 1000 + k)::text), '') FROM generate_series(1, 70) k), 0, 'b'"],
    ['pg', 'toast_unique', 'id int PRIMARY KEY, u text UNIQUE, n int, body text UNIQUE', "%1\$s, (SELECT string_agg(md5((%1\$s * 1000 + k)::text), '') FROM generate_series(1, 70) k), 0, NULL"],
    # foreign keys
    ['shop', 'parent', 'id int PRIMARY KEY, code int UNIQUE', '%1$s, %1$s'],
    ['shop', 'chain', 'id int PRIMARY KEY, p int REFERENCES shop.parent (code) ON UPDATE CASCADE ON DELETE CASCADE, q int REFERENCES shop.parent ON DELETE SET NULL ON UPDATE SET NULL, '
        . 'r int DEFAULT 1 REFERENCES shop.parent ON DELETE SET DEFAULT ON UPDATE SET DEFAULT', '%1$s, %1$s, %1$s, %1$s'],
    ['shop', 'link', 'id int PRIMARY KEY, up int REFERENCES shop.link ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, c int REFERENCES shop.chain DEFERRABLE INITIALLY DEFERRED', '%1$s, nullif(%1$s / 2, 0), NULL'],
    ['shop', 'hen', 'id int PRIMARY KEY, egg int NOT NULL', '%1$s, %1$s'],
    ['shop', 'egg', 'id int PRIMARY KEY, hen int NOT NULL REFERENCES shop.hen DEFERRABLE INITIALLY DEFERRED', '%1$s, %1$s'],
    ['shop', 'cut', 'id int PRIMARY KEY', '%1$s'],
    ['shop', 'cut_too', 'id serial PRIMARY KEY, c int REFERENCES shop.cut', '%1$s, %1$s'],
    # triggers write other tables
    ['shop', 'written', 'id int PRIMARY KEY, n int NOT NULL', '%1$s, 0'],
    ['shop', 'written_log', 'at serial, id int, op text', undef],
    ['shop', 'written_sum', 'k int PRIMARY KEY, n bigint NOT NULL', undef],
    # many columns, some of which have gone or come
    ['shop', 'wide', 'id int PRIMARY KEY, gone text, ' . join(', ', map { "c$_ " . ('int', 'smallint', 'varchar(10)')[$_ % 3] } 1 .. 300), "%1\$s, 'g'"],
    ['shop', 'bulk', 'id bigserial PRIMARY KEY, w int, v varchar(40)', undef],
    ['shop', '"We""ird T`able"', join(', ', "$names[0] int PRIMARY KEY", map { "$names[$_] varchar(20)" } 1 .. $#names), "%1\$s, '?', '\$1', '%%s'"],
);

sub kinds_schema {
    my ($db) = @_;
    my @numbers = 1 .. $rows;
    $db->sql('CREATE EXTENSION citext', 'CREATE EXTENSION btree_gist', 'CREATE SCHEMA shop', 'CREATE SCHEMA pg', q{CREATE TYPE pg."Mo od" AS ENUM ('so so', 'it''s', 'A', 'a', '')},
        'CREATE DOMAIN pg.code AS varchar(10) COLLATE public.fold CHECK (VALUE ~ \'^[a-zA-Z]\')', 'CREATE TYPE pg.pair AS (n numeric, t text)');
    for my $name (sort keys %type) {
        my ($sql, $schema, $value) = @{$type{$name}}{qw(sql schema value)};
        $db->sql("CREATE TABLE $schema.k_$name (v int NOT NULL DEFAULT 0, k $sql PRIMARY KEY, w text)", "CREATE TABLE $schema.u_$name (id serial PRIMARY KEY, k $sql UNIQUE, v int NOT NULL DEFAULT 0)",
            "CREATE TABLE $schema.f_$name (k $sql, v int)", "ALTER TABLE $schema.f_$name REPLICA IDENTITY FULL",
            map { ("INSERT INTO $schema.k_$name (k, w) VALUES (" . $value->($_) . ", 'w$_') ON CONFLICT DO NOTHING",
                "INSERT INTO $schema.u_$name (k) VALUES (" . $value->($_) . ') ON CONFLICT DO NOTHING', "INSERT INTO $schema.f_$name VALUES (" . $value->($_) . ", $_ % 3)") } @numbers);
        $db->sql("ALTER TABLE $schema.k_$name REPLICA IDENTITY FULL") if rand() < 0.2;
    }
    for (@plain) {
        my ($schema, $name, $columns, $values) = @$_;
        $db->sql("CREATE TABLE $schema.$name ($columns)");
        $db->sql(map { sprintf "INSERT INTO $schema.$name VALUES ($values)", $_ } @numbers) if defined $values;
    }
    $db->sql('INSERT INTO pg.gen (a) SELECT generate_series(1, 40)', 'INSERT INTO pg.gen_key (a, v) SELECT i, 0 FROM generate_series(1, 40) i', 'INSERT INTO pg.gen_full (a, v) SELECT i, 0 FROM generate_series(1, 40) i',
        "INSERT INTO shop.bulk (w, v) SELECT 0, 'old' || i FROM generate_series(1, 1500) i",
        'CREATE UNIQUE INDEX ON shop.many (d) INCLUDE (e)', 'CREATE UNIQUE INDEX ON pg.odd (a) WHERE d > 20', 'CREATE UNIQUE INDEX ON pg.odd (lower(b), c)', 'CREATE UNIQUE INDEX ON pg.odd ((a + 1)) INCLUDE (b)',
        'CREATE UNIQUE INDEX by ON shop.by_index (l, k)', 'ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by',
        (map { "ALTER TABLE $_ REPLICA IDENTITY FULL" } qw(shop.dpk shop.full_key shop.full_none shop.full_unique pg.nothing pg.none_odd pg.gen_full pg.gen_key pg.gen_only shop.written_log)),
        'ALTER TABLE pg.toast_key ALTER k SET STORAGE EXTERNAL', 'ALTER TABLE pg.toast_unique ALTER u SET STORAGE EXTERNAL',
        'ALTER TABLE shop.hen ADD FOREIGN KEY (egg) REFERENCES shop.egg DEFERRABLE INITIALLY DEFERRED',
        (map { "ALTER TABLE shop.wide DROP COLUMN $_" } qw(gone c7 c300)), 'ALTER TABLE shop.wide ADD COLUMN late int NOT NULL DEFAULT 5',
        # partitions and theirs, with columns in other places
        'CREATE TABLE shop.part (day date NOT NULL, id int NOT NULL, region varchar(10) NOT NULL, v int, body text, PRIMARY KEY (day, id, region)) PARTITION BY RANGE (day)',
        q{CREATE TABLE shop.part_a PARTITION OF shop.part FOR VALUES FROM ('2020-01-01') TO ('2020-07-01')},
        'CREATE TABLE shop.part_b (body text, gone int, region varchar(10) NOT NULL, v int, id int NOT NULL, day date NOT NULL) PARTITION BY LIST (region)', 'ALTER TABLE shop.part_b DROP COLUMN gone',
        'CREATE TABLE shop.part_bn (v int, gone int, day date NOT NULL, id int NOT NULL, body text, region varchar(10) NOT NULL)', 'ALTER TABLE shop.part_bn DROP COLUMN gone',
        q{ALTER TABLE shop.part_b ATTACH PARTITION shop.part_bn FOR VALUES IN ('north')}, 'CREATE TABLE shop.part_bd PARTITION OF shop.part_b DEFAULT',
        q{ALTER TABLE shop.part ATTACH PARTITION shop.part_b FOR VALUES FROM ('2020-07-01') TO ('2021-01-01')},
        'CREATE TABLE shop.hash (k int, v int, u int) PARTITION BY HASH (k)', (map { "CREATE TABLE shop.hash_$_ PARTITION OF shop.hash FOR VALUES WITH (MODULUS 2, REMAINDER $_)" } 0, 1),
        (map { "ALTER TABLE shop.hash$_ REPLICA IDENTITY FULL" } '', '_0', '_1'), 'INSERT INTO shop.hash SELECT i % 7, 0, 0 FROM generate_series(1, 40) i',
        "INSERT INTO shop.part SELECT date '2020-01-01' + i * 9, i, CASE i % 2 WHEN 0 THEN 'north' ELSE 'south' END, 0, repeat(md5(i::text), 200) FROM generate_series(1, 40) i",
        # inheritance
        'CREATE TABLE pg.animal (id int PRIMARY KEY, v int)', 'CREATE TABLE pg.dog (name text, PRIMARY KEY (id)) INHERITS (pg.animal)', 'CREATE TABLE pg.puppy (PRIMARY KEY (id)) INHERITS (pg.dog)',
        'INSERT INTO pg.animal SELECT i, 0 FROM generate_series(1, 40) i', q{INSERT INTO pg.dog SELECT i, 0, 'd' FROM generate_series(1, 40) i}, q{INSERT INTO pg.puppy SELECT i, 0, 'p' FROM generate_series(1, 40) i},
        # not carried
        'CREATE UNLOGGED TABLE shop.scratch (id int)',
        q{CREATE FUNCTION shop.write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF TG_WHEN = 'BEFORE' THEN
                IF TG_OP <> 'DELETE' AND NEW.n % 7 = 6 THEN NEW.n := NEW.n + 1; END IF;
                INSERT INTO shop.written_sum VALUES (coalesce(NEW.id, OLD.id) % 5, 1) ON CONFLICT (k) DO UPDATE SET n = shop.written_sum.n + 1;
                RETURN coalesce(NEW, OLD);
            END IF;
            INSERT INTO shop.written_log (id, op) SELECT coalesce(NEW.id, OLD.id), TG_OP FROM generate_series(1, 2);
            DELETE FROM shop.written_log WHERE at < (SELECT max(at) - 50 FROM shop.written_log);
            RETURN NULL; END $$},
        (map { "CREATE TRIGGER write_$_ $_ INSERT OR UPDATE OR DELETE ON shop.written FOR EACH ROW EXECUTE FUNCTION shop.write()" } qw(BEFORE AFTER)));
    return $db;
}

# Within a subtransaction: what fails is taken back.
sub try {
    my ($d, @sql) = @_;
    $d->do('SAVEPOINT try');
    if (eval { $d->do($_) for @sql; 1 }) { $d->do('RELEASE SAVEPOINT try'); return 1 }
    die $@ if $d->state =~ /^(?:40|57)/ || $@ =~ /does not exist|syntax/;
    $d->do('ROLLBACK TO SAVEPOINT try');
    return 0;
}

# One change of a table by its key or a value, spelled anew each time.
sub keyed {
    my ($d) = @_;
    my ($name) = one_of(sort keys %type);
    my ($schema, $value) = @{$type{$name}}{qw(schema value)};
    my $k = sub { $value->(n()) };
    my $same = do { my $i = n(); sub { $value->($i) } };
    my ($pk, $u, $f) = map { "$schema.${_}_$name" } qw(k u f);
    my $some = "ctid IN (SELECT ctid FROM $f ORDER BY random() LIMIT " . n(3) . ')';
    try($d, @{one_of(
        ["INSERT INTO $pk (k, w) VALUES (${\$k->()}, 'new') ON CONFLICT (k) DO UPDATE SET v = $pk.v + 1"],
        ["INSERT INTO $pk (k, w) VALUES (${\$k->()}, 'again') ON CONFLICT (k) DO UPDATE SET v = $pk.v + 1, k = excluded.k"],
        ["UPDATE $pk SET k = ${\$k->()}, v = v + 1 WHERE k = ${\$k->()}"],
        ["UPDATE $pk SET v = v + 1 WHERE k = ${\$k->()}", "UPDATE $pk SET v = v + 1 WHERE k = ${\$k->()}"],
        ["DELETE FROM $pk WHERE k = ${\$k->()}"],
        ["DELETE FROM $pk WHERE k = ${\$same->()}", "INSERT INTO $pk (k, w) VALUES (${\$same->()}, 'back')"],
        ["DELETE FROM $pk WHERE k = ${\$same->()}", "INSERT INTO $pk (k) VALUES (${\$same->()})", "UPDATE $pk SET k = ${\$same->()}", "DELETE FROM $pk WHERE k = ${\$same->()}"],
        ["INSERT INTO $u (k) VALUES (${\$k->()})"],
        ["INSERT INTO $u (k) VALUES (NULL)"],
        ["UPDATE $u SET k = ${\$k->()}, v = v + 1 WHERE id = ${\n()}"],
        ["UPDATE $u SET k = NULL WHERE k = ${\$same->()}", "UPDATE $u SET k = ${\$same->()} WHERE id = ${\n()}"],
        ["DELETE FROM $u WHERE k = ${\$same->()}", "INSERT INTO $u (k) VALUES (${\$same->()})"],
        ["UPDATE $u SET id = id + 1000 WHERE id = (SELECT id FROM $u ORDER BY random() LIMIT 1)"],
        ["DELETE FROM $u WHERE id = (SELECT id FROM $u WHERE k IS NULL LIMIT 1)"],
        ["INSERT INTO $f VALUES (${\$same->()}, 1), (${\$same->()}, 1), (NULL, 1)"],
        ["UPDATE $f SET v = v + 1 WHERE $some"],
        ["UPDATE $f SET k = ${\$k->()} WHERE $some"],
        ["DELETE FROM $f WHERE $some"],
    )});
}

sub does { my @sql = @_; return sub { my ($d) = @_; try($d, map { ref $_ ? $_->() : $_ } @sql) } }

my @work = (
    (\&keyed) x 30,
    does(sub { my $at = n(80); "INSERT INTO pg.booking VALUES (${\n(200)}, ${\n(4)}, int4range($at, $at + ${\n(3)}))" }),
    does(sub { "UPDATE pg.booking SET during = int4range(lower(during) + 1, upper(during) + 1), room = ${\n(4)} WHERE id = ${\n(200)}" }),
    does(sub { "DELETE FROM pg.booking WHERE during && int4range(${\n(80)}, 90)" }, sub { my $at = n(80); "INSERT INTO pg.booking VALUES (${\n(200)}, ${\n(4)}, int4range($at, 90))" }),
    does('UPDATE pg.queue SET during = int4range(lower(during) + 1, upper(during) + 1)'),
    does(sub { my ($a, $b) = (n(), n()); "UPDATE pg.queue SET during = x.during FROM pg.queue x WHERE (pg.queue.id, x.id) IN (($a, $b), ($b, $a))" }, 'SET CONSTRAINTS ALL IMMEDIATE'),
    does(sub { 'UPDATE pg.partly SET state = ' . one_of("'on'", "'off'") . ", room = ${\n()} WHERE id = ${\n()}" }),
    does('UPDATE shop.place SET pos = pos + 1', 'UPDATE shop.place SET pos = pos - 1 WHERE id > 0'),
    does('SET CONSTRAINTS ALL DEFERRED', sub { my ($a, $b) = (n(), n()); ("UPDATE shop.place SET pos = x.pos, v = shop.place.v + 1 FROM shop.place x WHERE (shop.place.id, x.id) IN (($a, $b), ($b, $a))", "UPDATE shop.place SET id = -id WHERE id = $a", "UPDATE shop.place SET id = -id WHERE id = -$a") }),
    does('UPDATE shop.dpk SET id = 41 - id', 'UPDATE shop.dpk SET v = v + 1 WHERE id < 5', sub { "INSERT INTO shop.dpk VALUES (${\n(60)}, 9)" }, 'SET CONSTRAINTS ALL IMMEDIATE'),
    does(sub { "INSERT INTO shop.dpk SELECT id, -1 FROM shop.dpk WHERE id = ${\n()}" }, 'DELETE FROM shop.dpk x WHERE v <> -1 AND EXISTS (SELECT FROM shop.dpk y WHERE y.id = x.id AND y.v = -1)', 'SET CONSTRAINTS ALL IMMEDIATE'),
    does('UPDATE shop.both SET a = a + 1', sub { my $b = n(); ("UPDATE shop.both SET b = NULL WHERE b = $b", "UPDATE shop.both SET b = $b WHERE id = ${\n()}") }),
    does(sub { my ($a, $b) = (n(), n()); map { "UPDATE shop.many SET a = $_" } "NULL WHERE id = $a", "$a WHERE id = $b", "$b WHERE id = $a" }),
    does(sub { "UPDATE shop.many SET b = 'b${\n()}', c = ${\n(3)}, d = ${\n(60)}, e = coalesce(e, 0) + 1 WHERE id = ${\n()}" }),
    does(sub { "DELETE FROM shop.many WHERE d = ${\n(60)}" }, sub { "INSERT INTO shop.many VALUES (${\n(60)}, NULL, 'b${\n()}', NULL, ${\n(60)}, 0) ON CONFLICT DO NOTHING" }),
    does(sub { "UPDATE pg.odd SET a = ${\n(60)}, d = ${\n(30)} WHERE id = ${\n()}" }),
    does(sub { "UPDATE pg.odd SET c = NULL, d = NULL WHERE id = ${\n()}" }),
    does('UPDATE pg.odd SET c = id, d = id WHERE c IS NULL', sub { "UPDATE pg.odd SET c = NULL, d = NULL WHERE id = ${\n()}" }),
    does(sub { "UPDATE pg.odd SET b = " . one_of("'B'", "'b'") . " || ${\n()} WHERE id = ${\n()}" }),
    does(sub { "UPDATE shop.comp SET c = c + ${\n(3)}, v = v + 1, b = " . one_of("'b'", "'B'") . " WHERE a = ${\n()}" }),
    does(sub { my $a = n(); ("UPDATE shop.comp SET a = 1000 WHERE a = $a", "UPDATE shop.comp SET v = v + 1 WHERE a = 1000", "UPDATE shop.comp SET a = $a WHERE a = 1000") }),
    does(sub { my $i = n(); map { "UPDATE shop.full_key SET n = n + 1$_ WHERE id = $i" } '', ", v = v || 'x'", '' }, sub { "UPDATE shop.full_key SET id = ${\n(60)} WHERE id = ${\n(60)}" }),
    does(sub { 'UPDATE shop.full_none SET ' . one_of('k = k + 1', 'n = n * 1.1', "v = NULL", "v = 'same'") . " WHERE k = ${\n(5)}" }),
    does("INSERT INTO shop.full_none VALUES (1, 0.1, 'same'), (1, 0.1, 'same'), (NULL, NULL, NULL)", 'DELETE FROM shop.full_none WHERE ctid IN (SELECT ctid FROM shop.full_none WHERE k = 1 OR k IS NULL LIMIT 2)'),
    does(sub { "UPDATE shop.full_unique SET n = n + 1 WHERE k = ${\n()} OR k IS NULL" }, sub { my $k = n(); ("UPDATE shop.full_unique SET k = NULL WHERE k = $k", "UPDATE shop.full_unique SET k = $k WHERE ctid = (SELECT ctid FROM shop.full_unique WHERE k IS NULL LIMIT 1)") }),
    does(sub { "UPDATE shop.by_index SET k = ${\n(60)}, n = n + 1 WHERE k = ${\n(60)}" }, sub { "UPDATE shop.by_index SET n = n + 1 WHERE k = ${\n()}" }),
    does(sub { my $k = n(60); ("DELETE FROM shop.by_index WHERE k = $k", "INSERT INTO shop.by_index VALUES ($k, 'l', 5, 'v'), ($k, 'm', 5, 'v') ON CONFLICT DO NOTHING") }),
    does(sub { my $t = one_of('pg.nothing', 'pg.gen_only'); ("INSERT INTO $t DEFAULT VALUES") x n(20) }), does(sub { my $t = one_of('pg.nothing', 'pg.gen_only'); "DELETE FROM $t WHERE ctid IN (SELECT ctid FROM $t LIMIT ${\n(3)})" }),
    does(sub { "UPDATE pg.incl SET v = v + 1 WHERE id = ${\n()}" }, sub { "UPDATE pg.incl SET id = ${\n(60)} WHERE id = ${\n()}" }),
    does(sub { "UPDATE pg.none_odd SET f = f + 1 WHERE ctid IN (SELECT ctid FROM pg.none_odd ORDER BY random() LIMIT 2)" }, "INSERT INTO pg.none_odd SELECT * FROM pg.none_odd LIMIT 2", 'DELETE FROM pg.none_odd WHERE ctid IN (SELECT ctid FROM pg.none_odd ORDER BY random() LIMIT 2)'),
    does(sub { "INSERT INTO pg.gen (a) VALUES (${\n(100)})" }), does(sub { "UPDATE pg.gen SET a = ${\n(100)} WHERE id = ${\n()}" }, sub { "UPDATE pg.gen SET id = DEFAULT WHERE id = ${\n()}" }),
    does(sub { "INSERT INTO pg.gen_key (a, v) VALUES (${\n(60)}, 0) ON CONFLICT (b, a) DO UPDATE SET v = pg.gen_key.v + 1" }, sub { "UPDATE pg.gen_key SET a = ${\n(60)} WHERE a = ${\n()}" }, sub { "DELETE FROM pg.gen_key WHERE a = ${\n(60)}" }),
    does(sub { "INSERT INTO pg.gen_full (a, v) VALUES (${\n(60)}, 0)" }, sub { "UPDATE pg.gen_full SET a = ${\n(60)} WHERE a = ${\n()}" }, sub { "DELETE FROM pg.gen_full WHERE a = ${\n(60)}" }),
    does(sub { "UPDATE shop.toast SET n = n + 1 WHERE id IN (${\n()}, ${\n()})" }, sub { "UPDATE shop.toast SET body = body || 'x', id = ${\n(60)} WHERE id = ${\n()}" }),
    does(sub { "UPDATE shop.toast SET id = ${\n(60)}, n = n + 1 WHERE id = ${\n(60)}" }, sub { "UPDATE shop.toast SET n = n + 1, raw = raw || '\\x00' WHERE id = ${\n(60)}" }),
    does(sub { "INSERT INTO shop.toast SELECT ${\n(60)}, n, body, raw FROM shop.toast WHERE id = ${\n(60)}" }, sub { "UPDATE shop.toast SET n = n + 1 WHERE id = ${\n(60)}" }),
    does('UPDATE pg.toast_key SET n = n + 1 WHERE ctid IN (SELECT ctid FROM pg.toast_key ORDER BY random() LIMIT 2)', q{UPDATE pg.toast_key SET k = substr(k, 2) || left(k, 1), body = 'c' WHERE ctid = (SELECT ctid FROM pg.toast_key ORDER BY random() LIMIT 1)}),
    does('DELETE FROM pg.toast_key WHERE ctid = (SELECT ctid FROM pg.toast_key ORDER BY random() LIMIT 1)', sub { "INSERT INTO pg.toast_key SELECT string_agg(md5((${\n()} * 1000 + k)::text), ''), 0, 'n' FROM generate_series(1, 70) k ON CONFLICT DO NOTHING" }),
    does(sub { my ($a, $b) = (n(), n()); ("UPDATE pg.toast_unique SET n = n + 1 WHERE id IN ($a, $b)", "UPDATE pg.toast_unique SET body = u, u = NULL WHERE id = $a", "UPDATE pg.toast_unique SET u = x.body FROM pg.toast_unique x WHERE pg.toast_unique.id = $b AND x.id = $a AND pg.toast_unique.u IS NULL",
        "UPDATE pg.toast_unique SET n = n + 1 WHERE id IN ($a, $b)") }),
    does(sub { my $a = n(); ("UPDATE pg.toast_unique SET u = u || 'x', n = n + 1 WHERE id = $a", "UPDATE pg.toast_unique SET id = id + 100 WHERE id = $a", "UPDATE pg.toast_unique SET id = id - 100 WHERE id = $a + 100") }),
    does(sub { "UPDATE shop.parent SET code = ${\n(80)} WHERE id = ${\n()}" }, sub { "UPDATE shop.parent SET id = ${\n(80)} WHERE id = ${\n(80)}" }),
    does(sub { "DELETE FROM shop.parent WHERE id = ${\(1 + n())}" }, sub { "INSERT INTO shop.parent VALUES (${\n(80)}, ${\n(80)}) ON CONFLICT DO NOTHING" }, 'INSERT INTO shop.parent VALUES (1, 1000) ON CONFLICT DO NOTHING'),
    does(sub { "INSERT INTO shop.chain SELECT ${\n(80)}, code, id, id FROM shop.parent ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING" }),
    does('SET CONSTRAINTS ALL DEFERRED', sub { my $a = n(80); ("INSERT INTO shop.link VALUES ($a, 1000, NULL) ON CONFLICT (id) DO UPDATE SET up = 1000", 'INSERT INTO shop.link VALUES (1000, NULL, NULL)', "UPDATE shop.link SET id = ${\n(80)} WHERE id = 1000", 'SET CONSTRAINTS ALL IMMEDIATE') }),
    does(sub { "DELETE FROM shop.link WHERE id = ${\n(80)}" }), does(sub { "INSERT INTO shop.link VALUES (${\n(80)}, ${\n(80)}, ${\n()})" }, 'SET CONSTRAINTS ALL IMMEDIATE'),
    does(sub { my $i = n(80); ("INSERT INTO shop.hen VALUES ($i, $i) ON CONFLICT DO NOTHING", "INSERT INTO shop.egg VALUES ($i, $i) ON CONFLICT DO NOTHING", "UPDATE shop.egg SET hen = $i WHERE id = ${\n()}", 'SET CONSTRAINTS ALL IMMEDIATE') }),
    does(sub { my $i = n(80); ("DELETE FROM shop.egg WHERE id = $i", "DELETE FROM shop.hen WHERE id = $i", 'SET CONSTRAINTS ALL IMMEDIATE') }),
    sub { my ($d) = @_; return if rand() > 0.15; try($d, one_of('TRUNCATE shop.cut CASCADE', 'TRUNCATE shop.cut_too RESTART IDENTITY', 'TRUNCATE shop.cut, shop.cut_too'), 'INSERT INTO shop.cut SELECT generate_series(1, 9)') },
    sub { my ($d) = @_; return if rand() > 0.15; try($d, one_of('TRUNCATE shop.part', 'TRUNCATE shop.hash'), "INSERT INTO shop.part SELECT date '2020-01-01' + i * 9, 100 + i, 'south', 0, 'new' FROM generate_series(1, 20) i ON CONFLICT DO NOTHING") },
    sub { my ($d) = @_; return if rand() > 0.15; try($d, one_of('TRUNCATE ONLY pg.animal', 'TRUNCATE pg.dog', 'TRUNCATE pg.puppy, shop.full_none'), 'INSERT INTO pg.animal SELECT i, 0 FROM generate_series(1, 9) i ON CONFLICT DO NOTHING') },
    does(sub { "INSERT INTO shop.cut VALUES (${\n(80)}) ON CONFLICT DO NOTHING" }, 'INSERT INTO shop.cut_too (c) SELECT id FROM shop.cut ORDER BY random() LIMIT 2'),
    does(sub { "INSERT INTO shop.written VALUES (${\n(80)}, ${\n()}) ON CONFLICT (id) DO UPDATE SET n = shop.written.n + 1" }), does(sub { "DELETE FROM shop.written WHERE id = ${\n(80)}" }),
    does(sub { "MERGE INTO shop.written w USING (SELECT ${\n(80)} AS id UNION SELECT ${\n(80)}) s ON w.id = s.id WHEN MATCHED AND w.n %% 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET n = w.n + 1 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1)" =~ s/%%/%/gr }),
    does(sub { "UPDATE shop.wide SET c${\(10 + n(200))} = " . one_of("'7'", 'NULL') . ", late = late + 1 WHERE id = ${\n()}" }), does(sub { "INSERT INTO shop.wide (id, c2, c299) VALUES (${\n(80)}, 'two', '299') ON CONFLICT (id) DO UPDATE SET id = ${\n(80)}" }),
    does(sub { "UPDATE shop.\"We\"\"ird T`able\" SET " . one_of(@names[1 .. $#names]) . " = " . one_of("'?'", q('it''s'), "'\\'", "NULL") . " WHERE id = ${\n()}" }, sub { "UPDATE shop.\"We\"\"ird T`able\" SET id = ${\n(60)} WHERE id = ${\n(60)}" }),
    does(sub { "UPDATE shop.part SET day = date '2020-01-01' + ${\n(360)}, v = v + 1 WHERE id = ${\n()}" }), does(sub { "UPDATE shop.part SET region = " . one_of("'north'", "'south'", "'west'") . ", v = v + 1 WHERE id = ${\n()}" }),
    does(sub { "UPDATE shop.part SET v = v + 1 WHERE id < ${\n()}" }, sub { my $i = n(); ("DELETE FROM shop.part WHERE id = $i", "INSERT INTO shop.part_bn (day, id, region, v, body) VALUES ('2020-08-08', $i, 'north', 1, 'again')") }),
    does(sub { "UPDATE shop.hash SET k = ${\n(7)}, v = v + 1 WHERE k = ${\n(7)}" }, sub { "INSERT INTO shop.hash VALUES (${\n(7)}, 0, 0), (${\n(7)}, 0, NULL)" }, sub { "DELETE FROM shop.hash WHERE k = ${\n(7)}" }),
    does(sub { "UPDATE pg.animal SET v = v + 1 WHERE id = ${\n()}" }, sub { "UPDATE pg.animal SET id = id + 100 WHERE id = ${\n()}" }, sub { "DELETE FROM ONLY pg.animal WHERE id = ${\n()}" }),
    does(sub { "INSERT INTO pg." . one_of(qw(animal dog puppy)) . " VALUES (${\n(80)}, 0) ON CONFLICT DO NOTHING" }, sub { "DELETE FROM pg.dog WHERE id = ${\n(80)}" }),
    does('INSERT INTO shop.scratch VALUES (1)'), does('CREATE TEMPORARY TABLE IF NOT EXISTS many AS SELECT * FROM shop.many WITH NO DATA', 'INSERT INTO many SELECT * FROM shop.many', 'DROP TABLE many'),
    sub { $_[0]->selectall_arrayref("SELECT * FROM shop.$_ WHERE id = ? FOR UPDATE", undef, n()) for qw(toast parent) },
    sub {
        my ($d) = @_;
        $d->do(q{COPY shop.bulk (w, v) FROM STDIN});
        $d->pg_putcopydata("1\tv$_\\\\\\t\n") for 1 .. 30;
        $d->pg_putcopyend;
    },
    sub { my ($d) = @_; try($d, rand() < 0.06 ? ("INSERT INTO shop.bulk (w, v) SELECT 2, 'large' || i FROM generate_series(1, 10000) i", 'UPDATE shop.bulk SET w = 3 WHERE id % 2 = 0 AND w = 2') : 'UPDATE shop.bulk SET w = w + 1 WHERE id IN (SELECT id FROM shop.bulk ORDER BY random() LIMIT 5)') },
    sub { my ($d) = @_; $d->do('DELETE FROM shop.bulk WHERE w > 1') if rand() < 0.2 },
    (sub { my ($d) = @_; my $name = one_of(sort grep { $_ ne 'search_path' } keys %styles); $d->do('SET ' . one_of('', 'LOCAL ') . setting($name, one_of(@{$styles{$name}}))) }) x 3,
    sub {    # one row, many times, in subtransactions of which some are taken back
        my ($d) = @_;
        my $i = n();
        for (1 .. 5) {
            $d->do('SAVEPOINT deep');
            try($d, "UPDATE shop.toast SET n = n + 1 WHERE id = $i", "UPDATE shop.many SET e = coalesce(e, 0) + 1, a = NULL WHERE id = $i", "DELETE FROM shop.comp WHERE a = $i", "INSERT INTO shop.comp VALUES (7, $i, 'b', '2020-01-01')");
            $d->do(one_of('RELEASE SAVEPOINT deep', 'ROLLBACK TO SAVEPOINT deep'));
        }
    },
);

my $prepared = 0;

# Now and then in two phases.
sub commit {
    my ($d) = @_;
    if (rand() >= 0.1) { $d->commit; return }
    my $name = "p$$." . $prepared++;
    $d->do("PREPARE TRANSACTION '$name'");
    select undef, undef, undef, rand 0.2 if rand() < 0.1;
    $d->do((rand() < 0.2 ? 'ROLLBACK' : 'COMMIT') . " PREPARED '$name'");
}

sub kinds_load { return (work => \@work, commit => \&commit) }

1;
