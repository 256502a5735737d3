/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the extension module _core share. All of it runs with the GIL held, unless said otherwise. */
#ifndef PI_PYTHON_PY_H
#define PI_PYTHON_PY_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "capi/pyinfer.h"

/* py_module.c: raises the exception of the error's status; returns NULL. */
PyObject *py_raise(const pyinfer_error *error);
/* The class of a status, borrowed. */
PyObject *py_exception(pyinfer_status status);

/* py_array.c */
int py_array_init(void); /* imports NumPy, once, before the first of these; -1 with an exception set */
/* The object as a tensor of the wanted input: the array's own memory where dtype and layout fit, else a copy that `keep`
 * (a new reference) holds. *copied says that a cast or copy was made. -1 with an exception set. */
int py_array_in(PyObject *object, const pyinfer_value *want, pyinfer_tensor *tensor, PyObject **keep, int *copied);
/* What an object is, for a message: "float64[2, 3]", "float32[3, 2], not C-contiguous", "a list". A new string. */
PyObject *py_array_text(PyObject *object);
/* A new array for this type, not filled; NULL with an exception set. */
PyObject *py_array_new(const pyinfer_tensor *type);
/* A new array with the elements of the tensor copied (strings too). */
PyObject *py_array_copy(const pyinfer_tensor *tensor);
/* A new array of this type around memory that pyinfer_take_output gave, which it owns; so does a failure. */
PyObject *py_array_around(const pyinfer_tensor *type, void *data);
/* The memory of an array that py_array_new made, or that fits the type; NULL with an exception set if it does not. */
void *py_array_out(PyObject *array, const pyinfer_tensor *type, const char *name);
void *py_array_data(PyObject *array);
/* Copies the elements of one array into another of its shape; -1 with an exception set. */
int py_array_assign(PyObject *to, PyObject *from);

/* py_sequence.c: the same for all kinds of values, a list of arrays for a sequence, None for an absent optional. */
int py_value_in(PyObject *object, const pyinfer_value *want, pyinfer_tensor *tensor, PyObject **keep, int *copied);
PyObject *py_value_out(const pyinfer_tensor *tensor);
PyObject *py_maps_out(PyObject *array, const pyinfer_tensor *keys);
/* "float32", "sequence(float32)", "optional(sequence(float32))". */
void py_type_text(const pyinfer_value *v, char *text, size_t size);

/* py_interrupt.c: pyinfer_execute without the GIL. long_run: it may take more than some ms: Ctrl-C then cancels it, if Python's
 * own handler is in place and this is the main thread; KeyboardInterrupt is set. */
pyinfer_status py_execute(pyinfer_request *request, int long_run, pyinfer_error *error);

/* py_model.c: adds the type Model to the module. */
int py_model_add(PyObject *module);
#endif
