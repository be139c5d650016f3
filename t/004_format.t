# Formatting is what clang-format leaves (style 3).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House qw(top sources);
use Test::More;

my ($tool) = grep { system("command -v $_ >/dev/null 2>&1") == 0 } qw(clang-format-14 clang-format);
plan skip_all => 'clang-format is not installed' unless $tool;
plan skip_all => "clang-format 14 decides; here is $1" if `$tool --version` =~ /version (\d+)/ && $1 != 14;

chdir top() or die "top: $!";
my @files = sources();
my %wrong;
open my $out, '-|', "$tool --dry-run @files 2>&1" or die "$tool: $!";
while (<$out>) {
    $wrong{$1} ||= $2 if /^([^:\s]+):(\d+):\d+: (?:warning|error)/;
}
close $out;
is_deeply([map { "$_:$wrong{$_}" } sort keys %wrong], [], 'all files are as clang-format leaves them');
done_testing;
