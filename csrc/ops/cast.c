/* SPDX-License-Identifier: Apache-2.0 */
/* Cast and CastLike between all element types. Floats become integers towards zero; what does not fit is saturated and
 * NaN is 0 (ONNX leaves that open). Integers become narrower ones by their low bits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "base/threads.h"
#include "ops/block.h"
#include "ops/number_text.h"
#include "ops/ops.h"

enum { GRAIN = 1 << 15 };

/* ---- the target ---- */

static pi_dtype target_by_name(const char *name)
{
    static const struct {
        const char *name;
        pi_dtype dtype;
    } names[] = {{"FLOAT", PI_DTYPE_F32}, {"DOUBLE", PI_DTYPE_F64}, {"FLOAT16", PI_DTYPE_F16}, {"BOOL", PI_DTYPE_BOOL},
                 {"INT8", PI_DTYPE_I8},   {"INT16", PI_DTYPE_I16},  {"INT32", PI_DTYPE_I32},   {"INT64", PI_DTYPE_I64},
                 {"UINT8", PI_DTYPE_U8},  {"UINT16", PI_DTYPE_U16}, {"UINT32", PI_DTYPE_U32},  {"UINT64", PI_DTYPE_U64}};
    for (size_t i = 0; i < PI_COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) return names[i].dtype;
    return PI_DTYPE_NONE;
}

static pi_status cast_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (node->op->since < 6) {
        const char *to = pi_attr_string(node, "to");
        out[0].dtype = target_by_name(to);
        if (out[0].dtype == PI_DTYPE_NONE) return pi_fail(err, PI_E_MODEL, "attribute 'to' is '%.40s', no type", to);
        return pi_infer_same(node, in, out, err);
    }
    int64_t to = pi_attr_int(node, "to");
    out[0].dtype = pi_dtype_from_id(to);
    if (out[0].dtype == PI_DTYPE_NONE)
        return pi_fail(err, to == 27 || to == 28 ? PI_E_UNSUPPORTED : PI_E_MODEL, "attribute 'to' is %lld, no known type",
                       (long long)to);
    if (out[0].dtype == PI_DTYPE_C64 || out[0].dtype == PI_DTYPE_C128)
        return pi_fail(err, PI_E_MODEL, "attribute 'to' is a complex type");
    return pi_infer_same(node, in, out, err);
}

static pi_status cast_like_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    out[0].dtype = in[1]->dtype;
    return pi_infer_same(node, in, out, err);
}

static bool row_has(const pi_node *node, const char *attr)
{
    for (const pi_attr_def *d = node->op->attrs; d && d->name; d++)
        if (strcmp(d->name, attr) == 0) return true;
    return false;
}

static unsigned rounding_of(const pi_node *node)
{
    unsigned r = row_has(node, "saturate") && !pi_attr_int(node, "saturate") ? PI_ROUND_PLAIN : PI_ROUND_SATURATE;
    const char *mode = row_has(node, "round_mode") ? pi_attr_string(node, "round_mode") : "up";
    if (strcmp(mode, "down") == 0) r |= PI_ROUND_DOWN;
    if (strcmp(mode, "nearest") == 0) r |= PI_ROUND_NEAREST;
    return r;
}

/* ---- numbers to numbers ---- */

typedef struct {
    const pi_tensor *x;
    pi_tensor *y;
    unsigned rounding;
} cast_task;

static void cast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const cast_task *t = arg;
    pi_dtype from = t->x->dtype, to = t->y->dtype;
    bool integers = !pi_dtype_is_float(from) && !pi_dtype_is_float(to);
    const void *x = pi_at(t->x->data, from, begin);
    void *y = pi_at_mut(t->y->data, to, begin); /* may be x where the sizes are the same */
    if (from == to) {
        memmove(y, x, (size_t)(end - begin) * pi_dtype_size(to));
        return;
    }
    if (to == PI_DTYPE_F32 && from != PI_DTYPE_F64) {
        pi_read_f32(from, x, 1, end - begin, y);
        return;
    }
    if (from == PI_DTYPE_F32 && (to == PI_DTYPE_F16 || to == PI_DTYPE_BF16 || to == PI_DTYPE_I64)) {
        pi_write_f32(to, y, 1, end - begin, x);
        return;
    }
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        x = pi_at(t->x->data, from, at);
        y = pi_at_mut(t->y->data, to, at);
        if (integers) {
            int64_t v[PI_BLOCK];
            pi_read_i64(from, x, 1, n, v);
            pi_write_i64(to, y, 1, n, v);
        } else {
            double v[PI_BLOCK];
            pi_read_f64(from, x, 1, n, v);
            pi_write_f64_as(to, y, 1, n, v, t->rounding);
        }
    }
}

/* ---- strings ---- */

static pi_status numbers_to_strings(const pi_call *call, pi_error *err)
{
    const pi_tensor *x = call->in[0];
    const pi_str **y = call->out[0]->data;
    int64_t n = pi_tensor_n(x);
    for (int64_t i = 0; i < n; i++) {
        char text[PI_NUMBER_TEXT];
        int length;
        const void *p = pi_at(x->data, x->dtype, i);
        int64_t v;
        double d;
        if (pi_dtype_is_float(x->dtype)) {
            pi_read_f64(x->dtype, p, 1, 1, &d);
            length = (int)pi_number_write(d, x->dtype != PI_DTYPE_F64, text);
        } else {
            pi_read_i64(x->dtype, p, 1, 1, &v);
            if (x->dtype == PI_DTYPE_BOOL)
                length = snprintf(text, sizeof text, "%s", v ? "True" : "False");
            else if (x->dtype == PI_DTYPE_U64)
                length = snprintf(text, sizeof text, "%" PRIu64, (uint64_t)v);
            else
                length = snprintf(text, sizeof text, "%" PRId64, v);
        }
        if (!(y[i] = pi_str_new(call->run->strings, text, (size_t)length, err))) return pi_alloc_status(err);
    }
    return PI_E_OK;
}

/* All of the text is a decimal integer that fits. */
static bool read_integer(const pi_str *s, int64_t *v)
{
    const char *c = s->bytes, *end = s->bytes + s->n;
    bool minus = c < end && *c == '-';
    if (c < end && (*c == '-' || *c == '+')) c++;
    if (c == end) return false;
    uint64_t u = 0;
    for (; c < end; c++)
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(u, 10u, &u) ||
            __builtin_add_overflow(u, (uint64_t)(*c - '0'), &u))
            return false;
    *v = (int64_t)(minus ? -u : u);
    return true;
}

static pi_status strings_to_numbers(const pi_call *call, pi_error *err)
{
    const pi_str *const *x = call->in[0]->data;
    pi_tensor *y = call->out[0];
    int64_t n = pi_tensor_n(y);
    for (int64_t i = 0; i < n; i++) {
        void *p = pi_at_mut(y->data, y->dtype, i);
        int64_t v;
        double d;
        if (x[i] && !pi_dtype_is_float(y->dtype) && read_integer(x[i], &v))
            pi_write_i64(y->dtype, p, 1, 1, &v);
        else if (x[i] && pi_number_read(x[i]->bytes, x[i]->n, &d))
            pi_write_f64_as(y->dtype, p, 1, 1, &d, rounding_of(call->node));
        else
            return pi_fail(err, PI_E_INPUT, "element %lld, '%.40s', is not a number", (long long)i, x[i] ? x[i]->bytes : "");
    }
    return PI_E_OK;
}

static pi_status cast_run(const pi_call *call, pi_error *err)
{
    cast_task t = {call->in[0], call->out[0], rounding_of(call->node)};
    if (t.x->dtype != t.y->dtype && t.x->dtype == PI_DTYPE_STRING) return strings_to_numbers(call, err);
    if (t.x->dtype != t.y->dtype && t.y->dtype == PI_DTYPE_STRING) return numbers_to_strings(call, err);
    pi_parallel(call->run->threads, pi_tensor_n(t.x), GRAIN, cast_chunk, &t);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl cast_impls[] = {{"ref", NULL, NULL, cast_run, 1}, {0}};

#define TO {"to", PI_ATTR_INT, true, 0, 0, NULL}
#define SATURATE {"saturate", PI_ATTR_INT, false, 1, 0, NULL}
#define ROUND_MODE {"round_mode", PI_ATTR_STRING, false, 0, 0, "up"}
static const pi_attr_def cast_v1[] = {{"to", PI_ATTR_STRING, true, 0, 0, NULL}, {0}};
static const pi_attr_def cast_v6[] = {TO, {0}};
static const pi_attr_def cast_v19[] = {TO, SATURATE, {0}};
static const pi_attr_def cast_v24[] = {TO, SATURATE, ROUND_MODE, {0}};
static const pi_attr_def like_v19[] = {SATURATE, {0}};
static const pi_attr_def like_v24[] = {SATURATE, ROUND_MODE, {0}};

#define CASTABLE (PI_ANY & ~(PI_BIT(C64) | PI_BIT(C128)))
#define CAST(version, attributes)                                                                                \
    {.name = "Cast", .since = version, .signature = "input:T -> output:any", .T = CASTABLE,                         \
     .flags = PI_OP_ELEMENTWISE, .attrs = attributes, .infer = cast_infer, .impls = cast_impls}
#define CAST_LIKE(version, attributes)                                                                           \
    {.name = "CastLike", .since = version, .signature = "input:T target_type:U -> output:U", .T = CASTABLE,         \
     .U = CASTABLE, .attrs = attributes, .infer = cast_like_infer, .impls = cast_impls}

static const pi_op rows[] = {
    CAST(1, cast_v1),       CAST(6, cast_v6),          CAST(19, cast_v19),        CAST(24, cast_v24),
    CAST_LIKE(15, NULL),    CAST_LIKE(19, like_v19),   CAST_LIKE(24, like_v24),
};
const pi_op_family pi_ops_cast = {rows, PI_COUNT(rows)};
