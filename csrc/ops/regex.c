/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a pattern and writes its program in one pass, without recursion: groups are frames on a stack of our own. Each
 * part of the program is one stretch that ends by running into what follows, so that repetition copies stretches and
 * alternatives move them. */
#define _GNU_SOURCE /* memmem */
#include "ops/regex.h"
#include <string.h>

#include "base/size.h"
#include "ops/regex_class.h"
#include "ops/utf8.h"

enum { MOST_INSTS = 20000, MOST_DEPTH = 1000, MOST_TIMES = 1000, MOST_PATTERN = 1 << 16 };
enum { FOLD = 1, MULTILINE = 2, DOT_ALL = 4 };

typedef struct {
    int32_t open;   /* first instruction of the group */
    int32_t start;  /* first instruction of the alternative at hand */
    int32_t jumps;  /* last jump to the end of the group, each one's x names the one before; -1: none */
    unsigned flags; /* to return to */
} frame;

typedef struct {
    const char *begin, *at, *end;
    pi_heap *heap;
    re_inst *inst;
    int32_t n, room;
    frame *stack;
    int32_t depth, stack_room;
    int32_t atom; /* first instruction of what a repetition would repeat; -1: nothing */
    bool repeated;
    unsigned flags;
    re_set set;
} parser;

static pi_status wrong(const parser *p, pi_error *err, const char *what)
{
    return pi_fail(err, PI_E_MODEL, "pattern, at byte %lld: %s", (long long)(p->at - p->begin), what);
}

/* ---- instructions ---- */

static pi_status room_for(parser *p, int32_t more, pi_error *err)
{
    if (more > MOST_INSTS - p->n)
        return pi_fail(err, PI_E_LIMIT, "the pattern's program would have more than %d instructions", MOST_INSTS);
    if (p->n + more <= p->room) return PI_E_OK;
    int32_t room = p->room;
    while (room < p->n + more) room = room ? 2 * room : 32;
    re_inst *grown = pi_realloc(p->heap, p->inst, (size_t)room * sizeof *grown, err);
    if (!grown) return pi_alloc_status(err);
    p->inst = grown;
    p->room = room;
    return PI_E_OK;
}

static pi_status emit(parser *p, int32_t op, int32_t x, int32_t y, pi_error *err)
{
    PI_TRY(room_for(p, 1, err));
    p->inst[p->n++] = (re_inst){op, x, y};
    return PI_E_OK;
}

/* An instruction in front of what begins at `at`. */
static pi_status insert(parser *p, int32_t at, int32_t op, int32_t x, int32_t y, pi_error *err)
{
    PI_TRY(room_for(p, 1, err));
    memmove(p->inst + at + 1, p->inst + at, (size_t)(p->n - at) * sizeof *p->inst);
    p->n++;
    p->inst[at] = (re_inst){op, x, y};
    return PI_E_OK;
}

static pi_status emit_atom(parser *p, int32_t op, int32_t x, int32_t y, pi_error *err)
{
    p->atom = p->n;
    p->repeated = false;
    return emit(p, op, x, y, err);
}

/* The set from set.start on becomes one instruction. */
static pi_status emit_set(parser *p, bool negate, pi_error *err)
{
    if (p->flags & FOLD) PI_TRY(pi_re_set_fold(&p->set, err));
    PI_TRY(pi_re_set_finish(&p->set, p->set.start, negate, err));
    int32_t start = p->set.start;
    p->set.start = p->set.n;
    return emit_atom(p, RE_CLASS, start, p->set.n - start, err);
}

static pi_status emit_char(parser *p, int32_t c, pi_error *err)
{
    if (!(p->flags & FOLD)) return emit_atom(p, RE_CHAR, c, 0, err);
    PI_TRY(pi_re_set_add(&p->set, c, c, err));
    return emit_set(p, false, err);
}

/* ---- repetition ---- */

/* x becomes x{least,most}; most -1: any number. */
static pi_status repeat(parser *p, int32_t least, int32_t most, pi_error *err)
{
    int32_t a = p->atom, len = p->n - a;
    if (least == 0 && most == 0) {
        p->n = a;
        return PI_E_OK;
    }
    int64_t copies = most < 0 ? least : most, size = copies * (len + 1) + len + 2;
    if (size > MOST_INSTS) return room_for(p, MOST_INSTS + 1, err);
    PI_TRY(room_for(p, (int32_t)size, err));
    if (least == 0 && most < 0) { /* x*: split over it, and back */
        PI_TRY(insert(p, a, RE_SPLIT, 1, len + 2, err));
        return emit(p, RE_JUMP, -(len + 1), 0, err);
    }
    if (least == 0) { /* x?, and further ones inside */
        PI_TRY(insert(p, a, RE_SPLIT, 1, len + 1, err));
        for (int32_t i = 1; i < most; i++, p->n += len + 1)
            memcpy(p->inst + p->n, p->inst + a, (size_t)(len + 1) * sizeof *p->inst);
        for (int32_t i = 0; i < most; i++) p->inst[a + i * (len + 1)].y = p->n - (a + i * (len + 1));
        return PI_E_OK;
    }
    for (int32_t i = 1; i < least; i++, p->n += len) memcpy(p->inst + p->n, p->inst + a, (size_t)len * sizeof *p->inst);
    if (most < 0) return emit(p, RE_SPLIT, -len, 1, err); /* the last one again and again */
    int32_t tail = p->n;
    for (int32_t i = least; i < most; i++, p->n += len + 1) {
        p->inst[p->n] = (re_inst){RE_SPLIT, 1, 0};
        memcpy(p->inst + p->n + 1, p->inst + a, (size_t)len * sizeof *p->inst);
    }
    for (int32_t at = tail; at < p->n; at += len + 1) p->inst[at].y = p->n - at;
    return PI_E_OK;
}

/* "{2}", "{2,}", "{2,5}" at p->at; false and nothing read if it is not that: then it is a literal brace. */
static bool read_times(parser *p, int32_t *least, int32_t *most)
{
    int32_t v[2] = {-1, -1};
    const char *c = p->at + 1;
    for (int i = 0; i < 2; i++) {
        for (; c < p->end && *c >= '0' && *c <= '9'; c++)
            if ((v[i] = (v[i] < 0 ? 0 : v[i]) * 10 + (*c - '0')) > MOST_TIMES) v[i] = MOST_TIMES + 1;
        if (v[0] < 0) return false;
        if (i == 0 && c < p->end && *c == '}') {
            v[1] = v[0];
            break;
        }
        if (c == p->end || *c != (i == 0 ? ',' : '}')) return false;
        if (i == 0) c++;
    }
    *least = v[0];
    *most = v[1];
    p->at = c + 1;
    return true;
}

static pi_status read_repetition(parser *p, pi_error *err)
{
    int32_t least = *p->at == '+', most = *p->at == '?' ? 1 : -1;
    if (p->atom < 0) return wrong(p, err, "there is nothing to repeat");
    if (p->repeated) return wrong(p, err, "a repetition cannot be repeated without a group");
    if (*p->at == '{')
        (void)read_times(p, &least, &most); /* the caller saw that it is one */
    else
        p->at++;
    if (least > MOST_TIMES || most > MOST_TIMES) return wrong(p, err, "at most 1000 repetitions are allowed");
    if (most >= 0 && most < least) return wrong(p, err, "the repetition ends before it begins");
    if (p->at < p->end && *p->at == '?') p->at++; /* a match has no preference here */
    PI_TRY(repeat(p, least, most, err));
    p->repeated = true;
    return PI_E_OK;
}

/* ---- groups ---- */

static pi_status open_frame(parser *p, unsigned outer_flags, pi_error *err)
{
    if (p->depth == MOST_DEPTH) return pi_fail(err, PI_E_LIMIT, "the pattern nests more than %d groups", MOST_DEPTH);
    if (p->depth == p->stack_room) {
        int32_t room = p->stack_room ? 2 * p->stack_room : 8;
        frame *grown = pi_realloc(p->heap, p->stack, (size_t)room * sizeof *grown, err);
        if (!grown) return pi_alloc_status(err);
        p->stack = grown;
        p->stack_room = room;
    }
    p->stack[p->depth++] = (frame){p->n, p->n, -1, outer_flags};
    p->atom = -1;
    return PI_E_OK;
}

static void close_frame(parser *p)
{
    frame f = p->stack[--p->depth];
    for (int32_t at = f.jumps, before; at >= 0; at = before) {
        before = p->inst[at].x;
        p->inst[at].x = p->n - at;
    }
    p->flags = f.flags;
    p->atom = f.open;
    p->repeated = false;
}

static pi_status next_alternative(parser *p, pi_error *err)
{
    frame *f = &p->stack[p->depth - 1];
    PI_TRY(insert(p, f->start, RE_SPLIT, 1, p->n + 2 - f->start, err));
    PI_TRY(emit(p, RE_JUMP, f->jumps, 0, err));
    f->jumps = p->n - 1;
    f->start = p->n;
    p->atom = -1;
    return PI_E_OK;
}

static pi_status read_group(parser *p, pi_error *err)
{
    unsigned outer = p->flags, flags = p->flags;
    bool on = true;
    p->at++;
    if (p->at == p->end || *p->at != '?') return open_frame(p, outer, err);
    const char *c = p->at + 1;
    size_t left = (size_t)(p->end - c);
    if (left && (*c == '=' || *c == '!')) return wrong(p, err, "looking ahead is not in RE2's syntax");
    if (left > 1 && *c == '<' && (c[1] == '=' || c[1] == '!'))
        return wrong(p, err, "looking behind is not in RE2's syntax");
    if (left > 1 && (*c == '<' || (*c == 'P' && c[1] == '<'))) {
        const char *name = c + (*c == 'P' ? 2 : 1), *stop = memchr(name, '>', (size_t)(p->end - name));
        if (!stop || stop == name) return wrong(p, err, "the name of a group is missing");
        p->at = stop + 1;
        return open_frame(p, outer, err);
    }
    for (; c < p->end; c++) {
        unsigned bit = *c == 'i' ? FOLD : *c == 'm' ? MULTILINE : *c == 's' ? DOT_ALL : 0;
        if (*c == '-' && on) {
            on = false;
        } else if (bit || *c == 'U') {
            flags = on ? flags | bit : flags & ~bit;
        } else if (*c == ':' || *c == ')') {
            p->at = c + 1;
            p->flags = flags;
            p->atom = -1;
            return *c == ':' ? open_frame(p, outer, err) : PI_E_OK;
        } else {
            break;
        }
    }
    p->at = c;
    return wrong(p, err, "this kind of group is not in RE2's syntax");
}

/* ---- characters ---- */

static pi_status read_char(parser *p, int32_t *c, pi_error *err)
{
    int n;
    *c = pi_utf8_next(p->at, (size_t)(p->end - p->at), &n);
    if (*c < 0) return wrong(p, err, "not UTF-8");
    p->at += n;
    return PI_E_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static pi_status read_hex(parser *p, int32_t *c, pi_error *err)
{
    bool braces = p->at < p->end && *p->at == '{';
    int digits = 0;
    *c = 0;
    for (p->at += braces; p->at < p->end && hex_digit(*p->at) >= 0 && digits < (braces ? 8 : 2) && *c <= RE_LAST_CHAR;
         digits++)
        *c = *c * 16 + hex_digit(*p->at++);
    bool closed = !braces || (p->at < p->end && *p->at == '}');
    if (!closed || digits == 0 || (!braces && digits != 2) || *c > RE_LAST_CHAR)
        return wrong(p, err, "a character code after \\x is wrong");
    p->at += braces;
    return PI_E_OK;
}

/* A character after a backslash (p->at is behind it). */
static pi_status read_escape(parser *p, int32_t *c, pi_error *err)
{
    static const char names[] = "a\af\fn\nr\rt\tv\v";
    if (p->at == p->end) return wrong(p, err, "a backslash ends the pattern");
    char e = *p->at;
    bool word = (e >= '0' && e <= '9') || (e >= 'A' && e <= 'Z') || (e >= 'a' && e <= 'z') || e == '_';
    if ((uint8_t)e < 0x80 && !word) {
        p->at++;
        *c = e;
        return PI_E_OK;
    }
    for (const char *n = names; *n; n += 2)
        if (*n == e) {
            p->at++;
            *c = n[1];
            return PI_E_OK;
        }
    if (e == 'x') {
        p->at++;
        return read_hex(p, c, err);
    }
    if (e >= '0' &&
        e <= '7') { /* octal: \0 and up to two more, or two digits at least: \1 alone would be a back reference */
        bool next = p->at + 1 < p->end && p->at[1] >= '0' && p->at[1] <= '7';
        if (e != '0' && !next) return wrong(p, err, "back references are not in RE2's syntax");
        *c = 0;
        for (int i = 0; i < 3 && p->at < p->end && *p->at >= '0' && *p->at <= '7'; i++) *c = *c * 8 + (*p->at++ - '0');
        return PI_E_OK;
    }
    if (e == 'p' || e == 'P') return wrong(p, err, "classes of Unicode (\\p) are not supported: list the ranges");
    if (e == '8' || e == '9' || e == 'k') return wrong(p, err, "back references are not in RE2's syntax");
    return wrong(p, err, "this escape is not supported");
}

static bool is_perl_class(const parser *p) /* at a letter behind a backslash */
{
    return p->at < p->end && memchr("dDsSwW", *p->at, 6) != NULL;
}

static pi_status read_class_char(parser *p, int32_t *c, pi_error *err)
{
    if (p->at == p->end) return wrong(p, err, "a bracket is not closed");
    if (*p->at != '\\') return read_char(p, c, err);
    p->at++;
    return read_escape(p, c, err);
}

static pi_status read_class_item(parser *p, pi_error *err)
{
    int32_t first, last;
    if (p->end - p->at > 2 && p->at[0] == '[' && p->at[1] == ':') {
        const char *name = p->at + 2, *stop = memmem(name, (size_t)(p->end - name), ":]", 2);
        bool negate = *name == '^', known;
        if (stop) {
            if (negate) name++;
            PI_TRY(pi_re_set_posix(&p->set, name, stop >= name ? (size_t)(stop - name) : 0, negate, &known, err));
            if (!known) return wrong(p, err, "there is no such class of characters");
            p->at = stop + 2;
            return PI_E_OK;
        }
    }
    if (*p->at == '\\') {
        p->at++;
        if (is_perl_class(p)) return pi_re_set_perl(&p->set, *p->at++, err);
        p->at--;
    }
    PI_TRY(read_class_char(p, &first, err));
    last = first;
    if (p->end - p->at > 1 && p->at[0] == '-' && p->at[1] != ']') {
        p->at++;
        PI_TRY(read_class_char(p, &last, err));
    }
    if (last < first) return wrong(p, err, "a range of characters ends before it begins");
    return pi_re_set_add(&p->set, first, last, err);
}

static pi_status read_class(parser *p, pi_error *err)
{
    bool negate = false;
    p->at++;
    if (p->at < p->end && *p->at == '^') {
        negate = true;
        p->at++;
    }
    for (bool first = true; p->at < p->end && (first || *p->at != ']'); first = false) PI_TRY(read_class_item(p, err));
    if (p->at == p->end) return wrong(p, err, "a bracket is not closed");
    p->at++;
    return emit_set(p, negate, err);
}

static pi_status read_quoted(parser *p, pi_error *err) /* \Q...\E */
{
    for (p->at++; p->at < p->end;) {
        if (p->end - p->at > 1 && p->at[0] == '\\' && p->at[1] == 'E') {
            p->at += 2;
            return PI_E_OK;
        }
        int32_t c;
        PI_TRY(read_char(p, &c, err));
        PI_TRY(emit_char(p, c, err));
    }
    return PI_E_OK;
}

static pi_status read_backslash(parser *p, pi_error *err)
{
    static const char asserts[] = "AzbB";
    static const int32_t kinds[] = {RE_TEXT_BEGIN, RE_TEXT_END, RE_WORD_EDGE, RE_NO_WORD_EDGE};
    int32_t c;
    p->at++;
    const char *a = p->at < p->end && *p->at ? strchr(asserts, *p->at) : NULL;
    if (a) {
        p->at++;
        return emit_atom(p, RE_ASSERT, kinds[a - asserts], 0, err);
    }
    if (p->at < p->end && *p->at == 'Q') return read_quoted(p, err);
    if (is_perl_class(p)) {
        PI_TRY(pi_re_set_perl(&p->set, *p->at++, err));
        return emit_set(p, false, err);
    }
    PI_TRY(read_escape(p, &c, err));
    return emit_char(p, c, err);
}

static pi_status read_dot(parser *p, pi_error *err)
{
    p->at++;
    if (!(p->flags & DOT_ALL)) PI_TRY(pi_re_set_add(&p->set, '\n', '\n', err));
    unsigned flags = p->flags;
    p->flags &= ~(unsigned)FOLD; /* all but a line's end: case makes no difference */
    pi_status st = emit_set(p, true, err);
    p->flags = flags;
    return st;
}

static pi_status read_all(parser *p, pi_error *err)
{
    PI_TRY(open_frame(p, 0, err));
    while (p->at < p->end) {
        int32_t c, least, most;
        const char *start = p->at;
        bool times = *p->at == '{' && read_times(p, &least, &most), multi = p->flags & MULTILINE;
        p->at = start;
        switch (times ? '*' : *p->at) {
            case '(':
                PI_TRY(read_group(p, err));
                break;
            case ')':
                if (p->depth == 1) return wrong(p, err, "a parenthesis is closed that was not opened");
                close_frame(p);
                p->at++;
                break;
            case '|':
                PI_TRY(next_alternative(p, err));
                p->at++;
                break;
            case '*':
            case '+':
            case '?':
                PI_TRY(read_repetition(p, err));
                break;
            case '[':
                PI_TRY(read_class(p, err));
                break;
            case '.':
                PI_TRY(read_dot(p, err));
                break;
            case '\\':
                PI_TRY(read_backslash(p, err));
                break;
            case '^':
            case '$':
                PI_TRY(emit_atom(
                    p, RE_ASSERT,
                    *p->at == '^' ? (multi ? RE_LINE_BEGIN : RE_TEXT_BEGIN) : (multi ? RE_LINE_END : RE_TEXT_END), 0,
                    err));
                p->at++;
                break;
            default:
                PI_TRY(read_char(p, &c, err));
                PI_TRY(emit_char(p, c, err));
        }
    }
    if (p->depth > 1) return wrong(p, err, "a parenthesis is not closed");
    close_frame(p);
    return emit(p, RE_MATCH, 0, 0, err);
}

pi_status pi_regex_new(pi_heap *heap, const char *pattern, size_t n, pi_regex **out, pi_error *err)
{
    if (n > MOST_PATTERN)
        return pi_fail(err, PI_E_LIMIT, "the pattern has %zu bytes, at most %d are supported", n, MOST_PATTERN);
    parser p = {.begin = pattern, .at = pattern, .end = pattern + n, .heap = heap, .atom = -1, .set.heap = heap};
    pi_status st = read_all(&p, err);
    *out = st == PI_E_OK ? pi_calloc(heap, 1, sizeof **out, err) : NULL;
    if (st == PI_E_OK && !*out) st = pi_alloc_status(err);
    pi_free(p.stack);
    if (st != PI_E_OK) {
        pi_free(p.inst);
        pi_free(p.set.range);
        return st;
    }
    **out = (pi_regex){.inst = p.inst, .range = p.set.range, .n = p.n, .n_ranges = p.set.n};
    return PI_E_OK;
}

void pi_regex_free(pi_regex *re)
{
    if (!re) return;
    pi_free(re->inst);
    pi_free(re->range);
    pi_free(re);
}
