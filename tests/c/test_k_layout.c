/* SPDX-License-Identifier: Apache-2.0 */
/* kernels/layout, gather and resize against the plainest text, for every instruction set that this CPU has. */
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "base/size.h"
#include "check.h"
#include "kernels/gather/gather.h"
#include "kernels/layout/layout.h"
#include "kernels/resize/resize.h"

static uint32_t seed = 1;
static int64_t any(int64_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (int64_t)(seed >> 8) % below;
}

static unsigned char *noise(size_t n)
{
    unsigned char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)any(256);
    return p;
}

/* A transpose of every size around the tiles, with gaps between rows that must stay untouched. */
static void transposes(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    static const int64_t lengths[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 65, 130};
    for (size_t s = 0; s < PI_COUNT(sizes); s++) {
        size_t e = sizes[s];
        pi_transpose_fn fn = pi_transpose_select(e);
        for (size_t a = 0; a < PI_COUNT(lengths); a++)
            for (size_t b = 0; b < PI_COUNT(lengths); b++) {
                int64_t rows = lengths[a], cols = lengths[b], bad = 0;
                size_t sr = (size_t)(cols + 3) * e, dr = (size_t)(rows + 2) * e;
                if (b < 4 && a % 2) sr = (size_t)cols * e; /* rows without gaps */
                if (a < 4 && b % 2) dr = (size_t)rows * e;
                if (a == 12 && b >= 10) sr = 4096; /* rows that share sets of the cache */
                if (b == 12 && a >= 10) dr = 4096;
                unsigned char *src = noise(sr * (size_t)rows), *dst = malloc(dr * (size_t)cols);
                memset(dst, 0xAB, dr * (size_t)cols);
                fn((const char *)src, (ptrdiff_t)sr, (char *)dst, (ptrdiff_t)dr, rows, cols);
                for (int64_t c = 0; c < cols; c++) {
                    for (int64_t r = 0; r < rows; r++)
                        bad += memcmp(dst + (size_t)c * dr + (size_t)r * e, src + (size_t)r * sr + (size_t)c * e, e) != 0;
                    for (size_t k = (size_t)rows * e; k < dr; k++) bad += dst[(size_t)c * dr + k] != 0xAB;
                }
                CHECK(bad == 0);
                free(src);
                free(dst);
            }
    }
}

/* Random shapes and orders of axes, repeated axes, steps and turned axes; the units in random pieces. */
static void copies(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16, 12, 40};
    for (int round = 0; round < 3000; round++) {
        size_t e = sizes[any(7)];
        int rank = (int)any(7);
        int64_t dim[8], src_stride[8], dst_stride[8], order[8], step[8], n = 1, in = 1, base = 0;
        for (int i = 0; i < rank; i++) {
            dim[i] = any(8) == 0 ? any(40) : 1 + any(5);
            order[i] = i;
            step[i] = any(4) == 0 ? any(3) : 1;
            n *= dim[i];
        }
        for (int i = rank - 1; i > 0; i--) {
            int64_t k = any(i + 1), t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        int64_t out = 1;
        for (int i = rank - 1; i >= 0; i--) {
            dst_stride[i] = out;
            out *= dim[i];
        }
        for (int i = rank - 1; i >= 0; i--) { /* the source has its axes in another order */
            int64_t a = order[i];
            src_stride[a] = step[a] * in;
            in *= step[a] ? step[a] * dim[a] : 1;
            if (any(6) == 0 && dim[a] > 0) {
                base += src_stride[a] * (dim[a] - 1);
                src_stride[a] = -src_stride[a];
            }
        }
        unsigned char *src = noise((size_t)pi_max_i64(in, 1) * e), *dst = malloc((size_t)n * e + 1);
        pi_copy copy;
        int64_t bad = 0;
        pi_copy_plan(&copy, e, rank, dim, src_stride, dst_stride);
        CHECK((copy.units == 0) == (n == 0));
        for (int64_t u = 0, more; u < copy.units; u += more) {
            more = pi_min_i64(copy.units - u, 1 + any(3));
            pi_copy_units(&copy, src + (size_t)base * e, dst, u, u + more);
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t rest = i, at = base;
            for (int k = rank - 1; k >= 0; k--) {
                at += rest % dim[k] * src_stride[k];
                rest /= dim[k];
            }
            bad += memcmp(dst + (size_t)i * e, src + (size_t)at * e, e) != 0;
        }
        CHECK(bad == 0);
        free(src);
        free(dst);
    }
}

static void fills(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    for (size_t s = 0; s < 5; s++)
        for (int64_t n = 0; n < 5000; n = n * 2 + 1) {
            unsigned char *value = noise(16), *dst = malloc((size_t)n * sizes[s] + 1);
            int64_t bad = 0;
            dst[(size_t)n * sizes[s]] = 7;
            pi_fill(dst, value, sizes[s], n);
            for (int64_t i = 0; i < n; i++) bad += memcmp(dst + (size_t)i * sizes[s], value, sizes[s]) != 0;
            CHECK(bad == 0 && dst[(size_t)n * sizes[s]] == 7);
            free(value);
            free(dst);
        }
}

static void gathers(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16, 3, 100};
    for (size_t s = 0; s < 7; s++) {
        unsigned char *src = noise(10 * sizes[s]), *dst = malloc(50 * sizes[s]);
        int64_t wide[50], bad = 0;
        int32_t narrow[50];
        for (int i = 0; i < 50; i++) narrow[i] = (int32_t)(wide[i] = any(20) - 10);
        for (int w = 0; w < 2; w++) {
            const void *index = w ? (const void *)wide : narrow;
            pi_gather_rows(src, sizes[s], 10, index, w, 5, 45, dst);
            for (int i = 5; i < 50; i++)
                bad += memcmp(dst + (size_t)(i - 5) * sizes[s], src + (size_t)((wide[i] + 10) % 10) * sizes[s], sizes[s]) != 0;
            CHECK(bad == 0);
            CHECK(pi_gather_check(index, w, 50, 10) == -1);
        }
        free(src);
        free(dst);
    }
    int64_t at[5] = {0, -3, 2, 3, -4};
    CHECK(pi_gather_check(at, true, 5, 3) == 3);
    CHECK(pi_gather_check(at, true, 3, 3) == -1);
    CHECK(pi_gather_check(at, true, 1, 0) == 0);
    CHECK(pi_gather_check(at, true, 0, 0) == -1);
}

static void resizes(void)
{
    const pi_resize_kernel *k = pi_resize_select();
    for (int64_t n = 1; n < 70; n += 3)
        for (int taps = 1; taps < 6; taps++) {
            static float in[400], out[1200], weight[600];
            const float *row[6];
            static int64_t index[600];
            double bad = 0;
            for (int i = 0; i < 400; i++) in[i] = (float)(any(2000) - 1000) / 100;
            for (int i = 0; i < taps; i++) row[i] = in + 7 * i;
            for (int i = 0; i < 600; i++) {
                weight[i] = (float)any(100) / 100;
                index[i] = any(20);
            }
            k->mix(out, row, weight, taps, n);
            for (int64_t i = 0; i < n; i++) {
                float sum = row[0][i] * weight[0];
                for (int t = 1; t < taps; t++) sum += row[t][i] * weight[t];
                bad += sum != out[i];
            }
            for (int64_t inner = 1; inner < 20; inner += 6) {
                k->line(out, in, index, weight, taps, 30, inner);
                for (int64_t j = 0; j < 30 * inner; j++) {
                    float sum = 0;
                    for (int t = 0; t < taps; t++) {
                        float v = in[index[j / inner * taps + t] * inner + j % inner] * weight[j / inner * taps + t];
                        sum = t ? sum + v : v;
                    }
                    bad += sum != out[j];
                }
            }
            k->twice(out, in, n);
            for (int64_t i = 0; i < 2 * n; i++) bad += out[i] != in[i / 2];
            CHECK(bad == 0);
        }
}

int main(void)
{
    for (int isa = PI_CPU_AVX512; isa >= PI_CPU_ANY; isa--) {
        pi_cpu_limit((pi_isa)isa);
        transposes();
        copies();
        resizes();
    }
    fills();
    gathers();
    return CHECK_DONE();
}
