/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a context, for the files of this folder. */
#ifndef PI_RUNTIME_CONTEXT_H
#define PI_RUNTIME_CONTEXT_H
#include "runtime/runtime.h"

typedef struct pi_slot { /* a plan in the cache of its session */
    pi_plan *plan;
    pi_tensor *input; /* shapes and dtypes that it was made for */
    uint64_t used;    /* clock of its last use */
    int refs;         /* contexts, and 1 for the cache; under the session's lock */
    pi_context *idle;
    bool cached;
} pi_slot;

typedef struct { /* a value that moves with each run: of an input or an output's memory */
    uint32_t value, index;
} pi_bind;

typedef struct { /* prepared form of a dynamic step, kept for the next run with the same shapes */
    const pi_impl *impl;
    pi_services services;
    void *state;
    size_t scratch;
    pi_tensor *type; /* n_in + n_out shapes that it was prepared for */
    bool ready;
} pi_dynamic;

typedef struct pi_block { /* memory of values made while running */
    struct pi_block *next;
    void *data;
    size_t bytes;
    pi_seq *seq; /* or this */
} pi_block;

typedef struct pi_body { /* a subgraph that was run: its session */
    struct pi_body *next;
    const pi_graph *graph;
    pi_session *session;
} pi_body;

struct pi_context {
    pi_session *session;
    pi_slot *slot;
    const pi_plan *plan;
    pi_context *next_idle;
    char *arena;
    pi_tensor *tensor;        /* by value id */
    pi_call *call;            /* by step */
    const pi_tensor **in;     /* of all calls */
    pi_tensor **out;
    pi_bind *input, *output;  /* what to bind */
    uint32_t n_input_binds, n_output_binds;
    void **own_output;        /* by graph output: memory of ours, made on demand */
    void **user_output;       /* by graph output: the caller's for this run, or NULL */
    pi_tensor *result;        /* by graph output */
    pi_dynamic *dynamic;      /* by step; NULL if no step is dynamic */
    pi_block *block;
    pi_body *body;
    pi_arena strings;
    pi_run run;
    pi_span *span;
    uint8_t *odd;             /* numbers.c, by value id: what was found in it in this run; NULL: not asked for */
    void *scratch;            /* of dynamic steps, grown on demand */
    size_t scratch_bytes;
};

/* dynamic.c: runs step k, whose shapes were not known when the plan was made. */
pi_status pi_context_run_dynamic(pi_context *c, uint32_t k, pi_error *err);
/* pi_run.output, pi_run.keep and pi_run.graph. */
pi_status pi_context_output_alloc(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err);
pi_status pi_context_keep(const pi_call *call, pi_seq *s, pi_error *err);
pi_status pi_context_run_graph(const pi_call *call, const pi_graph *g, const pi_tensor *const *in, pi_const **out,
                               pi_error *err);
void pi_context_free_dynamic(pi_context *c);
/* Frees what the last run made on the heap, and forgets the results that were in it. */
void pi_context_release_blocks(pi_context *c);

/* numbers.c: NUMBER if an input has a NaN; if step k, which has run, made a NaN, or an infinity out of none. */
pi_status pi_context_check_inputs(pi_context *c, pi_error *err);
pi_status pi_context_check_step(pi_context *c, uint32_t k, pi_error *err);

/* session.c */
/* A session for a subgraph: it shares the heap, packed weights, options and the lock of `outer`. */
pi_status pi_session_new_body(pi_session *outer, const pi_graph *g, pi_session **out, pi_error *err);
/* context.c: a context for the plan of this slot. */
pi_status pi_context_new(pi_session *session, pi_slot *slot, pi_context **out, pi_error *err);
void pi_context_free(pi_context *c);
#endif
