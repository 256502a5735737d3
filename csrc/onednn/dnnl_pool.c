/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling. */
#ifdef PI_ONEDNN
#include "onednn/dnnl_private.h"

static const char *check(const pi_dnnl_pool *p)
{
    const int64_t *const lists[] = {p->in, p->kernel, p->out, p->stride, p->dilation, p->pad_begin, p->pad_end};
    CHECK_WHY(pi_dnnl_window_check(p->spatial, p->n, lists));
    if (!pi_dnnl_image_fits(p->spatial, p->c, p->in, p->type) || !pi_dnnl_image_fits(p->spatial, p->c, p->out, p->type))
        return "tensors of 2 GB or more";
    return NULL;
}

static const char *describe(pi_dnnl_draft *draft, const void *description)
{
    static const dnnl_alg_kind_t kinds[] = {dnnl_pooling_max, dnnl_pooling_avg_exclude_padding,
                                            dnnl_pooling_avg_include_padding};
    const pi_dnnl_pool *p = description;
    dnnl_dims_t stride = {0}, kernel = {0}, dilates = {0}, begin = {0}, end = {0};
    CHECK_WHY(check(p));
    for (int i = 0; i < p->spatial; i++) {
        stride[i] = p->stride[i];
        kernel[i] = p->kernel[i];
        begin[i] = p->pad_begin[i];
        dilates[i] = p->dilation[i] - 1;
        int64_t reach = (p->kernel[i] - 1) * p->dilation[i] + 1;
        int64_t needed = (p->out[i] - 1) * p->stride[i] + reach - p->in[i] - p->pad_begin[i];
        end[i] = pi_max_i64(p->pad_end[i], needed);
        if (p->kind == PI_DNNL_POOL_AVG_PAD && needed > p->pad_end[i])
            return "oneDNN counts what lies beyond the padding";
        if (p->pad_begin[i] >= reach || end[i] >= reach) return "padding as large as the kernel";
    }
    CHECK_WHY(pi_dnnl_draft_image(draft, ROLE_SRC, DNNL_ARG_SRC, p->spatial, p->src_last, p->n, p->c, p->in, p->type));
    CHECK_WHY(pi_dnnl_draft_image(draft, ROLE_DST, DNNL_ARG_DST, p->spatial, p->dst_last, p->n, p->c, p->out, p->type));
    CHECK_WHY(pi_dnnl_draft_attr(draft));
    dnnl_status_t status = pi_dnnl_lib->pooling_forward_primitive_desc_create(
        &draft->pd, pi_dnnl_lib->engine, dnnl_forward_inference, kinds[p->kind], draft->md[ROLE_SRC], draft->md[ROLE_DST],
        stride, kernel, dilates, begin, end, draft->attr);
    return pi_dnnl_choose(draft, status, p->impl);
}

pi_status pi_dnnl_pool_new(pi_dnnl **out, const pi_dnnl_pool *pool, int threads, pi_error *err)
{
    return pi_dnnl_make(out, "pool", describe, pool, pool->impl, threads, err);
}

const char *pi_dnnl_pool_refuse(const pi_dnnl_pool *pool, int threads)
{
    return pi_dnnl_probe(describe, pool, pool->impl, threads);
}
#endif
