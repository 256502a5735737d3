/* SPDX-License-Identifier: Apache-2.0 */
/* See element.h. */
#include "ops/element.h"

#include <math.h>
#include <string.h>

#include "ops/block.h"

double pi_element_get(pi_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case PI_DTYPE_F32: return (double)((const float *)data)[i];
    case PI_DTYPE_F64: return ((const double *)data)[i];
    case PI_DTYPE_F16: return (double)pi_f16_to_float(((const uint16_t *)data)[i]);
    case PI_DTYPE_BF16: return (double)pi_bf16_to_float(((const uint16_t *)data)[i]);
    case PI_DTYPE_I8: return ((const int8_t *)data)[i];
    case PI_DTYPE_U8: return ((const uint8_t *)data)[i];
    case PI_DTYPE_BOOL: return ((const uint8_t *)data)[i] != 0;
    case PI_DTYPE_I16: return ((const int16_t *)data)[i];
    case PI_DTYPE_U16: return ((const uint16_t *)data)[i];
    case PI_DTYPE_I32: return ((const int32_t *)data)[i];
    case PI_DTYPE_U32: return ((const uint32_t *)data)[i];
    case PI_DTYPE_I64: return (double)((const int64_t *)data)[i];
    case PI_DTYPE_U64: return (double)((const uint64_t *)data)[i];
    default: { /* less than a byte among them: only their low bits count */
        double v = 0;
        if (dtype != PI_DTYPE_NONE && dtype != PI_DTYPE_STRING) pi_read_f64(dtype, pi_at(data, dtype, i), 0, 1, &v);
        return v;
    }
    }
}

static double clamp(double v, double low, double high)
{
    v = trunc(v);
    return v >= high ? high : v >= low ? v : v < low ? low : 0;
}

static int64_t to_i64(double v)
{
    return v >= 9223372036854775808.0 ? INT64_MAX : v >= -9223372036854775808.0 ? (int64_t)v : v < 0 ? INT64_MIN : 0;
}

static uint64_t to_u64(double v) { return v >= 18446744073709551616.0 ? UINT64_MAX : v > 0 ? (uint64_t)v : 0; }

void pi_element_put(pi_dtype dtype, void *data, int64_t i, double v)
{
    switch (dtype) {
    case PI_DTYPE_F32: ((float *)data)[i] = (float)v; return;
    case PI_DTYPE_F64: ((double *)data)[i] = v; return;
    case PI_DTYPE_F16: ((uint16_t *)data)[i] = pi_float_to_f16(pi_double_to_odd_float(v)); return;
    case PI_DTYPE_BF16: ((uint16_t *)data)[i] = pi_float_to_bf16(pi_double_to_odd_float(v)); return;
    case PI_DTYPE_BOOL: ((uint8_t *)data)[i] = v != 0; return;
    case PI_DTYPE_I2: ((int8_t *)data)[i] = (int8_t)clamp(v, -2, 1); return;
    case PI_DTYPE_U2: ((uint8_t *)data)[i] = (uint8_t)clamp(v, 0, 3); return;
    case PI_DTYPE_I4: ((int8_t *)data)[i] = (int8_t)clamp(v, -8, 7); return;
    case PI_DTYPE_U4: ((uint8_t *)data)[i] = (uint8_t)clamp(v, 0, 15); return;
    case PI_DTYPE_I8: ((int8_t *)data)[i] = (int8_t)clamp(v, INT8_MIN, INT8_MAX); return;
    case PI_DTYPE_U8: ((uint8_t *)data)[i] = (uint8_t)clamp(v, 0, UINT8_MAX); return;
    case PI_DTYPE_I16: ((int16_t *)data)[i] = (int16_t)clamp(v, INT16_MIN, INT16_MAX); return;
    case PI_DTYPE_U16: ((uint16_t *)data)[i] = (uint16_t)clamp(v, 0, UINT16_MAX); return;
    case PI_DTYPE_I32: ((int32_t *)data)[i] = (int32_t)clamp(v, INT32_MIN, INT32_MAX); return;
    case PI_DTYPE_U32: ((uint32_t *)data)[i] = (uint32_t)clamp(v, 0, UINT32_MAX); return;
    case PI_DTYPE_I64: ((int64_t *)data)[i] = to_i64(v); return;
    case PI_DTYPE_U64: ((uint64_t *)data)[i] = to_u64(v); return;
    default:
        if (pi_dtype_is_float(dtype)) pi_write_f64(dtype, pi_at_mut(data, dtype, i), 0, 1, &v);
        return;
    }
}

void pi_element_to_f32(pi_dtype dtype, const void *data, int64_t from, int64_t n, float *out)
{
    if (dtype == PI_DTYPE_F32)
        memcpy(out, (const float *)data + from, (size_t)n * sizeof *out);
    else if (dtype == PI_DTYPE_F16)
        for (int64_t i = 0; i < n; i++) out[i] = pi_f16_to_float(((const uint16_t *)data)[from + i]);
    else if (dtype == PI_DTYPE_BF16)
        for (int64_t i = 0; i < n; i++) out[i] = pi_bf16_to_float(((const uint16_t *)data)[from + i]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = (float)pi_element_get(dtype, data, from + i);
}

void pi_element_from_f32(pi_dtype dtype, void *data, int64_t from, int64_t n, const float *in)
{
    if (dtype == PI_DTYPE_F32)
        memcpy((float *)data + from, in, (size_t)n * sizeof *in);
    else if (dtype == PI_DTYPE_BF16)
        for (int64_t i = 0; i < n; i++) ((uint16_t *)data)[from + i] = pi_float_to_bf16(in[i]);
    else
        for (int64_t i = 0; i < n; i++) pi_element_put(dtype, data, from + i, (double)in[i]);
}
