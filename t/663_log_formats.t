# What servers write into their logs, by their settings: each of it is read. That
# the log really has it is asked of the server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Versions;
use Test::More;

my $target = node('mariadb-10.11');

# What; server; its options; statements for every session; an event that its log must have.
my @cases = (
    ['rows of version 1 from a later MySQL', 'mysql-8.0', ['--log-bin-use-v1-row-events=1'], '', qr/^Write_rows_v1$/],
    ['no checksums', 'mysql-8.0', ['--binlog-checksum=NONE'], '', qr/^Write_rows$/],
    ['no column names', 'mysql-8.0', ['--binlog-row-metadata=MINIMAL'], '', qr/^Table_map$/],
    ['no GTIDs', 'mysql-8.0', ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'], '', qr/^Anonymous_Gtid$/],
    ['no GTIDs', 'mysql-5.7', ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'], '', qr/^Anonymous_Gtid$/],
    ['no GTIDs', 'mysql-5.6', ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'], '', qr/^Xid$/],
    ['statements beside rows', 'mysql-8.0', ['--binlog-rows-query-log-events=ON'], '', qr/^Rows_query$/],
    ['compressed transactions', 'mysql-8.0', ['--binlog-transaction-compression=ON'], '', qr/^Transaction_payload$/],
    ['compressed transactions', 'mysql-9.7', ['--binlog-transaction-compression=ON'], '', qr/^Transaction_payload$/],
    ['GTIDs with tags', 'mysql-9.7', [], "SET gtid_next = 'AUTOMATIC:shop_tag'", qr/^Gtid_tagged/],
    ['compressed rows and statements', 'mariadb-10.5', ['--log-bin-compress=1', '--log-bin-compress-min-len=10'], '', qr/^Write_rows_compressed_v1$/],
    ['compressed rows and statements', 'mariadb-11.8', ['--log-bin-compress=1', '--log-bin-compress-min-len=10'], '', qr/^Query_compressed$/],
    ['checksums', 'mariadb-10.1', ['--binlog-checksum=CRC32'], '', qr/^Write_rows_v1$/],
    ['times in the format of before 5.6', 'mariadb-10.1', ['--mysql56-temporal-format=OFF'], '', qr/^Write_rows_v1$/],
    ['times in the format of before 5.6', 'mariadb-10.11', ['--mysql56-temporal-format=OFF'], '', qr/^Write_rows_v1$/],
    ['several domains', 'mariadb-10.11', [], 'SET gtid_domain_id = CONNECTION_ID() % 3', qr/^Gtid$/],
);

for my $case (@cases) {
    my ($what, $name, $options, $session, $event) = @$case;
    next if @ARGV && !grep { "$name: $what" =~ /$_/ } @ARGV;
    my $source = node($name, options => $options, session => $session);
    my @wrong = smoke($source, $target);
    is(join("\n", @wrong), '', "$name: $what");
    my %types;
    for my $log (map { $_->[0] } @{$source->rows('SHOW BINARY LOGS')}) {
        $types{$_->[2]} = 1 for @{$source->rows("SHOW BINLOG EVENTS IN '$log'")};
    }
    ok((grep { $_ =~ $event } keys %types), "$name: $what: the log has it") or diag join ' ', sort keys %types;
    $source->stop;
}
done_testing;
