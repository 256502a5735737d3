/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose on channels-last f32 data with our own kernel. Places of Y that leave the same remainders by the strides, a
 * phase, are reached by the same taps: each phase is a convolution with some of the weights (an indirect GEMM, see
 * conv_own.c), whose results lie a stride apart. After W. Shi et al., "Is the deconvolution layer the same as a
 * convolutional layer?", arXiv 1609.07009. */
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "ops/conv.h"
#include "ops/ops.h"

enum { BLOCK = 32, MOST_PHASES = 64 }; /* tiles that share a pass over the weights: see matmul_own.c */

typedef struct {
    int64_t place[3], n[3]; /* of the first place of Y; how many there are */
    int64_t first, taps;    /* in the list of taps */
} phase;

typedef struct {
    pi_conv c;
    const pi_igemm_kernels *gemm;
    phase *phases;
    int64_t *tap;         /* those of a phase behind each other */
    const float *weights; /* [phase][group][panel][tap][in][nr] */
    const float *zeros;   /* a pixel of padding */
    int64_t n_phases, in, out, panels; /* in, out: channels of a group */
    int64_t tile, tiles;               /* places of a tile, tiles of a row of a phase */
    int64_t rows, blocks;              /* rows of a block, and the most blocks of a phase */
    size_t scratch;                    /* bytes for one thread: pointers */
    float low, high;
    pi_act late;
} own_state;

const char *pi_conv_transpose_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_transpose_init(&c, node, in, NULL) != PI_E_OK || !c.w.nhwc) return "only channels-last";
    if (!node->in[1] || !node->in[1]->constant) return "only constant weights";
    int64_t phases = 1;
    for (int i = 0; i < 3; i++) {
        if (c.w.stride[i] > MOST_PHASES) return "only small strides";
        phases *= c.w.stride[i];
    }
    if (phases > MOST_PHASES) return "only small strides";
    return pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0 ? "no elements" : NULL;
}

/* The place of X that reaches place `o` of Y through tap k, perhaps outside; false: none could. */
static bool source(const pi_window *w, int i, int64_t o, int64_t k, int64_t *at)
{
    int64_t t = o + w->pad[i] - k * w->dilation[i];
    *at = t / w->stride[i];
    return t % w->stride[i] == 0;
}

static void tap_place(const pi_window *w, int64_t tap, int64_t k[3])
{
    k[2] = tap % w->kernel[2];
    k[1] = tap / w->kernel[2] % w->kernel[1];
    k[0] = tap / w->kernel[2] / w->kernel[1];
}

static void list_phases(own_state *s, int64_t taps)
{
    const pi_window *w = &s->c.w;
    int64_t listed = 0, k[3], at;
    for (int64_t p = 0; p < s->n_phases; p++) {
        phase *f = &s->phases[p];
        int64_t rest = p;
        for (int i = 2; i >= 0; rest /= w->stride[i--]) {
            f->place[i] = rest % w->stride[i];
            f->n[i] = pi_max_i64(w->out[i] - f->place[i] + w->stride[i] - 1, 0) / w->stride[i];
        }
        f->first = listed;
        for (int64_t t = 0; t < taps; t++) {
            tap_place(w, t, k);
            bool reaches = true;
            for (int i = 0; i < 3; i++) reaches &= source(w, i, f->place[i], k[i], &at);
            if (reaches) s->tap[listed++] = t;
        }
        f->taps = listed - f->first;
    }
}

/* From ONNX's [groups * in, out, taps]. */
static pi_status pack(void *arg, const pi_tensor *source_, void *packed, pi_error *err)
{
    (void)err;
    const own_state *s = arg;
    const float *w = source_->data;
    float *to = packed;
    int64_t nr = (int64_t)s->gemm->nr, taps = s->c.w.kernel[0] * s->c.w.kernel[1] * s->c.w.kernel[2];
    for (const phase *f = s->phases; f < s->phases + s->n_phases; f++)
        for (int64_t gp = 0; gp < s->c.group * s->panels; gp++)
            for (int64_t t = 0; t < f->taps; t++)
                for (int64_t l = 0; l < s->in; l++)
                    for (int64_t j = 0; j < nr; j++) {
                        int64_t o = gp % s->panels * nr + j, row = gp / s->panels * s->in + l;
                        *to++ = o < s->out ? w[(row * s->out + o) * taps + s->tap[f->first + t]] : 0.0f;
                    }
    return PI_E_OK;
}

static pi_status pack_weights(pi_prep *prep, own_state *s, int64_t taps, pi_error *err)
{
    struct {
        char name[8];
        int64_t groups, in, out, nr, kernel[3], stride[3], dilation[3], pad[3];
    } key;
    memset(&key, 0, sizeof key);
    memcpy(key.name, "igemm_t", 7);
    key.groups = s->c.group, key.in = s->in, key.out = s->out, key.nr = (int64_t)s->gemm->nr;
    memcpy(key.kernel, s->c.w.kernel, sizeof key.kernel);
    memcpy(key.stride, s->c.w.stride, sizeof key.stride);
    memcpy(key.dilation, s->c.w.dilation, sizeof key.dilation);
    memcpy(key.pad, s->c.w.pad, sizeof key.pad);
    size_t n = (size_t)s->c.w.channels;
    if (!pi_mul(n, (size_t)(s->panels * key.nr), &n) || !pi_mul(n, (size_t)taps, &n) || !pi_mul(n, sizeof(float), &n))
        return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    const void *packed;
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, n, pack, s, &packed, err));
    s->weights = packed;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

pi_status pi_conv_transpose_own_prepare(pi_prep *prep, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_transpose_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    const int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    s->gemm = pi_igemm();
    int64_t mr = (int64_t)s->gemm->mr, nr = (int64_t)s->gemm->nr;
    s->in = w->channels / s->c.group;
    s->out = s->c.out_channels / s->c.group;
    s->panels = (s->out + nr - 1) / nr;
    s->n_phases = w->stride[0] * w->stride[1] * w->stride[2];
    s->late = pi_act_bounds(s->c.act, &s->low, &s->high);
    s->phases = pi_prep_alloc(prep, (size_t)s->n_phases * sizeof *s->phases, err);
    s->tap = pi_prep_alloc(prep, (size_t)taps * sizeof *s->tap, err);
    s->zeros = pi_prep_alloc(prep, (size_t)w->channels * sizeof(float), err);
    if (!s->phases || !s->tap || !s->zeros) return pi_alloc_status(err);
    list_phases(s, taps);
    int64_t wide = s->phases[0].n[2], most = 0; /* the first phase has the most places, if not the most taps */
    for (int64_t p = 0; p < s->n_phases; p++) most = pi_max_i64(most, s->phases[p].taps);
    s->tiles = (wide + mr - 1) / mr;
    s->tile = (wide + s->tiles - 1) / s->tiles;
    s->rows = pi_max_i64(1, BLOCK / s->tiles);
    s->blocks = (w->batch * s->phases[0].n[0] * s->phases[0].n[1] + s->rows - 1) / s->rows;
    size_t pointers = (size_t)(s->rows * s->tiles * s->tile);
    if (!pi_mul(pointers, (size_t)most, &pointers) || !pi_mul(pointers, sizeof(float *), &s->scratch) ||
        !pi_add(s->scratch, 63, &s->scratch) || !pi_mul(s->scratch & ~(size_t)63, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window has %lld places", (long long)taps);
    s->scratch &= ~(size_t)63;
    prep->flops = 2.0 * (double)pi_tensor_n(prep->in[0]) * (double)s->out * (double)taps;
    return pack_weights(prep, s, taps, err);
}

/* Where row r of a phase begins in Y, in elements; gives its image and its places along depth and height. */
static int64_t row_of(const own_state *s, const phase *f, int64_t r, int64_t *image, int64_t at[2])
{
    const pi_window *w = &s->c.w;
    at[1] = f->place[1] + r % f->n[1] * w->stride[1];
    at[0] = f->place[0] + r / f->n[1] % f->n[0] * w->stride[0];
    *image = r / f->n[1] / f->n[0];
    return *image * s->c.y.batch + at[0] * s->c.y.space[0] + at[1] * s->c.y.space[1] + f->place[2] * s->c.y.space[2];
}

/* Pointers to the pixels of X for row r of a phase, one group: tile after tile, each [tap][place]. */
static void point(const own_state *s, const phase *f, const float *x, int64_t r, int64_t group, const float **to)
{
    const pi_window *w = &s->c.w;
    int64_t image, at[2], k[3], d, h, v;
    (void)row_of(s, f, r, &image, at);
    x += image * s->c.x.batch + group * s->in;
    for (int64_t t = 0; t < f->taps; t++) {
        tap_place(w, s->tap[f->first + t], k);
        (void)source(w, 0, at[0], k[0], &d);
        (void)source(w, 1, at[1], k[1], &h);
        (void)source(w, 2, f->place[2], k[2], &v);
        bool out = d < 0 || d >= w->in[0] || h < 0 || h >= w->in[1];
        const float *row = out ? s->zeros : x + d * s->c.x.space[0] + h * s->c.x.space[1];
        for (int64_t i = 0; i < f->n[2]; i++, v++) {
            int64_t first = i / s->tile * s->tile, m = pi_min_i64(s->tile, f->n[2] - first);
            to[first * f->taps + t * m + i - first] = out || v < 0 || v >= w->in[2] ? s->zeros : row + v * s->c.x.space[2];
        }
    }
}

/* Panels [begin, end) of one group for rows [first, first + rows) of a phase, at whose sources `tap` points. */
static void gemm_block(const own_state *s, const pi_call *call, const phase *f, int64_t first, int64_t rows, int64_t group,
                       int64_t begin, int64_t end, const float *const *tap)
{
    const float *bias = pi_conv_optional(call, 2), *z = pi_conv_optional(call, 3);
    int64_t nr = (int64_t)s->gemm->nr, depth = f->taps * s->in, size = depth * nr, image, at[2];
    int64_t step = s->c.w.stride[2] * s->c.y.space[2], most = pi_igemm_group(s->gemm, (size_t)pi_max_i64(depth, 1));
    const float *weights = s->weights + s->c.group * s->panels * nr * s->in * f->first + group * s->panels * size;
    float *y = call->out[0]->data;
    for (int64_t from = begin, to; from < end; from = to) {
        to = pi_min_i64(end, from + most);
        for (int64_t r = 0; r < rows; r++) {
            int64_t row = row_of(s, f, first + r, &image, at) + group * s->out;
            for (int64_t i = 0; i < f->n[2]; i += s->tile) {
                int64_t m = pi_min_i64(s->tile, f->n[2] - i);
                for (int64_t panel = from; panel < to; panel++) {
                    int64_t n = pi_min_i64(nr, s->out - panel * nr), o = row + i * step + panel * nr;
                    pi_igemm_end ends = {bias ? bias + group * s->out + panel * nr : NULL, z ? z + o : NULL, s->low, s->high};
                    s->gemm->tile((size_t)m, (size_t)n, (size_t)f->taps, (size_t)s->in,
                                  tap + (r * s->tiles * s->tile + i) * f->taps, weights + panel * size, &ends, y + o, (size_t)step);
                }
                int64_t n = pi_min_i64(to * nr, s->out) - from * nr, o = row + i * step + from * nr;
                for (int64_t j = 0; s->late.kind != PI_ACT_NONE && j < m; j++, o += step)
                    pi_eltwise()->act_f32(s->late, (size_t)n, y + o, y + o);
            }
        }
    }
}

/* A chunk is a range of (phase, block of rows, group, panel). */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const float **tap = (const float **)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, group = u / s->panels % s->c.group, block = u / s->panels / s->c.group;
        const phase *f = &s->phases[block / s->blocks];
        int64_t first = block % s->blocks * s->rows, all = s->c.w.batch * f->n[0] * f->n[1];
        n = pi_min_i64(end - u, s->panels - panel);
        int64_t rows = pi_min_i64(s->rows, all - first);
        if (f->n[2] == 0 || rows <= 0) continue;
        for (int64_t r = 0; r < rows; r++) point(s, f, call->in[0]->data, first + r, group, tap + r * s->tiles * s->tile * f->taps);
        gemm_block(s, call, f, first, rows, group, panel, panel + n, tap);
    }
}

pi_status pi_conv_transpose_own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    pi_call copy = *call;
    int64_t taps = s->c.w.kernel[0] * s->c.w.kernel[1] * s->c.w.kernel[2];
    double work = (double)(s->rows * s->phases[0].n[2]) * (double)s->in * (double)s->gemm->nr * (double)taps / (double)s->n_phases;
    int64_t grain = work > 262144 ? 1 : (int64_t)(262144 / (work + 1)) + 1;
    pi_parallel(call->run->threads, s->n_phases * s->blocks * s->c.group * s->panels, grain, gemm_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
