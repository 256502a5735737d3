/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a primitive together: descriptors of its arguments, post-ops, attributes, choice of the implementation. */
#ifdef PI_ONEDNN
#include <string.h>
#include "onednn/dnnl_private.h"

static const char no_memory[] = "oneDNN has no memory for a description";

dnnl_data_type_t pi_dnnl_type(pi_dtype type)
{
    switch (type) {
        case PI_DTYPE_F32: return dnnl_f32;
        case PI_DTYPE_F16: return dnnl_f16;
        case PI_DTYPE_BF16: return dnnl_bf16;
        case PI_DTYPE_I32: return dnnl_s32;
        case PI_DTYPE_I8: return dnnl_s8;
        case PI_DTYPE_U8: return dnnl_u8;
        default: return dnnl_data_type_undef;
    }
}

const char *pi_dnnl_product_types(pi_dtype a, pi_dtype b)
{
    const int vnni = dnnl_cpu_isa_avx2_vnni, vnni512 = dnnl_cpu_isa_avx512_core_vnni;
    if (a != PI_DTYPE_U8 && a != PI_DTYPE_I8 && b != PI_DTYPE_U8 && b != PI_DTYPE_I8) return NULL;
    int isa = (int)pi_dnnl_lib->get_effective_cpu_isa();
    if ((isa & vnni) == vnni || (isa & vnni512) == vnni512) return NULL;
    return "without VNNI oneDNN's 8-bit products may saturate";
}

const char *pi_dnnl_draft_start(pi_dnnl_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    const char *why;
    if (!pi_dnnl_available(&why)) return why;
    CHECK_DNNL(pi_dnnl_lib->post_ops_create(&draft->post), no_memory);
    CHECK_DNNL(pi_dnnl_lib->primitive_attr_create(&draft->attr), no_memory);
    CHECK_DNNL(pi_dnnl_lib->primitive_attr_set_scratchpad_mode(draft->attr, dnnl_scratchpad_mode_user), no_memory);
    return NULL;
}

void pi_dnnl_draft_drop(pi_dnnl_draft *draft)
{
    for (int i = 0; i < ROLE_COUNT; i++)
        if (draft->md[i]) pi_dnnl_lib->memory_desc_destroy(draft->md[i]);
    if (draft->plain) pi_dnnl_lib->memory_desc_destroy(draft->plain);
    if (draft->pd) pi_dnnl_lib->primitive_desc_destroy(draft->pd);
    if (draft->attr) pi_dnnl_lib->primitive_attr_destroy(draft->attr);
    if (draft->post) pi_dnnl_lib->post_ops_destroy(draft->post);
    memset(draft, 0, sizeof *draft);
}

const char *pi_dnnl_draft_tensor(pi_dnnl_draft *draft, pi_dnnl_role role, int arg, int rank, const dnnl_dim_t *dims,
                                 dnnl_data_type_t type, const dnnl_dim_t *strides)
{
    dnnl_memory_desc_t *md = &draft->md[role];
    if (type == dnnl_data_type_undef) return "oneDNN does not know this element type";
    draft->arg[role] = arg;
    if (strides)
        CHECK_DNNL(pi_dnnl_lib->memory_desc_create_with_strides(md, rank, dims, type, strides),
                   "oneDNN does not take these strides");
    else
        CHECK_DNNL(pi_dnnl_lib->memory_desc_create_with_tag(md, rank, dims, type, dnnl_format_tag_any),
                   "oneDNN does not take these dims");
    return NULL;
}

const char *pi_dnnl_draft_image(pi_dnnl_draft *draft, pi_dnnl_role role, int arg, int spatial, bool last, int64_t n, int64_t c,
                                const int64_t *dims, pi_dtype type)
{
    static const dnnl_format_tag_t tag[2][3] = {{dnnl_ncw, dnnl_nchw, dnnl_ncdhw}, {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc}};
    dnnl_dims_t all = {n, c};
    for (int i = 0; i < spatial; i++) all[2 + i] = dims[i];
    draft->arg[role] = arg;
    if (pi_dnnl_type(type) == dnnl_data_type_undef) return "oneDNN does not know this element type";
    CHECK_DNNL(pi_dnnl_lib->memory_desc_create_with_tag(&draft->md[role], spatial + 2, all, pi_dnnl_type(type),
                                                      tag[last][spatial - 1]),
               "oneDNN does not take these dims");
    return NULL;
}

/* ---- post-ops ---- */

const char *pi_dnnl_draft_eltwise(pi_dnnl_draft *draft, dnnl_alg_kind_t kind, float alpha, float beta)
{
    CHECK_DNNL(pi_dnnl_lib->post_ops_append_eltwise(draft->post, kind, alpha, beta), "oneDNN refuses the activation");
    draft->posts++;
    return NULL;
}

const char *pi_dnnl_draft_add(pi_dnnl_draft *draft, pi_dnnl_role role)
{
    CHECK_DNNL(pi_dnnl_lib->post_ops_append_binary(draft->post, dnnl_binary_add, draft->md[role]), "oneDNN refuses the addition");
    draft->arg[role] = DNNL_ARG_ATTR_MULTIPLE_POST_OP(draft->posts) | DNNL_ARG_SRC_1;
    draft->posts++;
    return NULL;
}

static const char *add_act(pi_dnnl_draft *draft, pi_act act)
{
    switch (act.kind) {
        case PI_ACT_NONE: return NULL;
        case PI_ACT_RELU: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_relu, 0, 0);
        case PI_ACT_LEAKY_RELU: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_relu, act.a, 0);
        case PI_ACT_CLIP: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_clip_v2, act.a, act.b);
        case PI_ACT_SIGMOID: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_logistic, 0, 0);
        case PI_ACT_TANH: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_tanh, 0, 0);
        case PI_ACT_SILU: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_swish, act.a, 0);
        case PI_ACT_HARD_SIGMOID: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_hardsigmoid, act.a, act.b);
        case PI_ACT_HARD_SWISH: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_hardswish, 1.f / 6, .5f);
        case PI_ACT_ELU: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_elu, act.a, 0);
        case PI_ACT_GELU_ERF: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_gelu_erf, 0, 0);
        case PI_ACT_GELU_TANH: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_gelu_tanh, 0, 0);
        case PI_ACT_MISH: return pi_dnnl_draft_eltwise(draft, dnnl_eltwise_mish, 0, 0);
        default: return "oneDNN has no such activation";
    }
}

static const char *add_residual(pi_dnnl_draft *draft, pi_dnnl_residual residual)
{
    if (residual == PI_DNNL_NO_RESIDUAL) return NULL;
    if (residual == PI_DNNL_SUM) {
        CHECK_DNNL(pi_dnnl_lib->post_ops_append_sum(draft->post, 1, 0, dnnl_data_type_undef), "oneDNN refuses the sum");
        draft->posts++;
        return NULL;
    }
    CHECK_DNNL(pi_dnnl_lib->memory_desc_clone(&draft->md[ROLE_RESIDUAL], draft->md[ROLE_DST]), no_memory);
    return pi_dnnl_draft_add(draft, ROLE_RESIDUAL);
}

const char *pi_dnnl_draft_epilogue(pi_dnnl_draft *draft, const pi_dnnl_epilogue *end)
{
    if (end->act_first) CHECK_WHY(add_act(draft, end->act));
    CHECK_WHY(add_residual(draft, end->residual));
    if (!end->act_first) CHECK_WHY(add_act(draft, end->act));
    return NULL;
}

/* ---- attributes ---- */

static const char *add_value(pi_dnnl_draft *draft, pi_dnnl_role role, int kind, int of, dnnl_data_type_t type, int mask,
                             int64_t count)
{
    const dnnl_dims_t dims = {count}, strides = {1};
    dnnl_status_t status = kind == DNNL_ARG_ATTR_SCALES
                               ? pi_dnnl_lib->primitive_attr_set_scales_mask(draft->attr, of, mask)
                               : pi_dnnl_lib->primitive_attr_set_zero_points_mask(draft->attr, of, mask);
    CHECK_DNNL(status, "oneDNN refuses the scales or zero points");
    return pi_dnnl_draft_tensor(draft, role, kind | of, 1, dims, type, strides);
}

const char *pi_dnnl_draft_quant(pi_dnnl_draft *draft, const pi_dnnl_quant *q, int weights_mask, int64_t channels)
{
    const int scales = DNNL_ARG_ATTR_SCALES, zeros = DNNL_ARG_ATTR_ZERO_POINTS;
    if (q->src_scale) CHECK_WHY(add_value(draft, ROLE_SRC_SCALE, scales, DNNL_ARG_SRC, dnnl_f32, 0, 1));
    if (q->weights_scale_per_n)
        CHECK_WHY(add_value(draft, ROLE_WEIGHTS_SCALE, scales, DNNL_ARG_WEIGHTS, dnnl_f32, weights_mask, channels));
    else if (q->weights_scale)
        CHECK_WHY(add_value(draft, ROLE_WEIGHTS_SCALE, scales, DNNL_ARG_WEIGHTS, dnnl_f32, 0, 1));
    if (q->dst_scale) CHECK_WHY(add_value(draft, ROLE_DST_SCALE, scales, DNNL_ARG_DST, dnnl_f32, 0, 1));
    if (q->src_zero) CHECK_WHY(add_value(draft, ROLE_SRC_ZERO, zeros, DNNL_ARG_SRC, dnnl_s32, 0, 1));
    if (q->dst_zero) CHECK_WHY(add_value(draft, ROLE_DST_ZERO, zeros, DNNL_ARG_DST, dnnl_s32, 0, 1));
    return NULL;
}

const char *pi_dnnl_draft_attr(pi_dnnl_draft *draft)
{
    CHECK_DNNL(pi_dnnl_lib->primitive_attr_set_post_ops(draft->attr, draft->post), "oneDNN refuses the post-ops");
    return NULL;
}

/* ---- the choice ---- */

static bool is_reference(dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    if (pi_dnnl_lib->primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) != dnnl_success || !name) return true;
    return strstr(name, "ref") != NULL; /* "ref:any", "gemm:ref", "conv:any+ref:any" */
}

const char *pi_dnnl_choose(pi_dnnl_draft *draft, dnnl_status_t status, int impl)
{
    if (status == dnnl_out_of_memory) return no_memory;
    if (status == dnnl_invalid_arguments) return "oneDNN finds the dims or parameters wrong";
    if (status != dnnl_success) return "oneDNN has no implementation for this";
    for (int i = 0; i < impl; i++)
        CHECK_DNNL(pi_dnnl_lib->primitive_desc_next_impl(draft->pd), "oneDNN has not that many implementations");
    if (is_reference(draft->pd)) return "oneDNN has only its reference implementation for this";

    const_dnnl_memory_desc_t md = pi_dnnl_lib->primitive_desc_query_md(draft->pd, dnnl_query_scratchpad_md, 0);
    if (md && pi_dnnl_lib->memory_desc_get_size(md) > 0) {
        CHECK_DNNL(pi_dnnl_lib->memory_desc_clone(&draft->md[ROLE_SCRATCH], md), no_memory);
        draft->arg[ROLE_SCRATCH] = DNNL_ARG_SCRATCHPAD;
    }
    if (draft->plain) { /* `any` has become a format */
        md = pi_dnnl_lib->primitive_desc_query_md(draft->pd, dnnl_query_weights_md, 0);
        if (!md) return no_memory;
        pi_dnnl_lib->memory_desc_destroy(draft->md[ROLE_WEIGHTS]);
        draft->md[ROLE_WEIGHTS] = NULL;
        CHECK_DNNL(pi_dnnl_lib->memory_desc_clone(&draft->md[ROLE_WEIGHTS], md), no_memory);
    }
    return NULL;
}
#endif
