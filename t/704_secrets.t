# Passwords are in no place that others see: not in what ps and /proc show, the log
# at debug, the store, status, history, metrics, nor in what is said when a server
# refuses them (reliability P1).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Find;
use Syncline::Daemon;
use Syncline::MariaDB;
use Syncline::PostgreSQL;
use Test::More;

my %canary = (source => 'canary-5b1e', target => 'canary-9c70');
my ($source, $target) = (Syncline::MariaDB->new, Syncline::PostgreSQL->new);
$source->sql("ALTER USER 'syncline'\@'%' IDENTIFIED BY '$canary{source}'", 'CREATE DATABASE shop', 'CREATE TABLE shop.t (id INT PRIMARY KEY)',
    'INSERT INTO shop.t VALUES (1)');
$target->sql("ALTER USER syncline PASSWORD '$canary{target}'");
my $daemon = Syncline::Daemon->new(real_workers => 1, settings => {log_level => '"debug"'});
$daemon->write_file('conf.d/shop.conf', sprintf "source = { %s };\ntarget = { %s };\nobjects = ( { database = \"shop\"; } );\n",
    map { my ($db, $word) = @$_; $db->endpoint =~ s/"secret"/"$word"/r } [$source, $canary{source}], [$target, $canary{target}]);
chmod 0600, "$daemon->{dir}/conf.d/shop.conf";

sub slurp { my ($file) = @_; open my $f, '<', $file or return ''; local $/; return scalar(<$f>) // '' }

my %seen;
sub look { my ($where, $text) = @_; $seen{$where} = 1 if $text =~ /canary-/; return length $text }

sub look_around {
    my ($when) = @_;
    my $status = $daemon->status('shop');
    for my $pid (grep { $_ } $daemon->{pid}, @$status{qw(reader_pid writer_pid)}) {
        look("$when: /proc/$pid/$_", slurp("/proc/$pid/$_")) for qw(cmdline environ);
    }
    look("$when: @$_", join '', $daemon->tool(@$_)) for ['status', 'shop'], ['status', 'shop', '--json'], ['errors', 'shop'];
    look("$when: metrics", join '', $daemon->http('/metrics'));
    find({no_chdir => 1, wanted => sub { look("$when: $_", slurp($_)) if -f && !m{/conf\.d/} }}, $daemon->{dir});
}

$daemon->start;
is($daemon->wait_state('shop', 'Synchronizing', 60), 'Synchronizing', 'it runs') or diag $daemon->log;
look_around('running');
cmp_ok(length $daemon->log, '>', 1000, 'and has said something');
# The server has another one by now: what is said of that does not repeat ours.
$target->sql("ALTER USER syncline PASSWORD 'other'");
kill 'KILL', $daemon->status('shop')->{writer_pid};
ok($daemon->until(sub { ($daemon->status('shop') // {})->{cause} }, 30), 'refused');
look_around('refused');
is_deeply([sort keys %seen], [], 'in no place that others see');
like(slurp("$daemon->{dir}/conf.d/shop.conf"), qr/canary-/, 'what was looked for is what the file has');
$daemon->stop;
done_testing;
