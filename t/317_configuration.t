# synclined -t names every error with its place; -T prints what is effective and whence.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Daemon;
use Test::More;

my $d = Syncline::Daemon->new;
my $program = "$Syncline::Daemon::build/synclined";
my $dir = $d->{dir};

sub look {
    my ($option) = @_;
    my $out = `$program $option -c $dir/syncline.conf 2>$dir/err`;
    return ($? >> 8, $out, $d->read_file('err'));
}

$d->write_file('source.pw', "wolf\n")->write_file('target.pw', "lamb\n");
chmod 0600, "$dir/source.pw", "$dir/target.pw";
my $shop = <<"END";
source  = { kind = "mysql"; host = "db1"; port = 3306; user = "syncline"; password_file = "$dir/source.pw"; tls = "verify"; };
target  = { kind = "mysql"; host = "db2"; user = "syncline"; password_file = "$dir/target.pw"; };
objects = ( { database = "shop"; },
            { database = "crm"; table = "customer"; to_table = "client"; drop_columns = ("note"); } );
initial = ["schema", "data"];   existing = "intercept";   apply = "atomic";   lanes = 4;
END
$d->write_file('conf.d/shop.conf', $shop);

my ($exit, $out, $err) = look('-t');
is($exit, 0, '-t: a good configuration') or diag $err;
like($out, qr/the configuration is good, 1 channel$/, 'and says so');
is($err, '', 'with no warning');

($exit, $out, $err) = look('-T');
is($exit, 0, '-T');
like($out, qr{^channels = "\Q$dir\E/conf.d/\*.conf" +# \Q$dir\E/syncline.conf:1$}m, 'the daemon\'s settings, with the line');
like($out, qr{^history = "7d" +# default$}m, 'its defaults');
like($out, qr{^# channel shop: \Q$dir\E/conf.d/shop.conf$}m, 'then each channel');
like($out, qr{^lanes = 4 +# .*shop.conf:5$}m, 'a value, with the line');
like($out, qr{^chunk_rows = 20000 +# default$}m, 'a default');
like($out, qr{^source.password = "\*+" +# \Q$dir\E/source.pw$}m, 'a secret is masked, and where it comes from');
unlike($out . $err, qr/wolf|lamb/, 'no secret is printed');

$d->write_file('conf.d/shop.conf', $shop =~ s/lanes = 4/lanse = 4/r =~ s/port = 3306/port = "many"/r);
$d->write_file('conf.d/two.conf', $shop =~ s/"mysql"; host = "db2"/"mysqll"; host = "db2"/r);
($exit, $out, $err) = look('-t');
is($exit, 78, 'a bad configuration');
like($err, qr{conf.d/shop.conf:5: error: .*"lanse"; did you mean "lanes"\?}, 'an unknown key, with a suggestion');
like($err, qr{conf.d/shop.conf:1: error: .*port}, 'another error of the same file');
like($err, qr{conf.d/two.conf:2: error: .*"mysqll"}, 'and those of the next file');

unlink glob "$dir/conf.d/*";
rmdir "$dir/conf.d";
($exit, $out, $err) = look('-t');
is($exit, 78, 'a directory that is not there');
like($err, qr{^\Q$dir\E/syncline.conf:1: error: .*conf.d/\*.conf.*create the directory}, 'where it is set, and what to do');
done_testing;
