/*
 * options.c - the option rows: every setting there is, once.
 *
 * Checks, defaults, samples, manual page and suggestions derive from these.
 */
#include "common/compat.h"

#include "common/conf.h"

#define KiB ((int64_t)1024)
#define MiB (KiB * 1024)
#define GiB (MiB * 1024)
#define SECOND ((int64_t)1000)
#define HOUR (3600 * SECOND)

/* What both ends of a channel have. */
#define END_ROWS(end)                                                                             \
	{.path = end,                                                                             \
		.type = OPTION_GROUP,                                                             \
		.required = true,                                                                 \
		.reload = RELOAD_CHANNEL,                                                         \
		.help = "The " end " endpoint."},                                                 \
		{.path = end ".kind",                                                             \
			.type = OPTION_ENUM,                                                      \
			.required = true,                                                         \
			.words = "mysql postgresql fake",                                         \
			.reload = RELOAD_NEVER,                                                   \
			.help = "What kind of server it is."},                                    \
		{.path = end ".host",                                                             \
			.type = OPTION_STRING,                                                    \
			.preset = "localhost",                                                    \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Host name or address."},                                         \
		{.path = end ".port",                                                             \
			.type = OPTION_INT,                                                       \
			.min = 1,                                                                 \
			.max = 65535,                                                             \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "TCP port; default: 3306 for mysql, 5432 for postgresql."},       \
		{.path = end ".socket",                                                           \
			.type = OPTION_PATH,                                                      \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "UNIX socket; set, it is used instead of host and port."},        \
		{.path = end ".database",                                                         \
			.type = OPTION_STRING,                                                    \
			.required = true,                                                         \
			.kinds = "postgresql",                                                    \
			.reload = RELOAD_NEVER,                                                   \
			.help = "Database that we connect to; what `objects` calls a database "   \
				"is a schema of it."},                                            \
		{.path = end ".user",                                                             \
			.type = OPTION_STRING,                                                    \
			.required = true,                                                         \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Account."},                                                      \
		{.path = end ".password",                                                         \
			.type = OPTION_SECRET,                                                    \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Password, in the file itself; better: password_file or "         \
				"credential."},                                                   \
		{.path = end ".password_file",                                                    \
			.type = OPTION_PATH,                                                      \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "File whose first line is the password."},                        \
		{.path = end ".credential",                                                       \
			.type = OPTION_STRING,                                                    \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Name of a systemd credential that holds the password."},         \
		{.path = end ".tls",                                                              \
			.type = OPTION_ENUM,                                                      \
			.preset = "prefer",                                                       \
			.kinds = "mysql postgresql",                                              \
			.words = "off prefer require verify",                                     \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Encryption: verify also checks the server's certificate and "    \
				"name."},                                                         \
		{.path = end ".tls_ca",                                                           \
			.type = OPTION_PATH,                                                      \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Certificates that sign the server's, PEM."},                     \
		{.path = end ".tls_cert",                                                         \
			.type = OPTION_PATH,                                                      \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "Our own certificate, PEM."},                                     \
		{.path = end ".tls_key",                                                          \
			.type = OPTION_PATH,                                                      \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "The key of our own certificate, PEM."},                          \
		{.path = end ".connect_timeout",                                                  \
			.type = OPTION_DURATION,                                                  \
			.preset = "10s",                                                          \
			.min = SECOND,                                                            \
			.max = HOUR,                                                              \
			.kinds = "mysql postgresql",                                              \
			.reload = RELOAD_CHANNEL,                                                 \
			.help = "How long a connection may take to be made."},                    \
	{                                                                                         \
		.path = end ".read_timeout", .type = OPTION_DURATION, .preset = "60s",            \
		.min = SECOND, .max = 24 * HOUR, .kinds = "mysql postgresql",                     \
		.reload = RELOAD_CHANNEL,                                                         \
		.help = "How long a server may say nothing before another connection asks if it " \
			"works for us; if not, the connection counts as lost."                    \
	}

static const struct option channel_rows[] = {
	{.path = "id",
		.type = OPTION_STRING,
		.reload = RELOAD_NEVER,
		.help = "Identity of the channel, unique; default: the file's base name."},
	{.path = "name",
		.type = OPTION_STRING,
		.reload = RELOAD_LIVE,
		.help = "A label for people."},
	END_ROWS("source"),
	{.path = "source.server_id",
		.type = OPTION_INT,
		.min = 1,
		.max = 4294967295,
		.kinds = "mysql",
		.reload = RELOAD_CHANNEL,
		.help = "Our server id as a replica, unique at the source; default: derived from "
			"the channel's id."},
	{.path = "source.heartbeat_table",
		.type = OPTION_STRING,
		.kinds = "postgresql",
		.reload = RELOAD_CHANNEL,
		.help = "A table of ours in state_schema at the source that gets a row every ten "
			"seconds, such as dts_postgres_heartbeat, for who watches it; default: "
			"none."},
	{.path = "source.truncate_triggers",
		.type = OPTION_BOOL,
		.preset = "false",
		.kinds = "postgresql",
		.reload = RELOAD_CHANNEL,
		.help = "Servers before 11, which do not log TRUNCATE, and partitions, of which "
			"none "
			"logs it: whether each selected table, or partition, gets a trigger of "
			"ours "
			"that notes it (9.5 and later, with a superuser's account; a moment "
			"without "
			"writers for each)."},
	{.path = "source.tables",
		.type = OPTION_INT,
		.preset = "4",
		.min = 0,
		.max = 1000,
		.kinds = "fake",
		.reload = RELOAD_NEVER,
		.help = "Fake: how many tables with a key."},
	{.path = "source.rows",
		.type = OPTION_INT,
		.preset = "100",
		.min = 0,
		.max = 10000000,
		.kinds = "fake",
		.reload = RELOAD_NEVER,
		.help = "Fake: rows of each table at the beginning."},
	{.path = "source.transactions",
		.type = OPTION_INT,
		.preset = "1000",
		.min = 0,
		.max = 1000000000,
		.kinds = "fake",
		.reload = RELOAD_NEVER,
		.help = "Fake: how many transactions there will be."},
	{.path = "source.seed",
		.type = OPTION_INT,
		.preset = "1",
		.min = 0,
		.max = INT64_MAX,
		.kinds = "fake",
		.reload = RELOAD_NEVER,
		.help = "Fake: the seed of its history."},
	{.path = "source.rate",
		.type = OPTION_INT,
		.preset = "0",
		.min = 0,
		.max = 1000000,
		.kinds = "fake",
		.reload = RELOAD_CHANNEL,
		.help = "Fake: transactions per second, 0: no limit."},
	END_ROWS("target"),
	{.path = "target.dialect",
		.type = OPTION_ENUM,
		.preset = "postgresql",
		.words = "postgresql greenplum",
		.kinds = "postgresql",
		.reload = RELOAD_NEVER,
		.help = "Which relative of the kind it is: greenplum for Greenplum and AnalyticDB "
			"PG; see GREENPLUM."},
	{.path = "target.file",
		.type = OPTION_PATH,
		.required = true,
		.kinds = "fake",
		.reload = RELOAD_NEVER,
		.help = "Fake: the journal that is its database."},
	{.path = "objects",
		.type = OPTION_GROUPS,
		.required = true,
		.reload = RELOAD_CHANNEL,
		.help = "What is synchronized: databases, tables, patterns of them."},
	{.path = "objects.database",
		.type = OPTION_STRING,
		.required = true,
		.reload = RELOAD_CHANNEL,
		.help = "Database; * and ? match any characters."},
	{.path = "objects.table",
		.type = OPTION_STRING,
		.reload = RELOAD_CHANNEL,
		.help = "Table; * and ? match any characters; left out: the whole database."},
	{.path = "objects.exclude",
		.type = OPTION_BOOL,
		.preset = "false",
		.reload = RELOAD_CHANNEL,
		.help = "Leave these objects out; beats any entry that takes them in."},
	{.path = "objects.to_database",
		.type = OPTION_STRING,
		.reload = RELOAD_CHANNEL,
		.help = "Name of the database at the target."},
	{.path = "objects.to_table",
		.type = OPTION_STRING,
		.reload = RELOAD_CHANNEL,
		.help = "Name of the table at the target."},
	{.path = "objects.columns",
		.type = OPTION_PAIRS,
		.reload = RELOAD_CHANNEL,
		.help = "Columns with another name at the target: ((\"name\", \"new name\"), "
			"...)."},
	{.path = "objects.drop_columns",
		.type = OPTION_LIST,
		.reload = RELOAD_CHANNEL,
		.help = "Columns that are not carried."},
	{.path = "objects.primary_key",
		.type = OPTION_LIST,
		.kinds = "postgresql",
		.reload = RELOAD_CHANNEL,
		.help = "Greenplum: columns of the target's primary key; default: the source's."},
	{.path = "objects.distributed_by",
		.type = OPTION_LIST,
		.kinds = "postgresql",
		.reload = RELOAD_CHANNEL,
		.help = "Greenplum: columns of the primary key by which rows are distributed; "
			"default: all of them."},
	{.path = "objects.where",
		.type = OPTION_STRING,
		.reload = RELOAD_CHANNEL,
		.help = "Condition that a row must meet to be carried; see FILTERS."},
	{.path = "initial",
		.type = OPTION_LIST,
		.preset = "schema data",
		.words = "schema data",
		.reload = RELOAD_NEVER,
		.help = "What is carried before the changes: \"schema\", \"data\", both, or "
			"neither."},
	{.path = "existing",
		.type = OPTION_ENUM,
		.preset = "intercept",
		.words = "intercept ignore clear",
		.reload = RELOAD_CHANNEL,
		.help = "Tables that exist at the target: intercept refuses to start, ignore keeps "
			"their rows, clear empties them before the load."},
	{.path = "apply",
		.type = OPTION_ENUM,
		.preset = "atomic",
		.words = "atomic fastest",
		.reload = RELOAD_CHANNEL,
		.help = "atomic: the target is at every moment an exact prefix of the source, and "
			"runs each change; fastest: changes of one row within a group of "
			"transactions become one."},
	{.path = "guarantee",
		.type = OPTION_ENUM,
		.preset = "exactly-once",
		.words = "exactly-once at-least-once",
		.only = "exactly-once",
		.reload = RELOAD_NEVER,
		.help = "exactly-once keeps the position in the target; at-least-once does without "
			"tables of ours there."},
	{.path = "conflict",
		.type = OPTION_ENUM,
		.preset = "TaskFailed",
		.words = "TaskFailed Ignore Overwrite",
		.reload = RELOAD_CHANNEL,
		.help = "What a target row that is not as expected does: stop, skip the change, or "
			"overwrite the row."},
	{.path = "lossy",
		.type = OPTION_LIST,
		.words = "digits time padding json nan dates",
		.reload = RELOAD_CHANNEL,
		.help = "What values may lose in columns of the target that cannot hold all of "
			"it; see TYPES."},
	{.path = "dml",
		.type = OPTION_LIST,
		.preset = "insert update delete",
		.words = "insert update delete",
		.reload = RELOAD_CHANNEL,
		.help = "Which row changes are carried; see SELECTIONS."},
	{.path = "ddl",
		.type = OPTION_ENUM,
		.preset = "carry",
		.words = "carry exclude",
		.reload = RELOAD_CHANNEL,
		.help = "Whether changes of the schema are carried; see SELECTIONS."},
	{.path = "triggers",
		.type = OPTION_ENUM,
		.preset = "none",
		.words = "none copy",
		.reload = RELOAD_CHANNEL,
		.help = "Whether triggers are created at the target; row changes carry their "
			"effects already; see SELECTIONS."},
	{.path = "lanes",
		.type = OPTION_INT,
		.preset = "4",
		.min = 1,
		.max = 32,
		.reload = RELOAD_CHANNEL,
		.help = "Parallel connections at each end."},
	{.path = "group_rows",
		.type = OPTION_INT,
		.preset = "1000",
		.min = 1,
		.max = 100000,
		.reload = RELOAD_CHANNEL,
		.help = "Row changes that one target transaction gathers at most, unless one "
			"source transaction has more."},
	{.path = "group_bytes",
		.type = OPTION_SIZE,
		.preset = "1MiB",
		.min = 4 * KiB,
		.max = GiB,
		.reload = RELOAD_CHANNEL,
		.help = "The same in bytes."},
	{.path = "chunk_rows",
		.type = OPTION_INT,
		.preset = "20000",
		.min = 16,
		.max = 10000000,
		.reload = RELOAD_CHANNEL,
		.help = "Rows of a chunk of the initial load at most."},
	{.path = "chunk_bytes",
		.type = OPTION_SIZE,
		.preset = "4MiB",
		.min = 64 * KiB,
		.max = GiB,
		.reload = RELOAD_CHANNEL,
		.help = "The same in bytes, by the table's average row."},
	{.path = "snapshot",
		.type = OPTION_ENUM,
		.preset = "chunks",
		.words = "chunks held",
		.reload = RELOAD_NEVER,
		.help = "Snapshots of the initial load: chunks, one for each chunk, while changes "
			"flow; held, a single one of all tables, see SNAPSHOTS."},
	{.path = "ring_size",
		.type = OPTION_SIZE,
		.preset = "16MiB",
		.min = 64 * KiB,
		.max = GiB,
		.reload = RELOAD_CHANNEL,
		.help = "Shared memory between reader and writer for the stream; a power of two."},
	{.path = "load_ring_size",
		.type = OPTION_SIZE,
		.preset = "8MiB",
		.min = 64 * KiB,
		.max = GiB,
		.reload = RELOAD_CHANNEL,
		.help = "The same for each lane of the initial load."},
	{.path = "state_schema",
		.type = OPTION_STRING,
		.preset = "syncline",
		.kinds = "mysql postgresql",
		.reload = RELOAD_NEVER,
		.help = "Database at the target that holds our own tables."},
	{.path = "log_level",
		.type = OPTION_ENUM,
		.words = "debug info warn error",
		.reload = RELOAD_LIVE,
		.help = "Log level of this channel's workers; default: the daemon's."},
	{.path = NULL},
};

static const struct option daemon_rows[] = {
	{.path = "channels",
		.type = OPTION_PATH,
		.preset = "/etc/syncline/conf.d/*.conf",
		.reload = RELOAD_LIVE,
		.help = "Channel files, one channel each; a pattern."},
	{.path = "state_dir",
		.type = OPTION_PATH,
		.preset = "/var/lib/syncline",
		.reload = RELOAD_DAEMON,
		.help = "Directory of the state store."},
	{.path = "run_dir",
		.type = OPTION_PATH,
		.preset = "/run/syncline",
		.reload = RELOAD_DAEMON,
		.help = "Directory of the control socket and the pid file."},
	{.path = "libexec_dir",
		.type = OPTION_PATH,
		.reload = RELOAD_DAEMON,
		.help = "Directory of the worker programs; default: where they were installed."},
	{.path = "socket_mode",
		.type = OPTION_STRING,
		.preset = "0660",
		.reload = RELOAD_DAEMON,
		.help = "Mode of the control socket, octal."},
	{.path = "socket_group",
		.type = OPTION_STRING,
		.reload = RELOAD_DAEMON,
		.help = "Group whose members may use the control socket; default: the daemon's own "
			"user and root only."},
	{.path = "metrics_listen",
		.type = OPTION_STRING,
		.preset = "127.0.0.1:9187",
		.reload = RELOAD_DAEMON,
		.help = "Address and port of /metrics, or \"off\"."},
	{.path = "log_file",
		.type = OPTION_PATH,
		.reload = RELOAD_DAEMON,
		.help = "Log file; default: standard error."},
	{.path = "log_level",
		.type = OPTION_ENUM,
		.preset = "info",
		.words = "debug info warn error",
		.reload = RELOAD_LIVE,
		.help = "Least level that is logged."},
	{.path = "log_format",
		.type = OPTION_ENUM,
		.preset = "text",
		.words = "text json",
		.reload = RELOAD_LIVE,
		.help = "Form of a log line."},
	{.path = "drain_timeout",
		.type = OPTION_DURATION,
		.preset = "30s",
		.min = 0,
		.max = HOUR,
		.reload = RELOAD_LIVE,
		.help = "How long a stop waits for rings to empty before it ends at the last "
			"commit."},
	{.path = "start_timeout",
		.type = OPTION_DURATION,
		.preset = "60s",
		.min = SECOND,
		.max = HOUR,
		.reload = RELOAD_LIVE,
		.help = "How long a pair may take to start and to open its target; its source, "
			"which "
			"reads the schemas of all tables, may take five times as long."},
	{.path = "heartbeat_timeout",
		.type = OPTION_DURATION,
		.preset = "10s",
		.min = SECOND,
		.max = HOUR,
		.reload = RELOAD_LIVE,
		.help = "A worker that reports nothing for this long is replaced."},
	{.path = "restart_delay_min",
		.type = OPTION_DURATION,
		.preset = "100ms",
		.min = 10,
		.max = HOUR,
		.reload = RELOAD_LIVE,
		.help = "Delay before the first restart of a failed pair; it doubles with each "
			"further failure."},
	{.path = "restart_delay_max",
		.type = OPTION_DURATION,
		.preset = "1s",
		.min = 10,
		.max = HOUR,
		.reload = RELOAD_LIVE,
		.help = "The longest such delay: a server that comes back is noticed this soon."},
	{.path = "history",
		.type = OPTION_DURATION,
		.preset = "7d",
		.min = HOUR,
		.max = 366 * 24 * HOUR,
		.reload = RELOAD_LIVE,
		.help = "How long metrics and events are kept."},
	{.path = NULL},
};

const struct option *
channel_options(void)
{
	return channel_rows;
}

const struct option *
daemon_options(void)
{
	return daemon_rows;
}
