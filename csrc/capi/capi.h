/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the public handles, for the files of this folder. */
#ifndef PI_CAPI_CAPI_H
#define PI_CAPI_CAPI_H
#include <pthread.h>
#include "capi/pyinfer.h"
#include "model/model.h"
#include "plan/plan_store.h"
#include "runtime/runtime.h"

/* Two dimensions of inputs that share a symbol. */
typedef struct {
    int first, other;         /* inputs */
    int first_dim, other_dim;
} pi_capi_twin;

struct pyinfer_model {
    int refs; /* atomic */
    pi_heap *heap;
    pi_model *file;
    pi_graph *graph;
    pi_packs *packs;
    pi_choices *choices;
    pi_session *session;
    const char *path;   /* that it was loaded by, or NULL */
    pi_file *plan_file; /* the model in a saved plan; or NULL */
    pi_store *store;    /* packed weights that lie ready, or NULL */
    struct {
        const char *path; /* or NULL */
        size_t most;      /* bytes; 0: any */
        size_t written;   /* atomic: what pi_capi_made gave when it was last written */
        int rewrites;
        pthread_mutex_t lock; /* of the two above, and of writing */
    } cache;
    pyinfer_options options;
    pyinfer_value *input, *output;
    pi_capi_twin *twin;
    int n_twins;
    const char **meta; /* key, value, key, value ... */
    int n_meta;
    pyinfer_inner *inner; /* names in the graph's arena */
    int n_inner;
    pi_arena arena; /* of input, output, twin, meta, inner */
};

struct pyinfer_request {
    pyinfer_model *model;
    pi_context *context;
    pi_tensor *input;
    pi_arena strings;          /* string elements of the inputs, and of outputs for the caller */
    pi_seq **seq;              /* by input: what a sequence or optional became, or NULL */
    pyinfer_tensor **made;     /* by output: strings, a sequence or an optional in the caller's form; NULL: as it is */
    char *text;                /* for pyinfer_step_at, pyinfer_place_at */
};

/* Copies the text where the caller wants it. */
pyinfer_status pi_capi_status(pi_status st, const pi_error *err, pyinfer_error *error);
/* The name that pyinfer_test_force_impl set. */
const char *pi_capi_forced(void);
/* plans.c: opens source->path, for the reader, or, if it is a saved plan, the model in it. */
pi_status pi_capi_open_path(pyinfer_model *m, pi_model_source *source, pi_error *err);
/* options.c: PYINFER_THREADS and its like are numbers that an option may have. */
pi_status pi_capi_check_environment(pi_error *err) PI_MUST_USE;
/* Grows with all that is worth keeping in a file: bytes packed, steps tuned. */
size_t pi_capi_made(const pyinfer_model *m);
/* What was packed or tuned since the cache was last written goes into it. */
void pi_capi_write_cache(pyinfer_model *m);
/* fetch.c: lists the values of the graph as it was read; makes those of options->fetch outputs, behind the model's own. */
pi_status pi_capi_list_inner(pyinfer_model *m, pi_error *err);
pi_status pi_capi_fetch(pyinfer_model *m, const pyinfer_options *options, pi_error *err);
/* input_check.c: an input against what the model declares. */
pi_status pi_capi_check_input(const pyinfer_value *want, const pyinfer_tensor *got, pi_error *err);
/* Adds which shapes it was that a node could not take: they come from the caller. */
void pi_capi_tell_inputs(const pyinfer_request *r, pi_error *err);
/* values.c: input i, checked, into r->input[i] (and r->seq[i]). */
pi_status pi_capi_take(pyinfer_request *r, int i, const pyinfer_tensor *in, pi_error *err);
/* Output i after a run, where it needs another form, into r->made[i]. */
pi_status pi_capi_give(pyinfer_request *r, int i, pi_error *err);
/* symbols.c: finds the inputs' dimensions that share a symbol; checks those of one call. */
pi_status pi_capi_find_symbols(pyinfer_model *m, pi_error *err);
pi_status pi_capi_check_symbols(const pyinfer_model *m, const pi_tensor *input, pi_error *err);
#endif
