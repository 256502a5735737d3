/* SPDX-License-Identifier: Apache-2.0 */
/* Plain threads for work that OpenMP's cannot do: oneDNN freezes the thread count of what it makes, and would see one
 * thread inside a parallel region. They live as long as one call; all signals are blocked in them. */
#include "base/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

typedef struct {
    pi_apart_fn fn;
    void *arg;
    int64_t n, next; /* next: atomic */
    int count;
} apart_work;

typedef struct {
    apart_work *work;
    pthread_t id;
    int thread;
} apart_member;

static __thread bool apart;
bool pi_threads_apart(void) { return apart; }

static void work_on(apart_work *w, int thread)
{
    apart = true;
    for (int64_t i; (i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED)) < w->n;)
        if (!w->fn(w->arg, i, thread)) __atomic_store_n(&w->next, w->n, __ATOMIC_RELAXED);
    apart = false;
}

static void *member(void *arg)
{
    const apart_member *m = arg;
    pi_threads_state saved;
    pi_threads_enter(m->work->count, &saved);
    work_on(m->work, m->thread);
    pi_threads_leave(&saved);
    return NULL;
}

void pi_apart(int threads, int count, int64_t n, pi_apart_fn fn, void *arg)
{
    enum { MOST = 16 }; /* more wait for memory */
    apart_work w = {.fn = fn, .arg = arg, .n = n, .count = count};
    apart_member list[MOST];
    sigset_t all, before;
    int started = 0;
    if (threads > MOST) threads = MOST;
    if (threads > n) threads = (int)n;
    if (threads > 1 && !apart) {
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        for (int i = 1; i < threads; i++) { /* fewer may come: those who do, do all */
            list[started] = (apart_member){.work = &w, .thread = i};
            if (pthread_create(&list[started].id, NULL, member, &list[started]) == 0) started++;
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    bool nested = apart;
    work_on(&w, 0);
    apart = nested;
    for (int i = 0; i < started; i++) (void)pthread_join(list[i].id, NULL);
}
