package Syncline::Memory;

# Peak memory of a channel's processes, from /proc/PID/status while they live.
#
#   my $m = Syncline::Memory->new(pids => sub { ... });   daemon first, then workers
#   $m->look                     now and then: keeps what has been seen
#   $m->peak('reader')           MiB: highest VmHWM of one such process, less the rings it maps
#   $m->report                   one line
#
# A ring is shared memory that both workers map: RssShmem. What is counted here
# is what a process has for itself; the rings' share is printed beside it.

use strict;
use warnings;

sub new { my ($class, %o) = @_; return bless {%o, own => {}, shared => {}, seen => {}}, $class }

sub look {
    my ($self) = @_;
    for my $pid ($self->{pids}->()) {
        open my $f, '<', "/proc/$pid/status" or next;
        my %s = map { /^(\w+):\s+(\S+)/ ? ($1 => $2) : () } <$f>;
        my $name = $s{Name} // next;
        $name =~ s/^syncline-//;
        my ($hwm, $own, $shared) = map { ($s{$_} // 0) / 1024 } qw(VmHWM RssAnon RssShmem);
        $self->keep('seen', $name, $hwm);
        $self->keep('own', $name, $own);
        $self->keep('shared', $name, $shared);
    }
}

sub keep {
    my ($self, $what, $name, $mib) = @_;
    $self->{$what}{$name} = $mib if $mib > ($self->{$what}{$name} // 0);
}

sub peak { my ($self, $name) = @_; return $self->{own}{$name} // 0 }

sub report {
    my ($self) = @_;
    return join '; ', map { sprintf '%s VmHWM %.0f MiB (own %.0f, rings %.0f)', $_, map { $_ // 0 } $self->{seen}{$_}, $self->{own}{$_}, $self->{shared}{$_} }
        sort keys %{$self->{seen}};
}

1;
