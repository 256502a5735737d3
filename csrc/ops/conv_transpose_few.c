/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose to few channels, channels-last, where windows tile the output: the last layers of decoders. A pixel
 * gives its own block of Y, block = W' pixel. With so few outputs vectors run along pixels: a piece of a row of X is
 * transposed, the product has a row for each number of the block, and rows are interleaved into Y. */
#include <string.h>
#include "base/size.h"
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/layout/layout.h"
#include "kernels/recurrent/recurrent.h"
#include "ops/conv.h"
#include "ops/ops.h"

/* Pixels of a piece; the most channels of Y, and numbers of a block, for which oneDNN is slower. */
enum { PIXELS = PI_RECURRENT_LANES * PI_RECURRENT_WIDEST, CHANNELS = 4, NUMBERS = 32 };

typedef struct {
    pi_conv c;
    int64_t k, m, row;    /* channels of X and a one for the bias; numbers of a block, and of a row of a block */
    int64_t pieces;       /* of a row of X */
    size_t weights, each; /* floats of scratch: W', then of each thread */
} few_state;

static bool tiles(const pi_window *w)
{
    for (int i = 0; i < 3; i++)
        if (w->stride[i] != w->kernel[i] || w->dilation[i] != 1 || w->pad[i] != 0 ||
            w->out[i] != w->in[i] * w->stride[i])
            return false;
    return true;
}

const char *pi_conv_few_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_transpose_init(&c, node, in, NULL) != PI_E_OK) return "attributes";
    if (!c.w.nhwc && c.out_channels != 1) return "only channels-last";
    if (node->n_explicit > 3 && in[3]) return "no residual";
    if (c.group != 1 || c.out_channels > CHANNELS || c.w.kernel[0] > NUMBERS || c.w.kernel[1] > NUMBERS ||
        c.w.kernel[2] > NUMBERS || c.out_channels * c.w.kernel[0] * c.w.kernel[1] * c.w.kernel[2] > NUMBERS)
        return "only few numbers a pixel";
    if (!tiles(&c.w)) return "only windows that do not overlap";
    return pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 ? "no elements" : NULL;
}

pi_status pi_conv_few_prepare(pi_prep *prep, pi_error *err)
{
    few_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_transpose_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    size_t all;
    s->k = w->channels + 1;
    s->row = w->kernel[2] * s->c.out_channels;
    s->m = s->row * w->kernel[0] * w->kernel[1];
    s->pieces = (w->in[2] + PIXELS - 1) / PIXELS;
    if (!pi_mul((size_t)s->k, (size_t)s->m, &s->weights) || !pi_mul((size_t)(s->k + s->m), PIXELS, &s->each) ||
        !pi_mul(s->each, (size_t)prep->threads, &all) || !pi_add(all, s->weights, &all) ||
        !pi_mul(all, sizeof(float), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "%lld channels are too many", (long long)w->channels);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->in[0]) * (double)s->m;
    return PI_E_OK;
}

/* W' [m, k]: C, M, k... becomes k..., M, C, with the bias behind. */
static void weights_init(const few_state *s, const pi_call *call, float *to)
{
    const float *w = call->in[1]->data;
    const float *bias = call->node->n_explicit > 2 && call->in[2] ? call->in[2]->data : NULL;
    int64_t channels = s->c.out_channels, taps = s->m / channels;
    for (int64_t m = 0; m < s->m; m++) {
        int64_t tap = m / channels, oc = m % channels;
        for (int64_t ic = 0; ic < s->k - 1; ic++) *to++ = w[(ic * channels + oc) * taps + tap];
        *to++ = bias ? bias[oc] : 0;
    }
}

/* Pixels [w0, w0 + n) of a row of X. */
static void piece(const few_state *s, const pi_call *call, int64_t row, int64_t w0, int64_t n, float *panel)
{
    const pi_window *w = &s->c.w;
    const pi_transpose_fn turn = pi_transpose_select(sizeof(float));
    int64_t lanes = PI_RECURRENT_LANES, width = (n + lanes - 1) / lanes, pitch = width * lanes;
    ptrdiff_t step = (ptrdiff_t)((size_t)pitch * sizeof(float)), out_step = (ptrdiff_t)((size_t)s->row * sizeof(float));
    float *blocks = panel + s->k * PIXELS;
    const float *x = (const float *)call->in[0]->data + row / (w->in[0] * w->in[1]) * s->c.x.batch +
                     (row % (w->in[0] * w->in[1]) * w->in[2] + w0) * s->c.x.space[2];
    if (w->nhwc)
        turn((const char *)x, (ptrdiff_t)((size_t)w->channels * sizeof(float)), (char *)panel, step, n, w->channels);
    else
        for (int64_t c = 0; c < w->channels; c++)
            memcpy(panel + c * pitch, x + c * s->c.x.channel, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < pitch; i++) panel[(s->k - 1) * pitch + i] = 1;
    pi_recurrent()->product_f32((size_t)s->m, (size_t)s->k, (size_t)width, call->scratch, (size_t)s->k, panel, NULL,
                                blocks, (size_t)pitch);
    for (int64_t t = 0; t < w->kernel[0] * w->kernel[1]; t++) {
        int64_t d = row / w->in[1] * w->kernel[0] + t / w->kernel[1],
                h = row % w->in[1] * w->kernel[1] + t % w->kernel[1];
        float *y = (float *)call->out[0]->data + ((d * w->out[1] + h) * w->in[2] + w0) * s->row;
        turn((const char *)(blocks + t * s->row * pitch), step, (char *)y, out_step, s->row, n);
        if (s->c.act.kind != PI_ACT_NONE) pi_eltwise()->act_f32(s->c.act, (size_t)(n * s->row), y, y);
    }
}

/* A chunk is a range of pieces of rows of X. */
static void few_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const few_state *s = call->state;
    const pi_window *w = &s->c.w;
    float *panel = (float *)call->scratch + s->weights + (size_t)thread * s->each;
    memset(panel, 0, s->each * sizeof(float)); /* columns that nobody fills are multiplied too */
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t w0 = u % s->pieces * PIXELS;
        piece(s, call, u / s->pieces, w0, pi_min_i64(PIXELS, w->in[2] - w0), panel);
    }
}

pi_status pi_conv_few_run(const pi_call *call, pi_error *err)
{
    const few_state *s = call->state;
    const pi_window *w = &s->c.w;
    pi_call copy = *call;
    weights_init(s, call, call->scratch);
    pi_parallel(call->run->threads, w->batch * w->in[0] * w->in[1] * s->pieces, 1 + 65536 / (s->k * s->m * PIXELS),
                few_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
