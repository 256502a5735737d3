/* SPDX-License-Identifier: Apache-2.0 */
/* An input against what the model declares: where it does not fit, what was expected, what was got, and what to do. */
#include <stdio.h>
#include "capi/capi.h"

/* "float32[batch, 3, ?, ?]", as NumPy names the types. */
static void value_text(int dtype, int rank, const int64_t *dim, const char *const *symbol, char *text, size_t size)
{
    const char *name = dtype == PYINFER_STRING ? "str" : pi_dtype_numpy((pi_dtype)dtype);
    size_t n = (size_t)snprintf(text, size, "%s[", name);
    for (int i = 0; i < rank && n < size; i++) {
        const char *comma = i ? ", " : "";
        if (symbol && symbol[i])
            n += (size_t)snprintf(text + n, size - n, "%s%.40s", comma, symbol[i]);
        else if (dim[i] < 0)
            n += (size_t)snprintf(text + n, size - n, "%s?", comma);
        else
            n += (size_t)snprintf(text + n, size - n, "%s%lld", comma, (long long)dim[i]);
    }
    if (n < size) (void)snprintf(text + n, size - n, rank < 0 ? "...]" : "]");
}

enum { NEW = -1 }; /* in a remedy: a dimension of length 1 */

/* What the caller probably has to do: the array as it would be, dimension by dimension, from those that it has. */
static const struct {
    int want, got, from[4];
    const char *advice;
} remedies[] = {
    {4, 4, {0, 3, 1, 2}, "the channels come last in it: give x.transpose(0, 3, 1, 2)"},
    {4, 4, {0, 2, 3, 1}, "the channels come first in it: give x.transpose(0, 2, 3, 1)"},
    {4, 3, {NEW, 0, 1, 2}, "the batch dimension is missing: give x[None]"},
    {4, 3, {NEW, 2, 0, 1}, "the batch dimension is missing, and the channels come last in it: give x.transpose(2, 0, 1)[None]"},
    {4, 2, {NEW, NEW, 0, 1}, "the dimensions of batch and channels are missing: give x[None, None]"},
    {3, 2, {NEW, 0, 1}, "the batch dimension is missing: give x[None]"},
    {2, 1, {NEW, 0}, "the batch dimension is missing: give x[None]"},
    {1, 0, {NEW}, "it is a single number: give it in a list, [x]"},
};

static bool dims_fit(const pyinfer_value *want, const int64_t *dim)
{
    for (int i = 0; i < want->rank; i++)
        if (want->shape[i] >= 0 && want->shape[i] != dim[i]) return false;
    return true;
}

/* Sizes that are fixed in the model and differ: their number, and the last of them. */
static int count_misfits(const pyinfer_value *want, const int64_t *dim, int *at)
{
    int n = 0;
    for (int i = 0; i < want->rank; i++)
        if (want->shape[i] >= 0 && want->shape[i] != dim[i]) n++, *at = i;
    return n;
}

static bool is_picture(const pyinfer_value *v) { return v->rank == 4 && (v->shape[1] == 1 || v->shape[1] == 3 || v->shape[1] == 4); }

/* "; what the caller probably has to do", or nothing. */
static void advise(const pyinfer_value *want, const pyinfer_tensor *got, pi_error *err)
{
    int at = 0;
    for (size_t k = 0; k < PI_COUNT(remedies); k++) {
        int64_t dim[4];
        if (want->rank != remedies[k].want || got->rank != remedies[k].got) continue;
        for (int i = 0; i < want->rank; i++) dim[i] = remedies[k].from[i] == NEW ? 1 : got->shape[remedies[k].from[i]];
        if (!dims_fit(want, dim)) continue;
        pi_error_append(err, "; %s", remedies[k].advice);
        return;
    }
    bool size = is_picture(want) && want->shape[2] >= 0 && want->shape[3] >= 0;
    for (size_t k = 0; k < PI_COUNT(remedies) && size && !(got->rank == 4 && got->shape[1] == want->shape[1]); k++) {
        if (remedies[k].want != 4 || remedies[k].got != got->rank || remedies[k].from[1] == NEW) continue;
        if (got->shape[remedies[k].from[1]] != want->shape[1]) continue;
        pi_error_append(err, "; the model takes %lld x %lld pixels, so resize the picture first; %s", (long long)want->shape[2],
                        (long long)want->shape[3], remedies[k].advice);
        return;
    }
    if (got->rank == want->rank + 1 && dims_fit(want, got->shape + 1))
        pi_error_append(err, "; it has a dimension too many: give %s", got->shape[0] == 1 ? "x[0]" : "x[0], then x[1] ...");
    else if (want->rank != got->rank)
        pi_error_append(err, "; it must have %d dimensions, not %d", want->rank, got->rank);
    if (want->rank != got->rank) return;
    int misfits = count_misfits(want, got->shape, &at);
    if (misfits == 1 && at == 0 && want->rank > 1)
        pi_error_append(err, "; the batch is fixed at %lld in this model: %s, or export it with dynamic_shapes (dynamic_axes if "
                        "dynamo=False)", (long long)want->shape[0], want->shape[0] == 1 ? "call it for one at a time" : "give so many");
    else if (is_picture(want) && misfits == 1 && at == 1 && want->shape[1] == 3 && (got->shape[1] == 1 || got->shape[1] == 4))
        pi_error_append(err, "; %s", got->shape[1] == 1 ? "it is grey: give x.repeat(3, axis=1)"
                                                        : "it has a fourth channel, perhaps of transparency: give x[:, :3]");
    else if (is_picture(want) && at > 1)
        pi_error_append(err, "; the size of pictures is fixed in this model: resize yours, or export it with dynamic_shapes");
    else
        pi_error_append(err, "; dimension %d must be %lld, not %lld", at, (long long)want->shape[at], (long long)got->shape[at]);
}

pi_status pi_capi_check_input(const pyinfer_value *want, const pyinfer_tensor *got, pi_error *err)
{
    char expected[600], have[300];
    pi_tensor t = {.dtype = (pi_dtype)got->dtype};
    if (got->rank < 0 || got->rank > PI_MAX_RANK)
        return pi_fail(err, PI_E_INPUT, "input '%.100s' has %d dimensions, at most %d are supported", want->name, got->rank,
                       PI_MAX_RANK);
    pi_tensor_set_shape(&t, got->rank, got->shape);
    bool fits = (want->dtype == 0 || want->dtype == got->dtype) && (want->rank < 0 || want->rank == got->rank) &&
                (want->rank < 0 || dims_fit(want, got->shape));
    if (!fits) {
        value_text(want->dtype, want->rank, want->shape, want->symbol, expected, sizeof expected);
        value_text(got->dtype, got->rank, got->shape, NULL, have, sizeof have);
        pi_status st = pi_fail(err, PI_E_INPUT, "input '%.100s': expected %s, got %s", want->name, expected, have);
        if (want->dtype == 0 || want->dtype == got->dtype) advise(want, got, err);
        return st;
    }
    size_t bytes;
    PI_TRY(pi_tensor_bytes(&t, &bytes, err));
    if (bytes && !got->data) return pi_fail(err, PI_E_INPUT, "input '%.100s' has no data", want->name);
    return PI_E_OK;
}

void pi_capi_tell_inputs(const pyinfer_request *r, pi_error *err)
{
    enum { TOLD = 4 };
    char text[300];
    int told = 0, n = pyinfer_input_count(r->model);
    for (int i = 0; i < n && told < TOLD; i++) {
        const pi_tensor *t = &r->input[i];
        if (pi_dtype_is_seq(t->dtype)) continue;
        value_text((int)t->dtype, t->rank, t->dim, NULL, text, sizeof text);
        pi_error_append(err, "%s%.100s: %s", told++ ? ", " : "; the inputs are ", r->model->input[i].name, text);
    }
    if (told && n > told) pi_error_append(err, ", and %d more", n - told);
}
