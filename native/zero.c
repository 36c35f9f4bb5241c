/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs of zero pages; the rule stands in asl.h. */
#include "asl.h"

#define STEP 256u /* bytes; a page that holds data mostly shows it in its first step */

/* Whether STEP bytes are all zero. Without a branch, so that the compiler makes vectors of it. */
static int zero_step(const uint8_t *data) {
  uint64_t seen = 0;
  for (unsigned i = 0; i < STEP; i += 8) {
    uint64_t word;
    __builtin_memcpy(&word, data + i, 8); /* data may lie at any address */
    seen |= word;
  }
  return seen == 0;
}

int asl_zero_page(const uint8_t *data, uint64_t size) {
  for (; size >= STEP; data += STEP, size -= STEP) {
    if (!zero_step(data)) return 0;
  }
  for (; size; data++, size--) {
    if (*data) return 0;
  }
  return 1;
}

/* Size of the page that begins at `at` (at < length); the last one may be short. */
static uint64_t page_size(uint64_t at, uint64_t length) { return length - at < ASL_PAGE ? length - at : ASL_PAGE; }

/* Offset behind the unbroken zero pages that begin at `at`; `at` itself where there are none. */
static uint64_t zeros_end(const uint8_t *data, uint64_t at, uint64_t length) {
  while (at < length && asl_zero_page(data + at, page_size(at, length))) at += page_size(at, length);
  return at;
}

int64_t asl_zero_runs(const uint8_t *data, uint64_t length, uint64_t start, uint64_t minimum,
                      struct asl_run *runs, uint64_t capacity) {
  uint64_t count = 0, at = start;
  if ((!data && length) || (!runs && capacity) || start > length || (start % ASL_PAGE && start != length)) {
    return ASL_EBOUNDS;
  }
  while (at < length && count < capacity) {
    uint64_t end = zeros_end(data, at, length);
    if (end == at) {
      at += page_size(at, length);
      continue;
    }
    if (end - at >= minimum || at == 0 || end == length) runs[count++] = (struct asl_run){at, end};
    at = end;
  }
  return (int64_t)count;
}
