/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise nodes of f32 that read each other become one pyinfer.Eltwise, which keeps what is in between in registers. A
 * group has one result of f32, its root; a node belongs to the group of its readers if they are all in one group and its result
 * is as large as the root's: what is smaller is better computed once. */
#include <stdio.h>
#include <string.h>
#include "ops/eltwise_program.h"
#include "passes/match.h"
#include "passes/passes.h"

enum { MOST_CONSTANTS = 2 * PI_PROGRAM_STEPS };

/* What is known of a value that an element-wise node makes; indexed by its id. */
typedef struct {
    pi_node *next;   /* the group's next node in the order of the graph */
    uint32_t group;  /* 1 + id of the root; 0: made by no such node */
    pi_node *first;  /* of a root: the group's first node */
    uint32_t steps, inputs, nodes; /* of a root: instructions, inputs from outside (at most), nodes */
} note;

static bool typed(const pi_value *v, pi_dtype dtype) { return v && v->t.dtype == dtype && pi_tensor_known(&v->t); }

/* Is the node instructions, and how many? 0: it is not. */
static uint32_t instructions(const pi_node *node, pi_eltwise_kernel *k)
{
    const pi_value *y = node->n_out == 1 ? node->out[0] : NULL;
    if (!y || !pi_tensor_known(&y->t) || pi_tensor_n(&y->t) == 0 || !pi_eltwise_of(node, k)) return 0;
    uint32_t tensors = k->form == PI_FORM_UNARY || k->form == PI_FORM_ACT ? 1 : node->n_explicit;
    for (uint32_t i = 0; i < tensors; i++)
        if (!typed(node->in[i], k->form == PI_FORM_WHERE && i == 0 ? PI_DTYPE_BOOL : PI_DTYPE_F32)) return 0;
    if (k->form == PI_FORM_UNARY || k->form == PI_FORM_ACT) return !node->in[0]->constant;
    if (k->form == PI_FORM_WHERE) return 1;
    if (node->n_attrs || pi_is(node, "Mean") || (pi_is(node, "PRelu") && node->op->since < 7)) return 0; /* broadcast as of old */
    return k->form == PI_FORM_COMPARE ? 1 : tensors - 1;
}

/* A number that goes into the program. One of the root's rank may be what makes it that, and stays an input. */
static bool inlined(const pi_value *v, const pi_value *root)
{
    double number;
    return pi_is_f32(v) && (v->t.rank == 0 || v->t.rank < root->t.rank) && pi_scalar(v, &number);
}

/* ---- groups ---- */

static uint32_t count_inputs(const pi_node *node, const pi_eltwise_kernel *k, const pi_value *root)
{
    uint32_t n = 0;
    if (k->form == PI_FORM_UNARY || k->form == PI_FORM_ACT) return 1;
    for (uint32_t i = 0; i < node->n_explicit; i++) n += !inlined(node->in[i], root);
    return n;
}

/* The group of all readers, if v fits there; else NULL. */
static const pi_value *group_of_readers(const pi_graph *g, const note *notes, const pi_value *v)
{
    uint32_t group = 0;
    if (v->n_outputs || !v->n_uses) return NULL;
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const pi_value *y = v->use[i].node->n_out ? v->use[i].node->out[0] : NULL;
        uint32_t theirs = y ? notes[y->id].group : 0;
        if (!theirs || (group && theirs != group)) return NULL;
        group = theirs;
    }
    const pi_value *root = g->value[group - 1];
    return pi_is_f32(root) && pi_tensor_n(&root->t) == pi_tensor_n(&v->t) ? root : NULL;
}

/* From the last node to the first: readers are known before what they read. */
static void find_groups(const pi_graph *g, note *notes)
{
    pi_eltwise_kernel k;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        pi_node *node = g->node[i];
        uint32_t steps = instructions(node, &k);
        if (!steps) continue;
        const pi_value *v = node->out[0], *root = group_of_readers(g, notes, v);
        if (root) {
            note *r = &notes[root->id];
            uint32_t inputs = r->inputs + count_inputs(node, &k, root) - v->n_uses; /* its readers counted it */
            if (r->steps + steps > PI_PROGRAM_STEPS || inputs > PI_PROGRAM_INPUTS) root = NULL;
        }
        if (!root) root = v;
        note *r = &notes[root->id];
        r->inputs += count_inputs(node, &k, root) - (root == v ? 0 : v->n_uses);
        r->steps += steps;
        r->nodes++;
        notes[v->id].group = root->id + 1;
        notes[v->id].next = r->first;
        r->first = node;
    }
}

/* ---- programs ---- */

typedef struct {
    const pi_value *root;
    int64_t code[PI_PROGRAM_STEPS * PI_PROGRAM_WORDS];
    float constant[MOST_CONSTANTS];
    pi_value *input[PI_PROGRAM_INPUTS];
    const pi_value *made[PI_PROGRAM_STEPS]; /* by instruction */
    uint32_t steps, constants, inputs;
    char parts[16 * PI_PROGRAM_STEPS]; /* "GreaterOrEqual, " */
} program;

static int64_t constant(program *p, float number)
{
    p->constant[p->constants] = number;
    return PI_PROGRAM_INPUTS + (int64_t)p->constants++;
}

static int64_t operand(program *p, pi_value *v)
{
    double number;
    for (uint32_t i = 0; i < p->steps; i++)
        if (p->made[i] == v) return ~(int64_t)i;
    if (inlined(v, p->root) && pi_scalar(v, &number)) return constant(p, (float)number);
    for (uint32_t i = 0; i < p->inputs; i++)
        if (p->input[i] == v) return i;
    p->input[p->inputs] = v;
    return p->inputs++;
}

static void instruction(program *p, const pi_eltwise_kernel *k, int64_t a, int64_t b, int64_t c, const pi_value *made)
{
    int64_t *code = p->code + PI_PROGRAM_WORDS * p->steps;
    code[0] = k->form;
    code[1] = k->kind;
    code[2] = a;
    code[3] = b;
    code[4] = c;
    p->made[p->steps++] = made;
}

static void translate(program *p, const pi_node *node)
{
    pi_eltwise_kernel k;
    size_t n = strlen(p->parts);
    uint32_t steps = instructions(node, &k);
    (void)snprintf(p->parts + n, sizeof p->parts - n, "%s%s", n ? ", " : "", node->op->name);
    int64_t a = operand(p, node->in[0]), b = 0, c = 0;
    if (k.form == PI_FORM_ACT) {
        b = constant(p, k.a);
        c = constant(p, k.b);
    } else if (k.form == PI_FORM_WHERE) {
        b = operand(p, node->in[1]);
        c = operand(p, node->in[2]);
    } else if (k.form != PI_FORM_UNARY) {
        b = node->n_explicit > 1 ? operand(p, node->in[1]) : a;
    }
    for (uint32_t i = 0; i < steps; i++) {
        if (i) b = operand(p, node->in[i + 1]);
        instruction(p, &k, a, b, c, i + 1 == steps ? node->out[0] : NULL);
        a = ~(int64_t)(p->steps - 1);
    }
}

static pi_status fuse(pi_graph *g, const note *notes, pi_node *root, pi_error *err)
{
    const pi_value *y = root->out[0];
    program p = {.root = y};
    const pi_tensor *in[PI_PROGRAM_INPUTS];
    for (const pi_node *node = notes[y->id].first; node; node = notes[node->out[0]->id].next) translate(&p, node);
    for (uint32_t i = 0; i < p.inputs; i++) in[i] = &p.input[i]->t;
    if (!p.inputs || !pi_program_pays(&y->t, in, (int)p.inputs)) return PI_E_OK;
    pi_node *node = pi_rewrite(g, root, pi_op_internal("Eltwise"), p.input, p.inputs, err);
    if (!node) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_ints(g, node, "code", p.code, p.steps * PI_PROGRAM_WORDS, err));
    pi_attr constants = {.name = "constants", .kind = PI_ATTR_FLOATS, .n = p.constants, .floats = p.constant};
    pi_attr parts = {.name = "parts", .kind = PI_ATTR_STRING, .n = 1, .s = {p.parts, strlen(p.parts)}};
    PI_TRY(pi_attr_set(g, node, &constants, err));
    return pi_attr_set(g, node, &parts, err);
}

pi_status pi_pass_fuse_eltwise(pi_graph *g, pi_error *err)
{
    pi_status st = PI_E_OK;
    note *notes = pi_calloc(g->heap, g->n_values + 1u, sizeof *notes, err);
    if (!notes) return pi_alloc_status(err);
    find_groups(g, notes);
    for (uint32_t i = 0, n = g->n_nodes; i < n; i++) {
        pi_node *node = g->node[i];
        const pi_value *y = node->n_out ? node->out[0] : NULL;
        if (y && notes[y->id].group == y->id + 1 && notes[y->id].nodes > 1) PI_TRY_DONE(fuse(g, notes, node, err));
    }
    PI_TRY_DONE(pi_graph_sort(g, err));
    pi_graph_sweep(g);
done:
    pi_free(notes);
    return st;
}
