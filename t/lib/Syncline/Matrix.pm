package Syncline::Matrix;

# Failpoint x phase: kills a process at each place of common/failpoints.def in
# each phase that the list names, and has the channel prove itself after each.
#
#   my $m = Syncline::Matrix->new(channel => $c, points => $failpoints, ddl => sub { my ($n) = @_; statements },
#                                 quiet => sub { a change that the channel does not carry });
#   $m->count($phase)               runs the phase undisturbed: hits of each point
#   $m->cells($phase, @points)      kills there, proves: '' or what went wrong
#   $m->table                       the matrix as text
#
# A phase is a script that leads through a part of a channel's life, engines
# aside: load (from nothing, while written to), stream (writers, one transaction
# larger than the window, workers that die), ddl, checkpoint (changes that are
# not selected, pause, resume).

use strict;
use warnings;
use Time::HiRes qw(sleep time);

our @phases = qw(load stream ddl checkpoint);

sub new {
    my ($class, %o) = @_;
    return bless {%o, n => 0, hits => {}, cells => {}, recoveries => []}, $class;
}

# ---- phases; each ends early once `done` says so ----

sub write_while {
    my ($self, $seconds, $done) = @_;
    my $load = $self->{channel}->write(writers => 2, seed => ++$self->{n}, pause => 0.001);
    my $got = $self->{channel}->until($done, $seconds);
    $load->stop;
    return $got;
}

sub load {
    my ($self, $done, $armed) = @_;
    my $c = $self->{channel};
    $c->forget;
    my $load = $c->write(writers => 2, seed => ++$self->{n}, pause => 0.002);
    $armed->();
    $c->begin;
    my $wrong = $c->wait_loaded(60);
    $c->until($done, 1.2);
    $load->stop;
    return $wrong;
}

sub stream {
    my ($self, $done, $armed) = @_;
    my $c = $self->{channel};
    $armed->();
    $self->write_while(0.15, $done);
    return '' if $done->();
    $c->{source}->sql(sprintf q{UPDATE shop.big SET v = REPEAT('%s', 2000)}, chr 65 + ++$self->{n} % 26);
    return '' if $c->until($done, 0.3);
    $c->kill_worker('writer');
    $self->write_while(1.5, $done);
    return '';
}

sub ddl {
    my ($self, $done, $armed) = @_;
    my $c = $self->{channel};
    $armed->();
    $c->{source}->sql($self->{ddl}->(++$self->{n}));
    $c->until($done, 1.5);
    return '';
}

sub checkpoint {
    my ($self, $done, $armed) = @_;
    my $c = $self->{channel};
    $armed->();
    $c->tool('pause', 'shop', '--wait');
    $c->{source}->sql('UPDATE shop.bank SET balance = balance + 1 WHERE id = 1');
    return '' if $c->until($done, 0.1);
    my $wrong = $self->resume;
    my $end = time + 1.3;
    while (!$wrong && !$done->() && time < $end) { $self->{quiet}->(); sleep 0.1; $c->revive }
    return $wrong;
}

# Whatever an order's fate was - it was given, or died with the daemon - the state is one of both.
sub resume {
    my ($self) = @_;
    my $c = $self->{channel};
    $c->revive;
    my $state;
    $c->until(sub { $state = $c->state; $state ne '' }, 10);
    return "the channel is $state" if $state ne 'Paused' && $state ne 'Synchronizing';
    $c->tool('resume', 'shop', '--wait') if $state eq 'Paused';
    return '';
}

# ---- cells ----

sub prove {
    my ($self, $phase) = @_;
    my $c = $self->{channel};
    my $wrong = $phase eq 'checkpoint' ? $self->resume : '';
    $wrong ||= $c->settle(20);
    $wrong ||= $c->audited if $phase ne 'load';
    return $wrong;
}

sub count {
    my ($self, $phase) = @_;
    my $f = $self->{points};
    my @points = $f->points;
    my %before = map { $_->{name} => $f->hits($_->{name}) } @points;
    my $wrong = $self->$phase(sub { 0 }, sub { }) || $self->prove($phase);
    $self->{hits}{$phase}{$_->{name}} = $f->hits($_->{name}) - $before{$_->{name}} for @points;
    return $wrong;
}

# Somewhere in the first half of what the phase passes, so that it is reached again in spite of chance.
sub which_hit {
    my ($self, $name, $phase) = @_;
    my $half = int(($self->{hits}{$phase}{$name} // 0) / 2);
    $half = 40 if $half > 40;
    return 1 + int rand($half || 1);
}

sub arm_all {
    my ($self, $phase, $first, @points) = @_;
    my $f = $self->{points};
    $f->arm($_->{name}, n => $first ? 1 : $self->which_hit($_->{name}, $phase), action => $self->{action} // 'kill') for @points;
}

# Several points are armed at once, so several kills happen; what was not reached is tried again by
# itself, at its first hit.
sub cells {
    my ($self, $phase, @points) = @_;
    my ($f, $c) = @$self{qw(points channel)};
    my %before = map { $_->{name} => $f->fired($_->{name}) } @points;
    my $left = sub { grep { $f->fired($_->{name}) == $before{$_->{name}} } @points };
    my $wrong = $self->$phase(sub { !$left->() }, sub { $self->arm_all($phase, 0, @points) });
    $f->disarm;
    my ($arrived, $one) = (undef, $points[0]{name});
    if ($phase eq 'stream' && @points == 1 && !$left->()) {
        my $at = $f->fired_at($one);
        push @{$self->{recoveries}}, time - $at if defined $c->arrive(20);
    }
    $wrong ||= $self->prove($phase);
    for my $p ($wrong ? () : $left->()) {
        my $fired = sub { $f->fired($p->{name}) > $before{$p->{name}} };
        for (1 .. 3) {
            last if $wrong || $fired->();
            $wrong = $self->$phase($fired, sub { $self->arm_all($phase, 1, $p) });
            $f->disarm;
            $wrong ||= $self->prove($phase);
        }
    }
    my %unreached = map { $_->{name} => 1 } $left->();
    $self->{cells}{$_->{name}}{$phase} = $wrong ? 'WRONG' : $unreached{$_->{name}} ? 'NOT REACHED' : 'ok' for @points;
    return $wrong if $wrong;
    return %unreached ? 'not reached: ' . join(' ', sort keys %unreached) : '';
}

sub table {
    my ($self) = @_;
    my @lines = sprintf '%-28s %-11s' . ' %-12s' x @phases, 'failpoint', 'process', @phases;
    for my $p ($self->{points}->points) {
        my %in = map { $_ => 1 } @{$p->{phases}};
        push @lines, sprintf '%-28s %-11s' . ' %-12s' x @phases, $p->{name}, $p->{process},
            map { $self->{cells}{$p->{name}}{$_} // ($in{$_} ? '-' : '.') } @phases;
    }
    return join "\n", @lines;
}

# (p50, p99) of a list.
sub quantiles {
    my @sorted = sort { $a <=> $b } @_;
    return map { $sorted[int($_ * $#sorted + 0.5)] // 0 } 0.5, 0.99;
}

1;
