# The build with Oracle's libmysqlclient: it compiles without a warning, and a pair
# is loaded, followed and resumed through that library (the other choice of
# MYSQL_CLIENT; common/mysql/client.h hides the difference). FULL=1: types, DDL and kills, too,
# on each version that this library can log in to.
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

use Syncline::Versions;

like(`ldd $top/build-oracle/syncline-reader 2>&1`, qr/libmysqlclient\.so/, 'it is linked to it');
unlike(`ldd $top/build-oracle/syncline-reader 2>&1`, qr/libmariadb/, 'and to no other');

# This library knows mysql_native_password as a plugin file only, which is not at hand: so servers
# that have other passwords.
sub with_sha2 {
    my $db = node($_[0]);
    $db->sql("ALTER USER 'syncline'\@'%' IDENTIFIED WITH caching_sha2_password BY 'secret'");
    return $db;
}

for my $pair ($ENV{FULL} ? (['mysql-8.0', 'mysql-8.0'], ['mysql-8.0', 'mysql-9.7'], ['mysql-9.7', 'mysql-8.0'], ['mysql-9.7', 'mysql-9.7']) : ['mysql-8.0', 'mysql-8.0']) {
    my ($source, $target) = map { with_sha2($_) } @$pair;
    is(join("\n", $ENV{FULL} ? full($source, $target) : smoke($source, $target)), '', join ' -> ', @$pair);
    $_->stop for $source, $target;
}

done_testing;
