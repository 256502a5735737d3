/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products through oneDNN, against loops in double. */
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

static uint32_t seed = 7;
static float *random_floats(int64_t n)
{
    float *x = pi_alloc(NULL, (size_t)n * sizeof(float), NULL);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (float)(1 << 24) * 2 - 1;
    }
    return x;
}

/* Elements from the first to the last that an operand touches. */
static int64_t span(const pi_dnnl_matmul *d, const pi_dnnl_strides *s, int64_t rows, int64_t cols)
{
    int64_t n = 1 + (rows - 1) * s->row + (cols - 1) * s->col;
    for (int i = 0; i < d->batch_rank; i++) n += (d->batch[i] - 1) * s->batch[i];
    return n;
}

static void naive(const pi_dnnl_matmul *d, const float *a, const float *b, const float *bias, const float *residual, float *c)
{
    int64_t all = 1;
    for (int i = 0; i < d->batch_rank; i++) all *= d->batch[i];
    for (int64_t x = 0; x < all; x++) {
        int64_t rest = x, pa = 0, pb = 0, pc = 0;
        for (int i = d->batch_rank - 1; i >= 0; i--) {
            int64_t at = rest % d->batch[i];
            rest /= d->batch[i];
            pa += at * d->a.batch[i];
            pb += at * d->b.batch[i];
            pc += at * d->c.batch[i];
        }
        for (int64_t i = 0; i < d->m; i++)
            for (int64_t j = 0; j < d->n; j++) {
                double sum = 0;
                for (int64_t l = 0; l < d->k; l++)
                    sum += (double)a[pa + i * d->a.row + l * d->a.col] * (double)b[pb + l * d->b.row + j * d->b.col];
                int64_t p = pc + i * d->c.row + j * d->c.col;
                float y = (float)(sum * (double)(d->alpha == 0 ? 1 : d->alpha) + (d->bias ? (double)bias[j] : 0));
                if (d->end.act_first) y = pi_act_apply(d->end.act, y);
                if (d->end.residual != PI_DNNL_NO_RESIDUAL) y += residual[p];
                c[p] = d->end.act_first ? y : pi_act_apply(d->end.act, y);
            }
    }
}

typedef struct {
    pi_dnnl *object;
    pi_dnnl_args args;
    const float *before, *want;
    int64_t count, bad;
    int threads, times;
    float *got;
} job;

static void *run_job(void *arg)
{
    job *j = arg;
    pi_threads_state saved;
    pi_threads_enter(j->threads, &saved);
    for (int t = 0; t < j->times; t++) {
        memcpy(j->got, j->before, (size_t)j->count * sizeof(float));
        if (pi_dnnl_run(j->object, &j->args, NULL) != PI_E_OK) j->bad++;
        for (int64_t i = 0; i < j->count; i++)
            if (!(fabsf(j->got[i] - j->want[i]) <= 2e-5f * (1 + fabsf(j->want[i])))) j->bad++;
    }
    pi_threads_leave(&saved);
    return NULL;
}

/* What lies between the elements of c is not touched: `want` starts as a copy of what is there before. */
static void try_matmul(const pi_dnnl_matmul *d, int threads, bool must)
{
    pi_error err = {0};
    pi_dnnl *object = NULL;
    pi_status st = pi_dnnl_matmul_new(&object, d, threads, &err);
    const char *why = pi_dnnl_matmul_refuse(d, threads);
    CHECK((why == NULL) == (st == PI_E_OK));
    CHECK(st == PI_E_OK || (!must && st == PI_E_UNSUPPORTED && !object));
    if (getenv("VERBOSE")) printf("%s\n", object ? pi_dnnl_impl_name(object) : err.text);
    if (st != PI_E_OK) return;
    int64_t na = span(d, &d->a, d->m, d->k), nb = span(d, &d->b, d->k, d->n), nc = span(d, &d->c, d->m, d->n);
    float *a = random_floats(na), *b = random_floats(nb), *bias = random_floats(d->n), *before = random_floats(nc);
    float *want = random_floats(nc);
    memcpy(want, before, (size_t)nc * sizeof(float));
    naive(d, a, b, bias, before, want);
    void *packed = NULL;
    if (d->b_const) {
        pi_dnnl_weights_info info;
        pi_dnnl_weights(object, &info);
        packed = pi_alloc(NULL, info.bytes, NULL);
        CHECK(pi_dnnl_pack(object, b, packed, &err) == PI_E_OK);
    }
    job jobs[2];
    for (int i = 0; i < 2; i++) {
        jobs[i] = (job){.object = object, .before = before, .want = want, .count = nc, .threads = threads, .times = i ? 5 : 1,
                        .got = random_floats(nc),
                        .args = {.src = a, .weights = packed ? packed : b, .bias = bias, .residual = before,
                                 .scratch = pi_alloc(NULL, pi_dnnl_scratch(object), NULL)}};
        jobs[i].args.dst = jobs[i].got;
    }
    run_job(&jobs[0]);
    CHECK(jobs[0].bad == 0);
    if (jobs[0].bad) fprintf(stderr, "%s: %lld of %lld wrong\n", pi_dnnl_impl_name(object), (long long)jobs[0].bad, (long long)nc);
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
    for (int i = 0; i < 2; i++) pi_free(jobs[i].got), pi_free(jobs[i].args.scratch);
    void *all[] = {a, b, bias, before, want, packed};
    for (size_t i = 0; i < PI_COUNT(all); i++) pi_free(all[i]);
    pi_dnnl_free(object);
}

static pi_dnnl_matmul dense(int rank, const int64_t *batch, int64_t m, int64_t n, int64_t k)
{
    pi_dnnl_matmul d = {.batch_rank = rank, .m = m, .n = n, .k = k, .a_type = PI_DTYPE_F32, .b_type = PI_DTYPE_F32,
                        .c_type = PI_DTYPE_F32};
    for (int i = 0; i < rank; i++) d.batch[i] = batch[i];
    pi_dnnl_dense(&d.a, rank, batch, m, k);
    pi_dnnl_dense(&d.b, rank, batch, k, n);
    pi_dnnl_dense(&d.c, rank, batch, m, n);
    return d;
}

static void transpose(pi_dnnl_strides *s, int64_t rows)
{
    s->row = 1;
    s->col = rows;
}

static const int64_t sizes[][3] = {{1, 1, 1},    {1, 17, 9},  {5, 1, 3},    {3, 4, 1},     {7, 16, 33},
                                   {16, 16, 16}, {31, 65, 7}, {128, 48, 64}, {2, 100, 200}, {1, 200, 128}};

static void test_plain(void)
{
    for (size_t i = 0; i < PI_COUNT(sizes); i++)
        for (int how = 0; how < 8; how++)
            for (int threads = 1; threads <= 2; threads++) {
                pi_dnnl_matmul d = dense(0, NULL, sizes[i][0], sizes[i][1], sizes[i][2]);
                if (how & 1) transpose(&d.a, d.m);
                if (how & 2) transpose(&d.b, d.k);
                d.b_const = how & 4;
                d.bias = threads == 2;
                if (getenv("VERBOSE")) printf("plain %d how %d: ", (int)i, how);
                try_matmul(&d, threads, true);
            }
}

static void test_batches(void)
{
    const int64_t batch[3] = {2, 3, 2};
    for (size_t i = 0; i < PI_COUNT(sizes); i++)
        for (int rank = 1; rank <= 3; rank++)
            for (int how = 0; how < 16; how++) {
                pi_dnnl_matmul d = dense(rank, batch, sizes[i][0], sizes[i][1], sizes[i][2]);
                if (how & 1) transpose(&d.b, d.k);
                if (how & 2) memset(d.b.batch, 0, sizeof d.b.batch); /* the same for all: folds into rows */
                if ((how & 6) == 4) d.a.batch[0] = 0;
                if (how & 8) d.b_const = true;
                d.bias = how & 1;
                if (getenv("VERBOSE")) printf("batch rank %d size %d how %d: ", rank, (int)i, how);
                try_matmul(&d, 1 + (how & 1), true);
            }
}

/* Attention: q, k, v are slices of one projection [tokens][3][heads][size]; the result is [tokens][heads][size]. */
static void test_heads(void)
{
    const int64_t t = 19, heads = 3, size = 8, n = 2, step = 3 * heads * size;
    const int64_t batch[2] = {n, heads};
    pi_dnnl_matmul scores = dense(2, batch, t, t, size);
    scores.a = (pi_dnnl_strides){{t * step, size}, step, 1};
    scores.b = (pi_dnnl_strides){{t * step, size}, 1, step};
    scores.alpha = .125f;
    if (getenv("VERBOSE")) printf("scores: ");
    try_matmul(&scores, 2, true);
    pi_dnnl_matmul context = dense(2, batch, t, size, t);
    context.b = (pi_dnnl_strides){{t * step, size}, step, 1};
    context.c = (pi_dnnl_strides){{t * heads * size, size}, heads * size, 1};
    if (getenv("VERBOSE")) printf("context: ");
    try_matmul(&context, 2, true);
    context.batch_rank = 1; /* one sample */
    context.batch[0] = heads;
    context.a.batch[0] = context.a.batch[1];
    context.b.batch[0] = context.b.batch[1];
    context.c.batch[0] = context.c.batch[1];
    if (getenv("VERBOSE")) printf("context 1: ");
    try_matmul(&context, 1, true);
}

/* Rows that are further apart than they are long: parts of larger matrices. */
static void test_parts(void)
{
    for (int how = 0; how < 16; how++) {
        pi_dnnl_matmul d = dense(0, NULL, 13, 21, 34);
        if (how & 1) d.a.row += 5;
        if (how & 2) d.b.row += 3;
        if (how & 4) d.c.row += 7;
        d.b_const = how & 8;
        d.bias = true;
        if (getenv("VERBOSE")) printf("part %d: ", how);
        try_matmul(&d, 2, true);
    }
}

static const pi_act acts[] = {
    {PI_ACT_NONE, 0, 0},  {PI_ACT_RELU, 0, 0}, {PI_ACT_LEAKY_RELU, .1f, 0},     {PI_ACT_CLIP, -.25f, .75f}, {PI_ACT_SIGMOID, 0, 0},
    {PI_ACT_TANH, 0, 0},  {PI_ACT_SILU, 1, 0}, {PI_ACT_HARD_SIGMOID, .2f, .5f}, {PI_ACT_HARD_SWISH, 0, 0},  {PI_ACT_ELU, .7f, 0},
    {PI_ACT_GELU_ERF, 0, 0}, {PI_ACT_GELU_TANH, 0, 0}, {PI_ACT_MISH, 0, 0},
};

static void test_epilogues(void)
{
    const int64_t batch[1] = {2};
    for (int rank = 0; rank <= 1; rank++)
        for (size_t a = 0; a < PI_COUNT(acts); a++)
            for (int residual = PI_DNNL_NO_RESIDUAL; residual <= PI_DNNL_ADD; residual++)
                for (int first = 0; first <= (residual != PI_DNNL_NO_RESIDUAL); first++)
                    for (int how = 0; how < 4; how++) {
                        pi_dnnl_matmul d = dense(rank, batch, 9, 21, 30);
                        d.b_const = !rank;
                        d.bias = how & 1;
                        d.alpha = how & 2 ? -.4f : 1;
                        d.end = (pi_dnnl_epilogue){(pi_dnnl_residual)residual, acts[a], first};
                        if (getenv("VERBOSE")) printf("end rank %d residual %d first %d how %d: ", rank, residual, first, how);
                        bool must = residual != PI_DNNL_SUM || pi_cpu_has(PI_CPU_AVX512) || !(first || d.alpha != 1);
                        try_matmul(&d, 1 + (int)(a & 1), must);
                    }
}

static void test_all_implementations(void)
{
    const int64_t batch[1] = {3};
    for (int rank = 0; rank <= 1; rank++)
        for (int impl = 1; impl < 8; impl++) {
            pi_dnnl_matmul d = dense(rank, batch, 31, 65, 17);
            d.impl = impl;
            d.bias = true;
            if (getenv("VERBOSE")) printf("rank %d impl %d: ", rank, impl);
            try_matmul(&d, 2, false);
        }
}

/* The same bytes read in two ways are not packed to the same: the key tells. */
static void test_keys(void)
{
    pi_dnnl_matmul a = dense(0, NULL, 4, 16, 16), b = a, rows = a;
    a.b_const = b.b_const = rows.b_const = true;
    transpose(&b.b, b.k);
    rows.m = 5;
    pi_dnnl *x = NULL, *y = NULL, *z = NULL;
    CHECK(pi_dnnl_matmul_new(&x, &a, 1, NULL) == PI_E_OK);
    CHECK(pi_dnnl_matmul_new(&y, &b, 1, NULL) == PI_E_OK);
    CHECK(pi_dnnl_matmul_new(&z, &rows, 1, NULL) == PI_E_OK);
    pi_dnnl_weights_info p, q, r;
    pi_dnnl_weights(x, &p);
    pi_dnnl_weights(y, &q);
    pi_dnnl_weights(z, &r);
    CHECK(p.key_bytes == q.key_bytes && memcmp(p.key, q.key, p.key_bytes) != 0);
    CHECK(p.key_bytes == r.key_bytes && memcmp(p.key, r.key, p.key_bytes) == 0);
    pi_dnnl_free(x);
    pi_dnnl_free(y);
    pi_dnnl_free(z);
}

static void test_refusals(void)
{
    const int64_t batch[2] = {2, 3};
    pi_dnnl_matmul good = dense(2, batch, 4, 5, 6), d;
    pi_dnnl *object = (pi_dnnl *)&good;
    pi_error err;
    CHECK(pi_dnnl_matmul_refuse(&good, 1) == NULL);
#define REFUSED(change)                                                           \
    d = good;                                                                     \
    change;                                                                       \
    CHECK(pi_dnnl_matmul_refuse(&d, 1) != NULL);                                  \
    CHECK(pi_dnnl_matmul_new(&object, &d, 1, &err) == PI_E_UNSUPPORTED && !object)
    REFUSED(d.m = 0);
    REFUSED(d.n = -1);
    REFUSED(d.k = INT64_MAX);
    REFUSED(d.batch_rank = 9);
    REFUSED(d.batch_rank = -1);
    REFUSED(d.batch[0] = 0);
    REFUSED(d.batch[1] = INT64_MAX / 2);
    REFUSED(d.a.row = INT64_MAX / 2);
    REFUSED(d.b.batch[0] = INT64_MAX / 2);
    REFUSED(d.b.col = -1);
    REFUSED(d.c.batch[1] = 0);
    REFUSED(d.a.batch[1] = d.b.batch[1] = 0);
    REFUSED(d.a_type = PI_DTYPE_C64);
    REFUSED(d.end.act.kind = PI_ACT_COUNT);
    REFUSED(d.impl = 100);
}

int main(void)
{
    if (!pi_dnnl_available(NULL)) return CHECK_DONE();
    test_plain();
    test_batches();
    test_heads();
    test_parts();
    test_epilogues();
    test_all_implementations();
    test_keys();
    test_refusals();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
