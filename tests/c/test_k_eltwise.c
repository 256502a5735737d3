/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise kernels: each row of kernels.inc against libm, on ugly sizes, in place, and up to a forbidden page. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/eltwise/eltwise.h"

static const struct {
    pi_isa isa;
    const pi_eltwise_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/eltwise/kernels.inc"
#undef X
};
enum { TABLES = sizeof tables / sizeof *tables, MAX = 129 };

/* Inputs for n elements: the special values first. */
static void fill(float *x, size_t n, float scale, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = i % 3 == 0 && i / 3 < SPECIAL_COUNT ? special[i / 3] : random_float(&seed, scale);
}

static double unary_exact(pi_unary kind, double x)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_UNARY_##name: return scalar;
#include "kernels/eltwise/unary.inc"
#undef X
    case PI_UNARY_COUNT: break;
    }
    return NAN;
}

static float binary_exact(pi_binary kind, float a, float b)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_BINARY_##name: return scalar;
#include "kernels/eltwise/binary.inc"
#undef X
    case PI_BINARY_COUNT: break;
    }
    return NAN;
}

static int compare_exact(pi_compare kind, float a, float b)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_COMPARE_##name: return scalar;
#include "kernels/eltwise/compare.inc"
#undef X
    case PI_COMPARE_COUNT: break;
    }
    return -1;
}

/* Near enough for an activation: the error of its parts, relative to x where they cancel. NaN is NaN. */
static int act_near(float got, float want, float x)
{
    if (isnan(x)) return isnan(got);
    if (same(got, want)) return 1;
    return fabsf(got - want) <= 1e-6f * fabsf(want) + 1.2e-7f * fminf(fabsf(x), 8.0f) + 1e-37f;
}

static void unary_and_act(const pi_eltwise_kernels *k)
{
    for (size_t s = 0; s < UGLY_COUNT; s++) {
        size_t n = ugly[s];
        float *x = guarded(n * 4), *y = guarded(n * 4), *z = guarded(n * 4);
        fill(x, n, 6.0f, 17 + (uint32_t)n);
        for (int kind = 0; kind < PI_UNARY_COUNT; kind++) {
            int bad = 0;
            k->unary_f32((pi_unary)kind, n, x, y);
            memcpy(z, x, n * 4);
            k->unary_f32((pi_unary)kind, n, z, z);
            for (size_t i = 0; i < n; i++)
                bad += !(ulp_error(y[i], unary_exact((pi_unary)kind, (double)x[i])) <= 4) + !same(y[i], z[i]);
            CHECK(bad == 0);
        }
        static const pi_act acts[] = {
            {PI_ACT_NONE, 0, 0},       {PI_ACT_RELU, 0, 0},     {PI_ACT_LEAKY_RELU, 0.1f, 0},
            {PI_ACT_CLIP, -1, 2.5f},   {PI_ACT_CLIP, 0, 6},     {PI_ACT_SIGMOID, 0, 0},
            {PI_ACT_TANH, 0, 0},       {PI_ACT_SILU, 1, 0},     {PI_ACT_SILU, 1.702f, 0},
            {PI_ACT_ELU, 1, 0},        {PI_ACT_ELU, 0.7f, 0},   {PI_ACT_SELU, 1.67f, 1.05f},   {PI_ACT_HARD_SIGMOID, 0.2f, 0.5f},
            {PI_ACT_HARD_SWISH, 0, 0}, {PI_ACT_GELU_ERF, 0, 0}, {PI_ACT_GELU_TANH, 0, 0},
            {PI_ACT_MISH, 0, 0},
        };
        for (size_t a = 0; a < sizeof acts / sizeof *acts; a++) {
            int bad = 0;
            k->act_f32(acts[a], n, x, y);
            memcpy(z, x, n * 4);
            k->act_f32(acts[a], n, z, z);
            for (size_t i = 0; i < n; i++)
                bad += !act_near(y[i], pi_act_apply(acts[a], x[i]), x[i]) + !same(y[i], z[i]);
            if (bad)
                fprintf(stderr, "activation %d (%g): n = %zu, %d bad\n", (int)acts[a].kind, (double)acts[a].a, n, bad);
            CHECK(bad == 0);
        }
    }
}

/* All forms of a view on `rows` x n. */
static const struct {
    int row_n, row, elem; /* row stride: row_n * n + row */
} forms[] = {{1, 0, 1}, {0, 0, 1}, {0, 1, 0}, {0, 0, 0}};

static pi_in view(const void *p, size_t n, int form)
{
    return (pi_in){p, forms[form].row_n * (ptrdiff_t)n + forms[form].row, forms[form].elem};
}
static float at(pi_in v, size_t r, size_t i)
{
    return ((const float *)v.p)[(ptrdiff_t)r * v.row + (ptrdiff_t)i * v.elem];
}

static void binary_compare_where(const pi_eltwise_kernels *k)
{
    for (size_t s = 0; s < UGLY_COUNT; s++)
        for (size_t rows = 0; rows <= 3; rows++) {
            size_t n = ugly[s], room = rows * n > 3 ? rows * n : 3;
            float *a = guarded(room * 4), *b = guarded(room * 4), *y = guarded(rows * n * 4);
            uint8_t *c = guarded(room), *m = guarded(rows * n);
            fill(a, room, 3.0f, 5 + (uint32_t)n);
            fill(b, room, 3.0f, 99);
            for (size_t i = 0; i < room; i++) {
                c[i] = (uint8_t)(i * 7 % 3);
                if (i % 5 == 0) b[i] = a[i];
                if (i % 11 == 3) b[i] = special[i / 11 % SPECIAL_COUNT];
            }
            for (int fa = 0; fa < 4; fa++)
                for (int fb = 0; fb < 4; fb++) {
                    /* Exactly as large as the form needs: the end is at the forbidden page. */
                    size_t la = forms[fa].row_n ? rows * n : forms[fa].elem ? n : forms[fa].row ? rows : 1;
                    size_t lb = forms[fb].row_n ? rows * n : forms[fb].elem ? n : forms[fb].row ? rows : 1;
                    pi_in va = view(a + room - (la < room ? la : room), n, fa),
                          vb = view(b + room - (lb < room ? lb : room), n, fb);
                    for (int kind = 0; kind < PI_BINARY_COUNT; kind++) {
                        int bad = 0;
                        k->binary_f32((pi_binary)kind, rows, n, va, vb, y);
                        for (size_t r = 0; r < rows; r++)
                            for (size_t i = 0; i < n; i++) {
                                float want = binary_exact((pi_binary)kind, at(va, r, i), at(vb, r, i));
                                bad += !(ulp_error(y[r * n + i], (double)want) <= (kind == PI_BINARY_POW ? 2 : 0));
                            }
                        if (bad)
                            fprintf(stderr, "binary %d: %zux%zu, forms %d %d: %d bad\n", kind, rows, n, fa, fb, bad);
                        CHECK(bad == 0);
                    }
                    for (int kind = 0; kind < PI_COMPARE_COUNT; kind++) {
                        int bad = 0;
                        k->compare_f32((pi_compare)kind, rows, n, va, vb, m);
                        for (size_t r = 0; r < rows; r++)
                            for (size_t i = 0; i < n; i++)
                                bad += m[r * n + i] != compare_exact((pi_compare)kind, at(va, r, i), at(vb, r, i));
                        CHECK(bad == 0);
                    }
                    for (int fc = 0; fc < 4; fc++) {
                        int bad = 0;
                        size_t lc = forms[fc].row_n ? rows * n : forms[fc].elem ? n : forms[fc].row ? rows : 1;
                        pi_in vc = view(c + room - (lc < room ? lc : room), n, fc);
                        k->where_32(rows, n, vc, va, vb, y);
                        for (size_t r = 0; r < rows; r++)
                            for (size_t i = 0; i < n; i++) {
                                int t = ((const uint8_t *)vc.p)[(ptrdiff_t)r * vc.row + (ptrdiff_t)i * vc.elem] != 0;
                                bad += to_bits(y[r * n + i]) != to_bits(t ? at(va, r, i) : at(vb, r, i));
                            }
                        CHECK(bad == 0);
                    }
                }
            /* in place, left and right */
            pi_in da = view(a, n, 0), db = view(b, n, 0), dy = view(y, n, 0);
            float *z = guarded(rows * n * 4);
            k->binary_f32(PI_BINARY_SUB, rows, n, da, db, z);
            memcpy(y, a, rows * n * 4);
            k->binary_f32(PI_BINARY_SUB, rows, n, dy, db, y);
            int bad = 0;
            for (size_t i = 0; i < rows * n; i++) bad += !same(y[i], z[i]);
            memcpy(y, b, rows * n * 4);
            k->binary_f32(PI_BINARY_SUB, rows, n, da, dy, y);
            for (size_t i = 0; i < rows * n; i++) bad += !same(y[i], z[i]);
            CHECK(bad == 0);
        }
}

static void pow_of_constants(const pi_eltwise_kernels *k)
{
    static const float exponents[] = {2, 3, 0.5f, -1, 1, 0, -2, 2.5f, NAN};
    float x[MAX], y[MAX];
    fill(x, MAX, 4.0f, 3);
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        int bad = 0;
        k->binary_f32(PI_BINARY_POW, 1, MAX, (pi_in){x, MAX, 1}, (pi_in){&exponents[e], 0, 0}, y);
        for (size_t i = 0; i < MAX; i++) bad += !(ulp_error(y[i], pow((double)x[i], (double)exponents[e])) <= 2);
        CHECK(bad == 0);
    }
}

/* What must be exact at the ends, and never passed. */
static void limits(const pi_eltwise_kernels *k)
{
    static const struct {
        pi_unary kind;
        float low, high; /* at -inf and +inf */
    } ends[] = {{PI_UNARY_ERF, -1, 1}, {PI_UNARY_TANH, -1, 1}, {PI_UNARY_SIGMOID, 0, 1}, {PI_UNARY_EXP, 0, INFINITY}};
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        float x[MAX], y[MAX];
        int bad = 0;
        for (int i = 0; i < MAX; i++) x[i] = (float)(i - MAX / 2) * 0.2f;
        x[0] = -INFINITY;
        x[MAX - 1] = INFINITY;
        k->unary_f32(ends[e].kind, MAX, x, y);
        for (int i = 0; i < MAX; i++) bad += !(y[i] >= ends[e].low && y[i] <= ends[e].high);
        CHECK(bad == 0 && y[0] == ends[e].low && y[MAX - 1] == ends[e].high);
    }
}

/* Doubles: lengths around the vectors', in place too, and the ends. */
static void exp_doubles(const pi_eltwise_kernels *k)
{
    enum { COUNT = 20000 };
    static double x[COUNT], y[COUNT];
    int bad = 0;
    for (int i = 0; i < COUNT; i++) x[i] = (i - COUNT / 2) * (1420.0 / COUNT) + 1e-5 * i;
    k->exp_f64(COUNT, x, y);
    for (int i = 0; i < COUNT; i++) {
        double want = exp(x[i]);
        bad += want < 0x1p-1020 ? !(y[i] >= 0 && y[i] < 0x1p-1019) : !(fabs(y[i] - want) <= 0x1.8p-52 * want || y[i] == want);
    }
    CHECK(bad == 0);
    static const double ends[] = {-INFINITY, -800, 0, -0.0, 1e-300, 709.78271289338397, 709.8, INFINITY};
    static const double want[] = {0, 0, 1, 1, 1, 0x1.fffffffffff2ap+1023, INFINITY, INFINITY};
    for (size_t n = 0; n <= 8; n++) {
        double *a = guarded(n * sizeof *a);
        if (n) memcpy(a, ends, n * sizeof *a);
        k->exp_f64(n, a, a);
        for (size_t i = 0; i < n; i++) CHECK(a[i] == want[i] || fabs(a[i] - want[i]) <= 0x1p-51 * want[i]);
    }
    x[0] = NAN;
    k->exp_f64(1, x, y);
    CHECK(isnan(y[0]));
}

static void affine(const pi_eltwise_kernels *k)
{
    for (size_t s = 0; s < UGLY_COUNT; s++)
        for (unsigned form = 0; form < 16; form++) {
            size_t n = ugly[s], rows = 3;
            int elem = (form & 8) == 0;
            size_t channels = elem ? n : 1;
            float *x = guarded(rows * n * 4), *y = guarded(rows * n * 4), *res = guarded(rows * n * 4);
            float *scale = guarded(channels * 4), *bias = guarded(channels * 4);
            uint32_t seed = 11;
            for (size_t i = 0; i < rows * n; i++) x[i] = random_float(&seed, 3), res[i] = random_float(&seed, 3);
            for (size_t i = 0; i < channels; i++) scale[i] = random_float(&seed, 2), bias[i] = random_float(&seed, 2);
            static const pi_act acts[] = {
                {PI_ACT_NONE, 0, 0}, {PI_ACT_RELU, 0, 0}, {PI_ACT_CLIP, -0.5f, 1}, {PI_ACT_SILU, 1, 0}};
            pi_affine f = {form & 1 ? scale : NULL, form & 2 ? bias : NULL, form & 4 ? res : NULL, elem,
                           acts[(s + form) % 4]};
            k->affine_f32(&f, rows, n, x, y);
            int bad = 0;
            for (size_t i = 0; i < rows * n; i++) {
                size_t c = elem ? i % n : 0;
                double v = (double)x[i];
                if (f.scale) v *= (double)scale[c];
                if (f.bias) v += (double)bias[c];
                if (f.residual) v += (double)res[i];
                bad += !(fabsf(y[i] - pi_act_apply(f.act, (float)v)) <= 3e-6f);
            }
            CHECK(bad == 0);
            f.residual = form & 4 ? x : NULL; /* in place, and the residual is the same buffer too */
            k->affine_f32(&f, rows, n, x, y);
            k->affine_f32(&f, rows, n, x, x);
            CHECK(n == 0 || memcmp(x, y, rows * n * 4) == 0);
        }
}

int main(void)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_eltwise_kernels *k = tables[t].k;
        unary_and_act(k);
        binary_compare_where(k);
        pow_of_constants(k);
        exp_doubles(k);
        limits(k);
        affine(k);
    }
    CHECK(pi_eltwise() != NULL);
    return CHECK_DONE();
}
