/* SPDX-License-Identifier: Apache-2.0 */
/* The typed matrix kernels of each instruction set: whole numbers, so every sum is exact in each type. */
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "kernels/igemm/typed.h"

enum { M = 12, N = 32, K = 37 };

static unsigned seed = 1;
static uint64_t number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint64_t)seed << 32 | (seed * 69069u);
}

/* One tile of `type`; values that wrap if `mask` lets them. */
#define CHECK_TYPE(type, label, mask)                                                                       \
    static void check_##label(const pi_typed_gemm *g, size_t m, size_t n, size_t k, size_t b_row, bool add) \
    {                                                                                                       \
        static type a[M][K], b[K * (N + 5)], c[M * (N + 3)];                                                \
        const void *rows[M];                                                                                \
        for (size_t i = 0; i < M; i++)                                                                      \
            for (size_t l = 0; l < K; l++) a[i][l] = (type)(number() & (mask));                             \
        for (size_t i = 0; i < K * (N + 5); i++) b[i] = (type)(number() & (mask));                          \
        for (size_t i = 0; i < M * (N + 3); i++) c[i] = 77;                                                 \
        for (size_t i = 0; i < m; i++) rows[i] = a[i];                                                      \
        g->tile(m, n, k, rows, b, b_row, c, N + 3, add);                                                    \
        int bad = 0;                                                                                        \
        for (size_t i = 0; i < M; i++)                                                                      \
            for (size_t j = 0; j < N + 3; j++) {                                                            \
                bool in = i < m && j < n;                                                                   \
                type want = in && !add ? 0 : 77;                                                            \
                for (size_t l = 0; in && l < k; l++) want += a[i][l] * b[l * b_row + j];                    \
                bad += !(c[i * (N + 3) + j] >= want && c[i * (N + 3) + j] <= want);                         \
            }                                                                                               \
        CHECK(bad == 0);                                                                                    \
    }
CHECK_TYPE(double, f64, 0xFFFF)
CHECK_TYPE(uint32_t, i32, UINT64_MAX)
CHECK_TYPE(uint64_t, i64, UINT64_MAX)

static void check_all(const pi_typed_gemm *g,
                      void (*check)(const pi_typed_gemm *, size_t, size_t, size_t, size_t, bool))
{
    CHECK(g->mr <= M && g->nr <= N);
    for (size_t m = 1; m <= g->mr; m++)
        for (size_t n = 1; n <= g->nr; n += n < 3 || n > g->nr - 3 ? 1 : 5)
            for (size_t k = 0; k <= K; k += 12) check(g, m, n, k, g->nr + (k & 4) / 2, m & 1);
}

int main(void)
{
#define X(isa, name)                     \
    if (pi_cpu_has(PI_CPU_##isa)) {      \
        check_all(&name.f64, check_f64); \
        check_all(&name.i32, check_i32); \
        check_all(&name.i64, check_i64); \
    }
#include "kernels/igemm/typed.inc"
#undef X
    return CHECK_DONE();
}
