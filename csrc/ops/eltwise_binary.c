/* SPDX-License-Identifier: Apache-2.0 */
/* c = f(a, b) with broadcasting: arithmetic, comparison, logic; and Min, Max, Sum, Mean of any number of inputs.
 * The reference computes floats in double and integers in int64_t, wrapping; integer division by zero is an error. */
#include <math.h>
#include <string.h>
#include "base/str.h"
#include "base/threads.h"
#include "kernels/eltwise/eltwise_typed.h"
#include "ops/bcast.h"
#include "ops/block.h"
#include "ops/eltwise_find.h"
#include "ops/ops.h"

enum { GRAIN = 1 << 15 };

/* ---- the functions; u: the numbers are unsigned ---- */

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_pow(double a, double b) { return pow(a, b); }
static double f_fmod(double a, double b) { return fmod(a, b); }
static double f_mod(double a, double b) /* the sign of the divisor */
{
    double r = fmod(a, b);
    if (r == 0) return copysign(r, b);
    return (r < 0) != (b < 0) ? r + b : r;
}
static double f_min(double a, double b) { return a != a || a < b ? a : b; }
static double f_max(double a, double b) { return a != a || a > b ? a : b; }
static double f_equal(double a, double b) { return a == b; }
static double f_less(double a, double b) { return a < b; }
static double f_greater(double a, double b) { return a > b; }
static double f_less_equal(double a, double b) { return a <= b; }
static double f_greater_equal(double a, double b) { return a >= b; }
static double f_prelu(double x, double slope) { return x < 0 ? x * slope : x; }

static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static bool below(int64_t a, int64_t b, bool u) { return u ? (uint64_t)a < (uint64_t)b : a < b; }

static int64_t i_add(int64_t a, int64_t b, bool u) { (void)u; return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t i_sub(int64_t a, int64_t b, bool u) { (void)u; return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t i_mul(int64_t a, int64_t b, bool u) { (void)u; return wrap_mul(a, b); }
static int64_t i_div(int64_t a, int64_t b, bool u) /* towards zero; b != 0 was checked */
{
    if (u) return (int64_t)((uint64_t)a / (uint64_t)b);
    return b == -1 ? (int64_t)-(uint64_t)a : a / b;
}
static int64_t i_fmod(int64_t a, int64_t b, bool u)
{
    if (u) return (int64_t)((uint64_t)a % (uint64_t)b);
    return b == -1 ? 0 : a % b;
}
static int64_t i_mod(int64_t a, int64_t b, bool u)
{
    int64_t r = i_fmod(a, b, u);
    return !u && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static int64_t i_pow(int64_t a, int64_t b, bool u)
{
    if (b < 0 && !u) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    int64_t r = 1;
    for (uint64_t e = (uint64_t)b; e; e >>= 1) {
        if (e & 1) r = wrap_mul(r, a);
        a = wrap_mul(a, a);
    }
    return r;
}
static int64_t i_min(int64_t a, int64_t b, bool u) { return below(b, a, u) ? b : a; }
static int64_t i_max(int64_t a, int64_t b, bool u) { return below(a, b, u) ? b : a; }
static int64_t i_equal(int64_t a, int64_t b, bool u) { (void)u; return a == b; }
static int64_t i_less(int64_t a, int64_t b, bool u) { return below(a, b, u); }
static int64_t i_greater(int64_t a, int64_t b, bool u) { return below(b, a, u); }
static int64_t i_less_equal(int64_t a, int64_t b, bool u) { return !below(b, a, u); }
static int64_t i_greater_equal(int64_t a, int64_t b, bool u) { return !below(a, b, u); }
static int64_t i_and(int64_t a, int64_t b, bool u) { (void)u; return a & b; }
static int64_t i_or(int64_t a, int64_t b, bool u) { (void)u; return a | b; }
static int64_t i_xor(int64_t a, int64_t b, bool u) { (void)u; return a ^ b; }
static int64_t i_left(int64_t a, int64_t b, bool u) { (void)u; return b < 0 || b > 63 ? 0 : (int64_t)((uint64_t)a << b); }
static int64_t i_right(int64_t a, int64_t b, bool u)
{
    if (u || a >= 0) return b < 0 || b > 63 ? 0 : (int64_t)((uint64_t)a >> b);
    return b < 0 || b > 63 ? -1 : ~(~a >> b);
}
static int64_t i_prelu(int64_t x, int64_t slope, bool u) { return x < 0 && !u ? wrap_mul(x, slope) : x; }

typedef struct {
    const char *name;
    double (*f)(double a, double b);
    int64_t (*i)(int64_t a, int64_t b, bool is_unsigned);
} binary;

static const binary table[] = {
    {"Add", f_add, i_add},
    {"Sub", f_sub, i_sub},
    {"Mul", f_mul, i_mul},
    {"Div", f_div, i_div},
    {"Pow", f_pow, i_pow},
    {"Mod", f_mod, i_mod},
    {"Min", f_min, i_min},
    {"Max", f_max, i_max},
    {"Sum", f_add, i_add},
    {"Mean", f_add, i_add},
    {"Equal", f_equal, i_equal},
    {"Less", f_less, i_less},
    {"Greater", f_greater, i_greater},
    {"LessOrEqual", f_less_equal, i_less_equal},
    {"GreaterOrEqual", f_greater_equal, i_greater_equal},
    {"And", NULL, i_and},
    {"Or", NULL, i_or},
    {"Xor", NULL, i_xor},
    {"BitwiseAnd", NULL, i_and},
    {"BitwiseOr", NULL, i_or},
    {"BitwiseXor", NULL, i_xor},
    {"BitShift", NULL, i_left},
    {"PRelu", f_prelu, i_prelu},
};
static const binary fmod_entry = {"Mod", f_fmod, i_fmod}, right_entry = {"BitShift", NULL, i_right};

/* ---- infer ---- */

/* PRelu before opset 7: a slope of C elements belongs to the channels. */
static pi_status align(const pi_node *node, const pi_tensor *a, const pi_tensor *b, pi_tensor *aligned, pi_error *err)
{
    if (strcmp(node->op->name, "PRelu") != 0 || node->op->since >= 7)
        return pi_bcast_legacy(node, a, b, aligned, err);
    *aligned = *b;
    if (b->rank == 1 && a->rank > 1 && b->dim[0] == a->dim[1])
        while (aligned->rank < a->rank - 1) aligned->dim[aligned->rank++] = 1;
    return PI_E_OK;
}

static pi_status binary_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_tensor b;
    PI_TRY(align(node, in[0], in[1], &b, err));
    return pi_broadcast(in[0], &b, &out[0], err);
}

static pi_status prelu_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    char ta[200], tb[200];
    PI_TRY(binary_infer(node, in, out, err));
    if (pi_tensor_same_shape(&out[0], in[0])) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "slope %s does not broadcast to %s", pi_tensor_text(in[1], tb, sizeof tb),
                   pi_tensor_text(in[0], ta, sizeof ta));
}

static pi_status shift_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const char *d = pi_attr_string(node, "direction");
    if (strcmp(d, "LEFT") != 0 && strcmp(d, "RIGHT") != 0)
        return pi_fail(err, PI_E_MODEL, "attribute 'direction' is '%.40s', expected 'LEFT' or 'RIGHT'", d);
    return binary_infer(node, in, out, err);
}

static pi_status variadic_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (node->n_explicit == 0) return pi_fail(err, PI_E_MODEL, "no inputs, expected at least 1");
    for (uint32_t i = 0; i < node->n_explicit; i++)
        if (!in[i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", i);
    return pi_infer_broadcast(node, in, out, err);
}

/* ---- prepare ---- */

typedef struct {
    const binary *op;
    pi_typed_fn typed; /* the function in the type of the operands; NULL: through double or int64_t */
    pi_bcast step[]; /* one for each further input: (so far, in[i]) */
} binary_state;

/* All inputs have one dtype. */
static bool one_dtype(const pi_prep *prep)
{
    for (uint32_t i = 1; i < prep->node->n_explicit; i++)
        if (prep->in[i]->dtype != prep->in[0]->dtype) return false;
    return true;
}

static pi_status binary_prepare(pi_prep *prep, pi_error *err)
{
    const pi_node *node = prep->node;
    uint32_t steps = node->n_explicit - 1;
    binary_state *s = prep->state = pi_prep_alloc(prep, sizeof *s + steps * sizeof s->step[0], err);
    if (!s) return pi_alloc_status(err);
    for (size_t i = 0; i < PI_COUNT(table); i++)
        if (strcmp(table[i].name, node->op->name) == 0) s->op = &table[i];
    if (!s->op) return pi_fail(err, PI_E_INTERNAL, "no such binary function");
    if (s->op->f == f_mod && pi_attr_int(node, "fmod")) s->op = &fmod_entry;
    if (s->op->i == i_left && strcmp(pi_attr_string(node, "direction"), "RIGHT") == 0) s->op = &right_entry;
    if (one_dtype(prep)) s->typed = pi_typed_find(node->op->name, prep->in[0]->dtype);
    for (uint32_t i = 0; i < steps; i++) {
        pi_tensor b;
        PI_TRY(align(node, prep->in[0], prep->in[i + 1], &b, err));
        pi_bcast_init(&s->step[i], prep->out[0], (const pi_tensor *[]){i ? prep->out[0] : prep->in[0], &b}, 2);
    }
    return PI_E_OK;
}

/* ---- run ---- */

typedef struct {
    const binary *op;
    pi_typed_fn typed;
    const pi_bcast *bcast;
    const pi_tensor *a, *b, *c;
    double divide_by; /* 0: not */
    int zero;         /* set where an integer was divided by zero */
} binary_task;

static void block_f64(const binary_task *t, const void *a, const void *b, void *c, int64_t n)
{
    double x[PI_BLOCK], y[PI_BLOCK];
    pi_read_f64(t->a->dtype, a, pi_bcast_step(t->bcast, 0), n, x);
    pi_read_f64(t->b->dtype, b, pi_bcast_step(t->bcast, 1), n, y);
    for (int64_t i = 0; i < n; i++) x[i] = t->op->f(x[i], y[i]);
    pi_write_f64(t->c->dtype, c, 1, n, x);
}

static void block_i64(binary_task *t, const void *a, const void *b, void *c, int64_t n)
{
    int64_t x[PI_BLOCK], y[PI_BLOCK];
    bool is_unsigned = t->a->dtype == PI_DTYPE_U64, divides = t->op->i == i_div || t->op->i == i_mod || t->op->i == i_fmod;
    pi_read_i64(t->a->dtype, a, pi_bcast_step(t->bcast, 0), n, x);
    pi_read_i64(t->b->dtype, b, pi_bcast_step(t->bcast, 1), n, y);
    for (int64_t i = 0; divides && i < n; i++)
        if (y[i] == 0) {
            __atomic_store_n(&t->zero, 1, __ATOMIC_RELAXED);
            y[i] = 1;
        }
    if (t->op->i == i_add)
        for (int64_t i = 0; i < n; i++) x[i] = i_add(x[i], y[i], is_unsigned);
    else if (t->op->i == i_mul)
        for (int64_t i = 0; i < n; i++) x[i] = i_mul(x[i], y[i], is_unsigned);
    else
        for (int64_t i = 0; i < n; i++) x[i] = t->op->i(x[i], y[i], is_unsigned);
    pi_write_i64(t->c->dtype, c, 1, n, x);
}

static void block_strings(const binary_task *t, const void *a, const void *b, void *c, int64_t n)
{
    const pi_str *const *x = a, *const *y = b;
    uint8_t *equal = c;
    for (int64_t i = 0; i < n; i++) {
        const pi_str *s = x[i * pi_bcast_step(t->bcast, 0)], *z = y[i * pi_bcast_step(t->bcast, 1)];
        size_t ns = s ? s->n : 0, nz = z ? z->n : 0;
        equal[i] = ns == nz && (ns == 0 || memcmp(s->bytes, z->bytes, ns) == 0);
    }
}

static void binary_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    binary_task *t = arg;
    bool floats = pi_dtype_is_float(t->a->dtype) || pi_dtype_is_float(t->b->dtype);
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t offset[PI_BCAST_INPUTS];
        n = pi_min_i64(pi_bcast_at(t->bcast, at, offset), t->typed ? end - at : pi_min_i64(end - at, PI_BLOCK));
        const void *a = pi_at(t->a->data, t->a->dtype, offset[0]), *b = pi_at(t->b->data, t->b->dtype, offset[1]);
        void *c = pi_at_mut(t->c->data, t->c->dtype, at);
        if (t->typed)
            t->typed(n, a, pi_bcast_step(t->bcast, 0), b, pi_bcast_step(t->bcast, 1), c);
        else if (t->a->dtype == PI_DTYPE_STRING)
            block_strings(t, a, b, c, n);
        else if (floats)
            block_f64(t, a, b, c, n);
        else
            block_i64(t, a, b, c, n);
    }
}

static void divide_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const binary_task *t = arg;
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        double x[PI_BLOCK];
        void *c = pi_at_mut(t->c->data, t->c->dtype, at);
        pi_read_f64(t->c->dtype, c, 1, n, x);
        for (int64_t i = 0; i < n; i++) x[i] /= t->divide_by;
        pi_write_f64(t->c->dtype, c, 1, n, x);
    }
}

static pi_status binary_run(const pi_call *call, pi_error *err)
{
    const binary_state *s = call->state;
    binary_task t = {.op = s->op, .typed = s->typed, .c = call->out[0]};
    int64_t n = pi_tensor_n(t.c);
    uint32_t n_in = call->node->n_explicit;
    if (n_in == 1 && n && t.c->data != call->in[0]->data)
        memcpy(t.c->data, call->in[0]->data, (size_t)n * pi_dtype_size(t.c->dtype));
    for (uint32_t i = 1; i < n_in; i++) {
        t.bcast = &s->step[i - 1];
        t.a = i == 1 ? call->in[0] : t.c;
        t.b = call->in[i];
        pi_parallel(call->run->threads, n, GRAIN, binary_chunk, &t);
    }
    if (t.zero) return pi_fail(err, PI_E_INPUT, "integer division by zero");
    if (strcmp(s->op->name, "Mean") == 0) {
        t.divide_by = (double)n_in;
        pi_parallel(call->run->threads, n, GRAIN, divide_chunk, &t);
    }
    return PI_E_OK;
}

/* ---- vectors: f32, and f16 and bf16 through blocks of f32 ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    for (uint32_t i = 0; i < node->n_explicit; i++)
        if (in[i]->dtype != PI_DTYPE_F32 && in[i]->dtype != PI_DTYPE_F16 && in[i]->dtype != PI_DTYPE_BF16)
            return "only f32, f16, bf16";
    return pi_eltwise_find(node).form == PI_FORM_NONE ? "no kernel" : NULL;
}

typedef struct {
    pi_eltwise_kernel op;
    const pi_bcast *bcast;
    const pi_tensor *a, *b, *c;
} fast_task;

static void fast_loop(const fast_task *t, int64_t rows, int64_t n, pi_in a, pi_in b, void *c)
{
    const pi_eltwise_kernels *k = pi_eltwise();
    if (t->op.form == PI_FORM_COMPARE)
        k->compare_f32((pi_compare)t->op.kind, (size_t)rows, (size_t)n, a, b, c);
    else
        k->binary_f32((pi_binary)t->op.kind, (size_t)rows, (size_t)n, a, b, c);
}

static void fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_task *t = arg;
    int sa = (int)pi_bcast_step(t->bcast, 0), sb = (int)pi_bcast_step(t->bcast, 1);
    for (int64_t at = begin; at < end;) {
        pi_bcast_span s = pi_bcast_rows(t->bcast, at, end);
        const float *a = (const float *)t->a->data + s.offset[0], *b = (const float *)t->b->data + s.offset[1];
        fast_loop(t, s.rows, s.n, (pi_in){a, s.row[0], sa}, (pi_in){b, s.row[1], sb}, pi_at_mut(t->c->data, t->c->dtype, at));
        at += s.rows * s.n;
    }
}

static void fast_chunk_narrow(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_task *t = arg;
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t offset[PI_BCAST_INPUTS];
        n = pi_min_i64(pi_bcast_at(t->bcast, at, offset), pi_min_i64(end - at, PI_BLOCK));
        float x[PI_BLOCK], y[PI_BLOCK];
        void *c = pi_at_mut(t->c->data, t->c->dtype, at);
        bool boolean = t->c->dtype == PI_DTYPE_BOOL;
        pi_read_f32(t->a->dtype, pi_at(t->a->data, t->a->dtype, offset[0]), pi_bcast_step(t->bcast, 0), n, x);
        pi_read_f32(t->b->dtype, pi_at(t->b->data, t->b->dtype, offset[1]), pi_bcast_step(t->bcast, 1), n, y);
        fast_loop(t, 1, n, (pi_in){x, 0, 1}, (pi_in){y, 0, 1}, boolean ? c : x);
        if (!boolean) pi_write_f32(t->c->dtype, c, 1, n, x);
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const binary_state *s = call->state;
    uint32_t n_in = call->node->n_explicit;
    int64_t n = pi_tensor_n(call->out[0]);
    fast_task t = {.op = pi_eltwise_find(call->node), .a = call->in[0], .b = n_in > 1 ? call->in[1] : NULL, .c = call->out[0]};
    bool wide = t.a->dtype == PI_DTYPE_F32 && (!t.b || t.b->dtype == PI_DTYPE_F32);
    int64_t grain = t.op.kind == PI_BINARY_POW && t.op.form == PI_FORM_BINARY ? GRAIN / 16 : GRAIN; /* powf takes its time */
    if (n == 0) return PI_E_OK;
    if (n_in == 1 && t.c->data != t.a->data) memcpy(t.c->data, t.a->data, (size_t)n * pi_dtype_size(t.c->dtype));
    for (uint32_t i = 1; i < n_in; i++) {
        t.bcast = &s->step[i - 1];
        t.a = i == 1 ? call->in[0] : t.c;
        t.b = call->in[i];
        pi_parallel(call->run->threads, n, grain, wide ? fast_chunk : fast_chunk_narrow, &t);
    }
    if (strcmp(s->op->name, "Mean") == 0) {
        binary_task m = {.c = t.c, .divide_by = (double)n_in};
        pi_parallel(call->run->threads, n, GRAIN, divide_chunk, &m);
    }
    return PI_E_OK;
}

/* ---- rows ---- */

/* In place is safe where the output has the dtype of the input: equal bytes are then equal shapes. */
static const pi_impl arithmetic_impls[] = {
    {"simd", fast_refuse, binary_prepare, fast_run, 3},
    {"ref", NULL, binary_prepare, binary_run, 3},
    {0},
};
static const pi_impl pow_impls[] = {{"simd", fast_refuse, binary_prepare, fast_run, 1}, {"ref", NULL, binary_prepare, binary_run, 1}, {0}};
static const pi_impl compare_impls[] = {
    {"simd", fast_refuse, binary_prepare, fast_run, 0},
    {"ref", NULL, binary_prepare, binary_run, 0},
    {0},
};

#define AXIS {"axis", PI_ATTR_INT, false, 0, 0, NULL}
#define BROADCAST {"broadcast", PI_ATTR_INT, false, 0, 0, NULL}
#define CONSUMED {"consumed_inputs", PI_ATTR_INTS, false, 0, 0, NULL}
static const pi_attr_def arithmetic_v1[] = {AXIS, BROADCAST, CONSUMED, {0}};
static const pi_attr_def axis_broadcast[] = {AXIS, BROADCAST, {0}};
static const pi_attr_def consumed[] = {CONSUMED, {0}};
static const pi_attr_def mod_attrs[] = {{"fmod", PI_ATTR_INT, false, 0, 0, NULL}, {0}};
static const pi_attr_def shift_attrs[] = {{"direction", PI_ATTR_STRING, true, 0, 0, NULL}, {0}};

#define ARITHMETIC(op_name, version, types, attributes)                                                     \
    {.name = op_name, .since = version, .signature = "A:T B:T -> C:T", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = binary_infer, .impls = arithmetic_impls}
#define COMPARE(op_name, version, types, attributes)                                                           \
    {.name = op_name, .since = version, .signature = "A:T B:T -> C:bool", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = binary_infer, .impls = compare_impls}
#define VARIADIC(op_name, version, types, attributes)                                                           \
    {.name = op_name, .since = version, .signature = "data_0*:T -> Y:T", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = variadic_infer, .impls = arithmetic_impls}
#define PRELU(version, types, attributes)                                                                         \
    {.name = "PRelu", .since = version, .signature = "X:T slope:T -> Y:T", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = prelu_infer, .impls = arithmetic_impls}

static const pi_op rows[] = {
    ARITHMETIC("Add", 1, PI_FLOATS, arithmetic_v1),
    ARITHMETIC("Add", 6, PI_NUMBERS, axis_broadcast),
    ARITHMETIC("Add", 7, PI_NUMBERS, NULL),
    ARITHMETIC("Sub", 1, PI_FLOATS, arithmetic_v1),
    ARITHMETIC("Sub", 6, PI_NUMBERS, axis_broadcast),
    ARITHMETIC("Sub", 7, PI_NUMBERS, NULL),
    ARITHMETIC("Mul", 1, PI_FLOATS, arithmetic_v1),
    ARITHMETIC("Mul", 6, PI_NUMBERS, axis_broadcast),
    ARITHMETIC("Mul", 7, PI_NUMBERS, NULL),
    ARITHMETIC("Div", 1, PI_FLOATS, arithmetic_v1),
    ARITHMETIC("Div", 6, PI_NUMBERS, axis_broadcast),
    ARITHMETIC("Div", 7, PI_NUMBERS, NULL),
    {.name = "Pow", .since = 1, .signature = "X:T Y:T -> Z:T", .T = PI_FLOATS, .flags = PI_OP_ELEMENTWISE,
     .attrs = axis_broadcast, .infer = binary_infer, .impls = pow_impls},
    {.name = "Pow", .since = 7, .signature = "X:T Y:U -> Z:T", .T = PI_FLOATS | PI_BIT(I32) | PI_BIT(I64),
     .U = PI_NUMBERS, .flags = PI_OP_ELEMENTWISE, .infer = binary_infer, .impls = pow_impls},
    ARITHMETIC("Mod", 10, PI_NUMBERS, mod_attrs),
    VARIADIC("Min", 1, PI_FLOATS, consumed),
    VARIADIC("Min", 6, PI_NUMBERS, NULL),
    VARIADIC("Max", 1, PI_FLOATS, consumed),
    VARIADIC("Max", 6, PI_NUMBERS, NULL),
    VARIADIC("Sum", 1, PI_FLOATS, consumed),
    VARIADIC("Sum", 6, PI_FLOATS, NULL),
    VARIADIC("Mean", 1, PI_FLOATS, consumed),
    VARIADIC("Mean", 6, PI_FLOATS, NULL),
    COMPARE("And", 1, PI_BIT(BOOL), axis_broadcast),
    COMPARE("And", 7, PI_BIT(BOOL), NULL),
    COMPARE("Or", 1, PI_BIT(BOOL), axis_broadcast),
    COMPARE("Or", 7, PI_BIT(BOOL), NULL),
    COMPARE("Xor", 1, PI_BIT(BOOL), axis_broadcast),
    COMPARE("Xor", 7, PI_BIT(BOOL), NULL),
    COMPARE("Equal", 1, PI_BIT(BOOL) | PI_BIT(I32) | PI_BIT(I64), axis_broadcast),
    COMPARE("Equal", 7, PI_NUMBERS | PI_BIT(BOOL) | PI_BIT(STRING), NULL),
    COMPARE("Less", 1, PI_FLOATS, axis_broadcast),
    COMPARE("Less", 7, PI_NUMBERS, NULL),
    COMPARE("Greater", 1, PI_FLOATS, axis_broadcast),
    COMPARE("Greater", 7, PI_NUMBERS, NULL),
    COMPARE("LessOrEqual", 12, PI_NUMBERS, NULL),
    COMPARE("GreaterOrEqual", 12, PI_NUMBERS, NULL),
    ARITHMETIC("BitwiseAnd", 18, PI_INTS, NULL),
    ARITHMETIC("BitwiseOr", 18, PI_INTS, NULL),
    ARITHMETIC("BitwiseXor", 18, PI_INTS, NULL),
    {.name = "BitShift", .since = 11, .signature = "X:T Y:T -> Z:T", .T = PI_INTS, .flags = PI_OP_ELEMENTWISE,
     .attrs = shift_attrs, .infer = shift_infer, .impls = arithmetic_impls},
    PRELU(1, PI_FLOATS, consumed),
    PRELU(6, PI_FLOATS, NULL),
    PRELU(7, PI_NUMBERS, NULL),
};
const pi_op_family pi_ops_eltwise_binary = {rows, PI_COUNT(rows)};
