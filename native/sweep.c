/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stretch of a failing disk read step by step; the rules stand in asl.h. Several steps are under way at a time where the kernel
 * has asynchronous reads (io_submit(2), of use past the page cache only): a sector is on its way while the one before is noted. */
#define _GNU_SOURCE
#include "asl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000) /* ns */

struct step {
  uint64_t start, size; /* bytes, in the data */
  int64_t got;          /* bytes, or -errno */
  int queued, done;     /* whether the kernel has it, and has answered */
};

/* The steps that are under way are a ring, in the order in which they were asked for. */
struct sweep {
  const struct asl_sweep *how;
  uint8_t *data;
  aio_context_t context;
  struct step steps[ASL_DEPTH];
  struct iocb asked[ASL_DEPTH];
  uint64_t first, count; /* of the ring */
  uint64_t covered;      /* bytes that were asked for */
};

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Reads until there is all, or the device ends: bytes, or -errno. */
static int64_t read_all(int fd, uint8_t *into, uint64_t size, uint64_t at) {
  uint64_t done = 0;
  while (done < size) {
    ssize_t more = pread(fd, into + done, size - done, (off_t)(at + done));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return -errno;
    if (!more) break;
    done += (uint64_t)more;
  }
  return (int64_t)done;
}

/* As read_all; what are not whole sectors goes through the page cache, and is dropped from it. */
static int64_t read_step(const struct asl_sweep *how, uint8_t *into, uint64_t size, uint64_t at) {
  int64_t got = how->direct < 0 ? -EINVAL : read_all((int)how->direct, into, size, at);
  if (got != -EINVAL) return got;
  got = read_all((int)how->plain, into, size, at);
  posix_fadvise((int)how->plain, (off_t)at, (off_t)size, POSIX_FADV_DONTNEED);
  return got;
}

static struct step *nth(struct sweep *s, uint64_t number) { return &s->steps[(s->first + number) % ASL_DEPTH]; }

/* Where the next step lies. Steps begin and end at multiples of how->step on the device. */
static struct step next_step(const struct sweep *s) {
  const struct asl_sweep *how = s->how;
  uint64_t left = how->size - s->covered, size;
  if (how->backward) {
    size = (how->at + left - 1) % how->step + 1;
    size = size < left ? size : left;
    return (struct step){left - size, size, 0, 0, 0};
  }
  size = how->step - (how->at + s->covered) % how->step;
  return (struct step){s->covered, size < left ? size : left, 0, 0, 0};
}

/* Asks for one more step. One that the kernel does not take is read when it is waited for. */
static void ask(struct sweep *s) {
  struct step *step = nth(s, s->count);
  struct iocb *asked = &s->asked[step - s->steps];
  *step = next_step(s);
  s->covered += step->size;
  s->count++;
  if (!s->context) return;
  memset(asked, 0, sizeof *asked);
  asked->aio_data = (uint64_t)(step - s->steps);
  asked->aio_lio_opcode = IOCB_CMD_PREAD;
  asked->aio_fildes = (uint32_t)s->how->direct;
  asked->aio_buf = (uint64_t)(uintptr_t)(s->data + step->start);
  asked->aio_nbytes = step->size;
  asked->aio_offset = (int64_t)(s->how->at + step->start);
  step->queued = syscall(SYS_io_submit, s->context, 1L, &asked) == 1;
}

/* Waits for answers of the kernel until STEP has its own. 0 where the kernel does not say. */
static int wait_for(struct sweep *s, struct step *step) {
  struct io_event events[ASL_DEPTH];
  while (step->queued && !step->done) {
    long got = syscall(SYS_io_getevents, s->context, 1L, (long)ASL_DEPTH, events, NULL);
    if (got < 0 && errno != EINTR) return 0;
    for (long i = 0; i < got; i++) {
      s->steps[events[i].data].got = events[i].res;
      s->steps[events[i].data].done = 1;
    }
  }
  return 1;
}

/* What became of the first step under way: 0 where it was read, else an errno; -1 where nobody knows. */
static int settle(struct sweep *s, struct step *out) {
  struct step *step = nth(s, 0);
  if (!wait_for(s, step)) return -1;
  if (!step->queued || step->got == -EINVAL || (step->got >= 0 && (uint64_t)step->got < step->size)) {
    step->got = read_step(s->how, s->data + step->start, step->size, s->how->at + step->start);
  }
  *out = *step;
  s->first++;
  s->count--;
  if (out->got < 0) return (int)-out->got;
  return (uint64_t)out->got == out->size ? 0 : EIO; /* it ends before its size */
}

/* How many steps may be under way: no more than may fail in a row. */
static uint64_t allowed(const struct sweep *s, uint64_t bad) {
  uint64_t most = s->how->most_bad - bad;
  return most < s->how->depth ? most : s->how->depth;
}

static void note(struct asl_come *come, uint64_t number, uint64_t good, uint64_t bad) {
  come->good = good;
  come->bad = bad;
  __atomic_store_n(&come->number, number, __ATOMIC_RELEASE);
}

/* Reads until enough is bad. Nothing is under way any more when it answers, but for -1. */
static int64_t run(struct sweep *s, struct asl_come *come, struct asl_swept *out) {
  uint64_t until = now() + s->how->patience_ns, good = 0;
  int over = 0;
  while (1) {
    struct step step;
    int failed;
    while (!over && s->covered < s->how->size && s->count < allowed(s, out->bad) && (!s->covered || now() < until)) ask(s);
    if (!s->count) break;
    failed = settle(s, &step);
    if (failed < 0) return -1;
    if (over) continue;
    if (failed) {
      out->error = out->bad++ ? out->error : failed;
    } else if (out->bad) {
      over = 1; /* the row of bad ones has ended */
      continue;
    } else {
      good += step.size;
    }
    note(come, s->how->number, good, out->bad);
  }
  if (s->how->backward) memmove(s->data, s->data + s->how->size - good, good);
  return (int64_t)good;
}

int64_t asl_sweep(const struct asl_sweep *how, uint8_t *data, uint64_t room, uint64_t *context, struct asl_come *come,
                  struct asl_swept *out) {
  struct sweep s = {.how = how, .data = data};
  int64_t good;
  if (!how || !context || !come || !out || (!data && room) || how->size > room || how->at > INT64_MAX - how->size) return ASL_EBOUNDS;
  if (how->plain < 0 || how->plain > INT32_MAX || how->direct > INT32_MAX || how->backward > 1) return ASL_EBOUNDS;
  if (!how->step || !how->most_bad || !how->depth || how->depth > ASL_DEPTH) return ASL_EPARAMETERS;
  *out = (struct asl_swept){0, 0};
  if (how->depth > 1 && how->direct >= 0) {
    if (!*context && syscall(SYS_io_setup, (long)ASL_DEPTH, context)) *context = UINT64_MAX;
    s.context = *context == UINT64_MAX ? 0 : (aio_context_t)*context;
  }
  good = run(&s, come, out);
  return good < 0 ? ASL_ESYSTEM - errno : good;
}
