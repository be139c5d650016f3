# A target that is slow, read only, locked, full, or has no connection left: the
# source's changes wait in bounded memory, the reason is said, and when it is over
# the channel goes on by itself, each operation once (reliability T2).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Memory;
use Test::More;
use Time::HiRes qw(sleep time);

my ($source, $target) = map { Syncline::MariaDB->new } 1 .. 2;
my $c = Syncline::Channel->new(source => $source, target => $target, more => "ring_size = \"1MiB\";\n");
$c->populate(300)->begin;
is($c->wait_loaded(60), '', 'it streams');
is($c->settle(20), '', 'equal');
$c->audit;
my ($load, $seed) = (undef, 0);

sub writing { $load = Syncline::Load->start($source, writers => 3, seed => ++$seed, pause => 0.001) }

sub proven {
    my ($what) = @_;
    $load->stop;
    is($c->settle(60), '', "$what: both ends are equal") or diag $c->explain;
    is($c->audited, '', "$what: each operation once");
}

# What has gathered meanwhile is applied first.
sub back {
    my ($what, $seconds) = @_;
    my $s = $c->arrive(30) // 99;
    cmp_ok($s, '<', $seconds, sprintf '%s: over, and back in %.1f s', $what, $s);
}

sub said {
    my ($what, $words) = @_;
    my $text = '';
    $c->until(sub { sleep 0.1; $text = join ' ', $c->tool('status', 'shop'); $text =~ $words }, 12);
    like($text, $words, "$what: status says so");
}

# A session that holds what we want to change.
{
    writing();
    my $dbh = $target->dbh;
    $dbh->begin_work;
    $dbh->do('UPDATE shop.account SET balance = balance WHERE id > 0');
    my $memory = Syncline::Memory->new(pids => sub { $c->workers });
    for (1 .. 14) { $memory->look; sleep 0.5 }
    cmp_ok($memory->peak('reader') + $memory->peak('writer'), '<', 64, 'locked rows: ' . $memory->report);
    $dbh->rollback;
    back('locked rows', 25);
    proven('locked rows');
}

# Locked as a whole, for longer than the lock wait.
{
    writing();
    my $dbh = $target->dbh;
    $dbh->do('FLUSH TABLES WITH READ LOCK');
    sleep 3;
    $dbh->do('UNLOCK TABLES');
    back('FLUSH TABLES WITH READ LOCK', 15);
    proven('FLUSH TABLES WITH READ LOCK');
}

# Read only, as a target that has lost its role is.
{
    $target->sql('REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM syncline@"%"', 'SET GLOBAL read_only = 1');
    $c->kill_worker('writer');
    writing();
    said('read only', qr/read.only/);
    ok($c->state eq 'Synchronizing', 'read only: it is tried again');
    $target->sql('SET GLOBAL read_only = 0');
    back('read only', 10);
    proven('read only');
    $target->sql('GRANT ALL PRIVILEGES ON *.* TO syncline@"%"');
}

# No connection is left.
{
    $target->sql('ALTER USER syncline@"%" WITH MAX_USER_CONNECTIONS 2');
    $c->kill_worker('writer');
    writing();
    said('no connection left', qr/max_?.*_connections|[Tt]oo many connections/);
    $target->sql('ALTER USER syncline@"%" WITH MAX_USER_CONNECTIONS 0');
    back('no connection left', 10);
    proven('no connection left');
}

# Each COMMIT takes 100 ms: batches grow, nothing is lost.
{
    $target->sql('CREATE TABLE audit.slow (id INT)');
    writing();
    my $end = time + 3;
    my $dbh = $target->dbh;
    while (time < $end) { $dbh->do('FLUSH TABLES WITH READ LOCK'); sleep 0.1; $dbh->do('UNLOCK TABLES'); sleep 0.005 }
    back('slow commits', 15);
    proven('slow commits');
}

# Its sessions are ended again and again, as administrators and timeouts do.
{
    writing();
    for (1 .. 15) {
        my @ids = map { $_->[0] } @{$target->rows("SELECT id FROM information_schema.processlist WHERE user = 'syncline'")};
        eval { $target->sql("KILL $ids[rand @ids]") } if @ids;
        sleep 0.1;
    }
    back('killed sessions', 10);
    proven('killed sessions');
}
$c->stop;
$_->stop for $source, $target;

# Its disk is full.
SKIP: {
    my $mount = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1);
    skip 'no tmpfs can be mounted here', 1 if system("mount -t tmpfs -o size=200m tmpfs $mount 2>/dev/null") != 0;
    chmod 0777, $mount;
    ($source, $target) = (Syncline::MariaDB->new, Syncline::MariaDB->new(options => ["--log-bin=$mount/binlog"]));
    $c = Syncline::Channel->new(source => $source, target => $target);
    $c->populate(200)->begin;
    is($c->wait_loaded(60), '', 'full disk: loaded');
    is($c->settle(20), '', 'full disk: equal');
    $c->audit;
    writing();
    open my $f, '>', "$mount/fill" or die $!;
    1 while syswrite $f, 'x' x 65536;
    1 while syswrite $f, 'x';
    sleep 4;
    close $f;
    unlink "$mount/fill";
    # The server looks again every so often by itself.
    my $s = $c->arrive(90) // 99;
    cmp_ok($s, '<', 75, sprintf 'full disk: with space again it goes on, in %.1f s', $s) or diag $c->explain, $target->tail;
    proven('full disk');
    $c->stop;
    $_->stop for $source, $target;
    system('umount', $mount);
    rmdir $mount;
}
done_testing;
