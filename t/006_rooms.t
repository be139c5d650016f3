# The given top level and nothing beside it; a README in each room; numbered tests.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::House qw(top slurp);
use Test::More;

my %known = map { $_ => 1 } qw(Makefile README supervisor workers common ipc etc t packaging
    .ci doc bench .gitignore .clang-format);

opendir my $d, top() or die "top: $!";
my @beside = sort grep { !/^(?:\.{1,2}|\.git|build|build-.*)$/ && !$known{$_} } readdir $d;
closedir $d;
is_deeply(\@beside, [], 'nothing stands beside the given top level');
ok(-e top() . "/$_", "$_ is there") for qw(Makefile README supervisor workers common ipc etc t packaging);

my @rooms = (qw(common common/mysql ipc supervisor t packaging/deb packaging/rpm),
    map { s{.*/(workers/)}{$1}r } grep { -d } glob(top() . '/workers/*'), glob(top() . '/workers/*/*'));
for my $room (@rooms) {
    cmp_ok(length slurp("$room/README"), '>', 40, "$room has a README");
}

# What a room's README names in `code.c` style exists.
for my $room (grep { m{^(?:common|ipc|supervisor|workers)} } @rooms) {
    my @gone;
    for (slurp("$room/README") =~ /`([a-z_]+\.(?:[ch]|def))`/g) {
        push @gone, $_ unless grep { -e } glob(top() . "/{$room,$room/*,common,ipc,supervisor,workers/*}/$_");
    }
    is_deeply(\@gone, [], "$room: what its README names is there");
}

opendir $d, top() . '/t' or die "t: $!";
my @odd = sort grep { /\.t$/ && !/^\d{3}_\w+\.t$/ } readdir $d;
closedir $d;
is_deeply(\@odd, [], 'tests are numbered by family');
done_testing;
