package Memory;

# One transaction of 5,000,000 rows, and what each process grows to while it is carried. (Load and
# stream print theirs with their own figures.)

use strict;
use warnings;
use Time::HiRes qw(time);
use Bench;
use Ends;

sub large {
    my $source = source();
    my $target = target();
    my $rows = scaled(5_000_000);
    $source->sql('CREATE DATABASE bench', 'CREATE TABLE bench.large (id INT PRIMARY KEY, x CHAR(40) NOT NULL) ENGINE=InnoDB',
        'CREATE TABLE bench.marker (id INT PRIMARY KEY) ENGINE=InnoDB');
    my $c = Ends::Channel->new($source, $target)->start;
    wait_until(60, 'the table at the target', sub { eval { $target->one('SELECT COUNT(*) FROM bench.marker') // -1 } == 0 });
    my $d = $source->dbh;
    $d->begin_work;
    for (my $i = 1; $i <= $rows; $i += 100_000) {
        my $end = $i + 99_999 < $rows ? $i + 99_999 : $rows;
        $d->do("INSERT INTO bench.large SELECT seq, MD5(seq) FROM bench.seq_${i}_to_$end");
    }
    my $start = time;
    $d->commit;
    $source->sql('INSERT INTO bench.marker VALUES (1)');
    my $w = $c->watch;
    wait_until(1800, 'the transaction at the target', sub { $w->look; $target->one('SELECT COUNT(*) FROM bench.marker') });
    note(sprintf '%d rows in %.1f s after their commit', $rows, time - $start);
    same($source, $target, 'bench.large');
    for (qw(reader writer)) { note(sprintf '%s: peak %.1f MiB, rings %.1f of that', $_, $w->peak($_), $w->shared($_)) }
    figure('large-transaction-memory', ours => $w->own, unit => 'MiB', goal => '<=64', beside => 'reader + writer without rings');
    $c->stop;
}

1;
