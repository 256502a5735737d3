/* SPDX-License-Identifier: Apache-2.0 */
/* What pyinfer.Eltwise carries: a program of element-wise instructions, each for one kernel (ops/eltwise_find.h). Attribute
 * "code" has PI_PROGRAM_WORDS numbers for each: form, kind, and three operands, 0 where there is none. The result of the
 * last one is the output. An activation's second and third operands are the constants a and b. */
#ifndef PI_OPS_ELTWISE_PROGRAM_H
#define PI_OPS_ELTWISE_PROGRAM_H
#include "ops/bcast.h"
#include "ops/eltwise_find.h"

enum {
    PI_PROGRAM_WORDS = 5,
    PI_PROGRAM_STEPS = 32,                /* most instructions */
    PI_PROGRAM_INPUTS = PI_BCAST_INPUTS,  /* most inputs */
};
/* Operands: input i is i; number i of the attribute "constants" PI_PROGRAM_INPUTS + i; the result of instruction i ~i. */

/* Do these inputs leave stretches long enough for a block at a time? false: each operator alone is quicker. */
bool pi_program_pays(const pi_tensor *out, const pi_tensor *const *in, int n_in);
#endif
