/* SPDX-License-Identifier: Apache-2.0 */
/* The fast inner product (kernels/fip) for f32: Y[m, n] = act(A[m, k] B[k, n] + bias[n] + residual[m, n]) for one or many A, B packed
 * in the panels of kernels/igemm. Two multiplications for three, which takes two thirds of the time where additions have units of
 * their own.
 *
 * Error against the direct sum: of its own size, some 1e-6 of the largest output of a row, at most some 1e-5 where large numbers of A
 * meet small ones of B; small columns of B have that of large ones. An infinity in B makes NaNs of its column. The option exact=1 turns
 * it off. */
#ifndef PI_OPS_FIP_PRODUCT_H
#define PI_OPS_FIP_PRODUCT_H
#include "base/act.h"
#include "kernels/fip/fip.h"
#include "ops/ops.h"

/* Writes m rows of A from `first` on, k numbers each, one behind the other; rows of a batch of matrices are counted through. */
typedef void (*pi_fip_gather)(const pi_call *call, const void *arg, int64_t first, int64_t m, float *to);
/* Where the matrices of product `batch` begin, in floats. */
typedef void (*pi_fip_place)(const void *arg, int64_t batch, int64_t *a, int64_t *y);

typedef struct {
    int64_t m, n, k;
    int64_t batches;      /* products of these sizes; 0: one */
    pi_fip_place place;   /* of more than one */
    bool each_b;          /* each has a B of its own */
    pi_fip_gather gather; /* or NULL: rows of A lie in memory */
    uint32_t live;        /* the input that says of each row whether it is live (ops/live.h), not with gather; 0: none does */
    const float *b, *minus; /* pi_fip_minus */
    float low, high;
    pi_act late;
    /* what pi_fip_prepare chose */
    const pi_fip_kernels *fip;
    int64_t panels, parts, part; /* rows of B in so many parts; only the last may be shorter */
    int threads;
    int64_t tiles;               /* of a block of rows of A: so many at most */
    int64_t pieces;              /* of the panels, which threads share */
    size_t rows_at, gathered_at; /* bytes before the tables of copied rows, before rows that were gathered or are to be scattered */
    size_t each, live_at;        /* bytes of a thread's scratch; before the numbers of the live rows */
} pi_fip_plan;

/* Packed panels of every B, [group][panel][k][nr], carry behind them what it needs: so many floats, filled in a panel at a time. */
size_t pi_fip_tail(int64_t groups, int64_t panels, int64_t k, int64_t nr);
void pi_fip_fill(int64_t groups, int64_t panels, int64_t k, int64_t nr, int64_t group, int64_t panel, float *packed);
/* Of a group: where that begins. And the mean of the squares of its B, n columns, from there. */
const float *pi_fip_minus(int64_t groups, int64_t panels, int64_t k, int64_t nr, int64_t group, const float *packed);
float pi_fip_square(int64_t panels, int64_t k, int64_t nr, int64_t n, const float *minus);

/* Its time as a part of a direct product's, on a CPU that it is for. gathered: rows of A do not lie in memory. */
double pi_fip_share(int64_t m, int64_t n, int64_t k, bool gathered);
/* Why not; NULL: it takes less time. */
const char *pi_fip_refuse(int64_t m, int64_t n, int64_t k, bool gathered);
/* From the fields up to live. Sets prep->scratch and prep->flops. */
pi_status pi_fip_prepare(pi_prep *prep, pi_fip_plan *s, pi_error *err) PI_MUST_USE;

/* Rows of A and Y are that many floats apart; those of z, the residual or NULL, as Y's; z may be y. arg: for gather and place. */
typedef struct {
    const void *arg;
    const float *a, *bias, *z;
    float *y;
    int64_t a_row, y_row;
} pi_fip_data;
pi_status pi_fip_run(const pi_fip_plan *s, const pi_call *call, const pi_fip_data *data, pi_error *err) PI_MUST_USE;
#endif
