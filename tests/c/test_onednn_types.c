/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products and convolutions in bf16, f16 and 8-bit integers through oneDNN, against loops in double over the very
 * values that the narrow types hold. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/cpu.h"
#include "base/size.h"
#include "base/threads.h"
#include "check.h"
#include "onednn/onednn.h"

static uint32_t seed = 11;
static uint32_t next(void) { return (seed = seed * 1664525u + 1013904223u) >> 8; }

/* A tensor in memory, and the numbers that it means (scale * (stored - zero)). */
typedef struct {
    pi_dtype type;
    int64_t n;
    void *data;
    double *value;
} tensor;

static double read_one(const tensor *t, int64_t i)
{
    switch (t->type) {
        case PI_DTYPE_U8: return ((const uint8_t *)t->data)[i];
        case PI_DTYPE_I8: return ((const int8_t *)t->data)[i];
        case PI_DTYPE_I32: return ((const int32_t *)t->data)[i];
        case PI_DTYPE_F16: {
            uint16_t bits = ((const uint16_t *)t->data)[i];
            int e = bits >> 10 & 31, f = bits & 1023;
            double x = e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
            return bits >> 15 ? -x : x;
        }
        case PI_DTYPE_BF16: {
            uint32_t bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
            float x;
            memcpy(&x, &bits, sizeof x);
            return (double)x;
        }
        default: return (double)((const float *)t->data)[i];
    }
}

static tensor make(pi_dtype type, int64_t n, const float *scale, int64_t scales, int32_t zero)
{
    tensor t = {type, n, pi_alloc(NULL, (size_t)n * 4, NULL), pi_alloc(NULL, (size_t)n * sizeof(double), NULL)};
    for (int64_t i = 0; i < n; i++) {
        float x = (float)next() / (float)(1 << 24) * 2 - 1;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (type == PI_DTYPE_BF16)
            ((uint16_t *)t.data)[i] = (uint16_t)(bits >> 16);
        else if (type == PI_DTYPE_F16) /* any number of size 1/4 to 1 */
            ((uint16_t *)t.data)[i] = (uint16_t)((next() & 0x83ff) | (13u + (next() & 1)) << 10);
        else if (type == PI_DTYPE_F32)
            ((float *)t.data)[i] = x;
        else
            ((uint8_t *)t.data)[i] = (uint8_t)(next() >> 3); /* all 256 of both kinds */
        t.value[i] = (read_one(&t, i) - zero) * (double)(scale ? scale[scales > 1 ? i % scales : 0] : 1);
    }
    return t;
}

static void drop(tensor *t)
{
    pi_free(t->data);
    pi_free(t->value);
}

/* What is stored for y: rounded and saturated. */
static double stored(pi_dtype type, double y, double scale, int32_t zero)
{
    if (type == PI_DTYPE_F32 || type == PI_DTYPE_BF16 || type == PI_DTYPE_F16) return y;
    double q = nearbyint(y / scale) + zero;
    if (type == PI_DTYPE_U8) return fmin(fmax(q, 0), 255);
    if (type == PI_DTYPE_I8) return fmin(fmax(q, -128), 127);
    return q;
}

static double allowed(pi_dtype type, double y)
{
    switch (type) {
        case PI_DTYPE_F32: return 1e-4 * (1 + fabs(y));
        case PI_DTYPE_BF16: return .01 * (.1 + fabs(y));
        case PI_DTYPE_F16: return .002 * (1 + fabs(y));
        case PI_DTYPE_I32: return 0;
        default: return 1; /* a tie may fall to either side */
    }
}

static void compare(const char *name, const tensor *got, const double *want)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < got->n; i++)
        if (!(fabs(read_one(got, i) - want[i]) <= allowed(got->type, want[i]))) bad++;
    CHECK(bad == 0);
    if (bad) fprintf(stderr, "%s: %lld of %lld wrong\n", name, (long long)bad, (long long)got->n);
}

static const float src_scale = .02f, dst_scale = .6f;
static const int32_t src_zero = 117, dst_zero = 30;

typedef struct {
    pi_dtype src, weights, dst;
    bool zero; /* zero points too */
    int needs; /* pi_isa that makes it certain that oneDNN has more than its reference */
} combination;
static const combination combinations[] = {
    {PI_DTYPE_BF16, PI_DTYPE_BF16, PI_DTYPE_BF16, 0, PI_CPU_AVX512_BF16},
    {PI_DTYPE_BF16, PI_DTYPE_BF16, PI_DTYPE_F32, 0, PI_CPU_AVX512_BF16},
    {PI_DTYPE_F16, PI_DTYPE_F16, PI_DTYPE_F16, 0, 99},
    {PI_DTYPE_U8, PI_DTYPE_I8, PI_DTYPE_F32, 1, PI_CPU_AVX512_VNNI},
    {PI_DTYPE_U8, PI_DTYPE_I8, PI_DTYPE_U8, 1, PI_CPU_AVX512_VNNI},
    {PI_DTYPE_U8, PI_DTYPE_I8, PI_DTYPE_I8, 0, PI_CPU_AVX512_VNNI},
    {PI_DTYPE_I8, PI_DTYPE_I8, PI_DTYPE_F32, 0, PI_CPU_AVX512_VNNI},
    {PI_DTYPE_I8, PI_DTYPE_I8, PI_DTYPE_I8, 1, PI_CPU_AVX512_VNNI},
};

static bool is_int(pi_dtype type) { return type == PI_DTYPE_U8 || type == PI_DTYPE_I8; }
static pi_dnnl_quant quant_of(const combination *c, bool per_n)
{
    if (!is_int(c->src)) return (pi_dnnl_quant){0};
    return (pi_dnnl_quant){.src_scale = true, .weights_scale = !per_n, .weights_scale_per_n = per_n, .src_zero = c->zero,
                           .dst_scale = is_int(c->dst), .dst_zero = is_int(c->dst) && c->zero};
}

static void execute(pi_dnnl *object, pi_dnnl_args args, const tensor *weights, int threads)
{
    pi_threads_state saved;
    pi_error err;
    pi_dnnl_weights_info info;
    pi_dnnl_weights(object, &info);
    void *packed = pi_alloc(NULL, info.bytes, NULL), *scratch = pi_alloc(NULL, pi_dnnl_scratch(object), NULL);
    CHECK(pi_dnnl_pack(object, weights->data, packed, &err) == PI_E_OK);
    args.weights = packed;
    args.scratch = scratch;
    args.src_scale = &src_scale;
    args.dst_scale = &dst_scale;
    args.src_zero = &src_zero;
    args.dst_zero = &dst_zero;
    pi_threads_enter(threads, &saved);
    CHECK(pi_dnnl_run(object, &args, &err) == PI_E_OK);
    pi_threads_leave(&saved);
    pi_free(packed);
    pi_free(scratch);
}

/* made: the object or NULL; false: nothing to run, as it may be. */
static bool usable(const char *what, const combination *c, const pi_dnnl *object, const pi_error *err)
{
    if (getenv("VERBOSE"))
        printf("%s %s %s %s: %s\n", what, pi_dtype_name(c->src), pi_dtype_name(c->weights), pi_dtype_name(c->dst),
               object ? pi_dnnl_impl_name(object) : err->text);
    CHECK(object || c->needs == 99 || !pi_cpu_has((pi_isa)c->needs));
    return object != NULL;
}

static float *scales_of(int64_t n)
{
    float *s = pi_alloc(NULL, (size_t)n * sizeof(float), NULL);
    for (int64_t i = 0; i < n; i++) s[i] = .005f + .001f * (float)(next() % 16);
    return s;
}

static void try_matmul(const combination *c, bool per_n, int threads)
{
    enum { M = 13, N = 37, K = 50 };
    pi_dnnl_matmul d = {.m = M, .n = N, .k = K, .a_type = c->src, .b_type = c->weights, .c_type = c->dst, .b_const = true,
                        .bias = true, .end = {.act = {PI_ACT_RELU, 0, 0}}, .quant = quant_of(c, per_n)};
    pi_dnnl_dense(&d.a, 0, NULL, M, K);
    pi_dnnl_dense(&d.b, 0, NULL, K, N);
    pi_dnnl_dense(&d.c, 0, NULL, M, N);
    pi_dnnl *object = NULL;
    pi_error err = {0};
    pi_status st = pi_dnnl_matmul_new(&object, &d, threads, &err);
    CHECK((st == PI_E_OK) == (object != NULL));
    if (!usable("matmul", c, object, &err)) return;
    float *scales = scales_of(N);
    bool q = is_int(c->src);
    tensor a = make(c->src, M * K, q ? &src_scale : NULL, 1, d.quant.src_zero ? src_zero : 0);
    tensor b = make(c->weights, K * N, q ? scales : NULL, per_n ? N : 1, 0);
    tensor bias = make(PI_DTYPE_F32, N, NULL, 1, 0), got = make(c->dst, M * N, NULL, 1, 0);
    double want[M * N];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = bias.value[j];
            for (int l = 0; l < K; l++) sum += a.value[i * K + l] * b.value[l * N + j];
            want[i * N + j] = stored(c->dst, fmax(sum, 0), (double)dst_scale, d.quant.dst_zero ? dst_zero : 0);
        }
    execute(object, (pi_dnnl_args){.src = a.data, .bias = bias.data, .dst = got.data, .weights_scale = scales}, &b, threads);
    compare(pi_dnnl_impl_name(object), &got, want);
    drop(&a), drop(&b), drop(&bias), drop(&got);
    pi_free(scales);
    pi_dnnl_free(object);
}

/* 3x3, padding 1 (with a zero point: what is outside means 0), groups; weights hold their output channel slowest. */
static void try_conv(const combination *c, bool per_n, int64_t groups, int threads)
{
    enum { H = 7, W = 5, IC = 16, OC = 16 };
    pi_dnnl_conv d = {.spatial = 2, .src_type = c->src, .weights_type = c->weights, .dst_type = c->dst, .src_last = true,
                      .dst_last = true, .n = 1, .ic = IC, .oc = OC, .groups = groups, .in = {H, W}, .kernel = {3, 3},
                      .out = {H, W}, .stride = {1, 1}, .dilation = {1, 1}, .pad_begin = {1, 1}, .pad_end = {1, 1},
                      .bias = true, .quant = quant_of(c, per_n)};
    pi_dnnl *object = NULL;
    pi_error err = {0};
    pi_status st = pi_dnnl_conv_new(&object, &d, threads, &err);
    CHECK((st == PI_E_OK) == (object != NULL));
    if (!usable(groups > 1 ? "depthwise" : "conv", c, object, &err)) return;
    const int64_t icg = IC / groups, ocg = OC / groups;
    float *scales = scales_of(OC);
    bool q = is_int(c->src);
    tensor a = make(c->src, H * W * IC, q ? &src_scale : NULL, 1, d.quant.src_zero ? src_zero : 0);
    tensor b = make(c->weights, OC * icg * 9, NULL, 1, 0);
    tensor bias = make(PI_DTYPE_F32, OC, NULL, 1, 0), got = make(c->dst, H * W * OC, NULL, 1, 0);
    double want[H * W * OC];
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int64_t o = 0; o < OC; o++) {
                double sum = 0;
                for (int64_t i = 0; i < icg; i++)
                    for (int64_t ky = 0; ky < 3; ky++)
                        for (int64_t kx = 0; kx < 3; kx++) {
                            int64_t sy = y + ky - 1, sx = x + kx - 1;
                            if (sy < 0 || sx < 0 || sy >= H || sx >= W) continue;
                            sum += a.value[(sy * W + sx) * IC + o / ocg * icg + i] * b.value[((o * icg + i) * 3 + ky) * 3 + kx];
                        }
                sum = sum * (q ? (double)scales[per_n ? o : 0] : 1) + bias.value[o];
                want[(y * W + x) * OC + o] = stored(c->dst, sum, (double)dst_scale, d.quant.dst_zero ? dst_zero : 0);
            }
    execute(object, (pi_dnnl_args){.src = a.data, .bias = bias.data, .dst = got.data, .weights_scale = scales}, &b, threads);
    compare(pi_dnnl_impl_name(object), &got, want);
    drop(&a), drop(&b), drop(&bias), drop(&got);
    pi_free(scales);
    pi_dnnl_free(object);
}

/* MatMulInteger: u8 by i8 to i32, exact. */
static void test_integer(void)
{
    const combination c = {PI_DTYPE_U8, PI_DTYPE_I8, PI_DTYPE_I32, 0, PI_CPU_AVX512_VNNI};
    enum { M = 5, N = 19, K = 33 };
    pi_dnnl_matmul d = {.m = M, .n = N, .k = K, .a_type = c.src, .b_type = c.weights, .c_type = c.dst, .b_const = true,
                        .quant = {.src_zero = true}};
    pi_dnnl_dense(&d.a, 0, NULL, M, K);
    pi_dnnl_dense(&d.b, 0, NULL, K, N);
    pi_dnnl_dense(&d.c, 0, NULL, M, N);
    pi_dnnl *object = NULL;
    pi_error err = {0};
    pi_status st = pi_dnnl_matmul_new(&object, &d, 1, &err);
    CHECK((st == PI_E_OK) == (object != NULL));
    if (!usable("integer", &c, object, &err)) return;
    tensor a = make(c.src, M * K, NULL, 1, src_zero), b = make(c.weights, K * N, NULL, 1, 0), got = {c.dst, M * N, NULL, NULL};
    got.data = pi_alloc(NULL, M * N * 4, NULL);
    double want[M * N];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            want[i * N + j] = 0;
            for (int l = 0; l < K; l++) want[i * N + j] += a.value[i * K + l] * b.value[l * N + j];
        }
    execute(object, (pi_dnnl_args){.src = a.data, .dst = got.data}, &b, 1);
    compare(pi_dnnl_impl_name(object), &got, want);
    drop(&a), drop(&b), drop(&got);
    pi_dnnl_free(object);
}

/* The compensation in packed 8-bit weights depends on the other operand: such packs are not shared. */
static void test_keys(void)
{
    pi_dnnl_matmul d = {.m = 4, .n = 32, .k = 32, .b_type = PI_DTYPE_I8, .c_type = PI_DTYPE_F32, .b_const = true};
    pi_dnnl_dense(&d.a, 0, NULL, 4, 32);
    pi_dnnl_dense(&d.b, 0, NULL, 32, 32);
    pi_dnnl_dense(&d.c, 0, NULL, 4, 32);
    const pi_dtype types[3] = {PI_DTYPE_I8, PI_DTYPE_U8, PI_DTYPE_U8};
    pi_dnnl *object[3] = {NULL, NULL, NULL};
    pi_dnnl_weights_info info[3] = {{0}, {0}, {0}};
    bool all = true;
    for (int i = 0; i < 3; i++) {
        d.a_type = types[i];
        d.quant.src_zero = i == 2;
        all = pi_dnnl_matmul_new(&object[i], &d, 1, NULL) == PI_E_OK && all;
        if (object[i]) pi_dnnl_weights(object[i], &info[i]);
    }
    CHECK(all || !pi_cpu_has(PI_CPU_AVX512_VNNI));
    for (int i = 0; all && i < 3; i++) {
        const int j = (i + 1) % 3;
        CHECK(info[i].key_bytes == info[j].key_bytes && memcmp(info[i].key, info[j].key, info[i].key_bytes) != 0);
    }
    for (int i = 0; i < 3; i++) pi_dnnl_free(object[i]);
}

int main(void)
{
    if (!pi_dnnl_available(NULL)) return CHECK_DONE();
    for (size_t i = 0; i < PI_COUNT(combinations); i++)
        for (int per_n = 0; per_n < 2; per_n++)
            for (int threads = 1; threads <= 2; threads++) {
                try_matmul(&combinations[i], per_n, threads);
                try_conv(&combinations[i], per_n, 1, threads);
                try_conv(&combinations[i], per_n, 16, threads);
            }
    test_integer();
    test_keys();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
