/* gap.c - the source's log does not have what the channel needs: which of the ways it came to that.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"

#define BINLOG_FATAL 1236

/* Whatever place it starts at, the server sends the file's first event first. */
static enum rc
read_begun(struct client *c, uint32_t *begun, struct err *e)
{
	struct binlog_format format = {0};
	enum rc rc = RC_OK;

	while (rc == RC_OK && *begun == 0) {
		const unsigned char *p;
		struct binlog_event ev;
		size_t n;

		rc = client_dump_next(c, &p, &n, e);
		if (rc == RC_OK)
			rc = binlog_split(&format, p, n, &ev, e);
		if (rc == RC_OK && ev.type == FORMAT_DESCRIPTION_EVENT)
			*begun = ev.time;
	}
	return rc == RC_AGAIN ? RC_OK : rc;
}

enum rc
mysql_log_begun(
	struct mysql_source *s, const struct mysql_position *at, uint32_t *begun, struct err *e)
{
	struct client c;
	enum rc rc = client_open(&c, s->env.conf, "source", SOURCE_SQL_MODE, e);

	*begun = 0;
	if (rc != RC_OK)
		return rc;
	rc = mysql_prepare_dump(&c, e);
	/* 0 is the id of those that only look: no replica is taken for them. */
	if (rc == RC_OK)
		rc = client_dump(&c, 0, at->file,
			at->offset <= UINT32_MAX ? (uint32_t)at->offset : 4, NULL, e);
	if (rc == RC_OK)
		rc = read_begun(&c, begun, e);
	client_close(&c);
	return rc != RC_OK && e->code == BINLOG_FATAL ? RC_OK : rc;
}

struct facts {
	struct mysql_position end;
	char *oldest; /* file; NULL: not known */
	char *executed;
	bool ahead; /* the channel's place is not in this log, and was not before its beginning */
};

static bool
is_ahead(struct mysql_source *s, const struct mysql_position *at, struct facts *f)
{
	struct gtid_set executed;
	struct err ignored;
	bool ahead = false;

	if (!s->use_gtid || !at->has_gtids)
		return logpos_cmp(position_at(at->file, at->offset),
			       position_at(f->end.file, f->end.offset)) > 0;
	gtid_init(&executed, s->main.server.mariadb);
	if (mysql_executed(s, &f->executed, &ignored) == RC_OK &&
		gtid_parse(&executed, s->main.server.mariadb,
			f->executed != NULL ? f->executed : "", &ignored) == RC_OK)
		ahead = !gtid_within(&at->gtids, &executed);
	gtid_release(&executed);
	return ahead;
}

static void
look(struct mysql_source *s, const struct mysql_position *at, struct facts *f)
{
	struct err ignored;

	*f = (struct facts){0};
	position_init(&f->end, s->main.server.mariadb);
	if (position_of_log_end(&s->main, &f->end, &ignored) != RC_OK)
		return;
	if (client_value(&s->main, &f->oldest, &ignored, "SHOW BINARY LOGS") != RC_OK)
		f->oldest = NULL;
	f->ahead = is_ahead(s, at, f);
}

enum rc
mysql_log_begun_anew(struct mysql_source *s, const struct mysql_position *at, struct err *e)
{
	struct facts f;
	struct buf b;

	look(s, at, &f);
	buf_init(&b);
	position_print(at, &b);
	err_set(e, RC_CONFIG,
		"the log of the %s does not have what the target has: the channel stands at %s, "
		"the log ends at %s:%llu%s%s; it was begun anew (RESET MASTER), or the server was "
		"put back to an older backup",
		s->main.name, buf_text(&b), f.end.file, (unsigned long long)f.end.offset,
		f.executed != NULL ? " gtid=" : "", f.executed != NULL ? f.executed : "");
	err_remedy(e,
		"see which of the two servers is right; then load everything again: `syncline "
		"reset %s`, drop the channel's tables at the target, `syncline start %s`",
		s->env.channel, s->env.channel);
	buf_release(&b);
	position_release(&f.end);
	free(f.oldest);
	free(f.executed);
	return e->rc;
}

enum rc
mysql_log_is_same(struct mysql_source *s, const struct mysql_position *at, struct err *e)
{
	uint32_t begun = 0;
	char *oldest = NULL;
	enum rc rc = RC_OK;

	if (at->begun != 0)
		rc = mysql_log_begun(s, at, &begun, e);
	if (rc != RC_OK || begun == at->begun)
		return rc;
	/* A file that is not there any more may have been purged: the server says so itself, if
	 * it matters. */
	if (begun == 0)
		rc = client_value(&s->main, &oldest, e, "SHOW BINARY LOGS");
	if (rc == RC_OK &&
		(oldest == NULL || position_at(oldest, 0).file <= position_at(at->file, 0).file))
		rc = mysql_log_begun_anew(s, at, e);
	free(oldest);
	return rc;
}

static enum rc
purged(struct mysql_source *s, const struct mysql_position *at, const char *oldest, struct err *e)
{
	struct buf b;

	buf_init(&b);
	position_print(at, &b);
	err_set(e, RC_CONFIG,
		"the %s has purged the log that the channel needs: the channel stands at %s, the "
		"oldest file there is %s",
		s->main.name, buf_text(&b), oldest);
	buf_release(&b);
	return err_remedy(e,
		"keep the log longer at the source (binlog_expire_logs_seconds, "
		"expire_logs_days); then load everything again: `syncline reset %s`, drop the "
		"channel's tables at the target, `syncline start %s`",
		s->env.channel, s->env.channel);
}

enum rc
mysql_log_refused(struct mysql_source *s, const struct mysql_position *at, struct err *e)
{
	struct facts f;
	bool gone;

	look(s, at, &f);
	gone = f.oldest != NULL &&
	       (strstr(e->text, "purged") != NULL ||
		       (*at->file != '\0' &&
			       position_at(at->file, 0).file < position_at(f.oldest, 0).file));
	if (f.ahead || gone)
		log_info("%s", e->text);
	if (f.ahead)
		(void)mysql_log_begun_anew(s, at, e);
	else if (gone)
		(void)purged(s, at, f.oldest, e);
	else
		err_remedy(e,
			"its error log says more, and mysqlbinlog whether the file is sound; what "
			"cannot be read is passed only by loading everything again: `syncline "
			"reset %s`, drop the channel's tables at the target, `syncline start %s`",
			s->env.channel, s->env.channel);
	position_release(&f.end);
	free(f.oldest);
	free(f.executed);
	return e->rc;
}
