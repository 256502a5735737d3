/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit of the product, in one place. */
#ifndef PI_BASE_LIMITS_H
#define PI_BASE_LIMITS_H

enum {
    PI_MAX_RANK = 12,           /* dimensions of a tensor */
    PI_MAX_DEPTH = 64,          /* nesting of subgraphs, functions, types and messages in a file */
    PI_MAX_NODES = 1 << 20,     /* nodes of a model after functions are expanded */
    PI_MAX_ARITY = 1 << 16,     /* inputs or outputs of a node */
    PI_MAX_NAME = 1 << 16,      /* bytes of a name */
    PI_FOLD_BYTES = 1 << 20,    /* a folded constant that is larger than its inputs may have this size */
    PI_MAX_SEQUENCE = 1 << 20,  /* tensors in a sequence */
    PI_PLAN_CACHE = 16,         /* plans that a model keeps, least recently used out */
};
#endif
