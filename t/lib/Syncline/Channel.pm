package Syncline::Channel;

# One channel of database `shop` under a synclined of its own, between two real
# servers, and what must hold after whatever happened to it.
#
#   my $c = Syncline::Channel->new(source => $s, target => $t, build => $dir);
#   $c->populate(300);            shop at the source: Load.pm's or PgLoad.pm's tables and a marker
#   my $w = $c->write(writers => 2, seed => 1)   their load, as the ends can both hold it
#   $c->begin                     the daemon starts; nothing is at the target yet
#   $c->wait_loaded(60)           every table streams: '' or what is wrong
#   $c->revive                    starts the daemon again if it has died
#   my $s = $c->arrive(30)        a row written now is at the target: after so many seconds
#   is($c->settle(30), '')        both ends are equal row by row
#   $c->audit; $c->audited        '' or what the triggers have counted differently
#   $c->forget                    ends it and clears target and state directory
#   $c->daemon                    Syncline::Daemon
#   my ($source, $target) = Syncline::Channel::servers('mysql -> pgsql', %options)   a pair by its name
#   for my $pair (Syncline::Channel::pairs('mysql -> mysql')) {...}   those that are always run and, as a
#                                 sample, one with PostgreSQL; FULL=1 all of these; or PAIR=
#
# source_port, target_port: of a proxy in between. read_timeout: another than is good for faults.

use strict;
use warnings;
use File::Path qw(remove_tree);
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Load ();
use Syncline::MariaDB ();
use Syncline::MySQL ();
use Syncline::PgLoad ();
use Syncline::PostgreSQL ();
use Time::HiRes qw(sleep time);

my %class = (mariadb => 'Syncline::MariaDB', mysql => 'Syncline::MySQL', pgsql => 'Syncline::PostgreSQL');
my @beside = ('pgsql -> pgsql', 'mariadb -> pgsql', 'pgsql -> mariadb');

sub servers {
    my ($pair, %options) = @_;
    return map { ($class{$_} // die "no engine \"$_\" in PAIR\n")->new(%options) } split / -> /, $pair;
}

sub pairs {
    my (@always) = @_;
    return $ENV{PAIR} if $ENV{PAIR};
    return (@always, $ENV{FULL} ? @beside : $beside[rand @beside]);
}

sub endpoint {
    my ($db, $port, $timeout) = @_;
    return sprintf '%s read_timeout = "%s"; connect_timeout = "2s";', $db->endpoint($port), $timeout // '5s';
}

sub is_pg { $_[0]->kind eq 'postgresql' }

sub new {
    my ($class, %o) = @_;
    my $self = bless {source => $o{source}, target => $o{target}, marks => 0, audits => 0, objects => $o{objects} // '{ database = "shop"; }'}, $class;
    # Kills follow each other in seconds: no growing delays, they are not what is tested.
    $self->{daemon} = Syncline::Daemon->new(real_workers => 1, settings => {restart_delay_max => '"100ms"', %{$o{settings} // {}}}, env => $o{env} // {},
        build => $o{build}, preload => $o{preload});
    my $file = sprintf "source = { %s };\ntarget = { %s };\nobjects = ( %s );\n%s", endpoint($o{source}, $o{source_port}, $o{read_timeout}),
        endpoint($o{target}, $o{target_port}, $o{read_timeout}), $self->{objects}, $o{more} // '';
    $self->{daemon}->write_file('conf.d/shop.conf', $file);
    chmod 0600, "$self->{daemon}{dir}/conf.d/shop.conf";
    return $self;
}

sub daemon { $_[0]{daemon} }

sub populate {
    my ($self, $rows) = @_;
    my $s = $self->{source};
    if (is_pg($s)) {
        Syncline::PgLoad::pg_schema($s);
        Syncline::PgLoad::pg_fill($s, $rows);
        $s->sql('DROP TABLE shop.wide') if !is_pg($self->{target});
    } else {
        Syncline::Load::schema($s);
        Syncline::Load::fill($s, $rows);
    }
    $s->sql('CREATE TABLE shop.marker (id INT PRIMARY KEY, n INT NOT NULL)', 'INSERT INTO shop.marker VALUES (1, 0)');
    return $self;
}

sub write {
    my ($self, %o) = @_;
    my @mix = is_pg($self->{source}) ? Syncline::PgLoad::pg_load(plain => !is_pg($self->{target})) : ();
    return Syncline::Load->start($self->{source}, @mix, %o);
}

sub begin {
    my ($self) = @_;
    $self->{daemon}->start;
    return $self;
}

sub revive {
    my ($self) = @_;
    my $d = $self->{daemon};
    return 0 if !$d->ended;
    $self->begin;
    return 1;
}

# Polls, with the daemon kept alive as a service manager does.
sub until {
    my ($self, $condition, $seconds) = @_;
    my $end = time + ($seconds // 30);
    my $got;
    while (!($got = $condition->()) && time < $end) {
        $self->revive;
        sleep 0.003;
    }
    return $got;
}

sub state {
    my ($self) = @_;
    return $self->{daemon}->state('shop');
}

sub tool {
    my ($self, @words) = @_;
    return $self->{daemon}->tool(@words);
}

sub wait_loaded {
    my ($self, $seconds) = @_;
    my ($next, $state) = (0, '');
    $self->until(
        sub {
            return 0 if time < $next;
            $next = time + 0.1;
            $state = $self->state;
            return $state eq 'Synchronizing';
        },
        $seconds // 60);
    return $state eq 'Synchronizing' ? '' : "the channel is $state\n" . $self->{daemon}->log;
}

sub arrive {
    my ($self, $seconds) = @_;
    my $n = ++$self->{marks};
    my $began = time;
    $self->{source}->sql("UPDATE shop.marker SET n = $n WHERE id = 1");
    return $self->wait_mark($seconds // 30) ? time - $began : undef;
}

sub wait_mark {
    my ($self, $seconds) = @_;
    return $self->until(sub { (eval { $self->{target}->one('SELECT n FROM shop.marker WHERE id = 1') } // -1) == $self->{marks} }, $seconds);
}

# What has piled up on a crowded machine takes its time: as long as commits come, it is waited for.
sub catch_up {
    my ($self, $seconds) = @_;
    my ($there, $turn) = (defined $self->arrive($seconds), -1);
    my $end = time + 600;
    while (!$there && time < $end) {
        my $now = eval { $self->{target}->one('SELECT turn FROM syncline.checkpoint') } // last;
        last if $now == $turn;
        $turn = $now;
        $there = $self->wait_mark(10);
    }
    return $there;
}

sub settle {
    my ($self, $seconds) = @_;
    my @different = ('nothing was compared');
    return "the marker did not arrive\n" . $self->explain if !$self->catch_up($seconds // 30);
    $self->until(sub { @different = eval { compare($self->{source}, $self->{target}, 'shop') }; push @different, $@ if $@; !@different }, $seconds // 30);
    return join "\n", @different;
}

# Why it stands: its state and cause.
sub explain {
    my ($self) = @_;
    my ($exit, $out) = $self->tool('status', 'shop');
    my @log = split /\n/, $self->{daemon}->log;
    splice @log, 0, -25 if @log > 25;
    return join "\n", $out, @log;
}

# Both ends must be equal and quiet, and all tables there.
sub audit {
    my ($self) = @_;
    for my $end (qw(source target)) {
        my $db = $self->{$end};
        # What a cascade does has no trigger at a MySQL source, nor is it in its log.
        if (is_pg($db)) { Syncline::Load::audit_pg($db, 'shop', alone => !is_pg($self->{source})) }
        else { Syncline::Load::audit($db) }
    }
}

sub audited {
    my ($self) = @_;
    my ($s, $t) = map { Syncline::Load::audit_counts($_) } $self->{source}, $self->{target};
    return $s eq $t ? '' : "source:\n$s\ntarget:\n$t";
}

sub stop { my ($self) = @_; return $self->{daemon}->stop }

sub kill_all {
    my ($self) = @_;
    my $d = $self->{daemon};
    return if !$d->{pid} || $d->ended;
    my @workers = $self->workers;
    $d->signal('KILL');
    $d->wait_end;
    $d->until(sub { !grep { kill 0, $_ } @workers }, 5);
}

sub forget {
    my ($self) = @_;
    $self->kill_all;
    remove_tree("$self->{daemon}{dir}/state");
    my $drop = is_pg($self->{target}) ? 'DROP SCHEMA IF EXISTS %s CASCADE' : 'DROP DATABASE IF EXISTS %s';
    $self->{target}->sql(sprintf $drop, $_) for qw(shop syncline audit);
}

# pids of reader and writer, or of one of them.
sub workers {
    my ($self, $role) = @_;
    $role //= 'reader|writer';
    my ($parent, @found) = $self->{daemon}{pid} // return;
    for my $pid (split ' ', do { open my $f, '<', "/proc/$parent/task/$parent/children" or return; <$f> // '' }) {
        open my $f, '<', "/proc/$pid/stat" or next;
        push @found, $pid if (<$f> // '') =~ /\(syncline-(?:$role)/;
    }
    return @found;
}

sub kill_worker {
    my ($self, $role) = @_;
    my @pids = $self->workers($role) or return 0;
    return kill 'KILL', $pids[rand @pids];
}

1;
