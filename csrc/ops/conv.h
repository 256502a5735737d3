/* SPDX-License-Identifier: Apache-2.0 */
/* What Conv and ConvTranspose share: a problem in numbers, and the epilogue bias + residual, then activation. */
#ifndef PI_OPS_CONV_H
#define PI_OPS_CONV_H
#include "base/act.h"
#include "ops/window.h"

typedef struct {
    pi_window w;
    int64_t group, out_channels; /* of Y */
    pi_strides x, y;
    pi_act act;
} pi_conv;

/* Attributes and dims of Conv; inputs X, W, B?, Z? (Z only in pyinfer.Conv). Everything is checked. */
pi_status pi_conv_init(pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;
/* The same for ConvTranspose: W is C, M/group, k... */
pi_status pi_conv_transpose_init(pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;
/* Group, nhwc and activation of a node, as far as its row has them; B and Z against Y. */
pi_status pi_conv_common(pi_conv *c, const pi_node *node, pi_error *err) PI_MUST_USE;
pi_status pi_conv_check_epilogue(const pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;
/* The plain reference of both. row: acc[i] += the sum over the window of X * W for places from + i, i < n, of a row of Y. */
typedef void (*pi_conv_row)(const pi_conv *c, const pi_call *call, int64_t b, int64_t oc, int64_t od, int64_t oh,
                            int64_t from, int64_t n, double *acc);
pi_status pi_conv_rows(const pi_call *call, pi_conv_row row, pi_error *err) PI_MUST_USE;
/* oneDNN's, for both. */
const char *pi_conv_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_dnnl_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_dnnl_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Conv to few channels, as one to those of several pixels; run is pi_conv_dnnl_run. */
const char *pi_conv_neighbours_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_neighbours_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
/* ConvTranspose whose windows tile the output, to few channels; to one also on channels-first data. */
const char *pi_conv_few_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_few_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_few_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Depthwise Conv on channels-first data. */
const char *pi_conv_planes_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_planes_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_planes_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* 3x3 as 36 matrix products, on channels-last data. */
const char *pi_conv_winograd_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_winograd_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
/* With products by the fast inner product. */
const char *pi_conv_winograd_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_winograd_fip_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_winograd_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Our own kernels, for Conv on channels-last data. */
const char *pi_conv_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_own_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_own_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Does each output pixel come from the input pixel of its place alone? And how many pixels Y has. */
bool pi_conv_pixelwise(const pi_conv *c);
/* So few channels come out that our own kernel takes dot products along the rows of the window. */
bool pi_conv_dots(const pi_conv *c);
int64_t pi_conv_pixels(const pi_conv *c);
/* The same with fewer multiplications, see ops/fip_product.h. */
const char *pi_conv_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_fip_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_fip_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* The pixelwise ones with fewer multiplications, see ops/strassen_product.h. */
const char *pi_conv_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_strassen_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_strassen_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* The same for ConvTranspose. */
const char *pi_conv_transpose_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_transpose_own_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_conv_transpose_own_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* By ops/fip_product.h; run is pi_conv_transpose_own_run. */
const char *pi_conv_transpose_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_conv_transpose_fip_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
/* The data of the f32 input i, B or Z; NULL if it is absent. */
const float *pi_conv_optional(const pi_call *call, uint32_t i);
/* Weights for kernels/igemm, [group][panel of nr][tap][in][nr] with zeros behind the last channel and what ops/fip_product.h needs behind
 * all, or with nr 0 for
 * kernels/dwconv, [tap][group], from the constant `input` in ONNX's order, [groups * out, in, taps]. The constant itself is
 * not needed any more. */
typedef struct {
    int64_t groups, out, in, taps, nr;
} pi_conv_pack_shape;
pi_status pi_conv_pack(pi_prep *prep, uint32_t input, const pi_conv_pack_shape *shape, const float **packed, pi_error *err)
    PI_MUST_USE;
/* Activations for which a pass of our own over the result is quicker than oneDNN's in its epilogue: those with an
 * exponential. pi_late_act applies one to out[0], f32, in place. */
bool pi_act_is_late(pi_act act);
void pi_late_act(const pi_call *call, pi_act act);
/* An activation as what kernels do in registers, min(high, max(low, x)), and what is left to do afterwards, often NONE. */
pi_act pi_act_bounds(pi_act act, float *low, float *high);
/* Puts the residual where the result will be, to which it is added: nothing to do where the plan gave both one memory. */
void pi_residual_into(const pi_call *call, const pi_tensor *residual);
/* act, act_a, act_b of a node that may have them. */
pi_act pi_node_act(const pi_node *node);
/* MODEL if they are out of range. */
pi_status pi_node_check_act(const pi_node *node, pi_error *err) PI_MUST_USE;
#endif
