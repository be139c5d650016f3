# Mistakes that people make with PostgreSQL servers, at the start of a channel and while it
# streams, as 641 has them of MySQL's: what each command says is golden text
# (t/data/errors), the state and the exit status are right, nothing is lost, and when
# the cause is gone the channel goes on. Slots and publications: 646; other servers: 647.
# (R33-R60; S6.2, S8.1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Channel;
use Syncline::Golden;
use Syncline::PostgreSQL;
use Test::More;

our ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
my $c;

sub tables {
    my ($server) = @_;
    $server->sql('CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', q{INSERT INTO shop.a VALUES (1, 'one'), (2, 'two')},
        'CREATE TABLE shop.marker (id int PRIMARY KEY, n int NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
}

sub fresh {
    $target->sql(map {"DROP SCHEMA IF EXISTS $_ CASCADE"} qw(shop syncline));
    if ($source->one('SHOW server_version_num') >= 100000) {
        my $idle = $source->one(q{SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE NOT active});
        $source->sql('DROP PUBLICATION IF EXISTS syncline_shop', 'DROP SCHEMA IF EXISTS syncline CASCADE', 'DROP SCHEMA IF EXISTS shop CASCADE');
        tables($source);
    }
    return $c = Syncline::Channel->new(source => $source, target => $target);
}

# All that can be said of it, then the cause goes and the channel with it.
sub proven {
    my ($name, $state, %o) = @_;
    my ($d, $file) = ($c->daemon, $c->daemon->{dir} . '/conf.d/shop.conf');
    is($d->wait_state('shop', $state, 30), $state, "$name: $state") or diag $c->explain;
    Syncline::Golden->new(SOURCE => $source->port, TARGET => $target->port, DIR => $d->{dir}, LSN => qr/\b[0-9A-F]+\/[0-9A-F]+\b/)
        ->begin($name)->status($d, 'shop')->command($d, 'check', $file)->command($d, 'run', $file, '--until', 'caught-up')->done;
    $o{mend}->();
    if ($c->state eq $state) {
        my ($exit, undef, $err) = $d->tool('start', 'shop', '--wait', '--timeout', '60s');
        is($exit, 0, "$name: with the cause gone it starts") or diag $err, $c->explain;
    }
    is($c->settle(30), '', "$name: and nothing is lost");
    $c->tool('stop', 'shop', '--wait');
    $c->stop;
}

sub at_start {
    my ($name, %o) = @_;
    fresh();
    $o{break}->();
    $c->begin;
    proven($name, 'Precheck Failed', %o);
}

sub while_streaming {
    my ($name, %o) = @_;
    fresh()->begin;
    is($c->wait_loaded(60), '', "$name: it streams");
    $o{break}->();
    proven($name, 'Synchronization Failed', %o);
}

sub at { my ($server, @sql) = @_; return sub { $server->sql(@sql) } }

# Of the database itself, which nobody may be connected to.
sub elsewhere {
    my ($server, $sql) = @_;
    return sub {
        $server->{dbh}->disconnect if $server->{dbh};
        $server->{dbh} = undef;
        my $d = $server->dbh(database => 'postgres');
        $d->do($sql);
        $d->disconnect;
    };
}

sub hba {
    my ($server, $line) = @_;
    my $file = $server->dir . '/data/pg_hba.conf';
    open my $f, '<', $file or die "$file: $!";
    my $text = do { local $/; <$f> };
    open $f, '>', $file or die "$file: $!";
    print $f $line ? "$line\n$text" : $text =~ s/^.* reject\n//r;
    close $f;
    $server->sql('SELECT pg_reload_conf()');
}

sub restart { my ($server, @options) = @_; return sub { $server->stop; $server->{options} = [@options]; $server->start } }

for ([source => \$source], [target => \$target]) {
    my ($end, $server) = ($_->[0], ${$_->[1]});
    my $password = sub { my ($word) = @_; return sub { $server->sql("ALTER ROLE syncline PASSWORD '$word'"); $c->kill_worker($end eq 'source' ? 'reader' : 'writer') } };
    my @it = (break => $password->('other'), mend => $password->('secret'));
    at_start("pgsql-wrong-password-$end", @it);
    while_streaming("pgsql-wrong-password-$end-streaming", @it);
    at_start("pgsql-closed-port-$end", break => sub { $server->stop }, mend => sub { $server->start });
    at_start("pgsql-refused-$end", break => sub { hba($server, 'host all syncline 127.0.0.1/32 reject') }, mend => sub { hba($server) });
    at_start("pgsql-no-database-$end", break => elsewhere($server, 'ALTER DATABASE test RENAME TO tested'), mend => elsewhere($server, 'ALTER DATABASE tested RENAME TO test'));
}

# The source's log and slots.
at_start('pgsql-wal-level', break => restart($source, 'wal_level=replica'), mend => restart($source));
at_start('pgsql-no-slot', break => sub { restart($source, 'max_replication_slots=1')->(); $source->sql(q{SELECT pg_create_physical_replication_slot('other')}) },
    mend => at($source, q{SELECT pg_drop_replication_slot('other')}));
restart($source)->();

# Rights. A member of root's role owns what root owns.
my @all = ('ALTER ROLE syncline SUPERUSER REPLICATION', 'REVOKE root FROM syncline');
at_start('pgsql-no-replication', break => at($source, 'GRANT root TO syncline', 'ALTER ROLE syncline NOSUPERUSER NOREPLICATION'), mend => at($source, @all));
at_start('pgsql-missing-rights-source', break => at($source, 'ALTER ROLE syncline NOSUPERUSER'), mend => at($source, @all));
at_start('pgsql-missing-rights-target', break => at($target, 'CREATE SCHEMA shop', 'GRANT CREATE ON DATABASE test TO syncline', 'ALTER ROLE syncline NOSUPERUSER'),
    mend => at($target, 'REVOKE CREATE ON DATABASE test FROM syncline', @all));
at_start('pgsql-no-right-to-make-our-tables', break => at($target, 'CREATE SCHEMA shop AUTHORIZATION syncline', 'ALTER ROLE syncline NOSUPERUSER'), mend => at($target, @all));
while_streaming('pgsql-right-gone-target', break => sub { $target->sql('GRANT SET ON PARAMETER session_replication_role TO syncline', 'ALTER TABLE shop.a OWNER TO root', 'ALTER ROLE syncline NOSUPERUSER'); $source->sql(q{INSERT INTO shop.a VALUES (3, 'three')}) },
    mend => at($target, @all, 'REVOKE SET ON PARAMETER session_replication_role FROM syncline', 'ALTER TABLE shop.a OWNER TO syncline'));

# Tables.
at_start('pgsql-no-identity', break => at($source, 'CREATE TABLE shop.k (id int)'), mend => at($source, 'ALTER TABLE shop.k REPLICA IDENTITY FULL'));
at_start('pgsql-table-exists', break => at($target, 'CREATE SCHEMA shop', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)'), mend => at($target, 'DROP SCHEMA shop CASCADE'));

# 9.5.3, whose decoding loses transactions. An upgraded server has another port, and the same rows.
{
    my $new = $source;
    local $source = Syncline::PostgreSQL->new(version => '9.5');
    tables($source);
    fresh();
    my $old = $source->port;
    $new->sql('DROP SCHEMA shop CASCADE');
    tables($new);
    $c->begin;
    proven('pgsql-too-old', 'Precheck Failed', mend => sub {
        my $d = $c->daemon;
        $d->write_file('conf.d/shop.conf', $d->read_file('conf.d/shop.conf') =~ s/port = $old;/'port = ' . $new->port . ';'/er);
        $c->tool('reload');
        $c->{source} = $new;
        is($c->wait_loaded(60), '', 'it starts by itself');
    });
}
done_testing;
