/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator is: a row, and its implementations. The rows themselves live in ops/. */
#ifndef PI_GRAPH_OP_H
#define PI_GRAPH_OP_H
#include "graph/graph.h"
#include "graph/seq.h"

/* ---- rows ---- */

/* Shapes of the outputs from the inputs. in[i] is NULL for an absent optional input; each present one has a known
 * shape and dtype, already checked against the row; in[i]->data is NULL where the value is not known. out[i] comes with
 * its dtype from the signature (where that says it) and rank -1; infer sets rank and dims (pi_tensor_set_shape) and
 * dtypes that the signature leaves open. Where a needed value is not known (in[1]->data == NULL), or the shape depends
 * on data, leave rank at -1 and return PI_E_OK. Wrong ranks, dims or attributes: MODEL, saying expected and got. */
typedef pi_status (*pi_infer_fn)(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err);

enum { /* flags of a row */
    PI_OP_VIEW = 1,         /* out[0] has the bytes of in[0]: Reshape, Squeeze, Identity ... no step is made */
    PI_OP_ELEMENTWISE = 2,  /* each output element from the input elements at its (broadcast) place */
    PI_OP_RANDOM = 4,       /* never folded, never merged with its like */
    PI_OP_SHAPE_ONLY = 8,   /* reads only the shape of in[0]: Shape, Size; foldable without data */
    PI_OP_NO_FOLD = 16,
    PI_OP_PICKS = 32,       /* reads no more of in[0] than out[0] has: Gather, Slice */
};

/* Signature: "X:T W:T B?:T -> Y:T". Parameters are NAME[?][*]:TYPE, "?" optional, "*" any number (last only).
 * TYPE is T, U or V (a set of the row; the same dtype wherever the letter stands), a dtype's short name ("i64", "bool",
 * "seq", "opt"), "any" (a tensor, each its own) or "value" (a sequence or optional too). For an output "any" means that
 * infer says it. Trailing outputs may be left out if
 * marked "?". "*" after an input type variable that may differ each time is written "X*:any". */
struct pi_op {
    const char *domain; /* NULL: ai.onnx; "pyinfer": made by passes, never readable from a file */
    const char *name;
    int since; /* first opset version that this row serves */
    const char *signature;
    pi_dtypes T, U, V;
    unsigned flags;
    const pi_attr_def *attrs;      /* NULL: none */
    pi_infer_fn infer;
    /* The subgraph that the node is no more than, as its constants say; NULL: not known, or for the run to refuse. May be NULL. */
    pi_graph *(*taken)(const pi_node *node);
    const struct pi_impl *impls; /* best first; the last accepts all; a NULL name ends the list */
    /* Instead of infer and impls: puts others in the node's place, outputs and all, where it is read. */
    pi_status (*expand)(pi_graph *g, pi_node *node, pi_error *err);
};

/* ---- signatures (graph/signature.c) ---- */

typedef struct {
    const char *name; /* not terminated */
    size_t n;
    char var;          /* 'T', 'U', 'V', or 0 */
    pi_dtypes types;   /* allowed */
    bool optional, variadic;
} pi_param;
/* Parameter i of the inputs (or outputs); a variadic one answers for every i from its place on. false: there is none. */
bool pi_op_input(const pi_op *op, uint32_t i, pi_param *param);
bool pi_op_output(const pi_op *op, uint32_t i, pi_param *param);

/* ---- implementations: refuse, prepare, run ---- */

/* In front of a refusal: could take the node, but another candidate of the row is believed to be quicker. Tuning asks it
 * all the same. */
#define PI_SLOWER "slower: "

typedef struct pi_prep pi_prep;
typedef struct pi_call pi_call;
typedef struct pi_run pi_run;

typedef struct pi_impl {
    const char *name; /* "onednn", "simd", "ref" */
    /* NULL if this implementation takes the node, else a static text that says why not. Shapes are known. NULL fn: takes all. */
    const char *(*refuse)(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
    /* Once per plan: choose, pack, size scratch. May be NULL. UNSUPPORTED: refuses after all (what only making it shows),
     * the next candidate is asked. */
    pi_status (*prepare)(pi_prep *prep, pi_error *err);
    /* Fails only on faults in the data (an index out of range) and on cancel. Allocates nothing, but for outputs whose
     * shape depends on data. */
    pi_status (*run)(const pi_call *call, pi_error *err);
    /* Bit i: out[0] may have the memory of in[i] where their bytes are equal in number, and no input without a bit is in
     * the same memory. PI_INEXACT: it saves multiplications at the cost of some digits, the option exact refuses it. */
    unsigned inplace;
} pi_impl;
#define PI_INEXACT (1u << 31)
#define PI_INPLACE_ALL (PI_INEXACT - 1)
static inline bool pi_impl_inplace(const pi_impl *impl, uint32_t input) { return input < 31 && impl->inplace >> input & 1; }

struct pi_prep {
    const pi_node *node;
    const pi_tensor *const *in; /* .data is set for constants only */
    const pi_tensor *const *out;
    int threads;
    /* results */
    void *state;    /* what run gets; from pi_prep_alloc */
    size_t scratch; /* bytes that run wants, 64-byte aligned */
    double flops;   /* of one run, for the profile; 0: unknown */
    const char *isa; /* what its kernels are made for, if not the widest of this CPU; not looked at of a "ref" */
    /* services, see ops/ops.h */
    struct pi_services *services;
};

struct pi_call {
    const pi_node *node;
    const void *state;
    const pi_tensor *const *in;
    pi_tensor *const *out; /* out[i] is NULL if nobody asked for it; out[i]->data is NULL if its shape depends on data */
    void *scratch;
    pi_run *run;
};

/* What a running model offers to its steps. */
struct pi_run {
    int threads;
    const int *cancel; /* atomic; not 0: stop soon. May be NULL */
    pi_heap *heap;
    pi_arena *strings; /* pool of string elements made in this run */
    void *runtime;
    /* Gives out[i] of the call a shape and memory: for outputs whose shape depends on data. */
    pi_status (*output)(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err);
    /* The sequence stays until the run is over; takes over the reference, also on failure. */
    pi_status (*keep)(const pi_call *call, pi_seq *s, pi_error *err);
    /* Runs a subgraph attribute of the node: If, Loop, Scan. in: its explicit inputs, then the implicit ones; the outputs
     * are new constants, the caller's. */
    pi_status (*graph)(const pi_call *call, const pi_graph *g, const pi_tensor *const *in, pi_const **out, pi_error *err);
};
#endif
