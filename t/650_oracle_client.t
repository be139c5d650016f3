# The build with Oracle's libmysqlclient: it compiles without a warning, and a pair
# is loaded, followed and resumed through that library (the other choice of
# MYSQL_CLIENT; common/mysql/client.h hides the difference).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Server;
use Test::More;

my ($top, $home);

BEGIN {
    $top = "$FindBin::Bin/..";
    $home = Syncline::Server::cache_dir() . '/oracle-client';
    system("$FindBin::Bin/fetch-servers", 'oracle-client') == 0 or die "cannot fetch Oracle's client library";
    local $ENV{PKG_CONFIG_PATH} = "$home/pkgconfig";
    local ($ENV{MAKEFLAGS}, $ENV{MFLAGS}) = ('', '');
    my $log = `make -C $top -j2 MYSQL_CLIENT=mysqlclient SAN= OPT=-O1 B=build-oracle all build-oracle/t/tools/pair 2>&1`;
    is($?, 0, "it builds with Oracle's libmysqlclient, warnings being errors") or diag substr $log, -3000;
    $ENV{SYNCLINE_BUILD} = "$top/build-oracle";
}

use Syncline::Compare;
use Syncline::Load;
use Syncline::MySQL;
use Syncline::Pair;

like(`ldd $top/build-oracle/syncline-reader 2>&1`, qr/libmysqlclient\.so/, 'it is linked to it');
unlike(`ldd $top/build-oracle/syncline-reader 2>&1`, qr/libmariadb/, 'and to no other');

my ($source, $target) = map { Syncline::MySQL->new } 1 .. 2;
# This library knows mysql_native_password as a plugin file only, which is not at hand.
$_->sql("ALTER USER 'syncline'\@'%' IDENTIFIED WITH caching_sha2_password BY 'secret'") for $source, $target;
schema($source);
fill($source, 300);
my $load = Syncline::Load->start($source, writers => 2, seed => 3, pause => 0.003);
my $pair = Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', more => "chunk_rows = 100;\n");
$pair->start('loaded');
is($pair->wait(60), 0, 'loaded while it is written to') or diag $pair->output;
$pair->start;
$source->sql('ALTER TABLE shop.customer ADD COLUMN extra INT NOT NULL DEFAULT 7');
$pair->wait_for(qr/flowing.*flowing/s);
$pair->kill_worker;
my $transactions = $load->stop;
$pair->stop;
$pair->start('caught-up');
is($pair->wait(60), 0, "caught up after a kill and $transactions transactions") or diag $pair->output;
is(join("\n", compare($source, $target, 'shop')), '', 'both ends are equal');

done_testing;
