/* SPDX-License-Identifier: Apache-2.0 */
/* Small tables and functions of base: activations, errors, element types, checked sizes, the CPU. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/act.h"
#include "base/cpu.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/size.h"
#include "check.h"

/* The formula of act.inc in long double, in a form without cancellation where that is known. */
static long double formula(pi_act act, long double x)
{
    long double a = (long double)act.a, b = (long double)act.b, r;
    switch (act.kind) {
    case PI_ACT_RELU: return x > 0 ? x : 0;
    case PI_ACT_LEAKY_RELU: return x < 0 ? a * x : x;
    case PI_ACT_CLIP: return fminl(fmaxl(x, a), b);
    case PI_ACT_SIGMOID: return 1 / (1 + expl(-x));
    case PI_ACT_TANH: return tanhl(x);
    case PI_ACT_SILU: return x / (1 + expl(-a * x));
    case PI_ACT_HARD_SIGMOID: return fminl(fmaxl(a * x + b, 0), 1);
    case PI_ACT_HARD_SWISH: return x * fminl(fmaxl(x / 6 + 0.5L, 0), 1);
    case PI_ACT_ELU: return x < 0 ? a * expm1l(x) : x;
    case PI_ACT_SELU: return b * (x < 0 ? a * expm1l(x) : x);
    case PI_ACT_GELU_ERF: return x / 2 * erfcl(-x / sqrtl(2));
    case PI_ACT_GELU_TANH:
        r = sqrtl(2 / 3.14159265358979323846264338327950288L) * (x + 0.044715L * x * x * x);
        return x / (1 + expl(-2 * r));
    case PI_ACT_MISH: return x * tanhl(log1pl(expl(x)));
    default: return x;
    }
}

static void test_act(void)
{
    for (int kind = 0; kind < PI_ACT_COUNT; kind++) {
        pi_act act = {(pi_act_kind)kind, 0.2f, 0.5f};
        if (kind == PI_ACT_SILU) act.a = 1.702f;
        int wrong = 0;
        for (float x = -30; x < 30; x += 0.0037f) {
            long double expected = formula(act, (long double)x);
            long double error = fabsl((long double)pi_act_apply(act, x) - expected);
            wrong += error > fabsl(expected) * 0x1p-23L + 0x1p-149L;
        }
        if (wrong) fprintf(stderr, "%s: ", pi_act_name(act.kind));
        CHECK(wrong == 0);
        CHECK(isnan(pi_act_apply(act, NAN)));
        CHECK(strlen(pi_act_name(act.kind)) > 2);
    }
    CHECK(strcmp(pi_act_name(PI_ACT_GELU_ERF), "gelu") == 0 && strcmp(pi_act_name(PI_ACT_COUNT), "?") == 0);
    CHECK(pi_act_apply((pi_act){PI_ACT_CLIP, 3, 1}, 0) == 1); /* ONNX: with min > max everything is max */
    CHECK(pi_act_apply((pi_act){PI_ACT_CLIP, 3, 1}, 9) == 1);
    CHECK(pi_act_apply((pi_act){PI_ACT_RELU, 0, 0}, INFINITY) == INFINITY);
    CHECK(pi_act_apply((pi_act){PI_ACT_RELU, 0, 0}, -INFINITY) == 0);
    CHECK(pi_act_apply((pi_act){PI_ACT_SIGMOID, 0, 0}, -INFINITY) == 0 && pi_act_apply((pi_act){PI_ACT_SIGMOID, 0, 0}, INFINITY) == 1);
    CHECK(pi_act_apply((pi_act){PI_ACT_MISH, 0, 0}, 1e30f) == 1e30f);
    CHECK(pi_act_apply((pi_act){PI_ACT_ELU, 1, 0}, -INFINITY) == -1);
}

static void test_error(void)
{
    pi_error err = {0};
    CHECK(pi_fail(&err, PI_E_MODEL, "axis %d out of range", 7) == PI_E_MODEL && strcmp(err.text, "axis 7 out of range") == 0);
    pi_error_prefix(&err, "Conv '%s': ", "c1");
    pi_error_append(&err, " (%d)", 3);
    CHECK(strcmp(err.text, "Conv 'c1': axis 7 out of range (3)") == 0 && err.code == PI_E_MODEL);
    char many[5000];
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    for (int i = 0; i < 3; i++) {
        pi_error_prefix(&err, "%s", many);
        pi_error_append(&err, "%s", many);
        CHECK(strlen(err.text) == sizeof err.text - 1);
    }
    CHECK(pi_fail(&err, PI_E_FILE, "%s", many) == PI_E_FILE && strlen(err.text) == sizeof err.text - 1);
    CHECK(pi_fail(NULL, PI_E_INPUT, "x") == PI_E_INPUT);
    pi_error_prefix(NULL, "x");
    pi_error_append(NULL, "x");
    CHECK(strcmp(pi_status_exception(PI_E_MODEL), "ModelError") == 0 && strlen(pi_status_meaning(PI_E_INTERNAL)) > 10);
}

static void test_dtype(void)
{
    int known = 0;
    for (int64_t id = -5; id < 300; id++) {
        pi_dtype d = pi_dtype_from_id(id);
        if (d == PI_DTYPE_NONE) continue;
        known++;
        const char *name = pi_dtype_name(d);
        CHECK((int64_t)d == id && pi_dtype_find(name, strlen(name)) == d);
        CHECK(pi_dtype_size(d) > 0 && pi_dtype_bits(d) <= 8 * pi_dtype_size(d) && strlen(pi_dtype_numpy(d)) > 3);
    }
    CHECK(known == 28);
    CHECK(pi_dtype_from_id(INT64_MIN) == PI_DTYPE_NONE && pi_dtype_from_id(INT64_MAX) == PI_DTYPE_NONE);
    CHECK(pi_dtype_from_id(1ll << 32 | 1) == PI_DTYPE_NONE);
    CHECK(strcmp(pi_dtype_name((pi_dtype)999), "?") == 0 && pi_dtype_size((pi_dtype)-1) == 0);
    CHECK(pi_dtype_find("f3", 2) == PI_DTYPE_NONE && pi_dtype_find("f32x", 3) == PI_DTYPE_F32);
    CHECK(pi_dtype_in(PI_DTYPE_BF16, PI_FLOATS) && !pi_dtype_in(PI_DTYPE_I8, PI_FLOATS) && pi_dtype_in(PI_DTYPE_I2, PI_ANY));
}

static void test_size(void)
{
    static const size_t edge[] = {0, 1, 2, 3, 63, 64, (size_t)1 << 31, ((size_t)1 << 31) + 1, (size_t)1 << 32, (size_t)1 << 62,
                                  SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < PI_COUNT(edge); i++)
        for (size_t k = 0; k < PI_COUNT(edge); k++) {
            size_t a = edge[i], b = edge[k], out;
            CHECK(pi_mul(a, b, &out) == (a == 0 || b <= SIZE_MAX / a));
            CHECK(pi_add(a, b, &out) == (b <= SIZE_MAX - a));
        }
    int64_t out;
    CHECK(!pi_mul_i64(INT64_MIN, -1, &out) && !pi_add_i64(INT64_MAX, 1, &out) && pi_mul_i64(-3, 4, &out) && out == -12);
    CHECK(pi_min_i64(-1, 2) == -1 && pi_max_i64(-1, 2) == 2);
}

static void test_cpu(void)
{
    char text[200], cut[5] = "....";
    bool had = pi_cpu_has(PI_CPU_AVX2);
    CHECK(pi_cpu_has(PI_CPU_ANY));
    CHECK(!pi_cpu_has(PI_CPU_AVX512_VNNI) || (pi_cpu_has(PI_CPU_AVX512) && pi_cpu_has(PI_CPU_AVX2)));
    pi_cpu_features(text, sizeof text);
    CHECK(!had || strstr(text, "avx2"));
    pi_cpu_features(cut, sizeof cut);
    CHECK(strlen(cut) <= 4);
    pi_cpu_limit(PI_CPU_ANY);
    CHECK(pi_cpu_has(PI_CPU_ANY) && !pi_cpu_has(PI_CPU_AVX2) && !pi_cpu_has(PI_CPU_AVX512));
    pi_cpu_features(text, sizeof text);
    CHECK(strstr(text, "limited to any"));
    pi_cpu_limit(PI_CPU_AVX2);
    CHECK(pi_cpu_has(PI_CPU_AVX2) == had && !pi_cpu_has(PI_CPU_AVX512));
    pi_cpu_limit(PI_CPU_AVX512_BF16);
    CHECK(strcmp(pi_isa_name(PI_CPU_AVX512), "avx512") == 0 && strcmp(pi_isa_name((pi_isa)99), "?") == 0);
    CHECK(pi_cpu_cache(0) == 0 && pi_cpu_cache(4) == 0);
    CHECK(pi_cpu_cache(1) >= 8 << 10 && pi_cpu_cache(1) <= 1 << 20);
    CHECK(pi_cpu_cache(2) >= pi_cpu_cache(1) && pi_cpu_cache(3) > 0);
}

int main(void)
{
    test_act();
    test_error();
    test_dtype();
    test_size();
    test_cpu();
    return CHECK_DONE();
}
