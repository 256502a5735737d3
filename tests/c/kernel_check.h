/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tests share: buffers that end at a page that cannot be touched, distances in ULP, numbers, sizes. */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t ugly[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
enum { UGLY_COUNT = sizeof ugly / sizeof *ugly };

/* `bytes` bytes, the last one before a forbidden page; never given back. */
static inline void *guarded(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    char *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE) != 0) exit(9);
    return p + room - bytes;
}

static inline float from_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}
static inline uint32_t to_bits(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}
/* Equal, or both NaN. */
static inline int same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

/* Distance of a float from an exact result, in units of the result's last place. Denormal results may be 0. */
static inline double ulp_error(float got, double exact)
{
    if (isnan(got) || isnan(exact)) return isnan(got) && isnan(exact) ? 0 : INFINITY;
    if (got == (float)exact || (got == 0 && fabs(exact) < 0x1p-126)) return 0;
    if (isinf(exact)) return INFINITY;
    int e = fabs(exact) < 0x1p-126 ? -126 : fabs(exact) >= 0x1p127 ? 127 : ilogb(exact);
    return fabs((isinf(got) ? copysign(0x1p128, got) : (double)got) - exact) * ldexp(1, 23 - e);
}

static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
/* In [-scale, scale). */
static inline float random_float(uint32_t *state, float scale)
{
    return ((float)(next_random(state) >> 8) * 0x1p-23f - 1.0f) * scale;
}
static const float special[] = {0.0f,      -0.0f,      1.0f,        -1.0f,  0.5f,    -0.5f,    1.5f,      2.5f,
                                -2.5f,     88.8f,      -88.8f,      103.9f, -104.5f, 3.4e38f,  -3.4e38f,  1.2e-38f,
                                -1.2e-38f, 8388609.0f, -8388609.0f, 1e10f,  -1e10f,  INFINITY, -INFINITY, NAN};
enum { SPECIAL_COUNT = sizeof special / sizeof *special };
#endif
