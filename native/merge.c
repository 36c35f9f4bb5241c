/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sorted records of several segments made into one sorted run; the rules stand in asl.h. */
#include "asl.h"

#define BLOCK_AT 32u      /* where the ordinal of the block stands in a record, little-endian */
#define MANY 0xFFFFFFFFu  /* not a block: an artifact in several extents */

static const uint8_t *current(const struct asl_input *input) { return input->records + input->at * ASL_RECORD; }

static uint32_t block_of(const uint8_t *record) {
  const uint8_t *at = record + BLOCK_AT;
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void set_block(uint8_t *record, uint32_t block) {
  for (unsigned i = 0; i < 4; i++) record[BLOCK_AT + i] = (uint8_t)(block >> (8 * i));
}

/* The input whose next digest is the least; of equal ones the first. input_count where all have ended. */
static uint64_t least(const struct asl_input *inputs, uint64_t count) {
  uint64_t best = count;
  for (uint64_t i = 0; i < count; i++) {
    if (inputs[i].at == inputs[i].count) continue;
    if (best == count || __builtin_memcmp(current(&inputs[i]), current(&inputs[best]), ASL_DIGEST) < 0) best = i;
  }
  return best;
}

/* Every input moves on behind this digest. */
static void pass(struct asl_input *inputs, uint64_t count, const uint8_t *digest) {
  for (uint64_t i = 0; i < count; i++) {
    if (inputs[i].at < inputs[i].count && !__builtin_memcmp(current(&inputs[i]), digest, ASL_DIGEST)) inputs[i].at++;
  }
}

static int allowed(const struct asl_input *inputs, uint64_t count) {
  if (!inputs && count) return 0;
  for (uint64_t i = 0; i < count; i++) {
    if ((!inputs[i].records && inputs[i].count) || inputs[i].count > UINT64_MAX / ASL_RECORD) return 0;
    if (inputs[i].at > inputs[i].count || (!inputs[i].blocks && inputs[i].block_count)) return 0;
  }
  return 1;
}

int64_t asl_merge(struct asl_input *inputs, uint64_t input_count, uint32_t *ordinals, uint64_t ordinal_count,
                  uint32_t *assigned, uint8_t *out, uint64_t room) {
  uint64_t written = 0, from;
  if (!allowed(inputs, input_count) || (!ordinals && ordinal_count) || !assigned || (!out && room)) return ASL_EBOUNDS;
  while (room - written * ASL_RECORD >= ASL_RECORD && (from = least(inputs, input_count)) < input_count) {
    const uint8_t *record = current(&inputs[from]);
    uint8_t *into = out + written * ASL_RECORD;
    uint32_t block = block_of(record), known;
    if (block == MANY) break;
    if (block >= inputs[from].block_count) return ASL_EPARAMETERS;
    known = inputs[from].blocks[block];
    if (known >= ordinal_count) return ASL_EPARAMETERS;
    if (ordinals[known] == MANY) ordinals[known] = (*assigned)++;
    __builtin_memcpy(into, record, ASL_RECORD);
    set_block(into, ordinals[known]);
    pass(inputs, input_count, into);
    written++;
  }
  return (int64_t)written;
}

int64_t asl_count(struct asl_input *inputs, uint64_t input_count, uint64_t most) {
  uint64_t count = 0, from;
  if (!allowed(inputs, input_count)) return ASL_EBOUNDS;
  for (; count < most && (from = least(inputs, input_count)) < input_count; count++) {
    pass(inputs, input_count, current(&inputs[from]));
  }
  return (int64_t)count;
}
