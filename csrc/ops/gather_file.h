/* SPDX-License-Identifier: Apache-2.0 */
/* An implementation of Gather: rows of a table that stays in the model's file. */
#ifndef PI_OPS_GATHER_FILE_H
#define PI_OPS_GATHER_FILE_H
#include "graph/op.h"

const char *pi_gather_file_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_gather_file_prepare(pi_prep *prep, pi_error *err);
pi_status pi_gather_file_run(const pi_call *call, pi_error *err);
#endif
