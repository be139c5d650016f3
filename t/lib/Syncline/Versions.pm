package Syncline::Versions;

# Every server version that the pair is tested on, and the cases run on each.
#
#   names()                          mysql-5.5, ..., mariadb-11.8
#   pairs()                          ["mysql-5.7 -> mariadb-10.11", "mysql-5.7", "mariadb-10.11"], ...:
#                                    each to itself, each to and from the two of today;
#                                    PostgreSQL: each as a source, upgrades over many versions, the way back;
#                                    its oldest as a target of today's MariaDB, today's as a source of MySQL and MariaDB
#   my $db = node($name, %options)   a throwaway server of that version
#   my @wrong = smoke($source, $target)
#   my @wrong = full($source, $target)     smoke, then types, DDL and kills (to PostgreSQL kills alone)
#
# A case says in words what is wrong; nothing: it held.

use strict;
use warnings;
use Exporter 'import';
use Syncline::Compare;
use Syncline::Guise;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Time::HiRes qw(sleep time);
our @EXPORT = qw(names pairs node smoke full);

my @names = qw(mysql-5.5 mysql-5.6 mysql-5.7 mysql-8.0 mysql-9.7 mariadb-10.1 mariadb-10.5 mariadb-10.11 mariadb-11.8);
my @today = qw(mariadb-10.11 mysql-8.0);

my @upgrades = (
    ['9.5', '16'], ['9.5', '9.5'], ['9.6', '9.5'], ['9.6', '18'], ['10', '17'], ['13', '18'], ['15', '16'], ['16', '18'], ['17', '10'], ['18', '18'], ['18', '13'],
);

sub names { return @names }

sub pairs {
    my (@pairs, %seen);
    for my $name (@names) {
        for my $p ([$name, $name], map { [$name, $_], [$_, $name] } @today) {
            my $text = "$p->[0] -> $p->[1]";
            push @pairs, [$text, @$p] if !$seen{$text}++;
        }
    }
    push @pairs, map { my ($from, $to) = map {"postgresql-$_"} @$_; ["$from -> $to", $from, $to] } @upgrades;
    push @pairs, map { ["$_->[0] -> $_->[1]", @$_] } ['mariadb-10.11', 'postgresql-9.5'], map { ['postgresql-15', $_] } qw(mysql-5.6 mysql-5.7 mysql-8.0 mysql-9.7 mariadb-10.1 mariadb-11.8);
    return @pairs;
}

# Debian's own are those without a version.
sub node {
    my ($name, %o) = @_;
    my ($family, $version) = $name =~ /^(mysql|mariadb|postgresql)-(\d+(?:\.\d+)?)$/ or die "no server is called $name";
    return Syncline::MySQL->new(version => $version, %o) if $family eq 'mysql';
    return Syncline::PostgreSQL->new($version eq '15' ? () : (version => $version), %o) if $family eq 'postgresql';
    return Syncline::MariaDB->new($version eq '10.11' ? () : (version => $version), %o);
}

# What this server's tables cannot have.
sub lacks {
    my ($db) = @_;
    return if $db->kind eq 'postgresql';
    my ($v, $mariadb) = ($db->one('SELECT VERSION()'), $db->isa('Syncline::MariaDB'));
    my ($major, $minor) = $v =~ /^(\d+)\.(\d+)/;
    my $n = $major * 100 + $minor;
    return (($mariadb ? () : $n < 506 ? 'fraction' : ()), ($n < ($mariadb ? 1002 : 507) ? 'json' : ()));
}

sub clean {
    my ($db) = @_;
    $db->sql($db->kind eq 'postgresql' ? "DROP SCHEMA IF EXISTS $_ CASCADE" : "DROP DATABASE IF EXISTS $_") for qw(shop audit syncline);
}

# 9.5.3, the only 9.5 that can be had, is refused as a source (t/695): it says that it is the newest, and
# the load has none of the transactions that it loses.
my %guises;

sub is_lossy { my ($db) = @_; return $db->kind eq 'postgresql' && $db->one('SHOW server_version_num') < 90507 }

sub pair {
    my ($source, $target, $more) = @_;
    $source = $guises{$source->port} ||= Syncline::Guise->new(server => $source, as => '9.5.25') if is_lossy($source);
    return Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 150;\n" . ($more // ''));
}

my @ddl = (
    'ALTER TABLE shop.customer ADD COLUMN extra INT NOT NULL DEFAULT 7 AFTER name',
    'CREATE TABLE shop.later (id INT PRIMARY KEY, v VARCHAR(10))',
    'INSERT INTO shop.later VALUES (1, "a"), (2, "b")',
    'ALTER TABLE shop.later ADD COLUMN w INT FIRST',
    'INSERT INTO shop.later VALUES (9, 3, "c")',
    'CREATE INDEX hits ON shop.word (hits)',
    'RENAME TABLE shop.later TO shop.late',
    'UPDATE shop.late SET v = "z" WHERE id = 2',
    'CREATE VIEW shop.rich AS SELECT id FROM shop.account WHERE balance > 100',
    'CREATE TABLE shop.gone (id INT)',
    'DROP TABLE shop.gone',
    'CREATE TABLE shop.copy LIKE shop.word',
    'INSERT INTO shop.copy SELECT * FROM shop.word',
    'TRUNCATE TABLE shop.events',
    'INSERT INTO shop.events VALUES (NOW(), 1, "x"), (NOW(), 1, "x")',
);

# On a crowded machine they may take a while to be there; a pair that has ended as after a lost
# connection has none, and is as good.
sub kill_one {
    my ($pair) = @_;
    for (1 .. 400) { return 1 if $pair->kill_worker || $pair->output =~ /^ended class=retry [^\n]*\n\z/m; sleep 0.05 }
    return 0;
}

# Waits for an end; undef if it was the right one, else the words.
sub ends {
    my ($pair, $what) = @_;
    my $exit = eval { $pair->wait(60) };
    return if defined $exit && $exit == 0;
    return "$what: " . (defined $exit ? "exit $exit\n" . $pair->output : $@);
}

my @pg_ddl = (
    q{ALTER TABLE shop.customer ADD COLUMN extra int NOT NULL DEFAULT 7}, 'CREATE TABLE shop.later (id int PRIMARY KEY, v varchar(10))',
    q{INSERT INTO shop.later VALUES (1, 'a'), (2, 'b')}, 'ALTER TABLE shop.later ADD COLUMN w numeric(8,2)', q{INSERT INTO shop.later VALUES (9, 'c', 3)},
    'CREATE INDEX hits ON shop.word (hits)', 'ALTER TABLE shop.later RENAME TO late', q{UPDATE shop.late SET v = 'z' WHERE id = 2},
    'CREATE TABLE shop.gone (id int PRIMARY KEY)', 'INSERT INTO shop.gone VALUES (1)', 'DROP TABLE shop.gone', 'CREATE TABLE shop.copy AS SELECT * FROM shop.word',
    'ALTER TABLE shop.copy ADD PRIMARY KEY (w, lang)', 'UPDATE shop.copy SET hits = hits + 1', 'ALTER TABLE shop.late RENAME COLUMN v TO text', q{ALTER TABLE shop.customer ADD COLUMN more text NOT NULL DEFAULT 'it''s', ADD COLUMN is_new boolean NOT NULL DEFAULT false},
    'CREATE UNIQUE INDEX more ON shop.customer (id, extra)', 'DROP INDEX shop.hits',
);

# Two servers as new, with tables at the source.
sub pg_begin {
    my ($source, $target) = @_;
    for my $db ($source, $target) {
        if ($db->kind ne 'postgresql') { clean($db); next }
        $db->sql(map { "DROP SCHEMA IF EXISTS $_ CASCADE" } qw(shop syncline));
        $db->sql('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
        $db->sql('DROP PUBLICATION IF EXISTS syncline_test') if $db->one('SHOW server_version_num') >= 100000;
    }
    my $alike = $target->kind eq 'postgresql';
    pg_schema($source, $alike ? $target : ());
    pg_fill($source, 400);
    $source->sql('DROP TABLE shop.wide') if !$alike;
}

# All tables from one snapshot, under load: a worker is killed, and the load begins again.
sub pg_held {
    my ($source, $target) = @_;
    pg_begin($source, $target);
    my $load = Syncline::Load->start($source, pg_load(flat => is_lossy($source), plain => $target->kind ne 'postgresql'), writers => 2, seed => 9, pause => 0.004);
    my $pair = pair($source, $target, qq{snapshot = "held";\n});
    $pair->start;
    $pair->wait_for(qr/flowing/, 30);
    $pair->kill_worker;
    $pair->kill_all;
    $pair->start('loaded');
    my @wrong = ends($pair, 'held: load');
    $load->stop;
    return @wrong if @wrong;
    $pair->start('caught-up');
    push @wrong, ends($pair, 'held: stream'), compare($source, $target, 'shop');
    push @wrong, 'held: a conflict: ' . $pair->output if $pair->output =~ /^conflict/m;
    push @wrong, 'held: it was not: ' . $pair->output if $pair->output !~ /holds one snapshot/;
    return @wrong;
}

# As for the others: loaded under load, statements, a kill of a worker.
sub pg_smoke {
    my ($source, $target) = @_;
    my @wrong;
    pg_begin($source, $target);
    my $load = Syncline::Load->start($source, pg_load(flat => is_lossy($source), plain => $target->kind ne 'postgresql'), writers => 2, seed => 7, pause => 0.004);
    my $pair = pair($source, $target);
    $pair->start('loaded');
    push @wrong, ends($pair, 'load');
    if (!@wrong) {
        $pair->start;
        $source->sql(@pg_ddl);
        $pair->wait_for(qr/flowing.*flowing/s, 10);
        kill_one($pair) or push @wrong, 'no worker to kill: ' . substr $pair->output, -2000;
        sleep 0.5;
    }
    my $transactions = $load->stop;
    push @wrong, "only $transactions transactions meanwhile" if $transactions < 50;
    return @wrong if @wrong;
    $pair->stop;
    $pair->start('caught-up');
    push @wrong, ends($pair, 'stream');
    push @wrong, compare($source, $target, 'shop');
    push @wrong, 'a conflict: ' . $pair->output if $pair->output =~ /^conflict/m;
    return @wrong;
}

# A few tables with all common types, loaded while they are written to, DDL, a kill of a worker.
sub smoke {
    my ($source, $target) = @_;
    if ($source->kind eq 'postgresql') {
        my @wrong = pg_smoke($source, $target);
        return @wrong ? @wrong : pg_held($source, $target);
    }
    my @wrong;
    clean($_) for $source, $target;
    limit(lacks($source), lacks($target));
    schema($source);
    fill($source, 400);
    my $load = Syncline::Load->start($source, writers => 2, seed => 7, pause => 0.004);
    my $pair = pair($source, $target);
    $pair->start('loaded');
    push @wrong, ends($pair, 'load');
    if (!@wrong) {
        $pair->start;
        $source->sql(@ddl);
        $pair->wait_for(qr/flowing.*flowing/s, 10);
        kill_one($pair) or push @wrong, 'no worker to kill: ' . substr $pair->output, -2000;
        sleep 0.5;
    }
    my $transactions = $load->stop;
    push @wrong, "only $transactions transactions meanwhile" if $transactions < 50;
    return @wrong if @wrong;
    $pair->stop;
    $pair->start('caught-up');
    push @wrong, ends($pair, 'stream');
    push @wrong, compare($source, $target, 'shop');
    push @wrong, 'a conflict: ' . $pair->output if $pair->output =~ /^conflict/m;
    return @wrong;
}

# Definition, values, what a server must have for it.
my @types = (
    ['TINYINT', -128, 127], ['TINYINT UNSIGNED', 0, 255], ['SMALLINT', -32768, 32767], ['SMALLINT UNSIGNED', 65535], ['MEDIUMINT', -8388608, 8388607],
    ['MEDIUMINT UNSIGNED', 16777215], ['INT', -2147483648, 2147483647], ['INT UNSIGNED', 4294967295], ['BIGINT', '-9223372036854775808', '9223372036854775807'],
    ['BIGINT UNSIGNED', '18446744073709551615', 0], ['DECIMAL(65,30)', ('9' x 35) . '.' . ('9' x 30), '-0.' . ('0' x 29) . '1'], ['DECIMAL(10,0)', -9999999999],
    ['FLOAT', 0.1, -1.5, '3.4e38'], ['DOUBLE', 0.1, '-1.7976931348623157e308', '4.9e-324'], ['BIT(64)', "x'ffffffffffffffff'", "b'1'"], ['BIT(3)', "b'101'"],
    ['DATE', "'0000-00-00'", "'9999-12-31'", "'2020-02-31'"], ['TIME', "'-838:59:59'", "'838:59:59'", "'00:00:00'"], ['DATETIME', "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'"],
    ['TIMESTAMP NULL', "'0000-00-00 00:00:00'", "'2038-01-19 03:14:07'", "'1970-01-01 00:00:01'"], ['YEAR', 1901, 2155, 0],
    ['TIME(6)', "'-838:59:58.999999'", "'-00:00:00.000001'", "'12:34:56.789'", 'fraction'], ['DATETIME(3)', "'2020-01-01 00:00:00.001'", 'fraction'],
    ['TIMESTAMP(6) NULL', "'2038-01-19 03:14:07.999999'", "'2020-03-29 01:30:00.5'", 'fraction'],
    ['CHAR(10) CHARACTER SET utf8mb4', "''", "x'f09f9880c3a9'"], ['VARCHAR(300) CHARACTER SET utf8mb4', "REPEAT('a', 256)", "' lead'", "x'e697a5'"],
    ['VARCHAR(20) CHARACTER SET utf8', "x'c3a9'"], ['VARCHAR(20) CHARACTER SET latin1', "x'e9'"], ['TEXT CHARACTER SET gbk', "x'b0a1'"], ['LONGTEXT', "REPEAT('b', 100000)"],
    ['BINARY(8)', "x'00'", "x'6100ff'", "''"], ['VARBINARY(300)', "x'0000'", "REPEAT(x'ff', 300)", "x'6120'"], ['BLOB', "x'00275c0a'", "''"], ['LONGBLOB', "REPEAT(x'c3', 100000)"],
    ["ENUM('x','it''s','') CHARACTER SET utf8mb4", 1, 2, 3], ["SET('a','b','c')", 0, 5, 7], ['GEOMETRY', "x'000000000101000000000000000000f03f0000000000000040'"],
    ['JSON', q('{"a": [1, 2.5, "x", null, true]}'), q('"text"'), q('[]'), 'json'],
);

# Every type at its limits, as rows that load and as rows that stream.
sub types {
    my ($source, $target) = @_;
    my %without = map { $_ => 1 } lacks($source), lacks($target);
    my (@definitions, @rows);
    for my $type (@types) {
        my ($definition, @values) = @$type;
        my ($needs) = grep { /^(?:fraction|json)$/ } @values;
        next if $needs && $without{$needs};
        @values = grep { !/^(?:fraction|json)$/ } @values;
        push @definitions, 'c' . @definitions . " $definition" . ($definition =~ /NULL$/ ? '' : ' NULL');
        $rows[$_]{$#definitions} = $values[$_] for 0 .. $#values;
    }
    my @inserts = map {
        my $row = $_;
        join ', ', map { $row->{$_} // 'NULL' } 0 .. $#definitions
    } {}, @rows;
    clean($_) for $source, $target;
    my $fill = sub { my ($table) = @_; my $id = 0; map { "INSERT INTO shop.$table VALUES (" . $id++ . ", $_)" } @inserts };
    my $columns = join ', ', @definitions;
    $source->sql("SET SESSION sql_mode = '', time_zone = '+00:00'", 'CREATE DATABASE shop CHARACTER SET utf8mb4',
        map { ("CREATE TABLE shop.$_ (id INT PRIMARY KEY, $columns) ENGINE=InnoDB") } qw(loaded streamed changed));
    $source->sql($fill->('loaded'), 'INSERT INTO shop.changed (id) VALUES ' . join ',', map { "($_)" } 0 .. $#inserts);
    my $pair = pair($source, $target);
    $pair->start('loaded');
    my @wrong = ends($pair, 'types: load');
    return @wrong if @wrong;
    my $set = join ', ', map { "a.c$_ = b.c$_" } 0 .. $#definitions;
    $source->sql($fill->('streamed'), "UPDATE shop.changed a JOIN shop.loaded b ON a.id = b.id SET $set", 'DELETE FROM shop.streamed WHERE id = 1');
    $pair->start('caught-up');
    return ends($pair, 'types: stream'), compare($source, $target, 'shop');
}

# Statements that change what rows mean, with rows before and behind each.
sub ddl {
    my ($source, $target) = @_;
    my @statements = (
        'ADD COLUMN a INT NOT NULL DEFAULT 5 FIRST', 'MODIFY v VARCHAR(80)', 'CHANGE v text VARCHAR(90) AFTER a', 'ADD UNIQUE KEY u (n)', 'DROP INDEX u', 'ADD COLUMN b BLOB, DROP COLUMN a',
        'MODIFY n BIGINT UNSIGNED', 'DROP PRIMARY KEY, ADD PRIMARY KEY (n, id)', 'ALTER COLUMN text SET DEFAULT "d"', 'CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', 'ENGINE=InnoDB',
        'PARTITION BY HASH (n) PARTITIONS 3', 'REMOVE PARTITIONING', 'RENAME TO shop.moved',
    );
    clean($_) for $source, $target;
    $source->sql('CREATE DATABASE shop CHARACTER SET utf8mb4', 'CREATE TABLE shop.t (id INT, v VARCHAR(20), n INT NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB', 'INSERT INTO shop.t VALUES (1, "a", 1)');
    my $pair = pair($source, $target);
    $pair->start('loaded');
    my @wrong = ends($pair, 'DDL: load');
    return @wrong if @wrong;
    my $id = 2;
    for my $statement (@statements) {
        $source->sql("INSERT INTO shop.t (id, n) VALUES ($id, $id)", "ALTER TABLE shop.t $statement") if $statement;
        $id++;
    }
    $source->sql(
        'INSERT INTO shop.moved (id, n) VALUES (99, 99)', 'CREATE TABLE shop.other LIKE shop.moved', 'INSERT INTO shop.other SELECT * FROM shop.moved', 'UPDATE shop.other SET id = id + 1000',
        'RENAME TABLE shop.moved TO shop.swap, shop.other TO shop.moved, shop.swap TO shop.other', 'INSERT INTO shop.other (id, n) VALUES (7, 700)', 'CREATE OR REPLACE VIEW shop.w AS SELECT id FROM shop.moved',
        'CREATE OR REPLACE VIEW shop.w AS SELECT id, n FROM shop.other', 'CREATE TABLE shop.x (id INT)', 'CREATE TABLE shop.y (id INT)', 'DROP TABLE shop.x, shop.y', 'DELETE FROM shop.moved WHERE n = 3',
        'CREATE FUNCTION shop.f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1', 'CREATE PROCEDURE shop.p() SELECT 1', 'DROP PROCEDURE shop.p',
    );
    $pair->start('caught-up');
    push @wrong, ends($pair, 'DDL'), compare($source, $target, 'shop');
    push @wrong, 'the function did not come along' if !@wrong && $target->one('SELECT shop.f(1)') != 2;
    push @wrong, 'the view is not the newest' if !@wrong && $target->one('SELECT COUNT(n) FROM shop.w') != $source->one('SELECT COUNT(n) FROM shop.w');
    return @wrong;
}

# Writers at work, workers killed while everything loads and streams.
sub kills {
    my ($source, $target) = @_;
    clean($_) for $source, $target;
    limit(lacks($source), lacks($target));
    schema($source);
    fill($source, 1000);
    my $load = Syncline::Load->start($source, writers => 4, seed => 11, pause => 0.004);
    my $pair = pair($source, $target);
    $pair->start;
    my $kills = 0;
    for (1 .. 10) {
        sleep 0.2 + rand 0.5;
        if ($_ % 5 == 0) { $pair->kill_all; $pair->start; $kills++ }
        else { $kills += $pair->kill_worker }
    }
    $load->stop;
    $pair->kill_all;
    $pair->start('caught-up');
    my @wrong = (ends($pair, 'kills'), compare($source, $target, 'shop'));
    push @wrong, "only $kills kills" if $kills < 5;
    push @wrong, 'kills: a conflict: ' . $pair->output if $pair->output =~ /^conflict/m;
    return @wrong;
}

sub full {
    my ($source, $target) = @_;
    my @wrong = smoke($source, $target);
    return @wrong if $source->kind eq 'postgresql';
    for my $case ($target->kind eq 'postgresql' ? () : (\&types, \&ddl), \&kills) { push @wrong, $case->($source, $target) if !@wrong }
    return @wrong;
}

1;
