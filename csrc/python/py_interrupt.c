/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C during a long run. Only the main thread may run Python's signal handlers, so a run that may take long leaves it:
 * a helper thread executes, and the main thread waits, looking for signals every 20 ms. The helper is started at the
 * first such run and then stays; a forked child starts its own. */
#define _GNU_SOURCE
#include "python/py.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 20 * 1000 * 1000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pid_t owner; /* the process that has the thread; another one's lock and thread mean nothing here */
    pyinfer_request *request; /* NULL: idle */
    pyinfer_error *error;
    pyinfer_status status;
    int finished, cancel;
} helper;

static void *help(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&helper.lock);
    for (;;) {
        while (!helper.request || helper.finished) pthread_cond_wait(&helper.wake, &helper.lock);
        pyinfer_request *request = helper.request;
        pthread_mutex_unlock(&helper.lock);
        pyinfer_status status = pyinfer_execute(request, &helper.cancel, helper.error);
        pthread_mutex_lock(&helper.lock);
        helper.status = status;
        helper.finished = 1;
        pthread_cond_signal(&helper.done);
    }
    return NULL;
}

/* Is there a helper for this process now? Signals are left to the other threads. */
static int helper_ready(void)
{
    pthread_condattr_t monotonic;
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;
    if (helper.owner == getpid()) return 1;
    memset(&helper, 0, sizeof helper);
    pthread_mutex_init(&helper.lock, NULL);
    pthread_cond_init(&helper.wake, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&helper.done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &detached, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (failed) return 0;
    helper.owner = getpid();
    return 1;
}

/* Waits until the run has ended, at most LOOK_NS. Without the GIL. */
static int wait_a_little(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&helper.lock);
    while (!helper.finished && pthread_cond_timedwait(&helper.done, &helper.lock, &until) == 0) {}
    int finished = helper.finished;
    pthread_mutex_unlock(&helper.lock);
    return finished;
}

pyinfer_status py_execute(pyinfer_request *request, int long_run, pyinfer_error *error)
{
    pyinfer_status status;
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    int finished = 0, raised = 0;
    /* A handler of a signal may itself run a model: it finds the helper busy. */
    if (!long_run || gettid() != getpid() || !helper_ready() || helper.request) {
        Py_BEGIN_ALLOW_THREADS;
        status = pyinfer_execute(request, NULL, error);
        Py_END_ALLOW_THREADS;
        return status;
    }
    pthread_mutex_lock(&helper.lock);
    helper.finished = helper.cancel = 0;
    helper.error = error;
    helper.request = request;
    pthread_cond_signal(&helper.wake);
    pthread_mutex_unlock(&helper.lock);
    while (!finished) {
        Py_BEGIN_ALLOW_THREADS;
        finished = wait_a_little();
        Py_END_ALLOW_THREADS;
        if (raised || PyErr_CheckSignals() == 0) continue;
        PyErr_Fetch(&type, &value, &traceback);
        raised = 1;
        __atomic_store_n(&helper.cancel, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_lock(&helper.lock);
    status = helper.status;
    helper.request = NULL;
    pthread_mutex_unlock(&helper.lock);
    if (!raised) return status;
    PyErr_Restore(type, value, traceback);
    return PYINFER_E_CANCELLED;
}
