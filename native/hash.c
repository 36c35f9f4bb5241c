/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 by the machine's own libcrypto, and blocks that are hashed and written; the rules stand in asl.h.
 *
 * libcrypto is found at run time: linked against one major version, this library would not load beside another. The
 * names are those of the EVP interface that 1.1 and 3 have in common. Errors of it leave no result, never a guess. */
#define _GNU_SOURCE
#include "asl.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>

#define HEAD 9u           /* bytes before an untagged artifact: 0, then its length, big-endian */
#define GROUP 64u         /* chunks written by one call: two vectors each, far below IOV_MAX */
#define FLUSH (8u << 20)  /* bytes after which the kernel is told to begin writing back: the sync at the end is short then */

static struct {
  void *(*ctx_new)(void);
  void (*ctx_free)(void *);
  int (*init)(void *, const void *, void *);
  int (*update)(void *, const void *, size_t);
  int (*final)(void *, unsigned char *, unsigned *);
  const void *sha256;
} evp;

static const char *const LIBRARIES[] = {"libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so"};

/* ISO C has no cast from an object to a function pointer; POSIX promises that the bytes are the same. */
static int take(void *library, const char *name, void *into) {
  void *found = dlsym(library, name);
  __builtin_memcpy(into, &found, sizeof found);
  return found != NULL;
}

static int load(void *library) {
  const void *(*fetch)(void *, const char *, const char *) = NULL;
  const void *(*constant)(void) = NULL;
  if (!take(library, "EVP_MD_CTX_new", &evp.ctx_new) || !take(library, "EVP_MD_CTX_free", &evp.ctx_free) ||
      !take(library, "EVP_DigestInit_ex", &evp.init) || !take(library, "EVP_DigestUpdate", &evp.update) ||
      !take(library, "EVP_DigestFinal_ex", &evp.final) || !take(library, "EVP_sha256", &constant)) {
    return 0;
  }
  /* Fetched once: version 3 would look the algorithm up at every beginning of a digest. Never freed. */
  evp.sha256 = take(library, "EVP_MD_fetch", &fetch) ? fetch(NULL, "SHA256", NULL) : NULL;
  if (!evp.sha256) evp.sha256 = constant();
  return evp.sha256 != NULL;
}

int64_t asl_crypto(void) {
  if (evp.sha256) return 1;
  for (unsigned i = 0; i < sizeof LIBRARIES / sizeof *LIBRARIES; i++) {
    void *library = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
    if (library && load(library)) return 1;
    if (library) dlclose(library);
  }
  evp.sha256 = NULL;
  return ASL_ECRYPTO;
}

static void put_head(uint8_t *head, uint64_t length) {
  head[0] = 0;
  for (unsigned i = 0; i < 8; i++) head[1 + i] = (uint8_t)(length >> (56 - 8 * i));
}

static int spans_fit(uint64_t length, const struct asl_run *spans, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    if (spans[i].start > spans[i].end || spans[i].end > length) return 0;
  }
  return 1;
}

int64_t asl_digests(const uint8_t *data, uint64_t length, const struct asl_run *spans, uint64_t count, uint8_t *out,
                    uint64_t room) {
  int good = 1;
  void *ctx;
  if ((!data && length) || (!spans && count) || (!out && room) || count > room / ASL_DIGEST) return ASL_EBOUNDS;
  if (!spans_fit(length, spans, count)) return ASL_EBOUNDS;
  if (!evp.sha256 || !(ctx = evp.ctx_new())) return ASL_ECRYPTO;
  for (uint64_t i = 0; i < count && good; i++) {
    uint8_t head[HEAD];
    uint64_t size = spans[i].end - spans[i].start;
    put_head(head, size);
    good = evp.init(ctx, evp.sha256, NULL) && evp.update(ctx, head, HEAD) &&
           (!size || evp.update(ctx, data + spans[i].start, size)) && evp.final(ctx, out + ASL_DIGEST * i, NULL);
  }
  evp.ctx_free(ctx);
  return good ? (int64_t)count : ASL_ECRYPTO;
}

int64_t asl_plain_digests(const uint8_t *data, uint64_t length, const struct asl_run *spans, uint64_t count, uint64_t base,
                          uint8_t *out) {
  int good = 1;
  void *ctx;
  if (!evp.sha256 || !(ctx = evp.ctx_new())) return ASL_ECRYPTO;
  for (uint64_t i = 0; i < count && good && spans[i].end - base <= length; i++) {
    const uint8_t *from = data + (spans[i].start - base);
    good = evp.init(ctx, evp.sha256, NULL) && evp.update(ctx, from, spans[i].end - spans[i].start) &&
           evp.final(ctx, out + ASL_DIGEST * i, NULL);
  }
  evp.ctx_free(ctx);
  return good ? 0 : ASL_ECRYPTO;
}

struct asl_sink {
  void *ctx;
  uint64_t written, flushed; /* bytes of asl_sink_write_chunks: written, and begun to be written back */
};

struct asl_sink *asl_sink_new(void) {
  struct asl_sink *sink;
  if (!evp.sha256 || !(sink = calloc(1, sizeof *sink))) return NULL;
  sink->ctx = evp.ctx_new();
  if (!sink->ctx || !evp.init(sink->ctx, evp.sha256, NULL)) {
    asl_sink_free(sink);
    return NULL;
  }
  return sink;
}

void asl_sink_free(struct asl_sink *sink) {
  if (!sink) return;
  if (sink->ctx) evp.ctx_free(sink->ctx);
  free(sink);
}

int64_t asl_sink_hash(struct asl_sink *sink, const uint8_t *data, uint64_t length) {
  if (!sink || (!data && length)) return ASL_EBOUNDS;
  return !length || evp.update(sink->ctx, data, length) ? (int64_t)length : ASL_ECRYPTO;
}

int64_t asl_sink_hash_chunks(struct asl_sink *sink, const uint8_t *data, uint64_t length, const struct asl_run *spans,
                             uint64_t count) {
  uint64_t total = 0;
  if (!sink || (!data && length) || (!spans && count) || !spans_fit(length, spans, count)) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count; i++) {
    uint8_t head[HEAD];
    uint64_t size = spans[i].end - spans[i].start;
    put_head(head, size);
    if (!evp.update(sink->ctx, head, HEAD)) return ASL_ECRYPTO;
    if (size && !evp.update(sink->ctx, data + spans[i].start, size)) return ASL_ECRYPTO;
    total += HEAD + size;
  }
  return (int64_t)total;
}

int64_t asl_sink_digest(struct asl_sink *sink, uint8_t *out, uint64_t room) {
  if (!sink || !out || room < ASL_DIGEST) return ASL_EBOUNDS;
  return evp.final(sink->ctx, out, NULL) ? (int64_t)ASL_DIGEST : ASL_ECRYPTO;
}

/* All of the vectors, however often the kernel stops half way. */
static int64_t write_all(int fd, struct iovec *vectors, unsigned count) {
  while (count) {
    ssize_t got = writev(fd, vectors, (int)count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ASL_ESYSTEM - errno;
    while (count && (size_t)got >= vectors->iov_len) {
      got -= (ssize_t)vectors->iov_len;
      vectors++;
      count--;
    }
    if (count) {
      vectors->iov_base = (uint8_t *)vectors->iov_base + got;
      vectors->iov_len -= (size_t)got;
    }
  }
  return 0;
}

static void begin_writeback(struct asl_sink *sink, int fd) {
  if (sink->written - sink->flushed < FLUSH) return;
  sink->flushed = sink->written;
  sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* advice: a file system that cannot is no error */
}

/* At most GROUP chunks. */
static int64_t write_group(struct asl_sink *sink, int fd, const uint8_t *data, const struct asl_run *spans, unsigned count) {
  uint8_t heads[GROUP][HEAD];
  struct iovec vectors[2 * GROUP];
  uint64_t total = 0;
  int64_t code;
  for (unsigned i = 0; i < count; i++) {
    uint64_t size = spans[i].end - spans[i].start;
    put_head(heads[i], size);
    vectors[2 * i] = (struct iovec){heads[i], HEAD};
    vectors[2 * i + 1] = (struct iovec){(void *)(uintptr_t)(data + spans[i].start), size};
    total += HEAD + size;
  }
  code = write_all(fd, vectors, 2 * count);
  if (code) return code;
  sink->written += total;
  begin_writeback(sink, fd);
  return (int64_t)total;
}

int64_t asl_sink_write_chunks(struct asl_sink *sink, int32_t fd, const uint8_t *data, uint64_t length,
                              const struct asl_run *spans, uint64_t count) {
  uint64_t total = 0;
  if (!sink || fd < 0 || (!data && length) || (!spans && count) || !spans_fit(length, spans, count)) return ASL_EBOUNDS;
  for (uint64_t at = 0; at < count; at += GROUP) {
    unsigned some = (unsigned)(count - at < GROUP ? count - at : GROUP);
    int64_t code = write_group(sink, fd, data, spans + at, some);
    if (code < 0) return code;
    total += (uint64_t)code;
  }
  return (int64_t)total;
}
