# A synclined in a directory of its own, with the tool to speak to it. Workers
# are t/tools/fake_worker, or the real ones with real_workers => 1; programs are
# those of build => DIR, or SYNCLINE_BUILD; preload => FILE is put under all of
# them but the tool (see OS.pm). With KEEP=DIR
# in the environment what is left of it is copied there.
package Syncline::Daemon;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

# Waits for what must come are this much longer than they say, for machines that are that much slower.
our $patience = $ENV{PATIENCE} // 4;

our $build = $ENV{SYNCLINE_BUILD} // abs_path(dirname(__FILE__) . '/../../../build');

sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', Proto => 'tcp')
        or die "no free port: $!";
    return $s->sockport;
}

sub new {
    my ($class, %o) = @_;
    my $build = $o{build} // $build;
    -x "$build/synclined" or die "no $build/synclined: make it, or name its directory with SYNCLINE_BUILD\n";
    my $dir = File::Temp->newdir('syncline-test-XXXXXX', TMPDIR => 1);
    my $self = bless {dir => "$dir", temporary => $dir, port => free_port(), settings => $o{settings} // {}, env => $o{env} // {}, build => $build,
        preload => $o{preload}},
        $class;
    make_path("$dir/conf.d", "$dir/libexec", "$dir/fake");
    my $fake = "$build/t/tools/fake_worker";
    for my $role (qw(reader writer)) {
        my $program = $o{real_workers} ? "$build/syncline-$role" : $fake;
        my $place = "$dir/libexec/syncline-$role";
        if (!$o{preload}) { symlink $program, $place or die $!; next }
        # Workers get little of an environment.
        $self->write_file("libexec/syncline-$role", "#!/bin/sh\nLD_PRELOAD=$o{preload} exec $program \"\$@\"\n");
        chmod 0755, $place or die $!;
    }
    $self->configure;
    return $self;
}

sub write_file {
    my ($self, $name, $text) = @_;
    open my $f, '>', "$self->{dir}/$name" or die "$name: $!";
    print $f $text;
    close $f;
    return $self;
}

sub read_file {
    my ($self, $name) = @_;
    open my $f, '<', "$self->{dir}/$name" or return '';
    local $/;
    return scalar(<$f>) // '';
}

# The daemon's own file.
sub configure {
    my ($self, %more) = @_;
    my $dir = $self->{dir};
    my %s = (
        channels => "\"$dir/conf.d/*.conf\"",
        state_dir => "\"$dir/state\"",
        run_dir => "\"$dir/run\"",
        libexec_dir => "\"$dir/libexec\"",
        metrics_listen => "\"127.0.0.1:$self->{port}\"",
        heartbeat_timeout => '"2s"',
        restart_delay_min => '"50ms"',
        restart_delay_max => '"1s"',
        %{$self->{settings}}, %more,
    );
    return $self->write_file('syncline.conf', join '', map {"$_ = $s{$_};\n"} sort keys %s);
}

# A channel's file.
sub channel {
    my ($self, $id, %o) = @_;
    my $more = $o{more} // '';
    my $objects = $o{objects} // '{ database = "fake"; }';
    my $source = $o{source} // '';
    return $self->write_file("conf.d/$id.conf", <<"END");
source = { kind = "fake"; $source };
target = { kind = "fake"; file = "$self->{dir}/$id.journal"; };
objects = ( $objects );
lanes = 2;
$more
END
}

sub fake { my ($self, $name, $text) = @_; return $self->write_file("fake/$name", $text) }
sub unfake { my ($self, $name) = @_; unlink "$self->{dir}/fake/$name"; return $self }
sub said { my ($self) = @_; return $self->read_file('fake/log') }

sub start {
    my ($self, @arguments) = @_;
    my $dir = $self->{dir};
    my $pid = fork // die $!;
    if ($pid == 0) {
        $ENV{SYNCLINE_FAKE_DIR} = "$dir/fake";
        $ENV{$_} = $self->{env}{$_} for keys %{$self->{env}};
        $ENV{LD_PRELOAD} = $self->{preload} if $self->{preload};
        open STDERR, '>>', "$dir/log" or die $!;
        open STDOUT, '>&', \*STDERR or die $!;
        exec "$self->{build}/synclined", '-c', "$dir/syncline.conf", @arguments or die $!;
    }
    $self->{pid} = $pid;
    $self->{status} = undef;
    $self->until(sub { -S "$dir/run/control.sock" || $self->ended }, 10);
    return $self;
}

sub ended {
    my ($self) = @_;
    if (!defined $self->{status} && $self->{pid} && waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
        $self->{status} = $?;
    }
    return defined $self->{status};
}

sub signal { my ($self, $name) = @_; kill $name, $self->{pid}; return $self }

# Exit status (or "signal N") of the daemon when it has ended, undef if it has not in time.
sub wait_end {
    my ($self, $seconds) = @_;
    $self->until(sub { $self->ended }, $seconds // 10);
    return undef if !defined $self->{status};
    my $s = $self->{status};
    $self->{pid} = undef;
    return $s & 127 ? 'signal ' . ($s & 127) : $s >> 8;
}

sub stop { my ($self) = @_; $self->signal('TERM'); return $self->wait_end }

# Polls; what the condition gave last.
sub until {
    my ($self, $condition, $seconds) = @_;
    my $end = time + ($seconds // 10);
    my $got;
    while (!($got = $condition->()) && time < $end) { sleep 0.02 }
    return $got;
}

# (exit status, standard output, standard error)
sub tool {
    my ($self, @words) = @_;
    my $dir = $self->{dir};
    my $pid = fork // die $!;
    if ($pid == 0) {
        $ENV{SYNCLINE_SOCKET} = "$dir/run/control.sock";
        $ENV{SYNCLINE_FAKE_DIR} = "$dir/fake";
        open STDIN, '<', '/dev/null' or die $!;
        open STDOUT, '>', "$dir/tool.out" or die $!;
        open STDERR, '>', "$dir/tool.err" or die $!;
        exec "$self->{build}/syncline", @words or die $!;
    }
    waitpid $pid, 0;
    my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
    return ($status, $self->read_file('tool.out'), $self->read_file('tool.err'));
}

sub status {
    my ($self, $id) = @_;
    my ($exit, $out) = $self->tool('status', $id, '--json');
    return undef if $exit ne '0';
    return decode_json($out)->{channels}[0];
}

sub state { my ($self, $id) = @_; my $s = $self->status($id); return $s ? $s->{state} : '' }

# Waits for a state; what the state is.
sub wait_state {
    my ($self, $id, $state, $seconds) = @_;
    $self->until(sub { $self->state($id) eq $state }, ($seconds // 10) * $patience);
    return $self->state($id);
}

sub wait_flowing {
    my ($self, $id, $seconds) = @_;
    return $self->until(sub { my $s = $self->status($id); $s && $s->{flowing} && $s }, ($seconds // 10) * $patience);
}

# (status code, headers, body)
sub http {
    my ($self, $path, $method) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) or return (0, '', '');
    $method //= 'GET';
    print $s "$method $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    local $/;
    my $all = <$s> // '';
    my ($head, $body) = split /\r\n\r\n/, $all, 2;
    my ($code) = $head =~ m{^HTTP/1\.1 (\d+)};
    return ($code, $head, $body // '');
}

sub log { my ($self) = @_; return $self->read_file('log') }

sub DESTROY {
    my ($self) = @_;
    local $?;
    system('cp', '-r', "$self->{dir}", "$ENV{KEEP}/") if $ENV{KEEP} && -d $self->{dir};
    if ($self->{pid} && !$self->ended) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
    }
}

1;
