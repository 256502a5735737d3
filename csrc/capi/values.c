/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs as the engine wants them, outputs as the caller does: strings, sequences and optionals are made anew; tensors of numbers are
 * taken as they are, also those in a sequence. */
#include "base/str.h"
#include "capi/capi.h"

/* ---- in ---- */

static pi_status take_tensor(pyinfer_request *r, const pyinfer_value *want, const pyinfer_tensor *in, pi_tensor *t, pi_error *err)
{
    PI_TRY(pi_capi_check_input(want, in, err));
    *t = (pi_tensor){.data = in->data, .dtype = (pi_dtype)in->dtype};
    pi_tensor_set_shape(t, in->rank, in->shape);
    if (t->dtype != PI_DTYPE_STRING) return PI_E_OK;
    int64_t n = pi_tensor_n(t);
    const pi_str **list = pi_arena_calloc(&r->strings, (size_t)n + 1, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    const pyinfer_string *from = in->data;
    for (int64_t i = 0; i < n; i++)
        if (!(list[i] = pi_str_new(&r->strings, from[i].bytes, from[i].n, err))) return pi_alloc_status(err);
    t->data = list;
    return PI_E_OK;
}

/* A constant that borrows the caller's data. */
static pi_status take_item(pyinfer_request *r, const pyinfer_value *want, const pyinfer_tensor *in, pi_const **out, pi_error *err)
{
    pi_tensor t;
    if (in->kind != PYINFER_TENSOR) return pi_fail(err, PI_E_INPUT, "it is no tensor");
    PI_TRY(take_tensor(r, want, in, &t, err));
    *out = pi_const_view(r->model->heap, &t, NULL, NULL, err);
    return *out ? PI_E_OK : pi_alloc_status(err);
}

static pi_status take_sequence(pyinfer_request *r, const pyinfer_value *want, const pyinfer_tensor *in, pi_seq **out, pi_error *err)
{
    const pyinfer_tensor *item = in->data;
    int64_t n = in->rank == 1 ? in->shape[0] : -1;
    if (n < 0 || (n && !item)) return pi_fail(err, PI_E_INPUT, "input '%.100s': a sequence has rank 1, a length and data", want->name);
    pi_seq *s = pi_seq_new(r->model->heap, (pi_dtype)want->dtype, n, err);
    if (!s) return pi_alloc_status(err);
    for (int64_t i = 0; i < n; i++) {
        pi_status st = take_item(r, want, &item[i], &s->item[i], err);
        if (st == PI_E_OK) continue;
        pi_error_prefix(err, "element %lld of sequence '%.100s': ", (long long)i, want->name);
        pi_seq_unref(s);
        return st;
    }
    *out = s;
    return PI_E_OK;
}

static pi_status take_optional(pyinfer_request *r, const pyinfer_value *want, const pyinfer_tensor *in, pi_seq **out, pi_error *err)
{
    pi_seq *inner = NULL, *s = pi_seq_new(r->model->heap, PI_DTYPE_NONE, in->kind == PYINFER_ABSENT ? 0 : 1, err);
    pi_status st = PI_E_OK;
    if (!s) return pi_alloc_status(err);
    if (in->kind == PYINFER_SEQUENCE) {
        PI_TRY_DONE(take_sequence(r, want, in, &inner, err));
        if (!(s->item[0] = pi_seq_const(r->model->heap, PI_DTYPE_SEQ, inner, err))) st = pi_alloc_status(err);
    } else if (in->kind == PYINFER_TENSOR) {
        st = take_item(r, want, in, &s->item[0], err);
    }
done:
    if (st == PI_E_OK)
        *out = s;
    else
        pi_seq_unref(s);
    return st;
}

static const char *kind_name(int kind)
{
    return kind == PYINFER_TENSOR ? "a tensor" : kind == PYINFER_SEQUENCE ? "a sequence" : kind == PYINFER_ABSENT ? "an absent optional"
           : kind == PYINFER_OPTIONAL ? "a tensor or an absent optional" : "a sequence or an absent optional";
}

pi_status pi_capi_take(pyinfer_request *r, int i, const pyinfer_tensor *in, pi_error *err)
{
    const pyinfer_value *want = &r->model->input[i];
    bool optional = want->kind & PYINFER_OPTIONAL;
    if (in->kind != (want->kind & PYINFER_SEQUENCE) && !(optional && in->kind == PYINFER_ABSENT))
        return pi_fail(err, PI_E_INPUT, "input '%.100s': expected %s, got %s", want->name, kind_name(want->kind), kind_name(in->kind));
    if (want->kind == PYINFER_TENSOR) return take_tensor(r, want, in, &r->input[i], err);
    PI_TRY(optional ? take_optional(r, want, in, &r->seq[i], err) : take_sequence(r, want, in, &r->seq[i], err));
    r->input[i] = pi_seq_tensor(r->seq[i], optional ? PI_DTYPE_OPT : PI_DTYPE_SEQ);
    return PI_E_OK;
}

/* ---- out ---- */

static pi_status give_tensor(pyinfer_request *r, const pi_tensor *t, pyinfer_tensor *out, pi_error *err)
{
    *out = (pyinfer_tensor){.data = t->data, .dtype = (int)t->dtype, .rank = t->rank};
    for (int k = 0; k < t->rank; k++) out->shape[k] = t->dim[k];
    if (t->dtype != PI_DTYPE_STRING) return PI_E_OK;
    int64_t n = pi_tensor_n(t);
    const pi_str *const *from = t->data;
    pyinfer_string *list = pi_arena_calloc(&r->strings, (size_t)n + 1, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    for (int64_t k = 0; k < n; k++)
        list[k] = from[k] ? (pyinfer_string){from[k]->bytes, from[k]->n} : (pyinfer_string){"", 0};
    out->data = list;
    return PI_E_OK;
}

pi_status pi_capi_give(pyinfer_request *r, int i, pi_error *err)
{
    const pi_tensor *t = pi_context_output(r->context, (uint32_t)i);
    if (t->dtype != PI_DTYPE_STRING && !pi_dtype_is_seq(t->dtype)) return PI_E_OK;
    pyinfer_tensor *out = pi_arena_calloc(&r->strings, 1, sizeof *out, err);
    if (!out) return pi_alloc_status(err);
    r->made[i] = out;
    out->kind = PYINFER_ABSENT;
    if (t->dtype == PI_DTYPE_OPT) {
        const pi_seq *s = pi_seq_of(t);
        if (s->n == 0) return PI_E_OK;
        t = &s->item[0]->t;
    }
    if (t->dtype != PI_DTYPE_SEQ) return give_tensor(r, t, out, err);
    const pi_seq *s = pi_seq_of(t);
    pyinfer_tensor *item = pi_arena_calloc(&r->strings, s->n + (size_t)1, sizeof *item, err);
    if (!item) return pi_alloc_status(err);
    *out = (pyinfer_tensor){.data = item, .dtype = (int)s->dtype, .rank = 1, .shape = {s->n}, .kind = PYINFER_SEQUENCE};
    for (uint32_t k = 0; k < s->n; k++) PI_TRY(give_tensor(r, &s->item[k]->t, &item[k], err));
    return PI_E_OK;
}
