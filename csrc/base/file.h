/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to files. Only regular files, read with pread into our own memory; never mapped. */
#ifndef PI_BASE_FILE_H
#define PI_BASE_FILE_H
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
/* The bytes of a file in memory; NULL for one on disk. */
const void *pi_file_bytes(const pi_file *file);
pi_file *pi_file_ref(pi_file *file);
void pi_file_unref(pi_file *file);
uint64_t pi_file_size(const pi_file *file);
/* Reads all of [offset, offset + bytes) or fails (a short file: FILE; a changed one: FILE). Retries EINTR. */
pi_status pi_file_read(const pi_file *file, uint64_t offset, void *out, size_t bytes, pi_error *err) PI_MUST_USE;
/* Size of the file at a path, 0 if there is none. */
uint64_t pi_file_bytes_at(const char *path);
/* A small text of the system (/proc, /sys): at most size - 1 bytes and a NUL; 0 if it cannot be read. */
size_t pi_file_text(const char *path, char *text, size_t size);
#endif
