/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel regions. Chunks are dealt out dynamically by an atomic counter when there are many, so that a thread whose core
 * has other work does not hold up the rest. No symbol newer than GOMP_5.0 / OMP_5.0 is used: torch ships that libgomp. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <omp.h>
#include <pthread.h>
#include "base/size.h"

/* Bits of MXCSR: flush results that are denormal, take denormal operands as zero. */
enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };

#if defined(__x86_64__)
static unsigned fp_state(void) { return __builtin_ia32_stmxcsr(); }
static void fp_set(unsigned state) { __builtin_ia32_ldmxcsr(state); }
#else
static unsigned fp_state(void) { return 0; }
static void fp_set(unsigned state) { (void)state; }
#endif

/* A child of fork has none of libgomp's threads but believes that it has: let them go before. Not inside a region. */
static void before_fork(void)
{
    if (!omp_in_parallel()) (void)omp_pause_resource_all(omp_pause_soft);
}

static void install_fork_handler(void) { (void)pthread_atfork(before_fork, NULL, NULL); }

static void watch_fork(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, install_fork_handler);
}

/* The work is cut into a few pieces a thread. Each thread does its own share, neighbouring pieces that its cache may know
 * from the step before, then helps with the shares of others. */
enum { PIECES = 4 };
typedef struct {
    pi_task fn;
    void *arg;
    int64_t n, grain, chunks, pieces;
    int threads;
    int taken[PI_MAX_THREADS]; /* atomic: pieces of each share that somebody took */
} pi_work;

static void do_share(pi_work *w, int share, int thread)
{
    int64_t first = w->pieces * share / w->threads, last = w->pieces * (share + 1) / w->threads;
    for (;;) {
        int64_t i = first + __atomic_fetch_add(&w->taken[share], 1, __ATOMIC_RELAXED);
        if (i >= last) return;
        int64_t begin = w->chunks / w->pieces * i + pi_min_i64(i, w->chunks % w->pieces);
        int64_t end = begin + w->chunks / w->pieces + (i < w->chunks % w->pieces);
        w->fn(w->arg, begin * w->grain, pi_min_i64(end * w->grain, w->n), thread);
    }
}

void pi_parallel(int threads, int64_t n, int64_t grain, pi_task fn, void *arg)
{
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    int64_t chunks = n / grain + (n % grain != 0);
    if (threads > chunks) threads = (int)chunks;
    if (threads <= 1 || threads > PI_MAX_THREADS || omp_in_parallel()) {
        fn(arg, 0, n, 0);
        return;
    }
    watch_fork();
    pi_work work = {.fn = fn, .arg = arg, .n = n, .grain = grain, .chunks = chunks, .threads = threads};
    work.pieces = pi_min_i64(chunks, (int64_t)threads * PIECES);
#pragma omp parallel num_threads(threads)
    {
        unsigned kept = fp_state();
        fp_set(kept | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
        int thread = omp_get_thread_num();
        for (int k = 0; k < threads; k++) do_share(&work, (thread + k) % threads, thread);
        fp_set(kept);
    }
}

void pi_threads_enter(int threads, pi_threads_state *saved)
{
    watch_fork();
    saved->omp_threads = omp_get_max_threads();
    saved->fp_state = fp_state();
    omp_set_num_threads(threads);
    fp_set(saved->fp_state | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
}

void pi_threads_leave(const pi_threads_state *saved)
{
    omp_set_num_threads(saved->omp_threads);
    fp_set(saved->fp_state);
}
