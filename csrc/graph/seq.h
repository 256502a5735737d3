/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences and optionals while a model runs. A value of such a type is a scalar tensor of dtype SEQ or OPT whose one element is
 * a `pi_seq *`: graph, plan and arena treat it like any other scalar. Its parts are constants: immutable, counted, shared.
 * The standard nests no deeper than an optional of a sequence of tensors, and nothing here makes anything deeper. */
#ifndef PI_GRAPH_SEQ_H
#define PI_GRAPH_SEQ_H
#include "graph/graph.h"

typedef struct pi_seq {
    struct pi_seq *self; /* what a tensor's data may point at */
    pi_dtype dtype;      /* of the tensors in a sequence; NONE: not said */
    int refs;            /* atomic */
    uint32_t n;          /* of an optional 0 or 1 */
    pi_const *item[];    /* counted; NULL only until the maker has filled it */
} pi_seq;

/* n parts, to be filled by the caller before anybody else sees it; LIMIT above PI_MAX_SEQUENCE. */
pi_seq *pi_seq_new(pi_heap *heap, pi_dtype dtype, int64_t n, pi_error *err) PI_MUST_USE;
pi_seq *pi_seq_ref(pi_seq *s);
void pi_seq_unref(pi_seq *s);
/* A constant that holds it; takes over the reference, also on failure. */
pi_const *pi_seq_const(pi_heap *heap, pi_dtype dtype, pi_seq *s, pi_error *err) PI_MUST_USE;
/* The value as a tensor that borrows it. */
static inline pi_tensor pi_seq_tensor(pi_seq *s, pi_dtype dtype) { return (pi_tensor){.data = &s->self, .dtype = dtype}; }
/* What a bound tensor of dtype SEQ or OPT holds. */
static inline pi_seq *pi_seq_of(const pi_tensor *t) { return *(pi_seq *const *)t->data; }
#endif
