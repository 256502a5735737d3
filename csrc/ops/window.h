/* SPDX-License-Identifier: Apache-2.0 */
/* The geometry that convolution and pooling share: windows that slide over up to three spatial dimensions.
 * Fewer dimensions are padded in front with ones, so that code has always depth, height, width: index 0, 1, 2. */
#ifndef PI_OPS_WINDOW_H
#define PI_OPS_WINDOW_H
#include "graph/op.h"

typedef struct {
    int spatial;  /* 1 to 3 */
    bool nhwc;    /* channels are the last dimension of X and Y */
    int64_t batch, channels; /* of X */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
    int64_t pad[3], pad_end[3];
} pi_window;

/* Reads kernel_shape, strides, dilations, pads, auto_pad and ceil_mode as far as the node's row has them, and checks
 * them; computes `out`. `kernel`: the spatial dims of the weights, or NULL: kernel_shape is required. Every number
 * is below 2^31, so that sums and products of two stay in int64_t. */
pi_status pi_window_init(pi_window *w, const pi_node *node, const pi_tensor *x, bool nhwc, const int64_t *kernel,
                         pi_error *err) PI_MUST_USE;
/* The same without `out` and auto_pad's pads: for ConvTranspose. Output: pads were given explicitly or not. */
pi_status pi_window_attrs(pi_window *w, const pi_node *node, const pi_tensor *x, bool nhwc, const int64_t *kernel,
                          pi_error *err) PI_MUST_USE;
/* One window over all spatial dimensions of x, which may be more than three: they are merged into `width`. */
pi_status pi_window_global(pi_window *w, const pi_tensor *x, bool nhwc, pi_error *err) PI_MUST_USE;
/* Sets the shape of Y: batch, channels, and the spatial output. */
void pi_window_output(const pi_window *w, int64_t channels, pi_tensor *y);

/* Strides, in elements, of a tensor of these spatial dims and channels. */
typedef struct {
    int64_t batch, channel, space[3];
} pi_strides;
pi_strides pi_window_strides(bool nhwc, int64_t channels, const int64_t space[3]);

/* Output places [*from, *to) of a row of `out` for which in = place * stride + offset lies in [0, size). */
void pi_window_range(int64_t offset, int64_t stride, int64_t size, int64_t out, int64_t *from, int64_t *to);

/* Does the node's row have this attribute? */
bool pi_row_has_attr(const pi_node *node, const char *name);
#endif
