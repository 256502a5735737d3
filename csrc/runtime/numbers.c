/* SPDX-License-Identifier: Apache-2.0 */
/* The option check_numbers: after each step its results are searched, so that the first step that makes a NaN or an infinity
 * is known. What is within a fused step is not seen, nor what is no float. */
#include <stdio.h>
#include <string.h>
#include "runtime/context.h"

enum { SEEN = 1, INFINITE = 2, NOT_A_NUMBER = 4 };

/* Place of the first NaN or infinity, -1 if there is none. Elements are `size` bytes, `exponent` their bits of the exponent. */
static int64_t find(const pi_tensor *t, size_t size, uint64_t exponent, uint64_t mantissa, bool nan)
{
    const char *at = t->data;
    const int64_t n = pi_tensor_n(t);
    for (int64_t i = 0; i < n; i++, at += size) {
        uint64_t bits = 0;
        memcpy(&bits, at, size);
        if ((bits & exponent) == exponent && ((bits & mantissa) != 0) == nan) return i;
    }
    return -1;
}

/* The usual case is quick: no element has all bits of the exponent set. */
static bool all_finite_f32(const pi_tensor *t)
{
    const uint32_t *bits = t->data;
    const int64_t n = pi_tensor_n(t);
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t magnitude = bits[i] & 0x7fffffffu;
        most = magnitude > most ? magnitude : most;
    }
    return most < 0x7f800000u;
}

static int64_t first_odd(const pi_tensor *t, bool nan)
{
    if (!t->data) return -1;
    switch (t->dtype) {
    case PI_DTYPE_F32: return all_finite_f32(t) ? -1 : find(t, 4, 0x7f800000u, 0x7fffffu, nan);
    case PI_DTYPE_F64: return find(t, 8, 0x7ff0000000000000u, 0xfffffffffffffu, nan);
    case PI_DTYPE_F16: return find(t, 2, 0x7c00u, 0x3ffu, nan);
    case PI_DTYPE_BF16: return find(t, 2, 0x7f80u, 0x7fu, nan);
    default: return -1;
    }
}

/* What is in a value: of a step's result noted when it was made, else looked up once a run. */
static uint8_t look(pi_context *c, const pi_value *v)
{
    while (v->producer && pi_plan_is_view(v->producer)) v = v->producer->in[0];
    uint8_t *odd = &c->odd[v->id];
    const pi_tensor *t = &c->tensor[v->id];
    if (!*odd) *odd = (uint8_t)(SEEN | (first_odd(t, false) >= 0 ? INFINITE : 0) | (first_odd(t, true) >= 0 ? NOT_A_NUMBER : 0));
    return *odd;
}

static pi_status report(const char *what, const pi_value *v, const pi_tensor *t, bool nan, pi_error *err)
{
    char type[200], place[PI_MAX_RANK * 22 + 2];
    int64_t at = first_odd(t, nan), index[PI_MAX_RANK];
    size_t n = 0;
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = at % t->dim[d];
        at /= t->dim[d];
    }
    place[0] = '\0';
    for (int d = 0; d < t->rank; d++) n += (size_t)snprintf(place + n, sizeof place - n, d ? ", %lld" : "%lld", (long long)index[d]);
    return pi_fail(err, PI_E_NUMBER, "%s '%.100s', %s, has %s at [%s]", what, v->name, pi_tensor_text(t, type, sizeof type),
                   nan ? "a NaN" : "an infinity", place);
}

pi_status pi_context_check_inputs(pi_context *c, pi_error *err)
{
    const pi_graph *g = c->plan->graph;
    memset(c->odd, 0, g->n_values);
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (look(c, g->input[i]) & NOT_A_NUMBER) return report("input", g->input[i], &c->tensor[g->input[i]->id], true, err);
    return PI_E_OK;
}

pi_status pi_context_check_step(pi_context *c, uint32_t k, pi_error *err)
{
    const pi_node *node = c->plan->step[k].node;
    uint8_t in = 0;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i]) in |= look(c, node->in[i]);
    for (uint32_t i = 0; i < node->n_out; i++) {
        const pi_value *v = node->out[i];
        if (!v) continue;
        uint8_t out = look(c, v);
        if (out & NOT_A_NUMBER) return report("its result", v, &c->tensor[v->id], true, err);
        if ((out & INFINITE) && !(in & INFINITE)) return report("its result", v, &c->tensor[v->id], false, err);
    }
    return PI_E_OK;
}
