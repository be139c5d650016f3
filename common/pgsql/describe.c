/* describe.c - see describe.h. */
#include "common/compat.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pgsql/describe.h"

#define MODIFIER_OFFSET 4
#define MICROSECONDS 6

static const struct {
	const char *name;
	enum type type;
} types[] = {
	{"int2", TYPE_INTEGER},
	{"int4", TYPE_INTEGER},
	{"int8", TYPE_INTEGER},
	{"bool", TYPE_INTEGER},
	{"oid", TYPE_INTEGER},
	{"float4", TYPE_FLOAT},
	{"float8", TYPE_DOUBLE},
	{"numeric", TYPE_DECIMAL},
	{"date", TYPE_DATE},
	{"time", TYPE_TIME},
	{"timestamp", TYPE_DATETIME},
	{"timestamptz", TYPE_TIMESTAMP},
	{"bytea", TYPE_BINARY},
	{"bit", TYPE_BIT},
	{"json", TYPE_JSON},
	{"jsonb", TYPE_JSON},
};

static bool
is_text(const char *typname)
{
	return strcmp(typname, "text") == 0 || strcmp(typname, "varchar") == 0 ||
	       strcmp(typname, "bpchar") == 0 || strcmp(typname, "name") == 0 ||
	       strcmp(typname, "char") == 0;
}

static void
set_decimal(struct column *c, int32_t typmod)
{
	int32_t scale;

	if (typmod < MODIFIER_OFFSET) { /* any number of digits, each value as many as it has */
		c->type = TYPE_TEXT;
		return;
	}
	typmod -= MODIFIER_OFFSET;
	c->precision = (uint32_t)typmod >> 16 & 0xffff;
	scale = ((typmod & 0x7ff) ^ 1024) - 1024;
	if (scale < 0)
		c->type = TYPE_TEXT;
	else
		c->scale = (uint32_t)scale;
}

void
pgsql_column_type(struct column *c, const char *typname, int32_t typmod)
{
	c->type = TYPE_TEXT;
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (strcmp(types[i].name, typname) == 0)
			c->type = types[i].type;
	c->is_unsigned = strcmp(typname, "oid") == 0;
	switch (c->type) {
	case TYPE_DECIMAL:
		set_decimal(c, typmod);
		break;
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		c->scale = typmod >= 0 ? (uint32_t)typmod : MICROSECONDS;
		break;
	case TYPE_BIT:
		c->length = typmod > 0 ? (uint32_t)typmod : 1;
		break;
	case TYPE_TEXT:
		if (is_text(typname) && typmod > MODIFIER_OFFSET)
			c->length = (uint32_t)(typmod - MODIFIER_OFFSET);
		break;
	case TYPE_INTEGER:
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_DATE:
	case TYPE_YEAR:
	case TYPE_BINARY:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		break;
	}
	if (c->type == TYPE_TEXT)
		c->charset = xstrdup("utf8mb4");
}

void
pgsql_operator(struct pgsql *c, struct buf *b, const char *op, const struct column *col)
{
	char *schema = NULL;
	struct err ignored;
	struct buf type;

	if (strchr(col->native, '.') == NULL) { /* of the server's own */
		buf_printf(b, " %s ", op);
		return;
	}
	buf_init(&type);
	pgsql_quote_text(&type, col->native);
	if (pgsql_value(c, &schema, &ignored,
		    "SELECT quote_ident(n.nspname) FROM pg_type t JOIN pg_opclass o ON o.opcintype "
		    "= "
		    "CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END AND o.opcdefault "
		    "JOIN "
		    "pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree' JOIN pg_amop p ON "
		    "p.amopfamily = o.opcfamily AND p.amoplefttype = o.opcintype AND "
		    "p.amoprighttype = o.opcintype AND p.amopstrategy = 3 JOIN pg_operator r ON "
		    "r.oid "
		    "= p.amopopr JOIN pg_namespace n ON n.oid = r.oprnamespace WHERE t.oid = "
		    "%s::regtype",
		    buf_text(&type)) == RC_OK &&
		schema != NULL)
		buf_printf(b, " OPERATOR(%s.%s) ", schema, op);
	else
		buf_printf(b, " %s ", op);
	free(schema);
	buf_release(&type);
}

/* On n(amespace) and c(lass). */
static void
add_filter(const struct pgsql *c, struct buf *b, const char *schema, const char *name)
{
	buf_puts(b, "c.relkind IN ('r', 'p') AND ");
	if (c->version >= 100000)
		buf_puts(b, "NOT c.relispartition AND ");
	if (schema == NULL) {
		buf_puts(b, "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'");
		return;
	}
	buf_puts(b, "n.nspname = ");
	pgsql_quote_text(b, schema);
	if (name != NULL) {
		buf_puts(b, " AND c.relname = ");
		pgsql_quote_text(b, name);
	}
}

#define FROM_TABLES "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "

static enum rc
read_tables(struct pgsql *c, const char *filter, struct table_list *out, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(c, &res, e,
		"SELECT n.nspname, c.relname, greatest(c.reltuples, 0)::bigint, "
		"c.relpages::bigint * current_setting('block_size')::bigint " FROM_TABLES
		"WHERE %s ORDER BY 1, 2",
		filter);

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res); i++) {
		struct table *t = table_new(PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));

		t->rows = strtoull(PQgetvalue(res, i, 2), NULL, 10);
		t->bytes = strtoull(PQgetvalue(res, i, 3), NULL, 10);
		table_list_add(out, t);
	}
	PQclear(res);
	return RC_OK;
}

static void
read_column(struct table *t, const PGresult *res, int i)
{
	const char *typname = PQgetvalue(res, i, 4);
	struct column *col = table_add_column(t, PQgetvalue(res, i, 2), TYPE_TEXT);

	col->number = (uint32_t)strtoul(PQgetvalue(res, i, 11), NULL, 10);
	col->native = xstrdup(PQgetvalue(res, i, 3));
	col->nullable = *PQgetvalue(res, i, 6) == 'f';
	col->auto_increment = *PQgetvalue(res, i, 7) != '\0' || *PQgetvalue(res, i, 10) == 't';
	col->generated = *PQgetvalue(res, i, 8) != '\0';
	pgsql_column_type(col, typname, (int32_t)strtol(PQgetvalue(res, i, 5), NULL, 10));
	if (is_text(typname) && *PQgetvalue(res, i, 9) == 't')
		col->collation = xstrdup("binary");
}

static void
columns_query(int version, const char *filter, struct buf *b)
{
	buf_printf(b,
		"SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), "
		"coalesce(b.typname, t.typname), "
		"CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END, "
		"a.attnotnull, %s, %s, %s, "
		"coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false), "
		"a.attnum " FROM_TABLES
		"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
		"JOIN pg_type t ON t.oid = a.atttypid "
		"LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype "
		"LEFT JOIN pg_collation l ON l.oid = a.attcollation "
		"LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
		"WHERE %s ORDER BY 1, 2, a.attnum",
		version >= 100000 ? "a.attidentity" : "''::text",
		version >= 120000 ? "a.attgenerated" : "''::text",
		version >= 120000 ? "coalesce(l.collisdeterministic, true)" : "true", filter);
}

static void
take_columns(const PGresult *res, struct table_list *out)
{
	size_t hint = 0;

	for (int i = 0; i < PQntuples(res); i++) {
		struct table *t =
			table_list_find(out, &hint, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));

		if (t != NULL)
			read_column(t, res, i);
	}
}

/* A part that is an expression, or the whole of an index over some of the rows: never a key. */
static void
indexes_query(int version, const char *filter, struct buf *b)
{
	buf_printf(b,
		"SELECT n.nspname, c.relname, i.relname, x.indisprimary, "
		"x.indisunique OR x.indisexclusion, %s, k.ord, "
		"CASE WHEN x.indpred IS NULL AND NOT x.indisexclusion THEN a.attname "
		"END, (SELECT o.condeferred FROM pg_constraint o WHERE o.conindid = x.indexrelid "
		"AND "
		"o.condeferrable AND o.contype IN ('p', 'u', 'x')) " FROM_TABLES
		"JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid "
		"CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY k (attnum, ord) "
		"LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum "
		"WHERE k.ord <= %s AND %s ORDER BY 1, 2, NOT x.indisprimary, 3, k.ord",
		version >= 150000 ? "x.indnullsnotdistinct" : "false",
		version >= 110000 ? "x.indnkeyatts" : "x.indnatts", filter);
}

static void
take_indexes(const PGresult *res, struct table_list *out)
{
	struct index *ix = NULL;
	size_t hint = 0;

	for (int i = 0; i < PQntuples(res); i++) {
		struct table *t =
			table_list_find(out, &hint, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));

		if (t == NULL)
			continue;
		if (ix == NULL || strcmp(PQgetvalue(res, i, 6), "1") == 0) {
			ix = table_add_index(t, PQgetvalue(res, i, 2),
				*PQgetvalue(res, i, 3) == 't', *PQgetvalue(res, i, 4) == 't');
			ix->nulls_equal = *PQgetvalue(res, i, 5) == 't';
			ix->deferral = PQgetisnull(res, i, 8)	       ? DEFERRAL_NONE
				       : *PQgetvalue(res, i, 8) == 't' ? DEFERRAL_BEGINS
								       : DEFERRAL_MAY;
		}
		index_add_part(ix,
			PQgetisnull(res, i, 7) ? UINT32_MAX
					       : table_column(t, PQgetvalue(res, i, 7)),
			0);
	}
}

static enum fk_action
action(char code)
{
	switch (code) {
	case 'c':
		return FK_CASCADE;
	case 'n':
		return FK_SET_NULL;
	case 'd':
		return FK_SET_DEFAULT;
	default:
		return FK_NONE;
	}
}

/* What a foreign key ends with, but for NOT VALID: ours are looked at by nobody. */
#define FK_ACTION "(?:CASCADE|RESTRICT|SET NULL|SET DEFAULT)(?: \\([^)]*\\))?"
#define FK_CLAUSE                                                                \
	"((?: MATCH FULL)?(?: ON UPDATE " FK_ACTION ")?(?: ON DELETE " FK_ACTION \
	")?(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?(?: NOT ENFORCED)?)(?: NOT VALID)?$"

static void
fks_query(int version, const char *filter, struct buf *b)
{
	buf_printf(b,
		"SELECT n.nspname, c.relname, o.conname, a.attname, fn.nspname, f.relname, "
		"fa.attname, k.ord, o.confdeltype, o.confupdtype, "
		"substring(pg_get_constraintdef(o.oid) from '" FK_CLAUSE "') " FROM_TABLES
		"JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype = 'f' "
		"JOIN pg_class f ON f.oid = o.confrelid "
		"JOIN pg_namespace fn ON fn.oid = f.relnamespace "
		"CROSS JOIN LATERAL unnest(o.conkey, o.confkey) "
		"WITH ORDINALITY k (att, ref, ord) "
		"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.att "
		"JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = k.ref "
		"WHERE %s%s ORDER BY 1, 2, 3, k.ord",
		filter, version >= 110000 ? " AND o.conparentid = 0" : "");
}

static void
take_fks(const PGresult *res, struct table_list *out)
{
	struct foreign_key *fk = NULL;
	size_t hint = 0;

	for (int i = 0; i < PQntuples(res); i++) {
		struct table *t =
			table_list_find(out, &hint, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));
		uint32_t n;

		if (t == NULL)
			continue;
		if (fk == NULL || strcmp(PQgetvalue(res, i, 7), "1") == 0) {
			fk = table_add_fk(t, PQgetvalue(res, i, 2));
			fk->ref_db = xstrdup(PQgetvalue(res, i, 4));
			fk->ref_table = xstrdup(PQgetvalue(res, i, 5));
			fk->on_delete = action(*PQgetvalue(res, i, 8));
			fk->on_update = action(*PQgetvalue(res, i, 9));
			fk->in_log = true;
			fk->clause = xstrdup(PQgetvalue(res, i, 10));
		}
		n = fk->ncolumns++;
		fk->columns = xreallocarray(fk->columns, n + 1, sizeof *fk->columns);
		fk->ref_columns = xreallocarray(fk->ref_columns, n + 1, sizeof *fk->ref_columns);
		fk->columns[n] = table_column(t, PQgetvalue(res, i, 3));
		fk->ref_columns[n] = xstrdup(PQgetvalue(res, i, 6));
	}
}

/* ---- the parts of a table beside its name ---- */

static const struct {
	void (*query)(int version, const char *filter, struct buf *b);
	void (*take)(const PGresult *res, struct table_list *out);
	int fields; /* that the query gives, and so a note's line of this kind must have */
} parts[] = {
	[PGSQL_COLUMNS] = {columns_query, take_columns, 12},
	[PGSQL_INDEXES] = {indexes_query, take_indexes, 9},
	[PGSQL_FKS] = {fks_query, take_fks, 11},
};

static_assert(COUNT_OF(parts) == PGSQL_PARTS, "a part has no row");

void
pgsql_part_query(enum pgsql_part part, int version, const char *filter, struct buf *b)
{
	parts[part].query(version, filter, b);
}

int
pgsql_part_fields(enum pgsql_part part)
{
	return parts[part].fields;
}

void
pgsql_part_take(enum pgsql_part part, const PGresult *res, struct table_list *out)
{
	parts[part].take(res, out);
}

static enum rc
read_part(struct pgsql *c, enum pgsql_part part, const char *filter, struct table_list *out,
	struct err *e)
{
	PGresult *res;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_part_query(part, c->version, filter, &b);
	rc = pgsql_query(c, &res, e, "%s", buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	if (PQnfields(res) != parts[part].fields)
		bug("part %d of a table has %d fields", (int)part, PQnfields(res));
	pgsql_part_take(part, res, out);
	PQclear(res);
	return RC_OK;
}

enum rc
pgsql_describe(struct pgsql *c, const char *schema, const char *name, struct table_list *out,
	struct err *e)
{
	struct buf filter;
	enum rc rc;

	buf_init(&filter);
	add_filter(c, &filter, schema, name);
	rc = read_tables(c, buf_text(&filter), out, e);
	for (unsigned part = 0; part < PGSQL_PARTS && rc == RC_OK && out->count != 0; part++)
		rc = read_part(c, part, buf_text(&filter), out, e);
	buf_release(&filter);
	return rc;
}
