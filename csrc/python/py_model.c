/* SPDX-License-Identifier: Apache-2.0 */
/* The type _core.Model: a loaded model. The handle is counted: each call holds one while it runs, so that close() in
 * another thread is safe. */
#include "python/py_model.h"

#include <limits.h>
#include <stddef.h>
#include <structmember.h>

/* ---- loading ---- */

static void release_buffer(void *owner)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyBuffer_Release((Py_buffer *)owner);
    PyMem_Free(owner);
    PyGILState_Release(gil);
}

static int read_options(PyObject *dict, pyinfer_options *options)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    pyinfer_error error;
    pyinfer_options_init(options);
    while (PyDict_Next(dict, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key);
        long long number = name ? PyLong_AsLongLong(value) : -1;
        if (number == -1 && PyErr_Occurred()) return -1;
        if (pyinfer_option_set(options, name, number, &error) != PYINFER_OK) {
            (void)py_raise(&error);
            return -1;
        }
    }
    return 0;
}

/* The texts of the tuple (or NULL) into options->fetch: a list to be freed; NULL with an exception set. */
static const char **read_fetch(PyObject *tuple, pyinfer_options *options)
{
    Py_ssize_t n = tuple ? PyTuple_GET_SIZE(tuple) : 0;
    const char **names = PyMem_Calloc((size_t)n + 1, sizeof *names);
    if (!names) (void)PyErr_NoMemory();
    for (Py_ssize_t i = 0; names && i < n; i++)
        if (!(names[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(tuple, i)))) {
            PyMem_Free(names);
            names = NULL;
        }
    options->fetch = names;
    options->n_fetch = n > INT_MAX ? INT_MAX : (int)n;
    return names;
}

static PyObject *describe_value(const pyinfer_value *v)
{
    PyObject *shape = Py_NewRef(Py_None);
    if (v->rank >= 0) {
        Py_SETREF(shape, PyTuple_New(v->rank));
        for (int i = 0; shape && i < v->rank; i++) {
            PyObject *dim = v->shape[i] >= 0 ? PyLong_FromLongLong(v->shape[i])
                            : v->symbol[i]   ? PyUnicode_DecodeUTF8(v->symbol[i], (Py_ssize_t)strlen(v->symbol[i]), "replace")
                                             : Py_NewRef(Py_None);
            if (!dim) Py_CLEAR(shape);
            else PyTuple_SET_ITEM(shape, i, dim);
        }
    }
    if (!shape) return NULL;
    char type[128];
    py_type_text(v, type, sizeof type);
    return Py_BuildValue("(ssN)", v->name, type, shape);
}

static int describe_model(py_model *m)
{
    int n_in = pyinfer_input_count(m->handle), n_out = pyinfer_output_count(m->handle);
    m->inputs = PyTuple_New(n_in);
    m->outputs = PyTuple_New(n_out);
    m->names = PyTuple_New(n_in);
    if (!m->inputs || !m->outputs || !m->names) return -1;
    for (int i = 0; i < n_in; i++) {
        PyObject *row = describe_value(pyinfer_input(m->handle, i));
        if (!row) return -1;
        PyTuple_SET_ITEM(m->inputs, i, row);
        PyTuple_SET_ITEM(m->names, i, Py_NewRef(PyTuple_GET_ITEM(row, 0)));
    }
    for (int i = 0; i < n_out; i++) {
        PyObject *row = describe_value(pyinfer_output(m->handle, i));
        if (!row) return -1;
        PyTuple_SET_ITEM(m->outputs, i, row);
    }
    return 0;
}

static pyinfer_status load_path(py_model *m, PyObject *path, const pyinfer_options *options, pyinfer_error *error)
{
    pyinfer_status st;
    const char *text = PyBytes_AS_STRING(path);
    Py_BEGIN_ALLOW_THREADS;
    st = pyinfer_load(text, options, &m->handle, error);
    Py_END_ALLOW_THREADS;
    return st;
}

static int load_buffer(py_model *m, PyObject *source, const char *folder, const pyinfer_options *options,
                       pyinfer_status *st, pyinfer_error *error)
{
    Py_buffer *view = PyMem_Malloc(sizeof *view);
    if (!view || PyObject_GetBuffer(source, view, PyBUF_SIMPLE) < 0) {
        PyMem_Free(view);
        if (!PyErr_Occurred()) (void)PyErr_NoMemory();
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS;
    *st = pyinfer_load_bytes(view->buf, (size_t)view->len, release_buffer, view, folder, options, &m->handle, error);
    Py_END_ALLOW_THREADS;
    return 0;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {(char *)"source", (char *)"options", (char *)"external_dir", (char *)"fetch", NULL};
    PyObject *source, *dict, *path = NULL, *fetch = NULL;
    const char *folder = NULL;
    pyinfer_options options;
    pyinfer_error error;
    pyinfer_status st = PYINFER_OK;
    if (py_array_init() < 0) return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!|zO!", keywords, &source, &PyDict_Type, &dict, &folder, &PyTuple_Type, &fetch))
        return NULL;
    if (read_options(dict, &options) < 0) return NULL;
    const char **names = read_fetch(fetch, &options);
    py_model *m = names ? (py_model *)type->tp_alloc(type, 0) : NULL;
    if (!m) {
        PyMem_Free(names);
        return NULL;
    }
    m->vectorcall = py_model_vectorcall;
    m->strict = options.strict;
    if (PyUnicode_Check(source)) {
        if (!PyUnicode_FSConverter(source, &path)) goto fail;
        st = load_path(m, path, &options, &error);
        Py_DECREF(path);
    } else if (load_buffer(m, source, folder, &options, &st, &error) < 0) {
        goto fail;
    }
    if (st != PYINFER_OK) {
        (void)py_raise(&error);
        goto fail;
    }
    if (describe_model(m) < 0) goto fail;
    PyMem_Free(names);
    return (PyObject *)m;
fail:
    PyMem_Free(names);
    Py_DECREF(m);
    return NULL;
}

static int model_traverse(PyObject *self, visitproc visit, void *arg)
{
    py_model *m = (py_model *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(m->dict);
    return 0;
}

static int model_clear(PyObject *self)
{
    Py_CLEAR(((py_model *)self)->dict);
    return 0;
}

static void model_dealloc(PyObject *self)
{
    py_model *m = (py_model *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (m->weakrefs) PyObject_ClearWeakRefs(self);
    pyinfer_model *handle = m->handle;
    m->handle = NULL;
    if (handle) {
        Py_BEGIN_ALLOW_THREADS;
        pyinfer_free(handle);
        Py_END_ALLOW_THREADS;
    }
    Py_CLEAR(m->inputs);
    Py_CLEAR(m->outputs);
    Py_CLEAR(m->names);
    Py_CLEAR(m->copied);
    Py_CLEAR(m->dict);
    type->tp_free(self);
    Py_DECREF(type);
}

pyinfer_model *py_model_opened(py_model *m)
{
    if (!m->handle) PyErr_SetString(py_exception(PYINFER_E_INPUT), "the model is closed: load it again");
    return m->handle;
}

static PyObject *model_take_copies(PyObject *self, PyObject *unused)
{
    py_model *m = (py_model *)self;
    (void)unused;
    int copies = m->copies;
    m->copies = 0;
    return Py_NewRef(copies && m->copied ? m->copied : Py_None);
}

static PyObject *model_close(PyObject *self, PyObject *unused)
{
    py_model *m = (py_model *)self;
    (void)unused;
    pyinfer_model *handle = m->handle;
    m->handle = NULL;
    if (handle) {
        Py_BEGIN_ALLOW_THREADS;
        pyinfer_free(handle);
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}

static PyObject *model_threads(PyObject *self, void *unused)
{
    pyinfer_model *handle = py_model_opened((py_model *)self);
    (void)unused;
    return handle ? PyLong_FromLong(pyinfer_threads(handle)) : NULL;
}

static PyObject *model_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!((py_model *)self)->handle);
}

/* ---- saved plans ---- */

/* The handle, counted; NULL with an exception if the model is closed. */
static pyinfer_model *hold(const py_model *m)
{
    if (m->handle) return pyinfer_ref(m->handle);
    PyErr_SetString(py_exception(PYINFER_E_INPUT), "the model is closed: load it again");
    return NULL;
}

static PyObject *model_save(PyObject *self, PyObject *args)
{
    PyObject *path = NULL;
    pyinfer_error error;
    pyinfer_status st;
    if (!PyArg_ParseTuple(args, "O&", PyUnicode_FSConverter, &path)) return NULL;
    pyinfer_model *handle = hold((py_model *)self);
    if (handle) {
        const char *text = PyBytes_AS_STRING(path);
        Py_BEGIN_ALLOW_THREADS;
        st = pyinfer_save(handle, text, &error);
        pyinfer_free(handle);
        Py_END_ALLOW_THREADS;
        if (st != PYINFER_OK) (void)py_raise(&error);
    }
    Py_DECREF(path);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *model_cache(PyObject *self, PyObject *args)
{
    PyObject *path = NULL;
    Py_ssize_t most;
    pyinfer_error error;
    if (!PyArg_ParseTuple(args, "O&n", PyUnicode_FSConverter, &path, &most)) return NULL;
    pyinfer_model *handle = hold((py_model *)self);
    if (handle) {
        if (pyinfer_cache(handle, PyBytes_AS_STRING(path), (size_t)most, &error) != PYINFER_OK) (void)py_raise(&error);
        pyinfer_free(handle);
    }
    Py_DECREF(path);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *model_plan_state(PyObject *self, void *unused)
{
    static const char *const name[] = {"none", "used", "stale", "new"};
    const py_model *m = (py_model *)self;
    (void)unused;
    return PyUnicode_FromString(name[m->handle ? pyinfer_plan_state(m->handle) : 0]);
}

static PyMethodDef methods[] = {
    {"run_tuple", py_model_run, METH_VARARGS, "run_tuple(arrays, out=None): a tuple of arrays, lists of them, None; out: arrays or None."},
    {"steps", py_model_steps, METH_VARARGS, "steps(arrays, runs): (lists of step rows, arena bytes, packed bytes)."},
    {"plan_rows", py_model_plan, METH_VARARGS, "plan_rows(arrays): steps, nodes, values, arena, packed of the plan."},
    {"graph_text", py_model_text, METH_NOARGS, "The optimised graph, a line a node."},
    {"inner_rows", py_model_inner, METH_NOARGS, "[(value, node, operator, source)] of the graph as the file has it."},
    {"inner_edges", py_model_edges, METH_NOARGS, "[(value, number of its node, names that the node reads)] beside inner_rows."},
    {"read_metadata", py_model_metadata, METH_NOARGS, "The model's metadata as a dict of texts."},
    {"memory_bytes", py_model_memory, METH_NOARGS, "(bytes in use, most bytes so far) of weights, plans and contexts."},
    {"take_copies", model_take_copies, METH_NOARGS, "(name, given, type) of an input that was cast or copied lately, or None."},
    {"save_plan", model_save, METH_VARARGS, "save_plan(path): the model and its packed weights in one file."},
    {"set_cache", model_cache, METH_VARARGS, "set_cache(path, most): a file to find and keep packed weights in."},
    {"close", model_close, METH_NOARGS, "Frees the model; a run that is going on finishes first."},
    {0},
};

static PyMemberDef members[] = {
    {"input_rows", T_OBJECT, offsetof(py_model, inputs), READONLY, "(name, dtype, shape) of each input"},
    {"output_rows", T_OBJECT, offsetof(py_model, outputs), READONLY, "(name, dtype, shape) of each output"},
    {"input_names", T_OBJECT, offsetof(py_model, names), READONLY, "names of the inputs"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(py_model, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(py_model, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(py_model, weakrefs), READONLY, NULL},
    {0},
};

static PyGetSetDef getters[] = {
    {"threads", model_threads, NULL, "threads of one run", NULL},
    {"plan_state", model_plan_state, NULL, "packed weights from a file: none, used, stale, new", NULL},
    {"closed", model_closed, NULL, "the model was closed", NULL},
    {0},
};

static PyType_Slot type_slots[] = {
    {Py_tp_new, model_new},         {Py_tp_dealloc, model_dealloc}, {Py_tp_traverse, model_traverse},
    {Py_tp_clear, model_clear},     {Py_tp_methods, methods},       {Py_tp_members, members},
    {Py_tp_getset, getters},        {Py_tp_call, PyVectorcall_Call},
    {Py_tp_doc, (char *)"Model(source, options, external_dir=None): source is a path or a bytes-like object."},
    {0, NULL},
};

static PyType_Spec type_spec = {
    .name = "pyinfer._core.Model",
    .basicsize = sizeof(py_model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = type_slots,
};

int py_model_add(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&type_spec);
    int st = type ? PyModule_AddObjectRef(module, "Model", type) : -1;
    Py_XDECREF(type);
    return st;
}
