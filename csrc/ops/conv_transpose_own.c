/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose on channels-last f32 data with our own kernel. Places of Y that leave the same remainders by the strides, a
 * phase, are reached by the same taps: each phase is a convolution with some of the weights (an indirect GEMM, see
 * conv_own.c), whose results lie a stride apart. After W. Shi et al., "Is the deconvolution layer the same as a
 * convolutional layer?", arXiv 1609.07009. By the fast inner product (ops/fip_product.h) the windows of a block of rows are
 * copied. */
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "ops/conv.h"
#include "ops/fip_product.h"

enum {
    BLOCK = 32, /* tiles that share a pass over the weights: see matmul_own.c */
    MOST_PHASES = 64,
    LEAST_GATHERED = 48, /* channels of Y for which it pays to copy windows */
};

typedef struct {
    int64_t place[3], n[3]; /* of the first place of Y; how many there are */
    int64_t first, taps;    /* in the list of taps */
} phase;

typedef struct {
    pi_conv c;
    const pi_igemm_kernels *gemm;
    const pi_fip_kernels *fip; /* NULL: the direct product */
    phase *phases;
    int64_t *tap;         /* those of a phase behind each other */
    const float *weights; /* [phase][group][panel][tap][in][nr] */
    const float *minus;   /* of fip, [phase][group][panel][nr]; then means of the squares of the weights, [phase][group] */
    const float *zeros;   /* a pixel of padding */
    int64_t n_phases, in, out, panels; /* in, out: channels of a group */
    int64_t tile, tiles;               /* places of a tile, tiles of a row of a phase */
    int64_t rows, blocks;              /* rows of a block, and the most blocks of a phase */
    int64_t copy;                      /* floats of a copied window */
    size_t copies_at, tables_at, gathered_at, scratch; /* bytes for one thread: pointers; of fip copied windows and one tile's before */
    float low, high;
    pi_act late;
    bool tiled; /* all phases have the same places of X */
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
    int64_t nr = (int64_t)s->gemm->nr, taps = s->c.w.kernel[0] * s->c.w.kernel[1] * s->c.w.kernel[2], groups = s->n_phases * s->c.group;
    float *minus = to + s->panels * nr * s->c.w.channels * taps, *squares = minus + groups * s->panels * nr;
    memset(squares, 0, (size_t)groups * sizeof *squares);
    for (const phase *f = s->phases; f < s->phases + s->n_phases; f++)
        for (int64_t gp = 0; gp < s->c.group * s->panels; gp++) {
            const float *panel = to;
            for (int64_t t = 0; t < f->taps; t++)
                for (int64_t l = 0; l < s->in; l++)
                    for (int64_t j = 0; j < nr; j++) {
                        int64_t o = gp % s->panels * nr + j, row = gp / s->panels * s->in + l;
                        *to++ = o < s->out ? w[(row * s->out + o) * taps + s->tap[f->first + t]] : 0.0f;
                    }
            squares[(f - s->phases) * s->c.group + gp / s->panels] +=
                pi_fip()->columns((size_t)(f->taps * s->in), panel, minus) / (float)(pi_max_i64(f->taps, 1) * s->in * s->out);
            minus += nr;
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
    size_t tail = (size_t)(s->n_phases * s->c.group * (s->panels * key.nr + 1));
    if (!pi_mul(n, (size_t)(s->panels * key.nr), &n) || !pi_mul(n, (size_t)taps, &n) || !pi_add(n, tail, &n) ||
        !pi_mul(n, sizeof(float), &n))
        return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    const void *packed;
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, n, pack, s, &packed, err));
    s->weights = packed;
    s->minus = s->weights + s->panels * key.nr * s->c.w.channels * taps;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

/* Windows lie side by side on Y: a place of X is the only one in a window of each phase. */
static bool is_tiled(const pi_window *w)
{
    for (int i = 0; i < 3; i++)
        if (w->kernel[i] != w->stride[i] || w->dilation[i] != 1 || w->pad[i] != 0 || w->out[i] != w->in[i] * w->stride[i]) return false;
    return true;
}

const char *pi_conv_transpose_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why = pi_conv_transpose_own_refuse(node, in, out);
    if (why || pi_conv_transpose_init(&c, node, in, NULL) != PI_E_OK) return why ? why : "attributes";
    const pi_window *w = &c.w; /* a window of a phase has so many places of X on an average */
    int64_t phases = w->stride[0] * w->stride[1] * w->stride[2], taps = w->kernel[0] * w->kernel[1] * w->kernel[2] / phases;
    int64_t n = c.out_channels / c.group, k = pi_max_i64(taps, 1) * w->channels / c.group;
    why = pi_fip_refuse(w->out[2] / w->stride[2], is_tiled(w) && n > 16 ? n * phases : n, k, taps > 1);
    return !why && taps > 1 && n < LEAST_GATHERED ? PI_SLOWER "windows are gathered for too few channels" : why;
}

/* `most`: places of X of the largest window. */
static bool scratch_init(own_state *s, int64_t most)
{
    size_t pointers, tiles, copies, gathered;
    int64_t k = most * s->in;
    s->copy = (k + PI_FIP_BLOCK - 1) / PI_FIP_BLOCK * PI_FIP_BLOCK;
    if (!pi_mul((size_t)(s->rows * s->tiles), (size_t)s->tile, &pointers) || !pi_mul(pointers, (size_t)most, &pointers) ||
        !pi_mul(pointers, sizeof(float *), &pointers) || !pi_add(pointers, 63, &s->copies_at))
        return false;
    s->copies_at &= ~(size_t)63;
    tiles = s->fip ? (size_t)(s->rows * s->tiles) : 0;
    gathered = s->fip ? PI_FIP_ROWS : 0;
    return pi_mul(tiles * PI_FIP_ROWS, (size_t)s->copy * sizeof(float), &copies) && pi_add(s->copies_at, copies, &s->tables_at) &&
           pi_add(s->tables_at, tiles * sizeof(pi_fip_rows), &s->gathered_at) &&
           pi_mul(gathered * sizeof(float), (size_t)k, &gathered) && pi_add(s->gathered_at, gathered + 63, &s->scratch);
}

static pi_status prepare(pi_prep *prep, const pi_fip_kernels *fip, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_transpose_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    const int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    s->gemm = pi_igemm();
    s->fip = fip;
    int64_t mr = fip ? PI_FIP_ROWS : (int64_t)s->gemm->mr, nr = (int64_t)s->gemm->nr;
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
    s->tiled = is_tiled(w);
    int64_t wide = s->phases[0].n[2], most = 0; /* the first phase has the most places, if not the most taps */
    for (int64_t p = 0; p < s->n_phases; p++) most = pi_max_i64(most, s->phases[p].taps);
    s->tiles = (wide + mr - 1) / mr;
    s->tile = (wide + s->tiles - 1) / s->tiles;
    int64_t tiles = fip ? (int64_t)pi_cpu_cache(2) / 2 / (PI_FIP_ROWS * pi_max_i64(1, most * s->in) * (int64_t)sizeof(float)) : BLOCK;
    s->rows = pi_max_i64(1, pi_min_i64(BLOCK, tiles) / s->tiles);
    s->blocks = (w->batch * s->phases[0].n[0] * s->phases[0].n[1] + s->rows - 1) / s->rows;
    if (!scratch_init(s, most) || !pi_mul(s->scratch &= ~(size_t)63, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window has %lld places", (long long)taps);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->in[0]) * (double)s->out * (double)taps;
    return pack_weights(prep, s, taps, err);
}

pi_status pi_conv_transpose_own_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, NULL, err); }

pi_status pi_conv_transpose_fip_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, pi_fip(), err); }

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

/* The scratch of a thread. */
typedef struct {
    const float **tap;
    float *copies, *gathered;
    pi_fip_rows *tables;
} places;

/* Copies the windows of a tile of m places, whose pixels `tap` points at, one group, as tile number `tile`. */
static void copy_tile(const own_state *s, const phase *f, int64_t group, int64_t m, const float *const *tap, int64_t tile,
                      const places *mine)
{
    const float *row[PI_FIP_ROWS];
    int64_t k = f->taps * s->in;
    for (int64_t i = 0; i < m; i++) row[i] = f->taps == 1 ? tap[i] : mine->gathered + i * k;
    for (int64_t i = 0; f->taps > 1 && i < m; i++)
        for (int64_t t = 0; t < f->taps; t++)
            memcpy(mine->gathered + i * k + t * s->in, tap[t * m + i], (size_t)s->in * sizeof(float));
    const float *squares = s->minus + s->n_phases * s->c.group * s->panels * (int64_t)s->gemm->nr;
    s->fip->rows((size_t)m, (size_t)k, row, squares[(f - s->phases) * s->c.group + group], mine->copies + tile * PI_FIP_ROWS * s->copy,
                 &mine->tables[tile]);
}

/* Panels [begin, end) of one group for rows [first, first + rows) of a phase, at whose sources `tap` points. */
static void gemm_block(const own_state *s, const pi_call *call, const phase *f, int64_t first, int64_t rows, int64_t group,
                       int64_t begin, int64_t end, bool copied, const places *mine)
{
    const float *const *tap = mine->tap;
    const float *bias = pi_conv_optional(call, 2), *z = pi_conv_optional(call, 3);
    int64_t nr = (int64_t)s->gemm->nr, depth = f->taps * s->in, size = depth * nr, image, at[2];
    int64_t step = s->c.w.stride[2] * s->c.y.space[2], most = pi_igemm_group(s->gemm, (size_t)pi_max_i64(depth, 1));
    const float *weights = s->weights + s->c.group * s->panels * nr * s->in * f->first + group * s->panels * size;
    const float *minus = s->minus + ((f - s->phases) * s->c.group + group) * s->panels * nr;
    float *y = call->out[0]->data;
    for (int64_t from = begin, to; from < end; from = to) {
        to = pi_min_i64(end, from + most);
        for (int64_t r = 0; r < rows; r++) {
            int64_t row = row_of(s, f, first + r, &image, at) + group * s->out;
            for (int64_t i = 0; i < f->n[2]; i += s->tile) {
                int64_t m = pi_min_i64(s->tile, f->n[2] - i), tile = r * s->tiles + i / s->tile;
                const float *const *sources = tap + (r * s->tiles * s->tile + i) * f->taps;
                if (s->fip && !copied && from == begin) copy_tile(s, f, group, m, sources, tile, mine);
                for (int64_t panel = from; panel < to; panel++) {
                    int64_t n = pi_min_i64(nr, s->out - panel * nr), o = row + i * step + panel * nr;
                    pi_igemm_end ends = {bias ? bias + group * s->out + panel * nr : NULL, z ? z + o : NULL, s->low, s->high};
                    if (s->fip)
                        s->fip->tile((size_t)m, (size_t)n, (size_t)depth, mine->copies + tile * PI_FIP_ROWS * s->copy, &mine->tables[tile],
                                     weights + panel * size, minus + panel * nr, &ends, y + o, (size_t)step, NULL, 0);
                    else
                        s->gemm->tile((size_t)m, (size_t)n, (size_t)f->taps, (size_t)s->in, sources, weights + panel * size, &ends, y + o,
                                      (size_t)step);
                }
                int64_t n = pi_min_i64(to * nr, s->out) - from * nr, o = row + i * step + from * nr;
                for (int64_t j = 0; s->late.kind != PI_ACT_NONE && j < m; j++, o += step)
                    pi_eltwise()->act_f32(s->late, (size_t)n, y + o, y + o);
            }
        }
    }
}

/* A chunk is a range of (phase, block of rows, group, panel), or, of the same places of X, (block of rows, group, phase, panel). */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    char *at = (char *)call->scratch + (size_t)thread * s->scratch;
    const places mine = {(const float **)(void *)at, (float *)(void *)(at + s->copies_at), (float *)(void *)(at + s->gathered_at),
                         (pi_fip_rows *)(void *)(at + s->tables_at)};
    int64_t made = -1; /* the block and group of which mine has the places */
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, rest = u / s->panels, each = s->blocks * s->c.group;
        int64_t p = s->tiled ? rest % s->n_phases : rest / each, block = s->tiled ? rest / s->n_phases : rest % each; /* and group */
        int64_t group = block % s->c.group, first = block / s->c.group * s->rows;
        const phase *f = &s->phases[p];
        int64_t rows = pi_min_i64(s->rows, s->c.w.batch * f->n[0] * f->n[1] - first);
        n = pi_min_i64(end - u, s->panels - panel);
        if (f->n[2] == 0 || rows <= 0) continue;
        bool copied = s->tiled && made == block;
        for (int64_t r = 0; !copied && r < rows; r++)
            point(s, f, call->in[0]->data, first + r, group, mine.tap + r * s->tiles * s->tile * f->taps);
        gemm_block(s, call, f, first, rows, group, panel, panel + n, copied, &mine);
        made = block;
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
