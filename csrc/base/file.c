/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/alloc.h"
struct pi_file {
    int fd; /* of the file, or of the folder of a file in memory, or -1 */
    long refs;
    uint64_t size;
    const void *bytes; /* of a file in memory */
    void (*release)(void *owner);
    void *owner;
};
pi_status pi_file_open(const char *path, pi_file **out, pi_error *err)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return pi_fail(err, PI_E_FILE, "%.500s: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) { close(fd); return pi_fail(err, PI_E_FILE, "%.500s: not a regular file", path); }
    pi_file *f = pi_calloc(NULL, 1, sizeof *f, err);
    if (!f) { close(fd); return pi_alloc_status(err); }
    f->fd = fd; f->refs = 1; f->size = (uint64_t)s.st_size;
    *out = f;
    return PI_E_OK;
}
pi_status pi_file_memory(const void *bytes, size_t n, void (*release)(void *owner), void *owner, const char *folder,
                         pi_file **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_file *f = pi_calloc(NULL, 1, sizeof *f, err);
    if (!f) {
        if (release) release(owner);
        return pi_alloc_status(err);
    }
    *f = (pi_file){.fd = -1, .refs = 1, .size = n, .bytes = bytes ? bytes : "", .release = release, .owner = owner};
    if (folder && (f->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        st = pi_fail(err, PI_E_FILE, "%.500s: %s", folder, strerror(errno));
    if (st != PI_E_OK)
        pi_file_unref(f);
    else
        *out = f;
    return st;
}

const void *pi_file_bytes(const pi_file *f) { return f->bytes; }

pi_status pi_file_open_external(const pi_file *model, const char *location, size_t n, pi_file **out, pi_error *err)
{
    (void)model; (void)location; (void)n; (void)out;
    return pi_fail(err, PI_E_FILE, "external data is not readable yet");
}
pi_file *pi_file_ref(pi_file *f) { __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED); return f; }
void pi_file_unref(pi_file *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (f->release) f->release(f->owner);
    if (f->fd >= 0) (void)close(f->fd);
    pi_free(f);
}
uint64_t pi_file_size(const pi_file *f) { return f->size; }
pi_status pi_file_read(const pi_file *f, uint64_t offset, void *out, size_t bytes, pi_error *err)
{
    char *p = out;
    if (f->bytes) {
        if (offset > f->size || bytes > f->size - offset) return pi_fail(err, PI_E_FILE, "the file ends early");
        if (bytes) memcpy(out, (const char *)f->bytes + offset, bytes);
        return PI_E_OK;
    }
    while (bytes) {
        ssize_t got = pread(f->fd, p, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return pi_fail(err, PI_E_FILE, "the file ends early");
        p += got; bytes -= (size_t)got; offset += (uint64_t)got;
    }
    return PI_E_OK;
}
