/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many small files made in one call; the rules stand in asl.h. */
#define _GNU_SOURCE
#include "asl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FLAGS (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define GROUP 64u /* digests computed by one call */

static int same_digests(const uint8_t *data, uint64_t size, const struct asl_run *spans, const uint8_t *digests, uint64_t count) {
  uint8_t found[GROUP * ASL_DIGEST];
  for (uint64_t at = 0; at < count; at += GROUP) {
    uint64_t some = count - at < GROUP ? count - at : GROUP;
    if (asl_digests(data, size, spans + at, some, found, sizeof found) < 0) return 0;
    if (memcmp(found, digests + ASL_DIGEST * at, ASL_DIGEST * some)) return 0;
  }
  return 1;
}

static int write_at(int fd, const uint8_t *data, uint64_t size, uint64_t at) {
  while (size) {
    ssize_t done = pwrite(fd, data, size, (off_t)at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return 0;
    data += done;
    size -= (uint64_t)done;
    at += (uint64_t)done;
  }
  return 1;
}

/* Writes data to offset `at`, but for the pages of the file that are zero as far as they lie in it. */
static int write_pages(int fd, const uint8_t *data, uint64_t size, uint64_t at) {
  uint64_t begin = 0, end = 0;
  while (end < size) {
    uint64_t page = ASL_PAGE - (at + end) % ASL_PAGE, next = size - end < page ? size : end + page;
    if (asl_zero_page(data + end, next - end)) {
      if (!write_at(fd, data + begin, end - begin, at + begin)) return 0;
      begin = next;
    }
    end = next;
  }
  return write_at(fd, data + begin, end - begin, at + begin);
}

static int write_all(int fd, const uint8_t *data, const struct asl_run *spans, uint64_t count) {
  uint64_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (!write_pages(fd, data + spans[i].start, spans[i].end - spans[i].start, at)) return 0;
    at += spans[i].end - spans[i].start;
  }
  return !at || !ftruncate(fd, (off_t)at); /* the last pages may be a hole */
}

/* Whether there is nothing but labels of security modules, which a new file gets by itself. A capability is none. */
static int only_labels(int fd) {
  char names[1024];
  ssize_t size = flistxattr(fd, names, sizeof names);
  if (size < 0) return errno == ENOTSUP || errno == ENOSYS;
  for (const char *at = names; at < names + size; at += strlen(at) + 1) {
    if (strncmp(at, "security.", 9) || !strcmp(at, "security.capability")) return 0;
  }
  return 1;
}

/* The owner, before anything is in the file: content is never to be had by another one than its own, and chown takes setuid bits away. */
static int give(int fd, const struct asl_new *file) {
  struct stat found;
  if (file->uid < 0 || file->uid >= UINT32_MAX || file->gid < 0 || file->gid >= UINT32_MAX) return 0; /* chown would leave them as they are */
  if (fstat(fd, &found) || !only_labels(fd)) return 0;
  return (found.st_uid == (uid_t)file->uid && found.st_gid == (gid_t)file->gid) || !fchown(fd, (uid_t)file->uid, (gid_t)file->gid);
}

/* Mode and times, behind the content: to write takes setuid bits away, and everything changes the times. */
static int settle(int fd, const struct asl_new *file) {
  struct timespec times[2];
  if (fchmod(fd, (mode_t)file->mode)) return 0;
  times[0].tv_sec = times[1].tv_sec = (time_t)file->mtime_s;
  times[0].tv_nsec = times[1].tv_nsec = (long)file->mtime_ns;
  return !futimens(fd, times);
}

static int make(const char *name, const struct asl_new *file, const uint8_t *data, const struct asl_run *spans) {
  int good, directory = (int)file->directory, fd = openat(directory, name, FLAGS, 0600);
  if (fd < 0) return 0;
  good = give(fd, file) && write_all(fd, data, spans, file->count) && settle(fd, file);
  if (close(fd)) good = 0;
  if (!good) unlinkat(directory, name, 0);
  return good;
}

static int allowed(const struct asl_new *files, uint64_t count, const struct asl_run *spans, uint64_t span_count, uint64_t size) {
  for (uint64_t i = 0; i < span_count; i++) {
    if (spans[i].start > spans[i].end || spans[i].end > size) return 0;
  }
  for (uint64_t i = 0; i < count; i++) {
    if (files[i].first > span_count || files[i].count > span_count - files[i].first) return 0;
    if (files[i].directory < 0 || files[i].directory > INT32_MAX) return 0;
    if (files[i].mode < 0 || files[i].mode > 07777 || files[i].mtime_ns < 0 || files[i].mtime_ns > 999999999) return 0;
  }
  return 1;
}

int64_t asl_make(const char *names, uint64_t length, uint64_t count, const struct asl_new *files, const uint8_t *data,
                 uint64_t size, const struct asl_run *spans, const uint8_t *digests, uint64_t span_count, uint8_t *made,
                 uint64_t room) {
  int64_t good = 0;
  if ((!files && count) || (!data && size) || ((!spans || !digests) && span_count)) return ASL_EBOUNDS;
  if ((!made && room) || count > room || !asl_names_fit(names, length, count)) return ASL_EBOUNDS;
  if (!allowed(files, count, spans, span_count, size)) return ASL_EBOUNDS;
  for (uint64_t i = 0; i < count; i++, names += strlen(names) + 1) {
    const struct asl_run *first = files[i].count ? spans + files[i].first : NULL;
    made[i] = !strchr(names, '/') && (!first || same_digests(data, size, first, digests + ASL_DIGEST * files[i].first, files[i].count)) &&
              make(names, &files[i], data, first);
    good += made[i];
  }
  return good;
}
