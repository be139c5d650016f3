package Syncline::MySQL;

# Oracle's MySQL 8.0, fetched by t/fetch-servers into the cache; see Server.pm.

use strict;
use warnings;
use parent -norequire, 'Syncline::Server';
use Syncline::Server;
use File::Basename qw(dirname);

my $fetch = dirname(__FILE__) . '/../../fetch-servers';

sub home {
    my $home = Syncline::Server::cache_dir() . '/mysql-8.0';
    if (!-x "$home/bin/mysqld") {
        system($fetch, 'mysql-8.0') == 0 or die "cannot fetch MySQL 8.0 ($fetch mysql-8.0 says why)";
    }
    return $home;
}

sub user { $> == 0 ? ('--user=root') : () }
sub libraries { home() . '/lib' }

sub prepare {
    my ($self) = @_;
    my $home = home();
    $self->copy_template(
        'mysql-8.0',
        sub {
            my ($dir) = @_;
            local $ENV{LD_LIBRARY_PATH} = $self->libraries;
            my $out = `$home/bin/mysqld --no-defaults ${\ join ' ', user()} --initialize-insecure --basedir=$home --datadir=$dir 2>&1`;
            die "mysqld --initialize-insecure failed: $out" if $?;
        });
}

sub command {
    my ($self) = @_;
    my ($dir, $home) = ($self->dir, home());
    return (
        "$home/bin/mysqld", '--no-defaults', user(), "--basedir=$home", "--datadir=$dir/data", "--socket=" . $self->socket,
        "--port=" . $self->port, '--bind-address=127.0.0.1', "--pid-file=$dir/pid", '--mysqlx=0', '--secure-file-priv=',
        '--log-bin=' . "$dir/data/binlog", '--binlog-format=ROW', '--binlog-row-metadata=FULL', '--gtid-mode=ON',
        '--enforce-gtid-consistency=ON', '--server-id=' . $self->{server_id}, '--innodb-flush-log-at-trx-commit=2',
        '--sync-binlog=0', '--innodb-buffer-pool-size=64M', '--performance-schema=OFF', '--skip-name-resolve',
        '--max-allowed-packet=256M', '--innodb-lock-wait-timeout=10', '--default-authentication-plugin=mysql_native_password',
        @{$self->{options}},
    );
}

1;
