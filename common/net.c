/* net.c - see net.h. */
#include "common/compat.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/net.h"

void
net_watch(int fd, int untaken_ms)
{
	const struct {
		int level, option, value;
	} wanted[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 3},
		{IPPROTO_TCP, TCP_KEEPINTVL, 1},
		{IPPROTO_TCP, TCP_KEEPCNT, 5},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, untaken_ms},
	};

	for (size_t i = 0; i < COUNT_OF(wanted); i++) /* fails on a Unix socket: no harm */
		(void)setsockopt(fd, wanted[i].level, wanted[i].option, &wanted[i].value,
			sizeof wanted[i].value);
}
