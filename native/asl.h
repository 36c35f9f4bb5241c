/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* asl.h: the whole ABI of libasl.so, the native half of the engine's kernel.
 *
 * Every function
 *   - keeps no pointer, never calls back, never prints, and may run in any number of threads at once; but one
 *     asl_sink is hashed into by one thread at a time, and written through by one (another one, or the same);
 *   - is pure, but for those on a sink, which hash and write, for asl_scan, asl_slurp and asl_sweep, which read
 *     files, for asl_make, which makes some, and for asl_crypto, which finds libcrypto;
 *   - takes a length beside every pointer and checks all bounds before the first byte is read: when it
 *     answers with an error, nothing was read and nothing was written;
 *   - answers with the number of results (0 or more) or with one of the negative codes below.
 *
 * Result arrays belong to the caller. A full array (result == capacity) means that there may be more: the
 * caller asks again with `start` at the end of the last result. The caller sees the same results whatever
 * capacity it offers. Memory that `data` shows must not change while a function runs.
 */
#ifndef ASL_H
#define ASL_H

#include <stdint.h>

#define ASL_API __attribute__((visibility("default")))

/* Raised by any change of a signature, a code or a meaning, also by a new function. asl_abi() returns it. */
#define ASL_ABI 10u

enum {
  ASL_EBOUNDS = -1,     /* a pointer is NULL while its length is not 0, or `start` is not a place in the data */
  ASL_EPARAMETERS = -2, /* chunk parameters outside the limits named at asl_chunking */
  ASL_ECRYPTO = -3,     /* there is no libcrypto with SHA-256, or it failed: what was to be written is void */
  ASL_ESYSTEM = -4096   /* ASL_ESYSTEM - errno: a system call failed; how much of it was done is not known */
};

#define ASL_DIGEST 32u                       /* bytes of SHA-256 */
#define ASL_RECORD 44u                       /* bytes of a record in a segment; it begins with its digest */
#define ASL_NONE UINT64_MAX                  /* no such record */

#define ASL_PAGE 4096u                       /* bytes; the grid of asl_zero_runs */
#define ASL_AVERAGE_MIN 16u                  /* bytes */
#define ASL_CHUNK_MAX (UINT64_C(1) << 40)    /* bytes */

/* The three sizes of content-defined chunks, in bytes.
 * Limits: 1 <= minimum <= average <= maximum <= ASL_CHUNK_MAX; average a power of two, >= ASL_AVERAGE_MIN. */
struct asl_chunking {
  uint64_t minimum, average, maximum;
};

/* One run of zero pages: bytes start .. end - 1 of the data. */
struct asl_run {
  uint64_t start, end;
};

ASL_API uint32_t asl_abi(void);

/* Finds chunk boundaries (FastCDC, Xia et al. 2020, normalised chunking level 2) from data[start] on, where a
 * chunk begins. ends[] receives the ascending offsets in data just behind each chunk.
 *
 * Within a chunk, byte i (counted from 0) updates hash = (hash << 1) + GEAR[byte] modulo 2^64, beginning with
 * i = minimum and hash = 0. The chunk ends behind the first such byte after which the top (log2(average) + 2)
 * bits of the hash are zero, or (log2(average) - 2) bits where i >= average; at the latest it is `maximum` long.
 *
 * final = 0: only chunks whose end the data decides; what is left over belongs in front of the next data.
 * final != 0: the data is the stream's last, and what is left over is its last chunk. */
ASL_API int64_t asl_cut(const uint8_t *data, uint64_t length, uint64_t start, const struct asl_chunking *chunking,
                        uint32_t final, uint64_t *ends, uint64_t capacity);

/* Finds the maximal runs of all-zero pages from data[start] on. Pages are ASL_PAGE bytes, counted from data[0];
 * a shorter rest at the end is a page too. Runs shorter than `minimum` bytes are left out, except those that
 * touch data[0] or the end of the data: their other half may lie outside of it.
 * start: 0, or the end of the last run of the call before. */
ASL_API int64_t asl_zero_runs(const uint8_t *data, uint64_t length, uint64_t start, uint64_t minimum,
                              struct asl_run *runs, uint64_t capacity);

/* Cuts `count` contents that lie one behind the other in the data from data[at] on, sizes[i] bytes each. What lies in one
 * between runs of zero pages of `hole` bytes (not 0) and more, counted from its own beginning, is cut as asl_cut does the
 * last data of a stream: the chunks of all go to spans, their number in each to numbers[i]. Ends before a content whose
 * chunks have no room. Answers how many were cut. */
ASL_API int64_t asl_parts(const uint8_t *data, uint64_t length, uint64_t at, const uint64_t *sizes, uint64_t count,
                          const struct asl_chunking *chunking, uint64_t hole, struct asl_run *spans, uint64_t room,
                          uint64_t *numbers);

/* Finds the machine's libcrypto (3, else 1.1): 1, or ASL_ECRYPTO. Once before all that follow; not in two threads. */
ASL_API int64_t asl_crypto(void);

/* The digests of untagged artifacts: digest i is SHA-256(0, be64(size), data[start] .. data[end - 1]) of spans[i], and
 * goes to out + 32 * i. Spans may be in any order. Answers count. */
ASL_API int64_t asl_digests(const uint8_t *data, uint64_t length, const struct asl_run *spans, uint64_t count,
                            uint8_t *out, uint64_t room);

/* The SHA-256 of a file in the making, and the writing of it. asl_sink_new answers NULL where there is no memory or no
 * libcrypto; what it answers belongs to the caller until asl_sink_free (which takes NULL). */
struct asl_sink;
ASL_API struct asl_sink *asl_sink_new(void);
ASL_API void asl_sink_free(struct asl_sink *sink);

/* Hashes bytes that the caller writes himself. Answers length. */
ASL_API int64_t asl_sink_hash(struct asl_sink *sink, const uint8_t *data, uint64_t length);

/* Hashes the ArtifactBytes of untagged artifacts one behind the other: 0, be64(size), data[start] .. data[end - 1] for
 * each of spans. Answers the number of bytes. */
ASL_API int64_t asl_sink_hash_chunks(struct asl_sink *sink, const uint8_t *data, uint64_t length,
                                     const struct asl_run *spans, uint64_t count);

/* Writes the same to fd at its offset, and hashes nothing. Answers the number of bytes. On an error the file is void. */
ASL_API int64_t asl_sink_write_chunks(struct asl_sink *sink, int32_t fd, const uint8_t *data, uint64_t length,
                                      const struct asl_run *spans, uint64_t count);

/* The digest of all that was hashed; the sink is done then and can only be freed. Answers 32. */
ASL_API int64_t asl_sink_digest(struct asl_sink *sink, uint8_t *out, uint64_t room);

/* Reads stretches of the open file fd into `data` (none longer than `room`; those that follow on one another are read
 * together) and sets good[i] to 1 where spans[i] has the SHA-256 digests + 32 * i, else to 0, also where it cannot be read
 * or the file ends before it. Answers how many are good. */
ASL_API int64_t asl_verify(int32_t fd, const struct asl_run *spans, const uint8_t *digests, uint64_t count,
                           uint8_t *data, uint64_t room, uint8_t *good);

/* For asl_verify only, not to be had from outside: the SHA-256 of spans of a file, of which `data` is `length` bytes from
 * `base` on; those behind them are left out. */
int64_t asl_plain_digests(const uint8_t *data, uint64_t length, const struct asl_run *spans, uint64_t count, uint64_t base,
                          uint8_t *out);

/* A segment as it is mapped: `count` records of ASL_RECORD bytes in order of their digests, and its filter of
 * filter_size bytes (0: none; else a multiple of 64). The mapping has to outlast the call. */
struct asl_segment {
  const uint8_t *records;
  uint64_t count;
  const uint8_t *filter;
  uint64_t filter_size;
};

/* Where an artifact was found: the segment (counted in the array) and the record in it; both ASL_NONE where it was not. */
struct asl_place {
  uint64_t segment, number;
};

/* Looks up the digests (32 bytes each) in the segments, the first one that has it counts. Answers how many were found. */
ASL_API int64_t asl_find(const struct asl_segment *segments, uint64_t segment_count, const uint8_t *digests,
                         uint64_t length, struct asl_place *places, uint64_t room);

/* Enters the digests of `count` records, in order, into a stretch of a filter that has `blocks` blocks of 64 bytes: the
 * stretch begins with block `first` and has `size` bytes. ASL_EPARAMETERS for a digest that belongs outside of it. */
ASL_API int64_t asl_filter(const uint8_t *records, uint64_t count, uint64_t blocks, uint64_t first, uint8_t *filter,
                           uint64_t size);

/* One of several runs of records to be merged, and how far it has come. blocks[ordinal in its records] is a number of
 * that block that all inputs have in common. */
struct asl_input {
  const uint8_t *records;
  uint64_t count, at;
  const uint32_t *blocks;
  uint64_t block_count;
};

/* Writes the records of all inputs in order of their digests; of equal digests the first input's. ordinals[common number
 * of a block] is its ordinal in what is written; where that is 0xFFFFFFFF, it becomes *assigned, which grows by one.
 * Answers the number of records, which is less than there is room for at the end, and before a record of several extents:
 * that one, and moving the inputs behind it, is the caller's. ASL_EPARAMETERS: a block that does not exist. */
ASL_API int64_t asl_merge(struct asl_input *inputs, uint64_t input_count, uint32_t *ordinals, uint64_t ordinal_count,
                          uint32_t *assigned, uint8_t *out, uint64_t room);

/* Moves the inputs on over at most `most` digests, each counted once. Answers how many there were. */
ASL_API int64_t asl_count(struct asl_input *inputs, uint64_t input_count, uint64_t most);

/* What a directory says of one of its names, links not followed. error: 0, or the errno of stat, and then nothing else
 * is set. xattrs: bytes of the list of extended attributes, or -errno, or ASL_UNASKED; 0 for directories. */
struct asl_status {
  int64_t dev, ino, mode, nlink, uid, gid, rdev, size, blocks, mtime_s, mtime_ns, ctime_s, ctime_ns, error, xattrs;
};

#define ASL_UNASKED INT64_MIN
#define ASL_THREADS 8u /* of asl_slurp */

/* Looks at `count` names, each with its zero byte behind it, `length` bytes together, in an open directory. Regular files
 * with one link that are shorter than `below` bytes, and not empty, are not asked for extended attributes: asl_slurp is. */
ASL_API int64_t asl_scan(int32_t directory, const char *names, uint64_t length, uint64_t count, uint64_t below,
                         struct asl_status *out, uint64_t room);

/* Reads small regular files into `data`, one behind the other, seen[i].size bytes each; an empty one is not opened. Ends
 * before a file that is not, before and after, exactly what was `seen`, or that has extended attributes it was not asked
 * for: that one is for the caller to look at. Ends also before a file that has no room. Answers how many were read; what
 * is in the data behind them is not defined. So many threads read side by side, the caller one of them; ASL_THREADS at
 * most, and at least one. */
ASL_API int64_t asl_slurp(int32_t directory, const char *names, uint64_t length, uint64_t count, uint32_t threads,
                          const struct asl_status *seen, uint8_t *data, uint64_t room);

/* A regular file to be made in the open `directory`: its content is `count` spans from spans[first] on, one behind the
 * other; mode has no type. */
struct asl_new {
  int64_t directory;
  uint64_t first, count;
  int64_t mode, uid, gid, mtime_s, mtime_ns;
};

/* Makes files that are not there yet, whole or not at all: made[i] is 1 where names[i] is now a regular file with its
 * content, owner, mode and times; 0 where something was not as usual, and then there is nothing of it left: the name was
 * taken, a span has not its digest (that of asl_digests, at digests + 32 * i), a system call failed, or the file has got
 * extended attributes from its directory (labels of security modules apart). That is for the caller to look at. Zero pages
 * become holes. A file has its owner before its content, and its mode behind it. A name with a slash is never made. Answers
 * how many were made. */
ASL_API int64_t asl_make(const char *names, uint64_t length, uint64_t count, const struct asl_new *files,
                         const uint8_t *data, uint64_t size, const struct asl_run *spans, const uint8_t *digests,
                         uint64_t span_count, uint8_t *made, uint64_t room);

#define ASL_DEPTH 8u                         /* steps of a sweep that may be under way at a time */

/* What of a device is read in steps: `size` bytes from `at` on, in steps that begin and end at multiples of `step` bytes, from the
 * end where `backward` is 1, else (0) from the front. Up to `depth` steps are under way at a time, where the descriptor `direct`
 * (open past the page cache; -1: there is none) can do that. `plain`: descriptor of the same device for what is not whole sectors.
 * Behind a step that cannot be read goes on over those that follow it and cannot be read either, most_bad of them; depth is no more
 * than that in effect. After patience_ns no step is begun, but for the first. */
struct asl_sweep {
  int64_t direct, plain;
  uint64_t at, size, step, most_bad, depth, backward, patience_ns, number;
};

/* How far the sweep `number` has come: kept up to date, for others that share the memory. Bytes that were read, bad steps behind. */
struct asl_come {
  uint64_t number, good, bad;
};

/* What follows what was read: how many steps that cannot be read, and the errno of the first. */
struct asl_swept {
  uint64_t bad;
  int64_t error;
};

/* Reads, and answers how many bytes could be read up to the first step that cannot; they lie at the beginning of `data`.
 * *context belongs to the process: 0 before the first call, and what this function made of it in those that follow. After
 * ASL_ESYSTEM the kernel may still write to `data`. */
ASL_API int64_t asl_sweep(const struct asl_sweep *how, uint8_t *data, uint64_t room, uint64_t *context, struct asl_come *come,
                          struct asl_swept *out);

/* Not to be had from outside: whether `size` bytes are zero, and what names of asl_scan, asl_slurp and asl_make have to be. */
int asl_zero_page(const uint8_t *data, uint64_t size);
int asl_names_fit(const char *names, uint64_t length, uint64_t count);

#endif
