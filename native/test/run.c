/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs the vectors shared with the Python tests, whole, sliced and with the smallest result array, and the bounds
 * of the ABI. Every buffer has its exact size, so that the sanitizers see the first byte too much. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asl.h"

enum rule { RULE_ZERO, RULE_ONES, RULE_COUNT, RULE_LCG };

struct piece {
  enum rule rule;
  uint64_t length, seed;
};

struct cut_case {
  const char *name;
  uint64_t piece_count;
  struct piece pieces[8];
  struct asl_chunking chunking;
  uint64_t end_count, ends[64];
};

struct runs_case {
  const char *name;
  uint64_t piece_count;
  struct piece pieces[8];
  uint64_t minimum, run_count;
  struct asl_run runs[16];
};

#include "vectors.h"

static int failures;

static void check(int good, const char *name, const char *what) {
  if (good) return;
  failures++;
  fprintf(stderr, "FAILED %s: %s\n", name, what);
}

static void *grab(uint64_t size) {
  void *memory = malloc(size ? size : 1);
  if (!memory) abort();
  return memory;
}

/* zero: 0 · ones: 255 · count: 0..250 repeated · lcg: upper 8 bits of x = x * 6364136223846793005 + 1442695040888963407 */
static uint8_t *material(const struct piece *pieces, uint64_t count, uint64_t *length) {
  uint64_t at = 0;
  uint8_t *data;
  *length = 0;
  for (uint64_t p = 0; p < count; p++) *length += pieces[p].length;
  data = grab(*length);
  for (uint64_t p = 0; p < count; p++) {
    uint64_t x = pieces[p].seed;
    for (uint64_t i = 0; i < pieces[p].length; i++) {
      x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      data[at++] = (uint8_t)(pieces[p].rule == RULE_LCG     ? x >> 56
                             : pieces[p].rule == RULE_COUNT ? i % 251
                             : pieces[p].rule == RULE_ONES  ? 255
                                                            : 0);
    }
  }
  return data;
}

/* The case in slices of `slice` bytes and arrays of one result, as a reader of a stream would ask. */
static uint64_t cut_stream(const uint8_t *data, uint64_t length, const struct asl_chunking *chunking, uint64_t slice,
                           uint64_t *ends, uint64_t room) {
  uint64_t count = 0, kept = 0, seen = 0;
  while (kept < length) {
    uint64_t size, before = count;
    uint8_t *window;
    int64_t got;
    seen = length - seen > slice ? seen + slice : length;
    size = seen - kept;
    window = grab(size);
    memcpy(window, data + kept, size);
    do {
      uint64_t start = count > before ? ends[count - 1] - kept : 0;
      got = asl_cut(window, size, start, chunking, seen == length, ends + count, 1);
      if (got == 1) ends[count++] += kept;
    } while (got == 1 && count < room);
    free(window);
    if (got < 0 || count == room) break;
    kept = count ? ends[count - 1] : 0;
  }
  return count;
}

static void cut(const struct cut_case *c) {
  uint64_t length, *ends = grab((c->end_count + 1) * sizeof *ends);
  uint8_t *data = material(c->pieces, c->piece_count, &length);
  uint64_t slices[] = {c->chunking.minimum + 1, c->chunking.average * 3 / 2, length + 1};
  int64_t got = asl_cut(data, length, 0, &c->chunking, 1, ends, c->end_count + 1);
  check(got == (int64_t)c->end_count, c->name, "number of chunks");
  check(got >= 0 && !memcmp(ends, c->ends, c->end_count * sizeof *ends), c->name, "ends");
  for (unsigned s = 0; s < 3; s++) {
    memset(ends, 0, c->end_count * sizeof *ends);
    check(cut_stream(data, length, &c->chunking, slices[s], ends, c->end_count + 1) == c->end_count, c->name, "number of chunks, sliced");
    check(!memcmp(ends, c->ends, c->end_count * sizeof *ends), c->name, "ends, sliced");
  }
  free(data);
  free(ends);
}

static void runs(const struct runs_case *c) {
  uint64_t length, count = 0;
  struct asl_run found[17];
  uint8_t *data = material(c->pieces, c->piece_count, &length);
  int64_t got = asl_zero_runs(data, length, 0, c->minimum, found, 17);
  check(got == (int64_t)c->run_count, c->name, "number of runs");
  check(!memcmp(found, c->runs, c->run_count * sizeof *found), c->name, "runs");
  memset(found, 0, sizeof found);
  while (count < 17 && asl_zero_runs(data, length, count ? found[count - 1].end : 0, c->minimum, found + count, 1) == 1) count++;
  check(count == c->run_count && !memcmp(found, c->runs, count * sizeof *found), c->name, "runs, one at a time");
  free(data);
}

static void bounds(void) {
  const struct asl_chunking good = {16, 64, 256}, forced = {64, 256, 1024};
  const struct asl_chunking bad[] = {{0, 64, 256},  {65, 64, 256}, {16, 64, 63},  {16, 65, 256}, {2, 8, 32},
                                     {16, 0, 256},  {16, 64, ASL_CHUNK_MAX + 1},  {UINT64_MAX, 64, 256}};
  uint8_t *data = grab(8192);
  uint64_t end = 7;
  struct asl_run run = {7, 7};
  memset(data, 0, 8192);
  check(asl_abi() == ASL_ABI, "abi", "number");
  check(asl_cut(NULL, 1, 0, &good, 1, &end, 1) == ASL_EBOUNDS, "cut", "no data");
  check(asl_cut(data, 8192, 8193, &good, 1, &end, 1) == ASL_EBOUNDS, "cut", "start behind the end");
  check(asl_cut(data, 8192, UINT64_MAX, &good, 1, &end, 1) == ASL_EBOUNDS, "cut", "start far behind the end");
  check(asl_cut(data, 8192, 0, &good, 1, NULL, 1) == ASL_EBOUNDS, "cut", "no array");
  check(asl_cut(data, 8192, 0, NULL, 1, &end, 1) == ASL_EBOUNDS, "cut", "no sizes");
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    check(asl_cut(data, 8192, 0, &bad[i], 1, &end, 1) == ASL_EPARAMETERS, "cut", "sizes outside the limits");
  }
  check(asl_cut(NULL, 0, 0, &good, 1, &end, 1) == 0, "cut", "nothing");
  check(asl_cut(data, 8192, 0, &good, 1, NULL, 0) == 0, "cut", "no room");
  check(asl_cut(data, 8192, 8192, &good, 1, &end, 1) == 0, "cut", "at the end");
  check(asl_zero_runs(NULL, 1, 0, 0, &run, 1) == ASL_EBOUNDS, "runs", "no data");
  check(asl_zero_runs(data, 8192, 8193, 0, &run, 1) == ASL_EBOUNDS, "runs", "start behind the end");
  check(asl_zero_runs(data, 8192, 1, 0, &run, 1) == ASL_EBOUNDS, "runs", "start inside a page");
  check(asl_zero_runs(data, 8192, 0, 0, NULL, 1) == ASL_EBOUNDS, "runs", "no array");
  check(asl_zero_runs(NULL, 0, 0, 0, &run, 1) == 0, "runs", "nothing");
  check(asl_zero_runs(data, 8192, 0, 0, NULL, 0) == 0, "runs", "no room");
  check(asl_zero_runs(data, 8191, 8191, 0, &run, 1) == 0, "runs", "at an end inside a page");
  check(end == 7 && run.start == 7 && run.end == 7, "bounds", "an array was written");
  memset(data, 255, 1024); /* never cut before the maximum: the vector "ones" */
  check(asl_cut(data, 1023, 0, &forced, 0, &end, 1) == 0, "cut", "one byte below the maximum, not decided");
  check(asl_cut(data, 1024, 0, &forced, 0, &end, 1) == 1 && end == 1024, "cut", "the maximum, decided");
  free(data);
}

int main(void) {
  unsigned cuts = sizeof CUTS / sizeof *CUTS, zeros = sizeof RUNS / sizeof *RUNS;
  for (unsigned i = 0; i < cuts; i++) cut(&CUTS[i]);
  for (unsigned i = 0; i < zeros; i++) runs(&RUNS[i]);
  bounds();
  printf("libasl: %u cut vectors, %u zero vectors, bounds: %d failures\n", cuts, zeros, failures);
  return failures != 0;
}
