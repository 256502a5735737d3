/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are more than an array: a sequence is a list of arrays, an absent optional is None. */
#include "python/py.h"

static int refuse(const pyinfer_value *want, PyObject *object)
{
    char text[128];
    py_type_text(want, text, sizeof text);
    PyErr_Format(py_exception(PYINFER_E_INPUT), "input '%s' is %s: expected %s%s, got %s", want->name, text,
                 want->kind & PYINFER_SEQUENCE ? "a list of arrays" : "an array", want->kind & PYINFER_OPTIONAL ? " or None" : "",
                 Py_TYPE(object)->tp_name);
    return -1;
}

/* The items and what they keep; `keep` gets a tuple of the list of kept objects and the bytes of the tensors. */
static int sequence_in(PyObject *items, const pyinfer_value *want, pyinfer_tensor *tensor, PyObject **keep, int *copied)
{
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    PyObject *kept = PyList_New(n), *table = PyBytes_FromStringAndSize(NULL, n * (Py_ssize_t)sizeof(pyinfer_tensor));
    int st = kept && table ? 0 : -1;
    for (Py_ssize_t i = 0; st == 0 && i < n; i++) {
        PyObject *one = NULL;
        pyinfer_tensor t = {0};
        st = py_array_in(PyTuple_GET_ITEM(items, i), want, &t, &one, copied);
        if (st == 0) PyList_SET_ITEM(kept, i, one);
        memcpy(PyBytes_AS_STRING(table) + i * (Py_ssize_t)sizeof t, &t, sizeof t);
    }
    if (st == 0) {
        *tensor = (pyinfer_tensor){.data = PyBytes_AS_STRING(table), .dtype = want->dtype, .rank = 1, .shape = {n},
                                   .kind = PYINFER_SEQUENCE};
        *keep = PyTuple_Pack(2, table, kept);
        if (!*keep) st = -1;
    }
    Py_XDECREF(kept);
    Py_XDECREF(table);
    return st;
}

int py_value_in(PyObject *object, const pyinfer_value *want, pyinfer_tensor *tensor, PyObject **keep, int *copied)
{
    if (want->kind == PYINFER_TENSOR) return py_array_in(object, want, tensor, keep, copied);
    *keep = NULL;
    if (object == Py_None) {
        if (!(want->kind & PYINFER_OPTIONAL)) return refuse(want, object);
        *tensor = (pyinfer_tensor){.kind = PYINFER_ABSENT};
        return 0;
    }
    if (!(want->kind & PYINFER_SEQUENCE)) return py_array_in(object, want, tensor, keep, copied);
    if (!PyList_Check(object) && !PyTuple_Check(object)) return refuse(want, object);
    PyObject *items = PySequence_Tuple(object); /* converting an array may run code that changes the list */
    int st = items ? sequence_in(items, want, tensor, keep, copied) : -1;
    Py_XDECREF(items);
    return st;
}

PyObject *py_value_out(const pyinfer_tensor *t)
{
    if (t->kind == PYINFER_ABSENT) return Py_NewRef(Py_None);
    if (t->kind != PYINFER_SEQUENCE) return py_array_copy(t);
    const pyinfer_tensor *item = t->data;
    PyObject *list = PyList_New((Py_ssize_t)t->shape[0]);
    for (Py_ssize_t i = 0; list && i < (Py_ssize_t)t->shape[0]; i++) {
        PyObject *array = py_array_copy(&item[i]);
        if (!array) Py_CLEAR(list);
        else PyList_SET_ITEM(list, i, array);
    }
    return list;
}

/* A list with a dictionary for each row. */
PyObject *py_maps_out(PyObject *array, const pyinfer_tensor *keys)
{
    PyObject *names_array = py_value_out(keys), *names = NULL, *rows = NULL, *maps = NULL;
    if (names_array) names = PyObject_CallMethod(names_array, "tolist", NULL);
    if (names) rows = PyObject_CallMethod(array, "tolist", NULL);
    Py_ssize_t n = rows ? PyList_GET_SIZE(rows) : 0, columns = names ? PyList_GET_SIZE(names) : 0;
    if (rows) maps = PyList_New(n);
    for (Py_ssize_t r = 0; maps && r < n; r++) {
        PyObject *row = PyList_GET_ITEM(rows, r), *map = PyDict_New();
        for (Py_ssize_t c = 0; map && c < columns; c++)
            if (PyDict_SetItem(map, PyList_GET_ITEM(names, c), PyList_GET_ITEM(row, c)) < 0) Py_CLEAR(map);
        if (!map) Py_CLEAR(maps);
        else PyList_SET_ITEM(maps, r, map);
    }
    Py_XDECREF(names_array);
    Py_XDECREF(names);
    Py_XDECREF(rows);
    return maps;
}

void py_type_text(const pyinfer_value *v, char *text, size_t size)
{
    const char *dtype = v->dtype == PYINFER_STRING ? "str" : v->dtype ? pyinfer_dtype_numpy_name((pyinfer_dtype)v->dtype) : "?";
    if (v->keys) {
        (void)PyOS_snprintf(text, size, "sequence(map(%s, %s))", v->keys->dtype == PYINFER_STRING ? "str" : "int64", dtype);
        return;
    }
    int optional = (v->kind & PYINFER_OPTIONAL) != 0, sequence = (v->kind & PYINFER_SEQUENCE) != 0;
    (void)PyOS_snprintf(text, size, "%s%s%s%s%s", optional ? "optional(" : "", sequence ? "sequence(" : "", dtype, sequence ? ")" : "",
                        optional ? ")" : "");
}
