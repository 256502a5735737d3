/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy arrays as tensors and back. Types that NumPy lacks (bfloat16, float8, int4 ...) are those of ml_dtypes, found by
 * name when one is first met; without that package they are refused by name. */
#include "python/py.h"
#include <numpy/arrayobject.h>
#include <string.h>

enum { N_DTYPES = PYINFER_F6E3M2 + 1 };

static const int numpy_type[N_DTYPES] = {
    [PYINFER_F32] = NPY_FLOAT32, [PYINFER_U8] = NPY_UINT8,     [PYINFER_I8] = NPY_INT8,        [PYINFER_U16] = NPY_UINT16,
    [PYINFER_I16] = NPY_INT16,   [PYINFER_I32] = NPY_INT32,    [PYINFER_I64] = NPY_INT64,      [PYINFER_STRING] = NPY_OBJECT,
    [PYINFER_BOOL] = NPY_BOOL,   [PYINFER_F16] = NPY_FLOAT16,  [PYINFER_F64] = NPY_FLOAT64,    [PYINFER_U32] = NPY_UINT32,
    [PYINFER_U64] = NPY_UINT64,  [PYINFER_C64] = NPY_COMPLEX64, [PYINFER_C128] = NPY_COMPLEX128,
};

/* New reference; kept after the first look. */
static PyArray_Descr *descr_of(int dtype)
{
    static PyArray_Descr *found[N_DTYPES];
    if (dtype <= 0 || dtype >= N_DTYPES) {
        PyErr_Format(PyExc_TypeError, "element type %d is not known", dtype);
        return NULL;
    }
    if (!found[dtype]) {
        if (dtype <= PYINFER_C128) {
            found[dtype] = PyArray_DescrFromType(numpy_type[dtype]);
        } else {
            const char *name = pyinfer_dtype_numpy_name((pyinfer_dtype)dtype);
            PyObject *module = PyImport_ImportModule("ml_dtypes");
            PyObject *type = module ? PyObject_GetAttrString(module, name) : NULL;
            PyArray_Descr *descr = NULL;
            if (type) (void)PyArray_DescrConverter(type, &descr);
            Py_XDECREF(type);
            Py_XDECREF(module);
            if (!descr) {
                PyErr_Format(PyExc_TypeError, "arrays of %s need the package ml_dtypes: pip install ml_dtypes", name);
                return NULL;
            }
            found[dtype] = descr;
        }
    }
    Py_XINCREF(found[dtype]);
    return found[dtype];
}

int py_array_init(void)
{
    if (PyArray_API) return 0;
    import_array1(-1);
    return 0;
}

static int is_plain(PyArrayObject *a) { return PyArray_IS_C_CONTIGUOUS(a) && PyArray_ISALIGNED(a) && PyArray_ISNOTSWAPPED(a); }

static int describe(PyArrayObject *a, int dtype, pyinfer_tensor *t, const char *name)
{
    if (PyArray_NDIM(a) > PYINFER_MAX_RANK) {
        PyErr_Format(py_exception(PYINFER_E_INPUT), "input '%s' has %d dimensions, at most %d are supported", name,
                     PyArray_NDIM(a), PYINFER_MAX_RANK);
        return -1;
    }
    t->data = PyArray_DATA(a);
    t->dtype = dtype;
    t->rank = PyArray_NDIM(a);
    t->capacity = 0;
    t->kind = PYINFER_TENSOR;
    for (int i = 0; i < t->rank; i++) t->shape[i] = (int64_t)PyArray_DIM(a, i);
    return 0;
}

/* Strings: a bytes object with the pyinfer_string table, and the list of encoded strings that it points into. */
static int strings_in(PyArrayObject *a, pyinfer_tensor *t, PyObject **keep, const char *name)
{
    npy_intp n = PyArray_SIZE(a);
    PyObject *flat = PyArray_Ravel(a, NPY_CORDER), *items = flat ? PyArray_ToList((PyArrayObject *)flat) : NULL;
    PyObject *table = items ? PyBytes_FromStringAndSize(NULL, n * (npy_intp)sizeof(pyinfer_string)) : NULL;
    int ok = table && describe(a, PYINFER_STRING, t, name) == 0;
    for (npy_intp i = 0; ok && i < n; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        PyObject *bytes = PyUnicode_Check(item) ? PyUnicode_AsUTF8String(item) : PyBytes_Check(item) ? Py_NewRef(item) : NULL;
        if (!bytes) {
            if (!PyErr_Occurred())
                PyErr_Format(py_exception(PYINFER_E_INPUT), "input '%s': expected text (str), but element %zd is %s; convert it first, "
                             "e.g. x.astype(str)", name, (Py_ssize_t)i, Py_TYPE(item)->tp_name);
            ok = 0;
            break;
        }
        pyinfer_string s = {PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
        memcpy(PyBytes_AS_STRING(table) + i * (npy_intp)sizeof s, &s, sizeof s);
        ok = PyList_SetItem(items, i, bytes) == 0;
    }
    if (ok) {
        t->data = PyBytes_AS_STRING(table);
        *keep = PyTuple_Pack(2, table, items);
        ok = *keep != NULL;
    }
    Py_XDECREF(flat);
    Py_XDECREF(items);
    Py_XDECREF(table);
    return ok ? 0 : -1;
}

/* An exception of NumPy or PyTorch, with the input's name. */
static void explain_failure(PyObject *object, const char *name)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError)) return;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_GivenExceptionMatches(type, PyExc_ValueError) && (PyList_Check(object) || PyTuple_Check(object)))
        PyErr_Format(py_exception(PYINFER_E_INPUT),
                     "input '%s': the rows of the list differ in length: pad them to one length first, e.g. tokenizer(..., padding=True)",
                     name);
    else
        PyErr_Format(py_exception(PYINFER_E_INPUT), "input '%s': a %s does not become an array: %S", name, Py_TYPE(object)->tp_name,
                     value ? value : type);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Numbers are wanted: `a`, made from the object, has something else. */
static void refuse_type(PyObject *object, PyArrayObject *a, const pyinfer_value *want)
{
    const char *dtype = pyinfer_dtype_numpy_name((pyinfer_dtype)want->dtype), *name = want->name;
    PyObject *error = py_exception(PYINFER_E_INPUT);
    int kind = PyArray_DESCR(a)->kind;
    if (PyMapping_Check(object) && PyObject_HasAttrString(object, "keys"))
        PyErr_Format(error, "input '%s': expected an array of %s, got a %s: call m(**x) or m.run(x)", name, dtype,
                     Py_TYPE(object)->tp_name);
    else if (kind == 'U' || kind == 'S')
        PyErr_Format(error, "input '%s': expected %s, got text; turn it into numbers first, e.g. with the model's tokenizer", name, dtype);
    else if (kind == 'O' && !PyArray_Check(object))
        PyErr_Format(error, "input '%s': expected an array of %s, got something of the type %s; give a NumPy array", name, dtype,
                     Py_TYPE(object)->tp_name);
    else
        PyErr_Format(error, "input '%s': expected %s, got %S, and a cast might lose something; convert it first, e.g. x.astype(np.%s)",
                     name, dtype, PyArray_DESCR(a), dtype);
}

static PyArrayObject *as_array(PyObject *object, const char *name)
{
    if (PyArray_Check(object)) return (PyArrayObject *)Py_NewRef(object);
    PyObject *given = object;
    PyObject *numpy = PyImport_ImportModule("numpy"), *array = NULL, *plain = NULL;
    if (PyObject_HasAttrString(object, "detach")) { /* a tensor that may be part of a graph for gradients */
        if (!(object = plain = PyObject_CallMethod(object, "detach", NULL))) Py_CLEAR(numpy);
    }
    if (numpy && PyObject_HasAttrString(object, "__array__"))
        array = PyObject_CallMethod(numpy, "asarray", "O", object);
    else if (numpy && PyObject_HasAttrString(object, "__dlpack__"))
        array = PyObject_CallMethod(numpy, "from_dlpack", "O", object);
    else if (numpy)
        array = PyObject_CallMethod(numpy, "asarray", "O", object);
    Py_XDECREF(numpy);
    if (!array) explain_failure(given, name);
    if (array && !PyArray_Check(array)) {
        Py_CLEAR(array);
        PyErr_Format(PyExc_TypeError, "input '%s' is %s, expected an array", name, Py_TYPE(object)->tp_name);
    }
    Py_XDECREF(plain);
    return (PyArrayObject *)array;
}

int py_array_in(PyObject *object, const pyinfer_value *want, pyinfer_tensor *tensor, PyObject **keep, int *copied)
{
    *keep = NULL;
    if (PyArray_Check(object) && want->dtype > 0 && want->dtype <= PYINFER_C128 && want->dtype != PYINFER_STRING) {
        PyArrayObject *a = (PyArrayObject *)object; /* the usual case, without anything new */
        if (PyArray_TYPE(a) == numpy_type[want->dtype] && is_plain(a)) {
            if (describe(a, want->dtype, tensor, want->name) != 0) return -1;
            *keep = Py_NewRef(object);
            return 0;
        }
    }
    if (object == Py_None) {
        PyErr_Format(py_exception(PYINFER_E_INPUT), "input '%s': expected %s, got None; give an array", want->name,
                     pyinfer_dtype_numpy_name((pyinfer_dtype)want->dtype));
        return -1;
    }
    PyArrayObject *a = as_array(object, want->name), *fit = NULL;
    if (!a) return -1;
    if (want->dtype == PYINFER_STRING) {
        int st = strings_in(a, tensor, keep, want->name);
        Py_DECREF(a);
        return st;
    }
    PyArray_Descr *descr = descr_of(want->dtype);
    if (!descr) {
        Py_DECREF(a);
        return -1;
    }
    if (!PyArray_EquivTypes(PyArray_DESCR(a), descr)) {
        *copied = 1;
        if (!PyArray_CanCastTypeTo(PyArray_DESCR(a), descr, NPY_SAME_KIND_CASTING)) {
            refuse_type(object, a, want);
            Py_DECREF(descr);
            Py_DECREF(a);
            return -1;
        }
    } else if (!is_plain(a)) {
        *copied = 1;
    }
    fit = (PyArrayObject *)PyArray_FromArray(a, descr, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED |
                                                           NPY_ARRAY_FORCECAST); /* takes descr */
    Py_DECREF(a);
    if (!fit || describe(fit, want->dtype, tensor, want->name) != 0) {
        Py_XDECREF(fit);
        return -1;
    }
    *keep = (PyObject *)fit;
    return 0;
}

static PyObject *shape_list(int rank, const npy_intp *shape)
{
    PyObject *dims = PyList_New(rank);
    for (int i = 0; dims && i < rank; i++) {
        PyObject *dim = PyLong_FromSsize_t(shape[i]);
        if (!dim) Py_CLEAR(dims);
        else PyList_SET_ITEM(dims, i, dim);
    }
    return dims;
}

PyObject *py_array_text(PyObject *object)
{
    if (!PyArray_Check(object)) return PyUnicode_FromFormat("a %s", Py_TYPE(object)->tp_name);
    PyArrayObject *a = (PyArrayObject *)object;
    PyObject *dims = shape_list(PyArray_NDIM(a), PyArray_DIMS(a)), *text = NULL;
    const char *layout = !PyArray_IS_C_CONTIGUOUS(a) ? ", not C-contiguous"
                         : !PyArray_ISNOTSWAPPED(a)  ? ", of the other byte order"
                         : !PyArray_ISALIGNED(a)     ? ", not aligned"
                         : !PyArray_ISWRITEABLE(a)   ? ", read-only"
                                                     : "";
    if (dims) text = PyUnicode_FromFormat("%S%S%s", PyArray_DESCR(a), dims, layout);
    Py_XDECREF(dims);
    return text;
}

static PyObject *new_array(const pyinfer_tensor *type)
{
    npy_intp dims[PYINFER_MAX_RANK];
    PyArray_Descr *descr = descr_of(type->dtype);
    if (!descr) return NULL;
    for (int i = 0; i < type->rank; i++) dims[i] = (npy_intp)type->shape[i];
    return PyArray_NewFromDescr(&PyArray_Type, descr, type->rank, dims, NULL, NULL, 0, NULL);
}

PyObject *py_array_new(const pyinfer_tensor *type) { return new_array(type); }
void *py_array_data(PyObject *array) { return PyArray_DATA((PyArrayObject *)array); }
int py_array_assign(PyObject *to, PyObject *from) { return PyArray_CopyInto((PyArrayObject *)to, (PyArrayObject *)from); }

static void free_output(PyObject *capsule) { pyinfer_free_output(PyCapsule_GetPointer(capsule, NULL)); }

PyObject *py_array_around(const pyinfer_tensor *type, void *data)
{
    npy_intp dims[PYINFER_MAX_RANK];
    PyObject *owner = PyCapsule_New(data, NULL, free_output), *array = NULL;
    PyArray_Descr *descr = owner ? descr_of(type->dtype) : NULL;
    if (!owner) pyinfer_free_output(data);
    for (int i = 0; i < type->rank; i++) dims[i] = (npy_intp)type->shape[i];
    if (descr) array = PyArray_NewFromDescr(&PyArray_Type, descr, type->rank, dims, NULL, data, NPY_ARRAY_CARRAY, NULL);
    if (array && PyArray_SetBaseObject((PyArrayObject *)array, owner) == 0) return array; /* took owner */
    if (!array) Py_XDECREF(owner);
    Py_XDECREF(array);
    return NULL;
}

PyObject *py_array_copy(const pyinfer_tensor *t)
{
    PyObject *array = new_array(t);
    if (!array) return NULL;
    PyArrayObject *a = (PyArrayObject *)array;
    if (t->dtype != PYINFER_STRING) {
        if (PyArray_NBYTES(a) > 0) memcpy(PyArray_DATA(a), t->data, (size_t)PyArray_NBYTES(a));
        return array;
    }
    const pyinfer_string *strings = t->data;
    PyObject **out = PyArray_DATA(a);
    for (npy_intp i = 0; i < PyArray_SIZE(a); i++) {
        PyObject *s = PyUnicode_DecodeUTF8(strings[i].bytes, (Py_ssize_t)strings[i].n, "surrogateescape");
        if (!s) {
            Py_DECREF(array);
            return NULL;
        }
        Py_XSETREF(out[i], s);
    }
    return array;
}

void *py_array_out(PyObject *object, const pyinfer_tensor *type, const char *name)
{
    PyArray_Descr *descr = descr_of(type->dtype);
    if (!descr) return NULL;
    PyArrayObject *a = PyArray_Check(object) ? (PyArrayObject *)object : NULL;
    int fits = a && PyArray_EquivTypes(PyArray_DESCR(a), descr) && is_plain(a) && PyArray_ISWRITEABLE(a) &&
               PyArray_NDIM(a) == type->rank;
    for (int i = 0; fits && i < type->rank; i++) fits = PyArray_DIM(a, i) == (npy_intp)type->shape[i];
    if (!fits) {
        PyObject *want = type->rank >= 0 ? shape_list(type->rank, (const npy_intp *)type->shape) : NULL, *got = py_array_text(object);
        if (want && got)
            PyErr_Format(py_exception(PYINFER_E_INPUT), "out for '%s': expected a writable, C-contiguous array %S%S, got %U", name, descr,
                         want, got);
        Py_XDECREF(want);
        Py_XDECREF(got);
    }
    Py_DECREF(descr);
    return fits ? PyArray_DATA(a) : NULL;
}
