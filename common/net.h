/*
 * net.h - connections to machines that may vanish without a word.
 *
 * A machine that is gone says nothing, and a connection that only listens would
 * not notice: the kernel asks every so often, and gives up what is not
 * acknowledged. A server that is merely slow is acknowledged by its kernel: how
 * long it may take is read_timeout's to say.
 */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include "common/compat.h"

/*
 * From now on, on a connected socket; a Unix socket needs none of it. untaken_ms:
 * how long what we send may lie there without being taken (0: as long as it is
 * acknowledged); a server that reads and works by turns may take its time.
 */
void net_watch(int fd, int untaken_ms);

#endif
