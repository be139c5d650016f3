/* collation.c - see collation.h. */
#include "common/compat.h"

#include <string.h>

#include "common/collation.h"

/*
 * Under these, for values of the characters 0x20-0x7E, equality is equality
 * after folding A-Z (trailing spaces cut: coarser where they count). Not in it:
 * what maps letters onto others (roman_ci has 'j' = 'i') or treats pairs of
 * letters as one (danish, spanish2, croatian, hungarian, ...), or has an order of its
 * own among signs (gbk_chinese_ci).
 */
static const char *const folding[] = {
	"utf8mb4_general_ci",
	"utf8mb4_unicode_ci",
	"utf8mb4_unicode_520_ci",
	"utf8mb4_0900_ai_ci",
	"utf8mb3_general_ci",
	"utf8mb3_unicode_ci",
	"utf8_general_ci",
	"utf8_unicode_ci",
	"latin1_swedish_ci",
	"latin1_general_ci",
	"ascii_general_ci",
};

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

enum fold
collation_fold(const char *collation)
{
	if (collation == NULL)
		return FOLD_UNKNOWN;
	if (ends_with(collation, "_bin") || strcmp(collation, "binary") == 0)
		return FOLD_NONE;
	for (size_t i = 0; i < COUNT_OF(folding); i++)
		if (strcmp(folding[i], collation) == 0)
			return FOLD_CASE;
	return FOLD_UNKNOWN;
}

bool
collation_counts_spaces(const char *collation)
{
	return strcmp(collation, "binary") == 0 || strstr(collation, "_nopad_") != NULL ||
	       strstr(collation, "_0900_") != NULL;
}
