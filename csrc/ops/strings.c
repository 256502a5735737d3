/* SPDX-License-Identifier: Apache-2.0 */
/* StringConcat, StringSplit, StringNormalizer, RegexFullMatch. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "base/str.h"
#include "base/threads.h"
#include "ops/bcast.h"
#include "ops/lookup.h"
#include "ops/move.h"
#include "ops/prep.h"
#include "ops/regex.h"
#include "ops/utf8.h"

static pi_text text_of(const pi_str *s) { return s ? (pi_text){s->bytes, s->n} : (pi_text){"", 0}; }

static pi_status add_string(const pi_call *call, const char *bytes, size_t n, const pi_str **to, pi_error *err)
{
    *to = n ? pi_str_new(call->run->strings, bytes, n, err) : NULL;
    return n && !*to ? pi_alloc_status(err) : PI_E_OK;
}

/* A new string with room for n bytes, to be filled. */
static pi_str *room_for(const pi_call *call, size_t n, pi_error *err)
{
    size_t bytes;
    if (!pi_add(n, sizeof(pi_str) + 1, &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "a string is too long");
        return NULL;
    }
    pi_str *s = pi_arena_alloc(call->run->strings, bytes, err);
    if (s) s->n = n;
    return s;
}

/* ---- StringConcat ---- */

static pi_status concat_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_str *const *x = call->in[0]->data, *const *y = call->in[1]->data, **z = call->out[0]->data;
    pi_bcast b;
    pi_bcast_init(&b, call->out[0], call->in, 2);
    int64_t total = pi_tensor_n(call->out[0]);
    for (int64_t at = 0, n; at < total; at += n) {
        int64_t offset[PI_BCAST_INPUTS];
        n = pi_min_i64(pi_bcast_at(&b, at, offset), total - at);
        for (int64_t i = 0; i < n; i++) {
            const pi_str *p = x[offset[0] + i * pi_bcast_step(&b, 0)], *q = y[offset[1] + i * pi_bcast_step(&b, 1)];
            if (!p || !q || !p->n || !q->n) {
                z[at + i] = p && p->n ? p : q;
                continue;
            }
            pi_str *s = room_for(call, p->n + q->n, err);
            if (!s) return pi_alloc_status(err);
            memcpy(s->bytes, p->bytes, p->n);
            memcpy(s->bytes + p->n, q->bytes, q->n);
            z[at + i] = s;
        }
    }
    return PI_E_OK;
}

/* ---- StringSplit ---- */

static pi_status split_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (in[0]->rank >= PI_MAX_RANK)
        return pi_fail(err, PI_E_LIMIT, "an input of rank %d has no room for one more", in[0]->rank);
    if (node->n_out > 1) pi_tensor_set_shape(&out[1], in[0]->rank, in[0]->dim);
    return PI_E_OK; /* how many pieces there are depends on the strings */
}

/* Where the pieces of a string are, one after the other, as Python's str.split finds them. */
typedef struct {
    const char *at, *end;
    pi_text separator; /* empty: blanks */
    int64_t left;      /* splits that may be done; negative: any number */
    bool done;
} splitter;

static const char *skip_space(const char *p, const char *end, bool space)
{
    int n;
    for (; p < end; p += n) {
        int32_t c = pi_utf8_next(p, (size_t)(end - p), &n);
        if (pi_char_is_space(c) != space) break;
    }
    return p;
}

static bool split_next(splitter *s, pi_text *piece)
{
    if (s->done) return false;
    if (s->separator.n == 0) s->at = skip_space(s->at, s->end, true);
    if (s->separator.n == 0 && s->at == s->end) return false;
    const char *stop = s->end, *next = s->end;
    s->done = true;
    if (s->left != 0 && s->separator.n) {
        const char *hit = memmem(s->at, (size_t)(s->end - s->at), s->separator.bytes, s->separator.n);
        if (hit) {
            stop = hit;
            next = hit + s->separator.n;
            s->done = false;
        }
    } else if (s->left != 0) {
        stop = next = skip_space(s->at, s->end, false);
        s->done = false;
    }
    if (s->left > 0) s->left--;
    *piece = (pi_text){s->at, (size_t)(stop - s->at)};
    s->at = next;
    return true;
}

static splitter split_open(const pi_node *node, const pi_str *s)
{
    const pi_attr *delimiter = pi_attr_find(node, "delimiter"), *most = pi_attr_find(node, "maxsplit");
    pi_text t = text_of(s);
    return (splitter){.at = t.bytes,
                      .end = t.bytes + t.n,
                      .separator = delimiter ? delimiter->s : (pi_text){"", 0},
                      .left = most ? most->i : -1};
}

static pi_status split_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = call->in[0];
    const pi_str *const *x = in->data;
    int64_t n = pi_tensor_n(in), most = 0, dim[PI_MAX_RANK];
    if (pi_move_wants(call, 1)) PI_TRY(pi_call_output(call, 1, in->rank, in->dim, err));
    int64_t *counts = pi_move_wants(call, 1) ? call->out[1]->data : NULL;
    pi_text piece;
    for (int64_t i = 0; i < n; i++) {
        int64_t count = 0;
        for (splitter s = split_open(call->node, x[i]); split_next(&s, &piece);) count++;
        most = pi_max_i64(most, count);
        if (counts) counts[i] = count;
    }
    if (!call->out[0]) return PI_E_OK;
    for (int i = 0; i < in->rank; i++) dim[i] = in->dim[i];
    dim[in->rank] = most;
    PI_TRY(pi_call_output(call, 0, in->rank + 1, dim, err));
    const pi_str **y = call->out[0]->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = 0;
        for (splitter s = split_open(call->node, x[i]); k < most && split_next(&s, &piece); k++)
            PI_TRY(add_string(call, piece.bytes, piece.n, &y[i * most + k], err));
        for (; k < most; k++) y[i * most + k] = NULL;
        if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
    }
    return PI_E_OK;
}

/* ---- StringNormalizer ---- */

typedef struct {
    pi_lookup stop;
    int action; /* 0: none, -1: lower, 1: upper */
} normal_state;

static pi_status normal_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (in[0]->rank != 1 && !(in[0]->rank == 2 && in[0]->dim[0] == 1)) {
        char have[200];
        return pi_fail(err, PI_E_MODEL, "X is %s, expected [C] or [1, C]", pi_tensor_text(in[0], have, sizeof have));
    }
    const char *action = pi_attr_string(node, "case_change_action");
    if (strcmp(action, "NONE") != 0 && strcmp(action, "LOWER") != 0 && strcmp(action, "UPPER") != 0)
        return pi_fail(err, PI_E_MODEL, "case_change_action is '%.40s', expected NONE, LOWER or UPPER", action);
    const pi_attr *stop = pi_attr_find(node, "stopwords");
    if (!stop || !stop->n) return pi_infer_same(node, in, out, err);
    return PI_E_OK; /* how many strings stay depends on them */
}

static pi_status normal_prepare(pi_prep *prep, pi_error *err)
{
    normal_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    const char *action = pi_attr_string(prep->node, "case_change_action");
    const pi_attr *stop = pi_attr_find(prep->node, "stopwords");
    s->action = action[0] == 'L' ? -1 : action[0] == 'U';
    if (stop && stop->n) {
        s->stop =
            (pi_lookup){.n = stop->n, .texts = stop->strings, .fold = !pi_attr_int(prep->node, "is_case_sensitive")};
        PI_TRY(pi_lookup_sort(&s->stop, prep, err));
    }
    prep->state = s;
    prep->scratch = (size_t)pi_tensor_n(prep->in[0]);
    return PI_E_OK;
}

/* Bytes of the text in the other case; `out` NULL: only counts. What is no UTF-8 stays. */
static size_t change_case(pi_text t, bool upper, char *out)
{
    size_t to = 0;
    int n;
    for (size_t i = 0; i < t.n; i += (size_t)n) {
        char bytes[4];
        int32_t c = pi_utf8_next(t.bytes + i, t.n - i, &n);
        int written = 1;
        if (c < 0)
            bytes[0] = t.bytes[i];
        else
            written = pi_utf8_put(upper ? pi_char_upper(c) : pi_char_lower(c), bytes);
        if (out) memcpy(out + to, bytes, (size_t)written);
        to += (size_t)written;
    }
    return to;
}

static pi_status normal_run(const pi_call *call, pi_error *err)
{
    const normal_state *s = call->state;
    const pi_tensor *in = call->in[0];
    const pi_str *const *x = in->data;
    int64_t n = pi_tensor_n(in), kept = 0, dim[2] = {1, 1};
    uint8_t *keep = call->scratch;
    if (!call->out[0]) return PI_E_OK;
    for (int64_t i = 0; i < n; i++) {
        pi_text t = text_of(x[i]);
        keep[i] = s->stop.n == 0 || pi_lookup_text(&s->stop, t.bytes, t.n) < 0;
        kept += keep[i];
    }
    dim[in->rank - 1] = s->stop.n ? pi_max_i64(kept, 1) : n;
    if (s->stop.n || !call->out[0]->data) PI_TRY(pi_call_output(call, 0, in->rank, dim, err));
    const pi_str **y = call->out[0]->data;
    if (s->stop.n && kept == 0) y[0] = NULL; /* an empty string stands for nothing */
    for (int64_t i = 0; i < n; i++) {
        if (!keep[i]) continue;
        if (s->action == 0 || !x[i]) {
            *y++ = x[i];
            continue;
        }
        pi_str *changed = room_for(call, change_case(text_of(x[i]), s->action > 0, NULL), err);
        if (!changed) return pi_alloc_status(err);
        (void)change_case(text_of(x[i]), s->action > 0, changed->bytes);
        *y++ = changed;
    }
    return PI_E_OK;
}

/* ---- RegexFullMatch ---- */

typedef struct {
    pi_regex *regex;
    size_t scratch; /* of one thread */
} match_state;

typedef struct {
    const pi_call *call;
    const match_state *state;
} match_job;

static pi_status match_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (!pi_attr_find(node, "pattern")) return pi_fail(err, PI_E_MODEL, "attribute 'pattern' is missing");
    return pi_infer_same(node, in, out, err);
}

static void regex_free(void *regex) { pi_regex_free(regex); }

static pi_status match_prepare(pi_prep *prep, pi_error *err)
{
    match_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    const pi_text *pattern = &pi_attr_find(prep->node, "pattern")->s;
    PI_TRY(pi_regex_new(prep->services->arena.heap, pattern->bytes, pattern->n, &s->regex, err));
    PI_TRY(pi_prep_own(prep, regex_free, s->regex, err));
    s->scratch = pi_regex_scratch(s->regex);
    prep->state = s;
    if (!pi_mul(s->scratch, (size_t)pi_max_i64(prep->threads, 1), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many threads");
    return PI_E_OK;
}

static void match_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const match_job *job = arg;
    const pi_call *call = job->call;
    char *scratch = (char *)call->scratch + (size_t)thread * job->state->scratch;
    const pi_str *const *x = call->in[0]->data;
    uint8_t *y = call->out[0]->data;
    for (int64_t i = begin; i < end && !pi_cancelled(call); i++) {
        pi_text t = text_of(x[i]);
        y[i] = pi_regex_full_match(job->state->regex, t.bytes, t.n, scratch, call->run->cancel);
    }
}

static pi_status match_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), 64, match_chunk, &(match_job){call, call->state});
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl concat_impls[] = {{.name = "ref", .run = concat_run}, {0}};
static const pi_impl split_impls[] = {{.name = "ref", .run = split_run}, {0}};
static const pi_impl normal_impls[] = {{.name = "ref", .prepare = normal_prepare, .run = normal_run}, {0}};
static const pi_impl match_impls[] = {{.name = "ref", .prepare = match_prepare, .run = match_run}, {0}};

static const pi_attr_def split_attrs[] = {
    {.name = "delimiter", .kind = PI_ATTR_STRING}, {.name = "maxsplit", .kind = PI_ATTR_INT}, {0}};
static const pi_attr_def normal_attrs[] = {{.name = "case_change_action", .kind = PI_ATTR_STRING, .s = "NONE"},
                                           {.name = "is_case_sensitive", .kind = PI_ATTR_INT},
                                           {.name = "locale", .kind = PI_ATTR_STRING},
                                           {.name = "stopwords", .kind = PI_ATTR_STRINGS},
                                           {0}};
static const pi_attr_def match_attrs[] = {{.name = "pattern", .kind = PI_ATTR_STRING}, {0}};

static const pi_op rows[] = {
    {.name = "StringConcat",
     .since = 20,
     .signature = "X:str Y:str -> Z:str",
     .infer = pi_infer_broadcast,
     .impls = concat_impls},
    {.name = "StringSplit",
     .since = 20,
     .signature = "X:str -> Y:str Z:i64",
     .attrs = split_attrs,
     .infer = split_infer,
     .impls = split_impls},
    {.name = "StringNormalizer",
     .since = 10,
     .signature = "X:str -> Y:str",
     .attrs = normal_attrs,
     .infer = normal_infer,
     .impls = normal_impls},
    {.name = "RegexFullMatch",
     .since = 20,
     .signature = "X:str -> Y:bool",
     .attrs = match_attrs,
     .infer = match_infer,
     .impls = match_impls},
};
const pi_op_family pi_ops_strings = {rows, PI_COUNT(rows)};
