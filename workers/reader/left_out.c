/* left_out.c - see left_out.h. */
#include "common/compat.h"

#include "workers/reader/left_out.h"

#define NAMED 5 /* of each kind */

void
left_out_init(struct left_out *l)
{
	buf_init(&l->names);
	l->count = 0;
}

void
left_out_add(struct left_out *l, const char *db, const char *table, const char *name)
{
	if (++l->count > NAMED)
		return;
	buf_printf(&l->names, "%s%s%s%s%s%s", l->count > 1 ? ", " : "", db,
		*table == '\0' && *name == ' ' ? "" : ".", table, *table != '\0' ? " " : "", name);
}

bool
left_out_tell(struct left_out *l, const char *item, const char *what, const char *remedy,
	struct checks *out)
{
	if (l->count > NAMED)
		buf_printf(&l->names, " and %u more", l->count - NAMED);
	if (l->count != 0)
		checks_add(out, CHECK_WARN, item, remedy, "%s: %s", what, buf_text(&l->names));
	buf_release(&l->names);
	return l->count != 0;
}
