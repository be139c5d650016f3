# Who may look into whom (house.md 2), and the one door of each foreign library.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House qw(top sources slurp);
use Test::More;

# What a room may include besides itself; an engine's folder also what its parent may.
my %may = (
    common => [],
    ipc => ['common'],
    supervisor => ['common', 'ipc'],
    'workers/reader' => ['common', 'ipc'],
    'workers/writer' => ['common', 'ipc'],
);

# A foreign header, and the files that may include it.
my @doors = (
    [qr{^event2/}, qr{^(?:common/loop\.c|supervisor/http\.c)$}],
    [qr{^libconfig\.h$}, qr{^supervisor/conf_file\.c$}],
    [qr{^sqlite3\.h$}, qr{^supervisor/store(?:\.c|_private\.h)$}],
    [qr{^(?:mysql|mysqld_error|errmsg)\.h$}, qr{^common/mysql/client\.[ch]$}],
    [qr{^libpq-fe\.h$}, qr{^common/pgsql/client\.h$}],
    [qr{^iconv\.h$}, qr{^common/charset\.c$}],
    [qr{^jansson\.h$}, qr{^supervisor/}],
    [qr{^systemd/}, qr{^supervisor/notify\.c$}],
    [qr{^(?:zlib|zstd)\.h$|^openssl/}, qr{^(?:common|workers)/}],
    [qr{^xxhash\.h$}, qr{^(?:common|ipc|workers)/}],
);
my $standard = qr{^(?:sys|netinet|arpa|linux)/|^(?:assert|ctype|dirent|endian|errno|fcntl|getopt|glob|grp|inttypes|
    limits|float|malloc|math|netdb|poll|pthread|pwd|sched|setjmp|signal|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|
    string|strings|syslog|termios|time|unistd)\.h$}x;
# A header that is a part of its neighbours: nobody else includes it.
my %private = ('supervisor/store_private.h' => qr{^supervisor/store\w*\.[ch]$});

sub room {
    my ($path) = @_;
    return $1 if $path =~ m{^(workers/\w+(?:/\w+)?|common/\w+)/[^/]+$};
    return $path =~ m{^(\w+)/} ? $1 : '';
}

sub is_allowed {
    my ($from, $to) = @_;
    return 1 if $from eq $to;
    my ($parent, $engine) = $from =~ m{^(workers/\w+)/(\w+)$} ? ($1, $2) : ($from, undef);
    $parent = 'common' if $from =~ m{^common/};
    return 1 if grep { $_ eq $to } @{ $may{$parent} || [] };
    return 1 if $from =~ m{^common/} && $to eq 'common';
    return defined $engine && ($to eq $parent || $to eq "common/$engine");
}

my (@inward, @unknown, @door, @closed, @late, @missing);
for my $file (grep { !m{^(?:t|bench)/} } sources(qr/\.(?:[ch]|def)$/)) {
    my $text = slurp($file);
    my $line = 0;
    my $first = 1;
    for (split /\n/, $text) {
        $line++;
        if (/^\s*#\s*include\s+"([^"]+)"/) {
            my $header = $1;
            push @missing, "$file:$line: $header" unless -f top() . "/$header";
            push @late, "$file:$line" if $first && $file =~ /\.c$/ && $header ne 'common/compat.h';
            push @inward, "$file:$line: $header" unless is_allowed(room($file), room($header));
            push @closed, "$file:$line: $header" if $private{$header} && $file !~ $private{$header};
            $first = 0;
        } elsif (/^\s*#\s*include\s+<([^>]+)>/) {
            my $header = $1;
            push @late, "$file:$line" if $first && $file =~ /\.c$/;
            $first = 0;
            next if $header =~ $standard;
            my @of = grep { $header =~ $_->[0] } @doors;
            push @unknown, "$file:$line: $header" unless @of;
            push @door, "$file:$line: $header" if grep { $file !~ $_->[1] } @of;
        }
    }
}
is_deeply(\@inward, [], 'common <- ipc <- supervisor, reader, writer; engines know only themselves');
is_deeply(\@missing, [], 'every include names a file from the top');
is_deeply(\@late, [], 'common/compat.h comes first');
is_deeply(\@door, [], 'a foreign library has one door');
is_deeply(\@unknown, [], 'every foreign library has a door here');
is_deeply(\@closed, [], 'private headers stay in their family');

ok(is_allowed('workers/reader/mysql', 'common/mysql'), 'the rule itself: an engine and its middle');
ok(!is_allowed('workers/reader/mysql', 'common/pgsql'), 'the rule itself: not another engine');
ok(!is_allowed('workers/reader', 'workers/writer'), 'the rule itself: not the other end');
ok(!is_allowed('common', 'ipc'), 'the rule itself: one way');
ok(!is_allowed('common', 'common/mysql'), 'the rule itself: the middle knows no engine');
ok(!is_allowed('supervisor', 'common/mysql'), 'the rule itself: the supervisor knows no engine');

done_testing;
