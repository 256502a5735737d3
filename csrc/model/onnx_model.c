/* SPDX-License-Identifier: Apache-2.0 */
/* ModelProto, and the order in which everything is read. */
#include <string.h>
#include "model/reader.h"

/* An OperatorSetIdProto. */
static pi_status read_import(pi_reader *r, pi_span message, read_opset *out, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    *out = (read_opset){.domain = {message.p, 0}};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_bytes(&f, &out->domain, err));
        if (f.number == 2) PI_TRY(pi_field_int(&f, &out->version, err));
    }
    if (pi_span_is(out->domain, "ai.onnx")) out->domain.n = 0;
    if (out->version < 0 || out->version > INT32_MAX)
        return pi_fail(err, PI_E_MODEL, "opset version %lld of domain '%s'", (long long)out->version, read_text(r, out->domain));
    return PI_E_OK;
}

pi_status read_opset_imports(pi_reader *r, pi_span message, uint32_t number, read_opsets *out, pi_error *err)
{
    pi_field f;
    bool more;
    uint32_t n = 0;
    read_opset *list = NULL;
    *out = (read_opsets){0};
    for (int second = 0; second < 2; second++) {
        pi_wire w = pi_wire_over(message, r->base);
        for (;;) {
            pi_span s;
            PI_TRY(pi_wire_next(&w, &f, &more, err));
            if (!more) break;
            if (f.number != number) continue;
            PI_TRY(pi_field_bytes(&f, &s, err));
            if (second && out->n < n)
                PI_TRY(read_import(r, s, &list[out->n++], err));
            else if (!second)
                n++;
        }
        if (n > 1024) return pi_fail(err, PI_E_LIMIT, "%u imports of opsets", n);
        if (!second && n && !(list = pi_arena_calloc(&r->arena, n, sizeof *list, err))) return pi_alloc_status(err);
    }
    out->list = list;
    return PI_E_OK;
}

int64_t read_opset_version(read_opsets opsets, pi_span domain)
{
    for (uint32_t i = 0; i < opsets.n; i++)
        if (pi_span_same(opsets.list[i].domain, domain)) return opsets.list[i].version;
    return 0;
}

/* Metadata (field 14). */
static pi_status read_meta(pi_reader *r, pi_model *m, pi_span message, pi_error *err)
{
    pi_field f;
    bool more;
    uint32_t n = 0;
    pi_model_meta *list = NULL;
    for (int second = 0; second < 2; second++) {
        pi_wire w = pi_wire_over(message, r->base);
        for (;;) {
            pi_span s;
            PI_TRY(pi_wire_next(&w, &f, &more, err));
            if (!more) break;
            if (f.number != 14) continue;
            PI_TRY(pi_field_bytes(&f, &s, err));
            if (!second) n++;
            if (!second || m->n_meta == n) continue;
            pi_wire entry = pi_wire_over(s, r->base);
            pi_span key = {s.p, 0}, value = key;
            for (;;) {
                PI_TRY(pi_wire_next(&entry, &f, &more, err));
                if (!more) break;
                if (f.number == 1) PI_TRY(pi_field_bytes(&f, &key, err));
                if (f.number == 2) PI_TRY(pi_field_bytes(&f, &value, err));
            }
            pi_model_meta *to = &list[m->n_meta];
            if (!(to->key = read_copy(&m->arena, key, err)) || !(to->value = read_copy(&m->arena, value, err)))
                return pi_alloc_status(err);
            m->n_meta++;
        }
        if (!second && n && !(list = pi_arena_calloc(&m->arena, n, sizeof *list, err))) return pi_alloc_status(err);
    }
    m->meta = list;
    return PI_E_OK;
}

static pi_status keep_opsets(pi_reader *r, pi_model *m, read_opsets opsets, pi_error *err)
{
    pi_opset *list = pi_arena_calloc(&m->arena, opsets.n + 1u, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    for (uint32_t i = 0; i < opsets.n; i++) {
        if (!(list[i].domain = read_copy(&m->arena, opsets.list[i].domain, err))) return pi_alloc_status(err);
        list[i].version = opsets.list[i].version;
    }
    (void)r;
    m->opset = list;
    m->n_opsets = opsets.n;
    return PI_E_OK;
}

static pi_status read_model(pi_reader *r, pi_model *m, pi_error *err)
{
    pi_span message = {r->base, r->n}, graph = {0};
    pi_wire w = pi_wire_over(message, r->base);
    pi_span producer = {r->base, 0}, version = producer, domain = producer, doc = producer;
    pi_field f;
    bool more;
    read_opsets opsets;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 1: PI_TRY(pi_field_int(&f, &m->ir_version, err)); break;
        case 2: PI_TRY(pi_field_bytes(&f, &producer, err)); break;
        case 3: PI_TRY(pi_field_bytes(&f, &version, err)); break;
        case 4: PI_TRY(pi_field_bytes(&f, &domain, err)); break;
        case 5: PI_TRY(pi_field_int(&f, &m->model_version, err)); break;
        case 6: PI_TRY(pi_field_bytes(&f, &doc, err)); break;
        case 7:
            if (graph.p) return pi_fail(err, PI_E_MODEL, "byte %llu: a second graph", (unsigned long long)f.at);
            PI_TRY(pi_field_bytes(&f, &graph, err));
            break;
        default: break;
        }
    }
    if (!graph.p) return pi_fail(err, PI_E_MODEL, "not an ONNX model: there is no graph in it");
    if (m->ir_version < 1) return pi_fail(err, PI_E_MODEL, "not an ONNX model: there is no ir_version in it");
    if (!(m->producer_name = read_copy(&m->arena, producer, err)) || !(m->producer_version = read_copy(&m->arena, version, err)) ||
        !(m->domain = read_copy(&m->arena, domain, err)) || !(m->doc = read_copy(&m->arena, doc, err)))
        return pi_alloc_status(err);
    PI_TRY(read_meta(r, m, message, err));
    PI_TRY(read_opset_imports(r, message, 8, &opsets, err));
    if (m->ir_version < 3 && opsets.n == 0) { /* before imports there was one opset */
        static const read_opset first = {.version = 1};
        opsets = (read_opsets){&first, 1};
    }
    PI_TRY(keep_opsets(r, m, opsets, err));
    PI_TRY(read_functions(r, message, graph, err));
    pi_scope scope = {.g = m->graph, .opsets = opsets};
    pi_map_init(&scope.names, r->heap);
    pi_status st = read_graph(r, &scope, graph, err);
    pi_map_deinit(&scope.names);
    return st == PI_E_OK ? read_unsupported_error(r, err) : st;
}

/* The model keeps what it was read from: for saving, and to tell whether it is the same later. */
static pi_status keep_files(pi_reader *r, pi_model *m, pi_error *err)
{
    m->from = pi_arena_calloc(&m->arena, r->n_external + 1u, sizeof *m->from, err);
    if (!m->from) return pi_alloc_status(err);
    for (uint32_t i = 0; i <= r->n_external; i++) {
        const pi_span name = i ? r->external_name[i - 1] : (pi_span){r->base, 0};
        pi_model_file *to = &m->from[i];
        if (!(to->name = pi_arena_strndup(&m->arena, (const char *)name.p, name.n, err))) return pi_alloc_status(err);
        to->name_n = name.n;
        pi_file *file = i ? r->external_file[i - 1] : r->file;
        to->id = pi_file_identity(file);
        if (!pi_file_on_disk(file)) to->file = pi_file_ref(file); /* no descriptor stays open for this */
        m->n_from++;
    }
    return PI_E_OK;
}

pi_status pi_model_read(const pi_model_source *source, pi_heap *heap, pi_model **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_model *m = NULL;
    pi_reader *r = pi_calloc(heap, 1, sizeof *r, err);
    *out = NULL;
    if (!r) {
        if (!source->path && source->release) source->release(source->owner);
        return pi_alloc_status(err);
    }
    r->heap = heap;
    pi_arena_init(&r->arena, heap);
    pi_map_init(&r->external, heap);
    pi_map_init(&r->function_key, heap);
    PI_TRY_DONE(read_open(r, source, err));
    r->model = m = pi_calloc(heap, 1, sizeof *m, err);
    if (!m) {
        st = pi_alloc_status(err);
        goto done;
    }
    pi_arena_init(&m->arena, heap);
    m->graph = pi_graph_new(heap, err);
    if (!m->graph) {
        st = pi_alloc_status(err);
        goto done;
    }
    PI_TRY_DONE(read_model(r, m, err));
    PI_TRY_DONE(keep_files(r, m, err));
    *out = m;
    m = NULL;
done:
    if (st == PI_E_MODEL && err && strncmp(err->text, "byte ", 5) == 0) {
        const char *hint = read_hint_name(source->path);
        pi_error_prefix(err, "the file is damaged, or no ONNX model: ");
        pi_error_append(err, "; %s", hint ? hint : "fetch it again, or export it again");
    }
    pi_model_free(m);
    read_close(r);
    pi_map_deinit(&r->function_key);
    pi_arena_deinit(&r->arena);
    pi_free(r);
    return st;
}

void pi_model_free(pi_model *model)
{
    if (!model) return;
    pi_graph_free(model->graph);
    for (uint32_t i = 0; i < model->n_from; i++) pi_file_unref(model->from[i].file);
    pi_arena_deinit(&model->arena);
    pi_free(model);
}
