/* SPDX-License-Identifier: Apache-2.0 */
/* What an open file is, for file.c and file_store.c. */
#ifndef PI_BASE_FILE_PRIVATE_H
#define PI_BASE_FILE_PRIVATE_H
#include <sys/stat.h>
#include "base/file.h"

struct pi_file {
    int fd;     /* -1: in memory, or a part */
    int folder; /* where external data may lie; -1: nowhere */
    long refs;  /* atomic */
    uint64_t size;
    struct stat seen;  /* when it was opened */
    const void *bytes; /* of a file in memory */
    void (*release)(void *owner);
    void *owner;
    pi_file *whole;           /* of a part: the file that it is in, counted */
    uint64_t start;           /* of a part */
    const uint64_t *sum;      /* of its chunks */
    const pi_file_part *part; /* of a part: its siblings, what external data may be */
    uint32_t n_parts;
    void *map; /* or NULL */
};

/* openat that a signal does not end. */
int pi_file_open_at(int folder, const char *path, int flags, mode_t mode);
#endif
