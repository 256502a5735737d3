/* SPDX-License-Identifier: Apache-2.0 */
/* What the operators of the domain ai.onnx.ml share: rows of features, labels of classes, what is done to scores. */
#ifndef PI_OPS_ML_H
#define PI_OPS_ML_H
#include "base/str.h"
#include "ops/ops.h"

#define PI_ML "ai.onnx.ml"
#define PI_ML_NUMBERS (PI_BIT(F32) | PI_BIT(F64) | PI_BIT(I64) | PI_BIT(I32))

/* X as rows of features: [N, C], or [C] as one row; MODEL otherwise. */
pi_status pi_ml_shape(const pi_tensor *x, int64_t *rows, int64_t *features, pi_error *err) PI_MUST_USE;
/* Row r as doubles. */
void pi_ml_row(const pi_tensor *x, int64_t r, int64_t features, double *out);

/* ---- attributes ---- */

/* A list of numbers that is there as FLOATS or, in newer versions, as a TENSOR. n is 0 where it was left out. */
typedef struct {
    int64_t n;
    const double *v;
} pi_ml_list;
/* As doubles in the plan's memory; either name may be NULL. */
pi_status pi_ml_numbers(pi_prep *prep, const char *floats, const char *tensor, pi_ml_list *out,
                        pi_error *err) PI_MUST_USE;
/* A tensor attribute with its data, NULL if it was left out. */
pi_status pi_ml_tensor(const pi_node *node, const char *name, const pi_tensor **out, pi_error *err) PI_MUST_USE;

/* ---- labels ---- */

typedef struct {
    bool strings;
    int64_t n; /* 0: none were given, the class numbers are the labels */
    const int64_t *ints;
    const pi_str *const *texts;
} pi_ml_labels;
/* Of the node's two lists of labels the one that is there. */
uint32_t pi_ml_label_count(const pi_node *node, const char *ints, const char *strings, pi_dtype *dtype);
pi_status pi_ml_labels_new(pi_prep *prep, const char *ints, const char *strings, pi_ml_labels *out,
                           pi_error *err) PI_MUST_USE;
/* Label of class `index` as element `row` of y; -1: the class without a label, 0 or "". */
void pi_ml_label_put(const pi_ml_labels *labels, pi_tensor *y, int64_t row, int64_t index);
int64_t pi_ml_argmax(const double *v, int64_t n);

/* ---- scores ---- */

typedef enum { /* as numbered by TreeEnsemble */
               PI_POST_NONE,
               PI_POST_SOFTMAX,
               PI_POST_LOGISTIC,
               PI_POST_SOFTMAX_ZERO,
               PI_POST_PROBIT,
} pi_post;
/* The attribute post_transform; MODEL if it is none of these. */
pi_status pi_ml_post(const pi_node *node, pi_post *post, pi_error *err) PI_MUST_USE;
/* To `rows` rows of n scores. */
void pi_ml_post_apply(pi_post post, double *v, int64_t rows, int64_t n);
#endif
