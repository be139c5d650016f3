package Syncline::MySQL;

# Oracle's MySQL, fetched by t/fetch-servers into the cache; see Server.pm.
#
#   Syncline::MySQL->new(version => '5.7', ...)    5.5, 5.6, 5.7, 8.0 (the default), 9.7

use strict;
use warnings;
use parent -norequire, 'Syncline::Server';
use Syncline::Server;

sub release { $_[0]{version} || '8.0' }
sub at_least { $_[0]->release >= $_[1] }
sub name { 'mysql-' . $_[0]->release }

# What every run of the program is told.
sub base {
    my ($self) = @_;
    my $home = $self->fetched($self->name);
    return ("$home/bin/server", '--no-defaults', $self->user, "--basedir=$home", "--lc-messages-dir=$home/share",
        "--character-sets-dir=$home/share/charsets", "--plugin-dir=$home/plugin");
}

sub prepare {
    my ($self) = @_;
    $self->copy_template(
        $self->name,
        sub {
            my ($dir) = @_;
            return $self->bootstrap($dir, qw(mysql_system_tables mysql_system_tables_data)) if !$self->at_least(5.7);
            my $out = `@{[$self->base]} --initialize-insecure --secure-file-priv= --datadir=$dir 2>&1`;
            die "mysqld --initialize-insecure failed: $out" if $?;
        });
}

sub command {
    my ($self) = @_;
    my $dir = $self->dir;
    my @options;
    push @options, '--gtid-mode=ON', '--enforce-gtid-consistency=ON' if $self->at_least(5.6);
    push @options, '--log-slave-updates' if $self->release == 5.6;
    push @options, '--secure-file-priv=' if $self->at_least(5.7);
    push @options, '--binlog-row-metadata=FULL', '--mysqlx=0' if $self->at_least(8.0);
    push @options, '--default-authentication-plugin=mysql_native_password' if $self->release == 8.0;
    return (
        $self->base, @options, "--datadir=$dir/data", '--socket=' . $self->socket, '--port=' . $self->port, '--bind-address=127.0.0.1',
        "--pid-file=$dir/pid", "--tmpdir=$dir/tmp", "--log-bin=$dir/data/binlog", '--binlog-format=ROW', '--server-id=' . $self->{server_id},
        '--innodb-flush-log-at-trx-commit=2', '--sync-binlog=0', '--innodb-buffer-pool-size=64M', '--performance-schema=OFF',
        '--skip-name-resolve', '--max-allowed-packet=256M', '--innodb-lock-wait-timeout=10', @{$self->{options}},
    );
}

1;
