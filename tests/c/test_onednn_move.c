/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling and reorders through oneDNN, against loops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/size.h"
#include "base/threads.h"
#include "check.h"
#include "onednn/onednn.h"

static uint32_t seed = 3;
static float *random_floats(int64_t n)
{
    float *x = pi_alloc(NULL, (size_t)n * sizeof(float), NULL);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (float)(1 << 24) * 2 - 1;
    }
    return x;
}

static void run(pi_dnnl *object, const void *src, void *dst, int threads)
{
    pi_threads_state saved;
    pi_error err;
    void *scratch = pi_alloc(NULL, pi_dnnl_scratch(object), NULL);
    const pi_dnnl_args args = {.src = src, .dst = dst, .scratch = scratch};
    pi_threads_enter(threads, &saved);
    CHECK(pi_dnnl_run(object, &args, &err) == PI_E_OK);
    pi_threads_leave(&saved);
    pi_free(scratch);
}

/* ---- pooling ---- */

static int64_t at(bool last, int64_t channels, const int64_t *d, int64_t n, int64_t c, const int64_t *p)
{
    return last ? (((n * d[0] + p[0]) * d[1] + p[1]) * d[2] + p[2]) * channels + c
                : (((n * channels + c) * d[0] + p[0]) * d[1] + p[1]) * d[2] + p[2];
}

static float window(const pi_dnnl_pool *q, const float *src, const int64_t *in, const int64_t *k, int64_t n, int64_t c,
                    const int64_t *o)
{
    double sum = 0;
    float max = -INFINITY;
    int64_t inside = 0, w[3], p[3];
    for (w[0] = 0; w[0] < k[0]; w[0]++)
        for (w[1] = 0; w[1] < k[1]; w[1]++)
            for (w[2] = 0; w[2] < k[2]; w[2]++) {
                bool out = false;
                for (int i = 0; i < 3; i++) {
                    p[i] = i < q->spatial ? o[i] * q->stride[i] - q->pad_begin[i] + w[i] * q->dilation[i] : 0;
                    if (p[i] < 0 || p[i] >= in[i]) out = true;
                }
                if (out) continue;
                float x = src[at(q->src_last, q->c, in, n, c, p)];
                inside++;
                sum += (double)x;
                if (x > max) max = x;
            }
    if (q->kind == PI_DNNL_POOL_MAX) return max;
    return (float)(sum / (double)(q->kind == PI_DNNL_POOL_AVG ? inside : k[0] * k[1] * k[2]));
}

static void try_pool(const pi_dnnl_pool *q, int threads, bool must)
{
    pi_error err = {0};
    pi_dnnl *object = NULL;
    pi_status st = pi_dnnl_pool_new(&object, q, threads, &err);
    CHECK((pi_dnnl_pool_refuse(q, threads) == NULL) == (st == PI_E_OK));
    CHECK(st == PI_E_OK || (!must && st == PI_E_UNSUPPORTED && !object));
    if (getenv("VERBOSE")) printf("%s\n", object ? pi_dnnl_impl_name(object) : err.text);
    if (st != PI_E_OK) return;
    int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, k[3] = {1, 1, 1};
    for (int i = 0; i < q->spatial; i++) in[i] = q->in[i], out[i] = q->out[i], k[i] = q->kernel[i];
    int64_t outs = q->n * q->c * out[0] * out[1] * out[2], bad = 0, o[3];
    float *src = random_floats(q->n * q->c * in[0] * in[1] * in[2]), *got = random_floats(outs);
    run(object, src, got, threads);
    for (int64_t n = 0; n < q->n; n++)
        for (int64_t c = 0; c < q->c; c++)
            for (o[0] = 0; o[0] < out[0]; o[0]++)
                for (o[1] = 0; o[1] < out[1]; o[1]++)
                    for (o[2] = 0; o[2] < out[2]; o[2]++) {
                        float want = window(q, src, in, k, n, c, o);
                        if (!(fabsf(got[at(q->dst_last, q->c, out, n, c, o)] - want) <= 1e-6f)) bad++;
                    }
    CHECK(bad == 0);
    if (bad) fprintf(stderr, "%s: %lld of %lld wrong\n", pi_dnnl_impl_name(object), (long long)bad, (long long)outs);
    pi_free(src);
    pi_free(got);
    pi_dnnl_free(object);
}

/* spatial, n, c, in, kernel, stride, dilation, begin, end, more: outputs beyond the floor (ceil_mode) */
typedef struct {
    int spatial;
    int64_t n, c, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3], more[3];
} pool_case;
static const pool_case pools[] = {
    {2, 1, 16, {12, 13}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {2, 2, 19, {7, 9}, {2, 3}, {1, 2}, {1, 1}, {0, 1}, {1, 2}, {0}},
    {2, 1, 7, {8, 8}, {3, 3}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, {1, 1}},
    {2, 1, 33, {7, 7}, {7, 7}, {1, 1}, {1, 1}, {0}, {0}, {0}},
    {2, 1, 16, {9, 11}, {2, 3}, {1, 1}, {2, 3}, {1, 2}, {0, 3}, {0}},
    {1, 2, 5, {17}, {4}, {3}, {1}, {1}, {2}, {0}},
    {3, 1, 18, {5, 6, 4}, {2, 3, 2}, {2, 1, 2}, {1, 1, 1}, {0, 1, 0}, {1, 1, 0}, {0}},
};

static void test_pools(void)
{
    for (size_t i = 0; i < PI_COUNT(pools); i++)
        for (int kind = PI_DNNL_POOL_MAX; kind <= PI_DNNL_POOL_AVG_PAD; kind++)
            for (int layout = 0; layout < 4; layout++) {
                const pool_case *p = &pools[i];
                pi_dnnl_pool q = {.spatial = p->spatial, .kind = (pi_dnnl_pool_kind)kind, .type = PI_DTYPE_F32,
                                  .src_last = layout & 1, .dst_last = layout >> 1, .n = p->n, .c = p->c};
                memcpy(q.in, p->in, sizeof q.in);
                memcpy(q.kernel, p->kernel, sizeof q.kernel);
                memcpy(q.stride, p->stride, sizeof q.stride);
                memcpy(q.dilation, p->dilation, sizeof q.dilation);
                memcpy(q.pad_begin, p->begin, sizeof q.pad_begin);
                memcpy(q.pad_end, p->end, sizeof q.pad_end);
                for (int d = 0; d < q.spatial; d++)
                    q.out[d] = (q.in[d] + q.pad_begin[d] + q.pad_end[d] - (q.kernel[d] - 1) * q.dilation[d] - 1) / q.stride[d] +
                               1 + p->more[d];
                if (getenv("VERBOSE")) printf("pool %d kind %d layout %d: ", (int)i, kind, layout);
                bool dilated = q.dilation[0] > 1, beyond = p->more[0] > 0;
                try_pool(&q, 1 + (layout & 1), layout == 3 && !dilated && !(beyond && kind == PI_DNNL_POOL_AVG_PAD));
            }
}

/* ---- reorders ---- */

static void try_copy(int rank, const int64_t *dim, const int64_t *from, const int64_t *to, int threads)
{
    pi_dnnl_reorder r = {.rank = rank, .src_type = PI_DTYPE_F32, .dst_type = PI_DTYPE_F32};
    int64_t ns = 1, nd = 1, all = 1, bad = 0;
    for (int i = 0; i < rank; i++) {
        r.dim[i] = dim[i];
        r.src_stride[i] = from[i];
        r.dst_stride[i] = to[i];
        ns += (dim[i] - 1) * from[i];
        nd += (dim[i] - 1) * to[i];
        all *= dim[i];
    }
    pi_error err;
    pi_dnnl *object = NULL;
    pi_status st = pi_dnnl_reorder_new(&object, &r, threads, &err);
    CHECK(st == PI_E_OK && !pi_dnnl_reorder_refuse(&r, threads));
    if (getenv("VERBOSE")) printf("reorder: %s\n", object ? pi_dnnl_impl_name(object) : err.text);
    if (st != PI_E_OK) return;
    float *src = random_floats(ns), *got = random_floats(nd), *want = random_floats(nd);
    memcpy(want, got, (size_t)nd * sizeof(float));
    for (int64_t x = 0; x < all; x++) {
        int64_t rest = x, a = 0, b = 0;
        for (int i = rank - 1; i >= 0; i--) {
            a += rest % dim[i] * from[i];
            b += rest % dim[i] * to[i];
            rest /= dim[i];
        }
        want[b] = src[a];
    }
    run(object, src, got, threads);
    for (int64_t i = 0; i < nd; i++)
        if (got[i] != want[i]) bad++;
    CHECK(bad == 0);
    pi_free(src);
    pi_free(got);
    pi_free(want);
    pi_dnnl_free(object);
}

static void test_reorders(void)
{
    const int64_t image[4] = {2, 19, 7, 9}, plain[4] = {19 * 63, 63, 9, 1}, last[4] = {19 * 63, 1, 19 * 9, 19};
    const int64_t wide[4] = {23 * 63, 1, 23 * 9, 23}; /* a part of the channels of something wider */
    for (int threads = 1; threads <= 2; threads++) {
        try_copy(4, image, plain, last, threads);
        try_copy(4, image, last, plain, threads);
        try_copy(4, image, plain, plain, threads);
        try_copy(4, image, plain, wide, threads);
        try_copy(4, image, wide, plain, threads);
        try_copy(1, (const int64_t[]){37}, (const int64_t[]){1}, (const int64_t[]){3}, threads);
        try_copy(2, (const int64_t[]){31, 33}, (const int64_t[]){33, 1}, (const int64_t[]){1, 31}, threads);
        try_copy(6, (const int64_t[]){2, 3, 4, 2, 3, 2}, (const int64_t[]){144, 48, 12, 6, 2, 1},
                 (const int64_t[]){1, 2, 6, 24, 48, 144}, threads);
    }
}

/* bf16 keeps the upper half of an f32; rounded to the nearest, so what bf16 can hold comes back unchanged. */
static void test_conversion(void)
{
    enum { N = 500 };
    pi_dnnl_reorder down = {.rank = 1, .dim = {N}, .src_type = PI_DTYPE_F32, .dst_type = PI_DTYPE_BF16, .src_stride = {1},
                            .dst_stride = {1}};
    pi_dnnl_reorder up = down;
    up.src_type = PI_DTYPE_BF16;
    up.dst_type = PI_DTYPE_F32;
    pi_dnnl *object = NULL;
    pi_error err;
    uint16_t half[N];
    float back[N], *x = random_floats(N);
    CHECK(pi_dnnl_reorder_new(&object, &down, 1, &err) == PI_E_OK);
    if (!object) return;
    run(object, x, half, 1);
    pi_dnnl_free(object);
    CHECK(pi_dnnl_reorder_new(&object, &up, 1, &err) == PI_E_OK);
    if (!object) return;
    run(object, half, back, 1);
    pi_dnnl_free(object);
    int bad = 0;
    for (int i = 0; i < N; i++)
        if (!(fabsf(back[i] - x[i]) <= fabsf(x[i]) / 256)) bad++;
    CHECK(bad == 0);
    pi_free(x);
}

static void test_refusals(void)
{
    const pi_dnnl_reorder good = {.rank = 2, .dim = {3, 4}, .src_type = PI_DTYPE_F32, .dst_type = PI_DTYPE_F32,
                                  .src_stride = {4, 1}, .dst_stride = {1, 3}};
    pi_dnnl_reorder r;
    CHECK(!pi_dnnl_reorder_refuse(&good, 1));
#define REFUSED(change) \
    r = good;           \
    change;             \
    CHECK(pi_dnnl_reorder_refuse(&r, 1))
    REFUSED(r.rank = 0);
    REFUSED(r.rank = 9);
    REFUSED(r.dim[0] = 0);
    REFUSED(r.dim[1] = INT64_MAX);
    REFUSED(r.src_stride[0] = INT64_MAX / 2);
    REFUSED(r.dst_stride[1] = -1);
    REFUSED(r.dst_type = PI_DTYPE_STRING);
    pi_dnnl_pool q = {.spatial = 2, .type = PI_DTYPE_F32, .n = 1, .c = 4, .in = {4, 4}, .kernel = {2, 2}, .out = {3, 3},
                      .stride = {1, 1}, .dilation = {1, 1}};
    CHECK(!pi_dnnl_pool_refuse(&q, 1));
    q.pad_begin[0] = 2; /* a window with nothing in it */
    CHECK(pi_dnnl_pool_refuse(&q, 1));
    q.pad_begin[0] = 0;
    q.kernel[0] = 0;
    CHECK(pi_dnnl_pool_refuse(&q, 1));
}

int main(void)
{
    if (!pi_dnnl_available(NULL)) return CHECK_DONE();
    test_pools();
    test_reorders();
    test_conversion();
    test_refusals();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
