/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of the file made fit to be shown: valid UTF-8 without control characters. */
#include <stdio.h>
#include <string.h>
#include "model/reader.h"

/* Bytes of the valid UTF-8 sequence at s.p[i], 0 if there is none. */
static size_t utf8_length(pi_span s, size_t i)
{
    uint8_t c = s.p[i];
    size_t left = s.n - i;
    if (c < 0x80) return 1;
    size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t k = 1; k < n; k++)
        if ((s.p[i + k] & 0xc0) != 0x80) return 0;
    uint8_t d = s.p[i + 1];
    if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d >= 0xa0) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d >= 0x90)) return 0;
    return n;
}

/* At most `room` - 1 bytes and a NUL, never half a character. Returns the length. */
static size_t clean(char *out, size_t room, pi_span s, bool keep_lines)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        size_t k = utf8_length(s, i);
        bool line = s.p[i] == '\n' || s.p[i] == '\t' || s.p[i] == '\r';
        bool ok = k > 1 || (k == 1 && ((s.p[i] >= 0x20 && s.p[i] != 0x7f) || (keep_lines && line)));
        if (n + (ok ? k : 1) >= room) break;
        if (ok)
            memcpy(out + n, s.p + i, k);
        else
            out[n] = '?';
        n += ok ? k : 1;
        i += k ? k : 1;
    }
    out[n] = '\0';
    return n;
}

const char *read_name(pi_reader *r, const char *prefix, pi_span s, pi_error *err)
{
    size_t before = prefix ? strlen(prefix) : 0;
    if (s.n > PI_MAX_NAME) {
        (void)pi_fail(err, PI_E_LIMIT, "the name '%.60s...' has %zu bytes, at most %d are allowed", read_text(r, s), s.n,
                      PI_MAX_NAME);
        return NULL;
    }
    if (!r->name && !(r->name = pi_arena_alloc(&r->arena, PI_MAX_NAME + 512, err))) return NULL;
    if (before > 500) before = 500;
    if (before) memcpy(r->name, prefix, before);
    (void)clean(r->name + before, PI_MAX_NAME + 512 - before, s, false);
    return r->name;
}

const char *read_text(pi_reader *r, pi_span s)
{
    char *text = r->text[r->next_text++ % READ_TEXTS];
    (void)clean(text, READ_TEXT, s, false);
    return text;
}

const char *read_copy(pi_arena *arena, pi_span s, pi_error *err)
{
    char *text = pi_arena_alloc(arena, s.n + 1, err);
    if (text) (void)clean(text, s.n + 1, s, true);
    return text;
}

/* ---- stack traces ---- */

static pi_span trim(pi_span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

/* Cuts the next line off the front. */
static pi_span next_line(pi_span *rest)
{
    const uint8_t *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    pi_span line = {rest->p, nl ? (size_t)(nl - rest->p) : rest->n};
    size_t used = nl ? line.n + 1 : line.n;
    rest->p += used;
    rest->n -= used;
    return trim(line);
}

static bool contains(pi_span s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (memcmp(s.p + i, word, n) == 0) return true;
    return false;
}

void read_source_line(pi_span trace, char *text, size_t size)
{
    static const char opening[] = "File \"";
    pi_span path = {0}, place = {0}, code = {0};
    bool user_found = false;
    text[0] = '\0';
    while (trace.n) { /* File "net.py", line 12, in forward / the code of that line */
        pi_span line = next_line(&trace);
        if (line.n < sizeof opening || memcmp(line.p, opening, sizeof opening - 1) != 0) continue;
        line.p += sizeof opening - 1;
        line.n -= sizeof opening - 1;
        const uint8_t *quote = memchr(line.p, '"', line.n);
        if (!quote) continue;
        pi_span file = {line.p, (size_t)(quote - line.p)};
        bool user = !contains(file, "site-packages/") && !contains(file, "dist-packages/") && !contains(file, "/torch/");
        if (!user && user_found) continue;
        user_found = user_found || user;
        path = file;
        place = (pi_span){quote + 1, line.n - file.n - 1};
        pi_span rest = trace;
        code = next_line(&rest);
        if (code.n >= sizeof opening && memcmp(code.p, opening, sizeof opening - 1) == 0) code.n = 0;
    }
    if (!path.n) return;
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/' || path.p[i] == '\\') {
            path = (pi_span){path.p + i + 1, path.n - i - 1};
            break;
        }
    static const char comma_line[] = ", line ";
    if (place.n >= sizeof comma_line && memcmp(place.p, comma_line, sizeof comma_line - 1) == 0) {
        place.p += sizeof comma_line - 1;
        place.n -= sizeof comma_line - 1;
    }
    char where[64], what[100];
    (void)clean(where, sizeof where, place, false);
    (void)clean(what, sizeof what, code, false);
    char file[64];
    (void)clean(file, sizeof file, path, false);
    (void)snprintf(text, size, "%s:%s%s%s%s", file, where, what[0] ? ": " : "", what, code.n >= sizeof what ? "..." : "");
}
