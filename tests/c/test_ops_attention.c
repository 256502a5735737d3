/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: the fast implementation against the reference over shapes, masks, windows and caches. */
#include <math.h>
#include "check.h"
#include "one_op.h"

enum { MOST = 1 << 14 };
static float q[MOST], k[MOST], v[MOST], mask[MOST], past_k[MOST], past_v[MOST];
static uint8_t flags[MOST];
static unsigned seed = 1;

static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

typedef struct {
    int64_t batch, heads, kv_heads, queries, keys, past, size, v_size;
    int mask;    /* 0: none, 1: f32, 2: bool; of [queries, mask_keys] */
    int64_t mask_keys;
    int causal, cap, flat;
    int64_t left, right;
    int valid;
} shape;

static void bind(one_op *o, const shape *s, int64_t *valid)
{
    one_op_init(o, NULL, "Attention", 25, 7, 3);
    if (s->flat) {
        one_op_in(o, 0, PI_DTYPE_F32, 3, (int64_t[]){s->batch, s->queries, s->heads * s->size}, q);
        one_op_in(o, 1, PI_DTYPE_F32, 3, (int64_t[]){s->batch, s->keys, s->kv_heads * s->size}, k);
        one_op_in(o, 2, PI_DTYPE_F32, 3, (int64_t[]){s->batch, s->keys, s->kv_heads * s->v_size}, v);
        one_op_int(o, "q_num_heads", s->heads);
        one_op_int(o, "kv_num_heads", s->kv_heads);
    } else {
        one_op_in(o, 0, PI_DTYPE_F32, 4, (int64_t[]){s->batch, s->heads, s->queries, s->size}, q);
        one_op_in(o, 1, PI_DTYPE_F32, 4, (int64_t[]){s->batch, s->kv_heads, s->keys, s->size}, k);
        one_op_in(o, 2, PI_DTYPE_F32, 4, (int64_t[]){s->batch, s->kv_heads, s->keys, s->v_size}, v);
    }
    if (s->mask == 1) one_op_in(o, 3, PI_DTYPE_F32, 2, (int64_t[]){s->queries, s->mask_keys}, mask);
    if (s->mask == 2) one_op_in(o, 3, PI_DTYPE_BOOL, 2, (int64_t[]){s->queries, s->mask_keys}, flags);
    if (s->past) {
        one_op_in(o, 4, PI_DTYPE_F32, 4, (int64_t[]){s->batch, s->kv_heads, s->past, s->size}, past_k);
        one_op_in(o, 5, PI_DTYPE_F32, 4, (int64_t[]){s->batch, s->kv_heads, s->past, s->v_size}, past_v);
    }
    if (s->valid) one_op_in(o, 6, PI_DTYPE_I64, 1, &s->batch, valid);
    one_op_int(o, "is_causal", s->causal);
    one_op_int(o, "left_window_size", s->left);
    one_op_int(o, "right_window_size", s->right);
    if (s->cap) CHECK(pi_attr_set_float(o->g, o->node, "softcap", 0.5f, &o->err) == PI_E_OK);
}

static void compare(const shape *s)
{
    one_op fast, ref;
    int64_t valid[4] = {s->keys / 2, s->keys, 0, 1};
    bind(&fast, s, valid);
    bind(&ref, s, valid);
    CHECK(one_op_eval(&ref, "ref") == PI_E_OK);
    CHECK(one_op_eval(&fast, "simd") == PI_E_OK);
    for (int o = 0; o < 3 && fast.out[o] && ref.out[o]; o++) {
        CHECK(pi_tensor_same_shape(&fast.out[o]->t, &ref.out[o]->t));
        int64_t n = pi_tensor_n(&fast.out[o]->t), wrong = 0;
        for (int64_t i = 0; i < n; i++) wrong += !(fabsf(one_op_f32(&fast, o)[i] - one_op_f32(&ref, o)[i]) < 1e-5f);
        CHECK(wrong == 0);
    }
    one_op_free(&fast);
    one_op_free(&ref);
}

int main(void)
{
    for (int i = 0; i < MOST; i++) {
        q[i] = noise();
        k[i] = noise();
        v[i] = noise();
        past_k[i] = noise();
        past_v[i] = noise();
        flags[i] = noise() > 0;
        mask[i] = flags[i] ? noise() : -INFINITY;
    }
    for (int i = 0; i < 17; i++) { /* the first query sees nothing */
        flags[i] = 0;
        mask[i] = -INFINITY;
    }
    static const shape shapes[] = {
        {1, 2, 2, 5, 5, 0, 8, 8, 0, 0, 0, 0, 0, -1, -1, 0},
        {2, 4, 2, 7, 17, 0, 8, 5, 1, 17, 0, 0, 0, -1, -1, 0},
        {2, 4, 1, 7, 17, 0, 8, 20, 2, 13, 0, 1, 1, -1, -1, 0},
        {1, 3, 3, 60, 60, 0, 4, 4, 0, 0, 1, 0, 1, -1, -1, 0},
        {1, 2, 2, 70, 70, 0, 4, 4, 0, 0, 1, 0, 0, 9, -1, 0},
        {1, 2, 2, 70, 70, 0, 4, 4, 0, 0, 0, 0, 0, 3, 20, 0},
        {2, 2, 1, 1, 1, 33, 16, 16, 0, 0, 1, 0, 0, -1, -1, 0},
        {2, 2, 1, 6, 6, 11, 16, 16, 2, 17, 1, 0, 1, -1, -1, 0},
        {4, 2, 2, 9, 24, 0, 8, 8, 0, 0, 1, 0, 0, -1, -1, 1},
        {4, 2, 2, 9, 24, 0, 8, 8, 1, 24, 0, 0, 0, 4, 0, 1},
    };
    for (size_t i = 0; i < PI_COUNT(shapes); i++) compare(&shapes[i]);
    return CHECK_DONE();
}
