# No function that no program calls: what is written for later is deleted until then.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd qw(abs_path);
use Test::More;

my $build = $ENV{SYNCLINE_BUILD} // abs_path("$FindBin::Bin/../build");

# Windows for tests into what a program keeps to itself, and the ring's bell: event loops wait by it.
my %kept = map { $_ => 1 } qw(
    channel_cell charset_of_id key_bytes ring_arm ring_data_bell
    ring_disarm sched_start_turn store_is_new window_count);

sub symbols { map { /^[0-9a-f]* ?[Tt] (\w+)$/ ? $1 : () } `nm @_` }

my %called = map { $_ => 1 } symbols(map { "$build/$_" } qw(synclined syncline syncline-reader syncline-writer));
# An object whose source is gone is an older build's.
my @objects = grep { !m{/t/|/bench/} && -e "$FindBin::Bin/../" . s{^\Q$build\E/}{}r =~ s/o$/c/r } glob("$build/*/*.o $build/*/*/*.o");
cmp_ok(scalar @objects, '>', 50, 'the objects are there');
my @global = map { /^[0-9a-f]+ T (\w+)$/ ? $1 : () } `nm @objects`;
is_deeply([sort grep { !$called{$_} && !$kept{$_} } @global], [], 'a program calls each function');
is_deeply([sort grep { $called{$_} } keys %kept], [], 'what is kept for tests is needed');
done_testing;
