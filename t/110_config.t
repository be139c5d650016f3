# Configuration files against golden text: t/data/conf/NAME.conf -> NAME.err, every
# mistake with its line. A folder there holds files that are read together.
# UPDATE=1 writes the golden text anew; read the difference before you commit it.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use Test::More;

my $build = abs_path($ENV{SYNCLINE_BUILD} || "$FindBin::Bin/../build");
my $data = "$FindBin::Bin/data/conf";
my $tool = "$build/t/tools/conf_check";
BAIL_OUT("$tool is not built") unless -x $tool;
delete $ENV{CREDENTIALS_DIRECTORY};
$ENV{LC_ALL} = 'C';

sub slurp {
    my ($file) = @_;
    open my $f, '<', $file or return undef;
    local $/;
    return scalar <$f> // '';
}

sub run_tool {
    my ($dir, @args) = @_;
    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        chdir $dir or die "$dir: $!";
        exec $tool, @args or die "$tool: $!";
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($text, $? >> 8);
}

sub check {
    my ($name, $golden, $dir, @args) = @_;
    my ($text, $status) = run_tool($dir, @args);
    if ($ENV{UPDATE}) {
        open my $f, '>', $golden or die "$golden: $!";
        print $f $text;
        close $f;
    }
    is($text, slurp($golden), "$name: the notes");
    is($status, $name =~ /good/ ? 0 : 78, "$name: the exit status");
    is($text, '', "$name: nothing to say") if $name =~ /good/;
}

opendir my $d, $data or die "$data: $!";
my @files = sort map { "$data/$_" } grep { /\.conf$/ } readdir $d;
closedir $d;
cmp_ok(scalar(grep { !/good/ } @files), '>=', 40, 'at least 40 bad files');
for my $file (@files) {
    my $name = basename($file, '.conf');
    check($name, "$data/$name.err", $data, ($name =~ /^daemon-/ ? '-d' : ()), "$name.conf");
}
for my $dir (sort grep { -d } glob("$data/*")) {
    my $name = basename($dir);
    check($name, "$dir/$name.err", $dir, map { basename($_) } sort glob("$dir/*.conf"));
}

# What is shown can be shown to others, and says where it comes from.
my ($text, $status) = run_tool($data, '-T', 'good-all.conf');
is($status, 0, '-T: ends well');
like($text, qr/^lanes = 32 +# good-all\.conf:13$/m, '-T: a value and its line');
like($text, qr/^chunk_rows = 20000 +# default$/m, '-T: a default');
like($text, qr/^initial = \[\] +# good-all\.conf:11$/m, '-T: an empty list');
like($text, qr/^objects\[2\]\.columns = \(\("name", "full_name"\)\) +# good/m, '-T: pairs');
unlike($text, qr/^source\.rows/m, '-T: no settings of other kinds');

done_testing;
