/* SPDX-License-Identifier: Apache-2.0 */
/* Narrow numbers to f32 and back, n at a time: pi_convert()->f16_to_f32(n, x, y). No alignment needed, no overlap.
 * Rounds to nearest even; NaN stays NaN; the results are those of base/half.h. */
#ifndef PI_KERNELS_CONVERT_H
#define PI_KERNELS_CONVERT_H
#include <stddef.h>
#include <stdint.h>
#include "base/cpu.h"

typedef struct {
    void (*f16_to_f32)(size_t n, const uint16_t *x, float *y);
    void (*f32_to_f16)(size_t n, const float *x, uint16_t *y);
    void (*bf16_to_f32)(size_t n, const uint16_t *x, float *y);
    void (*f32_to_bf16)(size_t n, const float *x, uint16_t *y);
    void (*u8_to_f32)(size_t n, const uint8_t *x, float *y);
    void (*i8_to_f32)(size_t n, const int8_t *x, float *y);
    void (*i64_to_f32)(size_t n, const int64_t *x, float *y);
    void (*f32_to_i64)(size_t n, const float *x, int64_t *y); /* towards zero, saturated, NaN is 0 */
} pi_convert_kernels;

#define X(isa, name) extern const pi_convert_kernels name;
#include "kernels/convert/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_convert_kernels *pi_convert(void);
#endif
