# PostgreSQL to PostgreSQL, what a schema has that is not carried: each kind is named by the
# precheck, with what to do; the rest is what t/762 carries. So that no kind is forgotten, each
# catalog of the server and each letter by which a catalog tells kinds apart stands here: one
# that the server has and this list has not fails the test. The same to MySQL, which is told of
# tables alone. (R38; spec S0, S8.1)
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;

# carried: t/762 compares them; left out: named below; server: not a schema's, or the server's own.
my %catalogs = (
    (map { $_ => 'carried' } qw(pg_attrdef pg_attribute pg_class pg_constraint pg_depend pg_description pg_enum pg_extension pg_index pg_inherits pg_language pg_namespace pg_partitioned_table pg_proc pg_range pg_rewrite pg_sequence pg_type)),
    (map { $_ => 'left out' } qw(pg_aggregate pg_collation pg_conversion pg_foreign_table pg_opclass pg_operator pg_opfamily pg_amop pg_amproc pg_policy pg_statistic_ext pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template)),
    (map { $_ => 'server' } qw(pg_am pg_auth_members pg_authid pg_cast pg_database pg_db_role_setting pg_default_acl pg_event_trigger pg_foreign_data_wrapper pg_foreign_server pg_init_privs pg_largeobject pg_largeobject_metadata pg_parameter_acl pg_publication pg_publication_namespace
        pg_publication_rel pg_replication_origin pg_seclabel pg_shdepend pg_shdescription pg_shseclabel pg_statistic pg_statistic_ext_data pg_subscription pg_subscription_rel pg_tablespace pg_transform pg_user_mapping)),
);
my %letters = (
    'relkind FROM pg_class' => {r => 'carried', p => 'carried', i => 'carried', I => 'carried', S => 'carried', v => 'carried', m => 'carried', c => 'carried', t => 'server', f => 'left out'},
    'contype FROM pg_constraint' => {p => 'carried', u => 'carried', c => 'carried', x => 'carried', f => 'carried', t => 'left out, a trigger'},
    'typtype FROM pg_type' => {b => 'left out', c => 'carried', d => 'carried', e => 'carried', r => 'carried', m => 'carried', p => 'server'},
    'prokind FROM pg_proc' => {f => 'carried', p => 'carried', a => 'left out', w => 'carried'},
    'attidentity FROM pg_attribute' => {'' => 'none', a => 'carried', d => 'carried'},
    'attgenerated FROM pg_attribute' => {'' => 'none', s => 'carried'},
    'relpersistence FROM pg_class' => {p => 'carried', u => 'refused', t => 'of a session'},
    'partstrat FROM pg_partitioned_table' => {r => 'carried', l => 'carried', h => 'carried'},
);

my ($source, $target, $maria) = (map({ Syncline::PostgreSQL->new } 1, 2), Syncline::MariaDB->new);
$source->sql(
    'CREATE SCHEMA shop', 'CREATE ROLE reader', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text, r int CHECK (r > 0), p int4range, EXCLUDE USING gist (p WITH &&))', 'CREATE TABLE shop.b (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int REFERENCES shop.a, g int GENERATED ALWAYS AS (a + 1) STORED, UNIQUE (a))',
    'CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$', 'CREATE TRIGGER tr BEFORE INSERT ON shop.a FOR EACH ROW EXECUTE FUNCTION shop.f()',
    'CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON shop.b FOR EACH ROW EXECUTE FUNCTION shop.f()', 'CREATE RULE ru AS ON DELETE TO shop.b WHERE OLD.id = 0 DO INSTEAD NOTHING', 'CREATE POLICY po ON shop.a USING (true)', 'GRANT SELECT ON shop.a TO reader, PUBLIC',
    'CREATE STATISTICS shop.st ON v, r FROM shop.a', 'CREATE EXTENSION postgres_fdw', 'CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw', 'CREATE FOREIGN TABLE shop.ft (id int) SERVER far', 'CREATE AGGREGATE shop.ag (int) (SFUNC = int4pl, STYPE = int)',
    'CREATE FUNCTION shop.same(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = $2 $$', 'CREATE OPERATOR shop.=== (FUNCTION = shop.same, LEFTARG = int, RIGHTARG = int)', 'CREATE OPERATOR FAMILY shop.fam USING hash', 'CREATE OPERATOR CLASS shop.oc FOR TYPE int USING hash FAMILY shop.fam AS OPERATOR 1 pg_catalog.=',
    'CREATE OPERATOR FAMILY shop.lone USING btree', q{CREATE COLLATION shop.co (provider = icu, locale = 'de')}, q{CREATE CONVERSION shop.cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8}, 'CREATE TEXT SEARCH CONFIGURATION shop.tc (COPY = pg_catalog.simple)', 'CREATE TEXT SEARCH DICTIONARY shop.td (TEMPLATE = simple)',
    'CREATE TEXT SEARCH PARSER shop.tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)', 'CREATE TEXT SEARCH TEMPLATE shop.tt (LEXIZE = dsimple_lexize)', 'CREATE TYPE shop.bt', 'CREATE FUNCTION shop.bt_in(cstring) RETURNS shop.bt LANGUAGE internal IMMUTABLE STRICT AS $$int4in$$',
    'CREATE FUNCTION shop.bt_out(shop.bt) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS $$int4out$$', 'CREATE TYPE shop.bt (INPUT = shop.bt_in, OUTPUT = shop.bt_out, LIKE = int)',
    'CREATE VIEW shop.vi AS SELECT 1 AS one', 'CREATE MATERIALIZED VIEW shop.mv AS SELECT 1 AS one', 'CREATE SEQUENCE shop.sq', 'CREATE PROCEDURE shop.pr() LANGUAGE sql AS $$ $$', 'CREATE DOMAIN shop.dm AS int', q{CREATE TYPE shop.en AS ENUM ('a')}, 'CREATE TYPE shop.cm AS (a int)', 'CREATE TYPE shop.ra AS RANGE (subtype = float8)',
    'CREATE TABLE shop.pt (id int PRIMARY KEY) PARTITION BY RANGE (id)', 'CREATE TABLE shop.p1 PARTITION OF shop.pt DEFAULT PARTITION BY LIST (id)', 'CREATE TABLE shop.p2 PARTITION OF shop.p1 DEFAULT PARTITION BY HASH (id)', 'CREATE TABLE shop.p3 PARTITION OF shop.p2 FOR VALUES WITH (MODULUS 1, REMAINDER 0)', 'CREATE TABLE shop.d (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, CONSTRAINT waits UNIQUE (id) DEFERRABLE)',
    'ALTER TABLE shop.a ADD CONSTRAINT nv CHECK (r < 1000) NOT VALID', 'ALTER TABLE shop.p3 ADD CONSTRAINT own CHECK (id > 0), ADD CONSTRAINT to_d FOREIGN KEY (id) REFERENCES shop.d', q{COMMENT ON CONSTRAINT b_a_fkey ON shop.b IS 'to a'}, 'CREATE TRIGGER vt INSTEAD OF INSERT ON shop.vi FOR EACH ROW EXECUTE FUNCTION shop.f()',
    'GRANT USAGE ON SCHEMA shop TO reader', 'GRANT SELECT (id) ON shop.b TO reader', 'REVOKE EXECUTE ON FUNCTION shop.f FROM PUBLIC', 'REVOKE USAGE ON TYPE shop.en FROM PUBLIC', 'GRANT SELECT ON shop.vi TO reader', 'ALTER TABLE shop.a ENABLE REPLICA TRIGGER tr',
    'CREATE TEMPORARY TABLE t (id int)', 'ALTER TABLE shop.a ALTER COLUMN v SET STORAGE EXTERNAL, ALTER COLUMN r SET STATISTICS 50', 'ALTER TABLE shop.a CLUSTER ON a_pkey', 'ALTER TABLE shop.a REPLICA IDENTITY USING INDEX a_pkey',
);

my %there = map { $_->[0] => 1 } @{$source->rows(q{SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'})};
is(join(' ', sort grep { !$catalogs{$_} } keys %there), '', 'every catalog of the server is here');
is(join(' ', sort grep { !$there{$_} } keys %catalogs), '', 'and no other');
for my $what (sort keys %letters) {
    my ($column) = split / /, $what;
    my %has = map { $_->[0] => 1 } @{$source->rows("SELECT DISTINCT $what")};
    delete $has{u} if $column eq 'relpersistence';
    is(join(' ', sort grep { !exists $letters{$what}{$_} } keys %has), '', "$column: each letter is here");
    is(join(' ', sort grep { !$has{$_} && $_ ne 'u' } keys %{$letters{$what}}), $column eq 'contype' ? '' : '', "$column: and made above");
}

sub left_out {
    my ($to, $more, $objects) = @_;
    my $pair = Syncline::Pair->new(source => $source, target => $to, objects => $objects || '{ database = "shop"; }', more => $more);
    my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`;
    my %said;
    $said{$1} = [$2, $3] while $out =~ /^warn  Objects that are not carried\n      cause: ([^:\n]+): (.+)\n      remedy: (.+)$/mg;
    return (\%said, $out);
}
my %expected = (
    triggers => 'shop.a tr, shop.b ct, shop.vi vt', 'constraints that are NOT VALID' => 'shop.a nv', 'foreign keys of single partitions' => 'shop.pt p3 to_d', 'comments of foreign keys' => 'shop.b b_a_fkey', rules => 'shop.b ru', 'row security policies' => 'shop.a po', 'rights of others (GRANT)' => 'shop.a PUBLIC, shop.a reader, shop.vi reader', 'rights to columns (GRANT)' => 'shop.b id', 'rights to functions (GRANT, REVOKE)' => 'shop.f', 'rights to types (GRANT, REVOKE)' => 'shop.en', 'rights to schemas (GRANT)' => 'shop to reader',
    'how columns are stored (STORAGE, COMPRESSION, STATISTICS, options)' => 'shop.a r, shop.a v', 'what tables are clustered by' => 'shop.a a_pkey', 'replica identities that are an index' => 'shop.a a_pkey', 'extended statistics' => 'shop.a st', 'foreign tables' => 'shop.ft', aggregates => 'shop.ag', operators => 'shop.===', 'operator classes' => 'shop.oc',
    'operator families' => 'shop.lone', collations => 'shop.co', conversions => 'shop.cv', 'base types' => 'shop.bt', 'text search configurations' => 'shop.tc', 'text search dictionaries' => 'shop.td', 'text search parsers' => 'shop.tp', 'text search templates' => 'shop.tt',
);
my ($said, $out) = left_out($target);
is_deeply({map { $_ => $said->{$_}[0] } keys %$said}, \%expected, 'each kind is named') or diag $out;
like($said->{$_}[1], qr/by hand|nothing need be done|VALIDATE CONSTRAINT/, "$_: with what to do") for sort keys %$said;
my %others = (views => 'shop.mv, shop.vi', 'sequences that no column counts by' => 'shop.sq', 'functions and procedures' => 'shop.bt_in, shop.bt_out, shop.f, shop.pr, shop.same', 'constraints (CHECK, EXCLUDE)' => 'shop.a a_p_excl, shop.a a_r_check, shop.a nv, shop.p3 own', 'constraints that can be deferred (plain indexes there)' => 'shop.d waits', 'foreign keys' => 'shop.b b_a_fkey, shop.p3 to_d', 'defaults and identities' => 'shop.b id, shop.d id');
my ($copies) = left_out($target, qq(triggers = "copy";\n));
is($copies->{'triggers that fire for replicated rows alone, and are not copied'}[0], 'shop.a tr', 'which triggers are not copied, though others are');
ok(!$copies->{triggers}, 'and no others');
($said, $out) = left_out($maria);
is_deeply({map { $_ => $said->{$_}[0] } keys %$said}, {%expected, %others}, 'to MySQL: what only PostgreSQL is told, too') or diag $out;
like($out, qr/^warn  Destination column types\n      cause: column "g" of shop\.b is generated and is left out/m, 'and a generated column');
($said) = left_out($target, '', '{ database = "shop"; table = "b"; }');
is_deeply([sort keys %$said], ['comments of foreign keys', 'rights to columns (GRANT)', qw(rules triggers)], 'one table: what belongs to it');
($said, $out) = left_out($target, qq(initial = ["data"];\n));
is_deeply($said, {}, 'without the initial schema it is nobody\'s business');
$source->sql(map { "CREATE SEQUENCE shop.s$_" } 1 .. 7);
($said) = left_out($maria);
is($said->{'sequences that no column counts by'}[0], 'shop.s1, shop.s2, shop.s3, shop.s4, shop.s5 and 3 more', 'of many the first');

# Of a server before 10 tables alone are carried, with their foreign keys.
my $old = Syncline::PostgreSQL->new(version => '9.6');
$old->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v int DEFAULT 5 CHECK (v > 0), a int REFERENCES shop.a)', 'CREATE VIEW shop.v AS SELECT 1 AS one');
my $alone = Syncline::Pair->new(source => $old, target => $target, objects => '{ database = "shop"; }');
my $told = `$Syncline::Pair::build/syncline check ${\ $alone->conf} 2>&1`;
is(join('; ', $told =~ /^warn  Objects that are not carried\n      cause: (.+)$/mg), 'views: shop.v; defaults: shop.a v; constraints (CHECK, EXCLUDE): shop.a a_v_check', 'of 9.6') or diag $told;
undef $old;

# Where tables stand on what is not carried, the channel stops there and goes on when it is there.
$_->sql('DROP SCHEMA IF EXISTS shop CASCADE') for $source, $target;
my @needed = ('CREATE SCHEMA shop', q{CREATE COLLATION shop.co (provider = icu, locale = 'de')}, 'CREATE FUNCTION shop.same(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = $2 $$', 'CREATE OPERATOR shop.=== (FUNCTION = shop.same, LEFTARG = int, RIGHTARG = int)');
$source->sql(@needed, 'CREATE TABLE shop.a (id int PRIMARY KEY, v text COLLATE shop.co)', 'CREATE TABLE shop.b (id int PRIMARY KEY, CHECK (id OPERATOR(shop.===) id))', q{INSERT INTO shop.a VALUES (1, 'ä')}, 'INSERT INTO shop.b VALUES (1)');
my $pair = Syncline::Pair->new(source => $source, target => $target, id => 'needs', objects => '{ database = "shop"; }');
for (['shop\.a .*collation "shop\.co"', @needed[0, 1]], ['shop\.b .*operator does not exist: integer shop\.===', @needed[2, 3]]) {
    my ($what, @make) = @$_;
    $pair->start('caught-up');
    is($pair->wait(60), 78, 'what a table needs is not there');
    like($pair->output, qr/cannot create table $what.*make there by hand what it needs/, 'it is named');
    $target->sql(map { s/CREATE (SCHEMA|FUNCTION)/$1 eq 'SCHEMA' ? 'CREATE SCHEMA IF NOT EXISTS' : 'CREATE OR REPLACE FUNCTION'/er } @make);
}
$pair->start('caught-up');
is($pair->wait(60), 0, 'made by hand: it goes on') or diag $pair->output;
is($target->one('SELECT v FROM shop.a, shop.b'), 'ä', 'with rows');

# A row that is not as a constraint says that is NOT VALID loads; an extension that the account may
# not make is an administrator's.
$_->sql('DROP SCHEMA shop CASCADE') for $source, $target;
$target->sql(q{CREATE ROLE poor LOGIN PASSWORD 'secret'}, 'GRANT CREATE, TEMPORARY ON DATABASE test TO poor', 'GRANT SET ON PARAMETER session_replication_role TO poor');
$source->sql('CREATE SCHEMA shop', 'CREATE EXTENSION bloom', 'CREATE TABLE shop.a (id int PRIMARY KEY, r int)', 'INSERT INTO shop.a VALUES (1, -1)', 'ALTER TABLE shop.a ADD CONSTRAINT nv CHECK (r > 0) NOT VALID', 'CREATE INDEX ON shop.a USING bloom (r)');
$pair = Syncline::Pair->new(source => $source, target => $target->endpoint =~ s/"syncline"/"poor"/r, id => 'bloom', objects => '{ database = "shop"; }', more => qq(state_schema = "ours";\n));
$pair->start('caught-up');
is($pair->wait(60), 78, 'an extension that is not at the target');
like($pair->output, qr/cannot create extension \S*bloom.*let an administrator install the extension bloom/, 'and who makes it');
$target->sql('CREATE EXTENSION bloom');
$pair->start('caught-up');
is($pair->wait(60), 0, 'made, it goes on') or diag $pair->output;
is($target->one('SELECT r FROM shop.a'), -1, 'with the row');
is($target->one(q{SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'bloom'}), 1, 'and the index');

done_testing;
