/*
 * compat.h - the first include of every source file.
 *
 * Feature macros, and the few compiler attributes that the house uses by name.
 */
#ifndef COMMON_COMPAT_H
#define COMMON_COMPAT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* A result that must not be dropped: every function that returns enum rc. */
#define MUSTCHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
