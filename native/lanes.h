/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the library, for asl_digests alone. */
#ifndef ASL_LANES_H
#define ASL_LANES_H

#include "asl.h"

#define LANES_ENOUGH 16u /* artifacts from which on it is worth it */

/* 1 where the processor and the system can. Costly in a virtual machine: to be asked once. */
int asl_lanes_here(void);

/* Where they can: the digests of as many of these artifacts as are done faster side by side. done[i] becomes 1 for each
 * of them, and its digest is at out + 32 * i, as asl_digests has it. The spans fit into the data. Answers how many. */
uint64_t asl_lanes(const uint8_t *data, const struct asl_run *spans, uint64_t count, uint8_t *out, uint8_t *done);

#endif
