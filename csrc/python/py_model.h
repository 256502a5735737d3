/* SPDX-License-Identifier: Apache-2.0 */
/* The type _core.Model, for the files that make it: py_model.c (loading, the type), py_request.c (a call), py_inside.c. */
#ifndef PI_PYTHON_PY_MODEL_H
#define PI_PYTHON_PY_MODEL_H
#include "python/py.h"

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
} py_model;

/* The handle; NULL with an exception if the model is closed. */
pyinfer_model *py_model_opened(py_model *m);

/* ---- py_request.c ---- */

enum { PY_FEW = 16 }; /* inputs and outputs of a call that needs no list from the heap */

typedef struct {
    pyinfer_tensor few_tensors[PY_FEW], *tensor;
    PyObject *few_kept[PY_FEW], **kept;
    int n;
} py_feed; /* the arrays of a call as tensors */

int py_feed_init(py_feed *f, int n);
/* handle: that of m, held by the caller (converting an array may run code that closes m). -1 with an exception set. */
int py_feed_fill(py_feed *f, py_model *m, const pyinfer_model *handle, PyObject *const *arrays);
void py_feed_clear(py_feed *f);
/* A tuple of arguments, and names of others or NULL, that do not fit the inputs: said in Python. Always NULL. */
PyObject *py_refuse(py_model *m, PyObject *given, PyObject *names);
PyObject *py_model_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names);
PyObject *py_model_run(PyObject *self, PyObject *args);

/* ---- py_inside.c ---- */

PyObject *py_model_steps(PyObject *self, PyObject *args);
PyObject *py_model_plan(PyObject *self, PyObject *args);
PyObject *py_model_text(PyObject *self, PyObject *unused);
PyObject *py_model_inner(PyObject *self, PyObject *unused);
PyObject *py_model_edges(PyObject *self, PyObject *unused);
PyObject *py_model_metadata(PyObject *self, PyObject *unused);
PyObject *py_model_memory(PyObject *self, PyObject *unused);
#endif
