/*
 * collation.h - which collations compare printable ASCII by folding case.
 *
 * A test asks real servers about all pairs of characters (t/500_collations.t).
 */
#ifndef WORKERS_WRITER_COLLATION_H
#define WORKERS_WRITER_COLLATION_H

#include "workers/writer/token.h"

#endif
