# The lists of t/README, faults and what MySQL brings: every number is there once, what it names
# is there to be run, and what is not tested says so.
use strict;
use warnings;
use FindBin;
use Test::More;

my %lists = (
    'The catalogue' => {K => 10, S => 5, T => 4, N => 5, R => 5, Q => 1, B => 3, D => 2, M => 3, C => 2, H => 1, P => 4, U => 1, L => 1},
    'MySQL, whole' => {V => 11, Y => 8, N => 4, T => 5, O => 9, D => 5},
);

sub slurp { my ($file) = @_; open my $f, '<', $file or return undef; local $/; return scalar <$f> }

sub there {
    my ($id, $where) = @_;
    my @tests = $where =~ /(\S+) "([^"]+)"(?:; |$)/g;
    ok(scalar @tests, "$id names its tests");
    while (my ($file, $words) = splice @tests, 0, 2) {
        my ($path) = $file =~ /^\d+$/ ? glob("$FindBin::Bin/${file}_*.t") : "$FindBin::Bin/$file";
        my $text = $path ? slurp($path) // '' : '';
        ok(index($text, $words) >= 0, "$id: $file has \"$words\"");
    }
}

for my $title (sort keys %lists) {
    my ($section) = slurp("$FindBin::Bin/README") =~ /^### \Q$title\E\n(.*?)(?:\n###|\z)/ms;
    my %rows;
    for (($section // '') =~ /^\| ([A-Z]\d+ \| .*) \|$/mg) {
        my ($id, $what, $where) = split / \| /;
        ok(!$rows{$id}++, "$title, $id: $what");
        there("$title, $id", $where) if $where !~ /^none: \S/;
    }
    my $last = $lists{$title};
    is_deeply([sort keys %rows], [sort map { my $family = $_; map {"$family$_"} 1 .. $last->{$family} } keys %$last], "$title: every number is there, and no other");
}
done_testing;
