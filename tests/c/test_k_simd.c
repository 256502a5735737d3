/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of simd/vec_math.h, on every instruction set that this CPU has, against libm in double: at most 4 ULP.
 * Quick: every 2,003rd float. `test_k_simd full` (or PYINFER_TEST_FULL=1): all 2^32,
 * `test_k_simd full erf`: of one. */
#include "check.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "kernel_check.h"
#include "kernels/eltwise/eltwise.h"

static double ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double ref_softplus(double x) { return x > 40 ? x : log1p(exp(x)); }

static const struct {
    const char *name;
    pi_unary kind;
    double (*f)(double);
} functions[] = {
    {"exp", PI_UNARY_EXP, exp},    {"erf", PI_UNARY_ERF, erf},
    {"tanh", PI_UNARY_TANH, tanh}, {"sigmoid", PI_UNARY_SIGMOID, ref_sigmoid},
    {"log", PI_UNARY_LOG, log},    {"sin", PI_UNARY_SIN, sin},
    {"cos", PI_UNARY_COS, cos},    {"softplus", PI_UNARY_SOFTPLUS, ref_softplus},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static const struct {
    pi_isa isa;
    const char *name;
    const pi_eltwise_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, #name, &name},
#include "kernels/eltwise/kernels.inc"
#undef X
};
enum { TABLES = sizeof tables / sizeof *tables, BLOCK = 1024 };

static double worst[TABLES];
static float worst_at[TABLES];

static void block(size_t f, const float *x, size_t n)
{
    static float y[BLOCK];
    static double exact[BLOCK];
    for (size_t i = 0; i < n; i++) exact[i] = functions[f].f((double)x[i]);
    for (size_t t = 0; t < TABLES; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        tables[t].k->unary_f32(functions[f].kind, n, x, y);
        for (size_t i = 0; i < n; i++) {
            double e = ulp_error(y[i], exact[i]);
            if (e > worst[t]) worst[t] = e, worst_at[t] = x[i];
        }
    }
}

/* `only`: NULL, or the one function to look at. */
static void sweep(uint64_t step, const char *mode, const char *only)
{
    for (size_t f = 0; f < FUNCTIONS; f++) {
        if (only && strcmp(only, functions[f].name)) continue;
        static float x[BLOCK];
        size_t n = 0;
        memset(worst, 0, sizeof worst);
        for (uint64_t b = f; b <= UINT32_MAX; b += step) {
            x[n++] = from_bits((uint32_t)b);
            if (n == BLOCK) block(f, x, n), n = 0;
        }
        block(f, x, n);
        block(f, special, SPECIAL_COUNT);
        for (size_t t = 0; t < TABLES; t++) {
            if (!pi_cpu_has(tables[t].isa)) continue;
            printf("%-9s %-18s %-9s %.3g ULP at %a (%g)\n", functions[f].name, tables[t].name, mode, worst[t],
                   (double)worst_at[t], (double)worst_at[t]);
            fflush(stdout);
            CHECK(worst[t] <= 4.0);
        }
    }
}

int main(int argc, char **argv)
{
    const char *env = getenv("PYINFER_TEST_FULL");
    int full = (argc > 1 && !strcmp(argv[1], "full")) || (env && *env == '1');
    const char *only = argc > 2 ? argv[2] : NULL;
    sweep(full ? 1 : 2003, "", only);
#if defined(__x86_64__)
    /* Denormals flushed on both sides, as in a run: the double gets 0 for a denormal float too. */
    unsigned mxcsr = _mm_getcsr();
    _mm_setcsr(mxcsr | 0x8040);
    sweep(4007, "flushed", only);
    _mm_setcsr(mxcsr);
#endif
    return CHECK_DONE();
}
