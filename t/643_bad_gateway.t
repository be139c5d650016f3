# What is wrong on our own host and in our files: an unknown option, two channels on
# one target table, a state directory that cannot be written, a disk that is full.
# Golden texts as in 641.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Golden;
use Syncline::MariaDB;
use Test::More;

my ($source, $target) = map { Syncline::MariaDB->new(server_id => $_) } 41, 42;
my $build = $Syncline::Daemon::build;
my ($c, $d, $file, @mounts);

sub fresh {
    my (%o) = @_;
    $target->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline');
    $source->sql('DROP DATABASE IF EXISTS shop', 'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200))',
        'INSERT INTO shop.a (v) VALUES ("one"), ("two")', 'CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
    $c = Syncline::Channel->new(source => $source, target => $target, %o);
    $d = $c->daemon;
    $file = "$d->{dir}/conf.d/shop.conf";
    return Syncline::Golden->new(SOURCE => $source->port, TARGET => $target->port, DIR => $d->{dir}, PID => qr/(?<=synclined\[)\d+(?=\])/);
}

sub mount {
    my ($dir, $options) = @_;
    mkdir $dir;
    return 0 if system("mount -t tmpfs -o $options tmpfs $dir 2>/dev/null") != 0;
    push @mounts, $dir;
    return 1;
}
sub unmount { my ($dir) = @_; system 'umount', $dir; @mounts = grep { $_ ne $dir } @mounts }
END { my $status = $?; system 'umount', '-l', $_ for @mounts; $? = $status }

# The daemon does not come up: what it says, and its exit status.
sub refused {
    my ($g) = @_;
    $d->start;
    my $exit = $d->wait_end(20);
    return $g->text('$ synclined -c DIR/syncline.conf', $d->log . "exit status $exit");
}

# It is on a good way again.
sub goes_on {
    my ($name) = @_;
    unlink "$d->{dir}/log";
    $c->begin;
    is($c->wait_loaded(60), '', "$name: with the cause gone it runs") or diag $c->explain;
    is($c->settle(30), '', "$name: and nothing is lost");
}

# ---- files ----

{
    my $g = fresh()->begin('unknown-option');
    my $good = $d->read_file('conf.d/shop.conf');
    $d->write_file('conf.d/shop.conf', "${good}lane = 2;\n");
    refused($g)->command($d, 'check', $file)->command($d, 'run', $file, '--until', 'caught-up');
    $d->write_file('conf.d/shop.conf', $good);
    goes_on('unknown-option');
    $d->write_file('conf.d/shop.conf', "${good}lane = 2;\n");
    $g->command($d, 'reload')->done;
    is($c->state, 'Synchronizing', 'unknown-option: a reload that is refused disturbs nothing');
    is($c->settle(30), '', 'unknown-option: and nothing is lost');
    $c->stop;
}
{
    my $g = fresh()->begin('two-channels-one-table');
    my $other = $d->read_file('conf.d/shop.conf') =~ s/\{ database = "shop"; \}/{ database = "old"; table = "b"; to_database = "shop"; to_table = "a"; }/r;
    $d->write_file('conf.d/two.conf', $other);
    chmod 0600, "$d->{dir}/conf.d/two.conf";
    refused($g);
    unlink "$d->{dir}/conf.d/two.conf";
    goes_on('two-channels-one-table');
    $d->write_file('conf.d/two.conf', $other);
    chmod 0600, "$d->{dir}/conf.d/two.conf";
    $g->command($d, 'reload')->done;
    is($c->state, 'Synchronizing', 'two-channels-one-table: a reload that is refused disturbs nothing');
    $c->stop;
}

# ---- the state directory ----

SKIP: {
    my $g = fresh()->begin('state-directory');
    skip 'no tmpfs can be mounted here', 1 if !mount("$d->{dir}/state", 'ro');
    refused($g)->command($d, 'run', $file, '--until', 'caught-up', '--state', "$d->{dir}/state")->done;
    unmount("$d->{dir}/state");
    goes_on('state-directory');
    $c->stop;
}
SKIP: {
    my $g = fresh()->begin('state-disk-full');
    skip 'no tmpfs can be mounted here', 1 if !mount("$d->{dir}/state", 'size=64k');
    $d->write_file('state/fill', 'x' x 70000);
    refused($g)->command($d, 'run', $file, '--until', 'caught-up', '--state', "$d->{dir}/state")->done;
    unlink "$d->{dir}/state/fill";
    unmount("$d->{dir}/state");

    # While it runs: positions are in the target, so rows go on.
    mount("$d->{dir}/state", 'size=2m');
    goes_on('state-disk-full');
    open my $fill, '>', "$d->{dir}/state/fill" or die $!;
    1 while syswrite $fill, 'x' x 4096;
    $source->sql('INSERT INTO shop.a (v) VALUES ("while the disk is full")');
    is($c->settle(30), '', 'state-disk-full: rows go on while the store cannot be written');
    my $said;
    ok($d->until(sub { ($said) = $d->log =~ /^(.* warn .*syncline\.db.*)$/m }, 20), 'state-disk-full: the log says so') or diag $d->log;
    my $g2 = Syncline::Golden->new(DIR => $d->{dir}, PID => qr/(?<=synclined\[)\d+(?=\])/)->begin('state-disk-full-running');
    $g2->text('the log', $said // '');
    $g2->command($d, 'pause', 'shop')->done;
    close $fill;
    unlink "$d->{dir}/state/fill";
    is(($c->tool('pause', 'shop', '--wait'))[0], 0, 'state-disk-full: with space again orders are taken');
    is(($c->tool('start', 'shop', '--wait'))[0], 0, 'state-disk-full: and it goes on');
    is($c->settle(30), '', 'state-disk-full: nothing is lost');
    $c->stop;

    # A good store on a full disk is not damaged.
    open $fill, '>', "$d->{dir}/state/fill" or die $!;
    1 while syswrite $fill, 'x' x 4096;
    close $fill;
    $d->start;
    is($d->wait_end(20), 75, 'state-disk-full: a start with a full disk');
    is_deeply([glob "$d->{dir}/state/*damaged*"], [], 'state-disk-full: takes no good store for a damaged one');
    unlink "$d->{dir}/state/fill";
    $c->begin;
    is($c->wait_loaded(30), '', 'state-disk-full: with space again it goes on');
    like(($d->tool('status', 'shop'))[1], qr/pause -> Paused/, 'state-disk-full: the history is there');
    $c->stop;
    unmount("$d->{dir}/state");
}

# ---- the target's disk ----

SKIP: {
    my $g = fresh(more => "group_rows = 100;\n")->begin('target-disk-full');
    my $dir = $target->dir . '/data/shop';
    $target->sql('CREATE DATABASE shop CHARACTER SET utf8mb4');
    skip 'no tmpfs can be mounted here', 1 if !mount($dir, 'size=1m');
    $c->begin;
    is($c->wait_loaded(60), '', 'target-disk-full: it streams');
    $source->sql('INSERT INTO shop.a (v) SELECT REPEAT("x", 200) FROM mysql.seq_1_to_1000') for 1 .. 5;
    # (it flows between two tries)
    my $said;
    ok($d->until(sub { $said = ($d->tool('status', 'shop'))[1]; $said =~ /is full/ }, 30), 'target-disk-full: status says so') or diag $c->explain;
    $g->status($d, 'shop', $said)->done;
    system('mount', '-o', 'remount,size=50m', $dir);
    is($c->settle(60), '', 'target-disk-full: with space again it goes on by itself, and nothing is lost') or diag $c->explain;
    $c->stop;
    $target->stop;
    unmount($dir);
}

done_testing;
