/* SPDX-License-Identifier: Apache-2.0 */
/* Running: a session keeps a graph, its plans for the shapes seen lately, and idle contexts; a context is the memory of
 * one run at a time. Sessions are shared by threads; a context belongs to one thread while it is taken. */
#ifndef PI_RUNTIME_RUNTIME_H
#define PI_RUNTIME_RUNTIME_H
#include "plan/plan.h"

typedef struct pi_session pi_session;
typedef struct pi_context pi_context;

typedef struct {
    pi_plan_options plan;
    /* Infers and rewrites the copy of the graph whose input shapes are now known; leaves it sorted. */
    pi_status (*specialise)(pi_graph *g, void *arg, pi_error *err);
    void *arg;
} pi_session_options;

/* Borrows g (the loaded and optimised graph), which must outlive the session. */
pi_status pi_session_new(const pi_graph *g, pi_heap *heap, pi_packs *packs, const pi_session_options *options,
                         pi_session **out, pi_error *err) PI_MUST_USE;
void pi_session_free(pi_session *session);

/* A context for inputs of these dtypes and shapes (data not looked at), from the idle ones or new; plans if needed. */
pi_status pi_context_take(pi_session *session, const pi_tensor *input, pi_context **out, pi_error *err) PI_MUST_USE;
/* Gives it back; what the run made on the heap is freed. */
void pi_context_give(pi_context *context);

/* dtype and shape of output i, rank -1 while it depends on data; after a run with its data. */
const pi_tensor *pi_context_output(const pi_context *context, uint32_t i);
/* The caller's memory for output i in the next run; NULL: the context's own. */
void pi_context_set_output(pi_context *context, uint32_t i, void *data);
/* After a run: the block in which output i was made while running, and nothing else is, passes to the caller: pi_free.
 * NULL: there is none. */
void *pi_context_take_output(pi_context *context, uint32_t i);
/* Runs on these inputs (data bound, same shapes as when it was taken). cancel may be NULL. */
pi_status pi_context_run(pi_context *context, const pi_tensor *input, const int *cancel, pi_error *err) PI_MUST_USE;

/* ---- looking inside ---- */
typedef struct {
    uint64_t start_ns, ns;
    double computed; /* share of the step's rows: padding may be left out */
} pi_span;
const pi_plan *pi_context_plan(const pi_context *context);
/* Measure each step of the next runs; NULL until then. One span a step. */
pi_status pi_context_profile(pi_context *context, bool on, pi_error *err) PI_MUST_USE;
const pi_span *pi_context_spans(const pi_context *context);
/* Name of the implementation that step i used last. */
const char *pi_context_impl(const pi_context *context, uint32_t i);
/* Tensor of a value in the last run; its data may have been reused since. */
const pi_tensor *pi_context_tensor(const pi_context *context, uint32_t value_id);
#endif
