package Syncline::Versions;

# Every server version that the pair is tested on, and the cases run on each.
#
#   names()                          mysql-5.5, ..., mariadb-11.8
#   pairs()                          ["mysql-5.7 -> mariadb-10.11", "mysql-5.7", "mariadb-10.11"], ...:
#                                    each to itself, each to and from the two of today
#   my $db = node($name, %options)   a throwaway server of that version
#   my @wrong = smoke($source, $target)
#   my @wrong = full($source, $target)
#
# A case says in words what is wrong; nothing: it held.

use strict;
use warnings;
use Exporter 'import';
use Syncline::Compare;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Time::HiRes qw(sleep time);
our @EXPORT = qw(names pairs node smoke full);

my @names = qw(mysql-5.5 mysql-5.6 mysql-5.7 mysql-8.0 mysql-9.7 mariadb-10.1 mariadb-10.5 mariadb-10.11 mariadb-11.8);
my @today = qw(mariadb-10.11 mysql-8.0);

sub names { return @names }

sub pairs {
    my (@pairs, %seen);
    for my $name (@names) {
        for my $p ([$name, $name], map { [$name, $_], [$_, $name] } @today) {
            my $text = "$p->[0] -> $p->[1]";
            push @pairs, [$text, @$p] if !$seen{$text}++;
        }
    }
    return @pairs;
}

# Debian's own MariaDB is the one without a version.
sub node {
    my ($name, %o) = @_;
    my ($family, $version) = $name =~ /^(mysql|mariadb)-(\d+\.\d+)$/ or die "no server is called $name";
    return Syncline::MySQL->new(version => $version, %o) if $family eq 'mysql';
    return Syncline::MariaDB->new($version eq '10.11' ? () : (version => $version), %o);
}

# What this server's tables cannot have.
sub lacks {
    my ($db) = @_;
    my ($v, $mariadb) = ($db->one('SELECT VERSION()'), $db->isa('Syncline::MariaDB'));
    my ($major, $minor) = $v =~ /^(\d+)\.(\d+)/;
    my $n = $major * 100 + $minor;
    return (($mariadb ? () : $n < 506 ? 'fraction' : ()), ($n < ($mariadb ? 1002 : 507) ? 'json' : ()));
}

sub clean {
    my ($db) = @_;
    $db->sql("DROP DATABASE IF EXISTS $_") for qw(shop audit syncline);
}

sub pair {
    my ($source, $target) = @_;
    return Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 150;\n");
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

# Waits for an end; undef if it was the right one, else the words.
sub ends {
    my ($pair, $what) = @_;
    my $exit = eval { $pair->wait(60) };
    return if defined $exit && $exit == 0;
    return "$what: " . (defined $exit ? "exit $exit\n" . $pair->output : $@);
}

# A few tables with all common types, loaded while they are written to, DDL, a kill of a worker.
sub smoke {
    my ($source, $target) = @_;
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
        $pair->kill_worker or push @wrong, 'no worker to kill';
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

1;
