/* SPDX-License-Identifier: Apache-2.0 */
/* Tuning: which candidate of its row a step takes because it was the fastest when measured, and what the model keeps of
 * that. A choice is found by a sum over all that a step's time depends on: operator, attributes, shapes, dtypes, which inputs
 * are constants, threads, options. It is a wish and no more: a candidate that refuses the step is not taken. */
#ifndef PI_PLAN_PLAN_TUNE_H
#define PI_PLAN_PLAN_TUNE_H
#include "plan/plan.h"

/* ---- choices of a model. Any number of threads at a time; what is returned lives as long as they. ---- */

enum { PI_CHOICE_NAME = 16 };
typedef struct {
    uint64_t key;
    char impl[PI_CHOICE_NAME]; /* a name, zeros behind it */
} pi_choice;

pi_choices *pi_choices_new(pi_heap *heap, pi_error *err) PI_MUST_USE;
void pi_choices_free(pi_choices *choices); /* NULL is fine */
/* Remembers a choice, whose text, "own 0.121 ms, onednn 0.160 ms", is copied; measured: here, not read from a file. The first
 * of a key stays. */
pi_status pi_choices_add(pi_choices *choices, const pi_choice *choice, const char *text, bool measured,
                         pi_error *err) PI_MUST_USE;
/* The name of the implementation, and the text; NULL: there is no such choice. */
const char *pi_choices_find(pi_choices *choices, uint64_t key, const char **text);
/* Is there one at all? */
bool pi_choices_any(const pi_choices *choices);
/* How many were measured. */
size_t pi_choices_made(const pi_choices *choices);
/* Counts time that was spent on measuring; all of it so far. */
uint64_t pi_choices_spend(pi_choices *choices, uint64_t ns);
/* fn for each that there is now. Others wait meanwhile. */
pi_status pi_choices_each(pi_choices *choices, pi_status (*fn)(void *arg, const pi_choice *choice, pi_error *err), void *arg,
                          pi_error *err) PI_MUST_USE;

/* ---- tuning ---- */

enum { PI_TUNE_PLANS = 16 };

/* Sets `choice` and `tuned` of the steps, from the choices that are kept or, with options.tune, by measuring, for options.tune
 * ms at most, and PI_TUNE_PLANS times as long for all plans of a model; the run at hand ends first. Each candidate
 * that takes the step runs on made-up inputs and the real constants, with packed weights of its own, which go again. Steps
 * with other than float and byte inputs are not measured: what was made up could be no index. Failures are none of the
 * caller's: such a step stays as it is. The caller is between pi_threads_enter and _leave. */
void pi_plan_tune(pi_plan *plan);

/* ---- for plan_tune.c and plan_trial.c ---- */

typedef struct {
    pi_plan *plan;
    void *others; /* memory in place of the model's other weights */
    size_t n_others;
} pi_tuning;
/* Measures the candidates of a step until `end` (pi_clock_ns) at most, and adds the choice, if there was time for one. */
void pi_tune_step(const pi_tuning *tuning, uint32_t step, uint64_t key, uint64_t end);
/* The plain one, which is never measured. */
bool pi_tune_is_reference(const pi_impl *impl);
/* The result may be put where input i of the step is: nobody reads that afterwards. */
bool pi_tune_last_reader(const pi_plan *plan, uint32_t step, uint32_t i);
#endif
