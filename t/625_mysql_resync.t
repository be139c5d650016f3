# A table that loads again: its key changes, it is renamed or dropped while it loads
# (R83-R88); log and schema disagree (it alone is quarantined); somebody has changed
# the target (`syncline resync`). With kills on the way; both ends equal at the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Compare;
use Syncline::Daemon;
use Syncline::Load;
use Syncline::MariaDB;
use Syncline::Pair;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $source = Syncline::MariaDB->new(options => ['--binlog-row-metadata=MINIMAL']);
my $target = Syncline::MariaDB->new;
schema($source);
fill($source, 1000);
# So many that their loads last: by then the statements have come.
for my $name (qw(rekeyed renamed dropped)) {
    $source->sql("CREATE TABLE shop.$name (id INT PRIMARY KEY, other INT NOT NULL, note VARCHAR(40))",
        "INSERT INTO shop.$name SELECT seq, 100000 - seq, CONCAT('$name ', seq) FROM shop.seq_1_to_100000");
}

sub equal {
    my ($seconds) = @_;
    my ($end, @different) = (time + ($seconds // 60 * $Syncline::Daemon::patience));
    do { @different = compare($source, $target, 'shop'); sleep 0.2 if @different } while (@different && time < $end);
    return join "\n", @different;
}

my $daemon = Syncline::Daemon->new(real_workers => 1);
$daemon->write_file('conf.d/shop.conf', sprintf "source = { %s };\ntarget = { %s };\nobjects = ( { database = \"shop\"; } );\nchunk_rows = 50;\nlanes = 2;\n",
    Syncline::Pair::endpoint($source), Syncline::Pair::endpoint($target));
chmod 0600, "$daemon->{dir}/conf.d/shop.conf";

sub table {
    my ($name) = @_;
    my ($row) = grep { $_->{table} eq $name } @{$daemon->status('shop')->{table_list} // []};
    return $row // {state => '', rows => 0};
}

# A process of its own: the statement waits for chunks, and must not keep the next one waiting.
sub aside {
    my ($statement) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    $source->dbh->do($statement);
    POSIX::_exit(0);
}

sub kill_reader { my $pid = $daemon->status('shop')->{reader_pid}; kill 'KILL', $pid if $pid }

# Statements come while their tables load.
$daemon->start;
my $load = Syncline::Load->start($source, writers => 2, seed => 3, pause => 0.01);
my %statement = (
    rekeyed => 'ALTER TABLE shop.rekeyed DROP PRIMARY KEY, ADD PRIMARY KEY (other)',
    renamed => 'RENAME TABLE shop.renamed TO shop.reborn',
    dropped => 'DROP TABLE shop.dropped',
);
# Its rows wait at the target meanwhile: a fast machine would have them all before anybody has looked.
sub while_loading {
    my ($name) = @_;
    return 0 if !eval { $target->one("SELECT 1 FROM shop.$name LIMIT 1") };
    my $holder = $target->dbh;
    $holder->do("LOCK TABLES shop.$name READ");
    my $loads = $daemon->until(sub { my $t = table($name); $t->{state} eq 'loading' && $t->{rows} > 0 }, 10 * $Syncline::Daemon::patience);
    my $pid = $loads ? aside($statement{$name}) : 0;
    kill_reader() if $pid && $name eq 'rekeyed';
    $holder->do('UNLOCK TABLES');
    return $pid;
}
my %hit;
$daemon->until(
    sub {
        for my $name (grep { !$hit{$_} } sort keys %statement) { my $pid = while_loading($name); $hit{$name} = $pid if $pid }
        return keys %hit == 3;
    },
    60 * $Syncline::Daemon::patience);
waitpid $_, 0 for values %hit;
is_deeply([sort keys %hit], [qw(dropped rekeyed renamed)], 'each statement came while its table was loading');
is($daemon->wait_state('shop', 'Synchronizing', 60), 'Synchronizing', 'and the load goes on') or diag $daemon->log;
is(equal(), '', 'with equal ends while writers write') if !$load->stop;
is(equal(), '', 'both ends are equal') or diag $daemon->log;
is(table('reborn')->{state}, 'streaming', 'under the new name');
$source->sql('INSERT INTO shop.rekeyed VALUES (900001, 900001, "after")', 'UPDATE shop.reborn SET note = "after" WHERE id = 7');
is(equal(), '', 'and follow the log');

# Somebody has changed the target: the table is loaded again while its channel runs.
$target->sql('DELETE FROM shop.word WHERE hits % 3 = 0', 'UPDATE shop.word SET hits = -1 WHERE hits % 3 = 1');
isnt(equal(1), '', 'the target was changed behind our back');
my ($exit, $out, $err) = $daemon->tool('resync', 'shop', 'shop.nothing');
is($exit, 1, 'resync of a table that is not there');
like($err, qr/channel "shop" has no table "shop.nothing".*what to do: name it as DATABASE.TABLE/s, 'says so');
($exit, $out, $err) = $daemon->tool('resync', 'shop', 'shop.word', '--wait', '--timeout', 40 * $Syncline::Daemon::patience . 's');
is($exit, 0, 'resync --wait') or diag $err, ($daemon->tool('status', 'shop'))[1], $daemon->log;
is(equal(1), '', 'is done when it returns') or diag $daemon->log;

# It has stopped the channel: the table loads again with the next start, with what refers to it.
$target->sql('SET foreign_key_checks = 0', 'DELETE FROM shop.customer WHERE id % 3 = 0', 'UPDATE shop.orders SET total = 1');
$source->sql('UPDATE shop.customer SET n = n + 1');
is($daemon->wait_state('shop', 'Synchronization Failed', 20), 'Synchronization Failed', 'a conflict stops the channel');
$load = Syncline::Load->start($source, writers => 2, seed => 4, pause => 0.01);
($exit, $out, $err) = $daemon->tool('resync', 'shop', 'shop.customer');
is($exit, 0, 'resync of a table that others refer to, of a channel that has stopped') or diag $err;
is($daemon->stop, 0, 'the daemon ends');
$daemon->start;
($exit, $out, $err) = $daemon->tool('start', 'shop');
is($exit, 0, 'another daemon starts the channel') or diag $err;
ok($daemon->wait_flowing('shop', 20), 'it runs');
kill_reader();
ok($daemon->until(sub { my $s = $daemon->status('shop'); $s->{flowing} && $s->{progress}{tables} && $s->{progress}{tables} == $s->{progress}{tables_streaming} }, 30),
    'all tables stream, although the reader was killed, and nothing was forgotten') or diag $daemon->log;
$load->stop;
is(equal(), '', 'both ends are equal again') or diag $daemon->log;
is($daemon->status('shop')->{counters}{conflicts}, 0, 'without a conflict');

# Statements that were kept out of the log: nobody can tell what its rows mean.
$source->sql('CREATE TABLE shop.odd (id INT PRIMARY KEY, a INT, b INT)', 'INSERT INTO shop.odd VALUES (1, 1, 1)');
is(equal(), '', 'a new table is followed');
$daemon->tool('pause', 'shop', '--wait');
$source->sql('SET sql_log_bin = 0', 'ALTER TABLE shop.odd ADD c INT, ADD d INT', 'SET sql_log_bin = 1', 'INSERT INTO shop.odd VALUES (2, 2, 2, 2, 2)');
$source->sql('SET sql_log_bin = 0', 'ALTER TABLE shop.odd DROP a, DROP c, DROP d', 'SET sql_log_bin = 1', 'INSERT INTO shop.odd VALUES (3, 3)');
$source->sql('INSERT INTO shop.word VALUES ("beside", "xx", 1)');
$daemon->tool('start', 'shop', '--wait');
ok($daemon->until(sub { table('odd')->{state} eq 'quarantined' }, 20), 'the table is quarantined') or diag $daemon->log;
like(table('odd')->{reason}, qr/the log has 5 columns in shop.odd.*2 columns.*binlog_row_metadata=FULL.*syncline resync shop shop.odd/s, 'with its reason and what to do');
ok($daemon->until(sub { $target->one('SELECT COUNT(*) FROM shop.word WHERE w = "beside"') == 1 }, 10), 'the others go on');
is($daemon->state('shop'), 'Synchronizing', 'the channel, too');
($exit, $out) = $daemon->tool('status', 'shop');
like($out, qr/shop\.odd +quarantined/, 'status shows it');
is($target->one('SELECT COUNT(*) FROM shop.odd'), 1, 'the target keeps what it had');
kill_reader();
ok($daemon->wait_flowing('shop', 20) && table('odd')->{state} eq 'quarantined' && table('odd')->{reason}, 'and that outlives the reader');
($exit) = $daemon->tool('resync', 'shop', 'shop.odd', '--wait');
is($exit, 0, 'resync loads it again');
is(table('odd')->{state}, 'streaming', 'it streams');
$source->sql('INSERT INTO shop.odd VALUES (4, 4)');
is(equal(), '', 'both ends are equal') or diag $daemon->log;

# Rows of a target's table that may be others' are not given up by a slip of the hand.
my $file = $daemon->read_file('conf.d/shop.conf');
$daemon->write_file('conf.d/shop.conf', "${file}existing = \"ignore\";\n");
$daemon->tool('reload');
($exit, $out, $err) = $daemon->tool('resync', 'shop', 'shop.odd');
is($exit, 1, 'resync of a channel with existing = ignore');
like($err, qr/rows of table shop\.odd at the target may be others'.*set existing = "intercept"/s, 'is refused, with what to do');
is($target->one('SELECT COUNT(*) FROM shop.odd'), $source->one('SELECT COUNT(*) FROM shop.odd'), 'and nothing goes');
is($daemon->stop, 0, 'the end');

# A one-off run does not wait for ever for a table in quarantine, nor keep silent of it.
$source->sql('SET sql_log_bin = 0', 'ALTER TABLE shop.odd ADD c INT, ADD d INT', 'SET sql_log_bin = 1', 'INSERT INTO shop.odd VALUES (5, 5, 5, 5)');
$source->sql('SET sql_log_bin = 0', 'ALTER TABLE shop.odd DROP c, DROP d', 'SET sql_log_bin = 1');
($exit, $out, $err) = $daemon->tool('run', "$daemon->{dir}/conf.d/shop.conf", '--state', "$daemon->{dir}/once", '--until', 'caught-up', '--start');
is($exit, 65, 'run --until caught-up with a table in quarantine') or diag $out, $err;
like($err, qr/table shop\.odd is in quarantine: .*syncline resync shop shop\.odd/s, 'says so, with what to do');
done_testing;
