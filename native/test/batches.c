/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Digests, sinks, look-up, merge, and files in batches: their bounds, and what they answer in many threads at once.
 * What they answer at all is held against the Python twin by tests/unit/kernel. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asl.h"

#define RECORDS 500u
#define THREADS 4u

static int failures;

static void check(int good, const char *name, const char *what) {
  if (good) return;
  __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
  fprintf(stderr, "FAILED %s: %s\n", name, what);
}

static uint8_t *noise(uint64_t size, uint64_t x) {
  uint8_t *data = malloc(size ? size : 1);
  if (!data) abort();
  for (uint64_t i = 0; i < size; i++) {
    x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    data[i] = (uint8_t)(x >> 56);
  }
  return data;
}

static int by_digest(const void *a, const void *b) { return memcmp(a, b, ASL_DIGEST); }

/* Sorted records whose blocks are 0 .. 3. */
static uint8_t *sorted(uint64_t count, uint64_t seed) {
  uint8_t *records = noise(count * ASL_RECORD, seed);
  for (uint64_t i = 0; i < count; i++) {
    records[i * ASL_RECORD + 32] &= 3;
    memset(records + i * ASL_RECORD + 33, 0, 3);
  }
  qsort(records, count, ASL_RECORD, by_digest);
  return records;
}

static void digests(void) {
  uint8_t *data = noise(5000, 1), out[96], again[32];
  struct asl_run spans[] = {{0, 5000}, {100, 100}, {4000, 5000}}, wrong[] = {{3, 2}, {0, 5001}, {5001, 5001}};
  check(asl_digests(data, 5000, spans, 3, out, 96) == 3, "digests", "count");
  check(asl_digests(data + 4000, 1000, &(struct asl_run){0, 1000}, 1, again, 32) == 1 && !memcmp(again, out + 64, 32), "digests", "place");
  for (unsigned i = 0; i < 3; i++) check(asl_digests(data, 5000, &wrong[i], 1, out, 96) == ASL_EBOUNDS, "digests", "span");
  check(asl_digests(data, 5000, spans, 3, out, 95) == ASL_EBOUNDS, "digests", "room");
  check(asl_digests(NULL, 1, spans, 0, out, 96) == ASL_EBOUNDS, "digests", "no data");
  check(asl_digests(data, 5000, NULL, 1, out, 96) == ASL_EBOUNDS, "digests", "no spans");
  free(data);
}

static void parts(void) {
  uint8_t *data = noise(30000, 7);
  struct asl_chunking chunking = {64, 256, 1024}, wrong = {64, 255, 1024};
  uint64_t sizes[] = {1, 9000, 10000, 64}, many[] = {1, 9000, 30000, 1}, none[] = {0}, numbers[4];
  struct asl_run spans[400];
  int64_t cut = asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, spans, 400, numbers);
  uint64_t count = numbers[0] + numbers[1] + numbers[2] + numbers[3];
  check(cut == 4 && numbers[0] == 1 && numbers[3] == 1, "parts", "count");
  check(spans[0].start == 5000 && spans[count - 1].end == 24065, "parts", "ends");
  for (uint64_t i = 1; i < count; i++) check(spans[i].start == spans[i - 1].end && spans[i].end > spans[i].start, "parts", "order");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, spans, count - 1, numbers) == 3, "parts", "no room for the last one");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, spans, count - 2, numbers) == 2, "parts", "no room within one");
  memset(data + 5001 + 4096, 0, 4096);
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4097, spans, 400, numbers) == 4, "parts", "less than a hole");
  for (uint64_t i = 1; i < numbers[0] + numbers[1]; i++) check(spans[i].start == spans[i - 1].end, "parts", "no gap");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, spans, 400, numbers) == 4, "parts", "a hole");
  check(spans[numbers[0]].start == 5001, "parts", "before a hole");
  count = 0;
  for (uint64_t i = 1; i < numbers[0] + numbers[1]; i++) count += spans[i - 1].end == 9097 && spans[i].start == 13193;
  check(count == 1, "parts", "behind a hole");
  check(asl_parts(data, 30000, 5000, many, 4, &chunking, 4096, spans, 400, numbers) == ASL_EBOUNDS, "parts", "sizes");
  check(asl_parts(data, 30000, 5000, none, 1, &chunking, 4096, spans, 400, numbers) == 1 && !numbers[0], "parts", "an empty one");
  check(asl_parts(data, 30000, 30001, sizes, 0, &chunking, 4096, spans, 400, numbers) == ASL_EBOUNDS, "parts", "start");
  check(asl_parts(NULL, 30000, 5000, sizes, 4, &chunking, 4096, spans, 400, numbers) == ASL_EBOUNDS, "parts", "no data");
  check(asl_parts(data, 30000, 5000, NULL, 4, &chunking, 4096, spans, 400, numbers) == ASL_EBOUNDS, "parts", "no sizes");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, NULL, 400, numbers) == ASL_EBOUNDS, "parts", "no spans");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 4096, spans, 400, NULL) == ASL_EBOUNDS, "parts", "no numbers");
  check(asl_parts(data, 30000, 5000, sizes, 4, NULL, 4096, spans, 400, numbers) == ASL_EBOUNDS, "parts", "no chunking");
  check(asl_parts(data, 30000, 5000, sizes, 4, &wrong, 4096, spans, 400, numbers) == ASL_EPARAMETERS, "parts", "chunking");
  check(asl_parts(data, 30000, 5000, sizes, 4, &chunking, 0, spans, 400, numbers) == ASL_EPARAMETERS, "parts", "no hole");
  check(asl_parts(NULL, 0, 0, NULL, 0, &chunking, 4096, NULL, 0, NULL) == 0, "parts", "nothing");
  free(data);
}

static void sink(void) {
  uint8_t *data = noise(300000, 2), out[32], *back = malloc(400000);
  struct asl_run spans[200];
  struct asl_sink *made = asl_sink_new();
  FILE *file = tmpfile();
  uint64_t total = 0;
  if (!file || !made || !back) abort();
  for (unsigned i = 0; i < 200; i++) {
    spans[i] = (struct asl_run){i * 1000u, i * 1000u + i * 5u};
    total += 9 + i * 5u;
  }
  check(asl_sink_hash_chunks(made, data, 300000, spans, 200) == (int64_t)total, "sink", "bytes hashed");
  check(asl_sink_write_chunks(made, fileno(file), data, 300000, spans, 200) == (int64_t)total, "sink", "bytes");
  check(asl_sink_hash(made, data, 7) == 7, "sink", "hash");
  check(asl_sink_write_chunks(made, -1, data, 300000, spans, 1) == ASL_EBOUNDS, "sink", "descriptor");
  check(asl_sink_write_chunks(made, fileno(file), data, 300, spans, 200) == ASL_EBOUNDS, "sink", "span");
  check(asl_sink_write_chunks(NULL, fileno(file), data, 300000, spans, 1) == ASL_EBOUNDS, "sink", "no sink");
  check(asl_sink_hash_chunks(made, data, 300, spans, 200) == ASL_EBOUNDS, "sink", "span hashed");
  check(asl_sink_hash_chunks(made, NULL, 300, spans, 1) == ASL_EBOUNDS, "sink", "no data");
  check(asl_sink_hash_chunks(made, data, 300000, NULL, 1) == ASL_EBOUNDS, "sink", "no spans");
  check(asl_sink_hash_chunks(NULL, data, 300000, spans, 1) == ASL_EBOUNDS, "sink", "no sink to hash");
  check(pread(fileno(file), back, 400000, 0) == (ssize_t)total, "sink", "file");
  check(!memcmp(back + 9 + 9 + 5 - 5, data + 1000, 5), "sink", "content");
  check(asl_sink_digest(made, out, 31) == ASL_EBOUNDS, "sink", "room");
  check(asl_sink_digest(made, out, 32) == 32, "sink", "digest");
  asl_sink_free(made);
  asl_sink_free(NULL);
  fclose(file);
  free(data);
  free(back);
}

static void look_up(void) {
  uint8_t *records = sorted(RECORDS, 3), filter[64 * 12] = {0}, *wanted = malloc(RECORDS * ASL_DIGEST);
  struct asl_place places[RECORDS];
  struct asl_segment segment = {records, RECORDS, filter, sizeof filter};
  if (!wanted) abort();
  for (unsigned i = 0; i < RECORDS; i++) memcpy(wanted + i * ASL_DIGEST, records + i * ASL_RECORD, ASL_DIGEST);
  check(asl_filter(records, RECORDS, 12, 0, filter, sizeof filter) == RECORDS, "filter", "count");
  check(asl_filter(records, RECORDS, 12, 1, filter, sizeof filter) == ASL_EBOUNDS, "filter", "stretch");
  check(asl_filter(records, RECORDS, 24, 12, filter, sizeof filter) == ASL_EPARAMETERS, "filter", "record outside");
  check(asl_filter(records, RECORDS, 12, 0, filter, 63) == ASL_EBOUNDS, "filter", "size");
  check(asl_find(&segment, 1, wanted, RECORDS * ASL_DIGEST, places, RECORDS) == RECORDS, "find", "count");
  for (unsigned i = 0; i < RECORDS; i++) check(places[i].segment == 0 && places[i].number == i, "find", "place");
  check(asl_find(&segment, 1, wanted, 33, places, RECORDS) == ASL_EBOUNDS, "find", "length");
  check(asl_find(&segment, 1, wanted, 64, places, 1) == ASL_EBOUNDS, "find", "room");
  segment.count = UINT64_MAX;
  check(asl_find(&segment, 1, wanted, 32, places, 1) == ASL_EBOUNDS, "find", "count of records");
  free(records);
  free(wanted);
}

static void merging(void) {
  uint8_t *one = sorted(RECORDS, 4), *two = sorted(RECORDS, 5), *out = malloc(2 * RECORDS * ASL_RECORD);
  uint32_t blocks[4] = {3, 2, 1, 0}, ordinals[4], assigned = 0;
  struct asl_input inputs[] = {{one, RECORDS, 0, blocks, 4}, {two, RECORDS, 0, blocks, 4}};
  int64_t got = 0;
  if (!out) abort();
  memset(ordinals, 255, sizeof ordinals);
  for (int64_t some = 1; some > 0; got += some) some = asl_merge(inputs, 2, ordinals, 4, &assigned, out + got * ASL_RECORD, 100 * ASL_RECORD);
  check(got == 2 * RECORDS && assigned == 4, "merge", "count");
  for (int64_t i = 1; i < got; i++) check(memcmp(out + (i - 1) * ASL_RECORD, out + i * ASL_RECORD, 32) < 0, "merge", "order");
  inputs[0].at = inputs[1].at = 0;
  check(asl_count(inputs, 2, UINT64_MAX) == 2 * RECORDS, "count", "count");
  inputs[0].at = 0;
  inputs[0].block_count = 1;
  check(asl_merge(inputs, 2, ordinals, 4, &assigned, out, 400 * ASL_RECORD) == ASL_EPARAMETERS, "merge", "block outside");
  inputs[0].at = RECORDS + 1;
  check(asl_merge(inputs, 2, ordinals, 4, &assigned, out, ASL_RECORD) == ASL_EBOUNDS, "merge", "cursor");
  free(one);
  free(two);
  free(out);
}

static void files(void) {
  const char names[] = "asl.h\0absent\0test";
  struct asl_status seen[3];
  uint8_t data[1 << 16], good, digest[32] = {0};
  int here = open(".", O_RDONLY | O_DIRECTORY), fd = open("asl.h", O_RDONLY);
  check(asl_scan(here, names, sizeof names, 3, 0, seen, 3) == 3, "scan", "count");
  check(!seen[0].error && seen[1].error == ENOENT && !seen[2].error, "scan", "errors");
  check(asl_scan(here, names, sizeof names - 1, 3, 0, seen, 3) == ASL_EBOUNDS, "scan", "no zero at the end");
  check(asl_scan(here, names, sizeof names, 4, 0, seen, 4) == ASL_EBOUNDS, "scan", "a name too many");
  check(asl_scan(here, names, sizeof names, 3, 0, seen, 2) == ASL_EBOUNDS, "scan", "room");
  check(asl_slurp(here, names, sizeof names, 3, 2, seen, data, sizeof data) == 1, "slurp", "count");
  check(asl_slurp(here, names, 6, 1, 2, seen, data, 10) == 0, "slurp", "no room");
  check(asl_slurp(here, names, 6, 1, 2, seen, NULL, 10) == ASL_EBOUNDS, "slurp", "no data");
  check(asl_slurp(here, names, 6, 1, 2, NULL, data, 10) == ASL_EBOUNDS, "slurp", "nothing seen");
  check(asl_slurp(here, names, 5, 1, 2, seen, data, 10) == ASL_EBOUNDS, "slurp", "no zero at the end");
  check(asl_slurp(-1, names, 6, 1, 2, seen, data, 10) == ASL_EBOUNDS, "slurp", "descriptor");
  seen[1].size = -1;
  check(asl_slurp(here, names, sizeof names, 3, 2, seen, data, sizeof data) == ASL_EBOUNDS, "slurp", "size");
  check(asl_scan(here, names, sizeof names, 3, UINT64_MAX, seen, 3) == 3, "scan", "count of what is not asked");
  check(seen[0].xattrs == ASL_UNASKED && seen[2].xattrs == 0, "scan", "what is not asked");
  check(asl_slurp(here, names, 6, 1, 2, seen, data, sizeof data) == 1, "slurp", "what was not asked");
  check(asl_verify(fd, &(struct asl_run){0, 100}, digest, 1, data, sizeof data, &good) == 0 && !good, "verify", "another digest");
  check(asl_verify(fd, &(struct asl_run){0, 100}, digest, 1, data, 99, &good) == ASL_EBOUNDS, "verify", "room");
  check(asl_verify(fd, &(struct asl_run){9, 5}, digest, 1, data, 99, &good) == ASL_EBOUNDS, "verify", "span");
  check(asl_verify(here, &(struct asl_run){0, 10}, digest, 1, data, 99, &good) == 0 && !good, "verify", "a directory");
  close(here);
  close(fd);
}

/* One name many times, in more threads than there may be; the answer does not depend on them. */
static void many_files(void) {
  enum { COUNT = 300 };
  char names[COUNT * sizeof "abi.c"];
  struct asl_status seen[COUNT];
  uint8_t *data;
  uint64_t size;
  int here = open(".", O_RDONLY | O_DIRECTORY);
  for (unsigned i = 0; i < COUNT; i++) memcpy(names + i * sizeof "abi.c", "abi.c", sizeof "abi.c");
  check(asl_scan(here, names, sizeof names, COUNT, 0, seen, COUNT) == COUNT, "scan", "many");
  for (unsigned i = 1; i < COUNT; i++) check(!memcmp(&seen[i], &seen[0], sizeof seen[0]), "scan", "equal");
  size = (uint64_t)seen[0].size;
  data = malloc(COUNT * size);
  if (!data) abort();
  check(asl_slurp(here, names, sizeof names, COUNT, 100, seen, data, COUNT * size) == COUNT, "slurp", "threads");
  for (unsigned i = 1; i < COUNT; i++) check(!memcmp(data + i * size, data, size), "slurp", "equal in all threads");
  check(asl_slurp(here, names, sizeof names, COUNT, 8, seen, data, COUNT * size - 1) == COUNT - 1, "slurp", "no room in threads");
  seen[250].ino++;
  seen[100].ino++;
  check(asl_slurp(here, names, sizeof names, COUNT, 8, seen, data, COUNT * size) == 100, "slurp", "the first that failed in threads");
  close(here);
  free(data);
}

static void making(void) {
  static const char names[] = "one\0two\0a/b";
  char path[] = "/tmp/asl-make-XXXXXX";
  uint8_t *data = noise(9000, 6), digests[64], made[3], back[9000];
  struct asl_run spans[] = {{0, 5000}, {5000, 9000}};
  struct asl_new files[] = {{0, 0, 2, 0600, getuid(), getgid(), 7, 8}, {0, 1, 1, 0600, getuid(), getgid(), 7, 8}, {0, 0, 0, 0600, getuid(), getgid(), 7, 8}};
  struct asl_new wrong[] = {{0, 2, 1, 0600, 0, 0, 0, 0}, {0, 3, 0, 0600, 0, 0, 0, 0}, {0, 0, UINT64_MAX, 0600, 0, 0, 0, 0}, {0, 0, 1, 010000, 0, 0, 0, 0}, {0, 0, 1, 0600, 0, 0, 0, -1}, {-1, 0, 1, 0600, 0, 0, 0, 0}};
  int folder, fd;
  if (!mkdtemp(path) || asl_digests(data, 9000, spans, 2, digests, sizeof digests) != 2) abort();
  folder = open(path, O_RDONLY | O_DIRECTORY);
  for (unsigned i = 0; i < 3; i++) files[i].directory = folder;
  check(asl_make(names, sizeof names, 3, files, data, 9000, spans, digests, 2, made, 3) == 2, "make", "count");
  check(made[0] && made[1] && !made[2], "make", "which");
  fd = openat(folder, "one", O_RDONLY);
  check(read(fd, back, 9000) == 9000 && !memcmp(back, data, 9000), "make", "content");
  check(asl_make(names, 4, 1, files, data, 9000, spans, digests, 2, made, 3) == 0, "make", "a name that is taken");
  digests[0] ^= 1;
  check(asl_make("new", 4, 1, files, data, 9000, spans, digests, 2, made, 3) == 0, "make", "another digest");
  check(faccessat(folder, "new", F_OK, 0) && errno == ENOENT, "make", "what is left of it");
  for (unsigned i = 0; i < 6; i++) check(asl_make("new", 4, 1, &wrong[i], data, 9000, spans, digests, 2, made, 3) == ASL_EBOUNDS, "make", "file");
  check(asl_make("new", 4, 1, files, data, 8999, spans, digests, 2, made, 3) == ASL_EBOUNDS, "make", "span");
  check(asl_make("new", 3, 1, files, data, 9000, spans, digests, 2, made, 3) == ASL_EBOUNDS, "make", "no zero at the end");
  check(asl_make(names, sizeof names, 3, files, data, 9000, spans, digests, 2, made, 2) == ASL_EBOUNDS, "make", "room");
  check(asl_make("new", 4, 1, files, data, 9000, NULL, digests, 2, made, 3) == ASL_EBOUNDS, "make", "no spans");
  unlinkat(folder, "one", 0);
  unlinkat(folder, "two", 0);
  close(fd);
  close(folder);
  rmdir(path);
  free(data);
}

static void sweeping(void) {
  uint8_t data[4096], whole[4100];
  int fd = open("asl.h", O_RDONLY), null = open("/dev/null", O_RDONLY), folder = open(".", O_RDONLY | O_DIRECTORY);
  struct asl_come come = {0, 0, 0};
  struct asl_swept out;
  struct asl_sweep how = {fd, fd, 100, 4000, 512, 2, 2, 0, UINT64_MAX >> 1, 9}, wrong[] = {how, how, how, how, how, how, how, how};
  uint64_t context = 0;
  wrong[0].size = 4097, wrong[1].plain = -1, wrong[2].at = UINT64_MAX, wrong[3].backward = 2, wrong[4].direct = INT64_MAX;
  wrong[5].step = 0, wrong[6].most_bad = 0, wrong[7].depth = ASL_DEPTH + 1;
  check(pread(fd, whole, 4100, 0) == 4100, "sweep", "file");
  for (how.backward = 0; how.backward < 2; how.backward++) {
    check(asl_sweep(&how, data, 4096, &context, &come, &out) == 4000 && !out.bad && !out.error, "sweep", "bytes");
    check(!memcmp(data, whole + 100, 4000) && come.number == 9 && come.good == 4000 && !come.bad, "sweep", "content");
  }
  how = (struct asl_sweep){folder, folder, 0, 4096, 512, 3, 2, 0, 0, 10};
  check(asl_sweep(&how, data, 4096, &context, &come, &out) == 0 && out.bad == 1 && out.error == EISDIR, "sweep", "no time for a second step");
  how.patience_ns = UINT64_MAX >> 1;
  check(asl_sweep(&how, data, 4096, &context, &come, &out) == 0 && out.bad == 3 && come.bad == 3, "sweep", "bad steps");
  how.direct = how.plain = null;
  check(asl_sweep(&how, data, 4096, &context, &come, &out) == 0 && out.bad == 3 && out.error == EIO, "sweep", "the end");
  for (unsigned i = 0; i < 8; i++) {
    check(asl_sweep(&wrong[i], data, 4096, &context, &come, &out) == (i < 5 ? ASL_EBOUNDS : ASL_EPARAMETERS), "sweep", "bounds");
  }
  check(asl_sweep(&how, NULL, 4096, &context, &come, &out) == ASL_EBOUNDS, "sweep", "no data");
  check(asl_sweep(&how, data, 4096, NULL, &come, &out) == ASL_EBOUNDS, "sweep", "no context");
  close(fd);
  close(null);
  close(folder);
}

static void *all(void *nothing) {
  for (unsigned i = 0; i < 20; i++) {
    digests();
    parts();
    sink();
    look_up();
    merging();
    files();
    many_files();
    making();
    sweeping();
  }
  return nothing;
}

int main(void) {
  pthread_t threads[THREADS];
  check(asl_crypto() == 1, "crypto", "no libcrypto");
  for (unsigned i = 0; i < THREADS; i++) {
    if (pthread_create(&threads[i], NULL, all, NULL)) abort();
  }
  for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("libasl: batches in %u threads: %d failures\n", THREADS, failures);
  return failures != 0;
}
