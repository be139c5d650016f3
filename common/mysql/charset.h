/*
 * charset.h - collation ids, as the log has them, and the character sets of their names.
 *
 * What MySQL 5.5 to 8.0 and MariaDB up to 10.9 know. MariaDB's UCA 14.0.0
 * collations (ids from 2048 on) are not listed by id: ask the server. Three-byte
 * UTF-8 has its name of today here, utf8mb3; lookups know utf8 as well.
 */
#ifndef COMMON_MYSQL_CHARSET_H
#define COMMON_MYSQL_CHARSET_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

struct charset {
	const char *name;
	const char *collation; /* its default; utf8mb4's is another one since MySQL 8.0 and
				  MariaDB 11.5 */
	uint8_t min_bytes;     /* of a character */
	uint8_t max_bytes;
};

/* NULL for an id that is not listed. */
const char *collation_name(uint32_t id, bool mariadb);
/*
 * The collation of the other family that sorts and compares the same, but for
 * characters younger than the older of the two: utf8mb4_0900_ai_ci of MySQL 8.0
 * is utf8mb4_uca1400_nopad_ai_ci of MariaDB 10.10, whose newer versions say so
 * themselves. False: there is none, or the server of that family and version
 * does not have it.
 */
bool collation_elsewhere(
	const char *name, size_t len, bool to_mariadb, unsigned version, char out[64]);
/* NULL for an unknown one. Letters without case. */
const struct charset *charset_find(const char *name);
/* By the part of the name before the first underscore. */
const struct charset *charset_of_collation(const char *collation);
/* The set that a log's collation number stands for; NULL if it is not listed. */
const struct charset *charset_of_id(uint32_t id);

#endif
