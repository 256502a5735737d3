/* SPDX-License-Identifier: Apache-2.0 */
/* f16 and bf16 through f32. What the inner implementation sees are copies of the tensors' descriptions with dtype F32. */
#include "ops/widen.h"
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/prep.h"

enum { MOST_IN = 8, MOST_OUT = 4, GRAIN = 1 << 15, ALIGN = 64 };

/* The tensors of a node, 16-bit floats told as F32. */
typedef struct {
    pi_tensor tensor[MOST_IN + MOST_OUT];
    const pi_tensor *in[MOST_IN];
    pi_tensor *out[MOST_OUT];
} wide_view;

typedef struct {
    const pi_impl *inner;
    void *state;
    const void *constant[MOST_IN]; /* f32 form of constant inputs */
    bool skip[MOST_IN];            /* packed by the inner one: not read in run */
    size_t in_at[MOST_IN], out_at[MOST_OUT], scratch_at; /* in scratch */
} widen_state;

static bool is_narrow(const pi_tensor *t) { return t && (t->dtype == PI_DTYPE_F16 || t->dtype == PI_DTYPE_BF16); }

static void widen_view(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out, wide_view *v)
{
    for (uint32_t i = 0; i < node->n_in + node->n_out; i++) {
        bool input = i < node->n_in;
        uint32_t k = input ? i : i - node->n_in;
        const pi_tensor *t = input ? in[k] : out[k];
        pi_tensor *copy = &v->tensor[input ? k : MOST_IN + k];
        if (t) *copy = *t;
        if (is_narrow(t)) {
            copy->dtype = PI_DTYPE_F32;
            copy->data = NULL;
        }
        if (input)
            v->in[k] = t ? copy : NULL;
        else
            v->out[k] = t ? copy : NULL;
    }
}

/* The next implementation behind `last` (NULL: the first) that takes the f32 tensors and is not the reference. */
static const pi_impl *choose(const pi_node *node, const wide_view *v, const pi_impl *last)
{
    for (const pi_impl *impl = last ? last + 1 : node->op->impls; impl[0].name && impl[1].name; impl++) {
        if (impl->run == pi_widen_run) continue;
        if (!impl->refuse || !impl->refuse(node, v->in, (const pi_tensor *const *)v->out)) return impl;
    }
    return NULL;
}

const char *pi_widen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    wide_view v;
    bool some = false;
    if (node->n_in > MOST_IN || node->n_out > MOST_OUT) return "too many inputs or outputs";
    for (uint32_t i = 0; i < node->n_in; i++) some = some || is_narrow(in[i]);
    if (!some) return "only f16 and bf16";
    widen_view(node, in, out, &v);
    return choose(node, &v, NULL) ? NULL : "no faster implementation for f32";
}

/* ---- prepare ---- */

/* Room in the scratch for t as f32. */
static bool place(const pi_tensor *t, size_t *used, size_t *at)
{
    size_t bytes;
    *at = *used;
    return pi_mul((size_t)pi_tensor_n(t), sizeof(float), &bytes) && pi_add(bytes, ALIGN - 1, &bytes) &&
           pi_add(*used, bytes / ALIGN * ALIGN, used);
}

static pi_status as_floats(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    (void)arg;
    (void)err;
    memcpy(out, source->data, (size_t)pi_tensor_n(source) * sizeof(float)); /* pi_prep_pack made them f32 */
    return PI_E_OK;
}

static pi_status prepare_input(pi_prep *prep, const pi_prep *inner, uint32_t i, widen_state *s, size_t *used, pi_error *err)
{
    if (!is_narrow(prep->in[i])) return PI_E_OK;
    s->skip[i] = i < 64 && (prep->services->drop >> i & 1);
    if (s->skip[i]) return PI_E_OK;
    if (!pi_prep_is_const(inner, i))
        return place(prep->in[i], used, &s->in_at[i]) ? PI_E_OK : pi_fail(err, PI_E_LIMIT, "input %u is too large", i);
    static const char key[] = "as f32";
    pi_prep view = *inner;
    PI_TRY(pi_prep_pack(&view, i, key, sizeof key, (size_t)pi_tensor_n(prep->in[i]) * sizeof(float), as_floats, NULL,
                        &s->constant[i], err));
    pi_prep_drop(prep, i);
    return PI_E_OK;
}

pi_status pi_widen_prepare(pi_prep *prep, pi_error *err)
{
    const pi_node *node = prep->node;
    wide_view v;
    widen_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    widen_view(node, prep->in, prep->out, &v);
    pi_prep inner;
    pi_status st = pi_fail(err, PI_E_UNSUPPORTED, "no faster implementation for f32");
    while (st == PI_E_UNSUPPORTED && (s->inner = choose(node, &v, s->inner)) != NULL) {
        inner = *prep;
        inner.in = v.in;
        inner.out = (const pi_tensor *const *)v.out;
        inner.state = NULL;
        st = s->inner->prepare ? s->inner->prepare(&inner, err) : PI_E_OK;
    }
    if (st != PI_E_OK) return st;
    s->state = inner.state;
    prep->flops = inner.flops;
    size_t used = 0;
    for (uint32_t i = 0; i < node->n_in; i++) PI_TRY(prepare_input(prep, &inner, i, s, &used, err));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (is_narrow(prep->out[i]) && !place(prep->out[i], &used, &s->out_at[i]))
            return pi_fail(err, PI_E_LIMIT, "output %u is too large", i);
    s->scratch_at = used;
    if (!pi_add(used, inner.scratch, &prep->scratch)) return pi_fail(err, PI_E_LIMIT, "the scratch is too large");
    return PI_E_OK;
}

/* ---- run ---- */

typedef struct {
    const pi_tensor *narrow;
    float *wide;
    bool back;
} convert_task;

static void convert_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const convert_task *t = arg;
    void *p = pi_at_mut(t->narrow->data, t->narrow->dtype, begin);
    if (t->back)
        pi_write_f32(t->narrow->dtype, p, 1, end - begin, t->wide + begin);
    else
        pi_read_f32(t->narrow->dtype, p, 1, end - begin, t->wide + begin);
}

static void convert(const pi_call *call, const pi_tensor *narrow, void *wide, bool back)
{
    convert_task t = {narrow, wide, back};
    pi_parallel(call->run->threads, pi_tensor_n(narrow), GRAIN, convert_chunk, &t);
}

pi_status pi_widen_run(const pi_call *call, pi_error *err)
{
    const widen_state *s = call->state;
    const pi_node *node = call->node;
    wide_view v;
    widen_view(node, call->in, (const pi_tensor *const *)call->out, &v);
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (!is_narrow(call->in[i]) || s->skip[i]) continue;
        pi_tensor *t = &v.tensor[i];
        if (s->constant[i]) {
            t->data = (void *)(uintptr_t)s->constant[i]; /* inputs are only read */
        } else {
            t->data = (char *)call->scratch + s->in_at[i];
            convert(call, call->in[i], t->data, false);
        }
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        if (is_narrow(call->out[i])) v.out[i]->data = (char *)call->scratch + s->out_at[i];
    pi_call inner = *call;
    inner.state = s->state;
    inner.in = v.in;
    inner.out = v.out;
    inner.scratch = call->scratch ? (char *)call->scratch + s->scratch_at : NULL;
    PI_TRY(s->inner->run(&inner, err));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (is_narrow(call->out[i])) convert(call, call->out[i], v.out[i]->data, true);
    return PI_E_OK;
}
