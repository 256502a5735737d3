/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the OpenMP threads that work for a thread off the CPU that this thread is on.
 *
 * Linux likes to wake a thread on the CPU of the thread that wakes it, if the two share no cache level that it knows of
 * (virtual machines), and moves it away only at the next tick: meanwhile caller and worker wait for each other by turns.
 * EfficientNet-B0, two threads, 20 ms of rest between runs: 25 ms a run, 7 ms with this. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

enum { MOST_PLACED = 64 }; /* larger teams: the kernel has idle CPUs to choose from, and the calls add up */

/* The team of the calling thread: libgomp keeps the same threads while their number is the same. */
typedef struct {
    int size, cpu; /* threads with the caller, 0: not known; where the caller was when they were placed */
    pid_t id[MOST_PLACED];
} pi_team;
static __thread pi_team team;

void pi_threads_forget(void) { team.size = 0; }

static __attribute__((no_sanitize("thread"))) void find(int threads)
{
    pid_t *id = team.id;
    for (int i = 0; i < threads; i++) id[i] = 0;
#pragma omp parallel num_threads(threads)
    id[omp_get_thread_num()] = gettid();
    team.size = threads;
}

/* false: a thread of the team is gone. */
static bool keep_off(const cpu_set_t *allowed)
{
    for (int i = 1; i < team.size; i++) {
        if (team.id[i] == 0) continue; /* OpenMP gave fewer threads */
        if (tgkill(getpid(), team.id[i], 0) != 0) return false;
        if (sched_setaffinity(team.id[i], sizeof *allowed, allowed) != 0 && errno == ESRCH) return false;
    }
    return true;
}

void pi_threads_place(int threads)
{
    int cpu = sched_getcpu();
    if (threads <= 1 || (team.size == threads && team.cpu == cpu)) return;
    if (threads > MOST_PLACED || cpu < 0 || omp_in_parallel()) return;
    cpu_set_t allowed;
    bool known = team.size == threads;
    team.size = threads, team.cpu = cpu; /* not tried again if one of the following says no */
    if (omp_get_proc_bind() != omp_proc_bind_false) return; /* the user placed them */
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return; /* a mask of more than 1024 CPUs */
    if (CPU_COUNT(&allowed) < threads || !CPU_ISSET((size_t)cpu, &allowed)) return;
    CPU_CLR((size_t)cpu, &allowed);
    if (!known) find(threads);
    if (keep_off(&allowed)) return;
    find(threads);
    (void)keep_off(&allowed);
}
