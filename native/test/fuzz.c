/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For libFuzzer: every function of the ABI with arguments out of the input, most of them wrong. The data has its exact
 * size, so that the sanitizers see the first byte too much; what was answered has to keep its promises. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asl.h"

#define SLOTS 64u
#define HEAD 256u /* bytes of the input that the arguments are made of */

struct input {
  const uint8_t *at;
  size_t left;
};

static uint64_t number(struct input *in) {
  uint64_t value = 0;
  size_t size = in->left < 8 ? in->left : 8;
  memcpy(&value, in->at, size);
  in->at += size;
  in->left -= size;
  /* Small numbers lead further; now and then any. */
  return value & 1 ? value >> 1 : (value >> 1) % 300;
}

static void must(int good) {
  if (!good) abort();
}

static void spans_of(struct input *in, struct asl_run *spans, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) spans[i] = (struct asl_run){number(in), number(in)};
}

static void cutting(struct input *in, const uint8_t *data, uint64_t size) {
  struct asl_chunking sizes = {number(in), number(in), number(in)};
  uint64_t ends[SLOTS], start = number(in);
  struct asl_run runs[SLOTS];
  int64_t got = asl_cut(data, size, start, &sizes, (uint32_t)number(in), ends, SLOTS);
  for (int64_t i = 0; i < got; i++) must(ends[i] <= size && ends[i] > (i ? ends[i - 1] : start));
  got = asl_zero_runs(data, size, number(in), number(in), runs, SLOTS);
  for (int64_t i = 0; i < got; i++) must(runs[i].start < runs[i].end && runs[i].end <= size);
}

static void splitting(struct input *in, const uint8_t *data, uint64_t size) {
  struct asl_chunking chunking = {number(in), number(in), number(in)};
  uint64_t sizes[4], numbers[4], at = number(in), count = number(in) % 5, hole = number(in), seen = 0;
  struct asl_run spans[SLOTS];
  int64_t got;
  for (unsigned i = 0; i < 4; i++) sizes[i] = number(in);
  got = asl_parts(data, size, at, sizes, count, &chunking, hole, spans, SLOTS, numbers);
  for (int64_t i = 0; i < got; i++) {
    uint64_t end = at + sizes[i];
    for (; numbers[i]; numbers[i]--, at = spans[seen++].end) must(at <= spans[seen].start && spans[seen].start < spans[seen].end);
    must(at <= end);
    at = end;
  }
}

static void hashing(struct input *in, const uint8_t *data, uint64_t size) {
  static int null = -1;
  struct asl_run spans[8];
  uint8_t out[8 * ASL_DIGEST], good[8];
  uint64_t count = number(in) % 9;
  struct asl_sink *sink = asl_sink_new();
  if (null < 0) null = open("/dev/null", O_WRONLY);
  spans_of(in, spans, 8);
  must(asl_digests(data, size, spans, count, out, sizeof out) <= (int64_t)count);
  asl_sink_hash_chunks(sink, data, size, spans, count);
  asl_sink_write_chunks(sink, null, data, size, spans, count);
  asl_sink_hash(sink, data, size);
  must(asl_sink_digest(sink, out, sizeof out) == ASL_DIGEST);
  asl_sink_free(sink);
  asl_verify(null, spans, out, count, good, sizeof good, good);
}

static void looking(struct input *in, const uint8_t *data, uint64_t size) {
  uint64_t count = size / ASL_RECORD, filtered = (number(in) % 5) * 64;
  uint8_t filter[256] = {0};
  struct asl_segment segment = {data, number(in) % (count + 1), filter, filtered};
  struct asl_place place;
  asl_filter(data, count, number(in), number(in), filter, filtered);
  if (size >= ASL_DIGEST && asl_find(&segment, 1, data, ASL_DIGEST, &place, 1) == 1) must(place.number < segment.count);
}

static void merging(struct input *in, const uint8_t *data, uint64_t size) {
  uint64_t count = size / ASL_RECORD, half = count / 2;
  uint32_t blocks[4], ordinals[4], assigned = 0;
  uint8_t *out = malloc(size + 1);
  struct asl_input inputs[] = {{data, half, number(in), blocks, number(in) % 5}, {data + half * ASL_RECORD, count - half, 0, blocks, 4}};
  if (!out) abort();
  for (unsigned i = 0; i < 4; i++) blocks[i] = (uint32_t)number(in);
  memset(ordinals, 255, sizeof ordinals);
  must(asl_merge(inputs, 2, ordinals, 4, &assigned, out, size) <= (int64_t)count);
  must(assigned <= 4);
  must(asl_count(inputs, 2, number(in)) <= (int64_t)count);
  free(out);
}

static void naming(struct input *in, const uint8_t *data, uint64_t size) {
  static int here = -1;
  struct asl_status seen[8];
  uint8_t room[256];
  uint64_t count = number(in) % 9;
  if (here < 0) here = open("/proc/self", O_RDONLY | O_DIRECTORY);
  if (asl_scan(here, (const char *)data, size, count, number(in), seen, 8) == (int64_t)count) {
    must(asl_slurp(here, (const char *)data, size, count, (uint32_t)count % 3, seen, room, sizeof room) <= (int64_t)count);
  }
}

static char folder[] = "/tmp/asl-fuzz-XXXXXX";

static void remove_folder(void) { rmdir(folder); }

static int made_folder(void) { return mkdtemp(folder) && !atexit(remove_folder) ? open(folder, O_RDONLY | O_DIRECTORY) : -1; }

/* In a folder of its own. Half of the digests are right. */
static void making(struct input *in, const uint8_t *data, uint64_t size) {
  static int here = -1;
  struct asl_new files[4];
  struct asl_run spans[4];
  uint8_t digests[4 * ASL_DIGEST] = {0}, made[4] = {0};
  uint64_t count = number(in) % 5, span_count = number(in) % 5, names = number(in) % (size + 1);
  int64_t good;
  if (here < 0) here = made_folder();
  must(here >= 0);
  spans_of(in, spans, 4);
  for (unsigned i = 0; i < 4; i++) {
    files[i] = (struct asl_new){here, number(in) % 6, number(in) % 6, (int64_t)number(in), 0, 0, (int64_t)number(in), (int64_t)number(in)};
    if (i % 2) asl_digests(data, size, spans + i, 1, digests + ASL_DIGEST * i, ASL_DIGEST);
  }
  good = asl_make((const char *)data, names, count, files, data, size, spans, digests, span_count, made, 4);
  must(good <= (int64_t)count);
  for (uint64_t i = 0; good >= 0 && i < count; i++, data += strlen((const char *)data) + 1) {
    must(made[i] <= 1);
    if (made[i]) must(!unlinkat(here, (const char *)data, 0));
  }
}

/* Past the end of this program's own text, and of what cannot be read at all. */
static void sweeping(struct input *in, const uint8_t *data, uint64_t size) {
  static int here = -1;
  static uint64_t context = 0;
  struct asl_come come = {0, 0, 0};
  struct asl_swept out;
  struct asl_sweep how = {number(in) % 4 ? here : -1, here, number(in), number(in), number(in), number(in), number(in), number(in) % 3, UINT64_MAX >> 1, number(in)};
  uint8_t *into = malloc(size + 1);
  int64_t good;
  if (here < 0) here = open(*data % 2 ? "/proc/self/exe" : "/proc/self/mem", O_RDONLY);
  if (!into) abort();
  how.direct = how.direct < 0 ? -1 : here;
  how.plain = here;
  good = asl_sweep(&how, into, size, &context, &come, &out);
  must(good <= (int64_t)how.size && (good < 0 || out.bad <= how.most_bad));
  free(into);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static void (*const PARTS[])(struct input *, const uint8_t *, uint64_t) = {cutting, splitting, hashing, looking, merging, naming, making, sweeping};
  struct input in = {bytes, length < HEAD ? length : HEAD};
  uint64_t part = number(&in) % 8, size = length > HEAD ? length - HEAD : 0;
  uint8_t *data = malloc(size ? size : 1);
  if (!data) abort();
  memcpy(data, bytes + (length - size), size);
  if (asl_crypto() == 1) PARTS[part](&in, data, size);
  free(data);
  return 0;
}
