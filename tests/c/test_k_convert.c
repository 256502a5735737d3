/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions of each instruction set against base/half.h: all codes, every 97th float, ends of vectors. */
#include "base/half.h"
#include "check.h"
#include "kernel_check.h"
#include "kernels/convert/convert.h"

static const struct {
    pi_isa isa;
    const pi_convert_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/convert/kernels.inc"
#undef X
};

static bool same_half(uint16_t a, uint16_t b, uint16_t nan_above)
{
    return a == b || ((a & 0x7fff) > nan_above && (b & 0x7fff) > nan_above);
}

static void all_codes(const pi_convert_kernels *k)
{
    enum { N = 65536 };
    uint16_t *x = guarded(N * sizeof *x);
    float *y = guarded(N * sizeof *y);
    bool good = true;
    for (size_t i = 0; i < N; i++) x[i] = (uint16_t)i;
    k->f16_to_f32(N, x, y);
    for (size_t i = 0; i < N; i++) good = good && same(y[i], pi_f16_to_float((uint16_t)i));
    CHECK(good);
    k->bf16_to_f32(N, x, y);
    for (size_t i = 0; i < N; i++) good = good && same(y[i], pi_bf16_to_float((uint16_t)i));
    CHECK(good);
}

static void floats(const pi_convert_kernels *k)
{
    enum { N = 4096 };
    static float x[N];
    static uint16_t y[N];
    bool f16 = true, bf16 = true;
    uint32_t bits = 0;
    for (size_t round = 0; round < 10807; round++) {
        for (size_t i = 0; i < N; i++, bits += 97) x[i] = from_bits(bits);
        k->f32_to_f16(N, x, y);
        for (size_t i = 0; i < N; i++) f16 = f16 && same_half(y[i], pi_float_to_f16(x[i]), 0x7c00);
        k->f32_to_bf16(N, x, y);
        for (size_t i = 0; i < N; i++) bf16 = bf16 && same_half(y[i], pi_float_to_bf16(x[i]), 0x7f80);
    }
    CHECK(f16);
    CHECK(bf16);
}

static void ends(const pi_convert_kernels *k, size_t n)
{
    float *f = guarded(n * sizeof *f);
    uint16_t *h = guarded(n * sizeof *h);
    uint8_t *u = guarded(n);
    int8_t *s = guarded(n);
    bool good = true;
    for (size_t i = 0; i < n; i++) f[i] = (float)i - 3;
    k->f32_to_f16(n, f, h);
    k->f16_to_f32(n, h, f);
    for (size_t i = 0; i < n; i++) good = good && f[i] == (float)i - 3;
    k->f32_to_bf16(n, f, h);
    k->bf16_to_f32(n, h, f);
    for (size_t i = 0; i < n; i++) {
        good = good && f[i] == (float)i - 3;
        u[i] = (uint8_t)(200 + i);
        s[i] = (int8_t)(i % 128 - 64);
    }
    k->u8_to_f32(n, u, f);
    for (size_t i = 0; i < n; i++) good = good && f[i] == (float)u[i];
    k->i8_to_f32(n, s, f);
    for (size_t i = 0; i < n; i++) good = good && f[i] == (float)s[i];
    CHECK(good);
}

static void integers(const pi_convert_kernels *k)
{
    static const int64_t some[] = {0, 1, -1, INT32_MAX, INT32_MIN, 1ll << 31, -(1ll << 31) - 1, (1ll << 54) + (1ll << 30) + 1,
                                   -(1ll << 62) - (1ll << 38) - 1, INT64_MAX, INT64_MIN, 16777217, 0x7fffffbf, 1ll << 32};
    static const float floats[] = {0, -0.0f, 0.9f, -0.9f, 3e9f, -3e9f, 0x1p31f, -0x1p31f, 0x1p63f, -0x1p63f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN};
    enum { N = sizeof some / sizeof *some, F = sizeof floats / sizeof *floats };
    bool good = true;
    for (size_t n = 1; n < 50; n++) {
        int64_t *x = guarded(n * sizeof *x);
        float *y = guarded(n * sizeof *y);
        for (size_t i = 0; i < n; i++) x[i] = i < n / 2 ? (int64_t)i - 9 : some[(i + n) % N]; /* vectors of either kind */
        k->i64_to_f32(n, x, y);
        for (size_t i = 0; i < n; i++) good = good && same(y[i], (float)x[i]);
        for (size_t i = 0; i < n; i++) y[i] = i < n / 2 ? (float)i - 8.5f : floats[(i + n) % F];
        k->f32_to_i64(n, y, x);
        for (size_t i = 0; i < n; i++)
            good = good && x[i] == (y[i] >= 0x1p63f ? INT64_MAX : y[i] < -0x1p63f ? INT64_MIN : y[i] == y[i] ? (int64_t)y[i] : 0);
    }
    CHECK(good);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        all_codes(tables[t].k);
        floats(tables[t].k);
        integers(tables[t].k);
        for (size_t u = 0; u < UGLY_COUNT; u++) ends(tables[t].k, ugly[u]);
    }
    return CHECK_DONE();
}
