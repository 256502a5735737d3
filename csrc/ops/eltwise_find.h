/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel of kernels/eltwise computes an operator on f32: one list for the operators themselves, the epilogues of
 * convolutions and products, and element-wise programs. */
#ifndef PI_OPS_ELTWISE_FIND_H
#define PI_OPS_ELTWISE_FIND_H
#include "graph/op.h"
#include "kernels/eltwise/eltwise.h"

typedef enum { PI_FORM_NONE, PI_FORM_UNARY, PI_FORM_ACT, PI_FORM_BINARY, PI_FORM_COMPARE, PI_FORM_WHERE, PI_FORM_COUNT } pi_form;

typedef struct {
    pi_form form; /* NONE: there is no kernel */
    int kind;     /* pi_unary, pi_act_kind, pi_binary or pi_compare; IsNaN is x != x */
    float a, b;   /* of an activation */
} pi_eltwise_kernel;

/* Of the first two inputs where the operator takes any number. A Clip whose bounds are inputs: without bounds. */
pi_eltwise_kernel pi_eltwise_find(const pi_node *node);
#endif
