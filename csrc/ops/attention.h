/* SPDX-License-Identifier: Apache-2.0 */
/* What Attention is asked to do, read from a node and its inputs; shared by its implementations. */
#ifndef PI_OPS_ATTENTION_H
#define PI_OPS_ATTENTION_H
#include "graph/op.h"

/* Where row t of head h of batch b begins: b * batch + h * head + t * row, in elements. */
typedef struct {
    int64_t batch, head, row;
} pi_heads;

/* What becomes of a row of weights that is NaN: nothing; zeros where the mask hides all keys, as Attention has it; zeros. */
typedef enum { PI_NAN_STAYS, PI_NAN_UNLESS_HIDDEN, PI_NAN_IS_ZERO } pi_rows_of_nan;

typedef struct {
    int64_t batch, heads, kv_heads; /* heads is a multiple of kv_heads */
    int64_t queries, past, total;   /* total: keys, the past ones first */
    int64_t size, v_size;           /* of a head */
    pi_heads q, k, v, past_k, past_v, y;
    pi_tensor y_shape;
    const pi_tensor *mask;   /* or NULL */
    int64_t mask_at[3], mask_n; /* strides over batch, head, query (0: repeated); keys that it tells of, others are hidden */
    double scale, softcap;
    bool causal;
    pi_rows_of_nan rows_of_nan;
    int64_t left, right; /* window; -1: open */
    int mode;
} pi_attention;

/* MODEL if the shapes or attributes do not fit together. */
pi_status pi_attention_init(pi_attention *a, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;
/* Keys [*from, *to) are all that query i of batch b may see, whatever the mask says of them. */
void pi_attention_range(const pi_attention *a, const pi_call *call, int64_t b, int64_t i, int64_t *from, int64_t *to);
/* Row j of the keys (values) of a batch and a key head: in the past, or in this call's input. */
const void *pi_attention_row(const pi_attention *a, const pi_call *call, bool values, int64_t b, int64_t h, int64_t j);
/* present_key and present_value, where they are wanted. */
void pi_attention_present(const pi_attention *a, const pi_call *call);

const char *pi_attention_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_attention_fast_prepare(pi_prep *prep, pi_error *err);
/* The same with fewer multiplications, see ops/fip_product.h; run is pi_attention_fast_run. */
const char *pi_attention_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_attention_fip_prepare(pi_prep *prep, pi_error *err);
pi_status pi_attention_fast_run(const pi_call *call, pi_error *err);
#endif
