# PostgreSQL to MariaDB: t/733, with the statements that MySQL can have. (R120)
use strict;
use warnings;
use FindBin;

local $ENV{TARGET} = 'mysql';
exec $^X, "$FindBin::Bin/733_pgsql_random_ddl.t" or die "exec: $!";
