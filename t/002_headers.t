# Each header compiles alone, twice is once, and its guard is ROOM_FILE_H.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House qw(top headers slurp);
use Test::More;

my $cc = $ENV{CC} || 'cc';
my $client = (`pkg-config --cflags libmariadb 2>/dev/null` || `pkg-config --cflags mysqlclient 2>/dev/null`) . `pkg-config --cflags libpq`;
$client =~ s/\n/ /g;
my $flags = "-std=c11 -fsyntax-only -I. -Wall -Wextra -Werror -Wno-unused-function $client";

chdir top() or die 'top: ' . $!;
my (@guard, @alone);
for my $file (headers()) {
    my $name = uc $file =~ s/[^A-Za-z0-9]/_/gr;
    my $text = slurp($file);
    push @guard, $file unless $text =~ /^#ifndef $name\n#define $name\n/m && $text =~ /^#endif\s*\z/m;
    next if $file =~ m{^t/lib/};    # what unit tests share needs their library first
    my $out = `printf '#include "$file"\\n#include "$file"\\n' | $cc $flags -x c - 2>&1`;
    push @alone, "$file\n$out" if $?;
}
is_deeply(\@guard, [], 'guards are ROOM_FILE_H');
is_deeply(\@alone, [], 'each header compiles alone');
done_testing;
