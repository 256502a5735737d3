/* SPDX-License-Identifier: Apache-2.0 */
/* The table of element types; see dtype.inc. */
#include "base/dtype.h"

#include <string.h>

static const struct {
    const char *name, *numpy;
    size_t size, bits;
} dtypes[32] = {
    [PI_DTYPE_NONE] = {"?", "?", 0, 0},
    [PI_DTYPE_SEQ] = {"seq", "object", sizeof(void *), 0},
    [PI_DTYPE_OPT] = {"opt", "object", sizeof(void *), 0},
#define X(name, id, short_name, bytes, bits, numpy) [id] = {short_name, numpy, bytes, bits},
#include "base/dtype.inc"
#undef X
};

_Static_assert((int)PI_DTYPE_COUNT <= (int)PI_DTYPE_SEQ, "element types and the others share a mask of 32 bits");

static size_t known(pi_dtype dtype)
{
    return (unsigned)dtype < 32 && dtypes[dtype].name ? (size_t)dtype : (size_t)PI_DTYPE_NONE;
}

size_t pi_dtype_size(pi_dtype dtype) { return dtypes[known(dtype)].size; }
size_t pi_dtype_bits(pi_dtype dtype) { return dtypes[known(dtype)].bits; }
const char *pi_dtype_name(pi_dtype dtype) { return dtypes[known(dtype)].name; }
const char *pi_dtype_numpy(pi_dtype dtype) { return dtypes[known(dtype)].numpy; }

pi_dtype pi_dtype_find(const char *short_name, size_t n)
{
    for (int d = 1; d < 32; d++)
        if (dtypes[d].name && strlen(dtypes[d].name) == n && memcmp(dtypes[d].name, short_name, n) == 0)
            return (pi_dtype)d;
    return PI_DTYPE_NONE;
}

pi_dtype pi_dtype_from_id(int64_t id)
{
    return id > 0 && id < PI_DTYPE_COUNT ? (pi_dtype)id : PI_DTYPE_NONE;
}
