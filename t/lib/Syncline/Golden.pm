package Syncline::Golden;

# What a person reads when something is wrong, held against golden text: one file
# of t/data/errors for each mistake, with what every command says of it, its exit
# status and the channel's state. What differs from run to run stands there as a
# NAME. UPDATE=1 writes the files anew: read the difference before you commit it.
#
#   my $g = Syncline::Golden->new(PORT => 3306, ...)     values and the names they get
#   $g->begin('wrong-password-source');
#   $g->command($daemon, 'check', $file)                 runs the tool, notes what it says
#   $g->status($daemon, 'shop')                          state, reason, what to do ($text: as it was said)
#   $g->text('The daemon', $text)                        any other
#   $g->done                                             compares: a test
#   golden_files()                                       the names of all files

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use Test::More;
our @EXPORT = qw(golden_files);

my $data = "$FindBin::Bin/data/errors";

sub golden_files { return sort map { m{([^/]+)\.txt$} } glob "$data/*.txt" }

sub new {
    my ($class, %names) = @_;
    return bless {names => \%names}, $class;
}

sub begin {
    my ($self, $name) = @_;
    @$self{qw(name text)} = ($name, '');
    return $self;
}

# The longest first, so that a path is not cut by a shorter one.
sub named {
    my ($self, $text) = @_;
    my $names = $self->{names};
    $text =~ s/\d+ of \d+ (?=precheck items)/N of N /g;
    $text =~ s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z/TIME/g;
    for my $name (sort { length $names->{$b} <=> length $names->{$a} || $a cmp $b } keys %$names) {
        next if ref $names->{$name};
        $text =~ s/(?<![\w.])\Q$names->{$name}\E(?!\w)/$name/g;
    }
    $text =~ s/$names->{$_}/$_/g for sort { $b cmp $a } grep { ref $names->{$_} } keys %$names;
    return $text;
}

sub text {
    my ($self, $title, $text) = @_;
    $text =~ s/\n?\z/\n/;
    $self->{text} .= $self->named("$title\n") . join '', map {"    $_\n"} split /\n/, $self->named($text);
    return $self;
}

# Lines that say how far it was, and items that passed, are not about the mistake.
sub command {
    my ($self, $daemon, @words) = @_;
    my ($exit, $out, $err) = $daemon->tool(@words);
    my @lines = grep { !/^\S+: (?:Prechecking|Performing|Synchroniz)|^pass / } split /\n/, $out . $err;
    return $self->text("\$ syncline @words", join "\n", @lines, "exit status $exit");
}

sub status {
    my ($self, $daemon, $id, $out) = @_;
    $out //= ($daemon->tool('status', $id))[1];
    my @lines = grep { /^\S|^  (?:reason|what to do|also|then|ends|last failure) / } split /\n/, $out;
    return $self->text("\$ syncline status $id", join "\n", @lines);
}

sub done {
    my ($self) = @_;
    my $file = "$data/$self->{name}.txt";
    if ($ENV{UPDATE}) {
        open my $f, '>', $file or die "$file: $!";
        print $f $self->{text};
        close $f;
    }
    my $golden = '';
    if (open my $f, '<', $file) { local $/; $golden = <$f> // '' }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($self->{text}, $golden, "$self->{name}: what is said, where, why and what to do");
}

1;
