/* SPDX-License-Identifier: Apache-2.0 */
/* Small floats against slow methods of another kind: the compiler's _Float16, and a search through all values that a
 * format has, each computed from the formula in its standard. */
#include "base/half.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include "base/threads.h"
#include "check.h"

static uint64_t state = 88172645463325252u;
static uint32_t random32(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static bool same(float a, float b) { return pi_float_bits(a) == pi_float_bits(b) || (isnan(a) && isnan(b)); }

/* ---- 16 bits ---- */

static _Float16 f16_of(uint16_t bits)
{
    _Float16 h;
    memcpy(&h, &bits, sizeof h);
    return h;
}

static bool f16_right(float x)
{
    _Float16 expected = (_Float16)x;
    uint16_t bits, ours = pi_float_to_f16(x);
    memcpy(&bits, &expected, sizeof bits);
    return isnan(x) ? (ours & 0x7fff) > 0x7c00 : ours == bits;
}

static bool bf16_right(float x)
{
    uint16_t ours = pi_float_to_bf16(x), low = (uint16_t)(pi_float_bits(x) >> 16);
    if (isnan(x)) return (ours & 0x7fff) > 0x7f80;
    if (isinf(x)) return ours == low;
    double a = (double)pi_bf16_to_float(low);
    double b = (low & 0x7fff) == 0x7f7f ? copysign(0x1p128, (double)x) : (double)pi_bf16_to_float((uint16_t)(low + 1));
    double to_a = fabs((double)x - a), to_b = fabs((double)x - b);
    return ours == (to_a < to_b || (to_a == to_b && low % 2 == 0) ? low : low + 1);
}

static bool from_double_right(double x)
{
    _Float16 expected = (_Float16)x;
    uint16_t bits, ours = pi_float_to_f16(pi_double_to_odd_float(x));
    memcpy(&bits, &expected, sizeof bits);
    return isnan(x) ? (ours & 0x7fff) > 0x7c00 : ours == bits;
}

static void test_16_bits(void)
{
    int wrong = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        float x = pi_f16_to_float((uint16_t)i);
        wrong += !same(x, (float)f16_of((uint16_t)i));
        wrong += !isnan(x) && pi_float_to_f16(x) != i;
        float b = pi_bf16_to_float((uint16_t)i);
        wrong += !isnan(b) && pi_float_to_bf16(b) != i;
    }
    CHECK(wrong == 0);
    for (uint64_t u = 0; u < 1ull << 32; u += 4099) {
        float x = pi_float_of_bits((uint32_t)u);
        wrong += !f16_right(x) + !bf16_right(x);
    }
    CHECK(wrong == 0);
    for (uint32_t i = 0; i < 0x7c00; i++) { /* the middle between neighbours, and beside it */
        double low = (double)pi_f16_to_float((uint16_t)i), high = i == 0x7bff ? 65536 : (double)f16_of((uint16_t)(i + 1));
        double middle = (low + high) / 2;
        wrong += !f16_right((float)middle) + !f16_right((float)-middle);
        wrong += !f16_right(nextafterf((float)middle, 0)) + !f16_right(nextafterf((float)middle, INFINITY));
        wrong += !from_double_right(middle) + !from_double_right(nextafter(middle, 0)) +
                 !from_double_right(nextafter(-middle, -INFINITY)) + !from_double_right(middle * (1 + 0x1p-40));
    }
    CHECK(wrong == 0);
    for (int i = 0; i < 1 << 16; i++) wrong += !bf16_right(pi_float_of_bits(random32() << 16 | 0x8000));
    CHECK(wrong == 0);
}

static void test_doubles(void)
{
    const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 1e300, -1e300, 5e-324, 1e-40, 3.4028235e38, 3.4028236e38,
                              0x1p-126, 0x1p-149, 0x1p-150, 0x1.8p-149, 65519.9999999999, 65520};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) CHECK(from_double_right(special[i]));
    CHECK(signbit(pi_double_to_odd_float(-0.0)) && pi_double_to_odd_float(-0.0) == 0);
    int wrong = 0;
    for (int i = 0; i < 1 << 18; i++) { /* what a float holds stays; what it does not ends odd, and beside the double */
        float x = pi_float_of_bits(random32());
        if (isnan(x) || isinf(x)) continue;
        wrong += !same(pi_double_to_odd_float((double)x), x);
        double between = (double)x * (1 + 0x1p-45);
        float odd = pi_double_to_odd_float(between);
        if (fabsf(x) > 0x1p-120f && fabsf(x) < 0x1p120f)
            wrong += !(pi_float_bits(odd) & 1) || fabs((double)odd - between) > fabs(between) * 0x1p-22;
    }
    CHECK(wrong == 0);
}

/* ---- 8 and 4 bits ---- */

typedef struct {
    pi_dtype dtype;
    int exponent, fraction, bias;
    uint32_t codes, largest; /* codes of one sign; the largest finite one */
    bool uz;                 /* no negative zero: its code is the NaN */
    int infinite;            /* code, or -1 */
} kind;

static const kind kinds[] = {
    {PI_DTYPE_F8E4M3FN, 4, 3, 7, 128, 0x7e, false, -1},  {PI_DTYPE_F8E4M3FNUZ, 4, 3, 8, 128, 0x7f, true, -1},
    {PI_DTYPE_F8E5M2, 5, 2, 15, 128, 0x7b, false, 0x7c}, {PI_DTYPE_F8E5M2FNUZ, 5, 2, 16, 128, 0x7f, true, -1},
    {PI_DTYPE_F4E2M1, 2, 1, 1, 8, 7, false, -1},
};

static double value(const kind *k, uint32_t code)
{
    double m = (double)(code % (1u << k->fraction)) / (1 << k->fraction);
    int e = (int)(code >> k->fraction);
    return e == 0 ? m * pow(2, 1 - k->bias) : (1 + m) * pow(2, e - k->bias);
}

/* The code of the value that is nearest to |x|; largest + 1 stands for all beyond. */
static uint32_t nearest(const kind *k, double x)
{
    uint32_t low = 0, high = k->largest + 1;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (value(k, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    double next = low == k->largest ? 2 * value(k, low) - value(k, low - 1) : value(k, low + 1);
    double below = x - value(k, low), above = next - x;
    return below < above || (below == above && low % 2 == 0) ? low : low + 1;
}

static bool small_right(const kind *k, float x)
{
    uint32_t sign = signbit(x) ? k->codes : 0, nan = k->uz || k->dtype == PI_DTYPE_F4E2M1 ? k->codes : 0;
    uint32_t saturated = pi_float_to_small(k->dtype, x, PI_ROUND_SATURATE), plain = pi_float_to_small(k->dtype, x, PI_ROUND_PLAIN);
    if (isnan(x)) {
        if (nan) return saturated == nan && plain == nan;
        return saturated == plain && isnan(pi_small_to_float(k->dtype, (uint8_t)plain)) && (plain & k->codes) == sign;
    }
    uint32_t code = isinf(x) ? k->largest + 1 : nearest(k, fabs((double)x));
    if (code <= k->largest) return plain == saturated && plain == (code == 0 && k->uz ? 0 : sign + code);
    uint32_t beyond = k->dtype == PI_DTYPE_F4E2M1 ? sign + k->largest : k->uz ? nan : sign + k->largest + 1;
    return saturated == sign + k->largest && plain == beyond;
}

static void test_small(const kind *k)
{
    int wrong = 0;
    for (uint32_t code = 0; code < k->codes; code++) {
        float plus = pi_small_to_float(k->dtype, (uint8_t)code), minus = pi_small_to_float(k->dtype, (uint8_t)(code + k->codes));
        if ((int)code == k->infinite)
            wrong += plus != INFINITY || minus != -INFINITY;
        else if (code > k->largest)
            wrong += !isnan(plus) || !isnan(minus);
        else {
            wrong += (double)plus != value(k, code);
            wrong += code == 0 && k->uz ? !isnan(minus) : !same(minus, -plus);
            float next = (float)(value(k, code) + value(k, code + 1)) / 2; /* a middle, exact */
            wrong += !small_right(k, plus) + !small_right(k, -plus) + !small_right(k, next) + !small_right(k, -next);
            wrong += !small_right(k, nextafterf(next, 0)) + !small_right(k, nextafterf(next, INFINITY));
        }
    }
    const float special[] = {0, -0.0f, INFINITY, -INFINITY, NAN, -NAN, 1e-45f, -1e-45f, 0x1p-127f, 3e38f, 448, 464, 465, 240, 248, 61440};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) wrong += !small_right(k, special[i]);
    for (int i = 0; i < 1 << 17; i++) {
        wrong += !small_right(k, pi_float_of_bits(random32()));
        wrong += !small_right(k, (float)((double)random32() / 0x1p32 * 4 * value(k, k->largest)));
    }
    if (wrong) fprintf(stderr, "%s: ", pi_dtype_name(k->dtype));
    CHECK(wrong == 0);
}

/* ONNX's table for f8e8m0, and by the definition: 2^(code - 127). */
static void test_powers(void)
{
    enum { UP = PI_ROUND_SATURATE, DOWN = PI_ROUND_DOWN, NEAREST = PI_ROUND_NEAREST, PLAIN = PI_ROUND_PLAIN | PI_ROUND_NEAREST };
    const pi_dtype d = PI_DTYPE_F8E8M0;
    for (int code = 0; code < 255; code++) {
        float x = pi_small_to_float(d, (uint8_t)code);
        CHECK((double)x == pow(2, code - 127));
        for (unsigned rounding = 0; rounding < 6; rounding++) CHECK(pi_float_to_small(d, x, rounding) == code);
        if (code == 254) break;
        CHECK(pi_float_to_small(d, x * 1.25f, UP) == code + 1 && pi_float_to_small(d, x * 1.25f, DOWN) == code);
        CHECK(pi_float_to_small(d, x * 1.25f, NEAREST) == code && pi_float_to_small(d, x * 1.5f, NEAREST) == code + 1);
        CHECK(pi_float_to_small(d, x * 1.75f, PLAIN) == code + 1 && pi_float_to_small(d, x * 1.75f, DOWN) == code);
    }
    CHECK(isnan(pi_small_to_float(d, 255)));
    CHECK(pi_float_to_small(d, NAN, UP) == 255 && pi_float_to_small(d, NAN, PLAIN) == 255);
    CHECK(pi_float_to_small(d, INFINITY, UP) == 254 && pi_float_to_small(d, INFINITY, PLAIN) == 255);
    CHECK(pi_float_to_small(d, 0, UP) == 0 && pi_float_to_small(d, 0, PLAIN) == 255);
    CHECK(pi_float_to_small(d, 3e38f, UP) == 254 && pi_float_to_small(d, 3e38f, PLAIN) == 255);
    CHECK(pi_float_to_small(d, 3e38f, DOWN) == 254);
    CHECK(pi_float_to_small(d, 1e-45f, UP) == 0 && pi_float_to_small(d, 1e-45f, PLAIN) == 255);
}

/* ---- packing, and the floating-point mode ---- */

static void test_unpack(void)
{
    int wrong = 0;
    for (int byte = 0; byte < 256; byte++) {
        uint8_t packed[2] = {0, (uint8_t)byte};
        int low = byte % 16, high = byte / 16;
        wrong += pi_unpack_small(PI_DTYPE_U4, packed, 2) != low || pi_unpack_small(PI_DTYPE_U4, packed, 3) != high;
        wrong += pi_unpack_small(PI_DTYPE_F4E2M1, packed, 2) != low || pi_unpack_small(PI_DTYPE_F4E2M1, packed, 3) != high;
        wrong += (int8_t)pi_unpack_small(PI_DTYPE_I4, packed, 2) != (low < 8 ? low : low - 16);
        wrong += (int8_t)pi_unpack_small(PI_DTYPE_I4, packed, 3) != (high < 8 ? high : high - 16);
        for (int i = 0, v = byte; i < 4; i++, v /= 4) {
            wrong += pi_unpack_small(PI_DTYPE_U2, packed, (size_t)(4 + i)) != v % 4;
            wrong += (int8_t)pi_unpack_small(PI_DTYPE_I2, packed, (size_t)(4 + i)) != (v % 4 < 2 ? v % 4 : v % 4 - 4);
        }
    }
    CHECK(wrong == 0);
}

/* A sum over all conversions of many bit patterns: it must not depend on whether denormals are flushed. */
static uint64_t digest(void)
{
    uint64_t sum = 0;
    for (uint64_t u = 0; u < 1ull << 32; u += 65521) {
        float x = pi_float_of_bits((uint32_t)u);
        sum = sum * 31 + pi_float_to_f16(x);
        sum = sum * 31 + pi_float_to_bf16(x);
        for (int d = PI_DTYPE_F8E4M3FN; d <= PI_DTYPE_F8E8M0; d++) {
            sum = sum * 31 + pi_float_to_small((pi_dtype)d, x, PI_ROUND_SATURATE);
            sum = sum * 31 + pi_float_bits(pi_small_to_float((pi_dtype)d, (uint8_t)u));
        }
        sum = sum * 31 + pi_float_bits(pi_f16_to_float((uint16_t)u));
        sum = sum * 31 + pi_float_bits(pi_double_to_odd_float(ldexp(1.7, (int)(u % 400) - 200)));
    }
    return sum;
}

int main(void)
{
    test_16_bits();
    test_doubles();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) test_small(&kinds[i]);
    test_powers();
    test_unpack();
    CHECK(pi_small_to_float(PI_DTYPE_F32, 1) == 0 && pi_float_to_small(PI_DTYPE_F32, 1, 0) == 0);
    uint64_t before = digest();
    pi_threads_state saved;
    pi_threads_enter(1, &saved);
    uint64_t flushed = digest();
    pi_threads_leave(&saved);
    CHECK(before == flushed);
    return CHECK_DONE();
}
