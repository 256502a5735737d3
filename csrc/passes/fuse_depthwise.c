/* SPDX-License-Identifier: Apache-2.0 */
/* A 1x1 convolution whose result only a depthwise one reads: both become pyinfer.ConvDepthwise. After `layout`: only where
 * images are channels-last, and only for images that no second-level cache holds together with their channels: smaller ones
 * gain nothing (Zen 4: 112x112x16 to 96 takes 0.69 of the time of both, 56x56x24 to 144 0.90, 28x28x32 to 192 0.92,
 * 14x14x64 to 384 1.0, 7x7x160 to 960 1.07). */
#include <string.h>
#include "base/act.h"
#include "passes/match.h"
#include "passes/passes.h"

enum { X, W, BIAS, RESIDUAL };
enum { LEAST_PIXELS = 600 };

/* A channels-last f32 convolution of images with constant weights and no residual. */
static bool plain(const pi_node *conv)
{
    return pi_is_internal(conv, "Conv") && pi_attr_int(conv, "nhwc") && conv->in[W]->constant && !conv->in[RESIDUAL] &&
           conv->in[W]->t.rank == 4 && pi_is_f32(conv->in[X]) && pi_tensor_known(&conv->in[X]->t);
}

static bool all(const pi_node *node, const char *name, int64_t number)
{
    const pi_attr *a = pi_attr_find(node, name);
    for (uint32_t i = 0; a && i < a->n; i++)
        if (a->ints[i] != number) return false;
    return true;
}

static bool is_pointwise(const pi_node *conv)
{
    if (!plain(conv)) return false;
    const pi_tensor *x = &conv->in[X]->t, *w = &conv->in[W]->t; /* auto_pad adds nothing to a window of one */
    return w->dim[2] == 1 && w->dim[3] == 1 && pi_attr_int(conv, "group") == 1 && all(conv, "strides", 1) && all(conv, "pads", 0) &&
           x->dim[1] >= LEAST_PIXELS / (x->dim[2] + 1);
}

static bool is_depthwise(const pi_node *conv)
{
    if (!plain(conv)) return false;
    const pi_tensor *w = &conv->in[W]->t;
    return w->dim[1] == 1 && w->dim[0] == pi_attr_int(conv, "group") && w->dim[0] == conv->in[X]->t.dim[3];
}

static pi_status fuse(pi_graph *g, pi_node *first, pi_node *second, pi_error *err)
{
    pi_value *in[] = {first->in[X], first->in[W], first->in[BIAS], second->in[W], second->in[BIAS]};
    pi_act act = {(pi_act_kind)pi_attr_int(first, "act"), pi_attr_float(first, "act_a"), pi_attr_float(first, "act_b")};
    pi_attr attr[16];
    uint32_t n_attrs = second->n_attrs;
    if (n_attrs > 16) return PI_E_OK;
    memcpy(attr, second->attr, n_attrs * sizeof *attr);
    pi_node *node = pi_rewrite(g, second, pi_op_internal("ConvDepthwise"), in, 5, err);
    if (!node) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n_attrs; i++)
        if (strcmp(attr[i].name, "group") != 0 && strcmp(attr[i].name, "nhwc") != 0) PI_TRY(pi_attr_set(g, node, &attr[i], err));
    PI_TRY(pi_attr_set_int(g, node, "mid_act", act.kind, err));
    PI_TRY(pi_attr_set_float(g, node, "mid_a", act.a, err));
    return pi_attr_set_float(g, node, "mid_b", act.b, err);
}

pi_status pi_pass_fuse_depthwise(pi_graph *g, pi_error *err)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        pi_node *next = is_pointwise(g->node[i]) ? pi_only_reader(g->node[i]->out[0]) : NULL;
        if (next && is_depthwise(next)) PI_TRY(fuse(g, g->node[i], next, err));
    }
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
