# Tables and transactions of every kind that a PostgreSQL source can have (lib/Syncline/PgKinds.pm says which, and what is left
# out), by four writers, to four channels at once: to PostgreSQL as "atomic" and, with workers that load every
# table without its keys, as "fastest"; to MariaDB; and from one snapshot. The accounts print and read values
# in other ways than ours. Kills of all processes while it loads and while it streams, TRUNCATE beside the held snapshot; then
# the ends are equal, no channel has stopped or met a conflict, and what is not logged was told. (R88, R120, R130)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Failpoint;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use Syncline::PgKinds;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
my $seconds = $ENV{SECONDS} || 5;
diag "SEED=$seed";
srand $seed;

my $source = Syncline::PostgreSQL->new;
kinds_prepare($source);
kinds_settings($source);
kinds_schema($source);

# name, target, schemas, settings, workers, whether it is killed while it loads
my @channels = map { {id => $_->[0], target => $_->[1], schemas => $_->[2], more => $_->[3], workers => $_->[4], killed => $_->[5] // 1} }
    ['atomic', Syncline::PostgreSQL->new, ['shop', 'pg'], "lanes = 4;\nchunk_rows = 16;\n"],
    ['fastest', Syncline::PostgreSQL->new, ['shop', 'pg'], "apply = \"fastest\";\nlanes = 4;\nchunk_rows = 20;\n", Syncline::Failpoint::build()],
    ['mariadb', Syncline::MariaDB->new, ['shop'], "lanes = 1;\nchunk_rows = 20;\n"],
    ['held', Syncline::PostgreSQL->new, ['shop', 'pg'], "snapshot = \"held\";\nlanes = 1;\n", undef, 0];
for my $c (@channels) {
    if ($c->{target}->kind eq 'postgresql') { kinds_prepare($c->{target}); kinds_settings($c->{target}) }
    my $objects = join ', ', map { qq({ database = "$_"; }) } @{$c->{schemas}};
    my %ends = (source => $source, target => $c->{target}, more => $c->{more});
    if ($c->{id} eq 'atomic') {
        my $conf = Syncline::Pair->new(%ends, objects => $objects)->conf;
        local $ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
        like(`$Syncline::Pair::build/syncline check $conf 2>&1`, qr/shop\.scratch is unlogged/, 'an unlogged table is told');
    }
    $c->{pair} = Syncline::Pair->new(%ends, id => $c->{id}, objects => "$objects, { database = \"shop\"; table = \"scratch\"; exclude = true; }", workers => $c->{workers});
}

sub trouble {
    my (@killed) = @_;
    my ($kills, $end) = (0, time + $seconds);
    $_->{pair}->start for @channels;
    while (time < $end) {
        sleep 0.1 + rand 0.3;
        my $pair = $killed[rand @killed]{pair};
        if (rand() < 0.2) { $pair->kill_all; $pair->start }
        else { $pair->kill_worker }
        $kills++;
    }
    return $kills;
}

# Four channels share a machine: a drain that drain_timeout has ended (1) is gone on with.
sub caught_up {
    my ($pair) = @_;
    my $status = 1;
    for (1 .. $Syncline::Daemon::patience) {
        $status = $pair->wait(60 * $Syncline::Daemon::patience);
        last if $status != 1;
        $pair->start('caught-up');
    }
    return $status;
}

sub equal { my ($c) = @_; return join "\n", grep { !/\bscratch\b/ } map { compare($source, $c->{target}, $_) } @{$c->{schemas}} }

for my $what ('loaded', 'streamed') {
    my $load = Syncline::Load->start($source, kinds_load(), writers => 4, seed => $seed++, pause => 0.01);
    my $kills = trouble(grep { $what eq 'streamed' || $_->{killed} } @channels);
    my $transactions = $load->stop;
    cmp_ok($transactions, '>', 100, "$transactions transactions, $kills kills");
    $_->{pair}->kill_all for @channels;
    $_->{pair}->start('caught-up') for @channels;
    for my $c (@channels) {
        is(caught_up($c->{pair}), 0, "$c->{id}: $what") or diag $c->{pair}->output;
        is(equal($c), '', "$c->{id}: both ends are equal");
        unlike($c->{pair}->output, qr/^(?:conflict|quarantined)/m, "$c->{id}: no conflict");
    }
}
done_testing;
