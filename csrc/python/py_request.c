/* SPDX-License-Identifier: Apache-2.0 */
/* One call of a model: arrays become tensors, outputs become arrays. The call holds the handle while it runs. */
#include <time.h>

#include "python/py_model.h"

int py_feed_init(py_feed *f, int n)
{
    f->n = n;
    f->tensor = n > PY_FEW ? PyMem_Calloc((size_t)n, sizeof *f->tensor) : f->few_tensors;
    f->kept = n > PY_FEW ? PyMem_Calloc((size_t)n, sizeof *f->kept) : f->few_kept;
    if (!f->tensor || !f->kept) {
        (void)PyErr_NoMemory();
        f->n = 0;
        return -1;
    }
    for (int i = 0; i < n; i++) f->kept[i] = NULL;
    return 0;
}

void py_feed_clear(py_feed *f)
{
    for (int i = 0; i < f->n; i++) Py_XDECREF(f->kept[i]);
    if (f->tensor != f->few_tensors) PyMem_Free(f->tensor);
    if (f->kept != f->few_kept) PyMem_Free(f->kept);
}

int py_feed_fill(py_feed *f, py_model *m, const pyinfer_model *handle, PyObject *const *arrays)
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

static size_t feed_bytes(const py_feed *f)
{
    size_t sum = 0;
    for (int i = 0; i < f->n; i++) sum += tensor_bytes(&f->tensor[i]);
    return sum;
}

/* Executes; runs that were not yet seen to be short can be interrupted. */
static pyinfer_status execute(py_model *m, const py_feed *f, pyinfer_request *request, pyinfer_error *error)
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

/* Outputs that are maps, but for those that were written into an array of the caller. */
static int finish_maps(const pyinfer_model *handle, int n, PyObject *out, PyObject *result)
{
    for (int i = 0; i < n; i++) {
        const pyinfer_tensor *keys = pyinfer_output(handle, i)->keys;
        if (!keys || (out && PyTuple_GET_ITEM(out, i) != Py_None)) continue;
        PyObject *array = PyTuple_GET_ITEM(result, i), *maps = py_maps_out(array, keys);
        if (!maps) return -1;
        PyTuple_SET_ITEM(result, i, maps);
        Py_DECREF(array);
    }
    return 0;
}

/* Runs on the arrays (one for each input); out: NULL or a tuple with an array or None for each output. A tuple. */
static PyObject *run(py_model *m, PyObject *const *arrays, PyObject *out)
{
    pyinfer_model *handle = py_model_opened(m);
    pyinfer_request *request = NULL;
    pyinfer_error error;
    pyinfer_status st;
    PyObject *result = NULL;
    py_feed f;
    if (!handle || py_feed_init(&f, pyinfer_input_count(handle)) < 0) return NULL;
    (void)pyinfer_ref(handle);
    if (py_feed_fill(&f, m, handle, arrays) < 0) goto done;
    Py_BEGIN_ALLOW_THREADS; /* planning of new shapes may take long */
    st = pyinfer_begin(handle, f.tensor, f.n, &request, &error);
    Py_END_ALLOW_THREADS;
    if (st == PYINFER_OK) {
        int n = pyinfer_output_count(handle);
        result = make_outputs(handle, request, n, out);
        if (!result) goto done;
        st = execute(m, &f, request, &error);
        if (st == PYINFER_OK && (finish_outputs(handle, request, n, out, result) < 0 || finish_maps(handle, n, out, result) < 0))
            Py_CLEAR(result);
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
    py_feed_clear(&f);
    pyinfer_free(handle);
    return result;
}

PyObject *py_refuse(py_model *m, PyObject *given, PyObject *names)
{
    PyObject *none = PyObject_CallMethod((PyObject *)m, "_refuse_arguments", "OO", given, names ? names : Py_None);
    if (none) PyErr_SetString(py_exception(PYINFER_E_INPUT), "the arguments do not fit the inputs");
    Py_XDECREF(none);
    return NULL;
}

static PyObject *wrong_arguments(py_model *m, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    PyObject *given = PyTuple_New(n_args);
    for (Py_ssize_t i = 0; given && i < n_args; i++) PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
    if (given) (void)py_refuse(m, given, names);
    Py_XDECREF(given);
    return NULL;
}

/* m(x, ..., name=y): arrays in the order of the inputs, or by name. One output: the array itself; else a tuple. */
PyObject *py_model_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    py_model *m = (py_model *)self;
    Py_ssize_t n_args = PyVectorcall_NARGS(nargsf), n_names = names ? PyTuple_GET_SIZE(names) : 0;
    Py_ssize_t n = PyTuple_GET_SIZE(m->names);
    PyObject *few[PY_FEW], **arrays = few, *result = NULL;
    if (n_args + n_names != n) return wrong_arguments(m, args, n_args, names);
    if (n_names) {
        if (n > PY_FEW && !(arrays = PyMem_Calloc((size_t)n, sizeof *arrays))) return PyErr_NoMemory();
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

PyObject *py_model_run(PyObject *self, PyObject *args)
{
    py_model *m = (py_model *)self;
    PyObject *arrays, *out = Py_None;
    if (!PyArg_ParseTuple(args, "O!|O", &PyTuple_Type, &arrays, &out)) return NULL;
    if (PyTuple_GET_SIZE(arrays) != PyTuple_GET_SIZE(m->names)) return py_refuse(m, arrays, NULL);
    if (out != Py_None && (!PyTuple_Check(out) || PyTuple_GET_SIZE(out) != PyTuple_GET_SIZE(m->outputs)))
        return PyErr_Format(py_exception(PYINFER_E_INPUT), "out must have an array or None for each of the %zd outputs",
                            PyTuple_GET_SIZE(m->outputs));
    return run(m, ((PyTupleObject *)arrays)->ob_item, out == Py_None ? NULL : out);
}
