/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.Eltwise: a tree of element-wise operators as one step. The kernel tiles_f32 runs the whole program for a few
 * vectors before it goes on to the next ones, so memory is read once and written once, and what is in between lives in
 * registers or in slots, tiles in the first-level cache. Inputs broadcast by strides. */
#include "ops/eltwise_program.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/ops.h"

/* Elements of short rows that are done at once. */
enum { BLOCK = 2048 };
enum { GRAIN = 1 << 15 }; /* results of instructions that are worth a thread */

typedef struct {
    pi_form form;
    int kind;
    int operand[3];
} instruction;

typedef struct {
    int n;
    uint32_t n_constants;
    const float *constant;
    instruction code[PI_PROGRAM_STEPS];
} program;

/* Operands that are tensors. */
static int arity(const instruction *i)
{
    return i->form == PI_FORM_WHERE ? 3 : i->form == PI_FORM_BINARY || i->form == PI_FORM_COMPARE ? 2 : 1;
}

/* ---- reading: the row cannot come from a file, so this finds mistakes of passes ---- */

static bool known_kind(const instruction *i)
{
    static const int counts[PI_FORM_COUNT] = {[PI_FORM_UNARY] = PI_TILE_NO_UNARY, [PI_FORM_ACT] = PI_ACT_COUNT,
                                              [PI_FORM_BINARY] = PI_TILE_NO_BINARY, [PI_FORM_COMPARE] = PI_COMPARE_COUNT,
                                              [PI_FORM_WHERE] = 1};
    return i->form > PI_FORM_NONE && i->form < PI_FORM_COUNT && i->kind >= 0 && i->kind < counts[i->form];
}

/* Of operand o of instruction `at`; NONE: there is no such operand. */
static pi_dtype dtype_of(const program *p, const pi_node *node, const pi_tensor *const *in, int at, int o)
{
    if (o < 0) return ~o >= at ? PI_DTYPE_NONE : p->code[~o].form == PI_FORM_COMPARE ? PI_DTYPE_BOOL : PI_DTYPE_F32;
    if (o >= PI_PROGRAM_INPUTS) return (uint32_t)(o - PI_PROGRAM_INPUTS) < p->n_constants ? PI_DTYPE_F32 : PI_DTYPE_NONE;
    return (uint32_t)o < node->n_explicit && in[o] ? in[o]->dtype : PI_DTYPE_NONE;
}

static pi_status check(const program *p, const pi_node *node, const pi_tensor *const *in, int at, pi_error *err)
{
    const instruction *i = &p->code[at];
    if (!known_kind(i)) return pi_fail(err, PI_E_MODEL, "instruction %d is unknown: form %d, kind %d", at, (int)i->form, i->kind);
    for (int k = 0; k < 3; k++) {
        bool constant = i->form == PI_FORM_ACT && k > 0;
        pi_dtype want = i->form == PI_FORM_WHERE && k == 0 ? PI_DTYPE_BOOL : PI_DTYPE_F32;
        if (k >= arity(i) && !constant) break;
        if (dtype_of(p, node, in, at, i->operand[k]) != want || (constant && i->operand[k] < PI_PROGRAM_INPUTS))
            return pi_fail(err, PI_E_MODEL, "instruction %d has no %s as operand %d", at, pi_dtype_name(want), k);
    }
    return PI_E_OK;
}

static pi_status read_program(program *p, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    uint32_t n;
    const int64_t *code = pi_attr_ints(node, "code", &n);
    p->constant = pi_attr_floats(node, "constants", &p->n_constants);
    p->n = (int)(n / PI_PROGRAM_WORDS);
    if (n == 0 || n % PI_PROGRAM_WORDS || p->n > PI_PROGRAM_STEPS || node->n_explicit < 1 || node->n_explicit > PI_PROGRAM_INPUTS)
        return pi_fail(err, PI_E_MODEL, "a program of %u numbers and %u inputs, expected 1 to %d instructions of %d and 1 to %d inputs",
                       n, node->n_explicit, PI_PROGRAM_STEPS, PI_PROGRAM_WORDS, PI_PROGRAM_INPUTS);
    for (int i = 0; i < p->n; i++, code += PI_PROGRAM_WORDS) {
        p->code[i] = (instruction){(pi_form)code[0], (int)code[1], {(int)code[2], (int)code[3], (int)code[4]}};
        PI_TRY(check(p, node, in, i, err));
    }
    return PI_E_OK;
}

static pi_status infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    program p;
    int64_t n, have;
    PI_TRY(read_program(&p, node, in, err));
    PI_TRY(pi_infer_broadcast(node, in, out, err));
    if (p.code[p.n - 1].form == PI_FORM_COMPARE) return pi_fail(err, PI_E_MODEL, "the last instruction is a comparison");
    out[0].dtype = PI_DTYPE_F32; /* not the first input's, which may be a condition */
    PI_TRY(pi_tensor_count(&out[0], &n, err));
    for (int i = 0; i < p.n; i++) {
        int o = p.code[i].operand[0];
        if (arity(&p.code[i]) > 1 || o < 0) continue;
        if (o < PI_PROGRAM_INPUTS) PI_TRY(pi_tensor_count(in[o], &have, err));
        if (o >= PI_PROGRAM_INPUTS || have != n)
            return pi_fail(err, PI_E_MODEL, "instruction %d has one operand, which is smaller than the result", i);
    }
    return PI_E_OK;
}

/* ---- reference: an element at a time ---- */

/* Denormals are zeros in a run; functions of libm, which look at bits, must not see them. */
static float no_denormal(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

static double unary(pi_unary kind, double x)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_UNARY_##name: return scalar;
#include "kernels/eltwise/unary.inc"
#undef X
    case PI_UNARY_COUNT: break;
    }
    return x;
}

static float binary(pi_binary kind, float a, float b)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_BINARY_##name: return scalar;
#include "kernels/eltwise/binary.inc"
#undef X
    case PI_BINARY_COUNT: break;
    }
    return a;
}

static bool compare(pi_compare kind, float a, float b)
{
    switch (kind) {
#define X(name, vector, scalar) \
    case PI_COMPARE_##name: return scalar;
#include "kernels/eltwise/compare.inc"
#undef X
    case PI_COMPARE_COUNT: break;
    }
    return false;
}

/* An operation of the tile kernel; operands are numbered as in the program. */
typedef struct {
    int kind, x, z; /* x, z: NO_OPERAND if there is none */
    float p, q;
    int keep; /* slot; -1: none */
} operation;
enum { NO_OPERAND = 1 << 30, OPERATIONS = 2 * PI_PROGRAM_STEPS };

typedef struct {
    program p;
    pi_bcast bcast;
    operation op[OPERATIONS];
    int n_ops, slots;
    int slot[PI_PROGRAM_STEPS];    /* of an instruction's result; -1: it is never out of the accumulator */
    int filled[PI_PROGRAM_INPUTS]; /* number of the buffer of an input that is laid out in full; -1: read where it is */
    int fills;
} state;

static float operand_at(const pi_call *call, const int64_t *offset, const float *result, int o)
{
    const state *s = call->state;
    if (o < 0) return result[~o];
    if (o >= PI_PROGRAM_INPUTS) return s->p.constant[o - PI_PROGRAM_INPUTS];
    const void *data = call->in[o]->data;
    if (call->in[o]->dtype == PI_DTYPE_BOOL) return ((const uint8_t *)data)[offset[o]] != 0;
    return no_denormal(((const float *)data)[offset[o]]);
}

static void ref_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const state *s = call->state;
    float *y = call->out[0]->data;
    for (int64_t at = begin; at < end; at++) {
        int64_t offset[PI_BCAST_INPUTS];
        float result[PI_PROGRAM_STEPS] = {0};
        (void)pi_bcast_at(&s->bcast, at, offset);
        for (int k = 0; k < s->p.n; k++) {
            const instruction *i = &s->p.code[k];
            float x[3] = {0};
            for (int j = 0; j < (i->form == PI_FORM_ACT ? 3 : arity(i)); j++) x[j] = operand_at(call, offset, result, i->operand[j]);
            result[k] = i->form == PI_FORM_UNARY     ? (float)unary((pi_unary)i->kind, (double)x[0])
                        : i->form == PI_FORM_ACT     ? pi_act_apply((pi_act){(pi_act_kind)i->kind, x[1], x[2]}, x[0])
                        : i->form == PI_FORM_BINARY  ? binary((pi_binary)i->kind, x[0], x[1])
                        : i->form == PI_FORM_COMPARE ? (float)compare((pi_compare)i->kind, x[0], x[1])
                                                     : (x[0] != 0 ? x[1] : x[2]);
        }
        y[at] = result[s->p.n - 1];
    }
}

static pi_status ref_prepare(pi_prep *prep, pi_error *err)
{
    state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(read_program(&s->p, prep->node, prep->in, err));
    pi_bcast_init(&s->bcast, prep->out[0], prep->in, (int)prep->node->n_explicit);
    return PI_E_OK;
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), GRAIN / 8, ref_chunk, &copy);
    return PI_E_OK;
}

/* ---- by tiles ---- */

/* The operand of instruction i that may be the accumulator, if it is the result of instruction `before`; -1: none is. */
static int accumulated(const instruction *i, int before)
{
    int most = i->form == PI_FORM_BINARY ? 2 : 1;
    for (int j = 0; j < most; j++)
        if (i->operand[j] == ~before) return j;
    return -1;
}

/* A slot for each result that is needed other than in the next instruction, free again after the last that reads it. */
static void give_slots(state *s)
{
    const program *p = &s->p;
    int reads[PI_PROGRAM_STEPS] = {0}, last[PI_PROGRAM_STEPS] = {0}, busy_until[PI_PROGRAM_STEPS] = {0};
    for (int k = 0; k < p->n; k++)
        for (int j = 0; j < arity(&p->code[k]); j++)
            if (p->code[k].operand[j] < 0) {
                reads[~p->code[k].operand[j]]++;
                last[~p->code[k].operand[j]] = k;
            }
    for (int k = 0; k < p->n; k++) {
        int r = 0;
        s->slot[k] = -1;
        if (reads[k] == 0 || (reads[k] == 1 && accumulated(&p->code[k + 1], k) >= 0)) continue;
        while (r < s->slots && busy_until[r] > k) r++;
        if (r == s->slots) s->slots++;
        busy_until[r] = last[k];
        s->slot[k] = r;
    }
}

static void emit(state *s, int kind, int x, int z, int keep)
{
    s->op[s->n_ops++] = (operation){.kind = kind, .x = x, .z = z, .keep = keep};
}

static void translate(state *s, const pi_tensor *const *in, int k)
{
    static const int kinds[PI_FORM_COUNT] = {[PI_FORM_UNARY] = PI_TILE_UNARY, [PI_FORM_ACT] = PI_TILE_ACT,
                                             [PI_FORM_BINARY] = PI_TILE_BINARY, [PI_FORM_COMPARE] = PI_TILE_COMPARE,
                                             [PI_FORM_WHERE] = PI_TILE_WHERE};
    const instruction *i = &s->p.code[k];
    int j = k ? accumulated(i, k - 1) : -1, o = i->operand[0];
    if (j < 0) {
        bool bytes = o >= 0 && o < PI_PROGRAM_INPUTS && in[o]->dtype == PI_DTYPE_BOOL;
        emit(s, bytes ? PI_TILE_LOAD_BOOL : PI_TILE_LOAD, o, NO_OPERAND, -1);
        j = 0;
    }
    bool where = i->form == PI_FORM_WHERE, act = i->form == PI_FORM_ACT;
    emit(s, kinds[i->form] + i->kind + (j ? PI_TILE_SWAPPED - PI_TILE_BINARY : 0),
         where ? i->operand[1] : arity(i) > 1 ? i->operand[1 - j] : NO_OPERAND, where ? i->operand[2] : NO_OPERAND, s->slot[k]);
    s->op[s->n_ops - 1].p = act ? s->p.constant[i->operand[1] - PI_PROGRAM_INPUTS] : 0;
    s->op[s->n_ops - 1].q = act ? s->p.constant[i->operand[2] - PI_PROGRAM_INPUTS] : 0;
}

/* How an input knows of rows: it has a number for each, or the same row again. */
typedef enum { ROWLESS, COLUMN, SAME_ROW } row_form;

static row_form row_form_of(const pi_bcast *b, int k)
{
    int last = b->rank - 1;
    if (last == 0 || b->stride[k][last] != (b->stride[k][last - 1] == 0)) return ROWLESS;
    return b->stride[k][last] ? SAME_ROW : COLUMN;
}

/* Short rows leave the kernel little to do: what is the same row again is laid out in full, once, and there are no rows. */
static bool to_fill(const pi_bcast *b, const pi_tensor *const *in)
{
    for (int k = 0; k < b->n_in; k++)
        if (row_form_of(b, k) == COLUMN || (row_form_of(b, k) == SAME_ROW && in[k]->dtype != PI_DTYPE_F32)) return false;
    return b->dim[b->rank - 1] <= BLOCK / 4;
}

static pi_status fast_prepare(pi_prep *prep, pi_error *err)
{
    PI_TRY(ref_prepare(prep, err));
    state *s = prep->state;
    size_t floats;
    bool all = to_fill(&s->bcast, prep->in);
    for (int k = 0; k < s->bcast.n_in; k++) s->filled[k] = all && row_form_of(&s->bcast, k) == SAME_ROW ? s->fills++ : -1;
    give_slots(s);
    for (int k = 0; k < s->p.n; k++) translate(s, prep->in, k);
    floats = (size_t)s->slots * PI_TILE_FLOATS + (size_t)s->fills * BLOCK;
    if (!pi_mul(floats * sizeof(float), (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the scratch has more bytes than can be addressed");
    return PI_E_OK;
}

/* What a thread works with. */
typedef struct {
    const pi_call *call;
    const state *s;
    float *slots, *buffers;
    pi_tile_op op[OPERATIONS];
} work;

static pi_tile_in operand(const work *w, const pi_bcast_span *span, int o)
{
    const state *s = w->s;
    if (o == NO_OPERAND) return (pi_tile_in){w->slots, 0, 0, 1};
    if (o < 0) return (pi_tile_in){w->slots + s->slot[~o] * PI_TILE_FLOATS, 0, 0, 0};
    if (o >= PI_PROGRAM_INPUTS) return (pi_tile_in){s->p.constant + (o - PI_PROGRAM_INPUTS), 0, 0, 1};
    if (s->filled[o] >= 0) return (pi_tile_in){w->buffers + s->filled[o] * BLOCK, span->n, 1, 0};
    const pi_tensor *t = w->call->in[o];
    int step = (int)pi_bcast_step(&s->bcast, o);
    return (pi_tile_in){pi_at(t->data, t->dtype, span->offset[o]), span->row[o], step, !step};
}

static void run_span(work *w, const pi_bcast_span *span, int64_t at)
{
    const state *s = w->s;
    size_t rows = (size_t)span->rows, n = (size_t)span->n;
    bool flat = true; /* no operand knows of rows */
    for (int k = 0; k < s->n_ops; k++) {
        pi_tile_op *op = &w->op[k];
        op->x = operand(w, span, s->op[k].x);
        op->z = operand(w, span, s->op[k].z);
        flat &= op->x.row == (op->x.step ? span->n : 0) && op->z.row == (op->z.step ? span->n : 0);
    }
    pi_eltwise()->tiles_f32(w->op, (size_t)s->n_ops, flat ? 1 : rows, flat ? rows * n : n, (float *)w->call->out[0]->data + at);
}

/* `rows` times the row of n floats. */
static void fill(int64_t rows, int64_t n, const float *row, float *to)
{
    memcpy(to, row, (size_t)n * sizeof *to);
    for (int64_t have = n, more; have < rows * n; have += more) {
        more = pi_min_i64(have, rows * n - have);
        memcpy(to + have, to, (size_t)more * sizeof *to);
    }
}

/* A span of short rows, some of them at a time. */
static void run_short(work *w, const pi_bcast_span *span, int64_t at)
{
    const pi_bcast *b = &w->s->bcast;
    pi_bcast_span part = *span;
    for (int64_t r = 0; r < span->rows; r += part.rows) {
        part.rows = pi_min_i64(BLOCK / span->n, span->rows - r);
        for (int k = 0; k < b->n_in; k++) {
            part.offset[k] = span->offset[k] + r * span->row[k];
            if (w->s->filled[k] >= 0 && r == 0)
                fill(part.rows, part.n, (const float *)w->call->in[k]->data + part.offset[k], w->buffers + w->s->filled[k] * BLOCK);
        }
        run_span(w, &part, at + r * span->n);
    }
}

static void fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const state *s = call->state;
    work w;
    w.call = call;
    w.s = s;
    w.buffers = (float *)call->scratch + (int64_t)thread * (s->fills * BLOCK + s->slots * PI_TILE_FLOATS);
    w.slots = w.buffers + s->fills * BLOCK;
    for (int k = 0; k < s->n_ops; k++)
        w.op[k] = (pi_tile_op){.kind = s->op[k].kind, .p = s->op[k].p, .q = s->op[k].q,
                               .keep = s->op[k].keep < 0 ? NULL : w.slots + s->op[k].keep * PI_TILE_FLOATS};
    for (int64_t at = begin; at < end;) {
        pi_bcast_span span = pi_bcast_rows(&s->bcast, at, end);
        if (s->fills)
            run_short(&w, &span, at);
        else
            run_span(&w, &span, at);
        at += span.rows * span.n;
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    const state *s = call->state;
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), (GRAIN / s->p.n) & ~63, fast_chunk, &copy);
    return PI_E_OK;
}

bool pi_program_pays(const pi_tensor *out, const pi_tensor *const *in, int n_in)
{
    enum { SHORT_PLANE = 256 };
    pi_bcast b;
    pi_bcast_init(&b, out, in, n_in);
    int64_t row = b.dim[b.rank - 1];
    for (int k = 0; k < n_in; k++)
        if (row < PI_TILE_FLOATS && row_form_of(&b, k) != ROWLESS && !to_fill(&b, in)) return false;
    return b.rank <= 2 || row * b.dim[b.rank - 2] >= SHORT_PLANE;
}

/* ---- row ---- */

/* In place: an input of as many elements lies as the output does, and a block of it is read before that of the output is
 * written, which the last instruction does. */
static const pi_impl impls[] = {
    {"simd", NULL, fast_prepare, fast_run, PI_INPLACE_ALL},
    {"ref", NULL, ref_prepare, ref_run, PI_INPLACE_ALL},
    {0},
};
static const pi_attr_def attrs[] = {
    {"code", PI_ATTR_INTS, true, 0, 0, NULL},
    {"constants", PI_ATTR_FLOATS, false, 0, 0, NULL},
    {"parts", PI_ATTR_STRING, false, 0, 0, ""}, /* the operators, for explain */
    {0},
};
static const pi_op rows[] = {
    {.domain = "pyinfer", .name = "Eltwise", .since = 1, .signature = "X*:any -> Y:f32", .flags = PI_OP_ELEMENTWISE, .attrs = attrs,
     .infer = infer, .impls = impls},
};
const pi_op_family pi_ops_eltwise_program = {rows, PI_COUNT(rows)};
