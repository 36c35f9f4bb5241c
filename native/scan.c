/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many names of one directory looked at, and small files read, in one call each; the rules stand in asl.h. */
#define _GNU_SOURCE
#include "asl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAME_ROOM 4096u /* PATH_MAX: a name in a directory is never longer than 255 bytes */
#define FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* The name behind `name`; NULL where `end` comes before the name does. */
static const char *next(const char *name, const char *end) {
  const char *zero = memchr(name, 0, (size_t)(end - name));
  return zero ? zero + 1 : NULL;
}

int asl_names_fit(const char *names, uint64_t length, uint64_t count) {
  const char *at = names, *end = names + length;
  if (!names) return !length && !count;
  for (uint64_t i = 0; i < count; i++) {
    if (at >= end || !(at = next(at, end))) return 0;
  }
  return at == end;
}

static void fill(struct asl_status *s, const struct stat *found) {
  s->dev = (int64_t)found->st_dev;
  s->ino = (int64_t)found->st_ino;
  s->mode = (int64_t)found->st_mode;
  s->nlink = (int64_t)found->st_nlink;
  s->uid = (int64_t)found->st_uid;
  s->gid = (int64_t)found->st_gid;
  s->rdev = (int64_t)found->st_rdev;
  s->size = (int64_t)found->st_size;
  s->blocks = (int64_t)found->st_blocks;
  s->mtime_s = (int64_t)found->st_mtim.tv_sec;
  s->mtime_ns = (int64_t)found->st_mtim.tv_nsec;
  s->ctime_s = (int64_t)found->st_ctim.tv_sec;
  s->ctime_ns = (int64_t)found->st_ctim.tv_nsec;
}

/* Bytes of the list of extended attributes, or -errno. The system call knows no directory descriptors. */
static int64_t xattrs(int directory, const char *name) {
  char path[64 + NAME_ROOM];
  ssize_t size;
  int length = snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
  if (length < 0 || (size_t)length >= sizeof path) return -ENAMETOOLONG;
  size = llistxattr(path, NULL, 0);
  return size < 0 ? -errno : (int64_t)size;
}

/* A file whose attributes asl_slurp asks for, when it has it open: that is a fifth of the way through /proc. */
static int later(const struct stat *found, uint64_t below) {
  return S_ISREG(found->st_mode) && found->st_nlink == 1 && found->st_size > 0 && (uint64_t)found->st_size < below;
}

int64_t asl_scan(int32_t directory, const char *names, uint64_t length, uint64_t count, uint64_t below, struct asl_status *out,
                 uint64_t room) {
  if (directory < 0 || (!out && room) || count > room || !asl_names_fit(names, length, count)) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count; i++, names = next(names, names + NAME_ROOM)) {
    struct stat found;
    memset(&out[i], 0, sizeof out[i]);
    if (fstatat(directory, names, &found, AT_SYMLINK_NOFOLLOW)) {
      out[i].error = errno;
      continue;
    }
    fill(&out[i], &found);
    if (later(&found, below)) {
      out[i].xattrs = ASL_UNASKED;
    } else {
      out[i].xattrs = S_ISDIR(found.st_mode) ? 0 : xattrs(directory, names);
    }
  }
  return (int64_t)count;
}

static int same(const struct asl_status *seen, const struct stat *found) {
  struct asl_status now;
  fill(&now, found);
  return seen->dev == now.dev && seen->ino == now.ino && seen->mode == now.mode && seen->size == now.size &&
         seen->mtime_s == now.mtime_s && seen->mtime_ns == now.mtime_ns && seen->ctime_s == now.ctime_s &&
         seen->ctime_ns == now.ctime_ns;
}

static int open_quietly(int directory, const char *name) {
  int fd = openat(directory, name, FLAGS | O_NOATIME); /* owners and root only */
  return fd < 0 && errno == EPERM ? openat(directory, name, FLAGS) : fd;
}

static int has_no_xattrs(int fd) {
  ssize_t size = flistxattr(fd, NULL, 0);
  return !size || (size < 0 && (errno == ENOTSUP || errno == ENOSYS));
}

/* All of the file, when it is what was seen before and after it was read; else 0: the caller looks closer. */
static int slurp(int directory, const char *name, const struct asl_status *seen, uint8_t *into) {
  struct stat found;
  uint64_t got = 0, size = (uint64_t)seen->size;
  int fd, good;
  if (!size && S_ISREG(seen->mode)) return 1;
  fd = open_quietly(directory, name);
  if (fd < 0) return 0;
  good = S_ISREG(seen->mode) && (seen->xattrs != ASL_UNASKED || has_no_xattrs(fd));
  while (good && got < size) {
    ssize_t more = read(fd, into + got, size - got);
    if (more < 0 && errno == EINTR) continue;
    good = more > 0;
    got += good ? (uint64_t)more : 0;
  }
  good = good && !fstat(fd, &found) && same(seen, &found);
  close(fd);
  return good;
}

/* Names one behind the other, each with its zero byte, looked up: where each begins. NULL without memory. */
static const char **starts_of(const char *names, uint64_t count) {
  const char **starts = calloc(count ? count : 1, sizeof *starts);
  for (uint64_t i = 0; starts && i < count; i++, names = next(names, names + NAME_ROOM)) starts[i] = names;
  return starts;
}

/* Work for several threads: job(at, i) for each i below count, in order of i as far as threads have an order. */
struct work {
  void (*job)(void *at, uint64_t i);
  void *at;
  uint64_t count, next;
};

static void *work(void *given) {
  struct work *w = given;
  uint64_t i;
  while ((i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED)) < w->count) w->job(w->at, i);
  return NULL;
}

/* The caller works too. Signals are for its threads, not for these; a thread that cannot be made is done without. */
static void share(struct work *w, uint32_t threads) {
  pthread_t others[ASL_THREADS];
  uint32_t made = 0;
  sigset_t all, before;
  if (threads > 1) {
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (made + 1 < threads && made + 1 < ASL_THREADS && !pthread_create(&others[made], NULL, work, w)) made++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  work(w);
  while (made) pthread_join(others[--made], NULL);
}

struct slurping {
  int directory;
  const char **names;
  const struct asl_status *seen;
  uint8_t *data;
  uint64_t *places; /* of each file in the data */
  uint64_t good;    /* files before the first that was not read */
};

static void slurp_next(void *at, uint64_t i) {
  struct slurping *s = at;
  uint64_t good = __atomic_load_n(&s->good, __ATOMIC_RELAXED);
  if (i >= good || slurp(s->directory, s->names[i], &s->seen[i], s->data + s->places[i])) return;
  while (i < good && !__atomic_compare_exchange_n(&s->good, &good, i, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
}

/* How many files have room; places[i] is where they go. */
static uint64_t arranged(const struct asl_status *seen, uint64_t count, uint64_t room, uint64_t *places) {
  uint64_t at = 0, i = 0;
  for (; i < count && (uint64_t)seen[i].size <= room - at; i++) {
    places[i] = at;
    at += (uint64_t)seen[i].size;
  }
  return i;
}

int64_t asl_slurp(int32_t directory, const char *names, uint64_t length, uint64_t count, uint32_t threads,
                  const struct asl_status *seen, uint8_t *data, uint64_t room) {
  struct slurping s = {directory, NULL, seen, data, NULL, 0};
  struct work w = {slurp_next, &s, 0, 0};
  int64_t code = ASL_ESYSTEM - ENOMEM;
  if (directory < 0 || (!seen && count) || (!data && room) || !asl_names_fit(names, length, count)) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count; i++) {
    if (seen[i].size < 0) return ASL_EBOUNDS;
  }
  s.names = starts_of(names, count);
  s.places = calloc(count ? count : 1, sizeof *s.places);
  if (s.names && s.places) {
    w.count = s.good = arranged(seen, count, room, s.places);
    share(&w, threads);
    code = (int64_t)s.good;
  }
  free(s.names);
  free(s.places);
  return code;
}
