# The precheck where PostgreSQL is at both ends: each item, and each requirement R33-R60 and R80:
# it fails for its cause, with the remedy, and passes without (R38). What t/683 (versions, the log's
# settings, identities), t/763 (objects), t/767 (types) and t/768 (Greenplum) make to fail is not
# made again here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Syncline::Guise;
use Syncline::Pair;
use Syncline::PostgreSQL;
use Syncline::Server;
use Test::More;

$ENV{SYNCLINE_LIBEXEC} = $Syncline::Pair::build;
my ($source, $target) = map { Syncline::PostgreSQL->new } 1, 2;
my %covered;

sub pair { my ($from, $to, %o) = @_; return Syncline::Pair->new(source => $from, target => $to, objects => '{ database = "shop"; }', %o) }
sub check {
    my ($pair) = @_;
    my $out = `$Syncline::Pair::build/syncline check ${\ $pair->conf} 2>&1`;
    return ($? >> 8, $out);
}
sub at { my ($db, @sql) = @_; return sub { $db->sql(@sql) } }

# The item fails (or warns) for this cause, with this remedy; then it passes.
sub requirement {
    my ($r, $what, %o) = @_;
    my $word = $o{warn} ? 'warn' : 'fail';
    $covered{$_}++ for split / /, $r;
    $o{break}->() if $o{break};
    my ($exit, $out) = check($o{pair});
    is($exit, $o{warn} ? 0 : 78, "$r: $what: exit");
    like($out, qr/^$word  \Q$o{item}\E\n      cause: .*$o{cause}.*\n      remedy: .*$o{remedy}/m, "$r: $what: \"$o{item}\" with its cause and remedy") or diag $out;
    $o{mend}->() if $o{mend};
    ($exit, $out) = check($o{good} // $o{pair});
    is($exit, 0, "$r: $what: passes without the cause") or diag $out;
    unlike($out, qr/^$word  \Q$o{item}\E$/m, "$r: $what: \"$o{item}\" has nothing to say");
}

$_->sql(q{CREATE ROLE poor LOGIN PASSWORD 'secret'}) for $source, $target;
$source->sql('CREATE SCHEMA shop', 'CREATE SCHEMA crm', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', 'CREATE TABLE crm.p (id int PRIMARY KEY)');
my $full = pair($source, $target);
my ($exit, $out) = check($full);
is($exit, 0, 'all is well: exit 0') or diag $out;
is_deeply([$out =~ /^pass  (.*)$/mg], [
    'Source database connectivity', 'Version of the source database', 'Role of the source database', 'Value of wal_level in the source database', 'Encoding of the source database', 'Replication slots of the source database',
    'Source database permissions', 'Replica identity', 'Column types', 'Objects that are not carried', 'Destination database connectivity', 'Version of the destination database', 'Encoding of the destination database',
    'Destination database permissions', 'Schema name conflict', 'Destination column types'], 'R38: the result lists every item') or diag $out;
$covered{R38}++;

# Who may not connect.
my $wrong = sub { $_[0]->endpoint =~ s/"secret"/"wrong"/r };
my $closed = sub { $_[0]->endpoint(Syncline::Server::free_port()) =~ s/;$/; connect_timeout = "1s";/r };
my $nowhere = sub { $_[0]->endpoint =~ s/"test"/"nowhere"/r };
for (['wrong password', $wrong, 'password authentication failed', 'password_file'], ['closed port', $closed, 'refused', 'see that the server runs'], ['a database that is not there', $nowhere, 'database "nowhere" does not exist', 'create it there']) {
    my ($what, $end, $cause, $remedy) = @$_;
    requirement($what =~ /database/ ? 'R39 R42' : 'R39', "$what at the source", pair => pair($end->($source), $target), good => $full, item => 'Source database connectivity', cause => $cause, remedy => $remedy);
    requirement($what =~ /database/ ? 'R39 R42' : 'R39', "$what at the target", pair => pair($source, $end->($target)), good => $full, item => 'Destination database connectivity', cause => $cause, remedy => $remedy);
}

# What the source is.
my $standby = $source->standby(name => 'copy');
requirement('R39', 'a standby', pair => pair($standby, $target), good => $full, item => 'Role of the source database', cause => 'the source is a standby', remedy => 'promote it');
undef $standby;
my $greenplum = Syncline::Guise->new(server => $source, as => 'greenplum 7');
requirement('R80', 'a cascade through Greenplum', pair => pair($greenplum->endpoint(''), $target), good => $full, item => 'Version of the source database', cause => 'the source is PostgreSQL 12\.12 \(Greenplum.*a target alone', remedy => 'read from the server that feeds it');
my $through = pair($greenplum->endpoint(''), $target, id => 'through');
$through->start('caught-up');
is($through->wait(60), 78, 'R80: nor does it run');
$source->sql(q{CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'});
$target->sql(q{CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'});
requirement('R53', 'a source without an encoding', warn => 1, pair => pair($source->endpoint =~ s/"test"/"bytes"/r, $target), good => $full, item => 'Encoding of the source database', cause => 'the encoding is SQL_ASCII', remedy => q{ENCODING 'UTF8'});
requirement('R53', 'a target of another encoding', warn => 1, pair => pair($source, $target->endpoint =~ s/"test"/"latin"/r), good => $full, item => 'Encoding of the destination database', cause => 'the encoding is LATIN1', remedy => q{ENCODING 'UTF8'});

# Rights at the source.
my $poor = pair($source->endpoint =~ s/"syncline"/"poor"/r, $target);
$source->sql('ALTER ROLE poor REPLICATION', 'GRANT CREATE ON DATABASE test TO poor', 'GRANT USAGE, CREATE ON SCHEMA shop TO poor', 'ALTER TABLE shop.a OWNER TO poor');
for (['REPLICATION', 'lacks the attribute REPLICATION', 'ALTER ROLE poor NOREPLICATION', 'ALTER ROLE poor REPLICATION'], ['SELECT', 'may not read shop\.a', 'REVOKE SELECT ON shop.a FROM poor', 'GRANT SELECT ON shop.a TO poor'], ['ownership', 'does not own shop\.a', 'ALTER TABLE shop.a OWNER TO root', 'ALTER TABLE shop.a OWNER TO poor']) {
    my ($what, $cause, $break, $mend) = @$_;
    requirement('R43', "no $what", pair => $poor, item => 'Source database permissions', cause => $cause, remedy => 'check --sql', break => at($source, $break, $what eq 'ownership' ? 'GRANT SELECT ON shop.a TO poor' : ()), mend => at($source, $mend));
}
$source->sql('ALTER TABLE shop.a OWNER TO syncline');

# Rights at the target.
$poor = pair($source, $target->endpoint =~ s/"syncline"/"poor"/r);
$target->sql('GRANT SET ON PARAMETER session_replication_role TO poor');
requirement('R45', 'no right to make schemas', pair => $poor, item => 'Destination database permissions', cause => 'may not make the schema .*where our own tables live', remedy => 'check --sql', mend => at($target, 'GRANT CREATE, TEMPORARY ON DATABASE test TO poor'));
requirement('R45 R41', 'no right in a schema', pair => $poor, item => 'Destination database permissions', cause => 'lacks CREATE on schema shop', remedy => 'check --sql', break => at($target, 'CREATE SCHEMA shop'), mend => at($target, 'DROP SCHEMA shop'));
requirement('R45', 'foreign keys that act', warn => 1, pair => $poor, item => 'Destination database permissions', cause => 'may not set session_replication_role', remedy => 'check --sql', break => at($target, 'REVOKE SET ON PARAMETER session_replication_role FROM poor'), mend => at($target, 'GRANT SET ON PARAMETER session_replication_role TO poor'));
my $keep = pair($source, $target->endpoint =~ s/"syncline"/"poor"/r, more => qq(existing = "ignore";\n));
$target->sql('CREATE SCHEMA shop AUTHORIZATION poor', 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', 'ALTER TABLE shop.a OWNER TO poor');
for my $right (qw(SELECT INSERT UPDATE DELETE TRUNCATE)) {
    requirement('R45', "no $right", pair => $keep, item => 'Destination database permissions', cause => "lacks $right on target table \"shop\"\\.\"a\"", remedy => "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE", break => at($target, "REVOKE $right ON shop.a FROM poor"), mend => at($target, "GRANT $right ON shop.a TO poor"));
}
requirement('R45', 'a table of another owner', pair => $keep, item => 'Destination database permissions', cause => 'lacks ALTER TABLE \(it is not its owner\)', remedy => 'a member of its role', break => at($target, 'ALTER TABLE shop.a OWNER TO root', 'GRANT ALL ON shop.a TO poor'), mend => at($target, 'ALTER TABLE shop.a OWNER TO poor'));

# What is there already.
requirement('R47', 'a table is there', pair => $full, item => 'Schema name conflict', cause => 'target table "shop"\."a" exists already', remedy => 'to_table', good => pair($source, $target, objects => '{ database = "shop"; table = "a"; to_table = "b"; }'));
my $fill = pair($source, $target, more => qq(initial = ["data"];\n));
requirement('R47', 'a table that must be empty', pair => $fill, item => 'Schema name conflict', cause => 'target table "shop"\."a" has rows', remedy => 'empty it', break => at($target, 'GRANT ALL ON shop.a TO syncline', 'ALTER TABLE shop.a OWNER TO syncline', 'INSERT INTO shop.a VALUES (1)'), mend => at($target, 'DELETE FROM shop.a'));
requirement('R47', 'a table that must be there', pair => $fill, item => 'Schema name conflict', cause => 'target table "shop"\."a" does not exist', remedy => 'create it', break => at($target, 'DROP TABLE shop.a'), mend => at($target, 'CREATE TABLE shop.a (id int PRIMARY KEY, v text)', 'ALTER TABLE shop.a OWNER TO syncline'));
$target->sql('DROP SCHEMA shop CASCADE');

# Tables of the source.
requirement('R51', 'a parent that is left out', warn => 1, pair => $full, item => 'Integrity of FOREIGN KEY constraint', cause => 'foreign key c_p_fkey of shop\.c is left out: its parent crm\.p is not selected', remedy => 'add the parent', break => at($source, 'CREATE TABLE shop.c (id int PRIMARY KEY, p int REFERENCES crm.p)', 'ALTER TABLE shop.c OWNER TO syncline', 'ALTER TABLE crm.p OWNER TO syncline'), good => pair($source, $target, objects => '{ database = "shop"; }, { database = "crm"; }'));
requirement('R58', 'no key', pair => $full, item => 'Replica identity', cause => 'shop\.k has no replica identity', remedy => 'REPLICA IDENTITY FULL', break => at($source, 'DROP TABLE shop.c', 'CREATE TABLE shop.k (id int)', 'ALTER TABLE shop.k OWNER TO syncline'), mend => at($source, 'ALTER TABLE shop.k REPLICA IDENTITY FULL'));
requirement('R58', 'an unlogged table', pair => $full, item => 'Logged tables', cause => 'shop\.k is unlogged', remedy => 'SET LOGGED', break => at($source, 'ALTER TABLE shop.k SET UNLOGGED'), mend => at($source, 'ALTER TABLE shop.k SET LOGGED'));
requirement('R38', 'no table at all', warn => 1, pair => pair($source, $target, objects => '{ database = "none"; }'), good => $full, item => 'Objects', cause => 'no existing table is selected', remedy => 'compare the names');

my %elsewhere = (
    R33 => 't/311: a change of objects is prechecked before it counts',
    (map { $_ => 'objects that change: not of the precheck' } qw(R34 R35 R36 R37)),
    R40 => 't/729: a version that is too old',
    R54 => 't/643: two channels on one target table are refused by the configuration',
    R59 => 't/683: wal_level',
    (map { $_ => 't/768: Greenplum' } qw(R46 R56)),
    (map { $_ => 'MySQL and its relatives: t/640' } qw(R44 R48 R49 R50 R52 R55 R60)),
    R57 => 'PolarDB-O',
);
is(($covered{$_} ? 1 : 0) + ($elsewhere{$_} ? 1 : 0), 1, "$_: " . ($elsewhere{$_} // 'made to fail and to pass')) for (map { "R$_" } 33 .. 60), 'R80';

done_testing;
