/* kind.c - see kind.h. */
#include "common/compat.h"

#include <string.h>

#include "common/kind.h"

bool
kind_logs_cascades(const char *kind)
{
	return strcmp(kind, "postgresql") == 0;
}
