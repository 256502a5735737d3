/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder; the only header that sees dnnl.h. */
#ifndef PI_ONEDNN_PRIVATE_H
#define PI_ONEDNN_PRIVATE_H
#include <oneapi/dnnl/dnnl.h>
#include "base/size.h"
#include "onednn/onednn.h"

/* The library: pi_dnnl_lib-><name> is dnnl_<name>. Valid when pi_dnnl_available() said true. */
typedef struct {
#define X(name) __typeof__(&dnnl_##name) name;
#include "onednn/dnnl_names.inc"
#undef X
    dnnl_engine_t engine;
} pi_dnnl_library;
extern const pi_dnnl_library *const pi_dnnl_lib;

/* oneDNN 3.2 loses its place in the list of implementations when descriptions come from its cache: whoever wants another
 * than the first (impl > 0) works between these two without the cache; it is emptied: this is for tuning. */
void pi_dnnl_cache_off(int impl, int *capacity);
void pi_dnnl_cache_on(int impl, int capacity);

/* oneDNN's type for ours; dnnl_data_type_undef if it has none. */
dnnl_data_type_t pi_dnnl_type(pi_dtype type);

/* A primitive on its way: what a *_describe function fills. The arrays of arguments are in the order of pi_dnnl_role. */
typedef enum {
    ROLE_SRC, ROLE_WEIGHTS, ROLE_BIAS, ROLE_RESIDUAL, ROLE_DST, ROLE_SCRATCH,
    ROLE_SRC_SCALE, ROLE_WEIGHTS_SCALE, ROLE_DST_SCALE, ROLE_SRC_ZERO, ROLE_DST_ZERO, ROLE_COUNT,
} pi_dnnl_role;

typedef struct {
    dnnl_memory_desc_t md[ROLE_COUNT]; /* owned; NULL: not an argument. SCRATCH is filled by pi_dnnl_choose */
    int arg[ROLE_COUNT];               /* DNNL_ARG_* */
    dnnl_memory_desc_t plain;          /* of the weights as the caller has them; NULL: no constant operand */
    dnnl_post_ops_t post;
    int posts;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
} pi_dnnl_draft;

/* Each step returns NULL, or a static text that says what is wrong; the draft is to be dropped in both cases. */
const char *pi_dnnl_draft_start(pi_dnnl_draft *draft); /* also opens the library */
void pi_dnnl_draft_drop(pi_dnnl_draft *draft);
const char *pi_dnnl_draft_tensor(pi_dnnl_draft *draft, pi_dnnl_role role, int arg, int rank, const dnnl_dim_t *dims,
                                 dnnl_data_type_t type, const dnnl_dim_t *strides); /* strides NULL: any */
const char *pi_dnnl_draft_image(pi_dnnl_draft *draft, pi_dnnl_role role, int arg, int spatial, bool last, int64_t n, int64_t c,
                                const int64_t *dims, pi_dtype type);
const char *pi_dnnl_draft_eltwise(pi_dnnl_draft *draft, dnnl_alg_kind_t kind, float alpha, float beta);
/* Adds the operand `role` (its md is set) after what is there. */
const char *pi_dnnl_draft_add(pi_dnnl_draft *draft, pi_dnnl_role role);
const char *pi_dnnl_draft_epilogue(pi_dnnl_draft *draft, const pi_dnnl_epilogue *end);
const char *pi_dnnl_draft_quant(pi_dnnl_draft *draft, const pi_dnnl_quant *quant, int weights_mask, int64_t channels);
/* Writes the attributes: after this no post-ops. */
const char *pi_dnnl_draft_attr(pi_dnnl_draft *draft);
/* draft->pd is made (status: of making it): steps to implementation `impl`, refuses the reference. */
const char *pi_dnnl_choose(pi_dnnl_draft *draft, dnnl_status_t status, int impl);

/* Before products: without VNNI those of 8-bit integers would saturate in 16 bits. */
const char *pi_dnnl_product_types(pi_dtype a, pi_dtype b);

/* A description becomes a draft; the text says why not. `impl`: the one that the description asks for. */
typedef const char *(*pi_dnnl_describe_fn)(pi_dnnl_draft *draft, const void *description);
pi_status pi_dnnl_make(pi_dnnl **out, const char *what, pi_dnnl_describe_fn describe, const void *description,
                       int impl, int threads, pi_error *err) PI_MUST_USE;
const char *pi_dnnl_probe(pi_dnnl_describe_fn describe, const void *description, int impl, int threads);

/* Window arithmetic common to convolution and pooling; the text says what is wrong. */
/* lists: in, kernel, out, stride, dilation, pad_begin, pad_end. */
const char *pi_dnnl_window_check(int spatial, int64_t n, const int64_t *const lists[7]);
bool pi_dnnl_image_fits(int spatial, int64_t c, const int64_t *dims, pi_dtype type); /* a sample under 2 GB */

#define CHECK_WHY(expr)                    \
    do {                                   \
        const char *why_ = (expr);         \
        if (why_) return why_;             \
    } while (0)
#define CHECK_DNNL(expr, text)             \
    do {                                   \
        if ((expr) != dnnl_success) return text; \
    } while (0)
#endif
