/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at best, measured. */
#ifndef PI_OPS_MACHINE_H
#define PI_OPS_MACHINE_H

/* GFLOP/s of f32 multiply-adds on registers (2 each) by `threads` threads at once, with the widest instructions in use here:
 * the best of a few short runs, some 5 ms. threads < 1: as many as this process may use. */
double pi_machine_gflops(int threads);
/* GB/s at which so many threads sum up four times what the last cache holds (64 to 128 MB, freed again): the best of a few
 * passes, some 0.1 s. 0: no memory. */
double pi_machine_gbytes(int threads);
#endif
