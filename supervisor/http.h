/*
 * http.h - /metrics, /livez and /readyz over HTTP: the door to evhttp.
 *
 *	/metrics	Prometheus' text form 0.0.4, see exposition.h
 *	/livez		200: the process answers
 *	/readyz		200: configuration loaded, store writable; else 503 and why
 */
#ifndef SUPERVISOR_HTTP_H
#define SUPERVISOR_HTTP_H

#include "common/compat.h"

#include "common/err.h"
#include "supervisor/gateway.h"

struct http;

/* listen: "127.0.0.1:9187", "[::1]:9187". Port 0 takes any; http_port says which. */
enum rc http_new(struct gateway *g, const char *listen, struct http **out, struct err *e) MUSTCHECK;
unsigned http_port(const struct http *h);
void http_free(struct http *h);

#endif
