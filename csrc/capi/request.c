/* SPDX-License-Identifier: Apache-2.0 */
/* One call of a model: inputs are taken, a context is taken, run and given back. */
#include <stdio.h>
#include <string.h>
#include "base/threads.h"
#include "capi/capi.h"

/* ---- requests ---- */

/* The caller's memory for outputs counts too: it is asked for next, and would be what breaks the limit. */
static pi_status check_outputs(const pyinfer_request *r, pi_error *err)
{
    const pyinfer_model *m = r->model;
    size_t limit = m->options.memory_limit, total = pi_heap_used(m->heap), bytes;
    for (int i = 0; limit && i < pyinfer_output_count(m); i++) {
        const pi_tensor *t = pi_context_output(r->context, (uint32_t)i);
        if (!pi_tensor_known(t)) continue;
        PI_TRY(pi_tensor_bytes(t, &bytes, err));
        if (!pi_add(total, bytes, &total) || total > limit)
            return pi_fail(err, PI_E_LIMIT, "output '%.100s' of %zu bytes would exceed the memory limit of %zu bytes: raise memory_limit",
                           m->output[i].name, bytes, limit);
    }
    return PI_E_OK;
}

static pi_status begin(pyinfer_request *r, const pyinfer_tensor *input, int n_inputs, pi_error *err)
{
    pyinfer_model *m = r->model;
    if (n_inputs != pyinfer_input_count(m))
        return pi_fail(err, PI_E_INPUT, "%d inputs are given, the model has %d", n_inputs, pyinfer_input_count(m));
    for (int i = 0; i < n_inputs; i++) PI_TRY(pi_capi_take(r, i, &input[i], err));
    PI_TRY(pi_capi_check_symbols(m, r->input, err));
    pi_status st = pi_context_take(m->session, r->input, &r->context, err);
    if (st == PI_E_MODEL) pi_capi_tell_inputs(r, err);
    return st == PI_E_OK ? check_outputs(r, err) : st;
}

pyinfer_status pyinfer_begin(pyinfer_model *m, const pyinfer_tensor *input, int n_inputs, pyinfer_request **request,
                             pyinfer_error *error)
{
    pi_error err;
    pi_status st;
    size_t n = (size_t)pyinfer_input_count(m), n_out = (size_t)pyinfer_output_count(m);
    *request = NULL;
    err.text[0] = '\0';
    pyinfer_request *r = pi_calloc(m->heap, 1, sizeof *r + n * (sizeof *r->input + sizeof *r->seq) + n_out * sizeof *r->made, &err);
    if (!r) return pi_capi_status(pi_alloc_status(&err), &err, error);
    r->model = pyinfer_ref(m);
    r->input = (pi_tensor *)(void *)(r + 1);
    r->seq = (pi_seq **)(void *)(r->input + n);
    r->made = (pyinfer_tensor **)(void *)(r->seq + n);
    pi_arena_init(&r->strings, m->heap);
    st = begin(r, input, n_inputs, &err);
    if (m->cache.path && st == PI_E_OK && pi_capi_made(m) != __atomic_load_n(&m->cache.written, __ATOMIC_RELAXED))
        pi_capi_write_cache(m);
    if (st != PI_E_OK)
        pyinfer_end(r);
    else
        *request = r;
    return pi_capi_status(st, &err, error);
}

void pyinfer_output_type(const pyinfer_request *r, int i, pyinfer_tensor *tensor)
{
    const pi_tensor *t = pi_context_output(r->context, (uint32_t)i);
    if (r->made[i]) {
        *tensor = *r->made[i];
        return;
    }
    bool later = t->dtype == PI_DTYPE_STRING || pi_dtype_is_seq(t->dtype);
    *tensor = (pyinfer_tensor){.data = later ? NULL : t->data, .dtype = (int)t->dtype, .rank = t->rank};
    if (pi_dtype_is_seq(t->dtype)) *tensor = (pyinfer_tensor){.rank = -1};
    for (int k = 0; k < t->rank; k++) {
        tensor->shape[k] = t->dim[k];
        if (t->dim[k] < 0) tensor->rank = -1;
    }
}

void pyinfer_set_output(pyinfer_request *r, int i, void *data)
{
    const pi_tensor *t = pi_context_output(r->context, (uint32_t)i);
    if (t->dtype != PI_DTYPE_STRING && !pi_dtype_is_seq(t->dtype)) pi_context_set_output(r->context, (uint32_t)i, data);
}

void *pyinfer_take_output(pyinfer_request *r, int i)
{
    const pi_tensor *t = pi_context_output(r->context, (uint32_t)i);
    return t->dtype == PI_DTYPE_STRING || pi_dtype_is_seq(t->dtype) ? NULL : pi_context_take_output(r->context, (uint32_t)i);
}

void pyinfer_free_output(void *data) { pi_free(data); }

pyinfer_status pyinfer_execute(pyinfer_request *r, const int *cancel, pyinfer_error *error)
{
    pi_error err;
    err.text[0] = '\0';
    for (int i = 0; i < pyinfer_output_count(r->model); i++) r->made[i] = NULL;
    pi_status st = pi_context_run(r->context, r->input, cancel, &err);
    if (st == PI_E_MODEL) pi_capi_tell_inputs(r, &err);
    for (int i = 0; st == PI_E_OK && i < pyinfer_output_count(r->model); i++)
        st = pi_capi_give(r, i, &err);
    return pi_capi_status(st, &err, error);
}

void pyinfer_stop(void) { pi_threads_stop(); }

void pyinfer_end(pyinfer_request *r)
{
    if (!r) return;
    pyinfer_model *m = r->model;
    if (r->context) pi_context_give(r->context);
    for (int i = 0; i < pyinfer_input_count(m); i++) pi_seq_unref(r->seq[i]);
    pi_arena_deinit(&r->strings);
    pi_free(r->text);
    pi_free(r);
    pyinfer_free(m);
}

/* Output i into the caller's memory, if it fits. */
static pi_status deliver(const pyinfer_request *r, int i, pyinfer_tensor *out, pi_error *err)
{
    pyinfer_tensor have;
    pi_tensor t = {0};
    size_t bytes, room = out->capacity;
    void *data = out->data;
    pyinfer_output_type(r, i, &have);
    if (have.kind == PYINFER_SEQUENCE)
        return pi_fail(err, PI_E_UNSUPPORTED, "output %d is a sequence: use pyinfer_begin and pyinfer_output_type", i);
    t.dtype = (pi_dtype)have.dtype;
    pi_tensor_set_shape(&t, have.rank, have.shape);
    PI_TRY(pi_tensor_bytes(&t, &bytes, err));
    if (have.dtype == PYINFER_STRING)
        return pi_fail(err, PI_E_UNSUPPORTED, "output %d has strings: use pyinfer_begin and pyinfer_output_type", i);
    if (bytes > room)
        return pi_fail(err, PI_E_INPUT, "output %d '%.100s' needs %zu bytes, its capacity is %zu", i,
                       r->model->output[i].name, bytes, room);
    if (bytes && have.data != data) memcpy(data, have.data, bytes);
    *out = have;
    out->data = data;
    out->capacity = room;
    return PI_E_OK;
}

pyinfer_status pyinfer_run(pyinfer_model *m, const pyinfer_tensor *input, int n_inputs, pyinfer_tensor *output,
                           int n_outputs, pyinfer_error *error)
{
    pi_error err = {0};
    pyinfer_request *r;
    if (n_outputs != pyinfer_output_count(m))
        return pi_capi_status(pi_fail(&err, PI_E_INPUT, "%d outputs are given, the model has %d", n_outputs,
                                      pyinfer_output_count(m)), &err, error);
    pyinfer_status status = pyinfer_begin(m, input, n_inputs, &r, error);
    if (status != PYINFER_OK) return status;
    status = pyinfer_execute(r, NULL, error);
    for (int i = 0; status == PYINFER_OK && i < n_outputs; i++)
        status = pi_capi_status(deliver(r, i, &output[i], &err), &err, error);
    pyinfer_end(r);
    return status;
}
