/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to files. Only regular files, read with pread into our own memory; mapped are only saved plans. */
#ifndef PI_BASE_FILE_H
#define PI_BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct pi_file pi_file; /* reference-counted: an open regular file, its size, its folder */

/* Opens the model file itself: symbolic links are allowed here, devices, pipes and folders are not. */
pi_status pi_file_open(const char *path, pi_file **out, pi_error *err) PI_MUST_USE;
/* Opens a file of external data: beneath the folder of `model` only; no absolute path, no "..", no symbolic link,
 * no hard link, a regular file (openat2 with RESOLVE_BENEATH, or a walk with O_NOFOLLOW). `location` has n bytes. */
pi_status pi_file_open_external(const pi_file *model, const char *location, size_t n, pi_file **out,
                                pi_error *err) PI_MUST_USE;
/* Tests: the same on a system without openat2. */
pi_status pi_file_test_by_steps(const pi_file *model, const char *location, size_t n, pi_file **out,
                                pi_error *err) PI_MUST_USE;
/* A file in memory: reads copy from it. release(owner), if given, is called once when the last reference goes, also if
 * this fails. `folder`: where its external data may lie; NULL: opening such data is refused. */
pi_status pi_file_memory(const void *bytes, size_t n, void (*release)(void *owner), void *owner, const char *folder,
                         pi_file **out, pi_error *err) PI_MUST_USE;
/* A part of a file, as a file of its own; the external data of part 0 are the others, by name. */
typedef struct {
    const char *name; /* not terminated */
    size_t name_n;
    uint64_t start, size;
    const uint64_t *sum; /* pi_sum64 of each PI_FILE_CHUNK bytes: what is read is checked */
} pi_file_part;
enum { PI_FILE_CHUNK = 32768 };
/* Part i of n; the list must outlive what is opened. FILE if it reaches beyond the file. */
pi_status pi_file_open_part(pi_file *whole, const pi_file_part *part, uint32_t n, uint32_t i, pi_file **out,
                            pi_error *err) PI_MUST_USE;

/* Which file it was when it was opened: equal for two only if it is the same one, not written to in between (ctime). Zeros
 * for one in memory; a part has that of its whole. */
typedef struct {
    uint64_t device, inode, size;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
} pi_file_id;
pi_file_id pi_file_identity(const pi_file *file);
/* Neither in memory nor a part. */
bool pi_file_on_disk(const pi_file *file);

/* The file's pages, read-only and shared with all processes that map it, while the file lives. `own`: only a file of this
 * user that no other may write to. Whoever cuts the file off meanwhile ends the process: FILE if somebody else could. */
pi_status pi_file_map(pi_file *file, bool own, const void **bytes, pi_error *err) PI_MUST_USE;
/* Brings the pages of mapped bytes in at once. Only advice. */
void pi_file_populate(const void *bytes, size_t n);

/* ---- writing: a new file takes its place at the end, all at once ---- */

typedef struct pi_writer pi_writer;
/* Mode 0600. Nothing is at `path` before pi_writer_finish; a crash leaves nothing, or, where the system lacks O_TMPFILE, a
 * file whose name ends in ".part". */
pi_status pi_writer_open(const char *path, pi_writer **out, pi_error *err) PI_MUST_USE;
pi_status pi_writer_put(pi_writer *writer, const void *bytes, size_t n, pi_error *err) PI_MUST_USE;
/* Zeros up to a multiple of `align`, a power of two up to 4096; *at (may be NULL): where the next byte goes. */
pi_status pi_writer_align(pi_writer *writer, size_t align, uint64_t *at, pi_error *err) PI_MUST_USE;
/* Overwrites n bytes at the start, then gives the file its name, in place of one that has it. Frees the writer, in every case. */
pi_status pi_writer_finish(pi_writer *writer, const void *head, size_t n, pi_error *err) PI_MUST_USE;
void pi_writer_drop(pi_writer *writer); /* NULL is fine */

/* The bytes of a file in memory; NULL for one on disk. */
const void *pi_file_bytes(const pi_file *file);
pi_file *pi_file_ref(pi_file *file);
void pi_file_unref(pi_file *file);
uint64_t pi_file_size(const pi_file *file);
/* Reads all of [offset, offset + bytes) or fails (a short file: FILE; a changed one: FILE). Retries EINTR. */
pi_status pi_file_read(const pi_file *file, uint64_t offset, void *out, size_t bytes, pi_error *err) PI_MUST_USE;
/* A small text of the system (/proc, /sys): at most size - 1 bytes and a NUL; 0 if it cannot be read. */
size_t pi_file_text(const char *path, char *text, size_t size);
#endif
