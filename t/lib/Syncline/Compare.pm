package Syncline::Compare;

# Both ends, row by row, byte by byte.
#
#   my @differences = compare($source, $target, 'shop', to => 'shop2');
#
# Every base table of the database: number of rows, and the multiset of rows,
# each column as the hex of its bytes (numbers and dates as text), so that
# neither collation nor display hides anything. Keyless tables count
# duplicates. Differences come back in words, at most a few per table.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(compare);

my %as_text = map { $_ => 1 } qw(tinyint smallint mediumint int bigint decimal date time datetime timestamp year);

sub columns {
    my ($db, $schema, $table) = @_;
    return $db->rows(
        'SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ? '
            . "ORDER BY ordinal_position", $schema, $table);
}

sub quoted { my ($name) = @_; $name =~ s/`/``/g; return "`$name`" }

sub expression {
    my ($name, $type) = @_;
    my $quoted = quoted($name);
    return "IFNULL($quoted, '<NULL>')" if $as_text{$type};
    return "IFNULL(CAST($quoted AS UNSIGNED), '<NULL>')" if $type eq 'enum' || $type eq 'set' || $type eq 'bit';
    return "IFNULL(CAST($quoted AS CHAR), '<NULL>')" if $type eq 'double';
    # Servers print a float's digits differently: as a decimal, the small ones as large ones too.
    return "IFNULL(CONCAT(CAST($quoted + 0e0 AS DECIMAL(65,25)), '~', CAST($quoted * 1e25 AS DECIMAL(65,25))), '<NULL>')" if $type eq 'float';
    return "IFNULL(CAST($quoted AS CHAR), '<NULL>')" if $type eq 'json';
    return "IFNULL(HEX($quoted), '<NULL>')";
}

# row text => how often
sub content {
    my ($db, $schema, $table, $columns) = @_;
    my $list = join ', ', map { expression(@$_) } @$columns;
    # The server finds the parameters: the driver would take a ? in a name for one.
    my $st = $db->main_dbh->prepare("SELECT CONCAT_WS('|', $list) FROM " . quoted($schema) . '.' . quoted($table), {mariadb_server_prepare => 1});
    my %rows;
    $st->execute;
    while (my $r = $st->fetchrow_arrayref) { $rows{$r->[0]}++ }
    return \%rows;
}

sub tables {
    my ($db, $schema) = @_;
    return map { $_->[0] } @{$db->rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE' ORDER BY 1", $schema)};
}

sub compare {
    my ($source, $target, $schema, %o) = @_;
    my $to = $o{to} || $schema;
    $_->sql("SET time_zone = '+00:00'") for $source, $target;
    my %there = map { $_ => 1 } tables($target, $to);
    my @differences;
    for my $table (tables($source, $schema)) {
        if (!delete $there{$table}) {
            push @differences, "table $table is missing at the target";
            next;
        }
        my $columns = columns($source, $schema, $table);
        my $other = columns($target, $to, $table);
        if (join(',', map { $_->[0] } @$columns) ne join(',', map { $_->[0] } @$other)) {
            push @differences, "table $table has other columns at the target";
            next;
        }
        my ($a, $b) = (content($source, $schema, $table, $columns), content($target, $to, $table, $columns));
        my $shown = 0;
        for my $row (sort keys %$a) {
            next if $a->{$row} == ($b->{$row} || 0);
            push @differences, sprintf '%s: %d at the source, %d at the target: %.300s', $table, $a->{$row}, $b->{$row} || 0, $row
                if $shown++ < 3;
        }
        for my $row (sort keys %$b) {
            push @differences, sprintf '%s: only at the target (%d): %.300s', $table, $b->{$row}, $row
                if !$a->{$row} && $shown++ < 6;
        }
        push @differences, "$table: $shown rows differ" if $shown;
    }
    push @differences, map { "table $_ is only at the target" } sort keys %there;
    return @differences;
}

1;
