# The matrix of channel states equals the table in supervisor/README.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $readme = "$FindBin::Bin/../supervisor/README";
open my $f, '<', $readme or die "$readme: $!";
my $text = do { local $/; <$f> };
my ($table) = $text =~ /<!-- states -->\n(.*?)<!-- end of states -->/s;
my $dump = `$Syncline::Daemon::build/synclined --dump-states`;

is($? >> 8, 0, 'synclined --dump-states');
cmp_ok(scalar(split /\n/, $dump), '>', 40, 'it is a table');
is($table, $dump, 'the README has the same') or diag "run: synclined --dump-states, and put that into $readme";
done_testing;
