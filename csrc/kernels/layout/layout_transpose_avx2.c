/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
/* Transposes of square tiles in registers: 8x8 of 4 bytes, 4x4 of 8, 8x8 of 2, 16x16 of 1. Bound by the shuffle port (one a cycle)
 * and by the cache; edges go to the plain text. */
#include "kernels/layout/layout.h"

#include <immintrin.h>

static inline void tile_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr)
{
    /* Halves are loaded so that row i and row i + 4 share a register: the lane crossing costs no shuffle. */
    __m256 a[4], b[4];
    for (int i = 0; i < 4; i++) {
        a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)(const void *)(s + i * sr))),
                                    _mm_loadu_ps((const float *)(const void *)(s + (i + 4) * sr)), 1);
        b[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)(const void *)(s + i * sr + 16))),
                                    _mm_loadu_ps((const float *)(const void *)(s + (i + 4) * sr + 16)), 1);
    }
    for (int half = 0; half < 2; half++) {
        const __m256 *x = half ? b : a;
        __m256 t0 = _mm256_unpacklo_ps(x[0], x[1]), t1 = _mm256_unpackhi_ps(x[0], x[1]);
        __m256 t2 = _mm256_unpacklo_ps(x[2], x[3]), t3 = _mm256_unpackhi_ps(x[2], x[3]);
        char *o = d + half * 4 * dr;
        _mm256_storeu_ps((float *)(void *)(o), _mm256_shuffle_ps(t0, t2, 0x44));
        _mm256_storeu_ps((float *)(void *)(o + dr), _mm256_shuffle_ps(t0, t2, 0xEE));
        _mm256_storeu_ps((float *)(void *)(o + 2 * dr), _mm256_shuffle_ps(t1, t3, 0x44));
        _mm256_storeu_ps((float *)(void *)(o + 3 * dr), _mm256_shuffle_ps(t1, t3, 0xEE));
    }
}

static inline void tile_8(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr)
{
    __m256d r0 = _mm256_loadu_pd((const double *)(const void *)(s));
    __m256d r1 = _mm256_loadu_pd((const double *)(const void *)(s + sr));
    __m256d r2 = _mm256_loadu_pd((const double *)(const void *)(s + 2 * sr));
    __m256d r3 = _mm256_loadu_pd((const double *)(const void *)(s + 3 * sr));
    __m256d t0 = _mm256_unpacklo_pd(r0, r1), t1 = _mm256_unpackhi_pd(r0, r1);
    __m256d t2 = _mm256_unpacklo_pd(r2, r3), t3 = _mm256_unpackhi_pd(r2, r3);
    _mm256_storeu_pd((double *)(void *)(d), _mm256_permute2f128_pd(t0, t2, 0x20));
    _mm256_storeu_pd((double *)(void *)(d + dr), _mm256_permute2f128_pd(t1, t3, 0x20));
    _mm256_storeu_pd((double *)(void *)(d + 2 * dr), _mm256_permute2f128_pd(t0, t2, 0x31));
    _mm256_storeu_pd((double *)(void *)(d + 3 * dr), _mm256_permute2f128_pd(t1, t3, 0x31));
}

static inline __m128i load(const char *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline void store(char *p, __m128i v) { _mm_storeu_si128((__m128i *)(void *)p, v); }

static inline void tile_2(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr)
{
    __m128i x[8], y[8];
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) x[i] = load(s + i * sr);
    /* log2(8) rounds of interleaving row i with row i + 4 */
#pragma GCC unroll 4
    for (int round = 0; round < 3; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < 4; i++) {
            y[2 * i] = _mm_unpacklo_epi16(x[i], x[i + 4]);
            y[2 * i + 1] = _mm_unpackhi_epi16(x[i], x[i + 4]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 8; i++) x[i] = y[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) store(d + i * dr, x[i]);
}

static inline void tile_1(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr)
{
    __m128i x[16], y[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) x[i] = load(s + i * sr);
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
#pragma GCC unroll 16
        for (int i = 0; i < 8; i++) {
            y[2 * i] = _mm_unpacklo_epi8(x[i], x[i + 8]);
            y[2 * i + 1] = _mm_unpackhi_epi8(x[i], x[i + 8]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) x[i] = y[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) store(d + i * dr, x[i]);
}

/* Two and four rows, 4 bytes: interleaving, as the last axis of a pixel shuffle has it. */
static void rows2_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t cols)
{
    int64_t c = 0;
    for (; dr == 8 && c + 4 <= cols; c += 4) {
        __m128i a = load(s + 4 * c), b = load(s + sr + 4 * c);
        store(d + 8 * c, _mm_unpacklo_epi32(a, b));
        store(d + 8 * c + 16, _mm_unpackhi_epi32(a, b));
    }
    pi_transpose_4_ref(s + 4 * c, sr, d + c * dr, dr, 2, cols - c);
}

static inline __m128 loadf(const char *p) { return _mm_loadu_ps((const float *)(const void *)p); }
static inline void storef(char *p, __m128 v) { _mm_storeu_ps((float *)(void *)p, v); }
#define PICK(a, b, i, j, k, l) _mm_shuffle_ps(a, b, _MM_SHUFFLE(l, k, j, i)) /* a[i] a[j] b[k] b[l] */

/* Three planes into pixels: images on their way to channels-last. */
static void rows3_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t cols)
{
    int64_t c = 0;
    for (; dr == 12 && c + 4 <= cols; c += 4) {
        __m128 x = loadf(s + 4 * c), y = loadf(s + sr + 4 * c), z = loadf(s + 2 * sr + 4 * c);
        storef(d + 12 * c, PICK(_mm_unpacklo_ps(x, y), PICK(z, x, 0, 0, 1, 1), 0, 1, 0, 2));
        storef(d + 12 * c + 16, PICK(PICK(y, z, 1, 1, 1, 1), _mm_unpackhi_ps(x, y), 0, 2, 0, 1));
        storef(d + 12 * c + 32, PICK(PICK(z, x, 2, 2, 3, 3), PICK(y, z, 3, 3, 3, 3), 0, 2, 0, 2));
    }
    pi_transpose_4_ref(s + 4 * c, sr, d + c * dr, dr, 3, cols - c);
}

/* And back. */
static void cols3_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t rows)
{
    int64_t r = 0;
    for (; sr == 12 && r + 4 <= rows; r += 4) {
        __m128 x = loadf(s + 12 * r), y = loadf(s + 12 * r + 16), z = loadf(s + 12 * r + 32);
        storef(d + 4 * r, PICK(x, PICK(y, z, 2, 2, 1, 1), 0, 3, 0, 2));
        storef(d + dr + 4 * r, PICK(PICK(x, y, 1, 1, 0, 0), PICK(y, z, 3, 3, 2, 2), 0, 2, 0, 2));
        storef(d + 2 * dr + 4 * r, PICK(PICK(x, y, 2, 2, 1, 1), z, 0, 2, 0, 3));
    }
    pi_transpose_4_ref(s + r * sr, sr, d + 4 * r, dr, rows - r, 3);
}

/* Pairs into two rows: every other number. */
static void cols2_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t rows)
{
    int64_t r = 0;
    for (; sr == 8 && r + 4 <= rows; r += 4) {
        __m128 x = loadf(s + 8 * r), y = loadf(s + 8 * r + 16);
        storef(d + 4 * r, PICK(x, y, 0, 2, 0, 2));
        storef(d + dr + 4 * r, PICK(x, y, 1, 3, 1, 3));
    }
    pi_transpose_4_ref(s + r * sr, sr, d + 4 * r, dr, rows - r, 2);
}

/* Pixels of three bytes into planes. */
static void cols3_1(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t rows)
{
    __m128i pick[3][3]; /* [plane][register]: which bytes of it go where; the others become 0 */
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < 3; k++) {
            char from[16];
            for (int i = 0; i < 16; i++) from[i] = (char)(3 * i + p - 16 * k >= 0 && 3 * i + p - 16 * k < 16 ? 3 * i + p - 16 * k : -1);
            pick[p][k] = load(from);
        }
    int64_t r = 0;
    for (; sr == 3 && r + 16 <= rows; r += 16) {
        __m128i x = load(s + 3 * r), y = load(s + 3 * r + 16), z = load(s + 3 * r + 32);
        for (int p = 0; p < 3; p++)
            store(d + p * dr + r, _mm_or_si128(_mm_shuffle_epi8(x, pick[p][0]),
                                               _mm_or_si128(_mm_shuffle_epi8(y, pick[p][1]), _mm_shuffle_epi8(z, pick[p][2]))));
    }
    pi_transpose_1_ref(s + r * sr, sr, d + r, dr, rows - r, 3);
}

static void rest_1(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t rows, int64_t cols)
{
    if (cols == 3)
        cols3_1(s, sr, d, dr, rows);
    else
        pi_transpose_1_ref(s, sr, d, dr, rows, cols);
}

static inline void tile_4x4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr)
{
    __m128i r0 = load(s), r1 = load(s + sr), r2 = load(s + 2 * sr), r3 = load(s + 3 * sr);
    __m128i t0 = _mm_unpacklo_epi32(r0, r1), t1 = _mm_unpackhi_epi32(r0, r1);
    __m128i t2 = _mm_unpacklo_epi32(r2, r3), t3 = _mm_unpackhi_epi32(r2, r3);
    store(d, _mm_unpacklo_epi64(t0, t2));
    store(d + dr, _mm_unpackhi_epi64(t0, t2));
    store(d + 2 * dr, _mm_unpacklo_epi64(t1, t3));
    store(d + 3 * dr, _mm_unpackhi_epi64(t1, t3));
}

/* What is left of 4-byte elements when no tile of 8 fits. */
static void rest_4(const char *s, ptrdiff_t sr, char *d, ptrdiff_t dr, int64_t rows, int64_t cols)
{
    if (rows == 2) {
        rows2_4(s, sr, d, dr, cols);
        return;
    }
    if (rows == 3) {
        rows3_4(s, sr, d, dr, cols);
        return;
    }
    if (cols == 2) {
        cols2_4(s, sr, d, dr, rows);
        return;
    }
    if (cols == 3) {
        cols3_4(s, sr, d, dr, rows);
        return;
    }
    int64_t r4 = rows / 4 * 4, c4 = cols / 4 * 4;
    for (int64_t c = 0; c < c4; c += 4)
        for (int64_t r = 0; r < r4; r += 4) tile_4x4(s + r * sr + c * 4, sr, d + c * dr + r * 4, dr);
    if (r4 < rows) pi_transpose_4_ref(s + r4 * sr, sr, d + r4 * 4, dr, rows - r4, c4);
    if (c4 < cols) pi_transpose_4_ref(s + c4 * 4, sr, d + c4 * dr, dr, rows, cols - c4);
}

/* Tiles in blocks of 64 rows, so that the lines of the destination are finished while they are in the cache. Where rows lie a
 * power of two apart they fall into the same few sets of the cache: then a square of whole lines goes through a buffer, and each
 * line is touched once. */
#define BODY(BYTES, SIDE, TILE, REST)                                                                              \
    enum { LINE = 64 / BYTES };                                                                                    \
    int64_t full = cols - cols % SIDE, r0 = 0;                                                                     \
    if ((src_row & 4095) == 0 || (dst_row & 4095) == 0) {                                                          \
        char line[LINE * 64] __attribute__((aligned(64)));                                                         \
        int64_t whole = cols / LINE * LINE;                                                                        \
        for (; r0 + LINE <= rows; r0 += LINE) {                                                                    \
            for (int64_t c = 0; c < whole; c += LINE) {                                                            \
                const char *s = src + r0 * src_row + c * BYTES;                                                    \
                for (int i = 0; i < LINE; i += SIDE)                                                               \
                    for (int j = 0; j < LINE; j += SIDE)                                                           \
                        TILE(s + i * src_row + j * BYTES, src_row, line + j * 64 + i * BYTES, 64);                 \
                for (int j = 0; j < LINE; j++) {                                                                   \
                    char *d = dst + (c + j) * dst_row + r0 * BYTES;                                                \
                    _mm256_storeu_si256((__m256i *)(void *)d, _mm256_load_si256((__m256i *)(void *)(line + j * 64))); \
                    _mm256_storeu_si256((__m256i *)(void *)(d + 32),                                               \
                                        _mm256_load_si256((__m256i *)(void *)(line + j * 64 + 32)));               \
                }                                                                                                  \
            }                                                                                                      \
            if (whole < cols)                                                                                      \
                REST(src + r0 * src_row + whole * BYTES, src_row, dst + whole * dst_row + r0 * BYTES, dst_row, LINE, \
                     cols - whole);                                                                                \
        }                                                                                                          \
    }                                                                                                              \
    for (; r0 < rows; r0 += 64) {                                                                                  \
        int64_t r1 = rows - r0 < 64 ? rows : r0 + 64, rt = r0 + (r1 - r0) / SIDE * SIDE;                           \
        for (int64_t c = 0; c < full; c += SIDE)                                                                   \
            for (int64_t r = r0; r < rt; r += SIDE)                                                                \
                TILE(src + r * src_row + c * BYTES, src_row, dst + c * dst_row + r * BYTES, dst_row);              \
        if (rt < r1) REST(src + rt * src_row, src_row, dst + rt * BYTES, dst_row, r1 - rt, full);                  \
        if (full < cols)                                                                                           \
            REST(src + r0 * src_row + full * BYTES, src_row, dst + full * dst_row + r0 * BYTES, dst_row, r1 - r0,  \
                 cols - full);                                                                                     \
    }

void pi_transpose_1_avx2(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
{
    if (cols == 3) {
        rest_1(src, src_row, dst, dst_row, rows, cols);
        return;
    }
    BODY(1, 16, tile_1, rest_1)
}
void pi_transpose_2_avx2(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
{
    BODY(2, 8, tile_2, pi_transpose_2_ref)
}
void pi_transpose_4_avx2(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
{
    if (rows < 8 || cols < 8) {
        rest_4(src, src_row, dst, dst_row, rows, cols);
        return;
    }
    BODY(4, 8, tile_4, rest_4)
}
void pi_transpose_8_avx2(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols)
{
    BODY(8, 4, tile_8, pi_transpose_8_ref)
}
#else
typedef int layout_transpose_avx2_empty;
#endif
