# What C lets one do and the house does not (style 2, 4, 8, 23, 24).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House qw(sources slurp bare);
use Test::More;

my $calls = join '|', qw(strcpy strcat sprintf vsprintf strtok atoi atol atoll system signal alloca gets);
# libpq's own calls that wait without end: common/pgsql/client.h has the like.
# Likewise the MySQL libraries', which wait too short: common/mysql/client.h has client_ask.
my $waits = join '|', qw(mysql_query mysql_real_query PQexec PQexecParams PQexecPrepared PQprepare PQdescribePrepared PQgetResult PQconnectdb PQconnectdbParams);
my (@banned, @extern, @arrays, @long, @tests);

for my $file (sources()) {
    my $text = slurp($file);
    my $c = bare($text);
    my $lines = () = $text =~ /\n/g;
    my $n = 0;
    push @long, "$file: $lines lines" if $lines > 1000;
    diag("$file has $lines lines: two rooms?") if $lines > 800 && $lines <= 1000;
    for (split /\n/, $c) {
        $n++;
        push @banned, "$file:$n: $1" if $file !~ m{^t/} && /(?<![\w.>])($calls)\s*\(/;
        push @banned, "$file:$n: $1" if $file ne 'common/pgsql/answer.c' && /\b($waits)\s*\(/;
        push @extern, "$file:$n" if /^\s*extern\b[^(]*;/;
        push @arrays, "$file:$n" if $file =~ /\.h$/ && /^[a-z][\w\s*]*\[[^\]]*\]\s*=/;
    }
    if ($file =~ m{^t/unit/}) {
        push @tests, $file unless $file =~ /_test\.c$/;
    }
}
is_deeply(\@banned, [], 'no banned calls');
is_deeply(\@extern, [], 'no variables across files');
is_deeply(\@arrays, [], 'no arrays defined in headers');
is_deeply(\@long, [], 'no file over 1000 lines');
is_deeply(\@tests, [], 'a unit test is called THING_test.c');
like(slurp('Makefile'), qr/-Wvla\b/, 'the compiler refuses arrays of variable length');

# The search itself: what it must find, and what it must not.
like(bare(qq(x = "/*"; strcpy(a, b);)), qr/strcpy\(/, 'a comment in a text is none');
unlike(bare(qq(/* strcpy(a, b) */ // atoi(x)\n"system(1)")), qr/$calls/, 'comments and texts do not count');
done_testing;
