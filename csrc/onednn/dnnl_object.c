/* SPDX-License-Identifier: Apache-2.0 */
/* The object: a primitive, its packed weights' key, and its argument list.
 *
 * Making dnnl_memory objects for a call costs 0.2 us each, setting the pointer of one that exists 10 ns, an execution of
 * something small 0.16 us: so each object keeps one argument list, taken by whoever comes first; a thread that runs the
 * same object meanwhile makes a list of its own on the stack. */
#ifdef PI_ONEDNN
#include <stdatomic.h>
#include <string.h>
#include "base/alloc.h"
#include "base/threads.h"
#include "onednn/dnnl_private.h"

typedef struct {
    dnnl_stream_t stream;
    dnnl_exec_arg_t arg[ROLE_COUNT];
} arg_list;

/* What names a packed form: only values that oneDNN's queries tell, in fixed order, zeros where there is none. */
typedef struct {
    int32_t rank, type, kind, blocks;
    dnnl_dims_t dims, padded, strides, block, block_dim;
} format_key;

struct pi_dnnl {
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t md[ROLE_COUNT], plain;
    int args;
    pi_dnnl_role role[ROLE_COUNT]; /* of argument i */
    int arg_id[ROLE_COUNT];
    const char *name;
    size_t scratch;
    bool as_is;
    size_t weights_bytes;
    struct {
        char what[8];
        int32_t version[3];
        int32_t exact; /* 1: the format below says all; else these must do: */
        int32_t src_type, src_zero;
        char name[64];
        int64_t bytes;
        format_key plain, packed;
    } key;
    int threads; /* what it was made for */
    atomic_flag busy;
    arg_list list;
    dnnl_primitive_desc_t pd;
};

/* ---- argument lists ---- */

static void list_drop(arg_list *list, int count)
{
    for (int i = 0; i < count; i++)
        if (list->arg[i].memory) pi_dnnl_lib->memory_destroy(list->arg[i].memory);
    if (list->stream) pi_dnnl_lib->stream_destroy(list->stream);
}

static bool list_make(arg_list *list, const pi_dnnl *object)
{
    memset(list, 0, sizeof *list);
    bool ok = pi_dnnl_lib->stream_create(&list->stream, pi_dnnl_lib->engine, dnnl_stream_default_flags) == dnnl_success;
    for (int i = 0; ok && i < object->args; i++) {
        list->arg[i].arg = object->arg_id[i];
        ok = pi_dnnl_lib->memory_create(&list->arg[i].memory, object->md[object->role[i]], pi_dnnl_lib->engine,
                                      DNNL_MEMORY_NONE) == dnnl_success;
    }
    if (!ok) {
        list_drop(list, object->args);
        memset(list, 0, sizeof *list);
    }
    return ok;
}

static dnnl_status_t list_run(const pi_dnnl *object, const arg_list *list, const void *const *pointer)
{
    for (int i = 0; i < object->args; i++) {
        /* oneDNN has no const: it writes to dst and scratch only */
        void *handle = (void *)(uintptr_t)pointer[object->role[i]];
        dnnl_status_t status = pi_dnnl_lib->memory_set_data_handle(list->arg[i].memory, handle);
        if (status != dnnl_success) return status;
    }
    dnnl_status_t status = pi_dnnl_lib->primitive_execute(object->primitive, list->stream, object->args, list->arg);
    return status == dnnl_success ? pi_dnnl_lib->stream_wait(list->stream) : status;
}

static pi_status status_fail(dnnl_status_t status, const char *what, pi_error *err)
{
    if (status == dnnl_success) return PI_E_OK;
    if (status == dnnl_out_of_memory) return pi_fail(err, PI_E_NOMEM, "no memory for oneDNN's %s", what);
    return pi_fail(err, PI_E_INTERNAL, "oneDNN's %s ended with status %d", what, (int)status);
}

static dnnl_status_t run_list(const pi_dnnl *object, arg_list *list, const void *const *pointer)
{
    pi_threads_state saved;
    if (object->threads != 1) {
        pi_threads_place(object->threads);
        return list_run(object, list, pointer);
    }
    pi_threads_enter(1, &saved); /* a small one, in a run of more threads */
    dnnl_status_t status = list_run(object, list, pointer);
    pi_threads_leave(&saved);
    return status;
}

pi_status pi_dnnl_run(pi_dnnl *object, const pi_dnnl_args *args, pi_error *err)
{
    const void *const pointer[ROLE_COUNT] = {
        [ROLE_SRC] = args->src,
        [ROLE_WEIGHTS] = args->weights,
        [ROLE_BIAS] = args->bias,
        [ROLE_RESIDUAL] = args->residual,
        [ROLE_DST] = args->dst,
        [ROLE_SCRATCH] = args->scratch,
        [ROLE_SRC_SCALE] = args->src_scale,
        [ROLE_WEIGHTS_SCALE] = args->weights_scale,
        [ROLE_DST_SCALE] = args->dst_scale,
        [ROLE_SRC_ZERO] = args->src_zero,
        [ROLE_DST_ZERO] = args->dst_zero,
    };
    for (int i = 0; i < object->args; i++)
        if (!pointer[object->role[i]])
            return pi_fail(err, PI_E_INTERNAL, "oneDNN's %s: argument %d is missing", object->name, (int)object->role[i]);
    if (!atomic_flag_test_and_set_explicit(&object->busy, memory_order_acquire)) {
        dnnl_status_t status = run_list(object, &object->list, pointer);
        atomic_flag_clear_explicit(&object->busy, memory_order_release);
        return status_fail(status, object->name, err);
    }
    arg_list mine;
    if (!list_make(&mine, object)) return status_fail(dnnl_out_of_memory, object->name, err);
    dnnl_status_t status = run_list(object, &mine, pointer);
    list_drop(&mine, object->args);
    return status_fail(status, object->name, err);
}

/* ---- weights ---- */

static void copy_dims(dnnl_dims_t to, const_dnnl_memory_desc_t md, dnnl_query_t what, int count)
{
    const dnnl_dims_t *dims = NULL;
    if (count > 0 && pi_dnnl_lib->memory_desc_query(md, what, (void *)&dims) == dnnl_success && dims)
        memcpy(to, *dims, (size_t)count * sizeof(dnnl_dim_t));
}

/* false: a format that the queries do not tell in full. */
static bool key_of(format_key *key, const_dnnl_memory_desc_t md)
{
    int rank = 0, blocks = 0;
    dnnl_data_type_t type = dnnl_data_type_undef;
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    pi_dnnl_lib->memory_desc_query(md, dnnl_query_ndims_s32, &rank);
    pi_dnnl_lib->memory_desc_query(md, dnnl_query_data_type, &type);
    pi_dnnl_lib->memory_desc_query(md, dnnl_query_format_kind, &kind);
    *key = (format_key){.rank = rank, .type = (int32_t)type, .kind = (int32_t)kind};
    copy_dims(key->dims, md, dnnl_query_dims, rank);
    copy_dims(key->padded, md, dnnl_query_padded_dims, rank);
    if (kind != dnnl_blocked) return false;
    pi_dnnl_lib->memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks);
    key->blocks = blocks;
    copy_dims(key->strides, md, dnnl_query_strides, rank);
    copy_dims(key->block, md, dnnl_query_inner_blks, blocks);
    copy_dims(key->block_dim, md, dnnl_query_inner_idxs, blocks);
    return true;
}

static void make_key(pi_dnnl *object, const char *what)
{
    const dnnl_version_t *version = pi_dnnl_lib->version();
    object->weights_bytes = pi_dnnl_lib->memory_desc_get_size(object->md[ROLE_WEIGHTS]);
    memset(&object->key, 0, sizeof object->key);
    strncpy(object->key.what, what, sizeof object->key.what - 1);
    object->key.version[0] = version->major;
    object->key.version[1] = version->minor;
    object->key.version[2] = version->patch;
    object->key.bytes = (int64_t)object->weights_bytes;
    object->as_is = pi_dnnl_lib->memory_desc_equal(object->md[ROLE_WEIGHTS], object->plain) != 0;
    key_of(&object->key.plain, object->plain);
    bool exact = key_of(&object->key.packed, object->md[ROLE_WEIGHTS]);
    /* 8-bit formats carry compensation that no query tells */
    exact = exact && object->key.packed.type != (int32_t)dnnl_s8 && object->key.packed.type != (int32_t)dnnl_u8;
    object->key.exact = exact;
    if (exact) return;
    dnnl_data_type_t src = dnnl_data_type_undef;
    pi_dnnl_lib->memory_desc_query(object->md[ROLE_SRC], dnnl_query_data_type, &src);
    object->key.src_type = (int32_t)src;
    object->key.src_zero = object->md[ROLE_SRC_ZERO] != NULL;
    strncpy(object->key.name, object->name, sizeof object->key.name - 1);
}

void pi_dnnl_weights(const pi_dnnl *object, pi_dnnl_weights_info *info)
{
    memset(info, 0, sizeof *info);
    if (!object->plain) return;
    info->bytes = object->weights_bytes;
    info->key = &object->key;
    info->key_bytes = sizeof object->key;
    info->as_is = object->as_is;
}

pi_status pi_dnnl_pack(const pi_dnnl *object, const void *plain, void *packed, pi_error *err)
{
    if (!object->plain) return pi_fail(err, PI_E_INTERNAL, "oneDNN's %s has nothing to pack", object->name);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    pi_threads_state saved;
    const bool alone = pi_threads_apart();
    if (alone) pi_threads_enter(1, &saved);
    /* the library's own scratch is safe here: one thread makes, runs and frees */
    dnnl_status_t st = pi_dnnl_lib->reorder_primitive_desc_create(&pd, object->plain, pi_dnnl_lib->engine,
                                                                object->md[ROLE_WEIGHTS], pi_dnnl_lib->engine, NULL);
    if (st == dnnl_success) st = pi_dnnl_lib->primitive_create(&primitive, pd);
    if (st == dnnl_success)
        st = pi_dnnl_lib->memory_create(&from, object->plain, pi_dnnl_lib->engine, (void *)(uintptr_t)plain);
    if (st == dnnl_success) st = pi_dnnl_lib->memory_create(&to, object->md[ROLE_WEIGHTS], pi_dnnl_lib->engine, packed);
    if (st == dnnl_success) st = pi_dnnl_lib->stream_create(&stream, pi_dnnl_lib->engine, dnnl_stream_default_flags);
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    if (st == dnnl_success) st = pi_dnnl_lib->primitive_execute(primitive, stream, 2, args);
    if (st == dnnl_success) st = pi_dnnl_lib->stream_wait(stream);
    if (stream) pi_dnnl_lib->stream_destroy(stream);
    if (to) pi_dnnl_lib->memory_destroy(to);
    if (from) pi_dnnl_lib->memory_destroy(from);
    if (primitive) pi_dnnl_lib->primitive_destroy(primitive);
    if (pd) pi_dnnl_lib->primitive_desc_destroy(pd);
    if (alone) pi_threads_leave(&saved);
    return status_fail(st, "packing of weights", err);
}

/* ---- making, and the rest ---- */

const char *pi_dnnl_impl_name(const pi_dnnl *object) { return object->name; }
size_t pi_dnnl_scratch(const pi_dnnl *object) { return object->scratch; }

void pi_dnnl_free(void *pointer)
{
    pi_dnnl *object = pointer;
    if (!object) return;
    list_drop(&object->list, object->args);
    for (int i = 0; i < ROLE_COUNT; i++)
        if (object->md[i]) pi_dnnl_lib->memory_desc_destroy(object->md[i]);
    if (object->plain) pi_dnnl_lib->memory_desc_destroy(object->plain);
    if (object->primitive) pi_dnnl_lib->primitive_destroy(object->primitive);
    if (object->pd) pi_dnnl_lib->primitive_desc_destroy(object->pd);
    pi_free(object);
}

/* Moves what the draft owns. */
static void adopt(pi_dnnl *object, pi_dnnl_draft *draft, const char *what)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (!draft->md[i]) continue;
        object->md[i] = draft->md[i];
        object->arg_id[object->args] = draft->arg[i];
        object->role[object->args++] = (pi_dnnl_role)i;
    }
    object->plain = draft->plain;
    object->pd = draft->pd;
    memset(draft->md, 0, sizeof draft->md);
    draft->plain = NULL;
    draft->pd = NULL;
    pi_dnnl_lib->primitive_desc_query(object->pd, dnnl_query_impl_info_str, 0, &object->name);
    if (object->md[ROLE_SCRATCH]) object->scratch = pi_dnnl_lib->memory_desc_get_size(object->md[ROLE_SCRATCH]);
    if (object->plain) make_key(object, what);
}

pi_status pi_dnnl_make(pi_dnnl **out, const char *what, pi_dnnl_describe_fn describe, const void *description,
                       int impl, int threads, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_dnnl *object = NULL;
    pi_dnnl_draft draft;
    pi_threads_state saved;
    int capacity = 0;
    *out = NULL;
    pi_threads_enter(threads, &saved);
    pi_dnnl_cache_off(impl, &capacity);
    const char *why = pi_dnnl_draft_start(&draft);
    if (!why) why = describe(&draft, description);
    if (why) {
        st = pi_fail(err, PI_E_UNSUPPORTED, "%s: %s", what, why);
        goto done;
    }
    object = pi_calloc(NULL, 1, sizeof *object, err);
    if (!object) {
        st = pi_alloc_status(err);
        goto done;
    }
    atomic_flag_clear(&object->busy);
    object->threads = threads;
    adopt(object, &draft, what);
    PI_TRY_DONE(status_fail(pi_dnnl_lib->primitive_create(&object->primitive, object->pd), object->name, err));
    if (!list_make(&object->list, object)) {
        st = status_fail(dnnl_out_of_memory, object->name, err);
        goto done;
    }
    *out = object;
    object = NULL;
done:
    pi_dnnl_draft_drop(&draft);
    pi_dnnl_free(object);
    pi_dnnl_cache_on(impl, capacity);
    pi_threads_leave(&saved);
    return st;
}

const char *pi_dnnl_probe(pi_dnnl_describe_fn describe, const void *description, int impl, int threads)
{
    pi_dnnl_draft draft;
    pi_threads_state saved;
    int capacity = 0;
    if (threads > 0) pi_threads_enter(threads, &saved);
    pi_dnnl_cache_off(impl, &capacity);
    const char *why = pi_dnnl_draft_start(&draft);
    if (!why) why = describe(&draft, description);
    pi_dnnl_draft_drop(&draft);
    pi_dnnl_cache_on(impl, capacity);
    if (threads > 0) pi_threads_leave(&saved);
    return why;
}
#endif
