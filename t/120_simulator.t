#!/usr/bin/perl
# The seeded simulators: thousands of seeds hold, every broken rule is caught, old failures stay mended.
use strict;
use warnings;
use Test::More;

my $build = $ENV{SYNCLINE_BUILD} || 'build';
my $seeds = $ENV{SIM_SEEDS} // 50000;
my %rules = (
	apply_sim => [qw(no-unique-token no-fk-token no-cascade-token no-keyless-token no-chunk-token
		no-ring-token no-alone no-gate batch-ignores-conflicts late-is-early late-forgets-followers stale-checkpoint
		merge-passes-conflicts merge-forgets-tokens merge-keyless merge-relatives)],
	seam_sim => [qw(no-window no-wait-for-r0 high-too-early high-flushed no-keep-existing
		flag-not-stored no-upsert strict-while-loading no-position-at-place loaded-is-schema)],
);

sub run_sim {
	my ($program, @args) = @_;
	open my $out, '-|', "$build/t/sim/$program", @args or die "cannot run $program: $!";
	my $text = do { local $/; <$out> } // '';
	close $out;
	return ($?, $text);
}

for my $program (sort keys %rules) {
	SKIP: {
		if (!-x "$build/t/sim/$program") {
			fail("$build/t/sim/$program is built");
			skip "$program is not built", 1;
		}
		my ($status, $text) = run_sim($program, '--seeds', $seeds, '--from', 1);
		is($status, 0, "$program: $seeds seeds") or diag $text;
		note $text;
		for my $rule (@{$rules{$program}}) {
			($status, $text) = run_sim($program, '--seeds', 3000, '--from', 1, '--break', $rule);
			is($status >> 8, 1, "$program notices $rule");
			like($text, qr/^seed \d+: /, "$program names the seed of $rule");
		}
	}
}

open my $list, '<', 't/sim/failed_seeds' or die "t/sim/failed_seeds: $!";
while (<$list>) {
	next unless /^(\w+)\s+(\d+)\s*(.*)/;
	my ($status, $text) = run_sim($1, '--seeds', 1, '--from', $2);
	is($status, 0, "$1, seed $2: $3") or diag $text;
}

done_testing();
