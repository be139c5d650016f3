#!/usr/bin/perl
# bench.pl - our figures beside those of others, taken in one run, in turn. See `make bench` and README.
#
#     ONLY=NAME   one of them ("list" names them)
#     SCALE=0.1   a tenth of the work
#     RUNS=5      turns of each (3)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Bench;
use Load;
use CatchUp;
use Idle;
use Latency;
use Memory;
use PgCatchUp;
use Pgsql;

my @list = (
    ['load', \&Load::load],
    ['load-wide', \&Load::wide],
    ['catch-up', \&CatchUp::catch_up],
    ['fastest', \&CatchUp::fastest],
    ['latency', \&Latency::latency],
    ['pg-load', \&Pgsql::load],
    ['mysql-pg-load', \&Pgsql::from_mysql],
    ['pg-catch-up', \&PgCatchUp::catch_up],
    ['pg-catch-up-pgbench', \&PgCatchUp::pgbench],
    ['pg-latency', \&Pgsql::latency],
    ['ring', \&ring],
    ['large-transaction', \&Memory::large],
    ['idle-channels', \&Idle::idle],
);

# A program of its own, for it needs two processes and no server.
sub ring {
    my $build = $ENV{SYNCLINE_BUILD} || "$FindBin::Bin/../build";
    open my $lines, '-|', "$build/bench/ring_bench" or die "ring_bench: $!";
    while (<$lines>) { chomp; adopt($_) }
    close $lines or die "ring_bench failed\n";
}

my $only = $ENV{ONLY} || '';
if ($only eq 'list') {
    print "$_->[0]\n" for @list;
    exit 0;
}
my @run = grep { !$only || $_->[0] eq $only } @list or die "there is no figure $only; ONLY=list names them\n";
$_->[1]->() for @run;
table();
