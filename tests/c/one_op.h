/* SPDX-License-Identifier: Apache-2.0 */
/* One node in a graph of its own, bound to arrays, for tests of operators:
 *     one_op t;
 *     one_op_init(&t, NULL, "Add", 14, 2, 1);
 *     one_op_in(&t, 0, PI_DTYPE_F32, 1, (int64_t[]){3}, x); ...
 *     one_op_eval(&t, NULL) == PI_E_OK; t.out[0]->t.data; one_op_free(&t); */
#ifndef ONE_OP_H
#define ONE_OP_H
#include <string.h>
#include "ops/ops.h"

enum { ONE_OP_MOST = 8 };
typedef struct {
    pi_heap *heap;
    pi_graph *g;
    pi_node *node;
    pi_tensor t[ONE_OP_MOST];
    const pi_tensor *in[ONE_OP_MOST];
    pi_const *out[ONE_OP_MOST];
    pi_error err;
} one_op;

static inline void one_op_init(one_op *o, const char *domain, const char *name, int opset, uint32_t n_in, uint32_t n_out)
{
    memset(o, 0, sizeof *o);
    o->heap = pi_heap_new(0);
    o->g = pi_graph_new(o->heap, &o->err);
    o->node = pi_graph_node(o->g, pi_op_find(domain, name, opset), "node", n_in, n_out, &o->err);
    for (uint32_t i = 0; i < n_out; i++) pi_node_set_out(o->node, i, pi_graph_value(o->g, NULL, &o->err));
}

static inline void one_op_in(one_op *o, uint32_t i, pi_dtype dtype, int rank, const int64_t *dim, void *data)
{
    o->t[i] = (pi_tensor){.data = data, .dtype = dtype};
    pi_tensor_set_shape(&o->t[i], rank, dim);
    o->in[i] = &o->t[i];
}

static inline void one_op_ints(one_op *o, const char *name, uint32_t n, const int64_t *v)
{
    if (pi_attr_set_ints(o->g, o->node, name, v, n, &o->err) != PI_E_OK) o->node = NULL;
}

static inline void one_op_int(one_op *o, const char *name, int64_t v)
{
    if (pi_attr_set_int(o->g, o->node, name, v, &o->err) != PI_E_OK) o->node = NULL;
}

static inline pi_status one_op_eval(one_op *o, const char *impl)
{
    return pi_op_eval_threads(o->node, impl, 2, o->in, o->heap, o->out, &o->err);
}

static inline const float *one_op_f32(const one_op *o, int i) { return o->out[i]->t.data; }

static inline void one_op_free(one_op *o)
{
    for (int i = 0; i < ONE_OP_MOST; i++) pi_const_unref(o->out[i]);
    pi_graph_free(o->g);
    pi_heap_unref(o->heap);
}
#endif
