package Bench;

# What every figure needs: turns, medians, lines, and what processes cost.
#
#   my %t = turns(3, ours => sub { seconds }, peer => sub { seconds });   medians by name, taken in turn
#   figure('load', ours => 8.1, peer => 14.2, unit => 's', goal => '>=1.3', ratio => 1.75);
#   my $w = Bench::Watch->new($pid); ... $w->look; ... $w->peak('reader'), $w->cpu('writer')
#   my $m = Bench::Meter->new('target server' => $pid); ... push @runs, $m->read(reader => seconds); holds(@runs)
#
# SCALE=0.1 measures a tenth of the work, RUNS=n takes n turns instead of three.

use strict;
use warnings;
use Exporter 'import';
use POSIX ();
use Time::HiRes qw(sleep time);
our @EXPORT = qw(scaled runs turns figure note adopt table median percentile holds cpu_of peak_of wait_until child_seconds);

our $scale = $ENV{SCALE} || 1;
my (@figures, @short);

sub runs { return $ENV{RUNS} || 3 }

sub scaled {
    my ($n) = @_;
    my $s = int($n * $scale);
    return $s < 100 ? 100 : $s - $s % 100;
}

sub median { my @s = sort { $a <=> $b } @_; return @s % 2 ? $s[$#s / 2] : ($s[@s / 2 - 1] + $s[@s / 2]) / 2 }

sub percentile {
    my ($p, @values) = @_;
    my @s = sort { $a <=> $b } @values;
    return $s[POSIX::ceil($p / 100 * @s) - 1];
}

# Each in turn, over and over, so that what else happens on the machine meets all of them.
sub turns {
    my ($runs, @contest) = @_;
    my (@names, %run, %took);
    while (my ($name, $code) = splice @contest, 0, 2) { push @names, $name; $run{$name} = $code }
    for my $i (1 .. $runs) {
        for my $name (@names) {
            push @{$took{$name}}, $run{$name}->($i);
            note(sprintf '%s: run %d: %.2f', $name, $i, $took{$name}[-1]);
        }
    }
    return map { $_ => median(@{$took{$_}}) } @names;
}

sub note { print STDERR "# @_\n" }

sub short { my ($n) = @_; return !defined $n ? '-' : $n >= 100 ? sprintf('%.0f', $n) : $n >= 10 ? sprintf('%.1f', $n) : sprintf('%.2f', $n) }

# What had the CPU while ours ran, and whether there was any left: why a figure is short.
sub holds {
    my @runs = @_;
    my %sum;
    for my $run (@runs) { $sum{$_} += $run->{$_} for keys %$run }
    my ($wall, $machine, $cores) = map { delete $sum{$_} // 0 } qw(wall machine cores);
    my $all = 0;
    $all += $_ for values %sum;
    return 'nothing was measured' if !$all || !$wall;
    my @share = map { sprintf '%s %.0f %%', $_, $sum{$_} / $all * 100 } sort { $sum{$b} <=> $sum{$a} } keys %sum;
    return sprintf 'of our CPU: %s; that is %.2f cores of %d, others had %.2f', join(', ', @share), $all / $wall, $cores / @runs,
        $machine > $all ? ($machine - $all) / $wall : 0;
}

# One line; holds: said if the figure is short. goal: ">=1.3" is held against the ratio, "<10" and "<=5" against our own figure; none: "-".
sub figure {
    my ($name, %f) = @_;
    my ($op, $bound) = $f{goal} =~ /^(>=|<=|<)([\d.]+)$|^-$/ or die "goal of $name: $f{goal}";
    my $ok = !$op || ($op eq '>=' ? $f{ratio} >= $bound : $op eq '<=' ? $f{ours} <= $bound : $f{ours} < $bound);
    my @line = ($name, short($f{ours}), short($f{peer}), $f{unit}, short($f{ratio}), $f{goal}, $ok ? 'ok' : 'short', $f{beside} // '');
    push @figures, \@line;
    push @short, "$name: $f{holds}" if !$ok && $f{holds};
    printf "bench %s ours=%s peer=%s unit=%s ratio=%s goal=%s %s\n", @line[0 .. 6];
    print "# $short[-1]\n" if !$ok && $f{holds};
    STDOUT->flush;
}

# A line that another program printed counts as one of ours.
sub adopt {
    my ($line) = @_;
    my ($name, $rest) = $line =~ /^bench (\S+) (.*)/ or return;
    my %f = $rest =~ /(\w+)=(\S+)/g;
    push @figures, [$name, @f{qw(ours peer unit ratio goal)}, $line =~ / ok$/ ? 'ok' : 'short', 'a bare ring'];
    print "$line\n";
}

sub table {
    my @rows = (['figure', 'ours', 'peer', 'unit', 'ratio', 'goal', '', 'peer is'], @figures);
    my @width = map { my $c = $_; (sort { $b <=> $a } map { length $_->[$c] } @rows)[0] } 0 .. 7;
    my @text = map { my $r = $_; join '  ', map { sprintf '%-*s', $width[$_], $r->[$_] } 0 .. 7 } @rows;
    print "\n", map({ s/ +$//r . "\n" } @text), "\n", machine(), "\n";
    print "What holds back:\n", map { "  $_\n" } @short if @short;
}

sub cores { my $n = () = slurp('/proc/cpuinfo') =~ /^processor/mg; return $n }

sub machine {
    my ($model) = slurp('/proc/cpuinfo') =~ /model name\s*: (.*)/;
    my $cores = cores();
    my ($kib) = slurp('/proc/meminfo') =~ /MemTotal:\s*(\d+)/;
    return sprintf '%d cores (%s), %.0f GiB, scale %g, medians of %d', $cores, $model // 'unknown', $kib / 1048576, $scale, runs();
}

sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; return scalar(<$h>) // '' }

# ---- processes ----

my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# Seconds of CPU that a process has taken so far.
sub cpu_of {
    my ($pid) = @_;
    my ($rest) = slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) (.*)/ or return 0;
    my @f = split ' ', $rest;
    return ($f[11] + $f[12]) / $tick;
}

# (VmHWM, of that shared) in MiB
sub peak_of {
    my ($pid) = @_;
    my %s = slurp("/proc/$pid/status") =~ /^(VmHWM|RssShmem):\s*(\d+)/mg or return (0, 0);
    return ($s{VmHWM} / 1024, $s{RssShmem} / 1024);
}

sub wait_until {
    my ($seconds, $what, $condition) = @_;
    my $end = time + $seconds;
    while (time < $end) {
        my $got = $condition->();
        return $got if $got;
        sleep 0.01;
    }
    die "$what did not come to pass in $seconds s\n";
}

# Wall seconds of a command of others; it must succeed.
sub child_seconds {
    my ($shell) = @_;
    my $start = time;
    system('bash', '-o', 'pipefail', '-c', $shell) == 0 or die "failed: $shell\n";
    return time - $start;
}

package Bench::Meter;

# Seconds of CPU by name between `new` and `read`, of the whole machine too, and of the wall.

use strict;
use warnings;

# Everything but idle and waiting for disks; steal is not ours.
sub busy { my @f = split ' ', (Bench::slurp('/proc/stat') =~ /^cpu +(.*)/)[0]; return ($f[0] + $f[1] + $f[2] + $f[5] + $f[6]) / $tick }

sub now {
    my ($self) = @_;
    return {wall => Time::HiRes::time(), machine => busy(), map { $_ => Bench::cpu_of($self->{pids}{$_}) } keys %{$self->{pids}}};
}

sub new { my ($class, %pids) = @_; my $self = bless {pids => \%pids}, $class; $self->{start} = $self->now; return $self }

# more: what was measured elsewhere.
sub read {
    my ($self, %more) = @_;
    my $now = $self->now;
    return {%more, cores => Bench::cores(), map { $_ => $now->{$_} - $self->{start}{$_} } keys %$now};
}

package Bench::Watch;

# Reader and writer below a process: their CPU and their peak memory, as last seen.

use strict;
use warnings;

sub new { my ($class, $pid) = @_; return bless {root => $pid, seen => {}, pids => {}}, $class }

sub find {
    my ($self) = @_;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $name, $ppid) = Bench::slurp($stat) =~ /^(\d+) \((.*)\) \S (\d+)/ or next;
        $self->{pids}{$1} = $pid if $ppid == $self->{root} && $name =~ /^syncline-(reader|writer)/;
    }
}

# The first pair only checks; a later one may follow a failure.
sub look {
    my ($self) = @_;
    if (Time::HiRes::time() > ($self->{again} || 0)) {
        $self->find;
        $self->{again} = Time::HiRes::time() + 0.1;
    }
    while (my ($role, $pid) = each %{$self->{pids}}) {
        my $cpu = Bench::cpu_of($pid) or next;
        my ($peak, $shared) = Bench::peak_of($pid);
        $self->{seen}{$role} = {cpu => $cpu, peak => $peak, shared => $shared} if $peak;
    }
    return $self;
}

sub cpu { my ($self, $role) = @_; return ($self->{seen}{$role} || {})->{cpu} || 0 }
sub peak { my ($self, $role) = @_; return ($self->{seen}{$role} || {})->{peak} || 0 }
sub shared { my ($self, $role) = @_; return ($self->{seen}{$role} || {})->{shared} || 0 }

# Without the rings, which both have mapped.
sub own { my ($self) = @_; my $n = 0; $n += $self->peak($_) - $self->shared($_) for qw(reader writer); return $n }

1;
