/*
 * ddl_follow.c - holds what ddl_apply makes of statements against a real server's catalog.
 *
 *     ddl_follow SOCKET DATABASE < statements, one a line
 *
 * Runs each at the server and applies it to the schema of table t kept here.
 * CREATE TABLE t begins with a fresh database. A difference is printed and
 * counted; so is a statement that ddl_apply is not sure of, and its reason, and
 * one that this server does not know.
 */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl_apply.h"
#include "common/mysql/describe.h"

static struct client client;
static const char *db;
static struct table *table;
static char collation[64];
static unsigned statements, different, unsure, refused;

static void
print_columns(const struct table *t, struct buf *b)
{
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		buf_printf(b,
			"  %s %s (%s) unsigned=%d null=%d generated=%d auto=%d %u %u.%u %s %s",
			c->name, type_name(c->type), c->native, c->is_unsigned, c->nullable,
			c->generated, c->auto_increment, c->length, c->precision, c->scale,
			c->charset != NULL ? c->charset : "-",
			c->collation != NULL ? c->collation : "-");
		for (uint32_t k = 0; k < c->nlabels; k++)
			buf_printf(b, " '%s'", c->labels[k]);
		buf_putc(b, '\n');
	}
}

static void
print_keys(const struct table *t, struct buf *b)
{
	for (uint32_t i = 0; i < t->nindexes; i++) {
		const struct index *ix = &t->indexes[i];

		buf_printf(b, "  index %s primary=%d unique=%d", ix->name, ix->primary, ix->unique);
		for (uint32_t k = 0; k < ix->nparts; k++)
			buf_printf(b, " %d(%u)", (int)ix->parts[k].column, ix->parts[k].prefix);
		buf_putc(b, '\n');
	}
	for (uint32_t i = 0; i < t->nfks; i++) {
		const struct foreign_key *k = &t->fks[i];

		buf_printf(b, "  foreign key %s to %s.%s %d %d", k->name, k->ref_db, k->ref_table,
			k->on_delete, k->on_update);
		for (uint32_t j = 0; j < k->ncolumns; j++)
			buf_printf(b, " %u:%s", k->columns[j], k->ref_columns[j]);
		buf_putc(b, '\n');
	}
}

static void
print_table(const struct table *t, struct buf *b)
{
	buf_printf(b, "%s.%s engine=%s\n", t->db, t->name, t->engine != NULL ? t->engine : "-");
	print_columns(t, b);
	print_keys(t, b);
}

static void
must(enum rc rc, const struct err *e)
{
	if (rc == RC_OK)
		return;
	printf("SERVER %s\n", e->text);
	exit(2);
}

static void
begin(void)
{
	struct err e;

	table_free(table);
	table = table_new(db, "t");
	snprintf(collation, sizeof collation, "utf8mb4_general_ci");
	must(client_run(&client, &e, "DROP DATABASE IF EXISTS %s", db), &e);
	must(client_run(&client, &e,
		     "CREATE DATABASE %s CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", db),
		&e);
	must(client_run(&client, &e, "USE %s", db), &e);
	must(client_run(&client, &e,
		     "CREATE TABLE p (id INT PRIMARY KEY, x INT, y INT, UNIQUE KEY (x, y))"),
		&e);
}

static void
compare(const char *sql, enum ddl_apply_result result, const char *why)
{
	struct table_list list = {0};
	struct buf ours, theirs;
	struct err e;

	must(mysql_describe(&client, db, table->name, &list, &e), &e);
	if (list.count != 1) {
		printf("NO TABLE %s after %s\n", table->name, sql);
		exit(2);
	}
	buf_init(&ours);
	buf_init(&theirs);
	print_table(table, &ours);
	print_table(list.tables[0], &theirs);
	if (result == DDL_UNSURE) {
		printf("UNSURE %s: %s\n", why, sql);
		unsure++;
	} else if (strcmp(buf_text(&ours), buf_text(&theirs)) != 0) {
		printf("DIFFERENT %s\n ours\n%s server's\n%s", sql, buf_text(&ours),
			buf_text(&theirs));
		different++;
	}
	buf_release(&ours);
	buf_release(&theirs);
	table_free(table);
	table = list.tables[0];
	list.tables[0] = NULL;
	table_list_release(&list);
}

static void
follow(const char *sql)
{
	struct ddl_env env = {.mariadb = client.server.mariadb,
		.version = client.server.version,
		.collation = collation,
		.engine = "InnoDB",
		.explicit_timestamp = DDL_YES};
	enum ddl_apply_result result;
	const char *why, *now;
	struct ddl d;
	struct err e;

	if (client_run(&client, &e, "%s", sql) != RC_OK) {
		printf("REFUSED %s: %s\n", sql, e.text);
		refused++;
		return;
	}
	statements++;
	ddl_parse(&d, sql, strlen(sql), false, false, db);
	result = ddl_apply(table, &d, &env, &why);
	now = ddl_table_collation(&d, &env);
	if (now != NULL && now != collation)
		snprintf(collation, sizeof collation, "%s", now);
	ddl_release(&d);
	compare(sql, result, why);
}

int
main(int argc, char **argv)
{
	static char line[65536];
	struct conf *conf = conf_new(channel_options());
	struct err e;

	if (argc != 3)
		return 2;
	db = argv[2];
	must(conf_set(conf, "source.kind", "mysql", "here", &e), &e);
	must(conf_set(conf, "source.socket", argv[1], "here", &e), &e);
	must(conf_set(conf, "source.user", "root", "here", &e), &e);
	must(client_open(&client, conf, "source", "", &e), &e);
	must(client_run(&client, &e, "SET NAMES utf8mb4, sql_mode = DEFAULT"), &e);
	must(client_run(&client, &e, "SET explicit_defaults_for_timestamp = 1"), &e);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "CREATE TABLE t ", 15) == 0)
			begin();
		if (*line != '\0')
			follow(line);
	}
	table_free(table);
	client_close(&client);
	conf_free(conf);
	printf("%u statements, %u different, %u unsure, %u refused\n", statements, different,
		unsure, refused);
	return different != 0;
}
