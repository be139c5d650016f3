# The manual pages are well formed, and name every command, option and signal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $top = "$FindBin::Bin/..";
my $build = $Syncline::Daemon::build;

sub slurp { my ($file) = @_; open my $f, '<', $file or die "$file: $!"; local $/; return scalar <$f> }

for my $page ('syncline.1', 'synclined.8') {
  SKIP: {
        skip 'no mandoc', 1 if system('command -v mandoc >/dev/null') != 0;
        my $complaints = join '', grep { !/referenced manual not found|operating system explicitly/ }
            `mandoc -T lint -W warning $top/doc/$page 2>&1`;
        is($complaints, '', "mandoc finds nothing in $page");
    }
}

# ---- syncline.1 against the table of commands ----

my $manual = slurp("$top/doc/syncline.1");
my (%commands, %options);
for my $line (split /\n/, `$build/syncline --dump-commands`) {
    my ($name, $arguments, @options) = split /\t/, $line;
    $commands{$name} = $arguments;
    $options{$_}++ for @options;
}
cmp_ok(scalar(keys %commands), '>', 10, 'the table of commands');
for my $name (sort keys %commands) {
    my ($item) = $manual =~ /^\.It Cm \Q$name\E(?: (.*))?$/m;
    my $want = $commands{$name} =~ /^\[(.*)\]$/ ? "Op Ar \L$1" : "Ar \L$commands{$name}";
    $want =~ s/\|/ | /;
    is($item // '', $commands{$name} eq '' ? '' : $want, "command $name and its arguments");
    like($manual, qr/^\.It Cm \Q$name\E\b/m, 'is described');
}
for my $option (sort keys %options) {
    (my $name = $option) =~ s/^--//;
    like($manual, qr/^\.It Fl -\Q$name\E\b/m, "option $option");
}
my @described = $manual =~ /^\.It Fl -([\w-]+)/mg;
is_deeply([grep { !$options{"--$_"} } @described], [], 'no option is described that is not there');
my @verbs = grep { $_ ne 'help' } $manual =~ /^\.It Cm (\w+)/mg;
is_deeply([sort @verbs], [sort keys %commands], 'nor a command');

# ---- the shape of its JSON, against what makes it ----

my ($shape) = $manual =~ /^\.Sh JSON\n(.*?)^\.Sh /ms;
my %told = map { $_ => 1 } map {/(\w+)/g} $shape =~ /^\.(?:It |Pq )?Va (.*)$/mg;
my %made = map { $_ => 1 } map { slurp("$top/supervisor/$_") =~ /json_object_set(?:_new)?\(\s*(?!what\b)\w+,\s*"(\w+)"/g } qw(view.c control.c control_verbs.c cli/check.c);
cmp_ok(scalar(keys %made), '>', 60, 'members that are made');
is_deeply([grep { !$told{$_} } sort keys %made], [], 'each is in the manual');
is_deeply([grep { !$made{$_} } sort keys %told], [], 'and no other');

# ---- its table of legal orders against the matrix ----

my %legal;
for my $line (split /\n/, `$build/synclined --dump-states`) {
    my (undef, $state, $event) = split /\s*\|\s*/, $line;
    next if !defined $event || $event !~ /^(start|pause|stop|reset)\b/;
    $legal{$state}{$1} = 1;
}
for my $line ($manual =~ /^\.It (.* Ta .*)$/mg) {
    my ($state, @cells) = split / Ta /, $line;
    next if $state =~ /^Sy/;
    my @want = map { $legal{$state}{$_} ? 'yes' : '-' } qw(start pause stop reset);
    is("@cells", "@want", "legal orders in $state");
}

# ---- synclined.8 against its usage ----

$manual = slurp("$top/doc/synclined.8");
my @words = `$build/synclined --help` =~ /--([\w-]+)/g;
cmp_ok(scalar @words, '>', 5, 'the options of synclined');
like($manual, qr/^\.It Fl (?:\w , )?-\Q$_\E\b/m, "option --$_") for @words;
like($manual, qr/\bSIG$_\b/, "signal $_") for qw(TERM INT QUIT HUP USR1);
done_testing;
