/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Digests looked up in sorted records behind a filter; the rules stand in asl.h, the bytes in docs/formats.md. */
#include "asl.h"

#define BLOCK 64u /* bytes of a block of the filter: one line of the cache, so that a miss costs one access */
#define BITS 7u   /* bits set for each digest */

static uint64_t big(const uint8_t *at) {
  uint64_t value;
  __builtin_memcpy(&value, at, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

__extension__ typedef unsigned __int128 wide; /* every compiler for 64 bits has it; ISO C does not */

/* value / 2^64 * count: where among `count` evenly spread things this digest belongs */
static uint64_t share(uint64_t value, uint64_t count) { return (uint64_t)(((wide)value * count) >> 64); }

/* The bits of a digest in its block, nine for each, out of its bytes 8 .. 15. */
static uint64_t bits_of(const uint8_t *digest) { return __builtin_bswap64(big(digest + 8)); }

int64_t asl_filter(const uint8_t *records, uint64_t count, uint64_t blocks, uint64_t first, uint8_t *filter,
                   uint64_t size) {
  if ((!records && count) || !filter || !size || size % BLOCK || count > UINT64_MAX / ASL_RECORD) return ASL_EBOUNDS;
  if (first > blocks || size / BLOCK > blocks - first) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count; i++) {
    const uint8_t *digest = records + i * ASL_RECORD;
    uint64_t number = share(big(digest), blocks), bits = bits_of(digest);
    uint8_t *block;
    if (number < first || number - first >= size / BLOCK) return ASL_EPARAMETERS;
    block = filter + BLOCK * (number - first);
    for (unsigned b = 0; b < BITS; b++, bits >>= 9) block[(bits >> 3) & 63] |= (uint8_t)(1u << (bits & 7));
  }
  return (int64_t)count;
}

static int may_have(const struct asl_segment *segment, const uint8_t *digest) {
  uint64_t bits = bits_of(digest);
  const uint8_t *block;
  if (!segment->filter_size) return 1;
  block = segment->filter + BLOCK * share(big(digest), segment->filter_size / BLOCK);
  for (unsigned b = 0; b < BITS; b++, bits >>= 9) {
    if (!(block[(bits >> 3) & 63] & (1u << (bits & 7)))) return 0;
  }
  return 1;
}

/* The number of the record of `digest`, or ASL_NONE. Each probe is put where the digest ought to lie between the two
 * bounds, as digests are spread evenly; after a few of them by halves, so that no order of digests makes it slow. */
static uint64_t search(const uint8_t *records, uint64_t count, const uint8_t *digest) {
  uint64_t low = 0, high = count, wanted = big(digest), at = count ? share(wanted, count) : 0;
  for (unsigned probe = 0; low < high; probe++) {
    const uint8_t *found = records + at * ASL_RECORD;
    int order = __builtin_memcmp(found, digest, ASL_DIGEST);
    uint64_t there = big(found);
    if (!order) return at;
    if (order < 0) {
      low = at + 1;
      at += share(wanted - there, count) + 1;
    } else {
      high = at;
      at = share(there - wanted, count) + 1 > at ? 0 : at - share(there - wanted, count) - 1;
    }
    if (probe > 3 || at < low || at >= high) at = low + (high - low) / 2;
  }
  return ASL_NONE;
}

int64_t asl_find(const struct asl_segment *segments, uint64_t segment_count, const uint8_t *digests, uint64_t length,
                 struct asl_place *places, uint64_t room) {
  uint64_t count = length / ASL_DIGEST, found = 0;
  if ((!segments && segment_count) || (!digests && length) || length % ASL_DIGEST || (!places && room) || count > room) {
    return ASL_EBOUNDS;
  }
  for (uint64_t s = 0; s < segment_count; s++) {
    const struct asl_segment *each = &segments[s];
    if ((!each->records && each->count) || each->count > UINT64_MAX / ASL_RECORD) return ASL_EBOUNDS;
    if (each->filter_size % BLOCK || (!each->filter && each->filter_size)) return ASL_EBOUNDS;
  }
  for (uint64_t i = 0; i < count; i++) {
    const uint8_t *digest = digests + i * ASL_DIGEST;
    places[i] = (struct asl_place){ASL_NONE, ASL_NONE};
    for (uint64_t s = 0; s < segment_count; s++) {
      uint64_t number = may_have(&segments[s], digest) ? search(segments[s].records, segments[s].count, digest) : ASL_NONE;
      if (number == ASL_NONE) continue;
      places[i] = (struct asl_place){s, number};
      found++;
      break;
    }
  }
  return (int64_t)found;
}
