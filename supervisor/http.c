/* http.c - see http.h. */
#include "common/compat.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/mem.h"
#include "supervisor/exposition.h"
#include "supervisor/http.h"

#define MAX_HEADERS 8192
#define TIMEOUT_S 10
/* As in control.c. */
#define REST_S 1

struct http {
	struct gateway *gateway;
	struct evhttp *server;
	unsigned port;
};

static void
reply(struct evhttp_request *q, int code, const char *type, const char *text, size_t n)
{
	struct evbuffer *b = evbuffer_new();

	if (b == NULL)
		return;
	evhttp_add_header(evhttp_request_get_output_headers(q), "Content-Type", type);
	evhttp_add_header(evhttp_request_get_output_headers(q), "Cache-Control", "no-store");
	/* Closed after each: a connection that idles holds nothing here. */
	evhttp_add_header(evhttp_request_get_output_headers(q), "Connection", "close");
	evbuffer_add(b, text, n);
	evhttp_send_reply(q, code, NULL, b);
	evbuffer_free(b);
}

static void
on_metrics(struct evhttp_request *q, void *arg)
{
	struct http *h = arg;
	struct buf b;

	buf_init(&b);
	exposition_write(h->gateway, &b);
	reply(q, HTTP_OK, EXPOSITION_TYPE, buf_text(&b), b.len);
	buf_release(&b);
}

static void
plain(struct evhttp_request *q, int code, const char *text)
{
	reply(q, code, "text/plain; charset=utf-8", text, strlen(text));
}

static void
on_live(struct evhttp_request *q, void *arg)
{
	(void)arg;
	plain(q, HTTP_OK, "ok\n");
}

static void
on_ready(struct evhttp_request *q, void *arg)
{
	struct http *h = arg;

	if (h->gateway->stopping)
		plain(q, HTTP_SERVUNAVAIL, "stopping\n");
	else if (!store_writable(h->gateway->store))
		plain(q, HTTP_SERVUNAVAIL, "the store cannot be written\n");
	else
		plain(q, HTTP_OK, "ok\n");
}

static bool
split(const char *listen, char *host, size_t size, unsigned *port)
{
	const char *colon = strrchr(listen, ':');
	char *rest;
	unsigned long n;
	size_t len;

	if (colon == NULL || colon == listen || colon[1] < '0' || colon[1] > '9')
		return false;
	n = strtoul(colon + 1, &rest, 10);
	if (*rest != '\0' || n > 65535)
		return false;
	len = (size_t)(colon - listen);
	if (listen[0] == '[' && listen[len - 1] == ']') {
		listen++;
		len -= 2;
	}
	if (len >= size)
		return false;
	memcpy(host, listen, len);
	host[len] = '\0';
	*port = (unsigned)n;
	return true;
}

static unsigned
bound_port(struct evhttp_bound_socket *s)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {0};
	socklen_t n = sizeof a;

	if (getsockname(evhttp_bound_socket_get_fd(s), &a.any, &n) != 0)
		return 0;
	return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)evconnlistener_enable(arg);
}

/* The listener lives as long as the daemon. */
static void
on_no_descriptor(struct evconnlistener *l, void *arg)
{
	struct timeval t = {.tv_sec = REST_S};

	(void)arg;
	(void)evconnlistener_disable(l);
	(void)event_base_once(evconnlistener_get_base(l), -1, EV_TIMEOUT, on_rested, l, &t);
}

enum rc
http_new(struct gateway *g, const char *listen, struct http **out, struct err *e)
{
	struct http *h;
	struct evhttp_bound_socket *s;
	char host[256];
	unsigned port;

	if (!split(listen, host, sizeof host, &port))
		return err_set(e, RC_CONFIG,
			"metrics_listen \"%s\" is not ADDRESS:PORT, such as \"127.0.0.1:9187\"",
			listen);
	h = xcalloc(1, sizeof *h);
	h->gateway = g;
	h->server = evhttp_new(loop_base(g->loop));
	s = h->server != NULL ? evhttp_bind_socket_with_handle(h->server, host, (uint16_t)port)
			      : NULL;
	if (s == NULL) {
		err_errno(e, RC_CONFIG, "cannot listen on metrics_listen %s", listen);
		err_remedy(e, "is the port taken? name another, or \"off\"");
		http_free(h);
		return e->rc;
	}
	h->port = bound_port(s);
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(s), on_no_descriptor);
	evhttp_set_allowed_methods(h->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(h->server, MAX_HEADERS);
	evhttp_set_max_body_size(h->server, 0);
	evhttp_set_timeout(h->server, TIMEOUT_S);
	evhttp_set_cb(h->server, "/metrics", on_metrics, h);
	evhttp_set_cb(h->server, "/livez", on_live, h);
	evhttp_set_cb(h->server, "/readyz", on_ready, h);
	*out = h;
	return RC_OK;
}

unsigned
http_port(const struct http *h)
{
	return h->port;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	if (h->server != NULL)
		evhttp_free(h->server);
	free(h);
}
