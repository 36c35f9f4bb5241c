/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many small contents cut in one call; the rules stand in asl.h. */
#include "asl.h"

#include <stddef.h>

/* Whether a run of zero pages, counted from the beginning of the content, is `hole` bytes long or longer. */
static int has_hole(const uint8_t *data, uint64_t size, uint64_t hole) {
  uint64_t at = 0;
  struct asl_run run;
  while (size - at >= hole && asl_zero_runs(data, size, at, hole, &run, 1) > 0) {
    if (run.end - run.start >= hole) return 1;
    at = run.end;
  }
  return 0;
}

/* Chunks of one content to spans: how many, or 0 where it has no room or is not to be cut. */
static uint64_t cut(const uint8_t *data, uint64_t at, uint64_t size, const struct asl_chunking *chunking, struct asl_run *spans,
                    uint64_t room) {
  uint64_t count = 0, done = 0, end;
  while (done < size) {
    if (count == room || asl_cut(data + at, size, done, chunking, 1, &end, 1) != 1) return 0;
    spans[count++] = (struct asl_run){at + done, at + end};
    done = end;
  }
  return count;
}

int64_t asl_parts(const uint8_t *data, uint64_t length, uint64_t at, const uint64_t *sizes, uint64_t count,
                  const struct asl_chunking *chunking, uint64_t hole, struct asl_run *spans, uint64_t room, uint64_t *numbers) {
  uint64_t i = 0, left = length - at;
  int64_t code;
  if ((!data && length) || at > length || (!sizes && count) || (!spans && room) || (!numbers && count)) return ASL_EBOUNDS;
  for (uint64_t j = 0; j < count; j++) {
    if (!sizes[j] || sizes[j] > left) return ASL_EBOUNDS;
    left -= sizes[j];
  }
  code = asl_cut(data, 0, 0, chunking, 1, NULL, 0); /* the parameters alone */
  if (code < 0 || !hole) return code < 0 ? code : ASL_EPARAMETERS;
  for (; i < count; i++, at += sizes[i - 1]) {
    numbers[i] = has_hole(data + at, sizes[i], hole) ? 0 : cut(data, at, sizes[i], chunking, spans, room);
    if (!numbers[i]) break;
    spans += numbers[i];
    room -= numbers[i];
  }
  return (int64_t)i;
}
