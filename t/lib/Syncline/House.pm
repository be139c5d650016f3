package Syncline::House;

# The project's own files, for the tests of the house's rules (t/0xx).

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find ();

our @EXPORT_OK = qw(top sources headers slurp bare);

my @rooms = qw(bench common ipc supervisor t workers);
my $top = abs_path(dirname(__FILE__) . '/../../..');

sub top { return $top }

# Paths from the top of all files that end in .c, .h (or what the pattern says).
sub sources {
    my ($pattern) = @_;
    $pattern ||= qr/\.[ch]$/;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub {
        push @found, substr $_, length($top) + 1 if -f && /$pattern/;
    } }, grep { -d } map { "$top/$_" } @rooms);
    return sort @found;
}

sub headers { return sources(qr/\.h$/) }

sub slurp {
    my ($file) = @_;
    open my $f, '<', "$top/$file" or return '';
    local $/;
    return scalar <$f> // '';
}

# C without comments and without the content of texts; lines stay where they are.
sub bare {
    my ($c) = @_;
    $c =~ s{("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(/\*.*?\*/|//[^\n]*)}
           { defined $1 ? substr($1, 0, 1) x 2 : $2 =~ s/[^\n]//gr }gse;
    return $c;
}

1;
