/* describe.c - see describe.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/token.h"

static const struct {
	const char *name;
	enum type type;
} types[] = {
	{"tinyint", TYPE_INTEGER},
	{"smallint", TYPE_INTEGER},
	{"mediumint", TYPE_INTEGER},
	{"int", TYPE_INTEGER},
	{"bigint", TYPE_INTEGER},
	{"float", TYPE_FLOAT},
	{"double", TYPE_DOUBLE},
	{"decimal", TYPE_DECIMAL},
	{"date", TYPE_DATE},
	{"time", TYPE_TIME},
	{"datetime", TYPE_DATETIME},
	{"timestamp", TYPE_TIMESTAMP},
	{"year", TYPE_YEAR},
	{"char", TYPE_TEXT},
	{"varchar", TYPE_TEXT},
	{"tinytext", TYPE_TEXT},
	{"text", TYPE_TEXT},
	{"mediumtext", TYPE_TEXT},
	{"longtext", TYPE_TEXT},
	{"bit", TYPE_BIT},
	{"enum", TYPE_ENUM},
	{"set", TYPE_SET},
	{"json", TYPE_JSON},
	{"geometry", TYPE_GEOMETRY},
	{"point", TYPE_GEOMETRY},
	{"linestring", TYPE_GEOMETRY},
	{"polygon", TYPE_GEOMETRY},
	{"multipoint", TYPE_GEOMETRY},
	{"multilinestring", TYPE_GEOMETRY},
	{"multipolygon", TYPE_GEOMETRY},
	{"geometrycollection", TYPE_GEOMETRY},
	{"geomcollection", TYPE_GEOMETRY},
};

/* The canonical type of a DATA_TYPE. */
static enum type
type_of(const char *data_type, const char *charset)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (strcasecmp(types[i].name, data_type) == 0)
			return types[i].type == TYPE_TEXT && charset == NULL ? TYPE_BINARY
									     : types[i].type;
	return TYPE_BINARY;
}

uint32_t
mysql_shown_bytes(const struct column *c)
{
	static const struct {
		const char *native;
		uint32_t bytes;
	} shown[] = {{"inet4", 4}, {"inet6", 16}, {"uuid", 16}, {"uuid /* old */", 16}};

	for (size_t i = 0; c->type == TYPE_BINARY && i < COUNT_OF(shown); i++)
		if (strcasecmp(shown[i].native, c->native) == 0)
			return shown[i].bytes;
	return 0;
}

static void
add_filter(struct client *c, struct buf *b, const char *schema, const char *table, const char *db,
	const char *name)
{
	if (db == NULL) {
		buf_printf(b, "%s NOT IN ('mysql','information_schema','performance_schema','sys')",
			schema);
		return;
	}
	buf_printf(b, "%s = ", schema);
	client_quote(c, b, db, strlen(db));
	if (name != NULL) {
		buf_printf(b, " AND %s = ", table);
		client_quote(c, b, name, strlen(name));
	}
}

static uint64_t
number(const char *s)
{
	return s != NULL ? strtoull(s, NULL, 10) : 0;
}

/* NULL for nothing. */
static char *
said(const char *s)
{
	return s != NULL && *s != '\0' ? xstrdup(s) : NULL;
}

static enum rc
read_tables(struct client *c, const char *filter, struct table_list *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(c, &res, e,
		"SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH, "
		"TABLE_COLLATION, TABLE_COMMENT FROM information_schema.TABLES t "
		"WHERE TABLE_TYPE = 'BASE TABLE' AND %s ORDER BY TABLE_SCHEMA, TABLE_NAME",
		filter);

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		struct table *t = table_new(row[0], row[1]);

		t->engine = row[2] != NULL ? xstrdup(row[2]) : NULL;
		t->rows = number(row[3]);
		t->bytes = number(row[4]);
		t->collation = row[5] != NULL ? xstrdup(row[5]) : NULL;
		t->comment = said(row[6]);
		table_list_add(out, t);
	}
	mysql_free_result(res);
	return RC_OK;
}

/* enum('a','b''c'): the labels, unquoted. */
static void
read_labels(struct column *col, const char *native)
{
	struct tokens t;
	struct tok k;

	tokens_init(&t, native, strlen(native), false, true);
	while ((k = tokens_next(&t)).kind != TOK_END) {
		if (k.kind != TOK_STRING)
			continue;
		col->labels = xreallocarray(col->labels, col->nlabels + 1, sizeof *col->labels);
		col->labels[col->nlabels++] = tok_name(&t, &k);
	}
}

static bool
is_moment(const struct column *col, const char *text)
{
	return (col->type == TYPE_DATETIME || col->type == TYPE_TIMESTAMP) &&
	       strncasecmp(text, "current_timestamp", strlen("current_timestamp")) == 0;
}

/*
 * MySQL tells a constant as it is, and says where it is none; MariaDB tells an
 * expression: 'text', 1.5, b'101', or something that is computed.
 */
static void
read_preset(struct column *col, const char *text, const char *extra, bool expression)
{
	bool bits = text[0] == 'b' && text[1] == '\'';
	struct tokens t;
	struct tok k;

	col->preset_now = is_moment(col, text);
	if (col->preset_now || strcasestr(extra, "DEFAULT_GENERATED") != NULL)
		return;
	if (!bits && !expression) {
		col->preset = xstrdup(text);
		return;
	}
	text += bits;
	tokens_init(&t, text, strlen(text), false, false);
	k = tokens_next(&t);
	if (k.kind == TOK_STRING)
		col->preset = tok_name(&t, &k);
	else if (strspn(text, "-+.0123456789eE") == strlen(text))
		col->preset = xstrdup(text);
}

static void
read_column(struct table *t, MYSQL_ROW row, bool expression)
{
	const char *data_type = row[3], *native = row[4], *extra = row[9];
	struct column *col = table_add_column(t, row[2], type_of(data_type, row[10]));

	col->native = xstrdup(native);
	col->is_unsigned = strstr(native, "unsigned") != NULL || col->type == TYPE_YEAR ||
			   col->type == TYPE_SET;
	col->nullable = strcmp(row[5], "YES") == 0;
	col->length = (uint32_t)number(row[6]);
	col->precision = (uint32_t)number(row[7]);
	if (col->type == TYPE_BIT)
		col->length = col->precision;
	col->scale =
		col->type == TYPE_DECIMAL ? (uint32_t)number(row[8]) : (uint32_t)number(row[12]);
	col->charset = row[10] != NULL ? xstrdup(row[10]) : NULL;
	col->collation = row[11] != NULL ? xstrdup(row[11]) : NULL;
	col->auto_increment = strstr(extra, "auto_increment") != NULL;
	col->generated = strstr(extra, "VIRTUAL") != NULL || strstr(extra, "STORED") != NULL ||
			 strstr(extra, "PERSISTENT") != NULL;
	if (col->type == TYPE_ENUM || col->type == TYPE_SET)
		read_labels(col, native);
	if (row[13] != NULL && !col->generated)
		read_preset(col, row[13], extra, expression);
	col->comment = said(row[14]);
}

bool
mysql_tells_expressions(const struct server *s)
{
	return s->mariadb && s->version >= 100207;
}

static enum rc
read_columns(struct client *c, const char *filter, struct table_list *out, struct err *e)
{
	bool expression = mysql_tells_expressions(&c->server);
	bool fractions = c->server.mariadb || c->server.version >= 50604;
	size_t hint = 0;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(c, &res, e,
		"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, "
		"IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, "
		"NUMERIC_PRECISION, NUMERIC_SCALE, EXTRA, CHARACTER_SET_NAME, COLLATION_NAME, "
		"%s, COLUMN_DEFAULT, COLUMN_COMMENT FROM information_schema.COLUMNS t WHERE %s "
		"ORDER BY TABLE_SCHEMA, TABLE_NAME, "
		"ORDINAL_POSITION",
		fractions ? "DATETIME_PRECISION" : "NULL", filter);

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		struct table *t = table_list_find(out, &hint, row[0], row[1]);

		if (t != NULL)
			read_column(t, row, expression);
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
read_indexes(struct client *c, const char *filter, struct table_list *out, struct err *e)
{
	struct index *ix = NULL;
	size_t hint = 0;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(c, &res, e,
		"SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, "
		"COLUMN_NAME, SUB_PART "
		"FROM information_schema.STATISTICS t WHERE %s ORDER BY TABLE_SCHEMA, TABLE_NAME, "
		"INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
		filter);

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		struct table *t = table_list_find(out, &hint, row[0], row[1]);

		if (t == NULL)
			continue;
		if (number(row[4]) == 1)
			ix = table_add_index(t, row[2], strcmp(row[2], "PRIMARY") == 0,
				strcmp(row[3], "0") == 0);
		index_add_part(ix, row[5] != NULL ? table_column(t, row[5]) : UINT32_MAX,
			(uint32_t)number(row[6]));
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum fk_action
action(const char *rule)
{
	if (strcmp(rule, "CASCADE") == 0)
		return FK_CASCADE;
	if (strcmp(rule, "SET NULL") == 0)
		return FK_SET_NULL;
	return strcmp(rule, "SET DEFAULT") == 0 ? FK_SET_DEFAULT : FK_NONE;
}

bool
mysql_logs_cascades(struct client *c)
{
	struct err ignored;
	char *native = NULL;
	bool logs = !c->server.mariadb && c->server.version >= 90600 &&
		    client_value(c, &native, &ignored, "SELECT @@innodb_native_foreign_keys") ==
			    RC_OK &&
		    native != NULL && strcmp(native, "0") == 0;

	free(native);
	return logs;
}

/* Each side of the join by itself: joined as such, the server opens every table that it has,
 * however they are filtered. */
#define ALONE "LIMIT 1000000000"

static enum rc
read_fks(struct client *c, const char *filter, const char *r_filter, struct table_list *out,
	struct err *e)
{
	struct foreign_key *fk = NULL;
	size_t hint = 0;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(c, &res, e,
		"SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.CONSTRAINT_NAME, t.COLUMN_NAME, "
		"t.REFERENCED_TABLE_SCHEMA, "
		"t.REFERENCED_TABLE_NAME, t.REFERENCED_COLUMN_NAME, t.ORDINAL_POSITION, "
		"r.DELETE_RULE, r.UPDATE_RULE "
		"FROM (SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE "
		"%s " ALONE ") r JOIN (SELECT * FROM information_schema.KEY_COLUMN_USAGE t WHERE "
		"t.REFERENCED_TABLE_NAME IS NOT NULL AND %s " ALONE ") t "
		"ON r.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = "
		"t.CONSTRAINT_NAME AND r.TABLE_NAME = t.TABLE_NAME "
		"ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME, t.CONSTRAINT_NAME, t.ORDINAL_POSITION",
		r_filter, filter);

	bool in_log;

	if (rc != RC_OK)
		return rc;
	in_log = mysql_num_rows(res) != 0 && mysql_logs_cascades(c);
	while ((row = mysql_fetch_row(res)) != NULL) {
		struct table *t = table_list_find(out, &hint, row[0], row[1]);
		uint32_t n;

		if (t == NULL)
			continue;
		if (number(row[7]) == 1) {
			fk = table_add_fk(t, row[2]);
			fk->ref_db = xstrdup(row[4]);
			fk->ref_table = xstrdup(row[5]);
			fk->on_delete = action(row[8]);
			fk->on_update = action(row[9]);
			fk->in_log = in_log;
		}
		if (fk == NULL)
			continue;
		n = fk->ncolumns++;
		fk->columns = xreallocarray(fk->columns, n + 1, sizeof *fk->columns);
		fk->ref_columns = xreallocarray(fk->ref_columns, n + 1, sizeof *fk->ref_columns);
		fk->columns[n] = table_column(t, row[3]);
		fk->ref_columns[n] = xstrdup(row[6]);
	}
	mysql_free_result(res);
	return RC_OK;
}

enum rc
mysql_describe(
	struct client *c, const char *db, const char *name, struct table_list *out, struct err *e)
{
	struct buf filter, r_filter;
	enum rc rc;

	buf_init(&filter);
	buf_init(&r_filter);
	add_filter(c, &filter, "t.TABLE_SCHEMA", "t.TABLE_NAME", db, name);
	add_filter(c, &r_filter, "r.CONSTRAINT_SCHEMA", "r.TABLE_NAME", db, name);
	rc = client_run(c, e, "SET NAMES utf8mb4");
	if (rc == RC_OK)
		rc = read_tables(c, buf_text(&filter), out, e);
	if (rc == RC_OK && out->count != 0)
		rc = read_columns(c, buf_text(&filter), out, e);
	if (rc == RC_OK && out->count != 0)
		rc = read_indexes(c, buf_text(&filter), out, e);
	if (rc == RC_OK && out->count != 0)
		rc = read_fks(c, buf_text(&filter), buf_text(&r_filter), out, e);
	if (rc == RC_OK)
		rc = client_run(c, e, "SET NAMES binary");
	buf_release(&filter);
	buf_release(&r_filter);
	return rc;
}
