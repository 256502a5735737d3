/* SPDX-License-Identifier: Apache-2.0 */
/* See machine.h. Turns are short, so that on a shared machine some are left alone, and much longer than a fork and a join. */
#include "ops/machine.h"

#include "base/clock.h"
#include "base/threads.h"
#include "kernels/fma/fma.h"

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
