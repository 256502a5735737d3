/* SPDX-License-Identifier: Apache-2.0 */
/* Conv on channels-last f32 data with our own kernels: an indirect GEMM (kernels/igemm), or kernels/dwconv where each
 * group has one channel in and one out. Rows of the product are output pixels; a tap is a pointer to an input pixel. */
#include <string.h>
#include "base/threads.h"
#include "kernels/dwconv/dwconv.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "ops/conv.h"
#include "ops/ops.h"

enum { BLOCK = 8 }; /* tiles that share a pass over the weights, which then come from the second-level cache once */

typedef struct {
    pi_conv c;
    const pi_igemm_kernels *gemm;
    const float *weights; /* [group][panel][tap][in][nr]; depthwise [tap][channel] */
    const float *zeros;   /* a pixel of padding */
    int64_t taps, in, out, panels, pixels; /* in, out: channels of a group */
    size_t scratch; /* bytes of pointers for one thread */
    bool depthwise;
} own_state;

typedef struct {
    int64_t groups, out, in, taps, nr;
} pack_shape;

const char *pi_conv_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || !c.w.nhwc) return "only channels-last";
    if (!node->in[1] || !node->in[1]->constant) return "only constant weights";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0) return "no elements";
    return NULL;
}

/* From [groups * out, in, taps], ONNX's order. */
static pi_status pack_panels(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pack_shape *s = arg;
    const float *w = source->data;
    float *to = packed;
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t first = 0; first < s->out; first += s->nr)
            for (int64_t t = 0; t < s->taps; t++)
                for (int64_t l = 0; l < s->in; l++)
                    for (int64_t j = 0; j < s->nr; j++) {
                        int64_t o = first + j;
                        *to++ = o < s->out ? w[((g * s->out + o) * s->in + l) * s->taps + t] : 0.0f;
                    }
    return PI_E_OK;
}

static pi_status pack_depthwise(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pack_shape *s = arg;
    const float *w = source->data;
    float *to = packed;
    for (int64_t t = 0; t < s->taps; t++)
        for (int64_t g = 0; g < s->groups; g++) to[t * s->groups + g] = w[g * s->taps + t];
    return PI_E_OK;
}

static pi_status pack(pi_prep *prep, own_state *s, pi_error *err)
{
    struct {
        char name[8];
        pack_shape shape;
    } key;
    memset(&key, 0, sizeof key);
    memcpy(key.name, s->depthwise ? "dwconv" : "igemm", s->depthwise ? 6 : 5);
    key.shape = (pack_shape){s->c.group, s->out, s->in, s->taps, (int64_t)s->gemm->nr};
    size_t n = (size_t)s->c.group;
    bool ok = pi_mul(n, (size_t)s->taps, &n) && pi_mul(n, sizeof(float), &n);
    if (!s->depthwise)
        ok = ok && pi_mul(n, (size_t)s->panels, &n) && pi_mul(n, (size_t)s->in, &n) && pi_mul(n, s->gemm->nr, &n);
    if (!ok) return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    const void *packed;
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, n, s->depthwise ? pack_depthwise : pack_panels, &key.shape, &packed, err));
    s->weights = packed;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

pi_status pi_conv_own_prepare(pi_prep *prep, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    s->gemm = pi_igemm();
    s->taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    s->in = w->channels / s->c.group;
    s->out = s->c.out_channels / s->c.group;
    s->depthwise = s->in == 1 && s->out == 1;
    s->panels = (s->out + (int64_t)s->gemm->nr - 1) / (int64_t)s->gemm->nr;
    s->pixels = w->batch * w->out[0] * w->out[1] * w->out[2];
    s->zeros = pi_prep_alloc(prep, (size_t)w->channels * sizeof(float), err);
    if (!s->zeros) return pi_alloc_status(err);
    size_t pointers = s->depthwise ? 1 : s->gemm->mr * BLOCK;
    if (!pi_mul(pointers, (size_t)s->taps, &pointers) || !pi_mul(pointers, sizeof(float *), &s->scratch) ||
        !pi_mul(s->scratch, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window has %lld places", (long long)s->taps);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->in * (double)s->taps;
    return pack(prep, s, err);
}

/* Input pixel of output pixel p at tap t, group 0; NULL: in the padding. */
static const float *source(const own_state *s, const float *x, int64_t p, int64_t t)
{
    const pi_window *w = &s->c.w;
    int64_t at[3], tap[3], offset = 0;
    for (int i = 2; i >= 0; i--) {
        at[i] = p % w->out[i];
        p /= w->out[i];
        tap[i] = t % w->kernel[i];
        t /= w->kernel[i];
    }
    for (int i = 0; i < 3; i++) {
        int64_t in = at[i] * w->stride[i] - w->pad[i] + tap[i] * w->dilation[i];
        if (in < 0 || in >= w->in[i]) return NULL;
        offset += in * s->c.x.space[i];
    }
    return x + p * s->c.x.batch + offset;
}

/* Residual and activation of n channels of a pixel that lies in y. */
static void finish(const own_state *s, const float *z, float *y, size_t n)
{
    pi_affine f = {.residual = z, .act = s->c.act};
    if (z || s->c.act.kind != PI_ACT_NONE) pi_eltwise()->affine_f32(&f, 1, n, y, y);
}

static const float *optional(const pi_call *call, uint32_t i)
{
    return call->node->n_explicit > i && call->in[i] ? call->in[i]->data : NULL;
}

/* A chunk is a range of output pixels. */
static void depthwise_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const float *x = call->in[0]->data, *bias = optional(call, 2), *z = optional(call, 3);
    const float **tap = (const float **)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    pi_dwconv_fn dwconv = pi_dwconv();
    size_t n = (size_t)s->c.group;
    for (int64_t p = begin; p < end; p++) {
        float *y = (float *)call->out[0]->data + p * s->c.group;
        for (int64_t t = 0; t < s->taps; t++)
            if (!(tap[t] = source(s, x, p, t))) tap[t] = s->zeros;
        dwconv(n, (size_t)s->taps, tap, s->weights, bias, y);
        finish(s, z ? z + p * s->c.group : NULL, y, n);
    }
}

/* Pointers of `rows` pixels from `first` on, for one group: a tile of mr rows after the other, each [tap][row]. */
static void point(const own_state *s, const float *x, int64_t first, int64_t rows, int64_t group, const float **tap)
{
    int64_t mr = (int64_t)s->gemm->mr;
    for (int64_t r = 0; r < rows; r += mr) {
        int64_t m = pi_min_i64(mr, rows - r);
        for (int64_t t = 0; t < s->taps; t++)
            for (int64_t i = 0; i < m; i++) {
                const float *from = source(s, x, first + r + i, t);
                *tap++ = from ? from + group * s->in : s->zeros;
            }
    }
}

/* Panels [begin, end) of one group for a block of pixels. */
static void gemm_block(const own_state *s, const pi_call *call, int64_t first, int64_t rows, int64_t group, int64_t begin,
                       int64_t end, const float **tap)
{
    const float *bias = optional(call, 2), *z = optional(call, 3);
    int64_t mr = (int64_t)s->gemm->mr, nr = (int64_t)s->gemm->nr, channels = s->c.out_channels;
    point(s, call->in[0]->data, first, rows, group, tap);
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t n = pi_min_i64(nr, s->out - panel * nr), channel = group * s->out + panel * nr;
        const float *b = s->weights + (group * s->panels + panel) * s->taps * s->in * nr, **at = tap;
        for (int64_t r = 0; r < rows; r += mr) {
            int64_t m = pi_min_i64(mr, rows - r), to = (first + r) * channels + channel;
            float *y = (float *)call->out[0]->data + to;
            s->gemm->tile((size_t)m, (size_t)n, (size_t)s->taps, (size_t)s->in, at, b, bias ? bias + channel : NULL, y,
                          (size_t)channels);
            for (int64_t i = 0; i < m; i++) finish(s, z ? z + to + i * channels : NULL, y + i * channels, (size_t)n);
            at += m * s->taps;
        }
    }
}

/* A chunk is a range of (block of pixels, group, panel); neighbours of one block and group go together. */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const float **tap = (const float **)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    int64_t block = BLOCK * (int64_t)s->gemm->mr;
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, group = u / s->panels % s->c.group, first = u / s->panels / s->c.group * block;
        n = pi_min_i64(end - u, s->panels - panel);
        gemm_block(s, call, first, pi_min_i64(block, s->pixels - first), group, panel, panel + n, tap);
    }
}

pi_status pi_conv_own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    pi_call copy = *call;
    if (s->depthwise) {
        int64_t grain = 16384 / (s->c.group * s->taps) + 1;
        pi_parallel(call->run->threads, s->pixels, grain, depthwise_chunk, &copy);
    } else {
        int64_t block = BLOCK * (int64_t)s->gemm->mr, blocks = (s->pixels + block - 1) / block;
        double work = (double)block * (double)s->taps * (double)s->in * (double)s->gemm->nr;
        int64_t grain = work > 262144 ? 1 : (int64_t)(262144 / work) + 1;
        pi_parallel(call->run->threads, blocks * s->c.group * s->panels, grain, gemm_chunk, &copy);
    }
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
