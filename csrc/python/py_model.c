/* SPDX-License-Identifier: Apache-2.0 */
/* The type _core.Model: a loaded model. The handle is counted: each call holds one while it runs, so that close() in
 * another thread is safe. */
#include "python/py.h"

#include <limits.h>
#include <stddef.h>
#include <structmember.h>
#include <time.h>

typedef struct {
    PyObject_HEAD
    pyinfer_model *handle; /* NULL once closed */
    PyObject *inputs, *outputs; /* tuples of (name, dtype, shape) */
    PyObject *names;       /* tuple of input names, interned */
    PyObject *dict, *weakrefs;
    int copies; /* an input had to be cast or copied since the flag was last cleared */
    PyObject *copied; /* (name, what was given, type) of the first such input, or NULL */
    int strict; /* no input may be cast or copied */
    size_t short_bytes; /* inputs of at most this size were seen to run in a few ms */
    vectorcallfunc vectorcall;
} model_object;

enum { FEW = 16 }; /* inputs and outputs of a call that needs no list from the heap */

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

static int describe_model(model_object *m)
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

static pyinfer_status load_path(model_object *m, PyObject *path, const pyinfer_options *options, pyinfer_error *error)
{
    pyinfer_status st;
    const char *text = PyBytes_AS_STRING(path);
    Py_BEGIN_ALLOW_THREADS;
    st = pyinfer_load(text, options, &m->handle, error);
    Py_END_ALLOW_THREADS;
    return st;
}

static int load_buffer(model_object *m, PyObject *source, const char *folder, const pyinfer_options *options,
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

static PyObject *model_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names);

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {(char *)"source", (char *)"options", (char *)"external_dir", (char *)"fetch", NULL};
    PyObject *source, *dict, *path = NULL, *fetch = NULL;
    const char *folder = NULL;
    pyinfer_options options;
    pyinfer_error error;
    pyinfer_status st = PYINFER_OK;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!|zO!", keywords, &source, &PyDict_Type, &dict, &folder, &PyTuple_Type, &fetch))
        return NULL;
    if (read_options(dict, &options) < 0) return NULL;
    const char **names = read_fetch(fetch, &options);
    model_object *m = names ? (model_object *)type->tp_alloc(type, 0) : NULL;
    if (!m) {
        PyMem_Free(names);
        return NULL;
    }
    m->vectorcall = model_vectorcall;
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
    model_object *m = (model_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(m->dict);
    return 0;
}

static int model_clear(PyObject *self)
{
    Py_CLEAR(((model_object *)self)->dict);
    return 0;
}

static void model_dealloc(PyObject *self)
{
    model_object *m = (model_object *)self;
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

static pyinfer_model *opened(model_object *m)
{
    if (!m->handle) PyErr_SetString(py_exception(PYINFER_E_INPUT), "the model is closed: load it again");
    return m->handle;
}

/* ---- running ---- */

typedef struct {
    pyinfer_tensor few_tensors[FEW], *tensor;
    PyObject *few_kept[FEW], **kept;
    int n;
} feed;

static int feed_init(feed *f, int n)
{
    f->n = n;
    f->tensor = n > FEW ? PyMem_Calloc((size_t)n, sizeof *f->tensor) : f->few_tensors;
    f->kept = n > FEW ? PyMem_Calloc((size_t)n, sizeof *f->kept) : f->few_kept;
    if (!f->tensor || !f->kept) {
        (void)PyErr_NoMemory();
        f->n = 0;
        return -1;
    }
    for (int i = 0; i < n; i++) f->kept[i] = NULL;
    return 0;
}

static void feed_clear(feed *f)
{
    for (int i = 0; i < f->n; i++) Py_XDECREF(f->kept[i]);
    if (f->tensor != f->few_tensors) PyMem_Free(f->tensor);
    if (f->kept != f->few_kept) PyMem_Free(f->kept);
}

/* handle: that of m, held by the caller (converting an array may run code that closes m). */
static int feed_fill(feed *f, model_object *m, const pyinfer_model *handle, PyObject *const *arrays)
{
    for (int i = 0; i < f->n; i++) {
        const pyinfer_value *want = pyinfer_input(handle, i);
        int copied = 0;
        if (py_value_in(arrays[i], want, &f->tensor[i], &f->kept[i], &copied) < 0) return -1;
        if (copied && m->strict) {
            const char *dtype = pyinfer_dtype_numpy_name((pyinfer_dtype)want->dtype);
            PyObject *got = py_array_text(arrays[i]);
            if (got)
                PyErr_Format(py_exception(PYINFER_E_INPUT),
                             "input '%s': expected a C-contiguous array of %s, got %U (the model is strict); give "
                             "np.ascontiguousarray(x, np.%s)",
                             want->name, dtype, got, dtype);
            Py_XDECREF(got);
            return -1;
        }
        m->copies |= copied;
        if (copied && !m->copied) {
            const char *dtype = pyinfer_dtype_numpy_name((pyinfer_dtype)want->dtype);
            PyObject *note = Py_BuildValue("(sNs)", want->name, py_array_text(arrays[i]), dtype);
            if (!note) return -1;
            Py_XSETREF(m->copied, note); /* another thread may have been here meanwhile */
        }
    }
    return 0;
}

static size_t tensor_bytes(const pyinfer_tensor *t)
{
    size_t bytes = t->kind == PYINFER_TENSOR ? pyinfer_dtype_size((pyinfer_dtype)t->dtype) : 0;
    for (int d = 0; d < t->rank; d++) bytes *= (size_t)t->shape[d];
    for (int64_t i = 0; t->kind == PYINFER_SEQUENCE && i < t->shape[0]; i++)
        bytes += tensor_bytes((const pyinfer_tensor *)t->data + i); /* of tensors: once */
    return bytes;
}

static size_t feed_bytes(const feed *f)
{
    size_t sum = 0;
    for (int i = 0; i < f->n; i++) sum += tensor_bytes(&f->tensor[i]);
    return sum;
}

/* Executes; runs that were not yet seen to be short can be interrupted. */
static pyinfer_status execute(model_object *m, const feed *f, pyinfer_request *request, pyinfer_error *error)
{
    size_t bytes = feed_bytes(f);
    int long_run = bytes >= m->short_bytes;
    struct timespec start, end;
    if (!long_run) return py_execute(request, 0, error);
    clock_gettime(CLOCK_MONOTONIC, &start);
    pyinfer_status st = py_execute(request, 1, error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ms = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) * 1e-6;
    if (st == PYINFER_OK && ms < 10) m->short_bytes = bytes + 1;
    return st;
}

/* Arrays for the outputs whose shape is known, given to the request; NULL entries for the others. */
static PyObject *make_outputs(const pyinfer_model *handle, pyinfer_request *request, int n, PyObject *out)
{
    PyObject *result = PyTuple_New(n);
    pyinfer_tensor type;
    for (int i = 0; result && i < n; i++) {
        PyObject *given = out ? PyTuple_GET_ITEM(out, i) : Py_None, *array;
        pyinfer_output_type(request, i, &type);
        if (type.rank < 0 || type.dtype == PYINFER_STRING) continue;
        array = given == Py_None ? py_array_new(&type) : Py_NewRef(given);
        void *data = !array ? NULL : given == Py_None ? py_array_data(array)
                                                      : py_array_out(array, &type, pyinfer_output(handle, i)->name);
        if (!data) {
            Py_XDECREF(array);
            Py_CLEAR(result);
            break;
        }
        pyinfer_set_output(request, i, data);
        PyTuple_SET_ITEM(result, i, array);
    }
    return result;
}

/* An output that had no array yet. Numbers that are not few are taken over, not copied. */
static PyObject *made_output(pyinfer_request *request, int i, const pyinfer_tensor *type)
{
    enum { FEW_BYTES = 16 << 10 };
    void *data = type->kind == PYINFER_TENSOR && tensor_bytes(type) > FEW_BYTES ? pyinfer_take_output(request, i) : NULL;
    return data ? py_array_around(type, data) : py_value_out(type);
}

static int finish_outputs(const pyinfer_model *handle, pyinfer_request *request, int n, PyObject *out, PyObject *result)
{
    pyinfer_tensor type;
    for (int i = 0; i < n; i++) {
        if (PyTuple_GET_ITEM(result, i)) continue;
        pyinfer_output_type(request, i, &type);
        PyObject *given = out ? PyTuple_GET_ITEM(out, i) : Py_None;
        PyObject *array = given == Py_None ? made_output(request, i, &type) : py_value_out(&type);
        if (array && given != Py_None) {
            if (type.kind != PYINFER_TENSOR) {
                PyErr_Format(py_exception(PYINFER_E_INPUT), "out for '%s': a sequence or absent optional cannot be written into an array",
                             pyinfer_output(handle, i)->name);
                Py_CLEAR(array);
            } else if (!py_array_out(given, &type, pyinfer_output(handle, i)->name) || py_array_assign(given, array) < 0)
                Py_CLEAR(array);
            else
                Py_SETREF(array, Py_NewRef(given));
        }
        if (!array) return -1;
        PyTuple_SET_ITEM(result, i, array);
    }
    return 0;
}

/* Runs on the arrays (one for each input); out: NULL or a tuple with an array or None for each output. A tuple. */
static PyObject *run(model_object *m, PyObject *const *arrays, PyObject *out)
{
    pyinfer_model *handle = opened(m);
    pyinfer_request *request = NULL;
    pyinfer_error error;
    pyinfer_status st;
    PyObject *result = NULL;
    feed f;
    if (!handle || feed_init(&f, pyinfer_input_count(handle)) < 0) return NULL;
    (void)pyinfer_ref(handle);
    if (feed_fill(&f, m, handle, arrays) < 0) goto done;
    Py_BEGIN_ALLOW_THREADS; /* planning of new shapes may take long */
    st = pyinfer_begin(handle, f.tensor, f.n, &request, &error);
    Py_END_ALLOW_THREADS;
    if (st == PYINFER_OK) {
        int n = pyinfer_output_count(handle);
        result = make_outputs(handle, request, n, out);
        if (!result) goto done;
        st = execute(m, &f, request, &error);
        if (st == PYINFER_OK && finish_outputs(handle, request, n, out, result) < 0) Py_CLEAR(result);
    }
    if (st != PYINFER_OK) {
        Py_CLEAR(result);
        if (!PyErr_Occurred()) (void)py_raise(&error);
    }
done:
    if (!result) { /* what failed needs no warning */
        m->copies = 0;
        Py_CLEAR(m->copied);
    }
    pyinfer_end(request);
    feed_clear(&f);
    pyinfer_free(handle);
    return result;
}

/* A tuple of arguments, and names of others or NULL, that do not fit the inputs: said in Python. Always NULL. */
static PyObject *refuse(model_object *m, PyObject *given, PyObject *names)
{
    PyObject *none = PyObject_CallMethod((PyObject *)m, "_refuse_arguments", "OO", given, names ? names : Py_None);
    if (none) PyErr_SetString(py_exception(PYINFER_E_INPUT), "the arguments do not fit the inputs");
    Py_XDECREF(none);
    return NULL;
}

static PyObject *wrong_arguments(model_object *m, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    PyObject *given = PyTuple_New(n_args);
    for (Py_ssize_t i = 0; given && i < n_args; i++) PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
    if (given) (void)refuse(m, given, names);
    Py_XDECREF(given);
    return NULL;
}

/* m(x, ..., name=y): arrays in the order of the inputs, or by name. One output: the array itself; else a tuple. */
static PyObject *model_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    model_object *m = (model_object *)self;
    Py_ssize_t n_args = PyVectorcall_NARGS(nargsf), n_names = names ? PyTuple_GET_SIZE(names) : 0;
    Py_ssize_t n = PyTuple_GET_SIZE(m->names);
    PyObject *few[FEW], **arrays = few, *result = NULL;
    if (n_args + n_names != n) return wrong_arguments(m, args, n_args, names);
    if (n_names) {
        if (n > FEW && !(arrays = PyMem_Calloc((size_t)n, sizeof *arrays))) return PyErr_NoMemory();
        for (Py_ssize_t i = 0; i < n; i++) arrays[i] = i < n_args ? args[i] : NULL;
        for (Py_ssize_t k = 0; k < n_names; k++) {
            PyObject *name = PyTuple_GET_ITEM(names, k);
            Py_ssize_t i = PySequence_Index(m->names, name);
            if (i < 0 || arrays[i]) {
                PyErr_Clear();
                (void)wrong_arguments(m, args, n_args, names);
                goto done;
            }
            arrays[i] = args[n_args + k];
        }
    }
    result = run(m, n_names ? arrays : args, NULL);
    if (result && m->copies) { /* warns once, in Python; a filter may make that an exception */
        PyObject *none = PyObject_CallMethod(self, "_warn_copies", NULL);
        if (!none) Py_CLEAR(result);
        Py_XDECREF(none);
    }
    if (result && PyTuple_GET_SIZE(result) == 1) Py_SETREF(result, Py_NewRef(PyTuple_GET_ITEM(result, 0)));
done:
    if (arrays != few) PyMem_Free(arrays);
    return result;
}

static PyObject *model_run(PyObject *self, PyObject *args)
{
    model_object *m = (model_object *)self;
    PyObject *arrays, *out = Py_None;
    if (!PyArg_ParseTuple(args, "O!|O", &PyTuple_Type, &arrays, &out)) return NULL;
    if (PyTuple_GET_SIZE(arrays) != PyTuple_GET_SIZE(m->names)) return refuse(m, arrays, NULL);
    if (out != Py_None && (!PyTuple_Check(out) || PyTuple_GET_SIZE(out) != PyTuple_GET_SIZE(m->outputs)))
        return PyErr_Format(py_exception(PYINFER_E_INPUT), "out must have an array or None for each of the %zd outputs",
                            PyTuple_GET_SIZE(m->outputs));
    return run(m, ((PyTupleObject *)arrays)->ob_item, out == Py_None ? NULL : out);
}

/* ---- looking inside ---- */

static PyObject *step_row(const pyinfer_step *s)
{
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:z,s:s,s:s,s:s,s:s,s:s,s:K,s:K,s:d,s:d}", "name", s->name, "op", s->op, "domain",
                         s->domain, "parts", s->parts, "source", s->source, "value", s->value, "impl", s->impl, "refused",
                         s->refused, "tuned", s->tuned, "shapes", s->shapes, "ns", (unsigned long long)s->ns, "start_ns",
                         (unsigned long long)s->start_ns, "flops", s->flops, "bytes", s->bytes);
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
static PyObject *model_steps(PyObject *self, PyObject *args)
{
    model_object *m = (model_object *)self;
    PyObject *arrays, *lists = NULL, *result = NULL;
    pyinfer_request *request = NULL;
    pyinfer_error error;
    pyinfer_status st;
    feed f;
    int runs;
    if (!PyArg_ParseTuple(args, "O!i", &PyTuple_Type, &arrays, &runs)) return NULL;
    if (PyTuple_GET_SIZE(arrays) != PyTuple_GET_SIZE(m->names)) return refuse(m, arrays, NULL);
    pyinfer_model *handle = opened(m);
    if (!handle || feed_init(&f, pyinfer_input_count(handle)) < 0) return NULL;
    (void)pyinfer_ref(handle);
    if (feed_fill(&f, m, handle, ((PyTupleObject *)arrays)->ob_item) < 0) goto done;
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
    feed_clear(&f);
    pyinfer_free(handle);
    return result;
}

static void append_text(void *arg, const char *text)
{
    PyObject *piece = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (piece) (void)PyList_Append((PyObject *)arg, piece);
    Py_XDECREF(piece);
}

static PyObject *model_text(PyObject *self, PyObject *unused)
{
    pyinfer_model *handle = opened((model_object *)self);
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

/* [(value, node, operator, source or None)] of the graph as the file has it. */
static PyObject *model_inner(PyObject *self, PyObject *unused)
{
    pyinfer_inner inner;
    pyinfer_model *handle = opened((model_object *)self);
    (void)unused;
    PyObject *list = handle ? PyList_New(0) : NULL;
    for (int i = 0; list && pyinfer_inner_at(handle, i, &inner); i++) {
        PyObject *row = Py_BuildValue("(sssz)", inner.name, inner.node, inner.op, inner.source);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *model_metadata(PyObject *self, PyObject *unused)
{
    const char *key, *value;
    pyinfer_model *handle = opened((model_object *)self);
    (void)unused;
    PyObject *dict = handle ? PyDict_New() : NULL;
    for (int i = 0; dict && pyinfer_metadata_at(handle, i, &key, &value); i++) {
        PyObject *text = PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "replace");
        if (!text || PyDict_SetItemString(dict, key, text) < 0) Py_CLEAR(dict);
        Py_XDECREF(text);
    }
    return dict;
}

static PyObject *model_memory(PyObject *self, PyObject *unused)
{
    pyinfer_model *handle = opened((model_object *)self);
    (void)unused;
    if (!handle) return NULL;
    return Py_BuildValue("(nn)", (Py_ssize_t)pyinfer_memory_used(handle), (Py_ssize_t)pyinfer_memory_peak(handle));
}

static PyObject *model_take_copies(PyObject *self, PyObject *unused)
{
    model_object *m = (model_object *)self;
    (void)unused;
    int copies = m->copies;
    m->copies = 0;
    return Py_NewRef(copies && m->copied ? m->copied : Py_None);
}

static PyObject *model_close(PyObject *self, PyObject *unused)
{
    model_object *m = (model_object *)self;
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
    pyinfer_model *handle = opened((model_object *)self);
    (void)unused;
    return handle ? PyLong_FromLong(pyinfer_threads(handle)) : NULL;
}

static PyObject *model_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!((model_object *)self)->handle);
}

/* ---- saved plans ---- */

/* The handle, counted; NULL with an exception if the model is closed. */
static pyinfer_model *hold(const model_object *m)
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
    pyinfer_model *handle = hold((model_object *)self);
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
    pyinfer_model *handle = hold((model_object *)self);
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
    const model_object *m = (model_object *)self;
    (void)unused;
    return PyUnicode_FromString(name[m->handle ? pyinfer_plan_state(m->handle) : 0]);
}

static PyMethodDef methods[] = {
    {"run_tuple", model_run, METH_VARARGS, "run_tuple(arrays, out=None): a tuple of arrays, lists of them, None; out: arrays or None."},
    {"steps", model_steps, METH_VARARGS, "steps(arrays, runs): (lists of step rows, arena bytes, packed bytes)."},
    {"graph_text", model_text, METH_NOARGS, "The optimised graph, a line a node."},
    {"inner_rows", model_inner, METH_NOARGS, "[(value, node, operator, source)] of the graph as the file has it."},
    {"read_metadata", model_metadata, METH_NOARGS, "The model's metadata as a dict of texts."},
    {"memory_bytes", model_memory, METH_NOARGS, "(bytes in use, most bytes so far) of weights, plans and contexts."},
    {"take_copies", model_take_copies, METH_NOARGS, "(name, given, type) of an input that was cast or copied lately, or None."},
    {"save_plan", model_save, METH_VARARGS, "save_plan(path): the model and its packed weights in one file."},
    {"set_cache", model_cache, METH_VARARGS, "set_cache(path, most): a file to find and keep packed weights in."},
    {"close", model_close, METH_NOARGS, "Frees the model; a run that is going on finishes first."},
    {0},
};

static PyMemberDef members[] = {
    {"input_rows", T_OBJECT, offsetof(model_object, inputs), READONLY, "(name, dtype, shape) of each input"},
    {"output_rows", T_OBJECT, offsetof(model_object, outputs), READONLY, "(name, dtype, shape) of each output"},
    {"input_names", T_OBJECT, offsetof(model_object, names), READONLY, "names of the inputs"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(model_object, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(model_object, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(model_object, weakrefs), READONLY, NULL},
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
    .basicsize = sizeof(model_object),
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
