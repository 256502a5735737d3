/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/threads.h"
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
void pi_parallel(int threads, int64_t n, int64_t grain, pi_task fn, void *arg)
{
    if (grain < 1) grain = 1;
    int64_t chunks = (n + grain - 1) / grain;
    if (n <= 0) return;
    if (chunks < threads) threads = (int)chunks;
    if (threads <= 1 || omp_in_parallel()) { fn(arg, 0, n, 0); return; }
    int t_n = threads;
#pragma omp parallel num_threads(t_n)
    {
        int t = omp_get_thread_num(), all = omp_get_num_threads();
        int64_t b = n * t / all, e = n * (t + 1) / all;
        if (e > b) fn(arg, b, e, t);
    }
}
int pi_threads_default(const char **why)
{
    cpu_set_t set;
    if (why) *why = "affinity mask";
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
void pi_threads_enter(int threads, pi_threads_state *saved)
{
    saved->omp_threads = omp_get_max_threads();
    saved->fp_state = __builtin_ia32_stmxcsr();
    omp_set_num_threads(threads);
    __builtin_ia32_ldmxcsr(saved->fp_state | 0x8040);
}
void pi_threads_leave(const pi_threads_state *saved)
{
    omp_set_num_threads(saved->omp_threads);
    __builtin_ia32_ldmxcsr(saved->fp_state);
}
void pi_threads_describe(char *text, unsigned long size) { (void)snprintf(text, size, "unknown"); }
