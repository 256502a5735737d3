/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C during a long run. The run stays on the thread that asked for it: a second thread with a team of its own would make
 * libgomp count more threads than CPUs, and let all of them sleep between the steps. Instead, while the main thread runs
 * and Python's own handler of SIGINT is in place, ours stands before it: it sets the cancel flag and calls the other. */
#define _GNU_SOURCE
#include "python/py.h"

#include <signal.h>
#include <unistd.h>

static int cancel; /* of the run that the main thread waits for; atomic */
static struct sigaction python_action;

static void on_interrupt(int number, siginfo_t *info, void *context)
{
    __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
    if (python_action.sa_flags & SA_SIGINFO)
        python_action.sa_sigaction(number, info, context);
    else if (python_action.sa_handler != SIG_DFL && python_action.sa_handler != SIG_IGN)
        python_action.sa_handler(number);
}

/* Will Python turn SIGINT into KeyboardInterrupt? A handler of the user's may want the run to go on. */
static int interrupt_raises(void)
{
    PyObject *module = PyImport_ImportModule("signal");
    PyObject *now = module ? PyObject_CallMethod(module, "getsignal", "i", SIGINT) : NULL;
    PyObject *standard = module ? PyObject_GetAttrString(module, "default_int_handler") : NULL;
    int raises = now && now == standard;
    Py_XDECREF(now);
    Py_XDECREF(standard);
    Py_XDECREF(module);
    PyErr_Clear();
    return raises;
}

static pyinfer_status execute(pyinfer_request *request, const int *flag, pyinfer_error *error)
{
    pyinfer_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = pyinfer_execute(request, flag, error);
    Py_END_ALLOW_THREADS;
    return status;
}

pyinfer_status py_execute(pyinfer_request *request, int long_run, pyinfer_error *error)
{
    static int nested; /* a handler of a signal may itself run a model */
    struct sigaction ours = {.sa_sigaction = on_interrupt, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (!long_run || gettid() != getpid() || nested || !interrupt_raises()) return execute(request, NULL, error);
    sigemptyset(&ours.sa_mask);
    __atomic_store_n(&cancel, 0, __ATOMIC_RELAXED);
    if (sigaction(SIGINT, NULL, &python_action) != 0 || sigaction(SIGINT, &ours, NULL) != 0)
        return execute(request, NULL, error);
    nested = 1;
    int before = PyErr_CheckSignals(); /* one that came while shapes were planned waits for Python to look */
    pyinfer_status status = before ? PYINFER_E_CANCELLED : execute(request, &cancel, error);
    nested = 0;
    (void)sigaction(SIGINT, &python_action, NULL);
    if (!before && __atomic_load_n(&cancel, __ATOMIC_RELAXED) && PyErr_CheckSignals() != 0) return PYINFER_E_CANCELLED;
    return status;
}
