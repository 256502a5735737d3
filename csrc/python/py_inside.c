/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside a model: its steps, its plan, its graph, what its file says. */
#include "python/py_model.h"

static PyObject *step_row(const pyinfer_step *s)
{
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:z,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:K,s:K,s:d,s:d,s:d,s:n,s:n}", "name", s->name, "op", s->op,
                         "domain", s->domain, "parts", s->parts, "source", s->source, "value", s->value, "impl", s->impl, "isa",
                         s->isa, "layout", s->layout, "refused", s->refused, "tuned", s->tuned, "shapes", s->shapes, "ns",
                         (unsigned long long)s->ns, "start_ns", (unsigned long long)s->start_ns, "flops", s->flops, "bytes",
                         s->bytes, "computed", s->computed, "scratch", (Py_ssize_t)s->scratch, "scratch_at",
                         (Py_ssize_t)s->scratch_offset);
}

static PyObject *steps_list(pyinfer_request *request)
{
    pyinfer_step step;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && pyinfer_step_at(request, i, &step); i++) {
        PyObject *row = step_row(&step);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

/* steps(arrays, runs): a list with, for each of `runs` profiled runs (after one unmeasured), the list of its steps;
 * runs = 0: one list, nothing is run. Also the bytes of the arena and of packed weights: (lists, arena, packed). */
PyObject *py_model_steps(PyObject *self, PyObject *args)
{
    py_model *m = (py_model *)self;
    PyObject *arrays, *lists = NULL, *result = NULL;
    pyinfer_request *request = NULL;
    pyinfer_error error;
    pyinfer_status st;
    py_feed f;
    int runs;
    if (!PyArg_ParseTuple(args, "O!i", &PyTuple_Type, &arrays, &runs)) return NULL;
    if (PyTuple_GET_SIZE(arrays) != PyTuple_GET_SIZE(m->names)) return py_refuse(m, arrays, NULL);
    pyinfer_model *handle = py_model_opened(m);
    if (!handle || py_feed_init(&f, pyinfer_input_count(handle)) < 0) return NULL;
    (void)pyinfer_ref(handle);
    if (py_feed_fill(&f, m, handle, ((PyTupleObject *)arrays)->ob_item) < 0) goto done;
    lists = PyList_New(0);
    st = pyinfer_begin(handle, f.tensor, f.n, &request, &error);
    for (int i = 0; st == PYINFER_OK && lists && i <= runs; i++) {
        if (runs) {
            st = py_execute(request, 1, &error);
            pyinfer_profile(request, 1);
        }
        if (st != PYINFER_OK || (runs && i == 0)) continue;
        PyObject *list = steps_list(request);
        if (!list || PyList_Append(lists, list) < 0) Py_CLEAR(lists);
        Py_XDECREF(list);
    }
    if (st != PYINFER_OK && !PyErr_Occurred())
        (void)py_raise(&error);
    else if (st == PYINFER_OK && lists)
        result = Py_BuildValue("(Onn)", lists, (Py_ssize_t)pyinfer_arena_bytes(request), (Py_ssize_t)pyinfer_packed_bytes(request));
    if (request) pyinfer_profile(request, 0);
done:
    Py_XDECREF(lists);
    pyinfer_end(request);
    py_feed_clear(&f);
    pyinfer_free(handle);
    return result;
}

static PyObject *ids_of(const pyinfer_request *request, int node, int from, int n)
{
    PyObject *ids = PyTuple_New(n);
    for (int k = 0; ids && k < n; k++) {
        PyObject *id = PyLong_FromLong(pyinfer_node_value(request, node, from + k));
        if (!id) Py_CLEAR(ids);
        else PyTuple_SET_ITEM(ids, k, id);
    }
    return ids;
}

static PyObject *nodes_list(const pyinfer_request *request)
{
    pyinfer_node node;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && pyinfer_node_at(request, i, &node); i++) {
        PyObject *in = ids_of(request, i, 0, node.n_in), *out = ids_of(request, i, node.n_in, node.n_out);
        PyObject *row = in && out ? Py_BuildValue("{s:s,s:s,s:s,s:s,s:z,s:O,s:O,s:O}", "name", node.name, "op", node.op, "domain",
                                                  node.domain, "parts", node.parts, "source", node.source, "view",
                                                  node.view ? Py_True : Py_False, "in", in, "out", out)
                                  : NULL;
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
        Py_XDECREF(in);
        Py_XDECREF(out);
    }
    return list;
}

static PyObject *places_list(const pyinfer_request *request)
{
    static const char *const kind[] = {"none", "arena", "input", "output", "constant", "heap", "packed"};
    pyinfer_place p;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && pyinfer_place_at(request, i, &p); i++) {
        PyObject *row = Py_BuildValue("{s:s,s:s,s:s,s:i,s:i,s:i,s:n,s:n}", "name", p.name, "type", p.type, "kind", kind[p.kind],
                                      "storage", p.storage, "first", p.first, "last", p.last, "bytes", (Py_ssize_t)p.bytes,
                                      "offset", (Py_ssize_t)p.offset);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

/* plan(arrays): plans for inputs of these shapes, runs nothing; a dict of lists of rows. */
PyObject *py_model_plan(PyObject *self, PyObject *args)
{
    py_model *m = (py_model *)self;
    PyObject *arrays, *result = NULL;
    pyinfer_request *request = NULL;
    pyinfer_error error;
    pyinfer_status st;
    py_feed f;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &arrays)) return NULL;
    if (PyTuple_GET_SIZE(arrays) != PyTuple_GET_SIZE(m->names)) return py_refuse(m, arrays, NULL);
    pyinfer_model *handle = py_model_opened(m);
    if (!handle || py_feed_init(&f, pyinfer_input_count(handle)) < 0) return NULL;
    (void)pyinfer_ref(handle);
    if (py_feed_fill(&f, m, handle, ((PyTupleObject *)arrays)->ob_item) < 0) goto done;
    Py_BEGIN_ALLOW_THREADS;
    st = pyinfer_begin(handle, f.tensor, f.n, &request, &error);
    Py_END_ALLOW_THREADS;
    if (st != PYINFER_OK) {
        (void)py_raise(&error);
        goto done;
    }
    PyObject *steps = steps_list(request), *nodes = nodes_list(request), *values = places_list(request);
    if (steps && nodes && values)
        result = Py_BuildValue("{s:O,s:O,s:O,s:n,s:n}", "steps", steps, "nodes", nodes, "values", values, "arena",
                               (Py_ssize_t)pyinfer_arena_bytes(request), "packed", (Py_ssize_t)pyinfer_packed_bytes(request));
    Py_XDECREF(steps);
    Py_XDECREF(nodes);
    Py_XDECREF(values);
done:
    pyinfer_end(request);
    py_feed_clear(&f);
    pyinfer_free(handle);
    return result;
}

static void append_text(void *arg, const char *text)
{
    PyObject *piece = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (piece) (void)PyList_Append((PyObject *)arg, piece);
    Py_XDECREF(piece);
}

PyObject *py_model_text(PyObject *self, PyObject *unused)
{
    pyinfer_model *handle = py_model_opened((py_model *)self);
    (void)unused;
    PyObject *list = handle ? PyList_New(0) : NULL, *empty = PyUnicode_FromString(""), *text = NULL;
    if (list && empty) {
        pyinfer_print(handle, append_text, list);
        text = PyUnicode_Join(empty, list);
    }
    Py_XDECREF(list);
    Py_XDECREF(empty);
    return text;
}

static PyObject *names_of(const pyinfer_inner *inner)
{
    PyObject *names = PyTuple_New(inner->n_in);
    for (int i = 0; names && i < inner->n_in; i++) {
        PyObject *name = PyUnicode_FromString(inner->in[i]);
        if (!name) Py_CLEAR(names);
        else PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

static PyObject *inner_list(py_model *m, int edges)
{
    pyinfer_inner inner;
    pyinfer_model *handle = py_model_opened(m);
    PyObject *list = handle ? PyList_New(0) : NULL;
    for (int i = 0; list && pyinfer_inner_at(handle, i, &inner); i++) {
        PyObject *row = edges ? Py_BuildValue("(siN)", inner.name, inner.index, names_of(&inner))
                              : Py_BuildValue("(sssz)", inner.name, inner.node, inner.op, inner.source);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

/* [(value, node, operator, source or None)] of the graph as the file has it. */
PyObject *py_model_inner(PyObject *self, PyObject *unused)
{
    (void)unused;
    return inner_list((py_model *)self, 0);
}

/* [(value, number of its node, names that the node reads)], a row for each of inner_rows. */
PyObject *py_model_edges(PyObject *self, PyObject *unused)
{
    (void)unused;
    return inner_list((py_model *)self, 1);
}

PyObject *py_model_metadata(PyObject *self, PyObject *unused)
{
    const char *key, *value;
    pyinfer_model *handle = py_model_opened((py_model *)self);
    (void)unused;
    PyObject *dict = handle ? PyDict_New() : NULL;
    for (int i = 0; dict && pyinfer_metadata_at(handle, i, &key, &value); i++) {
        PyObject *text = PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "replace");
        if (!text || PyDict_SetItemString(dict, key, text) < 0) Py_CLEAR(dict);
        Py_XDECREF(text);
    }
    return dict;
}

PyObject *py_model_memory(PyObject *self, PyObject *unused)
{
    pyinfer_model *handle = py_model_opened((py_model *)self);
    (void)unused;
    if (!handle) return NULL;
    return Py_BuildValue("(nn)", (Py_ssize_t)pyinfer_memory_used(handle), (Py_ssize_t)pyinfer_memory_peak(handle));
}
