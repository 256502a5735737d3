/* SPDX-License-Identifier: Apache-2.0 */
/* What the quantised families share: one dtype's range, and how scales and zero points lie over a tensor. */
#ifndef PI_OPS_QUANT_H
#define PI_OPS_QUANT_H
#include "ops/move.h"

/* Range of an integer dtype as doubles; false for any other. */
bool pi_quant_range(pi_dtype dtype, double *low, double *high);

/* The tensor as [outer, n, inner]; scales for all of it, for each index of n, or for each block of n. */
typedef struct {
    int64_t outer, n, inner;
    int64_t block, blocks; /* block 0: no blocks; blocks 1 and n 1: one scale */
} pi_quant_grid;

/* From the shapes of x, scale and zero point (may be NULL) and the attributes axis and block_size; MODEL if they do not
 * fit. */
pi_status pi_quant_open(const pi_node *node, const pi_tensor *x, const pi_tensor *scale, const pi_tensor *zero,
                        pi_quant_grid *grid, pi_error *err) PI_MUST_USE;
/* Elements from `at` on that have the scales *index + k * *step; *step is 0 or 1. */
int64_t pi_quant_span(const pi_quant_grid *grid, int64_t at, int64_t *index, int64_t *step);

/* acc[i] * scale, rounded to nearest even, plus zero, saturated to dtype, stored from element `at` on. */
void pi_quant_store(pi_dtype dtype, void *data, int64_t at, int64_t n, const float *x, float zero);

/* Scale and zero point of the range [low, high], which has 0 in it: DynamicQuantizeLinear's. */
void pi_quant_dynamic(float low, float high, float *scale, float *zero);

/* A number for the bytes of 8-bit zero points (NULL: none), which a packed form may depend on: FNV-1a. */
uint64_t pi_quant_zeros_hash(const pi_tensor *t);

/* ---- for oneDNN ---- */

/* Are our own panels (kernels/quant) faster than oneDNN on this CPU? Seen on Zen 3: by 1.5 to 11 times. */
bool pi_quant_panels_first(void);
#define PI_QUANT_PANELS_FIRST "our own panels are faster without VNNI"

/* Is every value known, and 0? */
bool pi_quant_known_zero(const pi_tensor *t);
/* n bytes, the highest bit turned: u8 becomes i8 less 128. */
void pi_quant_flip(const void *x, void *out, int64_t n);
/* oneDNN's packed form of constant input i (made from flipped bytes, if `flip`); *out NULL: take the input as it is. */
struct pi_dnnl;
pi_status pi_quant_pack(pi_prep *prep, uint32_t i, struct pi_dnnl *object, bool flip, const void **out,
                        pi_error *err) PI_MUST_USE;
#endif
