/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: the only file that knows the whole chain, model -> passes -> plan -> runtime. */
#include <stdio.h>
#include <string.h>
#include "base/cpu.h"
#include "base/threads.h"
#include "capi/capi.h"
#include "onednn/onednn.h"
#include "ops/machine.h"
#include "ops/ops.h"
#include "passes/passes.h"

#ifndef PYINFER_VERSION
#define PYINFER_VERSION "0"
#endif

_Static_assert((int)PI_MAX_RANK == (int)PYINFER_MAX_RANK, "the ranks of the public and the inner tensor");
_Static_assert(sizeof(pyinfer_error) == sizeof(pi_error), "the public and the inner error");

pyinfer_status pi_capi_status(pi_status st, const pi_error *err, pyinfer_error *error)
{
    if (st != PI_E_OK && error) {
        memcpy(error->text, err->text, sizeof error->text);
        error->code = (pyinfer_status)st;
    }
    return (pyinfer_status)st;
}

/* ---- small questions ---- */

const char *pyinfer_version(void) { return PYINFER_VERSION; }
size_t pyinfer_dtype_size(pyinfer_dtype dtype) { return pi_dtype_size((pi_dtype)dtype); }
const char *pyinfer_dtype_name(pyinfer_dtype dtype) { return pi_dtype_name((pi_dtype)dtype); }
const char *pyinfer_dtype_numpy_name(pyinfer_dtype dtype) { return pi_dtype_numpy((pi_dtype)dtype); }

const char *pyinfer_status_exception(pyinfer_status code)
{
    return (unsigned)code <= PYINFER_E_INTERNAL ? pi_status_exception((pi_status)code) : NULL;
}

const char *pyinfer_status_meaning(pyinfer_status code)
{
    return (unsigned)code <= PYINFER_E_INTERNAL ? pi_status_meaning((pi_status)code) : NULL;
}

void pyinfer_describe(char *text, size_t size)
{
    char cpu[256], onednn[512], openmp[1024];
    const char *why;
    int threads = pi_threads_default(&why);
    pi_cpu_features(cpu, sizeof cpu);
    pi_dnnl_describe(onednn, sizeof onednn);
    pi_threads_describe(openmp, sizeof openmp);
    (void)snprintf(text, size, "version: %s\ncpu: %s\nonednn: %s\nopenmp: %s\nthreads: %d (%s)\n", PYINFER_VERSION,
                   cpu, onednn, openmp, threads, why);
}

double pyinfer_peak_gflops(int threads) { return pi_machine_gflops(threads); }
double pyinfer_peak_gbytes(int threads) { return pi_machine_gbytes(threads); }

/* ---- loading ---- */

static pi_status specialise(pi_graph *g, void *arg, pi_error *err)
{
    const pyinfer_model *m = arg;
    const pi_pass_options options = {.level = m->options.level, .planning = true, .keep_padding = !m->options.skip_padding};
    return pi_passes_run(g, &options, err);
}

static void port_info(const pi_port *port, pyinfer_value *out)
{
    *out = (pyinfer_value){.name = port->name, .dtype = (int)port->t.dtype, .rank = port->t.rank};
    out->kind = (port->sequence ? PYINFER_SEQUENCE : 0) | (port->optional ? PYINFER_OPTIONAL : 0);
    for (int i = 0; i < port->t.rank; i++) {
        out->shape[i] = port->t.dim[i];
        out->symbol[i] = port->dim_name[i];
    }
}

/* The labels of the ZipMap that makes an output, if one does. */
static pi_status port_keys(pyinfer_model *m, const pi_node *node, pyinfer_value *out, pi_error *err)
{
    if (!node || strcmp(node->op->name, "ZipMap") != 0) return PI_E_OK;
    uint32_t n_ints;
    const int64_t *ints = pi_attr_ints(node, "classlabels_int64s", &n_ints);
    const pi_attr *texts = pi_attr_find(node, "classlabels_strings");
    uint32_t n = texts && texts->n ? texts->n : n_ints;
    pyinfer_tensor *keys = pi_arena_calloc(&m->arena, 1, sizeof *keys, err);
    pyinfer_string *text = pi_arena_calloc(&m->arena, n + 1u, sizeof *text, err); /* as large as an int64_t at least */
    if (!keys || !text) return pi_alloc_status(err);
    *keys = (pyinfer_tensor){.data = text, .dtype = PYINFER_I64, .rank = 1, .shape = {n}};
    if (texts && texts->n) {
        keys->dtype = PYINFER_STRING;
        for (uint32_t i = 0; i < n; i++) {
            text[i] = (pyinfer_string){pi_arena_strndup(&m->arena, texts->strings[i].bytes, texts->strings[i].n, err), texts->strings[i].n};
            if (!text[i].bytes) return pi_alloc_status(err);
        }
    } else if (n) {
        memcpy(keys->data, ints, n * sizeof *ints);
    }
    out->keys = keys;
    return PI_E_OK;
}

static pi_status describe_ports(pyinfer_model *m, pi_error *err)
{
    m->input = pi_arena_calloc(&m->arena, m->file->n_inputs + 1u, sizeof *m->input, err);
    m->output = pi_arena_calloc(&m->arena, m->file->n_outputs + 1u, sizeof *m->output, err);
    if (!m->input || !m->output) return pi_alloc_status(err);
    for (uint32_t i = 0; i < m->file->n_inputs; i++) port_info(&m->file->input[i], &m->input[i]);
    for (uint32_t i = 0; i < m->file->n_outputs; i++) {
        port_info(&m->file->output[i], &m->output[i]);
        PI_TRY(port_keys(m, m->graph->output[i]->producer, &m->output[i], err));
    }
    return pi_capi_find_symbols(m, err);
}

/* What the file leaves open about its outputs, as far as the passes could tell. */
static void complete_outputs(pyinfer_model *m)
{
    const uint32_t own = m->file->n_outputs - (uint32_t)m->options.n_fetch; /* of the model; the rest is fetched */
    for (uint32_t i = 0; i < m->file->n_outputs && i < m->graph->n_outputs; i++) {
        const pi_tensor *t = &m->graph->output[i]->t;
        pyinfer_value *v = &m->output[i];
        if (i >= own && pi_dtype_is_seq(t->dtype)) v->kind = t->dtype == PI_DTYPE_SEQ ? PYINFER_SEQUENCE : PYINFER_OPTIONAL;
        if (v->kind || pi_dtype_is_seq(t->dtype)) continue;
        if (!v->dtype) v->dtype = (int)t->dtype;
        if (v->rank < 0 && t->rank >= 0) {
            v->rank = t->rank;
            for (int d = 0; d < t->rank; d++) v->shape[d] = -1;
        }
        for (int d = 0; d < v->rank && v->rank == t->rank; d++)
            if (v->shape[d] < 0 && !v->symbol[d]) v->shape[d] = t->dim[d];
    }
}

static pi_status add_meta(pyinfer_model *m, const char *prefix, const char *key, const char *value, pi_error *err)
{
    size_t np = strlen(prefix), nk = strlen(key);
    char *name = pi_arena_alloc(&m->arena, np + nk + 1, err);
    if (!name) return pi_alloc_status(err);
    memcpy(name, prefix, np);
    memcpy(name + np, key, nk);
    const char *copy = pi_arena_strndup(&m->arena, value, strlen(value), err);
    if (!copy) return pi_alloc_status(err);
    m->meta[2 * m->n_meta] = name;
    m->meta[2 * m->n_meta + 1] = copy;
    m->n_meta++;
    return PI_E_OK;
}

static pi_status add_number(pyinfer_model *m, const char *prefix, const char *key, int64_t number, pi_error *err)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    return add_meta(m, prefix, key, text, err);
}

static pi_status describe_meta(pyinfer_model *m, pi_error *err)
{
    const pi_model *f = m->file;
    m->meta = pi_arena_calloc(&m->arena, 2 * ((size_t)f->n_meta + f->n_opsets + 8), sizeof *m->meta, err);
    if (!m->meta) return pi_alloc_status(err);
    PI_TRY(add_number(m, "", "ir_version", f->ir_version, err));
    for (uint32_t i = 0; i < f->n_opsets; i++) {
        bool standard = !f->opset[i].domain[0];
        PI_TRY(add_number(m, standard ? "" : "opset.", standard ? "opset" : f->opset[i].domain, f->opset[i].version, err));
    }
    PI_TRY(add_meta(m, "", "producer_name", f->producer_name, err));
    PI_TRY(add_meta(m, "", "producer_version", f->producer_version, err));
    PI_TRY(add_meta(m, "", "domain", f->domain, err));
    PI_TRY(add_meta(m, "", "doc", f->doc, err));
    PI_TRY(add_number(m, "", "model_version", f->model_version, err));
    for (uint32_t i = 0; i < f->n_meta; i++) PI_TRY(add_meta(m, "meta.", f->meta[i].key, f->meta[i].value, err));
    return PI_E_OK;
}

static pi_status read_and_rewrite(pyinfer_model *m, const pi_model_source *source, pi_error *err)
{
    PI_TRY(pi_model_read(source, m->heap, &m->file, err));
    m->graph = m->file->graph;
    m->file->graph = NULL;
    PI_TRY(pi_capi_list_inner(m, err));
    PI_TRY(pi_capi_fetch(m, &m->options, err));
    PI_TRY(describe_ports(m, err));
    PI_TRY(describe_meta(m, err));
    PI_TRY(pi_passes_run(m->graph, &(pi_pass_options){.level = m->options.level}, err));
    complete_outputs(m);
    m->options.fetch = NULL;
    m->options.n_fetch = 0;
    return PI_E_OK;
}

typedef struct {
    pyinfer_model *m;
    const pi_model_source *source;
    pi_status st;
    pi_error *err;
} loading;

/* Whoever comes second wakes oneDNN. */
static bool load_part(void *arg, int64_t i, int thread)
{
    (void)thread;
    loading *l = arg;
    if (i == 0)
        l->st = read_and_rewrite(l->m, l->source, l->err);
    else
        pi_dnnl_warm();
    return true;
}

static pi_status load(pyinfer_model *m, pi_model_source *source, pi_error *err)
{
    enum { LARGE = 4 << 20 }; /* such a model will multiply */
    loading l = {m, source, PI_E_OK, err};
    if (source->path) PI_TRY(pi_capi_open_path(m, source, err));
    bool large = source->path ? pi_file_size(source->file) >= LARGE : source->n >= LARGE;
    if (large && m->options.onednn && m->options.threads > 1)
        pi_apart(2, 1, 2, load_part, &l);
    else
        (void)load_part(&l, 0, 0);
    if (!m->store) { /* nothing holds a file open without need */
        pi_file_unref(m->plan_file);
        m->plan_file = NULL;
    }
    if (l.st != PI_E_OK) return l.st;
    m->packs = pi_packs_new(m->heap, err);
    m->choices = m->packs ? pi_choices_new(m->heap, err) : NULL;
    if (!m->choices) return pi_alloc_status(err);
    if (m->store) pi_packs_look(m->packs, pi_store_find, m->store);
    if (m->store) PI_TRY(pi_store_choices(m->store, m->choices, err));
    pi_session_options session = {
        .plan = {.threads = m->options.threads,
                 .onednn = m->options.onednn != 0,
                 .exact = m->options.exact != 0,
                 .strict = m->options.strict != 0,
                 .check_numbers = m->options.check_numbers != 0,
                 .force = pi_capi_forced(),
                 .tune = m->options.tune * 1000,
                 .limited = m->options.memory_limit != 0,
                 .choices = m->choices},
        .specialise = specialise,
        .arg = m,
    };
    return pi_session_new(m->graph, m->heap, m->packs, &session, &m->session, err);
}

static pyinfer_status load_source(pi_model_source *source, const pyinfer_options *options, pyinfer_model **model,
                                  pyinfer_error *error)
{
    pi_error err = {0};
    pi_status st = PI_E_OK;
    pyinfer_options standard;
    pyinfer_options_init(&standard);
    if (!options) options = &standard;
    *model = NULL;
    pi_heap *heap = pi_heap_new(options->memory_limit);
    pyinfer_model *m = heap ? pi_calloc(heap, 1, sizeof *m, &err) : NULL;
    if (!m) {
        st = pi_fail(&err, PI_E_NOMEM, "no memory for a model");
        if (source->release) source->release(source->owner);
        if (heap) pi_heap_unref(heap);
        return pi_capi_status(st, &err, error);
    }
    m->refs = 1;
    m->heap = heap;
    m->options = *options;
    if (m->options.n_fetch < 0) m->options.n_fetch = 0;
    if (m->options.threads <= 0) m->options.threads = pi_threads_default(NULL);
    if (m->options.threads > PI_MAX_THREADS) m->options.threads = PI_MAX_THREADS;
    pi_arena_init(&m->arena, heap);
    (void)pthread_mutex_init(&m->cache.lock, NULL);
    st = pi_capi_check_environment(&err);
    if (st == PI_E_OK)
        st = load(m, source, &err);
    else if (source->release)
        source->release(source->owner);
    if (st != PI_E_OK && source->path && strncmp(err.text, source->path, strlen(source->path)) != 0)
        pi_error_prefix(&err, "%.500s: ", source->path);
    if (st != PI_E_OK)
        pyinfer_free(m);
    else
        *model = m;
    return pi_capi_status(st, &err, error);
}

pyinfer_status pyinfer_load(const char *path, const pyinfer_options *options, pyinfer_model **model,
                            pyinfer_error *error)
{
    return load_source(&(pi_model_source){.path = path}, options, model, error);
}

pyinfer_status pyinfer_load_bytes(const void *bytes, size_t n, void (*release)(void *), void *owner,
                                  const char *external_dir, const pyinfer_options *options, pyinfer_model **model,
                                  pyinfer_error *error)
{
    pi_model_source source = {
        .bytes = bytes, .n = n, .release = release, .owner = owner, .external_dir = external_dir};
    return load_source(&source, options, model, error);
}

pyinfer_model *pyinfer_ref(pyinfer_model *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void pyinfer_free(pyinfer_model *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    pi_session_free(m->session);
    pi_packs_free(m->packs);
    pi_choices_free(m->choices);
    pi_graph_free(m->graph);
    pi_model_free(m->file);
    pi_file_unref(m->plan_file);
    pi_store_close(m->store);
    (void)pthread_mutex_destroy(&m->cache.lock);
    pi_arena_deinit(&m->arena);
    pi_heap *heap = m->heap;
    pi_free(m);
    pi_heap_unref(heap);
}

/* ---- questions to a model ---- */

int pyinfer_input_count(const pyinfer_model *m) { return (int)m->file->n_inputs; }
int pyinfer_output_count(const pyinfer_model *m) { return (int)m->file->n_outputs; }
int pyinfer_threads(const pyinfer_model *m) { return m->options.threads; }
size_t pyinfer_memory_used(const pyinfer_model *m) { return pi_heap_used(m->heap); }
size_t pyinfer_memory_peak(const pyinfer_model *m) { return pi_heap_peak(m->heap); }

const pyinfer_value *pyinfer_input(const pyinfer_model *m, int i)
{
    return i >= 0 && i < pyinfer_input_count(m) ? &m->input[i] : NULL;
}

const pyinfer_value *pyinfer_output(const pyinfer_model *m, int i)
{
    return i >= 0 && i < pyinfer_output_count(m) ? &m->output[i] : NULL;
}

int pyinfer_metadata_at(const pyinfer_model *m, int i, const char **key, const char **value)
{
    if (i < 0 || i >= m->n_meta) return 0;
    *key = m->meta[2 * i];
    *value = m->meta[2 * i + 1];
    return 1;
}

void pyinfer_print(const pyinfer_model *m, void (*write)(void *arg, const char *text), void *arg)
{
    pi_graph_print(m->graph, write, arg);
}

int pyinfer_op_at(int i, const char **domain, const char **name, int *since, const char **signature, char *types,
                  size_t types_size)
{
    const pi_op *op = i >= 0 ? pi_op_at((size_t)i) : NULL;
    if (!op) return 0;
    *domain = op->domain ? op->domain : "";
    *name = op->name;
    *since = op->since;
    *signature = op->signature;
    size_t n = 0;
    if (types_size) types[0] = '\0';
    for (int d = 1; d < PI_DTYPE_COUNT && n < types_size; d++)
        if (op->T && pi_dtype_in((pi_dtype)d, op->T))
            n += (size_t)snprintf(types + n, types_size - n, "%s%s", n ? " " : "", pi_dtype_name((pi_dtype)d));
    return 1;
}

/* ---- tests of the engine ---- */

static const char *forced;
const char *pi_capi_forced(void) { return forced; }
void pyinfer_test_force_impl(const char *name) { forced = name; }
void pyinfer_test_fail_alloc(long nth) { pi_alloc_fail_at(nth); }
long pyinfer_test_alive_blocks(void) { return pi_alloc_alive(); }
