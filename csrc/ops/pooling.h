/* SPDX-License-Identifier: Apache-2.0 */
/* What a pooling node asks for, and the fast implementation for channels-first f32. */
#ifndef PI_OPS_POOLING_H
#define PI_OPS_POOLING_H
#include "ops/ops.h"
#include "ops/window.h"

typedef enum { PI_POOL_MAX, PI_POOL_AVERAGE, PI_POOL_LP } pi_pool_kind;

typedef struct {
    pi_window w;
    pi_strides x, y;
    pi_pool_kind kind;
    bool include_pad; /* AveragePool counts padding */
    bool columns;     /* indices of MaxPool are column-major */
    double p;
} pi_pooling;

/* How many taps of dimension i an average divides by at place `out`: those in the input, or also those in the padding.
 */
int64_t pi_pool_taps(const pi_pooling *q, int i, int64_t out);

/* Max and average, f32, channels first, no indices; X and Y have elements. prepare sets prep->scratch. */
pi_status pi_pool_first_prepare(pi_prep *prep, const pi_pooling *q, pi_error *err) PI_MUST_USE;
void pi_pool_first_run(const pi_call *call, const pi_pooling *q);
#endif
