/* SPDX-License-Identifier: Apache-2.0 */
/* See utf8.h. */
#include "ops/utf8.h"
#include <string.h>

#include "base/size.h"

static const pi_case_row upper_rows[] = {
#include "ops/case_upper.inc"
};
static const pi_case_row lower_rows[] = {
#include "ops/case_lower.inc"
};

const pi_case_row *pi_case_rows(bool upper, size_t *n)
{
    *n = upper ? PI_COUNT(upper_rows) : PI_COUNT(lower_rows);
    return upper ? upper_rows : lower_rows;
}

int32_t pi_utf8_next(const char *at, size_t left, int *n)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)at;
    *n = 1;
    if (p[0] < 0x80) return p[0];
    int bytes = p[0] >= 0xF0 && p[0] < 0xF8 ? 4 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : p[0] >= 0xC0 && p[0] < 0xE0 ? 2 : 0;
    if (bytes == 0 || (size_t)bytes > left) return -1;
    int32_t c = p[0] & (0x7F >> bytes);
    for (int i = 1; i < bytes; i++) {
        if ((p[i] & 0xC0) != 0x80) return -1;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c < least[bytes] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return -1;
    *n = bytes;
    return c;
}

int pi_utf8_put(int32_t c, char *out)
{
    int bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = bytes - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(bytes == 1 ? c : (0xF00 >> bytes & 0xFF) | c);
    return bytes;
}

static int32_t mapped(const pi_case_row *rows, size_t n, int32_t c)
{
    size_t low = 0, high = n;
    while (low < high) { /* the first row that ends at c or behind it */
        size_t middle = (low + high) / 2;
        if (rows[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || c < rows[low].first || (c - rows[low].first) % rows[low].step) return c;
    return c + rows[low].delta;
}

int32_t pi_char_upper(int32_t c)
{
    if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
    return mapped(upper_rows, PI_COUNT(upper_rows), c);
}

int32_t pi_char_lower(int32_t c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return mapped(lower_rows, PI_COUNT(lower_rows), c);
}

bool pi_char_is_space(int32_t c)
{
    if (c <= ' ') return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

int pi_text_compare(const char *a, size_t na, const char *b, size_t nb, bool fold)
{
    if (!fold) {
        size_t n = na < nb ? na : nb;
        int c = n ? memcmp(a, b, n) : 0;
        return c ? c : (na > nb) - (na < nb);
    }
    size_t i = 0, j = 0;
    while (i < na && j < nb) {
        int n, m;
        int32_t x = pi_utf8_next(a + i, na - i, &n), y = pi_utf8_next(b + j, nb - j, &m);
        /* bytes that are no UTF-8 stand behind all characters, each for itself */
        x = x < 0 ? 0x110000 + (uint8_t)a[i] : pi_char_fold(x);
        y = y < 0 ? 0x110000 + (uint8_t)b[j] : pi_char_fold(y);
        if (x != y) return x < y ? -1 : 1;
        i += (size_t)n;
        j += (size_t)m;
    }
    return (i < na) - (j < nb);
}
