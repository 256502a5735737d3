/* SPDX-License-Identifier: Apache-2.0 */
/* An activation that ends another operation: y = f(x; a, b). */
#ifndef PI_BASE_ACT_H
#define PI_BASE_ACT_H

typedef enum {
#define X(name, text, formula) PI_ACT_##name,
#include "base/act.inc"
#undef X
    PI_ACT_COUNT
} pi_act_kind;

typedef struct {
    pi_act_kind kind;
    float a, b;
} pi_act;

const char *pi_act_name(pi_act_kind kind);
/* One value, computed with libm in double: the reference of every faster form. */
float pi_act_apply(pi_act act, float x);
#endif
