# `syncline check` against real servers: every item with its cause and remedy, the
# exit status, and a --sql that is enough: an account with what it grants and no
# more passes, and runs the channel (R33-R60; spec S8.1).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::MariaDB;
use Syncline::MySQL;
use Syncline::Pair;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;

sub check {
    my ($pair, @options) = @_;
    my $out = `$Syncline::Pair::build/syncline check @options ${\ $pair->conf} 2>&1`;
    return ($? >> 8, $out);
}

sub endpoint { my ($db, $user, $password) = @_; return sprintf 'kind = "mysql"; host = "127.0.0.1"; port = %d; user = "%s"; password = "%s";', $db->port, $user, $password // 'secret' }

sub fails {
    my ($what, $pair, $item, $cause, $remedy) = @_;
    my ($exit, $out) = check($pair);
    is($exit, 78, "$what: exit 78");
    like($out, qr/^fail  \Q$item\E\n      cause: .*$cause.*\n      remedy: .*$remedy/m, "$what: \"$item\" with its cause and remedy") or diag $out;
    return $out;
}

for my $class ('Syncline::MariaDB', 'Syncline::MySQL') {
    my ($name) = $class =~ /(\w+)$/;
    my ($source, $target) = map { $class->new } 1 .. 2;
    $source->sql(
        'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20))', 'INSERT INTO shop.a VALUES (1, "x"), (2, "y")',
        'CREATE TABLE shop.b (id INT)', 'INSERT INTO shop.b VALUES (3), (3)', 'CREATE SQL SECURITY INVOKER VIEW shop.v AS SELECT id FROM shop.a',
    );
    $_->sql("CREATE USER 'poor'\@'%' IDENTIFIED BY 'secret'") for $source, $target;
    my %objects = (objects => '{ database = "shop"; }');
    my $full = Syncline::Pair->new(source => $source, target => $target, %objects);
    my ($exit, $out) = check($full);
    is($exit, 0, "$name: all is well: exit 0") or diag $out;
    is(scalar(() = $out =~ /^pass  /mg), 10, "$name: ten items passed") or diag $out;
    like($out, qr/^warn  Primary or unique key\n      cause: shop\.b has no primary key/m, "$name: a table without a key is worth a warning");

    # Who may not connect.
    fails("$name: wrong password", Syncline::Pair->new(source => endpoint($source, 'syncline', 'wrong'), target => $target, %objects),
        'Source database connectivity', 'Access denied for user', 'check host, port, user and password');
    my $port = Syncline::Server::free_port();
    fails("$name: closed port", Syncline::Pair->new(source => $source, target => "kind = \"mysql\"; host = \"127.0.0.1\"; port = $port; user = \"x\"; password = \"y\";", %objects),
        'Destination database connectivity', "$port", 'check host, port');

    # What the log must be.
    $source->sql("SET GLOBAL binlog_format = 'STATEMENT'");
    fails("$name: STATEMENT", $full, 'Binary log format of the source database', 'binlog_format is STATEMENT', "SET GLOBAL binlog_format='ROW'");
    $source->sql("SET GLOBAL binlog_format = 'ROW'", "SET GLOBAL binlog_row_image = 'MINIMAL'");
    like((check($full))[1], qr/^warn  Row images of the source database\n      cause: binlog_row_image is MINIMAL\n      remedy: SET GLOBAL binlog_row_image='FULL'/m,
        "$name: MINIMAL is carried, with a warning");
    $source->sql("SET GLOBAL binlog_row_image = 'FULL'");
    if ($name eq 'MySQL') {
        $source->sql('SET GLOBAL server_id = 0');
        fails("$name: server_id", $full, 'Value of server_id in the source database', 'server_id is 0', 'set server_id to a number of at least 2');
        $source->sql('SET GLOBAL server_id = 7');
    }

    # Objects.
    $target->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY)');
    fails("$name: a table is there already", Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; table = "a"; }'),
        'Schema name conflict', 'target table shop.a exists', 'to_table.*existing = "ignore"');
    $target->sql('DROP DATABASE shop');
    $source->sql('CREATE TABLE shop.child (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES shop.a (id))');
    fails("$name: a parent that is left out", Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; table = "child"; }'),
        'Integrity of FOREIGN KEY constraint', 'shop.child refers to shop.a, which is not selected', 'add the parent table');
    ($exit, $out) = check(Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "nowhere"; }'));
    like($out, qr/^warn  Objects\n      cause: no existing table is selected/m, "$name: a database that is not there is worth a warning");

    # An account with nothing, then with what --sql prints, then a real run with it.
    my $poor = Syncline::Pair->new(source => endpoint($source, 'poor'), target => endpoint($target, 'poor'), %objects);
    $out = fails("$name: no rights at the source", $poor, 'Source database permissions', 'may not', 'syncline check --sql');
    like($out, qr/^fail  Destination database permissions\n      cause: the account lacks .*INSERT.* on shop$/m, "$name: nor at the target") or diag $out;
    ($exit, $out) = check($poor, '--sql');
    my ($at_source, $at_target) = $out =~ /^-- at the source\n(.*)^-- at the target\n(.*)\z/ms;
    isnt($at_target, undef, "$name: --sql has a part for each end") or diag $out;
    $source->sql(grep { /\S/ } split /;\n/, $at_source);
    $target->sql(grep { /\S/ } split /;\n/, $at_target);
    ($exit, $out) = check($poor);
    is($exit, 0, "$name: with these grants it passes") or diag $out;
    $source->sql("REVOKE REPLICATION SLAVE ON *.* FROM 'poor'\@'%'");
    fails("$name: no REPLICATION SLAVE", $poor, 'Source database permissions', 'the account may not read the log', 'syncline check --sql');
    $source->sql(grep { /\S/ } split /;\n/, $at_source);
    $poor->start('caught-up');
    is($poor->wait(60), 0, "$name: and the channel runs with them") or diag $poor->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal");
    $source->sql('ALTER TABLE shop.a ADD COLUMN n INT', 'CREATE TABLE shop.c (id INT PRIMARY KEY)', 'UPDATE shop.a SET n = id', 'DELETE FROM shop.b LIMIT 1', 'DROP VIEW shop.v');
    $poor->start('caught-up');
    is($poor->wait(60), 0, "$name: with DDL too") or diag $poor->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal still");
}

{
    my $source = Syncline::MariaDB->new(options => ['--skip-log-bin']);
    my $target = Syncline::MariaDB->new;
    fails('no log', Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }'),
        'Whether binary logging is enabled for the source database', 'log_bin is off', 'set log_bin');
}

done_testing;
