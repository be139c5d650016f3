# /metrics in Prometheus' text form, /livez, /readyz; and the history (R27-R30).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;
$d->channel('a')->start;
ok($d->wait_flowing('a'), 'it flows');

my ($code, $head, $body) = $d->http('/livez');
is("$code $body", "200 ok\n", '/livez');
($code, $head, $body) = $d->http('/readyz');
is("$code $body", "200 ok\n", '/readyz');
is(($d->http('/nothing'))[0], 404, 'no other path');
is(($d->http('/metrics', 'POST'))[0], 501, 'no other method');

ok($d->until(
        sub {
            ($code, $head, $body) = $d->http('/metrics');
            return $body =~ /^syncline_target_transactions_total\{channel="a"\} [1-9]/m && $body =~ /^syncline_delay_seconds\{/m;
        }),
    'figures come');
is($code, 200, '/metrics');
like($head, qr{^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r?$}m, 'the exact content type');
my (%type, %help, %seen, @bad);
for my $line (split /\n/, $body) {
    if ($line =~ /^# HELP (\w+) (\S.*)$/) { push @bad, "twice: $line" if $help{$1}++; next }
    if ($line =~ /^# TYPE (\w+) (counter|gauge)$/) { $type{$1} = $2; next }
    if ($line =~ /^(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (-?[\d.e+-]+)$/) {
        my ($name, $labels) = ($1, $2 // '');
        push @bad, "no type: $line" if !$type{$name} || !$help{$name};
        push @bad, "twice: $line" if $seen{"$name$labels"}++;
        push @bad, "counter without _total: $line" if $type{$name} eq 'counter' && $name !~ /_total$/;
        push @bad, "gauge with _total: $line" if $type{$name} eq 'gauge' && $name =~ /_total$/;
        push @bad, "no base unit: $line" if $name =~ /_(ms|us|mb|kb|millis\w*)(_|$)/;
        next;
    }
    push @bad, "not understood: $line";
}
is_deeply(\@bad, [], 'every line is by the book');
for my $name (qw(syncline_delay_seconds syncline_ring_bytes_total syncline_target_transactions_total
    syncline_restarts_total syncline_channel_state syncline_tables_streaming)) {
    ok($type{$name}, $name);
}
like($body, qr/^syncline_channel_state\{channel="a",state="Synchronizing"\} 1$/m, 'the state');
like($body, qr/^syncline_delay_seconds\{channel="a"\} 0$/m, 'caught up and idle: no delay (R29, R31)');

my $s = $d->until(sub { my $x = $d->status('a'); $x->{metrics}{transactions_per_second} > 0 && $x }) || {};
cmp_ok($s->{metrics}{transactions_per_second}, '>', 0, 'TPS (R28)');
ok(exists $s->{metrics}{bandwidth_mb_per_second}, 'bandwidth (R27)');
is($s->{metrics}{delay_ms}, 0, 'delay (R29)');

# ---- the trend: a sample each ten seconds; it outlives the daemon ----

ok($d->until(sub {
    my ($exit, $out) = $d->tool('metrics', 'a', '--json');
    $exit == 0 && @{decode_json($out)->{samples}} > 0;
}, 13), 'a sample is kept');
$d->stop;
$d->start;
my ($exit, $out) = $d->tool('metrics', 'a', '--since', '1h', '--json');
my $j = decode_json($out);
cmp_ok(scalar @{$j->{samples}}, '>', 0, 'it outlives the daemon (R30)');
cmp_ok($j->{samples}[0]{transactions_per_second}, '>', 0, 'with its figures');
($exit, $out) = $d->tool('metrics', 'a');
like($out, qr/^TIME.*\n\d{4}-\d\d-\d\d /, 'for people, too');
$d->stop;
done_testing;
