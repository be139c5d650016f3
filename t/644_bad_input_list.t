# The mistakes that must have a golden text, and that every text is whole: no mistake
# without a file, no file without a mistake and a test, and each says what happened,
# where, and what to do, with an exit status of the one table.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Golden;
use Test::More;

my %mistakes = (
    'wrong password' => [qw(wrong-password-source wrong-password-target wrong-password-source-streaming wrong-password-target-streaming)],
    'closed port' => [qw(closed-port-source closed-port-target)],
    'missing rights' => [qw(missing-rights-source missing-rights-source-log missing-rights-target)],
    'binlog off' => ['log-off'],
    'STATEMENT format' => [qw(format-statement format-mixed)],
    'server_id 0' => [qw(server-id server-id-0)],
    'purged log' => ['purged-log'],
    'reset server' => [qw(reset-master reset-master-streaming)],
    'target ahead of its source' => ['target-ahead'],
    'target table missing or different' => [qw(table-missing table-different table-gone column-gone table-exists)],
    'unsupported engine' => ['unsupported-engine'],
    'unknown option' => ['unknown-option'],
    'two channels on one target table' => ['two-channels-one-table'],
    'no right to make our tables' => ['no-right-to-make-our-tables'],
    'unwritable state directory' => ['state-directory'],
    'replication slot or publication gone' => [qw(pgsql-slot-gone pgsql-slot-gone-streaming pgsql-slot-lost pgsql-publication-gone pgsql-publication-gone-streaming)],
    'PostgreSQL: wrong password' => [map { ("pgsql-wrong-password-$_", "pgsql-wrong-password-$_-streaming") } qw(source target)],
    'PostgreSQL: nobody listens, or we are not let in' => [map { ("pgsql-closed-port-$_", "pgsql-refused-$_", "pgsql-no-database-$_") } qw(source target)],
    'PostgreSQL: a source that cannot be one' => [qw(pgsql-wal-level pgsql-no-slot pgsql-no-replication pgsql-missing-rights-source pgsql-no-identity pgsql-too-old)],
    'PostgreSQL: missing rights at the target' => [qw(pgsql-missing-rights-target pgsql-no-right-to-make-our-tables pgsql-right-gone-target)],
    'PostgreSQL: a table that is there' => ['pgsql-table-exists'],
    'another server at the address' => [qw(pgsql-standby-behind pgsql-standby-without-slot pgsql-source-restored pgsql-other-cluster)],
    'full disk' => [qw(state-disk-full state-disk-full-running target-disk-full)],
);

sub slurp { my ($file) = @_; open my $f, '<', $file or return undef; local $/; return scalar <$f> }

my %there = map { $_ => 1 } golden_files();
my $tests = join '', map { slurp($_) } grep { !/644_/ } glob "$FindBin::Bin/64?_*.t";
my $statuses = slurp("$FindBin::Bin/../common/err.h") =~ s/.*define RC_LIST(.*?)enum rc.*/$1/sr;
my %status = map { $_ => 1 } 0 .. 4, $statuses =~ /, (\d+), \d\)/g;

for my $mistake (sort keys %mistakes) {
    ok($there{$_}, "$mistake: $_.txt") for @{$mistakes{$mistake}};
}
my %wanted = map { $_ => 1 } map { @$_ } values %mistakes;
is_deeply([grep { !$wanted{$_} } sort keys %there], [], 'no text without a mistake');
for my $name (sort keys %there) {
    my $family = $name =~ s/-(?:source|target)(?=-|$)/-\$end/r;
    ok($tests =~ /['(\/"]\Q$name\E\b/ || $tests =~ /"\Q$family\E/, "$name: a test makes the mistake");
    my $text = slurp("$FindBin::Bin/data/errors/$name.txt");
    like($text, qr/127\.0\.0\.1:(?:SOURCE|TARGET)|DIR\/\S+/, "$name: says where");
    like($text, qr/what to do|remedy: \S|did you mean|map one of them|make room/, "$name: says what to do");
    is_deeply([grep { !$status{$_} } $text =~ /^ +exit status (\S+)$/mg], [], "$name: exit statuses of the one table");
}
done_testing;
