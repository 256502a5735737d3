/* SPDX-License-Identifier: Apache-2.0 */
/* f16 and bf16 through f32: an implementation that converts inputs, lets a faster one of the same row compute in f32, and
 * rounds the outputs once. For rows whose reference would be slow; put it before the reference:
 *     {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
 * Constant weights are converted once, or packed from their f32 form; integer inputs are passed on. */
#ifndef PI_OPS_WIDEN_H
#define PI_OPS_WIDEN_H
#include "graph/op.h"

const char *pi_widen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_widen_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_widen_run(const pi_call *call, pi_error *err) PI_MUST_USE;
#endif
