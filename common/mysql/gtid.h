/*
 * gtid.h - sets of global transaction ids, of both families.
 *
 * MySQL: "uuid:1-5:7,uuid:1-3"; MariaDB: the last sequence number of each
 * domain, "0-1-100,5-2-7". (MySQL 8.3 tags are kept as part of the uuid text.)
 */
#ifndef COMMON_MYSQL_GTID_H
#define COMMON_MYSQL_GTID_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct gtid_interval {
	uint64_t first, last; /* both inclusive */
};

/* One source of ids: a uuid (MySQL) or a domain (MariaDB). */
struct gtid_source {
	char sid[80]; /* MySQL: uuid[:tag]; MariaDB: empty */
	uint32_t domain;
	uint32_t server;		 /* MariaDB: of the last id */
	struct gtid_interval *intervals; /* sorted, apart; MariaDB: one, 1..last */
	uint32_t count;
};

struct gtid_set {
	bool mariadb;
	struct gtid_source *sources;
	uint32_t count;
};

void gtid_init(struct gtid_set *s, bool mariadb);
void gtid_release(struct gtid_set *s);
enum rc gtid_parse(struct gtid_set *s, bool mariadb, const char *text, struct err *e) MUSTCHECK;
void gtid_print(const struct gtid_set *s, struct buf *b);
void gtid_add(struct gtid_set *s, const char *sid, uint64_t number);
void gtid_add_mariadb(struct gtid_set *s, uint32_t domain, uint32_t server, uint64_t number);
/* Whether the id is in the set (MariaDB: not after the domain's last). */
bool gtid_has(const struct gtid_set *s, const char *sid, uint32_t domain, uint64_t number);
/* Every id of a is in b. */
bool gtid_within(const struct gtid_set *a, const struct gtid_set *b);
/* The form that COM_BINLOG_DUMP_GTID takes (MySQL). */
void gtid_encode(const struct gtid_set *s, struct buf *b);
/* 16 bytes -> "xxxxxxxx-xxxx-..." */
void gtid_uuid_text(const unsigned char uuid[16], char text[37]);

#endif
