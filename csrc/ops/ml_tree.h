/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of decision trees, as they are walked: one array of nodes for all trees, in which the true branch of a node
 * is the node behind it. */
#ifndef PI_OPS_ML_TREE_H
#define PI_OPS_ML_TREE_H
#include "ops/ml.h"

typedef enum { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_MEMBER, TREE_LEAF } tree_mode;
typedef enum { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX } tree_sum; /* as numbered by TreeEnsemble */

typedef struct {
    double value;    /* compared with; MEMBER: number of its set */
    int32_t feature; /* -1: a leaf */
    int32_t other;   /* the false branch; of a leaf its number */
} tree_node;

typedef struct {
    int32_t target;
    double weight;
} tree_vote;

typedef struct {
    int64_t n, trees, leaves, targets;
    tree_node *node;
    uint8_t *mode; /* of each node; bit 7: NaN takes the true branch */
    int32_t *root;
    int64_t *vote_at; /* votes of leaf i: vote_at[i] to vote_at[i + 1] */
    tree_vote *vote;
    int64_t *set_at; /* members of set i, sorted: set_at[i] to set_at[i + 1] */
    double *member;
    bool leq_only; /* every node is LEQ and sends NaN to the false branch: what the fast loop does */
    bool one_vote; /* every leaf has exactly one */
    tree_sum sum;
    pi_post post;
    pi_ml_list base;
    /* classifiers */
    pi_ml_labels labels;
    bool binary;   /* one score stands for two classes */
    bool positive; /* no weight is below 0: such a score is a probability */
    int64_t score; /* the class that has it */
} tree_ensemble;

/* Reads the attributes of the node, checks that they are trees whose features are below `features`, and flattens them
 * into the plan's memory. */
pi_status pi_tree_new(pi_prep *prep, int64_t features, tree_ensemble **out, pi_error *err) PI_MUST_USE;
/* Which of the three families a node is of. */
bool pi_tree_is_classifier(const pi_node *node);
bool pi_tree_is_v5(const pi_node *node); /* TreeEnsemble */
#endif
