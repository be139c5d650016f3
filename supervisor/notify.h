/*
 * notify.h - what the service manager hears: the door to libsystemd.
 *
 * Without $NOTIFY_SOCKET all of this is silence.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include "common/compat.h"

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *fmt, ...) PRINTF(1, 2);
/* How often the watchdog wants to be fed, half its time; 0: never. */
uint64_t notify_watchdog_ms(void);
void notify_alive(void);

#endif
