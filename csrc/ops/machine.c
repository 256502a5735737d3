/* SPDX-License-Identifier: Apache-2.0 */
/* See machine.h. Turns are short, so that on a shared machine some are left alone, and much longer than a fork and a join. */
#include "ops/machine.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/fma/fma.h"
#include "kernels/reduce/reduce.h"

enum { TURNS = 20, ROUNDS = 100000 }; /* 0.2 ms for two multiply-adds a cycle at 3 GHz */

typedef struct {
    const pi_fma_kernel *kernel;
    int members;
    float sum[PI_MAX_THREADS];
} peak_work;

static void peak_member(void *arg, int member, int members)
{
    peak_work *w = arg;
    w->sum[member] = w->kernel->run(ROUNDS, 1);
    if (member == 0) w->members = members;
}

double pi_machine_gflops(int threads)
{
    peak_work work = {.kernel = pi_fma()};
    pi_threads_state saved;
    double best = 0;
    if (threads < 1) threads = pi_threads_default(NULL);
    pi_threads_enter(threads, &saved);
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t start = pi_clock_ns();
        pi_parallel_team(threads, peak_member, &work);
        uint64_t ns = pi_clock_ns() - start;
        double rate = (double)work.members * ROUNDS * (double)work.kernel->flops / (double)(ns ? ns : 1);
        if (rate > best) best = rate;
    }
    pi_threads_leave(&saved);
    return best;
}

enum { PASSES = 3, ROW = 16 << 10 }; /* floats that one call sums */

typedef struct {
    float *x, *sum; /* rows of ROW; a sum each */
} read_work;

static void write_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const read_work *w = arg;
    (void)thread;
    for (int64_t i = begin * ROW; i < end * ROW; i++) w->x[i] = 1; /* on the pages of the thread that will read them, most likely */
}

static void read_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const read_work *w = arg;
    (void)thread;
    pi_reduce()->rows_f32(PI_REDUCE_SUM, (size_t)(end - begin), ROW, ROW, w->x + begin * ROW, w->sum + begin);
}

double pi_machine_gbytes(int threads)
{
    const size_t least = 64u << 20, most = 128u << 20, cache = pi_cpu_cache(3), row = ROW * sizeof(float);
    const size_t rows = (cache < least / 4 ? least : cache > most / 4 ? most : 4 * cache) / row;
    pi_threads_state saved;
    double best = 0;
    read_work work = {.x = pi_alloc(NULL, rows * row, NULL), .sum = pi_alloc(NULL, rows * sizeof(float), NULL)};
    if (threads < 1) threads = pi_threads_default(NULL);
    pi_threads_enter(threads, &saved);
    for (int pass = -1; pass < PASSES && work.x && work.sum; pass++) {
        uint64_t start = pi_clock_ns();
        pi_parallel(threads, (int64_t)rows, 1, pass < 0 ? write_chunk : read_chunk, &work);
        uint64_t ns = pi_clock_ns() - start;
        double rate = (double)(rows * row) / (double)(ns ? ns : 1);
        if (pass >= 0 && rate > best) best = rate;
    }
    pi_threads_leave(&saved);
    pi_free(work.x);
    pi_free(work.sum);
    return best;
}
