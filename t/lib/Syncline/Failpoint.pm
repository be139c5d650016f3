package Syncline::Failpoint;

# The test's side of common/failpoint.h: the list, and the file of slots that
# all processes of a gateway map.
#
#   my @points = Syncline::Failpoint::list();    {name, process, phases => [...]}
#   my $f = Syncline::Failpoint->new("$dir/failpoints");    SYNCLINE_FAILPOINTS names it
#   my @points = $f->points($source, $target);   those that a pair of such servers has, from now on
#   $f->arm('writer.commit', n => 3);            kill -9 at the third hit from now on
#   $f->arm('writer.commit', action => 'lose');  or 'delay', ms => 500
#   $f->fired('writer.commit')                   how often it acted; hits(...): was passed
#   $f->fired_at('writer.commit')                seconds since the epoch
#   $f->disarm                                   all of them

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $slot = 64;
my %actions = (kill => 1, delay => 2, lose => 3);

sub build {
    my $build = $ENV{SYNCLINE_FAILPOINT_BUILD} || "$top/build-failpoints";
    -x "$build/synclined" or die "no $build/synclined: run `make failpoints`\n";
    return $build;
}

sub list {
    open my $f, '<', "$top/common/failpoints.def" or die "failpoints.def: $!";
    my $text = do { local $/; <$f> };
    my @points;
    while ($text =~ /^X\((\w+),\s*"([^"]+)",\s*(\w+),\s*"([^"]+)"\)/mg) {
        push @points, {symbol => $1, name => $2, process => $3, phases => [split ' ', $4]};
    }
    return @points;
}

sub new {
    my ($class, $file) = @_;
    my @points = list();
    my $self = bless {file => $file, points => \@points, at => {map { $points[$_]{name} => $_ * $slot } 0 .. $#points}}, $class;
    open $self->{f}, '+>', $file or die "$file: $!";
    binmode $self->{f};
    syswrite $self->{f}, "\0" x ($slot * @points);
    return $self;
}

# An engine's places stand in its own folder; what stands elsewhere all have.
sub points {
    my ($self, $source, $target) = @_;
    return @{$self->{points}} if !$source;
    my %folder = (mysql => 'mysql', postgresql => 'pgsql');
    my %has;
    for my $file (map { glob "$top/$_" } qw(workers/*.c workers/*/*.c supervisor/*.c supervisor/*/*.c common/*.c),
        "workers/reader/$folder{$source->kind}/*.c", "workers/writer/$folder{$target->kind}/*.c") {
        open my $f, '<', $file or die "$file: $!";
        while (<$f>) { $has{$1} = 1 if /\bFAILPOINT(?:_LOST)?\((\w+)/ }
    }
    $self->{points} = [grep { $has{$_->{symbol}} } list()];
    return @{$self->{points}};
}

sub at { my ($self, $name, $field) = @_; return ($self->{at}{$name} // die "no failpoint $name") + $field }

sub put {
    my ($self, $at, $bytes) = @_;
    sysseek $self->{f}, $at, 0;
    syswrite($self->{f}, $bytes) == length $bytes or die "$self->{file}: $!";
}

sub get {
    my ($self, $at) = @_;
    sysseek $self->{f}, $at, 0;
    sysread($self->{f}, my $bytes, 8) == 8 or die "$self->{file}: $!";
    return unpack 'Q<', $bytes;
}

sub arm {
    my ($self, $name, %o) = @_;
    $self->put($self->at($name, 16), pack 'L<L<', $actions{$o{action} // 'kill'}, $o{ms} // 0);
    $self->put($self->at($name, 8), pack 'q<', $o{n} // 1);
}

sub disarm { my ($self) = @_; $self->put($_ + 8, pack 'q<', 0) for values %{$self->{at}} }
sub hits { my ($self, $name) = @_; return $self->get($self->at($name, 0)) }
sub fired_at { my ($self, $name) = @_; return $self->get($self->at($name, 24)) / 1e6 }
sub fired { my ($self, $name) = @_; return $self->get($self->at($name, 32)) }

1;
