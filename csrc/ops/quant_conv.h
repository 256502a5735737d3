/* SPDX-License-Identifier: Apache-2.0 */
/* What the implementations of ConvInteger and QLinearConv share. */
#ifndef PI_OPS_QUANT_CONV_H
#define PI_OPS_QUANT_CONV_H
#include "ops/conv.h"
#include "ops/quant.h"

/* Scales and bias are NULL for ConvInteger, zero points may be. w_index: which input w is. */
typedef struct {
    const pi_tensor *x, *w, *x_zero, *w_zero, *x_scale, *w_scale, *y_scale, *y_zero, *bias;
    uint32_t w_index;
} pi_quant_conv_operands;
pi_quant_conv_operands pi_quant_conv_of(const pi_node *node, const pi_tensor *const *in);

typedef struct {
    pi_conv c;
    int64_t k, places, in_places; /* elements of a window; of an output plane, of an input plane */
} pi_quant_conv;
/* From the shapes, checked. */
pi_status pi_quant_conv_open(const pi_node *node, const pi_tensor *const *in, pi_quant_conv *p,
                             pi_error *err) PI_MUST_USE;

/* What becomes of the sums: scale[oc] = x_scale * w_scale / y_scale for all output channels; their zero points of w. */
void pi_quant_conv_scales(const pi_quant_conv *p, const pi_quant_conv_operands *o, float *scale);
int32_t pi_quant_conv_zero(const pi_quant_conv_operands *o, int64_t oc);
/* Places [first, first + n) of image b: their sums, rows of all output channels sums_row apart, are scaled (or left as
 * they are) and stored where Y has them. bytes: room for n rows of output channels; only used with scales. */
void pi_quant_conv_store(const pi_quant_conv *p, const pi_quant_conv_operands *o, pi_tensor *y, int64_t b,
                         int64_t first, int64_t n, const int32_t *sums, int64_t sums_row, const float *scale,
                         void *bytes);

/* oneDNN's. */
const char *pi_quant_conv_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_quant_conv_dnnl_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_quant_conv_dnnl_run(const pi_call *call, pi_error *err) PI_MUST_USE;
#endif
