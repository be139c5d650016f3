# What the scheduler's tokens take as different, servers take as different: each
# collation that common/collation.c folds by itself, asked of real servers
# about all strings of one and two printable ASCII characters (house 5).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House;
use Syncline::MariaDB;
use Syncline::MySQL;
use Test::More;

my ($list) = Syncline::House::slurp('common/collation.c') =~ /folding\[\] = \{(.*?)\};/s;
my @folding = $list =~ /"(\w+)"/g;
cmp_ok(scalar @folding, '>', 8, 'the list was found');

# Strings that the collation takes as equal and folding does not.
sub question {
    my ($collation, $set) = @_;
    my $text = "CONVERT(CONVERT(b USING ascii) USING $set)";
    my $folded = 'RTRIM(CONVERT(b USING latin1))';
    $folded = "LOWER($folded COLLATE latin1_general_ci)" if $collation !~ /_bin$/;
    return "SELECT GROUP_CONCAT(HEX(b)) FROM c.text GROUP BY $text COLLATE $collation HAVING COUNT(DISTINCT HEX($folded)) > 1 LIMIT 3";
}

my %seen;
for my $db (Syncline::MariaDB->new, Syncline::MySQL->new) {
    my ($name) = ref($db) =~ /(\w+)$/;
    my %has = map { $_->[0] => $_->[1] } @{$db->rows('SELECT COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATIONS')};
    my @bins = grep { /_bin$/ } sort keys %has;
    $db->sql('CREATE DATABASE c', 'CREATE TABLE c.one (b VARBINARY(2) PRIMARY KEY)');
    $db->sql('INSERT INTO c.one VALUES ' . join ',', map { sprintf "(x'%02x')", $_ } 0x20 .. 0x7e);
    $db->sql('CREATE TABLE c.text AS SELECT b FROM c.one UNION ALL SELECT CONCAT(x.b, y.b) FROM c.one x, c.one y');
    isnt(scalar @{$db->rows(question('utf8mb4_roman_ci', 'utf8mb4'))}, 0, "$name: a collation that takes j as i is found out");
    for my $collation (@folding, grep { /^(utf8|latin1|ascii|gbk|binary)/ } @bins) {
        my $set = $has{$collation} // next;
        $seen{$collation} = 1;
        my $wrong = $db->rows(question($collation, $set));
        is_deeply($wrong, [], "$name: $collation makes nothing equal that differs by more than case and trailing spaces");
    }
}
is_deeply([grep { !$seen{$_} && !$seen{s,^utf8_,utf8mb3_,r} } @folding], [], 'every collation of the list was asked about');

done_testing;
