# Every option is documented, sampled and tested, and nothing else is: the rows of
# common/options.c against doc/syncline.conf.5, etc/ and t/data/conf.
# UPDATE=1 writes the lists in the manual page anew.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp;
use FindBin;
use Test::More;

my $top = abs_path("$FindBin::Bin/..");
my $build = abs_path($ENV{SYNCLINE_BUILD} || "$top/build");
my ($doc, $check) = map { "$build/t/tools/$_" } qw(options_doc conf_check);
-x or BAIL_OUT("$_ is not built") for $doc, $check;

sub slurp {
    my ($file) = @_;
    open my $f, '<', $file or return '';
    local $/;
    return scalar <$f> // '';
}

my @fields = qw(set path type required preset words kinds only min max help);
my @rows;
for (split /\n/, `$doc rows`) {
    my %row;
    @row{@fields} = split /\t/;
    push @rows, \%row;
}
cmp_ok(scalar @rows, '>', 50, 'there are rows');

# ---- the manual page ----

my $page = "$top/doc/syncline.conf.5";
my $text = slurp($page);
for my $set (qw(daemon channel)) {
    my $list = `$doc mdoc $set`;
    my ($begin, $end) = map { qr/^\.\\" $_ \Q$set\E\n/m } qw(begin end);
    $text =~ s/($begin).*?($end)/$1$list$2/s if $ENV{UPDATE};
    my ($now) = $text =~ /$begin(.*?)$end/s;
    ok(defined $now && $now eq $list, "doc/syncline.conf.5 has the list of $set options as the rows say")
        or diag('UPDATE=1 prove t/005_options.t writes it');
}
if ($ENV{UPDATE}) {
    open my $f, '>', $page or die "$page: $!";
    print $f $text;
    close $f;
}
SKIP: {
    skip 'mandoc is not installed', 1 unless grep { -x "$_/mandoc" } split /:/, $ENV{PATH};
    my $lint = join '', grep { !/referenced manual not found|lower case character/ } `mandoc -Tlint -Wwarning $page 2>&1`;
    is($lint, '', 'mandoc has nothing to say');
}

# ---- samples ----

# Settings of a sample by path; values of those that are commented out ("#name = ").
sub sample {
    my ($file) = @_;
    my (%set, @groups);
    for (split /\n/, slurp($file)) {
        s/(?<=\S)\s+#.*$//;
        my $line = $_;
        if ($line =~ /^\s*(#?)([a-z_]+) = (.*)$/) {
            my ($off, $name, $value) = ($1, $2, $3);
            push @{ $set{ join '.', @groups, $name } }, $off ? $value =~ s/;$//r : ();
            push @groups, $name if $value =~ /^[({]$/;
        } elsif ($line =~ /^(?:\s*#|\s*\{|\s*\},?$)/ && $line !~ /^\};$/) {
            next;
        } elsif ($line =~ /^[})];$/) {
            pop @groups;
        }
    }
    return \%set;
}

# A default as it is written in a file.
sub written {
    my ($row) = @_;
    return $row->{preset} if $row->{type} =~ /^(?:whole number|true or false)$/;
    return '[' . join(', ', map { qq("$_") } split / /, $row->{preset}) . ']' if $row->{type} eq 'list of texts';
    return qq("$row->{preset}");
}

sub check_sample {
    my ($file, @rows) = @_;
    my $set = sample("$top/$file");
    my %known = map { $_->{path} => $_ } @rows;
    is_deeply([grep { !$set->{$_} } sort keys %known], [], "$file: every option is there");
    is_deeply([grep { !$known{$_} } sort keys %$set], [], "$file: nothing else is there");
    for my $row (grep { $_->{preset} ne '-' && $_->{path} !~ /^objects\./ } @rows) {
        next if $set->{ $row->{path} } && !@{ $set->{ $row->{path} } };
        is_deeply($set->{ $row->{path} }, [written($row)], "$file: $row->{path} has its default");
    }
}

# The file as it is, and with all that is commented out taken in.
sub check_reads {
    my ($file, $skip, @args) = @_;
    is(`$check @args $top/$file 2>&1`, '', "$file: is read");
    my $all = slurp("$top/$file");
    $all = join "\n", map { /#(?:$skip) = / ? $_ : s/^(\s*)#([a-z_]+ = )/$1$2/r } split /\n/, $all;
    my $tmp = File::Temp->new(SUFFIX => '.conf');
    print $tmp "$all\n";
    $tmp->flush;
    is(`$check @args $tmp 2>&1`, '', "$file: is read with all that is commented out");
}

my @daemon = grep { $_->{set} eq 'daemon' } @rows;
check_sample('etc/syncline.conf', @daemon);
check_reads('etc/syncline.conf', 'nothing', '-d');

# What a channel between these kinds knows.
sub channel_rows {
    my %kind = @_;
    return grep {
        my $row = $_;
        my ($end) = $row->{path} =~ /^(source|target)\./;
        $end = 'target' if $row->{path} =~ /^objects\./;
        $row->{set} eq 'channel' && ($row->{kinds} eq '-' || grep { $row->{kinds} =~ /\b$_\b/ } $end ? $kind{$end} : values %kind);
    } @rows;
}

for my $sample (glob "$top/etc/examples/*.conf") {
    my ($name, $from, $to) = $sample =~ m{((\w+)-to-(\w+)\.conf)$} or next;
    check_sample("etc/examples/$name", channel_rows(source => $from, target => $to));
    check_reads("etc/examples/$name", 'password|password_file|credential|primary_key|distributed_by');
}

# ---- each has a test ----

my $tests = join '', map { slurp($_) } glob("$top/t/data/conf/*.conf"), glob("$top/t/data/conf/*/*.conf"),
    glob("$top/t/unit/conf*_test.c"), glob("$top/t/unit/route_test.c"), glob("$top/t/tools/pair.c"), glob("$top/t/*.t"),
    glob("$top/t/lib/Syncline/*.pm");
my @untested = grep { my ($name) = $_->{path} =~ /([a-z_]+)$/; $tests !~ /\b$name\b/ } @rows;
is_deeply([map { $_->{path} } @untested], [], 'every option stands in a test');

done_testing;
