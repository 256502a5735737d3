/* SPDX-License-Identifier: Apache-2.0 */
/* A plan: a graph with concrete input shapes as a flat list of steps over one arena. Immutable once built, shared by
 * contexts. A value lives in a storage; views and in-place results share the storage of what they come from. */
#ifndef PI_PLAN_PLAN_H
#define PI_PLAN_PLAN_H
#include "graph/op.h"
#include "ops/prep.h"

typedef struct pi_choices pi_choices; /* plan_tune.h */

typedef struct {
    int threads;
    bool onednn;       /* candidates whose names begin so are taken */
    bool exact;        /* candidates that are inexact are refused */
    bool strict;       /* the plain reference of a costly operator is refused */
    bool check_numbers; /* runtime: the results of each step are searched for NaN and infinities */
    const char *force; /* an implementation's name that wins where it accepts; NULL: the row's order */
    int tune;            /* milliseconds that a plan may spend on measuring candidates; 0: none */
    bool limited;        /* memory is: no choice may need more of it than the row's order */
    pi_choices *choices; /* what was measured; NULL: nothing is, nor kept */
} pi_plan_options;

typedef enum {
    PI_PLACE_NONE,     /* not read by any step */
    PI_PLACE_ARENA,    /* at `offset` in the arena */
    PI_PLACE_INPUT,    /* memory of graph input `index` */
    PI_PLACE_OUTPUT,   /* memory of graph output `index`, given for each run */
    PI_PLACE_CONSTANT,
    PI_PLACE_HEAP,     /* made while running, by a step whose shapes depend on data */
} pi_place_kind;

typedef struct {
    pi_place_kind kind;
    uint32_t index;   /* INPUT, OUTPUT */
    uint32_t storage; /* ARENA, OUTPUT: index of the storage; values with the same one share memory */
    size_t offset;    /* ARENA: bytes from its start */
    uint32_t first, last; /* steps that write the storage first and read it last; n_steps: it is read after the run */
} pi_place;

typedef struct {
    const pi_node *node;
    bool known;           /* all shapes are */
    const pi_impl *impl;  /* NULL: dynamic, chosen while running */
    void *state;
    size_t scratch, scratch_at; /* bytes that it needs beside the values while it runs, where in the arena */
    double flops;
    const char *isa;     /* see pi_prep; "": not known */
    const char *refused; /* "onednn: why; simd: why" */
    const pi_impl *choice; /* to be asked first; NULL: the row's order */
    const char *tuned;     /* "own 0.121 ms, onednn 0.160 ms"; "" */
} pi_step;

typedef struct pi_plan {
    pi_graph *graph; /* owned: the specialised copy */
    pi_heap *heap;
    pi_services services; /* of the plan's own lists */
    pi_services *maker;   /* n_makers: states of steps, packed weights, objects to free; one for each thread that prepared */
    pi_step *step;
    pi_place *place; /* by value id */
    pi_const **pinned; /* constants that steps read in their plain form */
    uint32_t n_steps, n_pinned, n_makers;
    size_t arena_bytes;   /* of values and scratch */
    bool *output_copied;  /* by graph output: its value lives elsewhere and is copied at the end of a run */
    pi_plan_options options;
} pi_plan;

/* Builds a plan of g, whose shapes are inferred and which is sorted; takes g over, also on failure. */
pi_status pi_plan_new(pi_graph *g, pi_packs *packs, const pi_plan_options *options, pi_plan **out,
                      pi_error *err) PI_MUST_USE;
void pi_plan_free(pi_plan *plan);

/* Prepares `choice`, or (NULL, or it cannot be prepared) the first candidate of the row of prep->node that takes these shapes;
 * `refused` gets the reasons of those before it, "" if there are none. UNSUPPORTED if there is no candidate. */
pi_status pi_plan_prepare(pi_prep *prep, const pi_plan_options *options, const pi_impl *choice, const pi_impl **impl,
                          char *refused, size_t size, pi_error *err) PI_MUST_USE;
/* Why impl does not take the node, with its shapes and these options; NULL: it does. */
const char *pi_plan_refusal(const pi_node *node, const pi_impl *impl, const pi_tensor *const *in, const pi_tensor *const *out,
                            const pi_plan_options *options);
/* The refusal is only that another one is believed to be quicker. */
bool pi_plan_only_slower(const char *refusal);
/* Its output is its first input under another shape: no step is made for it. */
bool pi_plan_is_view(const pi_node *node);
/* plan_memory.c: fills place, arena_bytes, output_copied. Algorithm: greedy by size or breadth, arXiv 2001.03288. */
pi_status pi_plan_memory(pi_plan *plan, pi_error *err) PI_MUST_USE;
#endif
