/* SPDX-License-Identifier: Apache-2.0 */
/* kernels/quant: products and conversions for every instruction set against the plain definition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "check.h"
#include "kernels/quant/quant_linear.h"
#include "kernels/quant/quant_panel.h"

static uint32_t seed = 7;
static int any(int below)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)(seed >> 8) % below;
}

/* Rows that begin anywhere, overlap, and have their taps in any order. */
static void panels(void)
{
    enum { ROW = 70, MOST = 3 * 40 };
    static int16_t a[40 * ROW + MOST * 2], b[MOST * 2 * PI_QUANT_COLUMNS];
    static int32_t c[40 * 20];
    static const int64_t offset[3] = {5, 64, 1};
    const int16_t *start[40];
    pi_quant_panel_fn fn = pi_quant_panel_select();
    for (int m = 1; m < 40; m += m < 14 ? 1 : 5)
        for (int pairs = 0; pairs <= 40; pairs = pairs * 2 + 1)
            for (int n = 1; n <= 3; n += 2) {
                int bad = 0;
                for (size_t i = 0; i < sizeof a / sizeof *a; i++) a[i] = (int16_t)(any(511) - 255);
                for (size_t i = 0; i < sizeof b / sizeof *b; i++) b[i] = (int16_t)(any(511) - 255);
                for (int i = 0; i < 40; i++) start[i] = a + (i * 7 % 40) * ROW;
                memset(c, 0x5A, sizeof c);
                fn(start, m, &(pi_quant_taps){n, pairs, offset}, b, c, 20);
                for (int i = 0; i < 40; i++)
                    for (int j = 0; j < 20; j++) {
                        int32_t sum = 0;
                        for (int t = 0; t < n; t++)
                            for (int k = 0; k < 2 * pairs && j < 16; k++)
                                sum += start[i][offset[t] + k] * b[(t * pairs + k / 2) * 32 + 2 * j + k % 2];
                        bad += c[i * 20 + j] != (i < m && j < 16 ? sum : 0x5A5A5A5A);
                    }
                CHECK(bad == 0);
            }
    int16_t wide[6];
    const int8_t s[6] = {-128, 127, 0, 5, -5, 1};
    pi_quant_widen(s, 1, 2, -128, wide, 2, 3);
    CHECK(wide[0] == 0 && wide[2] == 128 && wide[4] == 123);
    pi_quant_widen(s, 0, 1, 255, wide, 1, 2);
    CHECK(wide[0] == 128 - 255 && wide[1] == 127 - 255);
}

static int quantised(float x, float scale, float zero, bool is_signed)
{
    double q = nearbyint((double)(x / scale)) + (double)zero, low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
    return x != x ? (int)low : q < low ? (int)low : q > high ? (int)high : (int)q;
}

static void conversions(void)
{
    static float x[300], back[301];
    static uint8_t y[301], z[301];
    static float each[301];
    const pi_quant_linear *k = pi_quant_linear_select();
    static const float scales[] = {0.5f, 0.1f, 3, 1e-30f, 1e30f};
    for (int n = 0; n < 300; n += 7)
        for (int s = 0; s < 5; s++)
            for (int is_signed = 0; is_signed < 2; is_signed++) {
                float zero = (float)(is_signed ? any(256) - 128 : any(256));
                int bad = 0;
                for (int i = 0; i < 300; i++) x[i] = (float)(any(1200) - 600) * 0.25f * (s < 3 ? 1 : scales[s]);
                x[3] = NAN, x[40] = INFINITY, x[41] = -INFINITY, x[42] = -0.0f;
                y[n] = 77;
                k->to_bytes(y, x, n, scales[s], zero, is_signed);
                for (int i = 0; i < n; i++)
                    bad += (is_signed ? (int8_t)y[i] : y[i]) != quantised(x[i], scales[s], zero, is_signed);
                CHECK(bad == 0 && y[n] == 77);
                back[n] = 77;
                k->to_floats(back, y, n, scales[s], zero, is_signed);
                for (int i = 0; i < n; i++)
                    bad += back[i] != ((float)(is_signed ? (int8_t)y[i] : y[i]) - zero) * scales[s];
                CHECK(bad == 0 && back[n] == 77);
                for (int with = 0; with < 2; with++) { /* a scale for each, zero points too */
                    for (int i = 0; i < n; i++) z[i] = (uint8_t)any(256), each[i] = (float)any(100) * 0.1f;
                    k->to_floats_each(back, y, n, each, with ? z : NULL, is_signed);
                    for (int i = 0; i < n; i++) {
                        int less = !with ? 0 : is_signed ? (int8_t)z[i] : z[i], q = is_signed ? (int8_t)y[i] : y[i];
                        bad += back[i] != (float)(q - less) * each[i];
                    }
                    CHECK(bad == 0 && back[n] == 77);
                }
            }
}

static void requantized(void)
{
    static int32_t c[5 * 80], add[70];
    static float scale[70];
    static uint8_t y[5 * 75];
    const pi_quant_linear *k = pi_quant_linear_select();
    for (int n = 1; n <= 70; n += n < 20 ? 1 : 7)
        for (int form = 0; form < 4; form++) {
            bool is_signed = form & 1;
            float zero = (float)(is_signed ? any(256) - 128 : any(256));
            int bad = 0;
            for (int i = 0; i < 5 * 80; i++) c[i] = any(3000) - 1500;
            for (int j = 0; j < 70; j++)
                add[j] = any(100) - 50, scale[j] = j % 5 == 0 ? 0.5f : (float)any(1000) * 1e-4f;
            c[0] = INT32_MAX, c[1] = INT32_MIN, add[0] = add[1] = any(2); /* the sum wraps */
            memset(y, 77, sizeof y);
            k->requantize(y, 75, c, 80, 5, n, form & 2 ? add : NULL, scale, zero, is_signed);
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < 75; j++) {
                    uint8_t got = y[i * 75 + j];
                    if (j >= n) {
                        bad += got != 77;
                        continue;
                    }
                    float v = (float)(int32_t)((uint32_t)c[i * 80 + j] + (form & 2 ? (uint32_t)add[j] : 0)) * scale[j];
                    bad += (is_signed ? (int8_t)got : got) != quantised(v, 1, zero, is_signed);
                }
            CHECK(bad == 0);
        }
}

static void pairs(void)
{
    static uint8_t a[90], b[90], y[91];
    static float u[90], v[90];
    const pi_quant_linear *k = pi_quant_linear_select();
    for (int n = 0; n <= 90; n += 3)
        for (int form = 0; form < 16; form++) {
            pi_quant_pair p = {.a_scale = 0.03f,
                               .a_zero = (float)any(100),
                               .b_scale = 0.5f,
                               .b_zero = (float)any(100),
                               .y_scale = form & 8 ? 0.25f : 0.07f,
                               .y_zero = (float)any(100),
                               .a_signed = form & 1,
                               .b_signed = form & 2,
                               .y_signed = form & 4,
                               .product = any(2)};
            uint8_t want[90];
            for (int i = 0; i < 90; i++) a[i] = (uint8_t)any(256), b[i] = (uint8_t)any(256);
            y[n] = 77;
            pi_quant_linear_ref.to_floats(u, a, n, p.a_scale, p.a_zero, p.a_signed);
            pi_quant_linear_ref.to_floats(v, b, n, p.b_scale, p.b_zero, p.b_signed);
            for (int i = 0; i < n; i++) u[i] = p.product ? u[i] * v[i] : u[i] + v[i];
            pi_quant_linear_ref.to_bytes(want, u, n, p.y_scale, p.y_zero, p.y_signed);
            k->pair(y, a, b, n, &p);
            CHECK(memcmp(y, want, (size_t)n) == 0 && y[n] == 77);
        }
}

static void ranges_and_sums(void)
{
    static float x[200];
    static int8_t bytes[200];
    const pi_quant_linear *k = pi_quant_linear_select();
    for (int n = 0; n < 200; n++) {
        float low = 0, high = 0, least = 0, most = 0;
        int64_t signed_sum = 0, sum = 0;
        for (int i = 0; i < n; i++) {
            x[i] = any(9) ? (float)(any(2000) - 1000) : NAN;
            bytes[i] = (int8_t)(any(4) ? any(256) - 128 : any(2) ? 127 : -128);
            least = x[i] < least ? x[i] : least, most = x[i] > most ? x[i] : most;
            signed_sum += bytes[i], sum += (uint8_t)bytes[i];
        }
        k->range(x, n, &low, &high);
        CHECK(low <= least && low >= least && high <= most && high >= most);
        CHECK(k->sum(bytes, n, true) == signed_sum && k->sum(bytes, n, false) == sum);
    }
}

int main(void)
{
    for (int isa = PI_CPU_AVX512_VNNI; isa >= PI_CPU_ANY; isa--) {
        pi_cpu_limit((pi_isa)isa);
        panels();
        conversions();
        requantized();
        pairs();
        ranges_and_sums();
    }
    return CHECK_DONE();
}
