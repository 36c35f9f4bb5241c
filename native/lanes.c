/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 (FIPS 180-4) of many untagged artifacts side by side: sixteen in the sixteen lanes of AVX-512.
 *
 * One digest waits for itself: each round needs the one before, and the SHA instructions of a processor stand idle for
 * half of the time. Digests of different artifacts do not wait for each other. Each lane takes the next artifact when it
 * is done with one, the longest first, so that all are done at about the same time. Where the processor cannot, or there
 * is too little to fill the lanes, nothing is done here, and libcrypto does it. */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw")))
#define LANES 16u
#define BLOCK 64u
#define HEAD 9u

static const uint32_t FIRST[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* An artifact in a lane: its first block (its head, and data), what of its data is hashed from where it lies, and the
 * last one or two (data, and the padding). */
struct lane {
  const uint8_t *at;       /* the next block */
  uint64_t blocks;         /* that follow one another there */
  const uint8_t *middle;   /* whole blocks of data that come then */
  uint64_t middle_blocks;
  uint32_t tail_blocks;    /* and then these; 0: they are under way, or there is nothing in the lane */
  uint32_t number;         /* of the artifact */
  uint8_t first[BLOCK], tail[2 * BLOCK];
};

struct turn {
  uint64_t size;
  uint32_t number;
};

static int longest_first(const void *a, const void *b) {
  uint64_t one = ((const struct turn *)a)->size, two = ((const struct turn *)b)->size;
  return one < two ? 1 : one > two ? -1 : 0;
}

int asl_lanes_here(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0xe6) != 0xe6) return 0; /* the system keeps all registers of AVX-512 */
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) && (b & bit_AVX512BW);
}

static void put(uint8_t *into, uint64_t value) {
  for (unsigned i = 0; i < 8; i++) into[i] = (uint8_t)(value >> (56 - 8 * i));
}

static void begin(struct lane *lane, const uint8_t *data, uint64_t size, uint32_t number) {
  uint64_t here = size < BLOCK - HEAD ? size : BLOCK - HEAD, whole = (size - here) / BLOCK, rest = size - here - whole * BLOCK;
  uint8_t *last = lane->tail;
  lane->number = number;
  lane->first[0] = 0;
  put(lane->first + 1, size);
  if (here) memcpy(lane->first + HEAD, data, here);
  lane->middle = data + here;
  lane->middle_blocks = whole;
  memset(lane->tail, 0, sizeof lane->tail);
  if (here < BLOCK - HEAD) { /* all of it fits into one block, but perhaps not its padding */
    memcpy(last, lane->first, HEAD + here);
    rest = HEAD + here;
    lane->blocks = 0;
  } else {
    if (rest) memcpy(last, data + here + whole * BLOCK, rest);
    lane->blocks = 1;
  }
  last[rest] = 0x80;
  lane->tail_blocks = rest + 1 + 8 <= BLOCK ? 1 : 2;
  put(last + BLOCK * lane->tail_blocks - 8, 8 * (HEAD + size));
  lane->at = lane->first;
}

/* The next stretch of blocks of what is in the lane; 0 when there is none. */
static int follow(struct lane *lane) {
  if (lane->blocks) return 1;
  if (lane->middle_blocks) {
    lane->at = lane->middle;
    lane->blocks = lane->middle_blocks;
    lane->middle_blocks = 0;
  } else if (lane->tail_blocks) {
    lane->at = lane->tail;
    lane->blocks = lane->tail_blocks;
    lane->tail_blocks = 0;
  }
  return lane->blocks != 0;
}

#define TWIST(x, a, b, c) \
  _mm512_ternarylogic_epi32(_mm512_ror_epi32(x, a), _mm512_ror_epi32(x, b), _mm512_ror_epi32(x, c), 0x96)
#define SLIDE(x, a, b, c) \
  _mm512_ternarylogic_epi32(_mm512_ror_epi32(x, a), _mm512_ror_epi32(x, b), _mm512_srli_epi32(x, c), 0x96)
#define ADD(x, y) _mm512_add_epi32(x, y)

/* Word i of the blocks at the sixteen places: w[i], a lane each. */
WIDE static inline void spread(const uint8_t *const *at, __m512i *w) {
  const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
  __m512i a[LANES], b[LANES];
  for (unsigned i = 0; i < LANES; i++) a[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(at[i]), swap);
  for (unsigned i = 0; i < LANES; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (unsigned i = 0; i < LANES; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (unsigned i = 0; i < 4; i++) {
    __m512i low = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88), high = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    __m512i low2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88), high2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    w[i] = _mm512_shuffle_i32x4(low, low2, 0x88);
    w[i + 8] = _mm512_shuffle_i32x4(low, low2, 0xdd);
    w[i + 4] = _mm512_shuffle_i32x4(high, high2, 0x88);
    w[i + 12] = _mm512_shuffle_i32x4(high, high2, 0xdd);
  }
}

/* `steps` blocks in every lane; a lane goes on by its stride (0: nothing is in it). */
WIDE static void run(uint32_t (*state)[LANES], const uint8_t **at, const uint64_t *stride, uint64_t steps) {
  __m512i h[8], w[16];
  for (unsigned i = 0; i < 8; i++) h[i] = _mm512_loadu_si512(state[i]);
  while (steps--) {
    __m512i a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    spread(at, w);
    for (unsigned i = 0; i < LANES; i++) at[i] += stride[i];
#pragma GCC unroll 4
    for (unsigned round = 0; round < 64; round += 16) {
#pragma GCC unroll 16
      for (unsigned i = 0; i < 16; i++) {
        __m512i t, u;
        if (round) {
          t = SLIDE(w[(i + 1) & 15], 7, 18, 3);
          u = SLIDE(w[(i + 14) & 15], 17, 19, 10);
          w[i] = ADD(ADD(w[i], w[(i + 9) & 15]), ADD(t, u));
        }
        t = ADD(ADD(k, _mm512_set1_epi32((int)ROUND[round + i])), ADD(w[i], _mm512_ternarylogic_epi32(e, f, g, 0xca)));
        t = ADD(t, TWIST(e, 6, 11, 25));
        u = ADD(TWIST(a, 2, 13, 22), _mm512_ternarylogic_epi32(a, b, c, 0xe8));
        k = g;
        g = f;
        f = e;
        e = ADD(d, t);
        d = c;
        c = b;
        b = a;
        a = ADD(t, u);
      }
    }
    h[0] = ADD(h[0], a);
    h[1] = ADD(h[1], b);
    h[2] = ADD(h[2], c);
    h[3] = ADD(h[3], d);
    h[4] = ADD(h[4], e);
    h[5] = ADD(h[5], f);
    h[6] = ADD(h[6], g);
    h[7] = ADD(h[7], k);
  }
  for (unsigned i = 0; i < 8; i++) _mm512_storeu_si512(state[i], h[i]);
}

static void finish(uint32_t (*state)[LANES], unsigned lane, uint8_t *out) {
  for (unsigned i = 0; i < 8; i++) {
    for (unsigned j = 0; j < 4; j++) out[4 * i + j] = (uint8_t)(state[i][lane] >> (24 - 8 * j));
  }
}

static void all(const uint8_t *data, const struct asl_run *spans, const struct turn *turns, uint64_t count, uint8_t *out) {
  static const uint8_t nothing[BLOCK];
  struct lane lanes[LANES] = {0};
  uint32_t state[8][LANES] = {{0}};
  uint64_t next = 0, stride[LANES];
  const uint8_t *at[LANES];
  unsigned char busy[LANES] = {0};
  for (;;) {
    uint64_t steps = UINT64_MAX;
    for (unsigned i = 0; i < LANES; i++) {
      if (busy[i] && !follow(&lanes[i])) {
        finish(state, i, out + (uint64_t)ASL_DIGEST * lanes[i].number);
        busy[i] = 0;
      }
      if (!busy[i] && next < count) {
        uint32_t number = turns[next++].number;
        begin(&lanes[i], data + spans[number].start, spans[number].end - spans[number].start, number);
        follow(&lanes[i]);
        for (unsigned j = 0; j < 8; j++) state[j][i] = FIRST[j];
        busy[i] = 1;
      }
      if (busy[i] && lanes[i].blocks < steps) steps = lanes[i].blocks;
      at[i] = busy[i] ? lanes[i].at : nothing;
      stride[i] = busy[i] ? BLOCK : 0;
    }
    if (steps == UINT64_MAX) return;
    run(state, at, stride, steps);
    for (unsigned i = 0; i < LANES; i++) {
      if (!busy[i]) continue;
      lanes[i].at += steps * BLOCK;
      lanes[i].blocks -= steps;
    }
  }
}

uint64_t asl_lanes(const uint8_t *data, const struct asl_run *spans, uint64_t count, uint8_t *out, uint8_t *done) {
  struct turn *turns;
  uint64_t total = 0, from = 0;
  if (count < LANES_ENOUGH || count > UINT32_MAX || !(turns = malloc(count * sizeof *turns))) return 0;
  for (uint64_t i = 0; i < count; i++) {
    turns[i] = (struct turn){spans[i].end - spans[i].start, (uint32_t)i};
    total += turns[i].size + BLOCK;
  }
  qsort(turns, count, sizeof *turns, longest_first);
  /* What is so long that the other lanes would have to wait for it is not done here. */
  while (from < count && turns[from].size > total / 12) total -= turns[from++].size;
  if (count - from < LANES_ENOUGH) from = count;
  for (uint64_t i = from; i < count; i++) done[turns[i].number] = 1;
  if (from < count) all(data, spans, turns + from, count - from, out);
  free(turns);
  return count - from;
}

#else

int asl_lanes_here(void) { return 0; }

uint64_t asl_lanes(const uint8_t *data, const struct asl_run *spans, uint64_t count, uint8_t *out, uint8_t *done) {
  (void)data, (void)spans, (void)count, (void)out, (void)done;
  return 0;
}

#endif
