# Commits that are in a PostgreSQL source's log and that nobody sees yet: a synchronous standby
# withholds its acknowledgements while a load runs - of what it has flushed, of what it has
# applied - so that hundreds of commits stand still inside the windows of its chunks,
# and the reader dies and begins again between. Both ends are equal in the end: no chunk's
# snapshot is taken for more, or for less, than what it sees (house 6; R84, R88).
# SEED=n repeats.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Syncline::Compare;
use Syncline::Load;
use Syncline::Pair;
use Syncline::PgLoad;
use Syncline::PostgreSQL;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time % 100000;
diag "SEED=$seed";

my $source = Syncline::PostgreSQL->new;
my $target = Syncline::PostgreSQL->new;
my $standby = $source->standby(name => 'withholding');

# Freezes a process of the standby and thaws it, again and again; counts the commits that stand still then.
sub withhold {
    my ($title, $hold) = @_;
    pipe my $read, my $write or die $!;
    my $pid = fork // die $!;
    if ($pid == 0) {
        my ($ended, $stalled, $held) = (0, 0, 0);
        local $SIG{TERM} = sub { $ended = 1 };
        srand $seed;
        my $d = $source->dbh;
        while (!$ended) {
            my ($process) = $standby->children($title);
            kill 'STOP', $process if $process;
            sleep rand $hold;
            $stalled += $d->selectrow_array(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
            kill 'CONT', $process if $process;
            sleep rand $hold / 10;
        }
        syswrite $write, "$stalled\n";
        POSIX::_exit(0);
    }
    close $write;
    return {pid => $pid, read => $read};
}

sub stalled {
    my ($w) = @_;
    kill 'TERM', $w->{pid};
    my $stalled = readline $w->{read};
    waitpid $w->{pid}, 0;
    return ($stalled // 0) + 0;
}

# Rows of their own mostly, so that commits stand still beside each other and not behind each other.
my @work = (
    sub { $_[0]->do('UPDATE shop.customer SET n = n + 1 WHERE id = ?', undef, 1 + int rand 2500) },
    sub { $_[0]->do('INSERT INTO shop.customer (name) VALUES (?)', undef, 'c' . int rand 1e9) },
    sub { $_[0]->do('UPDATE shop.seat SET place = NULL, code = ? WHERE id = ?', undef, 's' . rand, 1 + int rand 2500) },
    sub { $_[0]->do('DELETE FROM shop.word WHERE w = ?', undef, 'Word' . int rand 2500) },
    sub { $_[0]->do(q{INSERT INTO shop.word VALUES (?, 'en', 1) ON CONFLICT (w, lang) DO UPDATE SET hits = shop.word.hits + 1}, undef, 'Word' . int rand 2500) },
    sub { $_[0]->do(q{INSERT INTO shop.events VALUES (now(), ?, 'e')}, undef, int rand 7) },
);

# [synchronous_commit, whose acknowledgement that waits for, how long it is withheld at most]
for my $case (['on', qr/walreceiver/, 0.1], ['remote_apply', qr/startup/, 0.1]) {
    my ($mode, $title, $hold) = @$case;
    pg_schema($source);
    pg_fill($source, 2500);
    $source->sql("ALTER SYSTEM SET synchronous_commit = $mode", q{ALTER SYSTEM SET synchronous_standby_names = 'withholding'}, 'SELECT pg_reload_conf()');
    my $load = Syncline::Load->start($source, work => \@work, writers => 8, seed => $seed);
    my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 40;\nlanes = 3;\n");
    my $w = withhold($title, $hold);
    $pair->start('loaded');
    sleep 2;
    ok($pair->kill_worker('reader'), "$mode: the reader is killed");
    is($pair->wait(120), 0, "$mode: loaded") or diag $pair->output;
    my $stalled = stalled($w);
    cmp_ok($stalled, '>=', 100, "$mode: $stalled commits stood still meanwhile");
    my $transactions = $load->stop;
    $source->sql('ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()');
    $pair->start('caught-up');
    is($pair->wait(90), 0, "$mode: caught up") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$mode: both ends are equal after $transactions transactions");
    unlike($pair->output, qr/^conflict/m, "$mode: no conflict");
    $target->sql('DROP SCHEMA shop CASCADE', 'DROP SCHEMA syncline CASCADE');
    $source->sql('DROP SCHEMA shop CASCADE');
}
done_testing;
