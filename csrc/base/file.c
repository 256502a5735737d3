/* SPDX-License-Identifier: Apache-2.0 */
/* Files: opened without blocking, only regular ones, read with pread. External data is opened beneath the model's folder by
 * the kernel itself (openat2), or, where it lacks that call, component by component without following links. */
#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/file_private.h"
#include "base/sum.h"

enum { LONGEST_PATH = 4095, SHOWN = 200 };
enum { READ_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY };

static pi_file *file_new(pi_error *err)
{
    pi_file *f = pi_calloc(NULL, 1, sizeof *f, err);
    if (!f) return NULL;
    f->fd = f->folder = -1;
    f->refs = 1;
    return f;
}

/* Takes fd over. `name` is for the text. */
static pi_status adopt(int fd, const char *name, pi_file **out, pi_error *err)
{
    struct stat s;
    pi_status st = PI_E_OK;
    pi_file *f = file_new(err);
    if (!f) {
        (void)close(fd);
        return pi_alloc_status(err);
    }
    f->fd = fd;
    if (fstat(fd, &s) != 0)
        st = pi_fail(err, PI_E_FILE, "%.500s: %s", name, strerror(errno));
    else if (!S_ISREG(s.st_mode))
        st = pi_fail(err, PI_E_FILE, "%.500s is %s, expected a file", name,
                     S_ISDIR(s.st_mode) ? "a folder" : "a device or a pipe");
    if (st != PI_E_OK) {
        pi_file_unref(f);
        return st;
    }
    f->size = (uint64_t)s.st_size;
    f->seen = s;
    *out = f;
    return PI_E_OK;
}

int pi_file_open_at(int folder, const char *path, int flags, mode_t mode)
{
    int fd;
    do fd = openat(folder, path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int open_at(int folder, const char *path, int flags) { return pi_file_open_at(folder, path, flags, 0); }

static int open_folder_of(const char *path)
{
    char folder[LONGEST_PATH + 1];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n > LONGEST_PATH) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    return open_at(AT_FDCWD, n ? folder : ".", O_PATH | O_DIRECTORY);
}

pi_status pi_file_open(const char *path, pi_file **out, pi_error *err)
{
    *out = NULL;
    int fd = open_at(AT_FDCWD, path, READ_FLAGS);
    if (fd < 0) return pi_fail(err, PI_E_FILE, "%.500s: %s", path, strerror(errno));
    PI_TRY(adopt(fd, path, out, err));
    (*out)->folder = open_folder_of(path);
    if ((*out)->folder >= 0) return PI_E_OK;
    int error = errno;
    pi_file_unref(*out);
    *out = NULL;
    return pi_fail(err, PI_E_FILE, "the folder of %.500s: %s", path, strerror(error));
}

pi_status pi_file_memory(const void *bytes, size_t n, void (*release)(void *owner), void *owner, const char *folder,
                         pi_file **out, pi_error *err)
{
    *out = NULL;
    pi_file *f = file_new(err);
    if (!f) {
        if (release) release(owner);
        return pi_alloc_status(err);
    }
    f->size = n;
    f->bytes = bytes ? bytes : "";
    f->release = release;
    f->owner = owner;
    if (folder && (f->folder = open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY)) < 0) {
        pi_status st = pi_fail(err, PI_E_FILE, "%.500s: %s", folder, strerror(errno));
        pi_file_unref(f);
        return st;
    }
    *out = f;
    return PI_E_OK;
}

/* ---- external data ---- */

/* The location as an error may show it: its beginning, in one line, whatever bytes a file has put there. */
typedef struct {
    char text[SHOWN + 4];
} shown;

static shown show(const char *location, size_t n)
{
    shown s;
    size_t end = n;
    if (n > SHOWN) /* do not cut a UTF-8 character in two */
        for (end = SHOWN; end > SHOWN - 4 && (location[end] & 0xc0) == 0x80;) end--;
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)location[i];
        s.text[i] = c < 32 || c == 127 ? '?' : (char)c;
    }
    memcpy(s.text + end, n > end ? "..." : "", n > end ? 4 : 1);
    return s;
}

static pi_status refuse(const char *location, size_t n, pi_status code, const char *why, pi_error *err)
{
    return pi_fail(err, code, "external data '%s': %s", show(location, n).text, why);
}

/* A path that may be looked for beneath the model's folder, by its letters. A backslash is a letter. */
static pi_status check_location(const char *location, size_t n, pi_error *err)
{
    if (n == 0) return pi_fail(err, PI_E_MODEL, "the location of external data is empty");
    if (n > LONGEST_PATH) return refuse(location, n, PI_E_MODEL, "the location is longer than 4095 bytes", err);
    if (memchr(location, '\0', n)) return refuse(location, n, PI_E_MODEL, "a NUL byte is not allowed", err);
    if (location[0] == '/') return refuse(location, n, PI_E_MODEL, "an absolute path is not allowed", err);
    for (size_t at = 0; at <= n;) {
        const char *slash = memchr(location + at, '/', n - at);
        size_t end = slash ? (size_t)(slash - location) : n;
        if (end - at == 2 && location[at] == '.' && location[at + 1] == '.')
            return refuse(location, n, PI_E_MODEL, "'..' is not allowed", err);
        at = end + 1;
    }
    return PI_E_OK;
}

/* struct open_how and the flags of openat2(2); older kernel headers lack them. */
struct how {
    uint64_t flags, mode, resolve;
};
enum { NO_MAGICLINKS = 0x02, NO_SYMLINKS = 0x04, BENEATH = 0x08 };
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

static int open_beneath(int folder, const char *path)
{
    struct how how = {.flags = READ_FLAGS | O_CLOEXEC, .resolve = NO_MAGICLINKS | NO_SYMLINKS | BENEATH};
    long fd = -1;
    for (int tries = 0; tries < 100; tries++) { /* EAGAIN: somebody renames folders at this moment */
        fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) break;
    }
    return (int)fd;
}

/* The same without openat2: no component may be a link. `path` is cut into pieces. */
static int open_by_steps(int folder, char *path)
{
    int at = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    for (char *part = path; at >= 0;) {
        while (*part == '/') part++;
        char *slash = strchr(part, '/');
        if (slash) *slash = '\0';
        int next = open_at(at, part, O_NOFOLLOW | (slash ? O_PATH | O_DIRECTORY : READ_FLAGS)), error = errno;
        (void)close(at);
        errno = error;
        at = next;
        if (!slash) break;
        part = slash + 1;
    }
    return at;
}

static const char *open_reason(int error)
{
    switch (error) {
    case ELOOP:
    case EXDEV: return "a symbolic link is not allowed: put the file itself beside the model";
    case ENOTDIR: return "a part of the path is no folder, or a symbolic link, which is not allowed";
    case ENOENT: return "there is no such file beside the model: put it there, or fetch it too";
    default: return strerror(error);
    }
}

static pi_status open_external(int folder, const char *location, size_t n, bool by_steps, pi_file **out, pi_error *err)
{
    char path[LONGEST_PATH + 1];
    struct stat s;
    memcpy(path, location, n);
    path[n] = '\0';
    int fd = by_steps ? -1 : open_beneath(folder, path);
    if (by_steps || (fd < 0 && (errno == ENOSYS || errno == EPERM))) fd = open_by_steps(folder, path);
    if (fd < 0) return refuse(location, n, PI_E_FILE, open_reason(errno), err);
    PI_TRY(adopt(fd, show(location, n).text, out, err));
    if (fstat(fd, &s) == 0 && s.st_nlink <= 1) return PI_E_OK;
    pi_file_unref(*out);
    *out = NULL;
    return refuse(location, n, PI_E_FILE, "the file has several hard links, which is not allowed: copy it", err);
}

/* ---- parts ---- */

pi_status pi_file_open_part(pi_file *whole, const pi_file_part *part, uint32_t n, uint32_t i, pi_file **out, pi_error *err)
{
    *out = NULL;
    if (part[i].start > whole->size || part[i].size > whole->size - part[i].start)
        return pi_fail(err, PI_E_FILE, "a part of the file is not in it: is the file cut off?");
    pi_file *f = file_new(err);
    if (!f) return pi_alloc_status(err);
    f->whole = pi_file_ref(whole);
    f->start = part[i].start;
    f->size = part[i].size;
    f->part = part;
    f->n_parts = n;
    f->sum = part[i].sum;
    *out = f;
    return PI_E_OK;
}

static pi_status open_sibling(const pi_file *f, const char *location, size_t n, pi_file **out, pi_error *err)
{
    for (uint32_t i = 1; i < f->n_parts; i++)
        if (f->part[i].name_n == n && memcmp(f->part[i].name, location, n) == 0)
            return pi_file_open_part(f->whole, f->part, f->n_parts, i, out, err);
    return refuse(location, n, PI_E_FILE, "it is not in the saved plan", err);
}

pi_status pi_file_open_external(const pi_file *model, const char *location, size_t n, pi_file **out, pi_error *err)
{
    *out = NULL;
    PI_TRY(check_location(location, n, err));
    if (model->whole) return open_sibling(model, location, n, out, err);
    if (model->folder < 0)
        return refuse(location, n, PI_E_FILE, "the model has no folder: load it by its path", err);
    return open_external(model->folder, location, n, false, out, err);
}

pi_status pi_file_test_by_steps(const pi_file *model, const char *location, size_t n, pi_file **out, pi_error *err)
{
    *out = NULL;
    PI_TRY(check_location(location, n, err));
    return open_external(model->folder, location, n, true, out, err);
}

/* ---- use ---- */

pi_file *pi_file_ref(pi_file *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

void pi_file_unref(pi_file *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (f->map) (void)munmap(f->map, f->size);
    if (f->release) f->release(f->owner);
    if (f->whole) pi_file_unref(f->whole);
    if (f->fd >= 0) (void)close(f->fd);
    if (f->folder >= 0) (void)close(f->folder);
    pi_free(f);
}

uint64_t pi_file_size(const pi_file *f) { return f->size; }
const void *pi_file_bytes(const pi_file *f) { return f->bytes; }

static pi_status check_unchanged(const pi_file *f, pi_error *err)
{
    struct stat s;
    bool same = fstat(f->fd, &s) == 0 && (uint64_t)s.st_size == f->size && s.st_ino == f->seen.st_ino &&
                s.st_mtim.tv_sec == f->seen.st_mtim.tv_sec && s.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec;
    return same ? PI_E_OK : pi_fail(err, PI_E_FILE, "the model's file was changed while it was in use: load it again");
}

/* In whole chunks, each of which must have its sum. */
static pi_status read_part(const pi_file *f, uint64_t offset, char *out, size_t bytes, pi_error *err)
{
    pi_status st = PI_E_OK;
    char *chunk = pi_alloc(NULL, PI_FILE_CHUNK, err);
    if (!chunk) return pi_alloc_status(err);
    while (bytes) {
        uint64_t i = offset / PI_FILE_CHUNK, at = i * PI_FILE_CHUNK, skip = offset - at;
        size_t n = f->size - at < PI_FILE_CHUNK ? (size_t)(f->size - at) : PI_FILE_CHUNK, want = n - (size_t)skip;
        if (want > bytes) want = bytes;
        char *to = want == n ? out : chunk;
        PI_TRY_DONE(pi_file_read(f->whole, f->start + at, to, n, err));
        if (pi_sum64(to, n) != f->sum[i]) {
            st = pi_fail(err, PI_E_FILE, "the saved plan is damaged: the model in it; make it again");
            goto done;
        }
        if (to == chunk) memcpy(out, chunk + skip, want);
        out += want;
        offset += want;
        bytes -= want;
    }
done:
    pi_free(chunk);
    return st;
}

pi_status pi_file_read(const pi_file *f, uint64_t offset, void *out, size_t bytes, pi_error *err)
{
    char *at = out;
    if (offset > f->size || bytes > f->size - offset)
        return pi_fail(err, PI_E_FILE, "%zu bytes at %llu are wanted, the file has %llu", bytes, (unsigned long long)offset,
                       (unsigned long long)f->size);
    if (f->whole) return read_part(f, offset, out, bytes, err);
    if (f->bytes) {
        if (bytes) memcpy(out, (const char *)f->bytes + offset, bytes);
        return PI_E_OK;
    }
    while (bytes) {
        ssize_t got = pread(f->fd, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return pi_fail(err, PI_E_FILE, "reading the model: %s", strerror(errno));
        if (got == 0) break;
        at += got;
        bytes -= (size_t)got;
        offset += (uint64_t)got;
    }
    PI_TRY(check_unchanged(f, err));
    return bytes == 0 ? PI_E_OK : pi_fail(err, PI_E_FILE, "the file ends early");
}

size_t pi_file_text(const char *path, char *text, size_t size)
{
    size_t n = 0;
    int fd = open_at(AT_FDCWD, path, READ_FLAGS);
    while (fd >= 0 && n + 1 < size) {
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    if (fd >= 0) (void)close(fd);
    if (size) text[n] = '\0';
    return n;
}
