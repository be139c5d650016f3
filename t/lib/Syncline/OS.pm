package Syncline::OS;

# An operating system in trouble: the test's side of t/preload/os.c.
#
#   my $os = Syncline::OS->new($dir);
#   my $d = Syncline::Daemon->new(env => {$os->env}, preload => $os->library, ...);
#                                    the daemon and its workers run in it
#   $os->fail('write', 'ENOSPC', n => 3, count => 2, process => 'syncline-writer')
#                                    the third write from now on fails there, and the one after
#   $os->failed('write'); $os->hits('write')    how often so far
#   $os->calm                        nothing fails any more
#   $os->turn(3 * 86400)             the wall clock is so many seconds ahead

use strict;
use warnings;
use Cwd qw(abs_path);
use Errno ();
use File::Basename qw(dirname);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $slot = 64;

# Instrumented programs want to be loaded first themselves.
sub possible { my ($build) = @_; return `nm -D $build/synclined 2>/dev/null` !~ /__(?:asan|tsan)_init/ }

sub kinds {
    open my $f, '<', "$top/t/preload/os.c" or die "os.c: $!";
    my $text = do { local $/; <$f> };
    my ($list) = $text =~ /#define KINDS\(X\)(.*?)\n\n/s;
    return $list =~ /X\((\w+)\)/g;
}

sub new {
    my ($class, $dir, $build) = @_;
    my @kinds = kinds();
    my $self = bless {file => "$dir/os", build => $build // $ENV{SYNCLINE_BUILD} // "$top/build", at => {map { $kinds[$_] => $_ * $slot } 0 .. $#kinds}}, $class;
    -e $self->library or die 'no ' . $self->library . ": run `make tests`\n";
    open $self->{f}, '+>', $self->{file} or die "$self->{file}: $!";
    binmode $self->{f};
    syswrite $self->{f}, "\0" x ($slot * @kinds);
    return $self;
}

sub library { my ($self) = @_; return abs_path("$self->{build}/t/preload/os.so") }
sub env { my ($self) = @_; return (SYNCLINE_OS => $self->{file}) }

sub put {
    my ($self, $kind, $at, $bytes) = @_;
    sysseek $self->{f}, ($self->{at}{$kind} // die "no kind $kind") + $at, 0 or die $!;
    syswrite $self->{f}, $bytes or die $!;
}

sub get {
    my ($self, $kind, $at) = @_;
    sysseek $self->{f}, $self->{at}{$kind} + $at, 0 or die $!;
    sysread $self->{f}, my $bytes, 8 or die $!;
    return unpack 'q<', $bytes;
}

sub hits { my ($self, $kind) = @_; return $self->get($kind, 0) }
sub failed { my ($self, $kind) = @_; return $self->get($kind, 24) }

sub fail {
    my ($self, $kind, $error, %o) = @_;
    $self->put($kind, 16, pack 'q<', 0);
    $self->put($kind, 40, pack 'l< Z20', Errno->can($error)->(), $o{process} // '');
    $self->put($kind, 8, pack 'q<', $o{n} // 1);
    $self->put($kind, 16, pack 'q<', $o{count} // 1);
}

sub calm { my ($self) = @_; $self->put($_, 16, pack 'q<', 0) for keys %{$self->{at}} }
sub turn { my ($self, $seconds) = @_; $self->put('clock', 32, pack 'q<', int($seconds * 1e6)) }

1;
