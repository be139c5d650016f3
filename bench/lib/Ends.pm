package Ends;

# Both ends and who moves rows between them.
#
#   my $s = source(), my $t = target(), my $t = target($dir)    servers with equal settings; a copy of a data directory
#   fill($s, $rows, $step)           `bench.sbtest1`, as sysbench makes it; ids step, 2 step, ...
#   fill_wide($s, $rows)             `bench.wide`: text, blobs, JSON
#   changes($s, $n, $per, $from)     n row changes, $per a transaction; $from: how many came before
#   my $c = Ends::Channel->new($s, $t); $c->start('loaded'); $c->wait; $c->watch
#   replica($t, $s, $gtid, $threads) starts MariaDB's own

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Bench;
use Syncline::MariaDB;
our @EXPORT = qw(source target fill fill_wide changes replica same);

# Equal at both ends: relaxed durability, a log of its own, what is replicated included.
my @settings = qw(--innodb-buffer-pool-size=1G --innodb-log-file-size=512M --innodb-flush-log-at-trx-commit=2 --sync-binlog=0
    --log-slave-updates=ON --max-connections=2000 --innodb-io-capacity=2000 --max-binlog-size=1G --table-open-cache=4000);

my $servers = 100;

sub source { return Syncline::MariaDB->new(server_id => ++$servers, options => \@settings) }
sub target { my ($data) = @_; return Syncline::MariaDB->new(server_id => ++$servers, options => \@settings, data => $data) }

my $digits = "LPAD(FLOOR(RAND() * 99999999999), 11, '0')";
sub groups { my ($n) = @_; return "CONCAT_WS('-', " . join(', ', ($digits) x $n) . ')' }

sub fill {
    my ($db, $rows, $step) = @_;
    $db->sql('CREATE DATABASE bench', 'CREATE TABLE bench.marker (id INT PRIMARY KEY) ENGINE=InnoDB',
        "CREATE TABLE bench.sbtest1 (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', "
            . "pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)) ENGINE=InnoDB");
    for (my $i = 1; $i <= $rows; $i += 50_000) {
        my $end = $i + 49_999 < $rows ? $i + 49_999 : $rows;
        $db->sql("INSERT INTO bench.sbtest1 SELECT seq * $step, FLOOR(1 + RAND() * $rows), ${\ groups(10)}, ${\ groups(5)} FROM bench.seq_${i}_to_$end");
    }
    $db->sql('ANALYZE TABLE bench.sbtest1');
}

sub fill_wide {
    my ($db, $rows) = @_;
    $db->sql('CREATE DATABASE bench',
        'CREATE TABLE bench.wide (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED, d DECIMAL(20,6), e DOUBLE, '
            . 'f DATE, g DATETIME(6), h TIMESTAMP(3) NULL, i VARCHAR(100) CHARACTER SET utf8mb4, j CHAR(20) CHARACTER SET latin1, '
            . "k ENUM('red','green','blue'), l BIT(12), m JSON, n TEXT CHARACTER SET utf8mb4, o BLOB, p VARBINARY(64), KEY (g), KEY (i)) ENGINE=InnoDB");
    for (my $i = 1; $i <= $rows; $i += 10_000) {
        my $end = $i + 9_999 < $rows ? $i + 9_999 : $rows;
        $db->sql(<<"SQL");
INSERT INTO bench.wide SELECT seq, CAST(seq % 100 AS SIGNED) - 50, seq % 60000, seq * 1.000001, RAND() * 1e9, '2020-01-01' + INTERVAL seq % 3000 DAY,
    '2021-01-01 00:00:00.000001' + INTERVAL seq * 17 SECOND, '2022-01-01 00:00:00.5' + INTERVAL seq SECOND, CONCAT('n\xc3\xa4me ', seq, ' ', SHA1(seq)),
    SUBSTR(MD5(seq), 1, 20), 1 + seq % 3, seq % 4096, JSON_OBJECT('id', seq, 'tags', JSON_ARRAY('a', 'b', MD5(seq)), 'n', RAND()),
    REPEAT(CONCAT(SHA1(seq), ' t\xc3\xa9xt '), 8), REPEAT(UNHEX(SHA2(seq, 512)), 8), UNHEX(SHA1(seq)) FROM bench.seq_${i}_to_$end
SQL
    }
    $db->sql('ANALYZE TABLE bench.wide');
}

# Half updates, a quarter inserts, a quarter deletes, keys in random order, each change of exactly
# one row. Rows have even ids; every fourth of them is there to be deleted; inserts take odd ids.
my $procedure = <<"SQL";
CREATE PROCEDURE bench.changes(IN total INT, IN per INT, IN already INT, IN filled INT)
BEGIN
    DECLARE i INT DEFAULT 0;
    DECLARE r BIGINT;
    SET autocommit = 0;
    WHILE i < total DO
        IF i % 4 = 1 THEN
            SET r = ((already + i) DIV 4 * 7368787) % (filled DIV 4);
            DELETE FROM bench.sbtest1 WHERE id = r * 8 + 8;
        ELSEIF i % 4 = 3 THEN
            SET r = ((already + i) DIV 4 * 7368787) % filled;
            INSERT INTO bench.sbtest1 VALUES (r * 2 + 1, FLOOR(1 + RAND() * filled), REPEAT($digits, 10), REPEAT($digits, 5));
        ELSE
            SET r = FLOOR(RAND() * (filled DIV 4)) * 4 + FLOOR(RAND() * 3);
            UPDATE bench.sbtest1 SET k = k + 1, c = REPEAT($digits, 10) WHERE id = r * 2 + 2;
        END IF;
        SET i = i + 1;
        IF i % per = 0 THEN COMMIT; END IF;
    END WHILE;
    INSERT INTO bench.marker VALUES (already + total);
    COMMIT;
    SET autocommit = 1;
END
SQL

sub changes {
    my ($db, $n, $per, $before, $filled) = @_;
    $db->sql('DROP PROCEDURE IF EXISTS bench.changes', $procedure, "CALL bench.changes($n, $per, $before, $filled)");
}

sub replica {
    my ($target, $source, $gtid, $threads) = @_;
    $target->sql("SET GLOBAL gtid_slave_pos = '$gtid'", "SET GLOBAL slave_parallel_threads = $threads",
        sprintf(
            "CHANGE MASTER TO master_host = '127.0.0.1', master_port = %d, master_user = 'syncline', master_password = 'secret', "
                . 'master_use_gtid = slave_pos', $source->port),
        'START SLAVE');
}

# Dies unless both ends hold the same rows.
sub same {
    my ($source, $target, $table) = @_;
    my ($a, $b) = map { $_->rows("CHECKSUM TABLE $table")->[0][1] } $source, $target;
    die "$table differs\n" if $a ne $b;
}

package Ends::Channel;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

our $build = $ENV{SYNCLINE_BUILD} || abs_path(dirname(__FILE__) . '/../../build');

sub text { my ($source, $target) = @_; return sprintf "source = { %s };\ntarget = { %s };\nobjects = ( { database = \"bench\"; } );\n", $source->endpoint, $target->endpoint }

sub new {
    my ($class, $source, $target, $more) = @_;
    my $dir = File::Temp->newdir('syncline-bench-XXXXXX', TMPDIR => 1);
    my $self = bless {dir => $dir, conf => "$dir/bench.conf"}, $class;
    open my $f, '>', $self->{conf} or die "$self->{conf}: $!";
    chmod 0600, $self->{conf};
    print $f text($source, $target), $more // '';
    close $f;
    return $self;
}

sub start {
    my ($self, $until) = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        exec "$build/syncline", 'run', $self->{conf}, '--libexec', $build, $until ? ('--until', $until) : () or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $self->{watch} = Bench::Watch->new($pid);
    return $self;
}

sub watch { $_[0]{watch} }

sub done {
    my ($self) = @_;
    $self->watch->look;
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
    delete $self->{pid};
    return 1 if $? == 0;
    die "syncline run failed\n" . Bench::slurp("$self->{dir}/log");
}

sub lives { my ($self) = @_; die "syncline run has ended\n" . Bench::slurp("$self->{dir}/log") if $self->done }

sub wait { my ($self, $seconds) = @_; return Bench::wait_until($seconds || 1200, 'the end of syncline run', sub { $self->done }) }

sub stop { my ($self) = @_; kill 'TERM', $self->{pid}; return $self->wait(60) }

# Whatever ends the figure ends its channels.
sub DESTROY {
    my ($self) = @_;
    return if !$self->{pid};
    local $?;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
