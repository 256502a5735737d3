/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel regions. Chunks are dealt out dynamically by an atomic counter when there are many, so that a thread whose core
 * has other work does not hold up the rest. No symbol newer than GOMP_5.0 / OMP_5.0 is used: torch ships that libgomp. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include "base/size.h"

/* The thread sanitizer does not see what libgomp's threads wait for: tell it. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define SEEN_BY_OTHERS(p) __tsan_release(p)
#define SEE_OTHERS(p) __tsan_acquire(p)
#else
#define SEEN_BY_OTHERS(p) (void)(p)
#define SEE_OTHERS(p) (void)(p)
#endif

/* MXCSR while we compute: round to nearest, no traps whatever the host has set, results and operands that are denormal
 * are zero. */
enum { NO_TRAPS = 0x1f80, FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };
enum { RUN_STATE = NO_TRAPS | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO };

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
    if (omp_in_parallel()) return;
    (void)omp_pause_resource_all(omp_pause_soft);
    pi_threads_forget();
}

static void install_fork_handler(void) { (void)pthread_atfork(before_fork, NULL, pi_threads_alone); }

static void watch_fork(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, install_fork_handler);
}

/* The work is cut into a few pieces a thread. Each thread does its own share, neighbouring pieces that its cache may know
 * from the step before, then helps with the shares of others. */
enum { PIECES = 8, LINE = 64 / sizeof(int), LINES = 64 };
typedef struct {
    pi_task fn;
    void *arg;
    int64_t n, grain, chunks, pieces;
    int threads, stride;
    _Alignas(64) int taken[LINES * LINE]; /* atomic: pieces of share s that somebody took, at s * stride */
} pi_work;
_Static_assert(PI_MAX_THREADS <= LINES * LINE, "each share has a counter");

static void do_piece(const pi_work *w, int64_t i, int thread)
{
    int64_t each = w->chunks / w->pieces, more = w->chunks % w->pieces; /* some have one chunk more, in each share as many */
    int64_t begin = each * i + more * i / w->pieces, end = each * (i + 1) + more * (i + 1) / w->pieces;
    w->fn(w->arg, begin * w->grain, end == w->chunks ? w->n : end * w->grain, thread);
}

static void do_share(pi_work *w, int share, int thread)
{
    int64_t first = w->pieces * share / w->threads, last = w->pieces * (share + 1) / w->threads;
    int *taken = &w->taken[share * w->stride];
    while (__atomic_load_n(taken, __ATOMIC_RELAXED) < last - first) {
        int64_t i = first + __atomic_fetch_add(taken, 1, __ATOMIC_RELAXED);
        if (i < last) do_piece(w, i, thread);
    }
}

static __attribute__((noinline)) void run_member(pi_work *w, int thread)
{
    unsigned kept = fp_state();
    SEE_OTHERS(w);
    fp_set(RUN_STATE);
    for (int k = 0; k < w->threads; k++) do_share(w, (thread + k) % w->threads, thread);
    fp_set(kept);
    SEEN_BY_OTHERS(w);
}

/* The team is always as large as pi_threads_enter said: libgomp ends the threads that a smaller one leaves out, and makes
 * them anew for the next. Fewer may come: then each does more shares. */
static __attribute__((no_sanitize("thread"))) void run_team(pi_work *w)
{
    int team = omp_get_max_threads();
    if (team < w->threads) team = w->threads;
    pi_threads_place(team);
    SEEN_BY_OTHERS(w);
#pragma omp parallel num_threads(team)
    if (omp_get_thread_num() < w->threads) run_member(w, omp_get_thread_num());
    SEE_OTHERS(w);
}

void pi_parallel(int threads, int64_t n, int64_t grain, pi_task fn, void *arg)
{
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    int64_t chunks = n / grain + (n % grain != 0);
    if (threads > PI_MAX_THREADS) threads = PI_MAX_THREADS;
    if (threads > chunks) threads = (int)chunks;
    if (threads <= 1 || pi_threads_apart() || omp_in_parallel()) {
        fn(arg, 0, n, 0);
        return;
    }
    watch_fork();
    pi_work work; /* only the counters that are used are cleared */
    work.fn = fn, work.arg = arg, work.n = n, work.grain = grain, work.chunks = chunks;
    work.pieces = pi_min_i64(chunks, (int64_t)threads * PIECES);
    work.threads = threads;
    work.stride = threads <= LINES ? LINE : 1; /* counters of different threads in different lines */
    for (int t = 0; t < threads; t++) work.taken[t * work.stride] = 0;
    run_team(&work);
}

/* ---- teams ---- */

typedef struct {
    pi_team_task fn;
    void *arg;
    int threads;
} pi_team_work;

static __attribute__((noinline)) void be_member(pi_team_work *w, int member, int members)
{
    unsigned kept = fp_state();
    SEE_OTHERS(w);
    fp_set(RUN_STATE);
    w->fn(w->arg, member, members);
    fp_set(kept);
    SEEN_BY_OTHERS(w);
}

static __attribute__((no_sanitize("thread"))) void run_members(pi_team_work *w)
{
    int team = omp_get_max_threads();
    if (team < w->threads) team = w->threads;
    pi_threads_place(team);
    SEEN_BY_OTHERS(w);
#pragma omp parallel num_threads(team)
    {
        int members = omp_get_num_threads() < w->threads ? omp_get_num_threads() : w->threads;
        if (omp_get_thread_num() < members) be_member(w, omp_get_thread_num(), members);
    }
    SEE_OTHERS(w);
}

double pi_parallel_waiting(int threads, int64_t units)
{
    int64_t most = units / threads + (units % threads != 0);
    return units > 0 ? (double)most * threads / (double)units : 1;
}

bool pi_parallel_even(int threads, int64_t units) { return pi_parallel_waiting(threads, units) < 1.05; }

int64_t pi_parallel_blocks(int threads, int64_t blocks, int64_t each, int64_t rows, int64_t least)
{
    while (!pi_parallel_even(threads, blocks * each) && rows / (blocks + 1) >= least) blocks++;
    return blocks;
}

void pi_parallel_team(int threads, pi_team_task fn, void *arg)
{
    if (threads > PI_MAX_THREADS) threads = PI_MAX_THREADS;
    if (threads <= 1 || pi_threads_apart() || omp_in_parallel()) {
        fn(arg, 0, 1);
        return;
    }
    watch_fork();
    pi_team_work work = {fn, arg, threads};
    run_members(&work);
}

static void rest(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void pi_barrier_wait(pi_barrier *barrier, int members)
{
    enum { TURNS = 1000 };
    if (members <= 1) return;
    unsigned round = __atomic_load_n(&barrier->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == (unsigned)members) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int turn = 0; __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round; turn++)
        if (turn < TURNS)
            rest();
        else
            (void)sched_yield(), turn = TURNS;
}

void pi_threads_enter(int threads, pi_threads_state *saved)
{
    watch_fork();
    pi_threads_inside(true);
    saved->omp_threads = omp_get_max_threads();
    saved->fp_state = fp_state();
    saved->omp_dynamic = omp_get_dynamic();
    if (threads > PI_MAX_THREADS) threads = PI_MAX_THREADS;
    if (threads > omp_get_thread_limit()) threads = omp_get_thread_limit();
    omp_set_num_threads(threads < 1 ? 1 : threads);
    if (saved->omp_dynamic) omp_set_dynamic(0);
    fp_set(RUN_STATE);
}

void pi_threads_leave(const pi_threads_state *saved)
{
    omp_set_num_threads(saved->omp_threads);
    if (saved->omp_dynamic) omp_set_dynamic(1);
    fp_set(saved->fp_state);
    pi_threads_inside(false);
}
