/* value.c - see value.h. */
#include "common/compat.h"

#include <string.h>

#include "common/buf.h"
#include "common/value.h"

static const struct {
	const char *name;
	enum value_layout layout;
} types[TYPE_COUNT] = {
#define X(symbol, name, layout) [TYPE_##symbol] = {name, layout},
	TYPE_LIST(X)
#undef X
};

const char *
type_name(enum type t)
{
	return t < TYPE_COUNT ? types[t].name : "unknown";
}

enum value_layout
type_layout(enum type t)
{
	return t < TYPE_COUNT ? types[t].layout : LAYOUT_BYTES;
}

bool
value_equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind != VALUE_BYTES)
		return true;
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

int64_t
value_i64(const struct value *v)
{
	return v->len == 8 ? (int64_t)get_u64(v->data) : 0;
}
