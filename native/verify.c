/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stretches of a file read and held against their digests; the rules stand in asl.h. */
#define _GNU_SOURCE
#include "asl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MOST 64u /* stretches read by one call of the kernel */

/* Bytes read from `at` on, fewer where the file ends; or an error code. */
static int64_t read_all(int fd, uint8_t *data, uint64_t length, uint64_t at) {
  uint64_t got = 0;
  while (got < length) {
    ssize_t more = pread(fd, data + got, length - got, (off_t)(at + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return ASL_ESYSTEM - errno;
    if (!more) break;
    got += (uint64_t)more;
  }
  return (int64_t)got;
}

/* How many stretches from spans[0] on lie one behind the other, within `room` bytes. */
static unsigned together(const struct asl_run *spans, uint64_t count, uint64_t room) {
  unsigned some = 1;
  while (some < count && some < MOST && spans[some].start == spans[some - 1].end && spans[some].end - spans[0].start <= room) some++;
  return some;
}

static int allowed(const struct asl_run *spans, uint64_t count, uint64_t room) {
  for (uint64_t i = 0; i < count; i++) {
    if (spans[i].start > spans[i].end || spans[i].end > INT64_MAX || spans[i].end - spans[i].start > room) return 0;
  }
  return 1;
}

int64_t asl_verify(int32_t fd, const struct asl_run *spans, const uint8_t *digests, uint64_t count, uint8_t *data,
                   uint64_t room, uint8_t *good) {
  uint64_t found = 0;
  if (fd < 0 || ((!spans || !digests || !good) && count) || (!data && room) || !allowed(spans, count, room)) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count;) {
    uint8_t made[MOST * ASL_DIGEST];
    unsigned some = together(spans + i, count - i, room);
    uint64_t base = spans[i].start, wanted = spans[i + some - 1].end - base;
    int64_t got = read_all(fd, data, wanted, base), code = got;
    if (got >= 0) code = asl_plain_digests(data, (uint64_t)got, spans + i, some, base, made);
    if (code == ASL_ECRYPTO) return code;
    for (unsigned n = 0; n < some; n++) {
      int same = code >= 0 && spans[i + n].end - base <= (uint64_t)got && !memcmp(made + ASL_DIGEST * n, digests + ASL_DIGEST * (i + n), ASL_DIGEST);
      good[i + n] = (uint8_t)same;
      found += (uint64_t)same;
    }
    i += some;
  }
  return (int64_t)found;
}
