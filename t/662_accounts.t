# Who we are to the servers: each kind of password that their versions have, and TLS:
# encrypted, verified, refused with its reason, with a certificate of ours (R7, R8).
use strict;
use warnings;
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Pair;
use Syncline::Versions;
use Test::More;

my $dir = File::Temp::tempdir('syncline-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

sub openssl { system("openssl @_ 2>$dir/log") == 0 or die "openssl @_: " . `cat $dir/log` }

# A certificate authority, certificates of it, and another one that nobody trusts.
for my $ca ('ca', 'other-ca') {
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca -keyout $dir/$ca-key.pem -out $dir/$ca.pem");
}
for my $name ('server', 'elsewhere', 'client') {
    my $host = {server => 'DNS:localhost,IP:127.0.0.1', elsewhere => 'DNS:db.elsewhere', client => 'DNS:client'}->{$name};
    open my $f, '>', "$dir/$name.ext" or die $!;
    print $f "subjectAltName=$host\n";
    close $f;
    openssl("req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $dir/$name-key.pem -out $dir/$name.csr");
    openssl("x509 -req -in $dir/$name.csr -CA $dir/ca.pem -CAkey $dir/ca-key.pem -CAcreateserial -days 2 -extfile $dir/$name.ext -out $dir/$name.pem");
    chmod 0644, "$dir/$name-key.pem";
}

sub tls { my ($name) = @_; return options => ["--ssl-ca=$dir/ca.pem", "--ssl-cert=$dir/$name.pem", "--ssl-key=$dir/$name-key.pem"] }

my $target = node('mariadb-10.11');

sub run {
    my ($source, $user, $more) = @_;
    $target->sql('DROP DATABASE IF EXISTS shop', 'DROP DATABASE IF EXISTS syncline');
    my $pair = Syncline::Pair->new(
        source => sprintf('kind = "mysql"; host = "127.0.0.1"; port = %d; user = "%s"; password = "s3cret\'\\\\"; %s', $source->port, $user, $more || ''),
        target => $target, objects => '{ database = "shop"; }');
    $pair->start('caught-up');
    return ($pair->wait(60), $pair->output);
}

sub works {
    my ($what, @how) = @_;
    my ($exit, $out) = run(@how);
    is($exit, 0, $what) or diag $out;
}

sub refused {
    my ($what, $pattern, @how) = @_;
    my ($exit, $out) = run(@how);
    isnt($exit, 0, "$what: refused");
    like($out, $pattern, "$what: says why");
    unlike($out, qr/s3cret/, "$what: and not the password");
}

my %plugins = (
    'mysql-5.5' => ['mysql_native_password'], 'mysql-5.6' => ['mysql_native_password'], 'mysql-5.7' => ['mysql_native_password', 'sha256_password'],
    'mysql-8.0' => ['mysql_native_password', 'sha256_password', 'caching_sha2_password'], 'mysql-9.7' => ['sha256_password', 'caching_sha2_password'],
    'mariadb-10.1' => ['mysql_native_password'], 'mariadb-10.11' => ['mysql_native_password', 'ed25519'],
);
for my $name (sort keys %plugins) {
    my $source = node($name, tls('server'));
    my $mariadb = $name =~ /mariadb/;
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY)', 'INSERT INTO shop.a VALUES (1)');
    $source->sql("INSTALL SONAME 'auth_ed25519'") if grep { $_ eq 'ed25519' } @{$plugins{$name}};
    for my $plugin (@{$plugins{$name}}) {
        my $by = $name =~ /5\.[56]|10\.1$/ ? "BY 's3cret''\\\\'" : $mariadb ? "VIA $plugin USING PASSWORD('s3cret''\\\\')" : "WITH $plugin BY 's3cret''\\\\'";
        my $user = 'u_' . substr $plugin, 0, 10;
        $source->sql("CREATE USER $user IDENTIFIED $by", "GRANT ALL ON *.* TO $user");
        # The server's memory of hashes is empty: the whole exchange, without TLS by its RSA key.
        $source->sql('FLUSH PRIVILEGES');
        works("$name: $plugin", $source, $user);
        $source->sql('FLUSH PRIVILEGES');
        works("$name: $plugin over TLS", $source, $user, 'tls = "require";') if $name !~ /5\.[56]|10\.1$/;
    }
    $source->stop;
}

for my $name (qw(mysql-8.0 mysql-9.7 mariadb-10.11 mariadb-11.8)) {
    my $source = node($name, tls('server'));
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY)', "CREATE USER plain IDENTIFIED BY 's3cret''\\\\'", 'GRANT ALL ON *.* TO plain',
        "CREATE USER safe IDENTIFIED BY 's3cret''\\\\' REQUIRE SSL", 'GRANT ALL ON *.* TO safe',
        "CREATE USER known IDENTIFIED BY 's3cret''\\\\' REQUIRE X509", 'GRANT ALL ON *.* TO known');
    works("$name: verified", $source, 'safe', "tls = \"verify\"; tls_ca = \"$dir/ca.pem\";");
    works("$name: a certificate of ours", $source, 'known', "tls = \"verify\"; tls_ca = \"$dir/ca.pem\"; tls_cert = \"$dir/client.pem\"; tls_key = \"$dir/client-key.pem\";");
    refused("$name: no certificate where one is asked for", qr/Access denied/, $source, 'known', "tls = \"verify\"; tls_ca = \"$dir/ca.pem\";");
    refused("$name: an account that wants TLS, without", qr/Access denied/, $source, 'safe', 'tls = "off";');
    refused("$name: another authority", qr/cannot connect to the source .*[Cc]ertificate.*; let source\.tls_ca name/s, $source, 'plain', "tls = \"verify\"; tls_ca = \"$dir/other-ca.pem\";");
    $source->stop;
    $source = node($name, tls('elsewhere'));
    $source->sql('CREATE DATABASE shop', 'CREATE TABLE shop.a (id INT PRIMARY KEY)', "CREATE USER plain IDENTIFIED BY 's3cret''\\\\'", 'GRANT ALL ON *.* TO plain');
    refused("$name: the certificate of another host", qr/cannot connect to the source .*[Cc]ertificate.*; let source\.tls_ca name/s, $source, 'plain', "tls = \"verify\"; tls_ca = \"$dir/ca.pem\";");
    $source->stop;
}
done_testing;
