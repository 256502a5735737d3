/* SPDX-License-Identifier: Apache-2.0 */
/* See regex_class.h. */
#include "ops/regex_class.h"
#include <string.h>

#include "base/size.h"
#include "ops/utf8.h"

enum { MOST_RANGES = 1 << 15 };

pi_status pi_re_set_add(re_set *s, int32_t first, int32_t last, pi_error *err)
{
    if (s->n == MOST_RANGES)
        return pi_fail(err, PI_E_LIMIT, "the pattern has more than %d ranges of characters", MOST_RANGES);
    if (s->n == s->room) {
        int32_t room = s->room ? 2 * s->room : 16;
        re_range *grown = pi_realloc(s->heap, s->range, (size_t)room * sizeof *grown, err);
        if (!grown) return pi_alloc_status(err);
        s->range = grown;
        s->room = room;
    }
    s->range[s->n++] = (re_range){first, last};
    return PI_E_OK;
}

static void sink(re_range *r, int32_t at, int32_t n)
{
    re_range v = r[at];
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && r[child].first < r[child + 1].first) child++;
        if (v.first >= r[child].first) break;
        r[at] = r[child];
    }
    r[at] = v;
}

pi_status pi_re_set_finish(re_set *s, int32_t from, bool negate, pi_error *err)
{
    int32_t n = s->n - from, kept = 0, next = 0;
    re_range *r = n ? s->range + from : NULL;
    for (int32_t i = n / 2 - 1; i >= 0; i--) sink(r, i, n);
    for (int32_t i = n - 1; i > 0; i--) {
        re_range top = r[0];
        r[0] = r[i];
        r[i] = top;
        sink(r, 0, i);
    }
    for (int32_t i = 0; i < n; i++) {
        if (kept && r[i].first <= r[kept - 1].last + 1) {
            if (r[i].last > r[kept - 1].last) r[kept - 1].last = r[i].last;
        } else {
            r[kept++] = r[i];
        }
    }
    s->n = from + kept;
    if (!negate) return PI_E_OK;
    int32_t to = 0; /* gaps: never more than one above what is there */
    for (int32_t i = 0; i < kept; i++) {
        re_range have = r[i];
        if (have.first > next) r[to++] = (re_range){next, have.first - 1};
        next = have.last + 1;
    }
    s->n = from + to;
    return next <= RE_LAST_CHAR ? pi_re_set_add(s, next, RE_LAST_CHAR, err) : PI_E_OK;
}

/* Ranges as text: pairs of characters. */
static pi_status add_pairs(re_set *s, const char *pairs, bool negate, pi_error *err)
{
    int32_t from = s->n;
    for (; *pairs; pairs += 2) PI_TRY(pi_re_set_add(s, (uint8_t)pairs[0], (uint8_t)pairs[1], err));
    return negate ? pi_re_set_finish(s, from, true, err) : PI_E_OK;
}

pi_status pi_re_set_perl(re_set *s, char kind, pi_error *err)
{
    bool negate = kind < 'a';
    switch (kind | 0x20) {
        case 'd':
            return add_pairs(s, "09", negate, err);
        case 's':
            return add_pairs(s, "\t\n\f\r  ", negate, err);
        default:
            return add_pairs(s, "09AZaz__", negate, err);
    }
}

pi_status pi_re_set_posix(re_set *s, const char *name, size_t n, bool negate, bool *known, pi_error *err)
{
    static const char *const classes[][2] = {
        {"alnum", "09AZaz"}, {"alpha", "AZaz"}, {"ascii", "\1\177"},  {"blank", "\t\t  "}, {"cntrl", "\1\37\177\177"},
        {"digit", "09"},     {"graph", "!~"},   {"lower", "az"},      {"print", " ~"},     {"punct", "!/:@[`{~"},
        {"space", "\t\r  "}, {"upper", "AZ"},   {"word", "09AZaz__"}, {"xdigit", "09AFaf"}};
    int32_t from = s->n;
    *known = false;
    for (size_t i = 0; i < PI_COUNT(classes); i++) {
        if (strlen(classes[i][0]) != n || memcmp(classes[i][0], name, n) != 0) continue;
        *known = true;
        PI_TRY(add_pairs(s, classes[i][1], false, err));
        if (name[0] == 'c' || (name[0] == 'a' && name[1] == 's')) PI_TRY(pi_re_set_add(s, 0, 0, err));
        return negate ? pi_re_set_finish(s, from, true, err) : PI_E_OK;
    }
    return PI_E_OK;
}

static bool has(const re_set *s, int32_t n, int32_t c)
{
    int32_t low = s->start, high = n;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (s->range[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && s->range[low].first <= c;
}

/* Each character of the table whose partner is in the set, and the other way round. */
static pi_status fold_once(re_set *s, bool upper, pi_error *err)
{
    size_t rows;
    const pi_case_row *row = pi_case_rows(upper, &rows);
    int32_t n = s->n;
    for (size_t i = 0; i < rows; i++)
        for (int32_t c = row[i].first; c <= row[i].last; c += row[i].step) {
            int32_t other = c + row[i].delta;
            bool a = has(s, n, c), b = has(s, n, other);
            if (a != b) PI_TRY(pi_re_set_add(s, a ? other : c, a ? other : c, err));
        }
    return pi_re_set_finish(s, s->start, false, err);
}

pi_status pi_re_set_fold(re_set *s, pi_error *err)
{
    PI_TRY(pi_re_set_finish(s, s->start, false, err));
    for (int round = 0; round < 2; round++) { /* twice: long s, capital S, small s */
        PI_TRY(fold_once(s, true, err));
        PI_TRY(fold_once(s, false, err));
    }
    return PI_E_OK;
}
