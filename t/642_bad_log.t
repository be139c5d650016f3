# The source's log is not what the channel needs any more: purged, begun anew, or
# of a source that was put back to an older backup. Golden texts as in 641; nothing
# is applied past the gap, and what the remedy says makes the channel go on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use Syncline::Channel;
use Syncline::Golden;
use Syncline::MariaDB;
use Syncline::MySQL;
use Test::More;

my ($source, $target, $c, $kind);

sub proven {
    my ($name) = @_;
    my ($d, $file) = ($c->daemon, $c->daemon->{dir} . '/conf.d/shop.conf');
    is($d->wait_state('shop', 'Synchronization Failed', 30), 'Synchronization Failed', "$kind: $name: stops") or diag $c->explain;
    my $g = Syncline::Golden->new(SOURCE => $source->port, TARGET => $target->port, DIR => $d->{dir},
        GTIDS => qr/\b(?:[0-9a-f]{8}-[0-9a-f-]{27}:[\d:-]+|\d+-\d+-\d+)\b/, POSITION => qr/binlog\.\d+:\d+(?: begun=\d+)?/, FILE => qr/binlog\.\d+/);
    $g->begin($name)->status($d, 'shop')->command($d, 'run', $file, '--until', 'caught-up')->done;
    is($target->one('SELECT COUNT(*) FROM shop.a WHERE v = "behind"'), 0, "$kind: $name: nothing behind the gap is applied");

    # What the remedy says.
    is(($c->tool('reset', 'shop', '--yes', '--wait'))[0], 0, "$kind: $name: reset");
    $target->sql('DROP DATABASE shop');
    my ($exit, undef, $err) = $d->tool('start', 'shop', '--wait', '--timeout', '60s');
    is($exit, 0, "$kind: $name: started again") or diag $err, $c->explain;
    is($c->settle(30), '', "$kind: $name: both ends are equal");
    $c->stop;
}

sub streaming {
    my ($name) = @_;
    $target->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline');
    $source->sql('DROP DATABASE IF EXISTS shop', 'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))',
        'INSERT INTO shop.a (v) VALUES ("one"), ("two")', 'CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
    $c = Syncline::Channel->new(source => $source, target => $target)->begin;
    is($c->wait_loaded(60), '', "$kind: $name: streams");
    is($c->settle(30), '', "$kind: $name: equal");
}

for my $class (qw(Syncline::MariaDB Syncline::MySQL)) {
    ($source, $target) = ($class->new(server_id => 41), $class->new(server_id => 42));
    $kind = lc $class =~ s/.*:://r;
    my $reset = $kind eq 'mariadb' || $source->version lt '8.2' ? 'RESET MASTER' : 'RESET BINARY LOGS AND GTIDS';

    streaming('purged-log');
    $c->tool('pause', 'shop', '--wait');
    $source->sql('INSERT INTO shop.a (v) VALUES ("gone")', 'FLUSH BINARY LOGS', 'INSERT INTO shop.a (v) VALUES ("behind")', 'FLUSH BINARY LOGS');
    my @logs = map { $_->[0] } @{$source->rows('SHOW BINARY LOGS')};
    $c->daemon->until(sub { $source->sql("PURGE BINARY LOGS TO '$logs[-1]'"); $source->rows('SHOW BINARY LOGS')->[0][0] eq $logs[-1] }, 20);
    $c->tool('resume', 'shop');
    proven('purged-log');

    streaming('reset-master');
    $c->tool('pause', 'shop', '--wait');
    $source->sql('INSERT INTO shop.a (v) VALUES ("gone")', $reset, 'INSERT INTO shop.a (v) VALUES ("behind")');
    $c->tool('resume', 'shop');
    proven('reset-master');

    streaming('reset-master-streaming');
    $source->sql($reset, 'INSERT INTO shop.a (v) VALUES ("behind")');
    proven('reset-master-streaming');

    # The source is put back to what it was an hour ago.
    streaming('target-ahead');
    my ($data, $backup) = ($source->dir . '/data', $source->dir . '/backup');
    $source->stop;
    system('cp', '-a', $data, $backup) == 0 or die;
    $source->start;
    is($c->settle(30), '', "$kind: target-ahead: equal");
    $source->sql('INSERT INTO shop.a (v) VALUES ("lost with the source")') for 1 .. 3;
    is($c->settle(30), '', "$kind: target-ahead: the target has it");
    $source->stop;
    remove_tree($data);
    rename $backup, $data or die $!;
    $source->start;
    $source->sql('INSERT INTO shop.a (v) VALUES ("behind")');
    proven('target-ahead');
    $_->stop for $source, $target;
}
done_testing;
