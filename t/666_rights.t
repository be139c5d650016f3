# `syncline check --sql` on every server version: what it prints is taken by the server,
# and is enough for an account that has nothing else: it passes, and runs the channel.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;

sub poor { my ($db) = @_; return sprintf 'kind = "mysql"; host = "127.0.0.1"; port = %d; user = "poor"; password = "secret";', $db->port }

for my $name (names()) {
    my ($source, $target) = map { node($name) } 1 .. 2;
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB', 'INSERT INTO shop.a VALUES (1, "x")');
    $_->sql("CREATE USER 'poor'\@'%' IDENTIFIED BY 'secret'") for $source, $target;
    my $pair = Syncline::Pair->new(source => poor($source), target => poor($target), objects => '{ database = "shop"; }');
    my $check = "$Syncline::Pair::build/syncline check";
    my $out = `$check --sql ${\ $pair->conf} 2>&1`;
    is($? >> 8, 78, "$name: an account without rights: exit 78") or diag $out;
    my $at;
    for my $line (split /\n/, $out) {
        if ($line =~ /^-- at the (source|target)/) { $at = $1 eq 'source' ? $source : $target; next }
        $at->sql($line =~ s/;$//r) if $at && $line =~ /\S/;
    }
    $out = `$check ${\ $pair->conf} 2>&1`;
    is($? >> 8, 0, "$name: with what it prints: exit 0") or diag $out;
    like($out, qr/^pass  Source database permissions\n/m, "$name: the rights are said to do");
    is($out =~ /^warn  Column names in the log of the source database\n      cause: \S+ does not name columns in its log\n      remedy: nothing need be set/m ? 1 : 0,
        $name =~ /mysql-5|mariadb-10\.1$/ ? 1 : 0, "$name: no remedy that this version does not know") or diag $out;
    $pair->start('caught-up');
    is($pair->wait(60), 0, "$name: and the channel runs") or diag $pair->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: equal");
    $_->stop for $source, $target;
}
done_testing;
