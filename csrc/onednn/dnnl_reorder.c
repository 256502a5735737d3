/* SPDX-License-Identifier: Apache-2.0 */
/* Strided copy. */
#ifdef PI_ONEDNN
#include "onednn/dnnl_private.h"

static const char *describe(pi_dnnl_draft *draft, const void *description)
{
    const pi_dnnl_reorder *r = description;
    int64_t total[2] = {8, 8}, step;
    if (r->rank < 1 || r->rank > PI_DNNL_MAX_RANK) return "oneDNN has no such rank";
    for (int i = 0; i < r->rank; i++) {
        const int64_t stride[2] = {r->src_stride[i], r->dst_stride[i]};
        if (r->dim[i] < 1 || r->dim[i] > INT32_MAX) return "oneDNN has no such dims";
        for (int o = 0; o < 2; o++)
            if (stride[o] < 1 || !pi_mul_i64(r->dim[i], stride[o], &step) || !pi_add_i64(total[o], step, &total[o]) ||
                total[o] > INT64_MAX / 64)
                return "oneDNN has no such strides";
    }
    CHECK_WHY(pi_dnnl_draft_tensor(draft, ROLE_SRC, DNNL_ARG_FROM, r->rank, r->dim, pi_dnnl_type(r->src_type), r->src_stride));
    CHECK_WHY(pi_dnnl_draft_tensor(draft, ROLE_DST, DNNL_ARG_TO, r->rank, r->dim, pi_dnnl_type(r->dst_type), r->dst_stride));
    CHECK_WHY(pi_dnnl_draft_attr(draft));
    dnnl_status_t status = pi_dnnl_lib->reorder_primitive_desc_create(&draft->pd, draft->md[ROLE_SRC], pi_dnnl_lib->engine,
                                                                    draft->md[ROLE_DST], pi_dnnl_lib->engine, draft->attr);
    return pi_dnnl_choose(draft, status, r->impl);
}

pi_status pi_dnnl_reorder_new(pi_dnnl **out, const pi_dnnl_reorder *reorder, int threads, pi_error *err)
{
    return pi_dnnl_make(out, "reorder", describe, reorder, reorder->impl, threads, err);
}

const char *pi_dnnl_reorder_refuse(const pi_dnnl_reorder *reorder, int threads)
{
    return pi_dnnl_probe(describe, reorder, reorder->impl, threads);
}
#endif
