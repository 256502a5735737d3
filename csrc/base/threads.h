/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to OpenMP: regions with an explicit thread count, fork, floating-point state, limits. */
#ifndef PI_BASE_THREADS_H
#define PI_BASE_THREADS_H
#include <stdbool.h>
#include <stdint.h>

enum { PI_MAX_THREADS = 256 };

/* One chunk [begin, end) of the work; thread < the count given to pi_parallel. */
typedef void (*pi_task)(void *arg, int64_t begin, int64_t end, int thread);

/* Runs fn over [0, n) in chunks of at least `grain` (1 at least) on at most `threads` threads, each chunk once.
 * Small work (n <= grain) and nested calls run on the calling thread. Returns when all is done. Which chunk runs
 * on which thread is not told: results must not depend on it. */
void pi_parallel(int threads, int64_t n, int64_t grain, pi_task fn, void *arg);

/* The time that `threads` threads take for `units` pieces of work of one size, as a multiple of what they have to do: 1 if all
 * have the same number. */
double pi_parallel_waiting(int threads, int64_t units);
/* That is nearly 1. */
bool pi_parallel_even(int threads, int64_t units);
/* So many blocks of `rows` rows, `blocks` at least, that threads have even numbers of units, `each` of every block; no more than
 * leave a block at least `least` rows. */
int64_t pi_parallel_blocks(int threads, int64_t blocks, int64_t each, int64_t rows, int64_t least);

/* A member of a team: members run at the same time, and may wait for each other. 0 <= member < members. */
typedef void (*pi_team_task)(void *arg, int member, int members);
/* Runs fn once on each of at most `threads` threads, in one region; a nested call has one member. All results must be the
 * same whatever the number of members. */
void pi_parallel_team(int threads, pi_team_task fn, void *arg);

/* Where the members of a team, or of a part of it, wait for each other; zeros at first. */
typedef struct {
    _Alignas(64) unsigned arrived; /* atomic */
    _Alignas(64) unsigned round;   /* atomic */
} pi_barrier;
/* Returns when `members` members, the same number each time, have come. What they wrote before is seen after it. Some
 * 0.2 us if all run; a wait of more than a few microseconds lets other threads have the CPU. */
void pi_barrier_wait(pi_barrier *barrier, int members);

/* fn(arg, i, thread) for each i of [0, n), begun in rising order, on the caller (thread 0) and up to threads - 1 plain
 * threads, none of them OpenMP's, in each of which OpenMP's count is `count`: for the making of oneDNN's primitives, and
 * packing. false from fn: no further i is begun. In it, pi_parallel runs on its caller alone. */
typedef bool (*pi_apart_fn)(void *arg, int64_t i, int thread);
void pi_apart(int threads, int count, int64_t n, pi_apart_fn fn, void *arg);
/* Is the caller in an fn of pi_apart? */
bool pi_threads_apart(void);

/* Before a parallel region of the calling thread: keeps its OpenMP threads off the CPU that it is on, from now on. Cheap
 * while it stays there. The affinity of no other thread changes. pi_parallel does it by itself. */
void pi_threads_place(int threads);
/* The calling thread's OpenMP threads are others now: after fork. */
void pi_threads_forget(void);

/* CPUs that this process may use: affinity mask and cgroup quota (v1, v2), PYINFER_THREADS before both; 1 at least.
 * `why`, if given, gets a static text: "affinity mask", "cgroup quota", "PYINFER_THREADS". */
int pi_threads_default(const char **why);
/* CPUs of the cgroup quota, rounded up; INT_MAX: none. `root`, "" but in tests, stands in front of /proc and /sys. */
int pi_threads_quota(const char *root);

/* Around a run on the calling thread. enter: sets the OpenMP thread count of this thread to `threads`, but no more than
 * OMP_THREAD_LIMIT, and forbids smaller teams (oneDNN leaves out the share of threads that do not come), and flushes
 * denormals here; leave puts both back. Worker threads flush inside pi_parallel. */
typedef struct {
    int omp_threads, omp_dynamic;
    unsigned fp_state;
} pi_threads_state;
void pi_threads_enter(int threads, pi_threads_state *saved);
void pi_threads_leave(const pi_threads_state *saved);

/* The end of the process: from now on all runs stop as if cancelled; waits for those of other threads, ten seconds at most. */
void pi_threads_stop(void);
bool pi_threads_stopped(void);
/* Threads between enter and leave are counted for it; alone: in a child of fork. */
void pi_threads_inside(bool begin);
void pi_threads_alone(void);

/* Text that names the OpenMP copies mapped in this process: paths with ", " between them; for show_config. */
void pi_threads_describe(char *text, unsigned long size);
#endif
