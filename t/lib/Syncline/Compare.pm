package Syncline::Compare;

# Both ends, row by row, byte by byte.
#
#   my @differences = compare($source, $target, 'shop', to => 'shop2');
#
# Every base table of the database: number of rows, and the multiset of rows,
# each column as the hex of its bytes (numbers and dates as text), so that
# neither collation nor display hides anything. Keyless tables count
# duplicates. Differences come back in words, at most a few per table. Ends of
# different kinds are compared by a text that says the same of a value at both.

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

sub backticked { my ($name) = @_; return '`' . $name =~ s/`/``/gr . '`' }
sub quoted { my ($name) = @_; return '"' . $name =~ s/"/""/gr . '"' }

sub expression {
    my ($name, $type) = @_;
    my $quoted = backticked($name);
    return "IFNULL($quoted, '<NULL>')" if $as_text{$type};
    return "IFNULL(CAST($quoted AS UNSIGNED), '<NULL>')" if $type eq 'enum' || $type eq 'set' || $type eq 'bit';
    return "IFNULL(CAST($quoted AS CHAR), '<NULL>')" if $type eq 'double';
    # Servers print a float's digits differently: as a decimal, the small ones as large ones too.
    return "IFNULL(CONCAT(CAST($quoted + 0e0 AS DECIMAL(65,25)), '~', CAST($quoted * 1e25 AS DECIMAL(65,25))), '<NULL>')" if $type eq 'float';
    return "IFNULL(CAST($quoted AS CHAR), '<NULL>')" if $type eq 'json';
    return "IFNULL(HEX($quoted), '<NULL>')";
}

# The same for PostgreSQL: what the server prints; floats as they travel, since versions print them differently.
sub pg_expression {
    my ($name, $type) = @_;
    my %send = ('real' => 'float4send', 'double precision' => 'float8send');
    return "coalesce(encode($send{$type}(" . quoted($name) . "), 'hex'), '<NULL>')" if $send{$type};
    return "coalesce(encode(convert_to(" . quoted($name) . "::text, 'UTF8'), 'hex'), '<NULL>')";
}

# One text at both kinds for a column that is of this type at MySQL.
my %numeric = map { $_ => 1 } qw(tinyint smallint mediumint int bigint decimal year);

sub mysql_common {
    my ($name, $type) = @_;
    my $c = backticked($name);
    my $text
        = $type eq 'year' ? "$c + 0"
        : $numeric{$type} ? $c
        : $type eq 'float' || $type eq 'double' ? "CONCAT('float ', $c + 0e0)"
        : $type eq 'bit' ? "$c + 0"
        : $type eq 'date' || $type eq 'datetime' || $type eq 'timestamp' ? "CAST($c AS DATETIME(6))"
        : $type eq 'time' ? "CAST(TIME_TO_SEC($c) * 1000000 AS SIGNED)"
        : $type =~ /text|char|enum|set|json/ ? "HEX(CONVERT($c USING utf8mb4))"
        : "HEX($c)";
    return "IFNULL($text, '<NULL>')";
}

sub pg_common {
    my ($name, $type) = @_;
    my $c = quoted($name);
    my $text
        = $numeric{$type} ? "CASE WHEN pg_typeof($c) = 'bool'::regtype THEN CASE ${c}::text WHEN 'true' THEN '1' WHEN 'false' THEN '0' END ELSE ${c}::text END"
        : $type eq 'float' || $type eq 'double' ? "'float ' || ${c}::float8::text"
        : $type eq 'date' || $type eq 'datetime' || $type eq 'timestamp'
            ? "to_char(CASE WHEN pg_typeof($c) = 'timestamptz'::regtype THEN ${c}::timestamptz AT TIME ZONE 'UTC' ELSE ${c}::timestamp END, 'YYYY-MM-DD HH24:MI:SS.US')"
        : $type eq 'time' ? "(extract(epoch FROM $c) * 1000000)::bigint::text"
        : $type =~ /text|char|enum|set|json/ ? "upper(encode(convert_to(CASE WHEN ${c} IS NOT DISTINCT FROM NULL THEN NULL ELSE format('%s', $c) END, 'UTF8'), 'hex'))"    # with a char's blanks
        : $type eq 'bit' ? "(SELECT trunc(sum(('0' || b)::numeric * power(2::numeric, length($c) - n::int))) FROM unnest(string_to_array(${c}::text, NULL)) WITH ORDINALITY u (b, n))::text"
        : "upper(encode($c, 'hex'))";
    return "coalesce($text, '<NULL>')";
}

# Floats are numbers again: servers do not print them alike.
sub normal { my ($row) = @_; $row =~ s/float (\S+?)(?=\||$)/sprintf 'float %.15g', $1/ge; return $row }

# However the server is set.
my @printing = ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "IntervalStyle = 'postgres'", 'extra_float_digits = 3', "bytea_output = 'hex'", "lc_monetary = 'C'");

# row text => how often
sub content {
    my ($db, $schema, $table, $columns, $how) = @_;
    my $list = join ', ', map { $how->(@$_) } @$columns;
    my $mysql = $db->kind eq 'mysql';
    my $name = join '.', map { $mysql ? backticked($_) : quoted($_) } $schema, $table;
    my $row = $mysql ? "CONCAT_WS('|', $list)" : "array_to_string(ARRAY[$list]::text[], '|')";    # a function there has 100 arguments
    $db->sql($mysql ? "SET time_zone = '+00:00'" : map { "SET $_" } @printing);
    # The server finds the parameters: MySQL's driver would take a ? in a name for one.
    my $st = $db->main_dbh->prepare("SELECT $row FROM $name", $mysql ? {mariadb_server_prepare => 1} : {});
    my %rows;
    $st->execute;
    while (my $r = $st->fetchrow_arrayref) { $rows{normal($r->[0])}++ }
    return \%rows;
}

# How each end says a row.
sub ways {
    my ($source, $target) = @_;
    return (\&expression, \&expression) if $source->kind eq 'mysql' && $target->kind eq 'mysql';
    return (\&pg_expression, \&pg_expression) if $source->kind eq $target->kind;
    return map { $_->kind eq 'mysql' ? \&mysql_common : \&pg_common } $source, $target;
}

sub tables {
    my ($db, $schema) = @_;
    if ($db->kind ne 'mysql') {
        my $whole = $db->one('SHOW server_version_num') >= 100000 ? 'AND NOT relispartition' : '';
        return map { $_->[0] } @{$db->rows(
            "SELECT relname FROM pg_class WHERE relnamespace = ?::regnamespace AND relkind IN ('r', 'p') $whole ORDER BY 1", $schema)};
    }
    return map { $_->[0] } @{$db->rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE' ORDER BY 1", $schema)};
}

sub compare {
    my ($source, $target, $schema, %o) = @_;
    my $to = $o{to} || $schema;
    my %there = map { $_ => 1 } tables($target, $to);
    my @differences;
    for my $table (tables($source, $schema)) {
        if (!delete $there{$table}) {
            push @differences, "table $table is missing at the target";
            next;
        }
        my $columns = columns($source, $schema, $table);
        my $other = columns($target, $to, $table);
        # A new column is always the last one at PostgreSQL.
        if ($source->kind ne $target->kind) { @$_ = sort { $a->[0] cmp $b->[0] } @$_ for $columns, $other }
        if (join(',', map { $_->[0] } @$columns) ne join(',', map { $_->[0] } @$other)) {
            push @differences, "table $table has other columns at the target";
            next;
        }
        my ($here, $there_too) = ways($source, $target);
        my $types = $source->kind eq 'mysql' ? $columns : $other;
        my ($a, $b) = (content($source, $schema, $table, $types, $here), content($target, $to, $table, $types, $there_too));
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
