/* sink.c - the list of sink engines. */
#include "common/compat.h"

#include <string.h>

#include "workers/writer/sink.h"

#define SINK(ops) extern const struct sink_ops ops;
#include "workers/writer/sinks.def"
#undef SINK

static const struct sink_ops *const engines[] = {
#define SINK(ops) &(ops),
#include "workers/writer/sinks.def"
#undef SINK
};

const struct sink_ops *
sink_find(const char *kind)
{
	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (strcmp(engines[i]->kind, kind) == 0)
			return engines[i];
	return NULL;
}
