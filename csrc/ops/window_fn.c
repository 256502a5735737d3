/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for signals: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix. */
#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/move.h"

static pi_status table_dtype(const pi_node *node, pi_tensor *out, pi_error *err)
{
    out->dtype = pi_dtype_from_id(pi_attr_int(node, "output_datatype"));
    if (!pi_dtype_in(out->dtype, PI_NUMBERS))
        return pi_fail(err, PI_E_MODEL, "output_datatype %s is no number", pi_dtype_name(out->dtype));
    return PI_E_OK;
}

static pi_status window_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t n;
    PI_TRY(table_dtype(node, out, err));
    if (!in[0]->data) return PI_E_OK;
    PI_TRY(pi_move_scalar(in[0], "size", &n, err));
    return pi_move_shape(out, 1, &n, err);
}

static pi_status window_run(const pi_call *call, pi_error *err)
{
    static const struct {
        const char *name;
        double a, b, c; /* a - b cos(x) + c cos(2 x) */
    } kinds[] = {{"HannWindow", 0.5, 0.5, 0}, {"HammingWindow", 25.0 / 46, 21.0 / 46, 0}, {"BlackmanWindow", 0.42, 0.5, 0.08}};
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *y = call->out[0];
    int64_t n = y->dim[0], period = pi_attr_int(call->node, "periodic") ? n : n - 1;
    int k = 0;
    while (k < 2 && strcmp(kinds[k].name, call->node->op->name) != 0) k++;
    for (int64_t i = 0; i < n; i++) {
        double x = period > 0 ? 6.283185307179586 * (double)i / (double)period : 3.141592653589793; /* one point: the top */
        pi_element_put(y->dtype, y->data, i, kinds[k].a - kinds[k].b * cos(x) + kinds[k].c * cos(2 * x));
    }
    return PI_E_OK;
}

/* ---- MelWeightMatrix ---- */

typedef struct {
    int64_t bins, bands, rate;
    double low, high;
} mel_table;

static pi_status mel_open(const pi_tensor *const *in, mel_table *m, pi_error *err)
{
    int64_t length, n;
    PI_TRY(pi_move_scalar(in[0], "num_mel_bins", &m->bands, err));
    PI_TRY(pi_move_scalar(in[1], "dft_length", &length, err));
    PI_TRY(pi_move_scalar(in[2], "sample_rate", &m->rate, err));
    for (int i = 3; i < 5; i++) {
        PI_TRY(pi_tensor_count(in[i], &n, err));
        if (n != 1) return pi_fail(err, PI_E_MODEL, "input %d has %lld elements, expected 1", i, (long long)n);
    }
    m->low = pi_element_get(in[3]->dtype, in[3]->data, 0);
    m->high = pi_element_get(in[4]->dtype, in[4]->data, 0);
    if (m->bands < 0 || length < 0 || m->rate < 1 || !(m->low >= 0 && m->high >= m->low && m->high < 1e12))
        return pi_fail(err, PI_E_MODEL, "num_mel_bins, dft_length, sample_rate or the edges are out of range");
    m->bins = length / 2 + 1;
    return PI_E_OK;
}

static pi_status mel_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    mel_table m;
    PI_TRY(table_dtype(node, out, err));
    for (int i = 0; i < 5; i++)
        if (!in[i]->data) return PI_E_OK;
    PI_TRY(mel_open(in, &m, err));
    int64_t dim[2] = {m.bins, m.bands};
    return pi_move_shape(out, 2, dim, err);
}

/* Bin of edge k of the bands, cut to the table. */
static int64_t mel_edge(const mel_table *m, int64_t length, int64_t k)
{
    double low = 2595 * log10(1 + m->low / 700), high = 2595 * log10(1 + m->high / 700);
    double hertz = 700 * (pow(10, (low + (double)k * (high - low) / (double)(m->bands + 2)) / 2595) - 1);
    double bin = floor((double)(length + 1) * hertz / (double)m->rate);
    return bin < 0 ? 0 : bin < (double)m->bins ? (int64_t)bin : m->bins;
}

static pi_status mel_run(const pi_call *call, pi_error *err)
{
    static const char zero[16];
    mel_table m;
    int64_t length;
    PI_TRY(mel_open(call->in, &m, err));
    PI_TRY(pi_move_scalar(call->in[1], "dft_length", &length, err));
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *y = call->out[0];
    if (y->dim[0] != m.bins || y->dim[1] != m.bands) return pi_fail(err, PI_E_INTERNAL, "planned for another table");
    pi_move_fill(call, y->data, zero, pi_dtype_size(y->dtype), pi_tensor_n(y));
    for (int64_t b = 0; b < m.bands; b++) {
        int64_t left = mel_edge(&m, length, b), top = mel_edge(&m, length, b + 1), right = mel_edge(&m, length, b + 2);
        for (int64_t j = left; j <= top && j < m.bins; j++)
            pi_element_put(y->dtype, y->data, j * m.bands + b, top > left ? (double)(j - left) / (double)(top - left) : 1);
        for (int64_t j = top; j < right && j < m.bins; j++)
            pi_element_put(y->dtype, y->data, j * m.bands + b, (double)(right - j) / (double)(right - top));
    }
    return PI_E_OK;
}

static const pi_impl window_impls[] = {{.name = "ref", .run = window_run}, {0}};
static const pi_impl mel_impls[] = {{.name = "ref", .run = mel_run}, {0}};

static const pi_attr_def window_attrs[] = {{.name = "output_datatype", .kind = PI_ATTR_INT, .i = 1},
                                           {.name = "periodic", .kind = PI_ATTR_INT, .i = 1},
                                           {0}};
static const pi_attr_def mel_attrs[] = {{.name = "output_datatype", .kind = PI_ATTR_INT, .i = 1}, {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "HannWindow", .since = 17, .signature = "size:T -> output:any", .T = INDEX, .attrs = window_attrs,
     .infer = window_infer, .impls = window_impls},
    {.name = "HammingWindow", .since = 17, .signature = "size:T -> output:any", .T = INDEX, .attrs = window_attrs,
     .infer = window_infer, .impls = window_impls},
    {.name = "BlackmanWindow", .since = 17, .signature = "size:T -> output:any", .T = INDEX, .attrs = window_attrs,
     .infer = window_infer, .impls = window_impls},
    {.name = "MelWeightMatrix", .since = 17,
     .signature = "num_mel_bins:T dft_length:T sample_rate:T lower_edge_hertz:U upper_edge_hertz:U -> output:any", .T = INDEX,
     .U = PI_FLOATS, .attrs = mel_attrs, .infer = mel_infer, .impls = mel_impls},
};
const pi_op_family pi_ops_window_fn = {rows, PI_COUNT(rows)};
