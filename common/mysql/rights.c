/* rights.c - see rights.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mysql/rights.h"

enum rc
rights_account(struct client *c, struct buf *out, struct err *e)
{
	char *account = NULL;
	const char *at;
	enum rc rc = client_value(c, &account, e, "SELECT CURRENT_USER()");

	if (rc != RC_OK)
		return rc;
	at = account != NULL ? strrchr(account, '@') : NULL;
	if (at == NULL)
		rc = err_set(e, RC_DATA, "%s names no account of ours", c->name);
	else
		buf_printf(out, "'%.*s'@'%s'", (int)(at - account), account, at + 1);
	free(account);
	return rc;
}

static bool
lists(const char *rights, size_t len, MYSQL_RES *res)
{
	MYSQL_ROW row;

	mysql_data_seek(res, 0);
	while ((row = mysql_fetch_row(res)) != NULL)
		if (row[0] != NULL && strlen(row[0]) == len &&
			strncasecmp(row[0], rights, len) == 0)
			return true;
	return false;
}

static bool
has_role(struct client *c)
{
	char *role = NULL;
	struct err ignored;
	bool has;

	/* Servers without roles do not know the function. */
	if (client_value(c, &role, &ignored, "SELECT CURRENT_ROLE()") != RC_OK)
		return false;
	has = role != NULL && strcasecmp(role, "NONE") != 0;
	free(role);
	return has;
}

enum rc
rights_missing(struct client *c, const char *db, const char *rights, struct buf *missing,
	bool *certain, struct err *e)
{
	struct buf account, grantee, name;
	const char *comma = "";
	MYSQL_RES *res = NULL;
	enum rc rc;

	buf_init(&account);
	buf_init(&grantee);
	buf_init(&name);
	rc = rights_account(c, &account, e);
	if (rc == RC_OK) {
		client_quote(c, &grantee, buf_text(&account), account.len);
		client_quote(c, &name, db != NULL ? db : "", db != NULL ? strlen(db) : 0);
		rc = client_query(c, &res, e,
			"SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES "
			"WHERE GRANTEE = %s UNION SELECT PRIVILEGE_TYPE FROM "
			"information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = %s AND %s LIKE "
			"TABLE_SCHEMA",
			buf_text(&grantee), buf_text(&grantee), buf_text(&name));
	}
	while (rc == RC_OK && *rights != '\0') {
		size_t n = strcspn(rights, ",");

		if (!lists(rights, n, res)) {
			buf_printf(missing, "%s%.*s", comma, (int)n, rights);
			comma = ", ";
		}
		rights += n + (rights[n] == ',');
	}
	*certain = rc == RC_OK && !has_role(c);
	if (res != NULL)
		mysql_free_result(res);
	buf_release(&account);
	buf_release(&grantee);
	buf_release(&name);
	return rc;
}
