/*
 * control.h - the daemon's control socket: requests of the tool `syncline`.
 *
 * A UNIX stream socket. A request is one line of JSON, an object with "verb";
 * the reply is one line with "ok", "exit" and either what was asked for or
 * "error" and "remedy". The verb "watch" replies again and again until the
 * client goes. The kernel says who the peer is: root, our own user and members
 * of socket_group are served, others get one refusal.
 *
 * Connections, request lines and waiting replies are bounded; a client that
 * does not read is dropped.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include "common/compat.h"

#include <jansson.h>

#include "supervisor/gateway.h"
#include "supervisor/probe.h"

#define CONTROL_SOCKET "control.sock"

struct control;

struct control_spec {
	struct gateway *gateway;
	const char *conf_file; /* of the daemon, for reload; borrowed */
	bool conf_required;
};

enum rc control_new(const struct control_spec *spec, struct control **out, struct err *e) MUSTCHECK;
void control_free(struct control *c);

/* ---- for control_verbs.c ---- */

struct session; /* one connection */

struct gateway *session_gateway(const struct session *s);
const struct control_spec *session_spec(const struct session *s);
/* Takes the reply over. */
void session_reply(struct session *s, json_t *reply);
void session_refuse(struct session *s, const struct err *e);
/* Sends view each interval_ms from now on; channel NULL: all. */
void session_watch(struct session *s, const char *channel, uint64_t interval_ms);
/* A check runs for this session; ends with it. NULL: no more. */
void session_set_probe(struct session *s, struct probe *p);
bool session_has_probe(const struct session *s);

/* Carries a request out; may reply later. */
void control_request(struct session *s, json_t *request);
/* {"ok": true, "exit": 0}, to be filled. */
json_t *control_ok(void);
/* The reply of "watch" and "list". */
json_t *control_view(const struct gateway *g, const char *channel);

#endif
