/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping of saved plans, and the writing of files: the only ones that we make. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/file_private.h"

pi_file_id pi_file_identity(const pi_file *f)
{
    if (f->whole) return pi_file_identity(f->whole);
    if (f->fd < 0) return (pi_file_id){0};
    const struct stat *s = &f->seen;
    return (pi_file_id){.device = (uint64_t)s->st_dev,
                        .inode = (uint64_t)s->st_ino,
                        .size = (uint64_t)s->st_size,
                        .modified_s = s->st_mtim.tv_sec,
                        .modified_ns = s->st_mtim.tv_nsec,
                        .changed_s = s->st_ctim.tv_sec,
                        .changed_ns = s->st_ctim.tv_nsec};
}

bool pi_file_on_disk(const pi_file *f) { return f->fd >= 0; }

pi_status pi_file_map(pi_file *f, bool own, const void **bytes, pi_error *err)
{
    *bytes = f->map;
    if (f->map) return PI_E_OK;
    if (f->fd < 0 || f->size == 0 || f->size > SIZE_MAX / 2)
        return pi_fail(err, PI_E_FILE, "the file cannot be mapped");
    if (own && (f->seen.st_uid != geteuid() || f->seen.st_mode & (S_IWGRP | S_IWOTH)))
        return pi_fail(err, PI_E_FILE, "the file belongs to another user, or others may write to it");
    void *map = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);
    if (map == MAP_FAILED) return pi_fail(err, PI_E_FILE, "mapping the file: %s", strerror(errno));
    *bytes = f->map = map;
    return PI_E_OK;
}

void pi_file_populate(const void *bytes, size_t n)
{
    enum { POPULATE_READ = 22, PAGE = 4096 }; /* MADV_POPULATE_READ, since Linux 5.14 */
    uintptr_t from = (uintptr_t)bytes & ~(uintptr_t)(PAGE - 1), to = (uintptr_t)bytes + n;
    (void)madvise((void *)from, to - from, POPULATE_READ);
}

/* ---- writing ---- */

enum { BUFFER = 1 << 16, LONGEST_PATH = 4095, SUFFIX = 64 };

struct pi_writer {
    int fd;
    uint64_t at; /* bytes so far, those in the buffer included */
    size_t held;
    bool named; /* the file has its ".part" name already */
    char path[LONGEST_PATH + 1], part[LONGEST_PATH + SUFFIX + 1];
    char buffer[BUFFER];
};

/* The path of a file beside `path` that nobody else makes. */
static void part_name(pi_writer *w)
{
    static unsigned count; /* atomic: several writers of this process */
    unsigned k = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    (void)snprintf(w->part, sizeof w->part, "%s.%ld-%u.part", w->path, (long)getpid(), k);
}

static int open_unnamed(const pi_writer *w)
{
    char folder[LONGEST_PATH + 2];
    const char *slash = strrchr(w->path, '/');
    size_t n = slash ? (size_t)(slash - w->path) + 1 : 0;
    memcpy(folder, w->path, n);
    folder[n] = '\0';
    return pi_file_open_at(AT_FDCWD, n ? folder : ".", O_TMPFILE | O_WRONLY, 0600);
}

pi_status pi_writer_open(const char *path, pi_writer **out, pi_error *err)
{
    *out = NULL;
    size_t n = strlen(path);
    if (n == 0 || n > LONGEST_PATH)
        return pi_fail(err, PI_E_FILE, "the path has %zu bytes, expected 1 to %d", n, LONGEST_PATH);
    pi_writer *w = pi_alloc(NULL, sizeof *w, err);
    if (!w) return pi_alloc_status(err);
    w->at = 0;
    w->held = 0;
    w->named = false;
    memcpy(w->path, path, n + 1);
    part_name(w);
    w->fd = open_unnamed(w);
    if (w->fd < 0 &&
        (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) { /* no O_TMPFILE here */
        w->fd = pi_file_open_at(AT_FDCWD, w->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        w->named = w->fd >= 0;
    }
    if (w->fd < 0) {
        int error = errno;
        pi_free(w);
        return pi_fail(err, PI_E_FILE, "%.500s: %s", path, strerror(error));
    }
    *out = w;
    return PI_E_OK;
}

static pi_status write_all(const pi_writer *w, const void *bytes, size_t n, uint64_t at, pi_error *err)
{
    const char *p = bytes;
    while (n) {
        ssize_t put = pwrite(w->fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0)
            return pi_fail(err, PI_E_FILE, "writing %.500s: %s", w->path, put < 0 ? strerror(errno) : "no room");
        p += put;
        n -= (size_t)put;
        at += (uint64_t)put;
    }
    return PI_E_OK;
}

static pi_status flush(pi_writer *w, pi_error *err)
{
    size_t n = w->held;
    w->held = 0;
    return write_all(w, w->buffer, n, w->at - n, err);
}

pi_status pi_writer_put(pi_writer *w, const void *bytes, size_t n, pi_error *err)
{
    if (n > BUFFER - w->held) PI_TRY(flush(w, err));
    if (n > BUFFER) {
        PI_TRY(write_all(w, bytes, n, w->at, err));
    } else if (n) {
        memcpy(w->buffer + w->held, bytes, n);
        w->held += n;
    }
    w->at += n;
    return PI_E_OK;
}

pi_status pi_writer_align(pi_writer *w, size_t align, uint64_t *at, pi_error *err)
{
    static const char zeros[4096];
    PI_TRY(pi_writer_put(w, zeros, (size_t)(-w->at & (align - 1)), err));
    if (at) *at = w->at;
    return PI_E_OK;
}

void pi_writer_drop(pi_writer *w)
{
    if (!w) return;
    (void)close(w->fd);
    if (w->named) (void)unlink(w->part);
    pi_free(w);
}

/* Gives an unnamed file its ".part" name: a link cannot take the place of another file, a rename can. */
static bool name_it(pi_writer *w)
{
    char self[64];
    if (w->named) return true;
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", w->fd);
    return w->named = linkat(AT_FDCWD, self, AT_FDCWD, w->part, AT_SYMLINK_FOLLOW) == 0;
}

pi_status pi_writer_finish(pi_writer *w, const void *head, size_t n, pi_error *err)
{
    pi_status st = flush(w, err);
    if (st == PI_E_OK) st = write_all(w, head, n, 0, err);
    if (st == PI_E_OK && (!name_it(w) || rename(w->part, w->path) != 0))
        st = pi_fail(err, PI_E_FILE, "%.500s: %s", w->path, strerror(errno));
    if (st == PI_E_OK) w->named = false; /* nothing to remove */
    pi_writer_drop(w);
    return st;
}
