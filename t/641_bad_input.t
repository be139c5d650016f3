# Mistakes that people make, at the start of a channel and while it streams: what
# each command says of them is golden text (t/data/errors), the state and the exit
# status are right, nothing is lost, and when the cause is gone the channel goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Golden;
use Syncline::MariaDB;
use Syncline::MySQL;
use Test::More;

our ($source, $target) = map { Syncline::MariaDB->new(server_id => $_) } 41, 42;
my $c;

sub names {
    return Syncline::Golden->new(SOURCE => $source->port, TARGET => $target->port, DIR => $c->daemon->{dir}, DATA => $source->dir,
        VERSION => qr/\d+\.\d+\.\d+-MariaDB[\w.:+-]*/);
}

sub fresh {
    my (%o) = @_;
    $target->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline');
    $source->sql('DROP DATABASE IF EXISTS shop', 'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20))',
        'INSERT INTO shop.a VALUES (1, "one"), (2, "two")', 'CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)',
        'INSERT INTO shop.marker VALUES (1, 0)');
    $c = Syncline::Channel->new(source => $source, target => $target, %o);
    return $c;
}

# All that can be said of it, then the cause goes and the channel with it.
sub proven {
    my ($name, $state, %o) = @_;
    my ($d, $file) = ($c->daemon, $c->daemon->{dir} . '/conf.d/shop.conf');
    is($d->wait_state('shop', $state, 30), $state, "$name: $state") or diag $c->explain;
    my $g = names()->begin($name)->status($d, 'shop');
    $g->command($d, 'check', $file)->command($d, 'run', $file, '--until', 'caught-up') if !$o{quiet};
    $g->done;
    $o{mend}->();
    my ($exit, undef, $err) = $d->tool('start', 'shop', '--wait', '--timeout', '60s');
    is($exit, 0, "$name: with the cause gone it starts") or diag $err, $c->explain;
    is($c->settle(30), '', "$name: and nothing is lost");
    $c->stop;
}

sub at_start {
    my ($name, %o) = @_;
    fresh(%{$o{channel} // {}});
    $o{break}->();
    $c->begin;
    proven($name, $o{state} // 'Precheck Failed', %o);
}

sub while_streaming {
    my ($name, %o) = @_;
    fresh(%{$o{channel} // {}})->begin;
    is($c->wait_loaded(60), '', "$name: it streams");
    $o{break}->();
    $source->sql('INSERT INTO shop.a VALUES (3, "three")') if !$o{silent};
    proven($name, $o{state} // 'Synchronization Failed', %o);
}

sub password { my ($server, $word) = @_; return sub { $server->sql("ALTER USER 'syncline'\@'%' IDENTIFIED BY '$word'"); $c->kill_worker($server == $source ? 'reader' : 'writer') } }

for ([source => $source], [target => $target]) {
    my ($end, $server) = @$_;
    my @it = (break => password($server, 'other'), mend => password($server, 'secret'));
    at_start("wrong-password-$end", @it);
    while_streaming("wrong-password-$end-streaming", @it, silent => 1);
    at_start("closed-port-$end", break => sub { $server->stop }, mend => sub { $server->start });
}

# Rights.
my $all = "GRANT ALL PRIVILEGES ON *.* TO 'syncline'\@'%' WITH GRANT OPTION";
sub rights { my ($server, @rights) = @_; return (break => sub { $server->sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'syncline'\@'%'", map { "GRANT $_ TO 'syncline'\@'%'" } @rights) }, mend => sub { $server->sql($all) }) }
at_start('missing-rights-source', rights($source, 'USAGE ON *.*'));
at_start('missing-rights-source-log', rights($source, 'SELECT, SHOW VIEW ON shop.*'));
at_start('missing-rights-target', rights($target, 'ALL ON syncline.*', 'SELECT, INSERT ON shop.*'));
at_start('no-right-to-make-our-tables', rights($target, 'ALL ON shop.*'));

# The source's log.
sub variable { my ($name, $bad, $good) = @_; return (break => sub { $source->sql("SET GLOBAL $name = $bad") }, mend => sub { $source->sql("SET GLOBAL $name = $good") }) }
at_start('format-statement', variable('binlog_format', '"STATEMENT"', '"ROW"'));
at_start('format-mixed', variable('binlog_format', '"MIXED"', '"ROW"'));
sub restart { my @options = @_; return sub { $source->stop; $source->{options} = \@options; $source->start } }
at_start('log-off', break => restart('--skip-log-bin'), mend => restart());
at_start('server-id', variable('server_id', 1, 41));
{
    # (MariaDB takes no 0)
    local $source = Syncline::MySQL->new(server_id => 41);
    at_start('server-id-0', variable('server_id', 0, 41));
    $source->stop;
}

# Tables.
at_start('unsupported-engine', break => sub { $source->sql('CREATE TABLE shop.part (id INT PRIMARY KEY) ENGINE=MyISAM', 'CREATE TABLE shop.merged (id INT PRIMARY KEY) ENGINE=MRG_MyISAM UNION=(shop.part)') },
    mend => sub { $source->sql('DROP TABLE shop.merged') });
my $only_data = {more => "initial = [\"data\"];\n"};
my @target_tables = ('CREATE DATABASE IF NOT EXISTS shop', 'CREATE TABLE IF NOT EXISTS shop.a (id INT PRIMARY KEY, v VARCHAR(20))', 'CREATE TABLE IF NOT EXISTS shop.marker (id INT PRIMARY KEY, n INT NOT NULL)');
at_start('table-missing', channel => $only_data, break => sub { $target->sql(@target_tables, 'DROP TABLE shop.a') }, mend => sub { $target->sql(@target_tables) });
at_start('table-different', state => 'Initial Synchronization Failed', channel => $only_data, break => sub { $target->sql(@target_tables, 'ALTER TABLE shop.a DROP COLUMN v') },
    mend => sub { $target->sql('ALTER TABLE shop.a ADD COLUMN v VARCHAR(20)') });
at_start('table-exists', break => sub { $target->sql(@target_tables) }, mend => sub { $target->sql('DROP DATABASE shop') });
while_streaming('table-gone', break => sub { $target->sql('DROP TABLE shop.a') }, mend => sub { $c->tool('resync', 'shop', 'shop.a') });
while_streaming('column-gone', break => sub { $target->sql('ALTER TABLE shop.a DROP COLUMN v') }, mend => sub { $c->tool('resync', 'shop', 'shop.a') });
done_testing;
