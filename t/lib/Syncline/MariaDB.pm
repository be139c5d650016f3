package Syncline::MariaDB;

# Debian's MariaDB server; see Server.pm. Relaxed durability, since the tests
# kill processes and not machines.

use strict;
use warnings;
use parent -norequire, 'Syncline::Server';
use Syncline::Server;

sub program { -x '/usr/sbin/mariadbd' ? '/usr/sbin/mariadbd' : 'mariadbd' }

sub user { $> == 0 ? ('--user=root') : () }

sub prepare {
    my ($self) = @_;
    my ($version) = `${\ program()} --version` =~ /Ver ([\d.]+)/ or die 'no mariadbd; run make deps';
    $self->copy_template(
        "mariadb-$version",
        sub {
            my ($dir) = @_;
            my $out = `mariadb-install-db --no-defaults ${\ join ' ', user()} --datadir=$dir --auth-root-authentication-method=normal --skip-test-db 2>&1`;
            die "mariadb-install-db failed: $out" if $?;
        });
}

sub command {
    my ($self) = @_;
    my $dir = $self->dir;
    return (
        program(), '--no-defaults', user(), "--datadir=$dir/data", "--socket=" . $self->socket, "--port=" . $self->port,
        '--bind-address=127.0.0.1', "--pid-file=$dir/pid", '--log-bin=' . "$dir/data/binlog", '--binlog-format=ROW',
        '--binlog-row-metadata=FULL', '--server-id=' . $self->{server_id}, '--innodb-flush-log-at-trx-commit=2',
        '--sync-binlog=0', '--innodb-buffer-pool-size=64M', '--innodb-log-file-size=64M', '--skip-name-resolve',
        '--max-allowed-packet=256M', '--innodb-lock-wait-timeout=10', "--tmpdir=$dir/tmp", @{$self->{options}},
    );
}

1;
