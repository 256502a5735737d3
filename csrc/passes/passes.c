/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the pipeline. */
#include "passes/passes.h"
#include "ops/ops.h"

enum { ANY = 0, LOAD = 1, PLAN = 2 };
#if defined(PI_PARANOID) || defined(__SANITIZE_ADDRESS__)
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

typedef struct {
    const char *name;
    int level, stage;
    pi_status (*run)(pi_graph *g, pi_error *err);
} pass;

static const pass pipeline[] = {
#define X(name, level, stage, purpose) {#name, level, stage, pi_pass_##name},
#include "passes/pipeline.inc"
#undef X
    {0},
};

pi_status pi_passes_run(pi_graph *g, const pi_pass_options *options, pi_error *err)
{
    PI_TRY(pi_graph_sort(g, err));
    if (options->level >= 2) PI_TRY(pi_pass_qdq(g, err));
    PI_TRY(pi_graph_infer(g, options->level > 0 ? pi_op_fold : NULL, err));
    pi_graph_sweep(g); /* always: implementations expect that somebody wants a result */
    for (const pass *p = pipeline; p->name; p++) {
        if (p->level > options->level || (p->stage != ANY && (p->stage == PLAN) != options->planning)) continue;
        if (p->run == pi_pass_skip_padding && options->keep_padding) continue;
        PI_TRY(p->run(g, err));
        if (options->verify || CHECKED) PI_TRY(pi_graph_verify(g, err));
        PI_TRY(pi_graph_sort(g, err));
    }
    return PI_E_OK;
}
