/* SPDX-License-Identifier: Apache-2.0 */
/* 8-bit conversions in plain C. */
#include "kernels/quant/quant_linear.h"

/* Rounds |v| < 2^22 to the nearest integer, ties to even: the addition drops the bits behind the point. */
static inline float nearest(float v) { return (v + 12582912.0f) - 12582912.0f; }

static void to_bytes(void *y, const float *x, int64_t n, float scale, float zero, bool is_signed)
{
    float low = (is_signed ? -128.0f : 0.0f) - zero, high = (is_signed ? 127.0f : 255.0f) - zero;
    for (int64_t i = 0; i < n; i++) {
        float v = x[i] / scale;
        v = v > low ? v : low; /* NaN becomes low */
        v = v < high ? v : high;
        int32_t q = (int32_t)(nearest(v) + zero);
        if (is_signed)
            ((int8_t *)y)[i] = (int8_t)q;
        else
            ((uint8_t *)y)[i] = (uint8_t)q;
    }
}

static void to_floats(float *y, const void *x, int64_t n, float scale, float zero, bool is_signed)
{
    if (is_signed)
        for (int64_t i = 0; i < n; i++) y[i] = ((float)((const int8_t *)x)[i] - zero) * scale;
    else
        for (int64_t i = 0; i < n; i++) y[i] = ((float)((const uint8_t *)x)[i] - zero) * scale;
}

static void to_floats_each(float *y, const void *x, int64_t n, const float *scale, const void *zero, bool is_signed)
{
    for (int64_t i = 0; i < n; i++) {
        int v = is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
        if (zero) v -= is_signed ? ((const int8_t *)zero)[i] : ((const uint8_t *)zero)[i];
        y[i] = (float)v * scale[i];
    }
}

static void requantize(void *y, int64_t y_row, const int32_t *c, int64_t c_row, int64_t rows, int64_t n,
                       const int32_t *add, const float *scale, float zero, bool is_signed)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) {
            float v = (float)(int32_t)((uint32_t)c[i * c_row + j] + (add ? (uint32_t)add[j] : 0)) * scale[j];
            to_bytes((char *)y + i * y_row + j, &v, 1, 1, zero, is_signed);
        }
}

static void pair(void *y, const void *a, const void *b, int64_t n, const pi_quant_pair *p)
{
    for (int64_t i = 0; i < n; i++) {
        float u, v;
        to_floats(&u, (const char *)a + i, 1, p->a_scale, p->a_zero, p->a_signed);
        to_floats(&v, (const char *)b + i, 1, p->b_scale, p->b_zero, p->b_signed);
        u = p->product ? u * v : u + v;
        to_bytes((char *)y + i, &u, 1, p->y_scale, p->y_zero, p->y_signed);
    }
}

static void range(const float *x, int64_t n, float *low, float *high)
{
    for (int64_t i = 0; i < n; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

static int64_t sum(const void *x, int64_t n, bool is_signed)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
    return total;
}

const pi_quant_linear pi_quant_linear_ref = {to_bytes, to_floats, to_floats_each, requantize, pair, range, sum};
