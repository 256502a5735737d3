/* SPDX-License-Identifier: Apache-2.0 */
/* The thin door to oneDNN 3.2 or later: one primitive is one pi_dnnl, made once from concrete dims, run many times.
 *
 *   make     pi_dnnl_conv_new, pi_dnnl_matmul_new, pi_dnnl_pool_new, pi_dnnl_reorder_new
 *   pack     pi_dnnl_weights tells size and key of the packed constant operand, pi_dnnl_pack fills it
 *   run      pi_dnnl_run, with the caller's scratch of pi_dnnl_scratch bytes
 *
 * Any number of threads may run one object at the same time, each with a scratch of its own.
 * An object made for one thread runs on its caller alone. Else the count is frozen; call pi_dnnl_run between
 * pi_threads_enter with that very count and pi_threads_leave (another count could overrun the scratch).
 * Inside a parallel region a primitive runs on its caller alone.
 * Each *_new refuses, with UNSUPPORTED and a text, where there is no oneDNN, where it cannot do what is asked, or where it
 * has only its slow reference for it. *_refuse gives the same answer, NULL or a static text, at the cost of a description
 * (10 to 100 microseconds; 1 if one like it exists with that thread count); threads 0: as set around it by
 * pi_threads_enter. All dims are at least 1. */
#ifndef PI_ONEDNN_ONEDNN_H
#define PI_ONEDNN_ONEDNN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/act.h"
#include "base/dtype.h"
#include "base/error.h"

enum { PI_DNNL_MAX_RANK = 8 };

/* Opens the library at the first call, in this order: what PYINFER_ONEDNN names ("off" or "0": none; "1": as if it were not
 * set), libdnnl.so.3 beside this library, libdnnl.so.3 of the system. `why` (may be NULL) then has a static text, or NULL if
 * it is there. */
bool pi_dnnl_available(const char **why);
/* Opens it and makes a first primitive, which costs it 16 ms: to be done while something else goes on. */
void pi_dnnl_warm(void);
/* Version and instruction set only: what the form of packed weights depends on. */
void pi_dnnl_build(char *text, size_t size);
/* One line: version, instruction set and path, or why it is absent. */
void pi_dnnl_describe(char *text, size_t size);

typedef struct pi_dnnl pi_dnnl;
void pi_dnnl_free(void *object); /* NULL is fine; fits pi_prep_own */
/* Name of the implementation that oneDNN chose, e.g. "brgconv:avx512_core"; lives as long as the object. */
const char *pi_dnnl_impl_name(const pi_dnnl *object);
/* Bytes of scratch for one run; 0: none, scratch may be NULL. 64-byte aligned memory is best. */
size_t pi_dnnl_scratch(const pi_dnnl *object);

/* The constant operand: conv's weights, matmul's B. Two objects with the same key (bytes, memcmp) share packed weights made
 * from the same plain ones. */
typedef struct {
    size_t bytes; /* of the packed form */
    const void *key;
    size_t key_bytes;
    bool as_is; /* the packed form is the plain one: no packing needed */
} pi_dnnl_weights_info;
void pi_dnnl_weights(const pi_dnnl *object, pi_dnnl_weights_info *info);
/* plain: in the layout that the description told; packed: info.bytes bytes, 64-byte aligned. */
pi_status pi_dnnl_pack(const pi_dnnl *object, const void *plain, void *packed, pi_error *err) PI_MUST_USE;

typedef struct {
    const void *src;      /* conv, pool, reorder: input; matmul: A */
    const void *weights;  /* packed (or plain if as_is); matmul: B */
    const void *bias;     /* f32 [oc] or [n], if the description says so */
    const void *residual; /* for PI_DNNL_ADD: dtype and layout of dst */
    void *dst;
    void *scratch;
    const float *src_scale, *weights_scale, *dst_scale; /* quantised types: 1; 1 or oc (n); 1 */
    const int32_t *src_zero, *dst_zero;                 /* 1 each */
} pi_dnnl_args;
pi_status pi_dnnl_run(pi_dnnl *object, const pi_dnnl_args *args, pi_error *err) PI_MUST_USE;

/* ---- what follows the product: residual and activation ---- */

typedef enum {
    PI_DNNL_NO_RESIDUAL,
    PI_DNNL_SUM, /* dst holds the residual before the run and the result after; below AVX-512 only as the first thing */
    PI_DNNL_ADD, /* args.residual is added; it may not be dst */
} pi_dnnl_residual;

/* NaN: relu makes it 0, clip and hard_sigmoid a bound; gelu of +inf is NaN. All other activations keep NaN. */
typedef struct {
    pi_dnnl_residual residual;
    pi_act act;
    bool act_first; /* y = act(x) + residual; else y = act(x + residual) */
} pi_dnnl_epilogue;

/* Quantised types (u8 or i8 by i8; only with VNNI): which scales and zero points args will have. x is read as scale * (x - zero). */
typedef struct {
    bool src_scale, src_zero, dst_scale, dst_zero;
    bool weights_scale;       /* args.weights_scale is one value ... */
    bool weights_scale_per_n; /* ... or one for each output channel (column) */
} pi_dnnl_quant;

/* ---- convolution and its transpose ---- */

typedef struct {
    int spatial;     /* 1, 2 or 3 spatial dims */
    bool transposed; /* ConvTranspose */
    pi_dtype src_type, weights_type, dst_type;
    bool src_last, dst_last; /* channels last: [n, spatial..., c]; else [n, c, spatial...] */
    int64_t n, ic, oc, groups;
    int64_t in[3], kernel[3], out[3]; /* spatial dims; the first `spatial` of each count */
    int64_t stride[3], dilation[3], pad_begin[3], pad_end[3]; /* pad_end from -stride on: what is cut off */
    bool bias;
    bool weights_vary; /* weights differ from run to run: taken plain, never packed */
    pi_dnnl_epilogue end;
    pi_dnnl_quant quant;
    int impl; /* which of the implementations that oneDNN offers, best (0) first */
} pi_dnnl_conv;
/* Plain weights are ONNX's: [oc, ic/groups, kernel...]; transposed [ic, oc/groups, kernel...]. */
pi_status pi_dnnl_conv_new(pi_dnnl **out, const pi_dnnl_conv *conv, int threads, pi_error *err) PI_MUST_USE;
const char *pi_dnnl_conv_refuse(const pi_dnnl_conv *conv, int threads);

/* ---- matrix product: c[.., i, j] = end(alpha * sum_l a[.., i, l] * b[.., l, j] + bias[j]) ---- */

/* Element strides; 0 in a batch dim: the operand is the same along it. Of row and col one should be 1. */
typedef struct {
    int64_t batch[PI_DNNL_MAX_RANK];
    int64_t row, col;
} pi_dnnl_strides;

typedef struct {
    int batch_rank; /* 0 to PI_DNNL_MAX_RANK */
    int64_t batch[PI_DNNL_MAX_RANK];
    int64_t m, n, k;
    pi_dtype a_type, b_type, c_type;
    pi_dnnl_strides a, b, c;
    bool b_const; /* b is packed once in the format that oneDNN likes best */
    bool bias;
    float alpha; /* 1 for a plain product; 0 is taken as 1 */
    pi_dnnl_epilogue end;
    pi_dnnl_quant quant;
    int impl;
} pi_dnnl_matmul;
pi_status pi_dnnl_matmul_new(pi_dnnl **out, const pi_dnnl_matmul *matmul, int threads, pi_error *err) PI_MUST_USE;
const char *pi_dnnl_matmul_refuse(const pi_dnnl_matmul *matmul, int threads);
/* Sets dense row-major strides for an operand of shape [batch..., rows, cols]. */
void pi_dnnl_dense(pi_dnnl_strides *strides, int batch_rank, const int64_t *batch, int64_t rows, int64_t cols);

/* ---- pooling ---- */

typedef enum {
    PI_DNNL_POOL_MAX, /* NaN may be lost; windows of nothing but -inf give the lowest finite value */
    PI_DNNL_POOL_AVG, /* divides by the elements that are inside */
    PI_DNNL_POOL_AVG_PAD, /* divides by the size of the kernel */
} pi_dnnl_pool_kind;

typedef struct {
    int spatial;
    pi_dnnl_pool_kind kind;
    pi_dtype type;
    bool src_last, dst_last;
    int64_t n, c;
    int64_t in[3], kernel[3], out[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int impl;
} pi_dnnl_pool;
/* out may reach beyond pad_end (ceil_mode), but for PI_DNNL_POOL_AVG_PAD. */
pi_status pi_dnnl_pool_new(pi_dnnl **out, const pi_dnnl_pool *pool, int threads, pi_error *err) PI_MUST_USE;
const char *pi_dnnl_pool_refuse(const pi_dnnl_pool *pool, int threads);

/* ---- strided copy, with conversion between dtypes ---- */

typedef struct {
    int rank;
    int64_t dim[PI_DNNL_MAX_RANK];
    pi_dtype src_type, dst_type;
    int64_t src_stride[PI_DNNL_MAX_RANK], dst_stride[PI_DNNL_MAX_RANK]; /* in elements, at least 1 */
    int impl;
} pi_dnnl_reorder;
pi_status pi_dnnl_reorder_new(pi_dnnl **out, const pi_dnnl_reorder *reorder, int threads, pi_error *err) PI_MUST_USE;
const char *pi_dnnl_reorder_refuse(const pi_dnnl_reorder *reorder, int threads);
#endif
