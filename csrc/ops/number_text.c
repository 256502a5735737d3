/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text. The decimal point of the C library follows the locale, so it is put in and taken out by hand. */
#include "ops/number_text.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* strtod on text with '.', in any locale. The text is short and terminated. */
static double parse(char *text, char **end)
{
    char *dot = strchr(text, '.');
    double x = strtod(text, end);
    if (dot && *end == dot) { /* this locale has another point */
        const struct lconv *lc = localeconv();
        if (lc->decimal_point[0] && !lc->decimal_point[1]) {
            *dot = lc->decimal_point[0];
            x = strtod(text, end);
        }
    }
    return x;
}

size_t pi_number_write(double x, bool single, char *text)
{
    if (x != x) return (size_t)snprintf(text, PI_NUMBER_TEXT, "nan");
    if (isinf(x)) return (size_t)snprintf(text, PI_NUMBER_TEXT, x < 0 ? "-inf" : "inf");
    char scientific[PI_NUMBER_TEXT], digits[24];
    int n = 0, exponent = 0;
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(scientific, sizeof scientific, "%.*e", precision, fabs(x));
        char *e = strchr(scientific, 'e'), *end;
        exponent = (int)strtol(e + 1, NULL, 10);
        n = 0;
        for (const char *c = scientific; c < e; c++)
            if (*c >= '0' && *c <= '9' && n < 23) digits[n++] = *c;
        double back = strtod(scientific, &end);
        if (single ? (float)back == (float)fabs(x) : back == fabs(x)) break;
    }
    while (n > 1 && digits[n - 1] == '0') n--;
    digits[n] = '\0';
    const char *sign = signbit(x) ? "-" : "";
    size_t room = PI_NUMBER_TEXT;
    int len;
    if (exponent < -4 || exponent >= 16)
        len = n == 1 ? snprintf(text, room, "%s%ce%+03d", sign, digits[0], exponent)
                     : snprintf(text, room, "%s%c.%se%+03d", sign, digits[0], digits + 1, exponent);
    else if (exponent < 0)
        len = snprintf(text, room, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    else if (n <= exponent + 1)
        len = snprintf(text, room, "%s%s%.*s.0", sign, digits, exponent + 1 - n, "0000000000000000");
    else
        len = snprintf(text, room, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    return (size_t)len;
}

bool pi_number_read(const char *text, size_t n, double *x)
{
    char copy[128];
    while (n && (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')) text++, n--;
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t' || text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    if (n == 0 || n >= sizeof copy || memchr(text, 0, n)) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    char *end;
    *x = parse(copy, &end);
    return *end == '\0';
}
