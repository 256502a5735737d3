/* SPDX-License-Identifier: Apache-2.0 */
/* The extension module pyinfer._core: it mirrors the C API and adds nothing to it. */
#include "python/py.h"

static PyObject *exceptions[PYINFER_E_INTERNAL + 1]; /* by status; NumPy rules out sub-interpreters, so one set is enough */

PyObject *py_exception(pyinfer_status status)
{
    return (unsigned)status <= PYINFER_E_INTERNAL && exceptions[status] ? exceptions[status] : PyExc_RuntimeError;
}

PyObject *py_raise(const pyinfer_error *error)
{
    PyObject *text = PyUnicode_DecodeUTF8(error->text, (Py_ssize_t)strlen(error->text), "replace");
    if (text) PyErr_SetObject(py_exception(error->code), text);
    Py_XDECREF(text);
    return NULL;
}

/* PyinferError, and below it one class a status; each also is the built-in class that fits best. */
static int add_exceptions(PyObject *module)
{
    PyObject *builtin[] = {
        [PYINFER_E_NUMBER] = PyExc_ArithmeticError,
        [PYINFER_E_MODEL] = PyExc_ValueError,  [PYINFER_E_UNSUPPORTED] = PyExc_NotImplementedError,
        [PYINFER_E_INPUT] = PyExc_ValueError,  [PYINFER_E_LIMIT] = PyExc_MemoryError,
        [PYINFER_E_FILE] = PyExc_OSError,      [PYINFER_E_CANCELLED] = NULL,
    };
    PyObject *base = PyErr_NewExceptionWithDoc("pyinfer.PyinferError", "Base of all errors that pyinfer raises.", NULL, NULL);
    if (!base || PyModule_AddObjectRef(module, "PyinferError", base) < 0) return -1;
    exceptions[PYINFER_E_INTERNAL] = base;
    exceptions[PYINFER_E_NOMEM] = Py_NewRef(PyExc_MemoryError);
    for (int s = PYINFER_E_MODEL; s < PYINFER_E_INTERNAL; s++) {
        char name[64];
        if (s == PYINFER_E_NOMEM) continue;
        const char *short_name = pyinfer_status_exception((pyinfer_status)s);
        PyObject *bases = builtin[s] ? PyTuple_Pack(2, base, builtin[s]) : PyTuple_Pack(1, base);
        (void)PyOS_snprintf(name, sizeof name, "pyinfer.%s", short_name);
        exceptions[s] = bases ? PyErr_NewExceptionWithDoc(name, pyinfer_status_meaning((pyinfer_status)s), bases, NULL) : NULL;
        Py_XDECREF(bases);
        if (!exceptions[s] || PyModule_AddObjectRef(module, short_name, exceptions[s]) < 0) return -1;
    }
    return 0;
}

static PyObject *core_describe(PyObject *self, PyObject *unused)
{
    char text[4096];
    (void)self;
    (void)unused;
    pyinfer_describe(text, sizeof text);
    return PyUnicode_DecodeFSDefault(text);
}

static PyObject *core_options(PyObject *self, PyObject *unused)
{
    const char *name, *type, *doc;
    long long standard;
    (void)self;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && pyinfer_option_at(i, &name, &type, &standard, &doc); i++) {
        PyObject *row = Py_BuildValue("(ssLs)", name, type, standard, doc);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *core_ops(PyObject *self, PyObject *unused)
{
    const char *domain, *name, *signature;
    char types[256];
    int since;
    (void)self;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && pyinfer_op_at(i, &domain, &name, &since, &signature, types, sizeof types); i++) {
        PyObject *row = Py_BuildValue("(ssiss)", domain, name, since, signature, types);
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *measured(PyObject *args, double (*measure)(int threads))
{
    int threads;
    double peak;
    if (!PyArg_ParseTuple(args, "i", &threads)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    peak = measure(threads);
    Py_END_ALLOW_THREADS
    return PyFloat_FromDouble(peak);
}

static PyObject *core_peak_gflops(PyObject *self, PyObject *args)
{
    (void)self;
    return measured(args, pyinfer_peak_gflops);
}

static PyObject *core_peak_gbytes(PyObject *self, PyObject *args)
{
    (void)self;
    return measured(args, pyinfer_peak_gbytes);
}

static PyObject *core_fail_alloc(PyObject *self, PyObject *n)
{
    (void)self;
    long nth = PyLong_AsLong(n);
    if (nth == -1 && PyErr_Occurred()) return NULL;
    pyinfer_test_fail_alloc(nth);
    Py_RETURN_NONE;
}

static PyObject *core_alive_blocks(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromLong(pyinfer_test_alive_blocks());
}

static PyObject *core_force_impl(PyObject *self, PyObject *name)
{
    static PyObject *kept; /* the engine keeps the pointer */
    (void)self;
    if (name != Py_None && !PyUnicode_Check(name)) return PyErr_Format(PyExc_TypeError, "a name or None is expected");
    pyinfer_test_force_impl(name == Py_None ? NULL : PyUnicode_AsUTF8(name));
    Py_XSETREF(kept, Py_NewRef(name));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"describe", core_describe, METH_NOARGS, "What was found on this machine: lines of 'key: value'."},
    {"options", core_options, METH_NOARGS, "Rows (name, type, default, documentation) of the options of load."},
    {"ops", core_ops, METH_NOARGS, "Rows (domain, name, since, signature, types) of the operator table."},
    {"peak_gflops", core_peak_gflops, METH_VARARGS, "peak_gflops(threads): f32 GFLOP/s on registers alone, measured now."},
    {"peak_gbytes", core_peak_gbytes, METH_VARARGS, "peak_gbytes(threads): GB/s read from memory, measured now."},
    {"_fail_alloc", core_fail_alloc, METH_O, "Tests: the nth allocation from now on fails, and each later one; 0: off."},
    {"_alive_blocks", core_alive_blocks, METH_NOARGS, "Tests: blocks of memory that the engine holds."},
    {"_force_impl", core_force_impl, METH_O, "Tests: implementations of this name are taken where a row has one."},
    {0},
};

static int module_exec(PyObject *module)
{
    if (add_exceptions(module) < 0 || py_model_add(module) < 0) return -1;
    (void)Py_AtExit(pyinfer_stop); /* daemon threads still compute */
    return PyModule_AddStringConstant(module, "version", pyinfer_version());
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "pyinfer._core", .m_doc = "The C API of pyinfer, one to one.", .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
