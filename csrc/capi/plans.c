/* SPDX-License-Identifier: Apache-2.0 */
/* Saved plans and the cache: what a loaded model keeps on disk so that the next process need not pack its weights. */
#include <stdio.h>
#include <string.h>
#include "base/cpu.h"
#include "capi/capi.h"
#include "onednn/onednn.h"

enum { REWRITES = 4 }; /* of the cache by one model: each new input shape may pack weights in another way */

/* All that the form of packed weights depends on, but for their keys. */
static void describe_machine(char *text, size_t size)
{
    char cpu[256], onednn[256];
    pi_cpu_features(cpu, sizeof cpu);
    pi_dnnl_build(onednn, sizeof onednn);
    (void)snprintf(text, size, "pyinfer %s; %s; %s", pyinfer_version(), cpu, onednn);
}

/* ---- loading a saved plan ---- */

pi_status pi_capi_open_path(pyinfer_model *m, pi_model_source *source, pi_error *err)
{
    char magic[PI_STORE_MAGIC] = {0}, machine[PI_STORE_MACHINE];
    uint32_t n;
    PI_TRY(pi_file_open(source->path, &m->plan_file, err));
    source->file = m->plan_file;
    if (!(m->path = pi_arena_strndup(&m->arena, source->path, strlen(source->path), err))) return pi_alloc_status(err);
    if (pi_file_size(m->plan_file) < sizeof magic) return PI_E_OK;
    PI_TRY(pi_file_read(m->plan_file, 0, magic, sizeof magic, err));
    if (!pi_store_is(magic)) return PI_E_OK;
    describe_machine(machine, sizeof machine);
    PI_TRY(pi_store_open(m->plan_file, false, machine, m->heap, &m->store, err));
    const pi_file_part *part = pi_store_parts(m->store, &n);
    if (!n) return pi_fail(err, PI_E_FILE, "this file of the cache has no model in it: load the model's own file");
    pi_file *model;
    PI_TRY(pi_file_open_part(m->plan_file, part, n, 0, &model, err));
    pi_file_unref(m->plan_file);
    source->file = m->plan_file = model;
    return PI_E_OK;
}

int pyinfer_plan_state(const pyinfer_model *m)
{
    if (!m->store) return m->cache.path ? PYINFER_PLAN_NEW : PYINFER_PLAN_NONE;
    return pi_store_fits(m->store) ? PYINFER_PLAN_USED : PYINFER_PLAN_STALE;
}

/* ---- the cache ---- */

/* Its file is used if it was made from just these files, on such a machine; else it will be written anew. */
static void open_cache(pyinfer_model *m)
{
    char machine[PI_STORE_MACHINE];
    pi_error err = {0};
    pi_file *file = NULL;
    pi_file_id *id = pi_calloc(m->heap, m->file->n_from, sizeof *id, &err);
    describe_machine(machine, sizeof machine);
    for (uint32_t i = 0; id && i < m->file->n_from; i++) id[i] = m->file->from[i].id;
    if (id && pi_file_open(m->cache.path, &file, &err) == PI_E_OK &&
        pi_store_open(file, true, machine, m->heap, &m->store, &err) == PI_E_OK &&
        (!pi_store_fits(m->store) || !pi_store_is_of(m->store, id, m->file->n_from))) {
        pi_store_close(m->store);
        m->store = NULL;
    }
    pi_file_unref(file);
    pi_free(id);
    if (m->store) pi_packs_look(m->packs, pi_store_find, m->store);
    if (m->store) (void)!pi_store_choices(m->store, m->choices, &err);
}

pyinfer_status pyinfer_cache(pyinfer_model *m, const char *path, size_t most, pyinfer_error *error)
{
    pi_error err = {0};
    pi_status st = PI_E_OK;
    if (m->cache.path || pi_packs_bytes(m->packs))
        st = pi_fail(&err, PI_E_INPUT, "a cache is set once, before the model's first run");
    else if (!m->store && !m->file->from[0].id.inode)
        st = pi_fail(&err, PI_E_INPUT, "a model given as bytes cannot be told again: a cache needs a path");
    if (st != PI_E_OK || m->store) return pi_capi_status(st, &err, error); /* a saved plan needs no cache */
    m->cache.path = pi_arena_strndup(&m->arena, path, strlen(path), &err);
    if (!m->cache.path) return pi_capi_status(pi_alloc_status(&err), &err, error);
    m->cache.most = most;
    open_cache(m);
    return PYINFER_OK;
}

/* The files that the model was read from, opened again where they are on disk; they must be the same. */
static pi_status open_sources(const pyinfer_model *m, pi_store_source *source, pi_error *err)
{
    for (uint32_t i = 0; i < m->file->n_from; i++) {
        const pi_model_file *from = &m->file->from[i];
        if (from->file)
            source[i].file = pi_file_ref(from->file);
        else if (i == 0)
            PI_TRY(pi_file_open(m->path, &source[i].file, err));
        else
            PI_TRY(pi_file_open_external(source[0].file, from->name, from->name_n, &source[i].file, err));
        const pi_file_id id = pi_file_identity(source[i].file);
        if (memcmp(&id, &from->id, sizeof id) != 0)
            return pi_fail(err, PI_E_FILE, "%.500s%s%.200s was changed since the model was loaded: load it again",
                           m->path, i ? ": " : "", from->name);
    }
    return PI_E_OK;
}

static pi_status write_store(pyinfer_model *m, const char *path, bool inside, uint64_t most, pi_error *err)
{
    char machine[PI_STORE_MACHINE];
    const uint32_t n = m->file->n_from;
    pi_status st = PI_E_OK;
    describe_machine(machine, sizeof machine);
    pi_store_source *source = pi_calloc(m->heap, n, sizeof *source, err);
    if (!source) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++)
        source[i] = (pi_store_source){
            .name = m->file->from[i].name, .name_n = m->file->from[i].name_n, .id = m->file->from[i].id};
    if (inside) PI_TRY_DONE(open_sources(m, source, err));
    const pi_store_plan plan = {.path = path,
                                .machine = machine,
                                .source = source,
                                .n_sources = n,
                                .inside = inside,
                                .packs = m->packs,
                                .choices = m->choices,
                                .before = m->store,
                                .most = most};
    PI_TRY_DONE(pi_store_write(&plan, m->heap, err));
done:
    for (uint32_t i = 0; i < n; i++) pi_file_unref(source[i].file);
    pi_free(source);
    return st;
}

size_t pi_capi_made(const pyinfer_model *m) { return pi_packs_made(m->packs) + pi_choices_made(m->choices); }

/* The account may be full, the disk too: the model works all the same, and does not try again. */
void pi_capi_write_cache(pyinfer_model *m)
{
    pi_error err = {0};
    if (pthread_mutex_trylock(&m->cache.lock) != 0) return;
    size_t made = pi_capi_made(m);
    if (made != __atomic_load_n(&m->cache.written, __ATOMIC_RELAXED) && m->cache.rewrites < REWRITES) {
        bool ok = write_store(m, m->cache.path, false, m->cache.most, &err) == PI_E_OK;
        m->cache.rewrites = ok ? m->cache.rewrites + 1 : REWRITES;
    }
    __atomic_store_n(&m->cache.written, made, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&m->cache.lock);
}

pyinfer_status pyinfer_save(pyinfer_model *m, const char *path, pyinfer_error *error)
{
    pi_error err = {0};
    pi_status st = write_store(m, path, true, 0, &err);
    return pi_capi_status(st, &err, error);
}
