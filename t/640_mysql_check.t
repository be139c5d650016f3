# `syncline check` against real servers. Every requirement of the precheck (R33-R60;
# spec S8.1) is made to fail, with its item, cause and remedy, and passes when the
# cause is gone; the list at the end names those that are not MySQL's. And a --sql
# that is enough: an account with what it grants and no more passes, and runs the
# channel.
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

my %covered;

# One requirement: the item fails for this cause, with this remedy; then it passes.
sub requirement {
    my ($r, $what, %o) = @_;
    $covered{$_}++ for split / /, $r;
    my ($pair, $item) = @o{qw(pair item)};
    $o{break}->() if $o{break};
    my ($exit, $out) = check($pair);
    is($exit, 78, "$r: $what: exit 78");
    like($out, qr/^fail  \Q$item\E\n      cause: .*$o{cause}.*\n      remedy: .*$o{remedy}/m, "$r: $what: \"$item\" with its cause and remedy") or diag $out;
    $o{mend}->() if $o{mend};
    ($exit, $out) = check($o{good} // $pair);
    is($exit, 0, "$r: $what: passes without the cause") or diag $out;
    like($out, qr/^pass  \Q$item\E$/m, "$r: $what: \"$item\" passes") if !$o{silent};
}

sub pair { my ($source, $target, %o) = @_; return Syncline::Pair->new(source => $source, target => $target, objects => '{ database = "shop"; }', %o) }
sub at { my ($db, @sql) = @_; return sub { $db->sql(@sql) } }

for my $class ('Syncline::MariaDB', 'Syncline::MySQL') {
    my ($name) = $class =~ /(\w+)$/;
    my ($source, $target) = map { $class->new } 1 .. 2;
    $source->sql(
        'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20))', 'INSERT INTO shop.a VALUES (1, "x"), (2, "y")',
        'CREATE TABLE shop.b (id INT)', 'INSERT INTO shop.b VALUES (3), (3)', 'CREATE SQL SECURITY INVOKER VIEW shop.v AS SELECT id FROM shop.a',
    );
    $_->sql("CREATE USER 'poor'\@'%' IDENTIFIED BY 'secret'") for $source, $target;
    my $full = pair($source, $target);
    my ($exit, $out) = check($full);
    is($exit, 0, "$name: all is well: exit 0") or diag $out;
    my @items = (
        'Source database connectivity', 'Source database version', 'Value of server_id in the source database',
        'Whether binary logging is enabled for the source database', 'Binary log format of the source database', 'Objects',
        'Source database permissions', 'Storage engine', 'Integrity of FOREIGN KEY constraint', 'Destination database connectivity', 'Destination database permissions',
        'Database existence', 'Schema name conflict', 'Character set', 'Table definitions', 'Destination column types',
    );
    is_deeply([$out =~ /^pass  (.*)$/mg], \@items, "R38: $name: the result lists every item");
    like($out, qr/^warn  Primary or unique key\n      cause: source table shop\.b has no primary key/m, "R58: $name: a table without a key is worth a warning");
    $covered{$_}++ for qw(R38 R58);

    # Who may not connect.
    requirement('R39', "$name: wrong password at the source", pair => pair(endpoint($source, 'syncline', 'wrong'), $target), good => $full,
        item => 'Source database connectivity', cause => 'Access denied for user', remedy => 'source\.password_file');
    requirement('R39', "$name: wrong password at the target", pair => pair($source, endpoint($target, 'syncline', 'wrong')), good => $full,
        item => 'Destination database connectivity', cause => 'Access denied for user', remedy => 'target\.password_file');
    my $port = Syncline::Server::free_port();
    my $elsewhere = 'kind = "mysql"; host = "%s"; port = %d; user = "x"; password = "y"; connect_timeout = "1s";';
    requirement('R39', "$name: closed port", pair => pair($source, sprintf($elsewhere, '127.0.0.1', $port)), good => $full,
        item => 'Destination database connectivity', cause => "127\\.0\\.0\\.1:$port", remedy => 'see that the server runs');
    requirement('R39', "$name: a host that is not there", pair => pair(sprintf($elsewhere, 'nowhere.invalid', 3306), $target), good => $full,
        item => 'Source database connectivity', cause => 'nowhere\.invalid:3306', remedy => 'source\.host');
    $source->sql("CREATE USER 'far'\@'192.0.2.1' IDENTIFIED BY 'secret'", "GRANT ALL PRIVILEGES ON *.* TO 'far'\@'192.0.2.1'");
    requirement('R39', "$name: an address that is not allowed", pair => pair(endpoint($source, 'far'), $target), good => $full,
        item => 'Source database connectivity', cause => q(Access denied for user 'far'@'127\.0\.0\.1'|Host '127\.0\.0\.1' is not allowed), remedy => 'let an administrator');

    # What the log must be.
    for my $format ('STATEMENT', 'MIXED') {
        requirement('R50', "$name: $format", pair => $full, item => 'Binary log format of the source database', cause => "binlog_format is $format",
            remedy => "SET GLOBAL binlog_format = 'ROW'", break => at($source, "SET GLOBAL binlog_format = '$format'"), mend => at($source, "SET GLOBAL binlog_format = 'ROW'"));
    }
    $source->sql("SET GLOBAL binlog_row_image = 'MINIMAL'");
    like((check($full))[1], qr/^warn  Row images of the source database\n      cause: binlog_row_image is MINIMAL.*\n      remedy: .*SET GLOBAL binlog_row_image = 'FULL'/m,
        "$name: MINIMAL is carried, with a warning");
    $source->sql("SET GLOBAL binlog_row_image = 'FULL'");
    for my $id ($name eq 'MySQL' ? (0, 1) : 1) {
        requirement('R48', "$name: server_id $id", pair => $full, item => 'Value of server_id in the source database', cause => "server_id is $id",
            remedy => 'SET GLOBAL server_id = N, a number of at least 2', break => at($source, "SET GLOBAL server_id = $id"), mend => at($source, 'SET GLOBAL server_id = 2'));
    }
    requirement('R49', "$name: no log", pair => $full, item => 'Whether binary logging is enabled for the source database', cause => 'log_bin is off', remedy => 'log_bin',
        break => sub { $source->stop; $source->{options} = ['--skip-log-bin']; $source->start }, mend => sub { $source->stop; $source->{options} = []; $source->start });

    # Objects.
    requirement('R47', "$name: a table is there already", pair => $full, item => 'Schema name conflict', cause => 'target table shop\.a exists already',
        remedy => 'to_table.*existing = "ignore"', break => at($target, 'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY)'),
        good => pair($source, $target, objects => '{ database = "shop"; }, { database = "shop"; table = "a"; to_table = "free"; }'));
    $target->sql('DROP DATABASE shop');
    my @to_fill = (more => "initial = [\"data\"];\n");
    requirement('R47', "$name: a table that the target must have", pair => pair($source, $target, @to_fill), item => 'Schema name conflict',
        cause => 'target table shop\.a does not exist', remedy => 'create it at the target',
        mend => at($target, 'CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(20))', 'CREATE TABLE shop.b (id INT)'));
    requirement('R47', "$name: and that must be empty", pair => pair($source, $target, @to_fill), item => 'Schema name conflict', cause => 'target table shop\.a has rows',
        remedy => 'existing = "ignore"', break => at($target, 'INSERT INTO shop.a VALUES (1, "own")'), mend => at($target, 'DROP DATABASE shop'), good => $full);
    $source->sql('CREATE TABLE shop.child (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES shop.a (id))');
    requirement('R51', "$name: a parent that is left out", pair => pair($source, $target, objects => '{ database = "shop"; table = "child"; }'),
        item => 'Integrity of FOREIGN KEY constraint', cause => 'shop\.child refers to shop\.a, which is not selected', remedy => 'add the parent table',
        good => pair($source, $target, objects => '{ database = "shop"; table = "child"; }, { database = "shop"; table = "a"; }'));
    requirement('R52', "$name: MRG_MyISAM", pair => $full, item => 'Storage engine', cause => 'shop\.merged has engine MRG_M[Yy]I[Ss]AM', remedy => 'ALTER TABLE shop\.merged ENGINE=InnoDB',
        break => at($source, 'CREATE TABLE shop.part (id INT PRIMARY KEY) ENGINE=MyISAM', 'CREATE TABLE shop.merged (id INT PRIMARY KEY) ENGINE=MRG_MyISAM UNION=(shop.part)'),
        mend => at($source, 'ALTER TABLE shop.merged ENGINE=InnoDB'));
    $source->sql('DROP TABLE shop.merged, shop.part');
    ($exit, $out) = check(pair($source, $target, objects => '{ database = "nowhere"; }'));
    like($out, qr/^warn  Objects\n      cause: no table of the source 127\.0\.0\.1:\d+ is selected/m, "$name: a database that is not there is worth a warning");

    $source->sql('SET NAMES utf8mb4', "CREATE TABLE shop.face (id INT PRIMARY KEY, plain ENUM('a', 'b') DEFAULT 'a', mood ENUM('a\x{1F600}', 'b') CHARACTER SET utf8mb4, d VARCHAR(9) CHARACTER SET utf8mb4 DEFAULT '\x{1F600}')");
    ($exit, $out) = check($full);
    is_deeply([$out =~ /^warn  Characters beyond U\+FFFF\n      cause: source column (\S+) has .*\n      remedy: .*create the table/mg], ['shop.face.d', 'shop.face.mood'],
        "$name: labels and defaults that the server does not show right are worth a warning") or diag $out;
    $source->sql('DROP TABLE shop.face');

    # An account with nothing, then with what --sql prints, then a real run with it.
    my $poor = pair(endpoint($source, 'poor'), endpoint($target, 'poor'));
    ($exit, $out) = check($poor);
    is($exit, 78, "$name: no rights");
    like($out, qr/^fail  Source database permissions\n      cause: .*may not.*\n      remedy: .*syncline check --sql test/m, "$name: no rights at the source") or diag $out;
    like($out, qr/^fail  Destination database permissions\n      cause: the account lacks .*INSERT.* on shop at the target/m, "$name: nor at the target") or diag $out;
    ($exit, $out) = check($poor, '--sql');
    my ($at_source, $at_target) = $out =~ /^-- at the source\n(.*)^-- at the target\n(.*)\z/ms;
    isnt($at_target, undef, "$name: --sql has a part for each end") or diag $out;
    my @grant_source = grep { /\S/ } split /;\n/, $at_source;
    my @grant_target = grep { /\S/ } split /;\n/, $at_target;
    $source->sql(@grant_source);
    $target->sql(@grant_target);
    ($exit, $out) = check($poor);
    is($exit, 0, "$name: with these grants it passes") or diag $out;
    my $client = $name eq 'MariaDB' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT';
    for (['REPLICATION SLAVE', '*.*', 'may not read the log'], [$client, '*.*', 'may not ask for the log\'s end'], ['SHOW VIEW', 'shop.*', 'may not read a view\'s definition']) {
        my ($right, $on, $cause) = @$_;
        requirement('R43', "$name: no $right", pair => $poor, item => 'Source database permissions', cause => $cause, remedy => 'syncline check --sql test',
            break => at($source, "REVOKE $right ON $on FROM 'poor'\@'%'"), mend => at($source, @grant_source));
    }
    ($exit, $out) = check(pair(endpoint($source, 'poor'), endpoint($target, 'poor'), objects => '{ database = "shop"; }'));
    requirement('R43', "$name: no SELECT on a column", pair => $poor, item => 'Source database permissions', cause => 'may not read a table', remedy => 'syncline check --sql test',
        break => at($source, "REVOKE SELECT ON shop.* FROM 'poor'\@'%'", "GRANT SELECT (id) ON shop.a TO 'poor'\@'%'"), mend => at($source, @grant_source));
    for my $right ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'DROP', 'ALTER', 'INDEX', 'REFERENCES', 'CREATE VIEW', 'CREATE ROUTINE') {
        requirement($right eq 'CREATE' ? 'R45 R42' : 'R45', "$name: no $right", pair => $poor, item => 'Destination database permissions', cause => "lacks $right on shop",
            remedy => 'syncline check --sql test', break => at($target, "REVOKE $right ON shop.* FROM 'poor'\@'%'"), mend => at($target, @grant_target));
    }
    requirement('R42', "$name: a database that may not be made", pair => $poor, item => 'Database existence', cause => 'the database shop is not at the target 127.*may not create it',
        remedy => 'CREATE DATABASE `shop`', break => at($target, "REVOKE CREATE ON shop.* FROM 'poor'\@'%'"), mend => at($target, @grant_target));
    requirement('R45', "$name: no right to make our tables", pair => $poor, item => 'Destination database permissions', cause => 'may not make our own tables in `syncline`',
        remedy => 'syncline check --sql test', break => at($target, 'DROP DATABASE syncline', "REVOKE SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES ON syncline.* FROM 'poor'\@'%'"),
        mend => at($target, @grant_target));
    $target->sql("REVOKE CREATE ON syncline.* FROM 'poor'\@'%'");
    ($exit, $out) = check($poor);
    is($exit, 0, "$name: no right to try tables among ours: passes");
    like($out, qr/^warn  Table definitions\n      cause: whether the target .* can have the source's tables cannot be tried: .*denied.*\n      remedy: .*syncline check --sql test/m, "$name: with a warning") or diag $out;
    $target->sql(@grant_target);
    $poor->start('caught-up');
    is($poor->wait(60), 0, "R41: $name: the channel runs with these rights, and makes the database") or diag $poor->output;
    $covered{R41}++;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal");
    $source->sql('ALTER TABLE shop.a ADD COLUMN n INT', 'CREATE TABLE shop.c (id INT PRIMARY KEY)', 'UPDATE shop.a SET n = id', 'DELETE FROM shop.b LIMIT 1', 'DROP VIEW shop.v');
    $poor->start('caught-up');
    is($poor->wait(60), 0, "$name: with DDL too") or diag $poor->output;
    is(join("\n", compare($source, $target, 'shop')), '', "$name: both ends are equal still");
    $_->stop for $source, $target;
}

# What one kind of server alone has.
{
    my $new = Syncline::MySQL->new(options => ['--federated']);
    my $maria = Syncline::MariaDB->new;
    $_->sql('CREATE DATABASE shop') for $new, $maria;
    $new->sql('CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4, l VARCHAR(9) CHARACTER SET latin1, g VARCHAR(9) CHARACTER SET gbk, u VARCHAR(9) CHARACTER SET utf8mb3, w VARCHAR(9) CHARACTER SET ucs2)');
    my $to = Syncline::MariaDB->new;
    my $pair = pair($new, $to);
    requirement('R52', 'FEDERATED', pair => $pair, item => 'Storage engine', cause => 'shop\.far has engine FEDERATED', remedy => 'ENGINE=InnoDB; or leave it out: .*table = "far"; exclude = true',
        break => at($new, "CREATE TABLE shop.far (id INT PRIMARY KEY) ENGINE=FEDERATED CONNECTION='mysql://x\@127.0.0.1:1/shop/a'"), mend => at($new, 'DROP TABLE shop.far'));
    requirement('R53', 'a set that the target does not have', pair => $pair, item => 'Character set', cause => 'shop\.cn has the character set gb18030, which the target 127.*does not know',
        remedy => 'ALTER TABLE shop\.cn CONVERT TO CHARACTER SET utf8mb4', break => at($new, 'CREATE TABLE shop.cn (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET gb18030)'),
        mend => at($new, 'ALTER TABLE shop.cn CONVERT TO CHARACTER SET utf8mb4'));
    $new->stop;

    # (the sum that passwords had before 4.1)
    $maria->sql('CREATE TABLE shop.a (id INT PRIMARY KEY)', "CREATE USER 'old'\@'%' IDENTIFIED VIA mysql_old_password USING '" . $maria->one("SELECT OLD_PASSWORD('secret')") . "'", "GRANT ALL PRIVILEGES ON *.* TO 'old'\@'%'");
    requirement('R55', 'a password of the old format', pair => pair(endpoint($maria, 'old'), $to), item => 'Format of MySQL database password', cause => 'as "old"',
        remedy => 'SET PASSWORD FOR', mend => at($maria, "ALTER USER 'old'\@'%' IDENTIFIED BY 'secret'"), silent => 1);
    requirement('R40', 'a version that is too old', pair => pair($maria, $to), item => 'Source database version', cause => 'is of version 5\.1\.73', remedy => 'upgrade it to MySQL 5\.5',
        break => sub { $maria->stop; push @{$maria->{options}}, '--version=5.1.73-log'; $maria->start }, mend => sub { $maria->stop; $maria->{options} = []; $maria->start });
}

# Every requirement is made to fail above, or is not of these pairs.
my %elsewhere = (
    R33 => 't/311: a change of objects is prechecked before it counts',
    R34 => 'objects that change: not of the precheck',
    R35 => 'objects that change: not of the precheck',
    R36 => 'objects that change: not of the precheck',
    R37 => 'objects that change: not of the precheck',
    R44 => 'PolarDB MySQL to Kafka, DRDS to AnalyticDB MySQL',
    R46 => 'AnalyticDB PG',
    R54 => 't/643: two channels on one target table are refused by the configuration, until one declares it or is stopped and its file taken away',
    R56 => 'the pairs that want primary keys; MySQL carries tables without (R58)',
    R57 => 'PolarDB-O',
    R59 => 'PolarDB-O and PostgreSQL',
    R60 => 'two-way PolarDB MySQL',
);
for my $r (map {"R$_"} 33 .. 60) {
    is(($covered{$r} ? 1 : 0) + ($elsewhere{$r} ? 1 : 0), 1, "$r: " . ($elsewhere{$r} // 'made to fail and to pass'));
}

done_testing;
