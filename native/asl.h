/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* asl.h: the whole ABI of libasl.so, the native half of the engine's kernel.
 *
 * Every function
 *   - is pure: it has no state, keeps no pointer, allocates nothing, never calls back, never prints, and may
 *     run in any number of threads at once;
 *   - takes a length beside every pointer and checks all bounds before the first byte is read: when it
 *     answers with an error, nothing was read and nothing was written;
 *   - answers with the number of results (0 or more) or with one of the negative codes below.
 *
 * Result arrays belong to the caller. A full array (result == capacity) means that there may be more: the
 * caller asks again with `start` at the end of the last result. The caller sees the same results whatever
 * capacity it offers. Memory that `data` shows must not change while a function runs.
 */
#ifndef ASL_H
#define ASL_H

#include <stdint.h>

#define ASL_API __attribute__((visibility("default")))

/* Raised by any change of a signature, a code or a meaning, also by a new function. asl_abi() returns it. */
#define ASL_ABI 1u

enum {
  ASL_EBOUNDS = -1,     /* a pointer is NULL while its length is not 0, or `start` is not a place in the data */
  ASL_EPARAMETERS = -2  /* chunk parameters outside the limits named at asl_chunking */
};

#define ASL_PAGE 4096u                       /* bytes; the grid of asl_zero_runs */
#define ASL_AVERAGE_MIN 16u                  /* bytes */
#define ASL_CHUNK_MAX (UINT64_C(1) << 40)    /* bytes */

/* The three sizes of content-defined chunks, in bytes.
 * Limits: 1 <= minimum <= average <= maximum <= ASL_CHUNK_MAX; average a power of two, >= ASL_AVERAGE_MIN. */
struct asl_chunking {
  uint64_t minimum, average, maximum;
};

/* One run of zero pages: bytes start .. end - 1 of the data. */
struct asl_run {
  uint64_t start, end;
};

ASL_API uint32_t asl_abi(void);

/* Finds chunk boundaries (FastCDC, Xia et al. 2020, normalised chunking level 2) from data[start] on, where a
 * chunk begins. ends[] receives the ascending offsets in data just behind each chunk.
 *
 * Within a chunk, byte i (counted from 0) updates hash = (hash << 1) + GEAR[byte] modulo 2^64, beginning with
 * i = minimum and hash = 0. The chunk ends behind the first such byte after which the top (log2(average) + 2)
 * bits of the hash are zero, or (log2(average) - 2) bits where i >= average; at the latest it is `maximum` long.
 *
 * final = 0: only chunks whose end the data decides; what is left over belongs in front of the next data.
 * final != 0: the data is the stream's last, and what is left over is its last chunk. */
ASL_API int64_t asl_cut(const uint8_t *data, uint64_t length, uint64_t start, const struct asl_chunking *chunking,
                        uint32_t final, uint64_t *ends, uint64_t capacity);

/* Finds the maximal runs of all-zero pages from data[start] on. Pages are ASL_PAGE bytes, counted from data[0];
 * a shorter rest at the end is a page too. Runs shorter than `minimum` bytes are left out, except those that
 * touch data[0] or the end of the data: their other half may lie outside of it.
 * start: 0, or the end of the last run of the call before. */
ASL_API int64_t asl_zero_runs(const uint8_t *data, uint64_t length, uint64_t start, uint64_t minimum,
                              struct asl_run *runs, uint64_t capacity);

#endif
