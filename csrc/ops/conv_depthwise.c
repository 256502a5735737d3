/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.ConvDepthwise: a 1x1 convolution and the depthwise one behind it, as MobileNet's and EfficientNet's blocks have
 * them, on channels-last images: Y = act(dw(mid_act(X * W1 + B1), W2) + B2). The wide image between them is never in
 * memory: each panel of its channels is made a few rows at a time, which the depthwise kernel reads from the cache. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/dwconv/dwconv.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "ops/conv.h"
#include "ops/fip_product.h"

enum { X, W1, B1, W2, B2 };

typedef struct {
    pi_window w;         /* of the depthwise convolution; channels are X's */
    int64_t mid;         /* channels between, and of Y */
    int64_t span[2];     /* of a window, with its dilation */
    pi_act first, last;
} problem;

static const pi_tensor *optional(const pi_node *node, const pi_tensor *const *in, uint32_t i)
{
    return node->n_explicit > i ? in[i] : NULL;
}

static pi_status init(problem *p, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[X], *w1 = in[W1], *w2 = in[W2];
    char tx[200], t1[200], t2[200];
    *p = (problem){.last = pi_node_act(node)};
    p->first = (pi_act){(pi_act_kind)pi_attr_int(node, "mid_act"), pi_attr_float(node, "mid_a"), pi_attr_float(node, "mid_b")};
    PI_TRY(pi_node_check_act(node, err));
    if (p->first.kind < 0 || p->first.kind >= PI_ACT_COUNT)
        return pi_fail(err, PI_E_MODEL, "attribute 'mid_act' is %d, expected 0 to %d", (int)p->first.kind, PI_ACT_COUNT - 1);
    if (x->rank != 4 || w1->rank != 4 || w2->rank != 4 || w1->dim[1] != x->dim[3] || w1->dim[2] != 1 || w1->dim[3] != 1 ||
        w2->dim[0] != w1->dim[0] || w2->dim[1] != 1)
        return pi_fail(err, PI_E_MODEL, "X is %s, W1 %s and W2 %s, expected [N, H, W, C], [M, C, 1, 1] and [M, 1, h, w]",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(w1, t1, sizeof t1), pi_tensor_text(w2, t2, sizeof t2));
    p->mid = w1->dim[0];
    PI_TRY(pi_window_init(&p->w, node, x, true, w2->dim + 2, err));
    for (uint32_t i = B1; i <= B2; i += B2 - B1) {
        const pi_tensor *b = optional(node, in, i);
        if (b && (b->rank != 1 || b->dim[0] != p->mid))
            return pi_fail(err, PI_E_MODEL, "a bias is %s, expected [%lld]", pi_tensor_text(b, t1, sizeof t1), (long long)p->mid);
    }
    for (int i = 0; i < 2; i++) p->span[i] = (p->w.kernel[1 + i] - 1) * p->w.dilation[1 + i] + 1;
    pi_tensor y = {.dtype = x->dtype};
    int64_t n;
    pi_window_output(&p->w, p->mid, &y);
    return pi_tensor_count(&y, &n, err);
}

static pi_status infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    problem p;
    PI_TRY(init(&p, node, in, err));
    pi_window_output(&p.w, p.mid, &out[0]);
    return PI_E_OK;
}

static double flops(const problem *p)
{
    const pi_window *w = &p->w;
    return 2.0 * (double)w->batch * (double)p->mid * ((double)w->in[1] * (double)w->in[2] * (double)w->channels +
           (double)w->out[1] * (double)w->out[2] * (double)w->kernel[1] * (double)w->kernel[2]);
}

static const float *floats(const pi_call *call, uint32_t i)
{
    const pi_tensor *t = optional(call->node, call->in, i);
    return t ? t->data : NULL;
}

/* ---- reference: one channel at a time, the image between in scratch ---- */

static pi_status ref_prepare(pi_prep *prep, pi_error *err)
{
    problem *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    if (!p) return pi_alloc_status(err);
    PI_TRY(init(p, prep->node, prep->in, err));
    prep->flops = flops(p);
    if (!pi_mul((size_t)(p->w.in[1] * p->w.in[2]), sizeof(float), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the image has more bytes than can be addressed");
    return PI_E_OK;
}

static void ref_channel(const problem *p, const pi_call *call, int64_t b, int64_t m)
{
    const pi_window *w = &p->w;
    const float *x = floats(call, X), *w1 = floats(call, W1), *b1 = floats(call, B1), *w2 = floats(call, W2), *b2 = floats(call, B2);
    float *between = call->scratch, *y = call->out[0]->data;
    int64_t pixels = w->in[1] * w->in[2], taps = w->kernel[1] * w->kernel[2];
    for (int64_t i = 0; i < pixels; i++) {
        double sum = b1 ? (double)b1[m] : 0;
        for (int64_t c = 0; c < w->channels; c++)
            sum += (double)x[(b * pixels + i) * w->channels + c] * (double)w1[m * w->channels + c];
        between[i] = pi_act_apply(p->first, (float)sum);
    }
    for (int64_t o = 0; o < w->out[1] * w->out[2]; o++) {
        double sum = b2 ? (double)b2[m] : 0;
        for (int64_t t = 0; t < taps; t++) {
            int64_t h = o / w->out[2] * w->stride[1] - w->pad[1] + t / w->kernel[2] * w->dilation[1];
            int64_t v = o % w->out[2] * w->stride[2] - w->pad[2] + t % w->kernel[2] * w->dilation[2];
            if (h < 0 || h >= w->in[1] || v < 0 || v >= w->in[2]) continue;
            sum += (double)between[h * w->in[2] + v] * (double)w2[m * taps + t];
        }
        y[(b * w->out[1] * w->out[2] + o) * p->mid + m] = pi_act_apply(p->last, (float)sum);
    }
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    const problem *p = call->state;
    for (int64_t b = 0; b < p->w.batch; b++)
        for (int64_t m = 0; m < p->mid; m++) {
            if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
            ref_channel(p, call, b, m);
        }
    return PI_E_OK;
}

/* ---- by panels and rows ---- */

enum {
    SHORT = 24, PIXELS = 48, /* rows shorter than SHORT are made together, some PIXELS: few rows make poor tiles */
    MOST_CHANNELS = 1024,    /* of X: sums of the fast inner product in one part */
};

typedef struct {
    problem p;
    const pi_igemm_kernels *gemm;
    const pi_fip_kernels *fip; /* NULL: the direct product */
    const float *w1, *w2;
    const float *minus;          /* of fip */
    int64_t panels, bands, band; /* a band: rows of Y */
    int64_t shares, share;       /* parts of the panels; panels of the largest, which read the same copied rows of X */
    int64_t step, ring;          /* rows that are made at once, and that are kept */
    int64_t wide;                /* pixels of such a row, with the padding */
    int64_t copy;                /* floats of a copied row of X */
    size_t ring_bytes, line_at, copies_at, tables_at, rows_at, scratch; /* of a thread: a ring for each panel of a share, rows without
                                                                         * padding, copied rows of X, pointers; its bytes */
    float first_low, first_high, last_low, last_high;
    pi_act first, last; /* what the kernels leave to do */
} own_state;

static const char *own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    problem p;
    if (init(&p, node, in, NULL) != PI_E_OK || p.w.pad[2] < 0) return "attributes";
    if (!node->in[W1] || !node->in[W1]->constant || !node->in[W2] || !node->in[W2]->constant) return "only constant weights";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[X]) == 0) return "no elements";
    return NULL;
}

static const char *fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    problem p;
    const char *why = own_refuse(node, in, out);
    if (why || init(&p, node, in, NULL) != PI_E_OK) return why ? why : "attributes";
    if (p.w.channels > MOST_CHANNELS) return "sums in parts";
    return pi_fip_refuse(p.w.batch * p.w.in[1] * p.w.in[2], p.mid, p.w.channels, false);
}

static int64_t rows_of_tile(const own_state *s) { return s->fip ? PI_FIP_ROWS : (int64_t)s->gemm->mr; }

static bool ring_init(own_state *s)
{
    const pi_window *w = &s->p.w;
    s->step = w->in[2] < SHORT ? pi_divide_up(PIXELS, w->in[2]) : 1;
    s->step = pi_min_i64(s->step, w->in[1]);
    s->ring = s->p.span[0] + s->step - 1;
    s->wide = (w->out[2] - 1) * w->stride[2] + s->p.span[1];
    if (s->wide < w->pad[2] + w->in[2]) s->wide = w->pad[2] + w->in[2];
    return pi_mul((size_t)s->wide, s->gemm->nr * sizeof(float), &s->ring_bytes) && pi_mul(s->ring_bytes, (size_t)s->ring, &s->ring_bytes);
}

/* As few bands as keep all threads busy: the rows that two of them need are made twice. Shares whose rings stay in the cache. */
static void cut(own_state *s, int threads)
{
    const pi_window *w = &s->p.w;
    int64_t units, fits = s->fip ? (int64_t)(pi_cpu_cache(2) / 2 / s->ring_bytes) : 1;
    s->panels = pi_divide_up(s->p.mid, (int64_t)s->gemm->nr);
    s->shares = pi_divide_up(s->panels, fits > 0 ? fits : 1);
    if (s->panels % threads == 0 && s->shares % threads != 0) s->shares = pi_min_i64(s->panels, s->shares * threads);
    s->share = pi_divide_up(s->panels, s->shares);
    units = s->shares * w->batch;
    s->bands = units >= 8 * threads || units % threads == 0 ? 1 : threads;
    s->bands = pi_min_i64(s->bands, pi_divide_up(w->out[1], 8));
    s->band = pi_divide_up(w->out[1], s->bands);
    s->bands = pi_divide_up(w->out[1], s->band);
}

static bool lay_out(own_state *s)
{
    const pi_window *w = &s->p.w;
    int64_t pixels = w->in[2] * s->step, tiles = pi_divide_up(pixels, PI_FIP_ROWS);
    size_t line, copies, rings;
    s->copy = pi_divide_up(w->channels, PI_FIP_BLOCK) * PI_FIP_BLOCK;
    if (!pi_mul(s->ring_bytes, (size_t)s->share, &rings) || !pi_add(rings, 63, &s->line_at) ||
        !pi_mul((size_t)pi_max_i64(w->out[2], pixels), s->gemm->nr * sizeof(float), &line) ||
        !pi_add(s->line_at &= ~(size_t)63, line + 63, &s->copies_at) ||
        !pi_mul(s->fip ? (size_t)(tiles * PI_FIP_ROWS) : 0, (size_t)s->copy * sizeof(float), &copies) ||
        !pi_add(s->copies_at &= ~(size_t)63, copies, &s->tables_at) ||
        !pi_add(s->tables_at, s->fip ? (size_t)tiles * sizeof(pi_fip_rows) : 0, &s->rows_at) ||
        !pi_mul((size_t)w->kernel[1], sizeof(float *), &s->scratch) || !pi_add(s->scratch, s->rows_at, &s->scratch) ||
        !pi_add(s->scratch, 63, &s->scratch))
        return false;
    s->scratch &= ~(size_t)63;
    return true;
}

static pi_status prepare(pi_prep *prep, const pi_fip_kernels *fip, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(init(&s->p, prep->node, prep->in, err));
    s->gemm = pi_igemm();
    s->fip = fip;
    bool fits = ring_init(s);
    if (fits) cut(s, prep->threads);
    if (!fits || !lay_out(s) || !pi_mul(s->scratch, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the rows have more bytes than can be addressed");
    s->first = pi_act_bounds(s->p.first, &s->first_low, &s->first_high);
    s->last = pi_act_bounds(s->p.last, &s->last_low, &s->last_high);
    prep->flops = flops(&s->p);
    pi_conv_pack_shape one = {1, s->p.mid, s->p.w.channels, 1, (int64_t)s->gemm->nr};
    pi_conv_pack_shape two = {s->p.mid, 1, 1, s->p.w.kernel[1] * s->p.w.kernel[2], 0};
    PI_TRY(pi_conv_pack(prep, W1, &one, &s->w1, err));
    s->minus = pi_fip_minus(1, s->panels, one.in, one.nr, 0, s->w1);
    return pi_conv_pack(prep, W2, &two, &s->w2, err);
}

static pi_status own_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, NULL, err); }

static pi_status fip_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, pi_fip(), err); }

/* Rows of Y of an image, for a share of the panels. */
typedef struct {
    const own_state *s;
    const pi_call *call;
    const float *x;         /* of the image */
    int64_t panel, panels;  /* the first, and how many */
    float *rings, *line, *copies;
    pi_fip_rows *tables;
    const float **row;
} band_task;

static float *ring_of(const band_task *t, int64_t panel)
{
    return t->rings + (size_t)(panel - t->panel) * (t->s->ring_bytes / sizeof(float));
}

/* Channels of a panel. */
static int64_t width(const own_state *s, int64_t panel)
{
    return pi_min_i64((int64_t)s->gemm->nr, s->p.mid - panel * (int64_t)s->gemm->nr);
}

/* Pixels of a tile of so many: alike, so that none is left with few. */
static int64_t tile_of(const own_state *s, int64_t pixels) { return pi_divide_up(pixels, pi_divide_up(pixels, rows_of_tile(s))); }

static void copy_pixels(const band_task *t, const float *x, int64_t pixels)
{
    const own_state *s = t->s;
    int64_t c = s->p.w.channels, tile = tile_of(s, pixels), tiles = pi_divide_up(pixels, tile);
    const float square = pi_fip_square(s->panels, c, (int64_t)s->fip->nr, s->p.mid, s->minus), *row[PI_FIP_ROWS];
    for (int64_t i = 0; i < tiles; i++) {
        int64_t m = pi_min_i64(tile, pixels - i * tile);
        for (int64_t k = 0; k < m; k++) row[k] = x + (i * tile + k) * c;
        s->fip->rows((size_t)m, (size_t)c, row, square, t->copies + i * PI_FIP_ROWS * s->copy, &t->tables[i]);
    }
}

/* Pixels, one after the other, of a panel of the image between. */
static void expand(const band_task *t, int64_t panel, const float *x, int64_t pixels, float *to)
{
    enum { MOST = 16 };
    const own_state *s = t->s;
    int64_t tile = tile_of(s, pixels), c = s->p.w.channels, first = panel * (int64_t)s->gemm->nr, n = width(s, panel);
    const float *bias = floats(t->call, B1), *row[MOST];
    pi_igemm_end end = {bias ? bias + first : NULL, NULL, s->first_low, s->first_high};
    for (int64_t i = 0; i < pixels; i += tile) {
        int64_t m = pi_min_i64(tile, pixels - i);
        if (s->fip) {
            s->fip->tile((size_t)m, (size_t)n, (size_t)c, t->copies + i / tile * PI_FIP_ROWS * s->copy, &t->tables[i / tile],
                         s->w1 + first * c, s->minus + first, &end, to + i * n, (size_t)n, NULL, 0);
            continue;
        }
        for (int64_t k = 0; k < m; k++) row[k] = x + (i + k) * c;
        s->gemm->tile((size_t)m, (size_t)n, 1, (size_t)c, row, s->w1 + first * c, &end, to + i * n, (size_t)n);
    }
    if (s->first.kind != PI_ACT_NONE) pi_eltwise()->act_f32(s->first, (size_t)(pixels * n), to, to);
}

/* Rows [begin, end) of a panel of the image between into its ring, with zeros for the padding left and right. */
static void panel_rows(const band_task *t, int64_t panel, const float *x, int64_t begin, int64_t end)
{
    const own_state *s = t->s;
    const pi_window *w = &s->p.w;
    int64_t n = width(s, panel), left = w->pad[2] * n, row = w->in[2] * n, right = s->wide * n - left - row;
    if (end - begin > 1) expand(t, panel, x, (end - begin) * w->in[2], t->line);
    for (int64_t h = begin; h < end; h++) {
        float *to = ring_of(t, panel) + h % s->ring * s->wide * n;
        memset(to, 0, (size_t)left * sizeof(float));
        if (end - begin > 1)
            memcpy(to + left, t->line + (h - begin) * row, (size_t)row * sizeof(float));
        else
            expand(t, panel, x, w->in[2], to + left);
        memset(to + left + row, 0, (size_t)right * sizeof(float));
    }
}

static void make_rows(const band_task *t, int64_t begin, int64_t end)
{
    const pi_window *w = &t->s->p.w;
    const float *x = t->x + begin * w->in[2] * w->channels;
    if (t->s->fip) copy_pixels(t, x, (end - begin) * w->in[2]);
    for (int64_t panel = t->panel; panel < t->panel + t->panels; panel++) panel_rows(t, panel, x, begin, end);
}

/* A panel of row o of Y, at y, from its ring. */
static void finish_row(const band_task *t, int64_t panel, int64_t o, float *y)
{
    const own_state *s = t->s;
    const pi_window *w = &s->p.w;
    int64_t n = width(s, panel), first = panel * (int64_t)s->gemm->nr, top = o * w->stride[1] - w->pad[1];
    const float *bias = floats(t->call, B2);
    bool late = s->last.kind != PI_ACT_NONE;
    pi_dwconv_row d = {.n = (size_t)n, .x_step = (size_t)n, .y_step = (size_t)(late ? n : s->p.mid), .w_step = (size_t)s->p.mid,
                       .kh = (size_t)w->kernel[1], .kw = (size_t)w->kernel[2], .stride = (size_t)w->stride[2],
                       .dilation = (size_t)w->dilation[2], .in = (size_t)s->wide,
                       .out = (size_t)w->out[2], .w = s->w2 + first, .bias = bias ? bias + first : NULL,
                       .low = s->last_low, .high = s->last_high};
    for (int64_t r = 0; r < w->kernel[1]; r++) {
        int64_t h = top + r * w->dilation[1];
        t->row[r] = h < 0 || h >= w->in[1] ? NULL : ring_of(t, panel) + h % s->ring * s->wide * n;
    }
    y += first;
    pi_dwconv()->row(&d, t->row, late ? t->line : y);
    if (!late) return;
    pi_eltwise()->act_f32(s->last, (size_t)(w->out[2] * n), t->line, t->line);
    for (int64_t i = 0; i < w->out[2]; i++) memcpy(y + i * s->p.mid, t->line + i * n, (size_t)n * sizeof(float));
}

/* Rows [begin, end) of Y of image b. */
static void band(const band_task *t, int64_t b, int64_t begin, int64_t end)
{
    const own_state *s = t->s;
    const pi_window *w = &s->p.w;
    int64_t from = begin * w->stride[1] - w->pad[1], to = (end - 1) * w->stride[1] - w->pad[1] + s->p.span[0];
    if (from < 0) from = 0;
    if (to > w->in[1]) to = w->in[1];
    int64_t made = from;
    for (int64_t o = begin; o < end && !pi_cancelled(t->call); o++) {
        int64_t need = pi_min_i64(to, o * w->stride[1] - w->pad[1] + s->p.span[0]);
        if (made < need && need < made + s->step) need = pi_min_i64(to, made + s->step);
        for (int64_t next; made < need; made = next) {
            next = pi_min_i64(need, made + s->step);
            make_rows(t, made, next);
        }
        float *y = (float *)t->call->out[0]->data + (b * w->out[1] + o) * w->out[2] * s->p.mid;
        for (int64_t panel = t->panel; panel < t->panel + t->panels; panel++) finish_row(t, panel, o, y);
    }
}

/* A chunk is a range of (image, band, share). */
static void chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const pi_window *w = &s->p.w;
    char *mine = (char *)call->scratch + (size_t)thread * s->scratch;
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t share = u % s->shares, row = u / s->shares % s->bands * s->band, b = u / s->shares / s->bands;
        int64_t panel = share * s->panels / s->shares, panels = (share + 1) * s->panels / s->shares - panel;
        const band_task t = {s, call, floats(call, X) + b * w->in[1] * w->in[2] * w->channels, panel, panels, (float *)(void *)mine,
                             (float *)(void *)(mine + s->line_at), (float *)(void *)(mine + s->copies_at),
                             (pi_fip_rows *)(void *)(mine + s->tables_at), (const float **)(void *)(mine + s->rows_at)};
        band(&t, b, row, pi_min_i64(row + s->band, w->out[1]));
    }
}

static pi_status own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->p.w.batch * s->bands * s->shares, 1, chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl impls[] = {{"fip", fip_refuse, fip_prepare, own_run, PI_INEXACT},
                                {"own", own_refuse, own_prepare, own_run, 0},
                                {"ref", NULL, ref_prepare, ref_run, 0},
                                {0}};
static const pi_attr_def attrs[] = {
    {"auto_pad", PI_ATTR_STRING, false, 0, 0, "NOTSET"}, {"dilations", PI_ATTR_INTS, false, 0, 0, NULL},
    {"kernel_shape", PI_ATTR_INTS, false, 0, 0, NULL},   {"pads", PI_ATTR_INTS, false, 0, 0, NULL},
    {"strides", PI_ATTR_INTS, false, 0, 0, NULL},        {"act", PI_ATTR_INT, false, 0, 0, NULL},
    {"act_a", PI_ATTR_FLOAT, false, 0, 0, NULL},         {"act_b", PI_ATTR_FLOAT, false, 0, 0, NULL},
    {"mid_act", PI_ATTR_INT, false, 0, 0, NULL},         {"mid_a", PI_ATTR_FLOAT, false, 0, 0, NULL},
    {"mid_b", PI_ATTR_FLOAT, false, 0, 0, NULL},         {0}};

static const pi_op rows[] = {
    {.domain = "pyinfer", .name = "ConvDepthwise", .since = 1, .signature = "X:T W1:T B1?:T W2:T B2?:T -> Y:T",
     .T = PI_BIT(F32), .attrs = attrs, .infer = infer, .impls = impls},
};
const pi_op_family pi_ops_conv_depthwise = {rows, PI_COUNT(rows)};
