/* SPDX-License-Identifier: Apache-2.0 */
/* A process that ends while some thread still computes (Python's daemon threads): exit would destroy what oneDNN made, its code
 * too, under that thread. So runs are told to stop, and are waited for. */
#include <time.h>
#include "base/threads.h"

enum { TURN_NS = 500000, TURNS = 20000 }; /* ten seconds: a step of any size that was seen ends in less */

static int inside, stopped; /* atomic; inside: runs and plannings at work in the process */
static __thread int mine;

void pi_threads_inside(bool begin)
{
    mine += begin ? 1 : -1;
    __atomic_add_fetch(&inside, begin ? 1 : -1, __ATOMIC_SEQ_CST);
}

void pi_threads_alone(void) { __atomic_store_n(&inside, mine, __ATOMIC_SEQ_CST); }

bool pi_threads_stopped(void) { return __atomic_load_n(&stopped, __ATOMIC_RELAXED) != 0; }

void pi_threads_stop(void)
{
    __atomic_store_n(&stopped, 1, __ATOMIC_SEQ_CST);
    const struct timespec turn = {.tv_nsec = TURN_NS};
    for (int i = 0; i < TURNS && __atomic_load_n(&inside, __ATOMIC_SEQ_CST) > mine; i++) (void)nanosleep(&turn, NULL);
}
