/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the program of a regular expression over a text: all states at once. */
#include <string.h>
#include "ops/regex_program.h"
#include "ops/utf8.h"

enum { NOTHING = -2, ROUND = 64, POLL = 1 << 12 };

/* Two lists of instructions that wait for a character, marks of those already on the next list, and a stack. */
typedef struct {
    int32_t *now, *next, *stack;
    uint32_t *mark;
    uint32_t turn;
    int32_t n_now, n_next;
} machine;

size_t pi_regex_scratch(const pi_regex *re)
{
    return ((size_t)re->n * 4 * sizeof(int32_t) + ROUND - 1) / ROUND * ROUND;
}

static bool is_word(int32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(int32_t what, int32_t before, int32_t after)
{
    switch (what) {
        case RE_TEXT_BEGIN:
            return before == NOTHING;
        case RE_TEXT_END:
            return after == NOTHING;
        case RE_LINE_BEGIN:
            return before == NOTHING || before == '\n';
        case RE_LINE_END:
            return after == NOTHING || after == '\n';
        case RE_WORD_EDGE:
            return is_word(before) != is_word(after);
        default:
            return is_word(before) == is_word(after);
    }
}

/* Puts what can be reached from `at` without a character on the next list. Each instruction is marked when it goes on
 * the stack, so the stack has room. */
static void follow(const pi_regex *re, machine *m, int32_t at, int32_t before, int32_t after)
{
    int32_t depth = 0;
#define PUSH(place)                    \
    do {                               \
        int32_t to_ = (place);         \
        if (m->mark[to_] != m->turn) { \
            m->mark[to_] = m->turn;    \
            m->stack[depth++] = to_;   \
        }                              \
    } while (0)
    PUSH(at);
    while (depth) {
        int32_t pc = m->stack[--depth];
        const re_inst *i = &re->inst[pc];
        switch (i->op) {
            case RE_JUMP:
                PUSH(pc + i->x);
                break;
            case RE_SPLIT:
                PUSH(pc + i->y);
                PUSH(pc + i->x);
                break;
            case RE_ASSERT:
                if (holds(i->x, before, after)) PUSH(pc + 1);
                break;
            default:
                m->next[m->n_next++] = pc;
        }
    }
#undef PUSH
}

static bool in_class(const pi_regex *re, const re_inst *i, int32_t c)
{
    const re_range *r = re->range + i->x;
    int32_t low = 0, high = i->y;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (r[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < i->y && r[low].first <= c;
}

static void swap(machine *m)
{
    int32_t *list = m->now;
    m->now = m->next;
    m->n_now = m->n_next;
    m->next = list;
    m->n_next = 0;
}

static void turn(const pi_regex *re, machine *m)
{
    if (++m->turn == 0) { /* wrapped round: old marks would look new */
        memset(m->mark, 0, (size_t)re->n * sizeof *m->mark);
        m->turn = 1;
    }
}

bool pi_regex_full_match(const pi_regex *re, const char *text, size_t n, void *scratch, const int *cancel)
{
    int32_t *words = scratch;
    machine m = {.now = words,
                 .next = words + re->n,
                 .stack = words + 2 * (size_t)re->n,
                 .mark = (uint32_t *)words + 3 * (size_t)re->n,
                 .turn = 0};
    int bytes = 0, ahead = 0;
    memset(m.mark, 0, (size_t)re->n * sizeof *m.mark);
    int32_t after = n ? pi_utf8_next(text, n, &ahead) : NOTHING;
    turn(re, &m);
    follow(re, &m, 0, NOTHING, after);
    swap(&m);
    uint64_t work = 0;
    for (size_t at = 0; at < n && m.n_now; at += (size_t)bytes) {
        int32_t c = after;
        bytes = ahead;
        after = at + (size_t)bytes < n ? pi_utf8_next(text + at + bytes, n - at - (size_t)bytes, &ahead) : NOTHING;
        if (c < 0) return false;
        turn(re, &m);
        for (int32_t k = 0; k < m.n_now; k++) {
            int32_t pc = m.now[k];
            const re_inst *i = &re->inst[pc];
            if (i->op == RE_CHAR ? i->x == c : i->op == RE_CLASS && in_class(re, i, c))
                follow(re, &m, pc + 1, c, after);
        }
        work += (uint64_t)m.n_now + 1;
        swap(&m);
        if (work > POLL) {
            if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) return false;
            work = 0;
        }
    }
    for (int32_t k = 0; k < m.n_now; k++)
        if (re->inst[m.now[k]].op == RE_MATCH) return true;
    return false;
}
