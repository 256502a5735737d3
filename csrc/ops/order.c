/* SPDX-License-Identifier: Apache-2.0 */
/* See order.h. */
#include "ops/order.h"

#include <string.h>

#include "ops/element.h"

/* IEEE numbers of `bits` bits, sign at the top: negative ones count down. */
static uint64_t float_key(uint64_t raw, int bits, uint64_t infinity)
{
    uint64_t sign = (uint64_t)1 << (bits - 1), size = raw & (sign - 1);
    if (size > infinity) return UINT64_MAX;
    if (size == 0) return sign;
    return raw & sign ? sign - size : sign + size;
}

static uint64_t signed_key(int64_t v) { return (uint64_t)v ^ ((uint64_t)1 << 63); }

uint64_t pi_order_key(pi_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case PI_DTYPE_F32: {
        uint32_t raw;
        memcpy(&raw, (const float *)data + i, sizeof raw);
        return float_key(raw, 32, 0x7f800000u);
    }
    case PI_DTYPE_F64: {
        uint64_t raw;
        memcpy(&raw, (const double *)data + i, sizeof raw);
        return float_key(raw, 64, (uint64_t)0x7ff << 52);
    }
    case PI_DTYPE_F16: return float_key(((const uint16_t *)data)[i], 16, 0x7c00);
    case PI_DTYPE_BF16: return float_key(((const uint16_t *)data)[i], 16, 0x7f80);
    case PI_DTYPE_I8: return signed_key(((const int8_t *)data)[i]);
    case PI_DTYPE_I16: return signed_key(((const int16_t *)data)[i]);
    case PI_DTYPE_I32: return signed_key(((const int32_t *)data)[i]);
    case PI_DTYPE_I64: return signed_key(((const int64_t *)data)[i]);
    case PI_DTYPE_U8:
    case PI_DTYPE_BOOL: return ((const uint8_t *)data)[i];
    case PI_DTYPE_U16: return ((const uint16_t *)data)[i];
    case PI_DTYPE_U32: return ((const uint32_t *)data)[i];
    case PI_DTYPE_U64: return ((const uint64_t *)data)[i];
    default: return 0;
    }
}

void pi_order_sort(int64_t *index, int64_t n, pi_order_fn before, const void *arg)
{
    pi_order_heap(index, n, before, arg);
    for (; n > 0; n--) index[n - 1] = pi_order_pop(index, n, before, arg);
}

void pi_order_radix(pi_order_item *item, pi_order_item *spare, int64_t n)
{
    uint64_t differ = 0;
    for (int64_t i = 1; i < n; i++) differ |= item[i].key ^ item[0].key;
    pi_order_item *from = item, *to = spare;
    for (int shift = 0; shift < 64; shift += 8) {
        if (!(differ >> shift & 255)) continue;
        int64_t place[256] = {0}, sum = 0;
        for (int64_t i = 0; i < n; i++) place[from[i].key >> shift & 255]++;
        for (int b = 0; b < 256; b++) {
            int64_t count = place[b];
            place[b] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++) to[place[from[i].key >> shift & 255]++] = from[i];
        pi_order_item *other = from;
        from = to;
        to = other;
    }
    if (from != item) memcpy(item, from, (size_t)n * sizeof *item);
}
