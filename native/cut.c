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

#define WINDOW 64u /* bytes that a hash is made of: those before them are shifted out of it */
#define STRIP 512u /* bytes of a stretch, of which two are hashed side by side */
#define STEP 8u    /* bytes between two turns of the loop: fewer turns are a tenth faster */

/* Hashes bytes at .. stop - 1. Returns the offset behind the first byte that leaves *hash below limit, else 0.
 * "The top n bits are zero" is "below 2^(64-n)": one comparison. Four bytes a step: what they add to the hash is
 * summed up apart from it, so that only one shift and one addition a step wait for the step before. */
static uint64_t follow(const uint8_t *data, uint64_t at, uint64_t stop, uint64_t limit, uint64_t *hash) {
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

/* The hash behind the bytes before `end`. */
static uint64_t window(const uint8_t *end) {
  uint64_t state = 0;
  for (const uint8_t *at = end - WINDOW; at < end; at++) state = (state << 1) + GEAR[*at];
  return state;
}

static uint64_t either(uint64_t found, uint64_t other) { return found ? found : other; }

/* As follow(), faster: two stretches at a time, as neither waits for the other; what is found in the second one counts
 * when there is nothing in the first. */
static uint64_t scan(const uint8_t *data, uint64_t at, uint64_t stop, uint64_t limit, uint64_t *hash) {
  uint64_t a = *hash;
  for (; stop - at >= 2 * STRIP; at += 2 * STRIP) {
    const uint8_t *here = data + at;
    uint64_t b = window(here + STRIP);
    for (unsigned step = 0; step < STRIP; step += STEP) {
      for (unsigned i = step; i < step + STEP; i += 2) {
        uint64_t a1 = GEAR[here[i]], a2 = (a1 << 1) + GEAR[here[i + 1]];
        uint64_t b1 = GEAR[here[i + STRIP]], b2 = (b1 << 1) + GEAR[here[i + STRIP + 1]];
        if ((a << 1) + a1 < limit) return at + i + 1;
        if ((b << 1) + b1 < limit) return either(follow(data, at + i, at + STRIP, limit, &a), at + STRIP + i + 1);
        a = (a << 2) + a2;
        b = (b << 2) + b2;
        if (a < limit) return at + i + 2;
        if (b < limit) return either(follow(data, at + i + 2, at + STRIP, limit, &a), at + STRIP + i + 2);
      }
    }
    a = b;
  }
  *hash = a;
  return follow(data, at, stop, limit, hash);
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
