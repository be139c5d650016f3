package Syncline::MariaDB;

# MariaDB: Debian's own, or another version fetched by t/fetch-servers; see
# Server.pm. Relaxed durability, since the tests kill processes and not machines.
#
#   Syncline::MariaDB->new(version => '10.5', ...)    10.1, 10.5, 11.8; without: Debian's, 10.11

use strict;
use warnings;
use parent -norequire, 'Syncline::Server';
use Syncline::Server;

# Debian's own program knows where its things are.
sub base {
    my ($self) = @_;
    return (-x '/usr/sbin/mariadbd' ? '/usr/sbin/mariadbd' : 'mariadbd', '--no-defaults', $self->user) if !$self->{version};
    my $home = $self->fetched("mariadb-$self->{version}");
    return ("$home/bin/server", '--no-defaults', $self->user, "--basedir=$home", "--lc-messages-dir=$home/share",
        "--character-sets-dir=$home/share/charsets", "--plugin-dir=$home/plugin");
}

sub prepare {
    my ($self) = @_;
    my ($version) = `@{[$self->base]} --version` =~ /Ver ([\d.]+)/ or die 'no mariadbd; run make deps';
    $self->copy_template(
        "mariadb-$version",
        sub {
            my ($dir) = @_;
            my @names = qw(system_tables performance_tables system_tables_data);
            return $self->bootstrap($dir, map { $version =~ /^11/ ? "mariadb_$_" : "mysql_$_" } @names) if $self->{version};
            my @user = $self->user;
            my $out = `mariadb-install-db --no-defaults @user --datadir=$dir --auth-root-authentication-method=normal --skip-test-db 2>&1`;
            die "mariadb-install-db failed: $out" if $?;
        });
}

sub command {
    my ($self) = @_;
    my $dir = $self->dir;
    my @options;
    push @options, '--binlog-row-metadata=FULL' if !$self->{version} || $self->{version} ne '10.1';
    return (
        $self->base, @options, "--datadir=$dir/data", '--socket=' . $self->socket, '--port=' . $self->port, '--bind-address=127.0.0.1',
        "--pid-file=$dir/pid", "--tmpdir=$dir/tmp", "--log-bin=$dir/data/binlog", '--binlog-format=ROW', '--server-id=' . $self->{server_id},
        '--innodb-flush-log-at-trx-commit=2', '--sync-binlog=0', '--innodb-buffer-pool-size=64M', '--innodb-log-file-size=64M',
        '--skip-name-resolve', '--max-allowed-packet=256M', '--innodb-lock-wait-timeout=10', @{$self->{options}},
    );
}

1;
