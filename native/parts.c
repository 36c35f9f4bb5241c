/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many small contents cut in one call; the rules stand in asl.h. */
#include "asl.h"

#include <stddef.h>

/* Chunks that are found, as far as there is room for them. */
struct chunks {
  struct asl_run *spans;
  uint64_t count, room;
};

/* Cuts data[at] .. data[end - 1]: 0 where its chunks have no room. */
static int cut(const uint8_t *data, uint64_t at, uint64_t end, const struct asl_chunking *chunking, struct chunks *found) {
  while (at < end) {
    uint64_t behind;
    if (found->count == found->room || asl_cut(data, end, at, chunking, 1, &behind, 1) != 1) return 0;
    found->spans[found->count++] = (struct asl_run){at, behind};
    at = behind;
  }
  return 1;
}

/* Cuts the content data[at] .. data[end - 1], but for its runs of zero pages, counted from its beginning. */
static int part(const uint8_t *data, uint64_t at, uint64_t end, const struct asl_chunking *chunking, uint64_t hole, struct chunks *found) {
  const uint8_t *content = data + at;
  uint64_t size = end - at, done = 0, looked = 0;
  struct asl_run run;
  while (size - looked >= hole && asl_zero_runs(content, size, looked, hole, &run, 1) == 1) {
    if (run.end - run.start >= hole) {
      if (!cut(data, at + done, at + run.start, chunking, found)) return 0;
      done = run.end;
    }
    looked = run.end;
  }
  return cut(data, at + done, end, chunking, found);
}

int64_t asl_parts(const uint8_t *data, uint64_t length, uint64_t at, const uint64_t *sizes, uint64_t count,
                  const struct asl_chunking *chunking, uint64_t hole, struct asl_run *spans, uint64_t room, uint64_t *numbers) {
  struct chunks found = {spans, 0, room};
  uint64_t i = 0, left = length - at;
  int64_t code;
  if ((!data && length) || at > length || (!sizes && count) || (!spans && room) || (!numbers && count)) return ASL_EBOUNDS;
  for (uint64_t j = 0; j < count; j++) {
    if (sizes[j] > left) return ASL_EBOUNDS;
    left -= sizes[j];
  }
  code = asl_cut(data, 0, 0, chunking, 1, NULL, 0); /* the parameters alone */
  if (code < 0 || !hole) return code < 0 ? code : ASL_EPARAMETERS;
  for (; i < count; i++) {
    uint64_t before = found.count;
    if (!part(data, at, at + sizes[i], chunking, hole, &found)) break;
    numbers[i] = found.count - before;
    at += sizes[i];
  }
  return (int64_t)i;
}
