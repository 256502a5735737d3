/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and transposed convolutions through oneDNN, against loops in double. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/cpu.h"
#include "base/size.h"
#include "base/threads.h"
#include "check.h"
#include "onednn/onednn.h"

static uint32_t seed = 1;
static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 24) * 2 - 1;
}
static float *random_floats(int64_t n)
{
    float *x = pi_alloc(NULL, (size_t)n * sizeof(float), NULL);
    for (int64_t i = 0; i < n; i++) x[i] = noise();
    return x;
}

typedef struct {
    int64_t d[4]; /* c and three spatial dims */
    int64_t n;
    bool last;
} image;

static int64_t size_of(const image *m) { return m->n * m->d[0] * m->d[1] * m->d[2] * m->d[3]; }
static int64_t at(const image *m, int64_t n, int64_t c, int64_t x, int64_t y, int64_t z)
{
    return m->last ? (((n * m->d[1] + x) * m->d[2] + y) * m->d[3] + z) * m->d[0] + c
                   : (((n * m->d[0] + c) * m->d[1] + x) * m->d[2] + y) * m->d[3] + z;
}
static image image_of(const pi_dnnl_conv *c, bool src)
{
    const int64_t *s = src ? c->in : c->out;
    image m = {.n = c->n, .last = src ? c->src_last : c->dst_last, .d = {src ? c->ic : c->oc, 1, 1, 1}};
    for (int i = 0; i < c->spatial; i++) m.d[1 + i] = s[i];
    return m;
}

static float finish(const pi_dnnl_epilogue *end, double x, float residual)
{
    float y = (float)x;
    if (end->act_first) y = pi_act_apply(end->act, y);
    if (end->residual != PI_DNNL_NO_RESIDUAL) y += residual;
    return end->act_first ? y : pi_act_apply(end->act, y);
}

/* acc[dst place] += products; one loop serves both directions: small is the side that steps by one. */
static void naive(const pi_dnnl_conv *c, const float *src, const float *w, const float *bias, const float *residual, float *dst)
{
    image s = image_of(c, true), d = image_of(c, false);
    const image *small = c->transposed ? &s : &d, *big = c->transposed ? &d : &s;
    int64_t k[3] = {1, 1, 1}, st[3] = {1, 1, 1}, di[3] = {1, 1, 1}, pb[3] = {0, 0, 0};
    for (int i = 0; i < c->spatial; i++) k[i] = c->kernel[i], st[i] = c->stride[i], di[i] = c->dilation[i], pb[i] = c->pad_begin[i];
    int64_t icg = c->ic / c->groups, ocg = c->oc / c->groups, count = size_of(&d);
    double *acc = calloc((size_t)count, sizeof *acc);
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t o = 0; o < c->oc; o++)
            for (int64_t i = 0; i < icg; i++)
                for (int64_t x = 0; x < small->d[1]; x++)
                    for (int64_t y = 0; y < small->d[2]; y++)
                        for (int64_t z = 0; z < small->d[3]; z++)
                            for (int64_t kx = 0; kx < k[0]; kx++)
                                for (int64_t ky = 0; ky < k[1]; ky++)
                                    for (int64_t kz = 0; kz < k[2]; kz++) {
                                        int64_t bx = x * st[0] - pb[0] + kx * di[0], by = y * st[1] - pb[1] + ky * di[1],
                                                bz = z * st[2] - pb[2] + kz * di[2];
                                        if (bx < 0 || by < 0 || bz < 0 || bx >= big->d[1] || by >= big->d[2] || bz >= big->d[3])
                                            continue;
                                        int64_t ci = o / ocg * icg + i, kk = (kx * k[1] + ky) * k[2] + kz, kn = k[0] * k[1] * k[2];
                                        int64_t ws = c->transposed ? at(&s, n, ci, x, y, z) : at(&s, n, ci, bx, by, bz);
                                        int64_t ds = c->transposed ? at(&d, n, o, bx, by, bz) : at(&d, n, o, x, y, z);
                                        int64_t wi = c->transposed ? (ci * ocg + o % ocg) * kn + kk : (o * icg + i) * kn + kk;
                                        acc[ds] += (double)src[ws] * (double)w[wi];
                                    }
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t o = 0; o < c->oc; o++)
            for (int64_t x = 0; x < d.d[1]; x++)
                for (int64_t y = 0; y < d.d[2]; y++)
                    for (int64_t z = 0; z < d.d[3]; z++) {
                        int64_t p = at(&d, n, o, x, y, z);
                        dst[p] = finish(&c->end, acc[p] + (c->bias ? (double)bias[o] : 0), residual[p]);
                    }
    free(acc);
}

static void outputs(pi_dnnl_conv *c, const int64_t *more)
{
    for (int i = 0; i < c->spatial; i++) {
        int64_t reach = (c->kernel[i] - 1) * c->dilation[i] + 1, pads = c->pad_begin[i] + c->pad_end[i];
        c->out[i] = c->transposed ? (c->in[i] - 1) * c->stride[i] + reach - pads + more[i]
                                  : (c->in[i] + pads - reach) / c->stride[i] + 1;
    }
}

static int64_t wrong(const float *got, const float *want, int64_t n)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-5f * (1 + fabsf(want[i])))) bad++;
    return bad;
}

typedef struct {
    pi_dnnl *object;
    pi_dnnl_args args;
    const float *residual, *want;
    int64_t count, bad;
    int threads, times;
    bool sum;
} job;

static void *run_job(void *arg)
{
    job *j = arg;
    pi_threads_state saved;
    pi_threads_enter(j->threads, &saved);
    for (int i = 0; i < j->times; i++) {
        if (j->sum) memcpy(j->args.dst, j->residual, (size_t)j->count * sizeof(float));
        pi_error err;
        if (pi_dnnl_run(j->object, &j->args, &err) != PI_E_OK) j->bad++;
        j->bad += wrong(j->args.dst, j->want, j->count);
    }
    pi_threads_leave(&saved);
    return NULL;
}

/* One description with a number of threads; then twice at the same time. */
static void try_conv(pi_dnnl_conv c, int threads, bool must)
{
    image s = image_of(&c, true), d = image_of(&c, false);
    int64_t kn = 1;
    for (int i = 0; i < c.spatial; i++) kn *= c.kernel[i];
    pi_error err = {0};
    pi_dnnl *object = NULL;
    pi_status st = pi_dnnl_conv_new(&object, &c, threads, &err);
    const char *why = pi_dnnl_conv_refuse(&c, threads);
    CHECK((why == NULL) == (st == PI_E_OK));
    CHECK(st == PI_E_OK || (!must && st == PI_E_UNSUPPORTED && !object));
    if (st != PI_E_OK) {
        if (must) fprintf(stderr, "%s\n", err.text);
        return;
    }
    if (getenv("VERBOSE")) printf("%s\n", pi_dnnl_impl_name(object));
    float *src = random_floats(size_of(&s)), *w = random_floats(c.oc * c.ic / c.groups * kn), *bias = random_floats(c.oc);
    float *residual = random_floats(size_of(&d)), *want = random_floats(size_of(&d));
    naive(&c, src, w, bias, residual, want);

    pi_dnnl_weights_info info;
    pi_dnnl_weights(object, &info);
    CHECK(info.bytes >= (size_t)(c.oc * c.ic / c.groups * kn) * 4 && info.key_bytes > 0);
    void *packed = pi_alloc(NULL, info.bytes, NULL);
    CHECK(pi_dnnl_pack(object, w, packed, &err) == PI_E_OK);
    if (info.as_is) CHECK(memcmp(packed, w, info.bytes) == 0);

    job jobs[2];
    for (int i = 0; i < 2; i++)
        jobs[i] = (job){.object = object, .residual = residual, .want = want, .count = size_of(&d), .threads = threads,
                        .times = i ? 5 : 1, .sum = c.end.residual == PI_DNNL_SUM,
                        .args = {.src = src, .weights = packed, .bias = bias, .residual = residual,
                                 .dst = random_floats(size_of(&d)), .scratch = pi_alloc(NULL, pi_dnnl_scratch(object), NULL)}};
    run_job(&jobs[0]);
    CHECK(jobs[0].bad == 0);
    if (jobs[0].bad)
        fprintf(stderr, "%s: %lld of %lld wrong\n", pi_dnnl_impl_name(object), (long long)jobs[0].bad, (long long)size_of(&d));
    static int made; /* many are also run twice at the same time: from two threads, or inside a parallel region */
    jobs[0].times = 5;
    if (made++ % 3 == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run_job, &jobs[0]) == 0);
        run_job(&jobs[1]);
        pthread_join(thread, NULL);
    } else if (made % 3 == 0) {
#pragma omp parallel for num_threads(2)
        for (int i = 0; i < 2; i++) run_job(&jobs[i]);
    }
    CHECK(jobs[0].bad == 0 && jobs[1].bad == 0);
    for (int i = 0; i < 2; i++) pi_free(jobs[i].args.dst), pi_free(jobs[i].args.scratch);
    void *all[] = {src, w, bias, residual, want, packed};
    for (size_t i = 0; i < PI_COUNT(all); i++) pi_free(all[i]);
    pi_dnnl_free(object);
}

typedef struct {
    int spatial;
    bool transposed;
    int64_t n, ic, oc, groups, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3], more[3];
} shape;

static pi_dnnl_conv conv_of(const shape *s)
{
    pi_dnnl_conv c = {.spatial = s->spatial, .transposed = s->transposed, .src_type = PI_DTYPE_F32, .weights_type = PI_DTYPE_F32,
                      .dst_type = PI_DTYPE_F32, .src_last = true, .dst_last = true, .n = s->n, .ic = s->ic, .oc = s->oc,
                      .groups = s->groups, .bias = true};
    memcpy(c.in, s->in, sizeof c.in);
    memcpy(c.kernel, s->kernel, sizeof c.kernel);
    memcpy(c.stride, s->stride, sizeof c.stride);
    memcpy(c.dilation, s->dilation, sizeof c.dilation);
    memcpy(c.pad_begin, s->begin, sizeof c.pad_begin);
    memcpy(c.pad_end, s->end, sizeof c.pad_end);
    outputs(&c, s->more);
    return c;
}

static const shape shapes[] = {
    {2, 0, 1, 3, 16, 1, {13, 11}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 0, 2, 16, 32, 1, {7, 9}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}},
    {2, 0, 1, 17, 19, 1, {9, 10}, {3, 2}, {1, 2}, {1, 1}, {0, 1}, {2, 0}, {0}},
    {2, 0, 1, 32, 32, 32, {9, 10}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 0, 2, 23, 23, 23, {12, 7}, {5, 3}, {2, 1}, {1, 1}, {2, 0}, {1, 2}, {0}},
    {2, 0, 1, 16, 16, 1, {15, 14}, {3, 3}, {1, 1}, {2, 3}, {2, 3}, {2, 3}, {0}},
    {2, 0, 1, 12, 18, 3, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 0, 1, 64, 64, 4, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 0, 1, 1, 1, 1, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 0, 1, 8, 5, 1, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}},
    {1, 0, 2, 10, 12, 1, {31}, {5}, {2}, {1}, {2}, {1}, {0}},
    {1, 0, 1, 16, 16, 16, {31}, {7}, {1}, {1}, {3}, {3}, {0}},
    {1, 0, 1, 16, 16, 1, {40}, {3}, {1}, {9}, {9}, {9}, {0}},
    {3, 0, 1, 4, 8, 1, {5, 6, 7}, {3, 2, 3}, {1, 1, 2}, {1, 1, 1}, {1, 0, 1}, {1, 1, 0}, {0}},
    {2, 1, 1, 16, 8, 1, {5, 6}, {2, 2}, {2, 2}, {1, 1}, {0}, {0}, {0}},
    {2, 1, 2, 7, 9, 1, {5, 4}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {2, 1, 1, 8, 8, 1, {5, 4}, {3, 4}, {1, 3}, {2, 1}, {0, 1}, {1, 0}, {0, 2}},
    {2, 1, 1, 12, 18, 3, {5, 4}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 1, 1, 8, 8, 1, {5, 4}, {2, 2}, {3, 3}, {1, 1}, {0, 0}, {0, 0}, {2, 1}},
    {1, 1, 1, 16, 8, 1, {9}, {4}, {2}, {1}, {1}, {1}, {0}},
    {3, 1, 1, 4, 6, 1, {3, 4, 3}, {2, 3, 2}, {2, 1, 2}, {1, 1, 1}, {0}, {0}, {0}},
};

static void test_shapes(void)
{
    for (size_t i = 0; i < PI_COUNT(shapes); i++)
        for (int layout = 0; layout < 4; layout++)
            for (int threads = 1; threads <= 2; threads++) {
                pi_dnnl_conv c = conv_of(&shapes[i]);
                c.src_last = layout & 1;
                c.dst_last = layout >> 1;
                c.bias = threads == 2;
                c.end.act.kind = PI_ACT_RELU;
                if (getenv("VERBOSE")) printf("shape %d layout %d threads %d: ", (int)i, layout, threads);
                try_conv(c, threads, layout == 3);
            }
    /* the same transposed ones with just the padding that gives the outputs: below 0 where more was asked for */
    for (size_t i = 0; i < PI_COUNT(shapes); i++) {
        pi_dnnl_conv c = conv_of(&shapes[i]);
        for (int d = 0; d < c.spatial; d++) c.pad_end[d] -= shapes[i].more[d];
        if (c.transposed) try_conv(c, 2, true);
    }
    pi_dnnl_conv c = conv_of(&shapes[0]); /* the last column is read by nothing */
    c.pad_end[1] = -1;
    c.out[1] = 5;
    try_conv(c, 1, true);
}

static const pi_act acts[] = {
    {PI_ACT_NONE, 0, 0},         {PI_ACT_RELU, 0, 0},         {PI_ACT_LEAKY_RELU, .1f, 0}, {PI_ACT_CLIP, -.25f, .75f},
    {PI_ACT_SIGMOID, 0, 0},      {PI_ACT_TANH, 0, 0},         {PI_ACT_SILU, 1, 0},         {PI_ACT_SILU, 1.702f, 0},
    {PI_ACT_HARD_SIGMOID, .2f, .5f}, {PI_ACT_HARD_SWISH, 0, 0}, {PI_ACT_ELU, .7f, 0},      {PI_ACT_GELU_ERF, 0, 0},
    {PI_ACT_GELU_TANH, 0, 0},    {PI_ACT_MISH, 0, 0},
};

static void test_epilogues(void)
{
    static const int some[] = {1, 2, 3, 10, 14}; /* 1x1, odd, depthwise, 1-d, transposed */
    for (size_t i = 0; i < PI_COUNT(some); i++)
        for (size_t a = 0; a < PI_COUNT(acts); a++)
            for (int residual = PI_DNNL_NO_RESIDUAL; residual <= PI_DNNL_ADD; residual++)
                for (int first = 0; first <= (residual != PI_DNNL_NO_RESIDUAL); first++) {
                    pi_dnnl_conv c = conv_of(&shapes[some[i]]);
                    c.end = (pi_dnnl_epilogue){(pi_dnnl_residual)residual, acts[a], first};
                    if (getenv("VERBOSE"))
                        printf("shape %d %s residual %d first %d: ", some[i], pi_act_name(acts[a].kind), residual, first);
                    try_conv(c, 1 + (int)(a & 1), residual != PI_DNNL_SUM || pi_cpu_has(PI_CPU_AVX512));
                }
}

/* Every implementation that oneDNN offers computes the same. */
static void test_all_implementations(void)
{
    for (size_t i = 0; i < PI_COUNT(shapes); i++)
        for (int impl = 1; impl < 8; impl++) {
            pi_dnnl_conv c = conv_of(&shapes[i]);
            c.impl = impl;
            if (getenv("VERBOSE")) printf("shape %d impl %d: ", (int)i, impl);
            try_conv(c, 2, false);
        }
}

static void test_keys(void)
{
    pi_dnnl_conv a = conv_of(&shapes[1]), b = a, other = conv_of(&shapes[2]);
    b.n = 5;
    b.end.act.kind = PI_ACT_RELU;
    pi_dnnl *x = NULL, *y = NULL, *z = NULL;
    pi_error err;
    CHECK(pi_dnnl_conv_new(&x, &a, 1, &err) == PI_E_OK);
    CHECK(pi_dnnl_conv_new(&y, &b, 1, &err) == PI_E_OK);
    CHECK(pi_dnnl_conv_new(&z, &other, 1, &err) == PI_E_OK);
    pi_dnnl_weights_info p, q, r;
    pi_dnnl_weights(x, &p);
    pi_dnnl_weights(y, &q);
    pi_dnnl_weights(z, &r);
    CHECK(p.key_bytes == q.key_bytes && memcmp(p.key, q.key, p.key_bytes) == 0);
    CHECK(p.key_bytes != r.key_bytes || memcmp(p.key, r.key, p.key_bytes) != 0);
    pi_dnnl_free(x);
    pi_dnnl_free(y);
    pi_dnnl_free(z);
}

static void test_refusals(void)
{
    pi_dnnl_conv good = conv_of(&shapes[1]), c;
    pi_dnnl *object = (pi_dnnl *)&good;
    pi_error err;
    CHECK(pi_dnnl_conv_refuse(&good, 1) == NULL);
#define REFUSED(change)                                                         \
    c = good;                                                                   \
    change;                                                                     \
    CHECK(pi_dnnl_conv_refuse(&c, 1) != NULL);                                  \
    CHECK(pi_dnnl_conv_new(&object, &c, 1, &err) == PI_E_UNSUPPORTED && !object)
    REFUSED(c.groups = 0);
    REFUSED(c.groups = 3);
    REFUSED(c.spatial = 0);
    REFUSED(c.spatial = 4);
    REFUSED(c.n = 0);
    REFUSED(c.ic = -16);
    REFUSED(c.ic = INT64_MAX / 2);
    REFUSED(c.in[0] = INT64_MAX);
    REFUSED(c.in[0] = 1 << 30);
    REFUSED(c.out[0] = 3);
    REFUSED(c.stride[1] = 0);
    REFUSED(c.dilation[1] = 0);
    REFUSED(c.pad_begin[0] = -1);
    REFUSED(c.src_type = PI_DTYPE_STRING);
    REFUSED(c.end.act.kind = PI_ACT_COUNT);
    REFUSED(c.impl = 100);
    pi_dnnl_free(NULL);
    CHECK(pi_dnnl_conv_new(&object, &good, 1, &err) == PI_E_OK);
    pi_dnnl_args none = {0};
    CHECK(pi_dnnl_run(object, &none, &err) == PI_E_INTERNAL);
    pi_dnnl_free(object);
    pi_alloc_fail_at(1);
    CHECK(pi_dnnl_conv_new(&object, &good, 1, &err) == PI_E_NOMEM && !object);
    pi_alloc_fail_at(0);
}

int main(void)
{
    const char *why = NULL;
    char text[5000];
    pi_dnnl_describe(text, sizeof text);
    if (!pi_dnnl_available(&why)) {
        printf("%s\n", why);
        CHECK(why && strcmp(why, text) == 0);
        return CHECK_DONE(); /* a build without oneDNN: test_onednn_absent has the rest */
    }
    CHECK(why == NULL);
    test_shapes();
    test_epilogues();
    test_all_implementations();
    test_keys();
    test_refusals();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
