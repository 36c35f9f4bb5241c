/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content-defined chunking; the rule stands in asl.h. */
#include "asl.h"
#include "gear.h"

static uint64_t lesser(uint64_t a, uint64_t b) { return a < b ? a : b; }

static int allowed(const struct asl_chunking *c) {
  return 1 <= c->minimum && c->minimum <= c->average && c->average <= c->maximum && c->maximum <= ASL_CHUNK_MAX &&
         c->average >= ASL_AVERAGE_MIN && (c->average & (c->average - 1)) == 0;
}

/* Hashes bytes at .. stop - 1. Returns the offset behind the first byte that leaves *hash below limit, else 0.
 * "The top n bits are zero" is "below 2^(64-n)": one comparison. Four bytes a step: what they add to the hash is
 * summed up apart from it, so that only one shift and one addition a step wait for the step before. */
static uint64_t scan(const uint8_t *data, uint64_t at, uint64_t stop, uint64_t limit, uint64_t *hash) {
  uint64_t state = *hash;
  for (; stop - at >= 4; at += 4) {
    uint64_t one = GEAR[data[at]];
    uint64_t two = (one << 1) + GEAR[data[at + 1]];
    uint64_t three = (two << 1) + GEAR[data[at + 2]];
    uint64_t four = (three << 1) + GEAR[data[at + 3]];
    if ((state << 1) + one < limit) return at + 1;
    if ((state << 2) + two < limit) return at + 2;
    if ((state << 3) + three < limit) return at + 3;
    state = (state << 4) + four;
    if (state < limit) return at + 4;
  }
  for (; at < stop; at++) {
    state = (state << 1) + GEAR[data[at]];
    if (state < limit) return at + 1;
  }
  *hash = state;
  return 0;
}

/* Length of the first chunk of data, at most c->maximum; 0 where length bytes do not decide it. */
static uint64_t first_chunk(const uint8_t *data, uint64_t length, const struct asl_chunking *c) {
  unsigned bits = (unsigned)__builtin_ctzll(c->average);
  uint64_t middle = lesser(length, c->average), stop = lesser(length, c->maximum);
  uint64_t hash = 0, end = 0;
  if (length > c->minimum) end = scan(data, c->minimum, middle, UINT64_C(1) << (64 - (bits + 2)), &hash);
  if (!end && length > c->average) end = scan(data, c->average, stop, UINT64_C(1) << (64 - (bits - 2)), &hash);
  if (!end && length >= c->maximum) end = c->maximum;
  return end;
}

int64_t asl_cut(const uint8_t *data, uint64_t length, uint64_t start, const struct asl_chunking *chunking,
                uint32_t final, uint64_t *ends, uint64_t capacity) {
  uint64_t count = 0;
  if ((!data && length) || (!ends && capacity) || !chunking || start > length) return ASL_EBOUNDS;
  if (!allowed(chunking)) return ASL_EPARAMETERS;
  while (start < length && count < capacity) {
    uint64_t size = first_chunk(data + start, length - start, chunking);
    if (!size && !final) break;
    start = size ? start + size : length;
    ends[count++] = start;
  }
  return (int64_t)count;
}
