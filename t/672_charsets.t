# Every character set that a server lists, as data: all characters of it that
# the server converts, all bytes of the single-byte ones. Every collation, as a
# key: bounds of chunks, rows found again, values that are equal under it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

my %servers = (MariaDB => [map { Syncline::MariaDB->new } 1 .. 2], MySQL => [map { Syncline::MySQL->new } 1 .. 2]);

sub names { my ($db, $query) = @_; return map { $_->[0] } @{$db->rows($query)} }

sub common {
    my ($query, @dbs) = @_;
    my %n;
    $n{$_ =~ s/^utf8mb3\b/utf8/r}++ for map { names($_, $query) } @dbs;
    return sort grep { $n{$_} == @dbs } keys %n;
}

# Text of each block of Unicode and of each byte; what a set does not have becomes '?'.
sub fill_sets {
    my ($db) = @_;
    my @text;
    for (my $from = 0; $from < 0x20000; $from += 1024) {
        next if $from >= 0xd800 && $from < 0xe000;
        push @text, join '', map { sprintf '%08x', $_ } $from .. $from + 1023;
    }
    $db->sql('CREATE TABLE sets.unicode (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT CHARACTER SET utf32)');
    my $insert = $db->dbh->prepare("INSERT INTO sets.unicode (t) VALUES (CONVERT(UNHEX(?) USING utf32))");
    $insert->execute($_) for @text;
}

for my $case (['MariaDB', 'MariaDB'], ['MySQL', 'MySQL'], ['MariaDB', 'MySQL'], ['MySQL', 'MariaDB']) {
    my ($from, $to) = @$case;
    my ($source, $target) = ($servers{$from}[0], $servers{$to}[1]);
    my @sets = common('SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS', $source, $target);
    my @collations = common("SELECT COLLATION_NAME FROM information_schema.COLLATIONS WHERE COLLATION_NAME NOT LIKE 'uca1400%'", $source, $target);
    my @uca = $from eq 'MariaDB' && $to eq 'MariaDB' ? names($source, "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY "
            . "WHERE COLLATION_NAME LIKE 'uca1400%' AND FULL_COLLATION_NAME REGEXP '^utf8mb4_.*(german2|turkish|swedish|^uca1400)|_ai_ci\$'") : ();
    cmp_ok(scalar @sets, '>', 38, "$from to $to: " . @sets . ' character sets');
    # What a collation does is asked of each family by itself; between them, that sets have the same words.
    @collations = grep { $ENV{FULL} || /^utf8mb4_(?:bin|general_ci|unicode_ci)$/ } @collations if $from ne $to;
    cmp_ok(scalar @collations, '>', $from eq $to ? 270 : 2, "$from to $to: " . (@collations + @uca) . ' collations');
    for my $db ($source, $target) { $db->sql("DROP DATABASE IF EXISTS $_") for qw(sets keys_of marker syncline) }
    $source->sql('CREATE DATABASE sets', 'CREATE DATABASE keys_of');
    fill_sets($source);
    my $dbh = $source->dbh;
    $dbh->do("SET sql_mode = '', NAMES utf8mb4");
    my %bytes = map { $_ => join '', map { sprintf '%02x', $_ } 0 .. $_ } 127, 255;
    my %wide = map { $_->[0] => $_->[1] } @{$source->rows('SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS')};
    for my $set (@sets) {
        next if $set eq 'binary';
        my $raw = $bytes{$set eq 'ascii' ? 127 : 255};
        $dbh->do("CREATE TABLE sets.$set (id INT AUTO_INCREMENT PRIMARY KEY, t MEDIUMTEXT, c CHAR(20), v VARCHAR(300), e ENUM('a', 'b'), KEY (v(10))) DEFAULT CHARACTER SET $set");
        $dbh->do("CREATE TABLE sets.n_$set (v VARCHAR(300), c CHAR(20)) DEFAULT CHARACTER SET $set");
        $dbh->do("INSERT INTO sets.$set (t, c, v, e) SELECT t, LEFT(t, 20), LEFT(t, 300), 1 FROM sets.unicode");
        $dbh->do("INSERT INTO sets.$set (t) VALUES (CONVERT(x'$raw' USING $set)), (_$set x'" . (($wide{$set} // 3) == 1 ? $raw : '') . "')");
    }
    # Equal by half of the collations, not by bytes; none twice by any.
    my @words = (map { sprintf '%s%03d', chr(97 + $_ % 26), $_ } 1 .. 40);
    for my $collation (@collations, @uca) {
        my ($set) = $collation =~ /^([a-z0-9]+)/;
        next if $collation eq 'binary';
        my $table = "keys_of.$collation";
        $dbh->do("CREATE TABLE $table (k VARCHAR(30) CHARACTER SET $set COLLATE $collation NOT NULL, n INT NOT NULL, x INT, PRIMARY KEY (k, n)) ENGINE=InnoDB");
        $dbh->do("INSERT IGNORE INTO $table VALUES " . join(',', (map { "('$_', 1, 0)" } @words), map { "(CONVERT(_utf8mb4 x'$_' USING $set), 2, 0)" }
                'c384', 'c3a4', 'c39f', '5353', '7373', 'c3b8', 'c4b0', 'c4b1', '49', '69', '6a', 'd096', 'e697a5', 'f09f9880', 'c3a0', '6120', '61', '610061', '', '20', '5c', '27', '60'));
    }
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "sets"; }, { database = "keys_of"; }, { database = "marker"; }',
        more => "chunk_rows = 16;\n");
    $pair->mark($source)->start('loaded');
    is($pair->wait(90), 0, "$from to $to: loaded") or diag $pair->output;
    is(join("\n", compare($source, $target, 'sets')), '', "$from to $to: the load is exact");
    for my $set (grep { $_ ne 'binary' } @sets) {
        $dbh->do("INSERT INTO sets.$set (t, c, v, e) SELECT REVERSE(t), LEFT(t, 20), v, e FROM sets.$set WHERE id % 9 = 0");
        $dbh->do("UPDATE sets.$set SET t = v, v = REVERSE(v) WHERE id % 7 = 0");
        $dbh->do("INSERT INTO sets.n_$set SELECT v, c FROM sets.$set WHERE id % 11 = 0");
        $dbh->do("UPDATE sets.n_$set SET v = c LIMIT 9");
        $dbh->do("DELETE FROM sets.n_$set WHERE v = c LIMIT 3");
    }
    for my $collation (grep { $_ ne 'binary' } @collations, @uca) {
        $dbh->do("UPDATE keys_of.$collation SET x = n");
        $dbh->do("UPDATE keys_of.$collation SET k = UPPER(k) WHERE n = 1 ORDER BY k LIMIT 20");
        $dbh->do("DELETE FROM keys_of.$collation ORDER BY k LIMIT 5");
        $dbh->do("REPLACE INTO keys_of.$collation VALUES ('q', 1, 5), ('Q ', 1, 6), ('q', 2, 7)");
    }
    is($pair->follow($source, $target, 100), 0, "$from to $to: streamed") or diag $pair->output;
    is(join("\n", map { compare($source, $target, $_) } qw(sets keys_of)), '', "$from to $to: the stream is exact");
}

done_testing;
