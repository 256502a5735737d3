/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and its transpose. */
#ifdef PI_ONEDNN
#include "onednn/dnnl_private.h"

/* Weights as ONNX has them, seen in oneDNN's logical order [groups][oc/groups][ic/groups][kernel]. */
static const char *weights(pi_dnnl_draft *draft, const pi_dnnl_conv *c)
{
    dnnl_dims_t dims, strides;
    int64_t kernel = 1, per_oc = c->oc / c->groups, per_ic = c->ic / c->groups;
    int at = 0, first = c->groups > 1;
    for (int i = 0; i < c->spatial; i++) kernel *= c->kernel[i];
    if (first) {
        dims[at] = c->groups;
        strides[at++] = per_oc * per_ic * kernel;
    }
    dims[at] = per_oc;
    strides[at++] = c->transposed ? kernel : per_ic * kernel;
    dims[at] = per_ic;
    strides[at++] = c->transposed ? per_oc * kernel : kernel;
    for (int i = 0; i < c->spatial; i++) {
        kernel /= c->kernel[i];
        dims[at] = c->kernel[i];
        strides[at++] = kernel;
    }
    dnnl_data_type_t type = pi_dnnl_type(c->weights_type);
    CHECK_WHY(pi_dnnl_draft_tensor(draft, ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, at, dims, type, strides));
    if (c->weights_vary) return NULL;
    draft->plain = draft->md[ROLE_WEIGHTS];
    draft->md[ROLE_WEIGHTS] = NULL;
    return pi_dnnl_draft_tensor(draft, ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, at, dims, type, NULL);
}

static const char *check(const pi_dnnl_conv *c)
{
    const int64_t *const lists[] = {c->in, c->kernel, c->out, c->stride, c->dilation, c->pad_begin, c->pad_end};
    CHECK_WHY(pi_dnnl_window_check(c->spatial, c->n, lists));
    if (c->groups < 1 || c->ic < 1 || c->oc < 1 || c->ic % c->groups || c->oc % c->groups)
        return "channels do not fit the groups";
    if (c->transposed && c->groups > 1 && c->ic != c->oc && c->groups == c->ic)
        return "oneDNN is slow at transposed convolution with a channel multiplier";
    const int64_t window[] = {c->oc / c->groups, c->kernel[0], c->spatial > 1 ? c->kernel[1] : 1,
                              c->spatial > 2 ? c->kernel[2] : 1};
    if (!pi_dnnl_image_fits(c->spatial, c->ic, c->in, c->src_type) ||
        !pi_dnnl_image_fits(c->spatial, c->oc, c->out, c->dst_type) ||
        !pi_dnnl_image_fits(4, c->ic, window, c->weights_type))
        return "tensors of 2 GB or more";
    return NULL;
}

static const char *describe(pi_dnnl_draft *draft, const void *description)
{
    const pi_dnnl_conv *c = description;
    CHECK_WHY(check(c));
    CHECK_WHY(pi_dnnl_product_types(c->src_type, c->weights_type));
    CHECK_WHY(pi_dnnl_draft_image(draft, ROLE_SRC, DNNL_ARG_SRC, c->spatial, c->src_last, c->n, c->ic, c->in, c->src_type));
    CHECK_WHY(pi_dnnl_draft_image(draft, ROLE_DST, DNNL_ARG_DST, c->spatial, c->dst_last, c->n, c->oc, c->out, c->dst_type));
    CHECK_WHY(weights(draft, c));
    if (c->bias) {
        const dnnl_dims_t dims = {c->oc}, strides = {1};
        CHECK_WHY(pi_dnnl_draft_tensor(draft, ROLE_BIAS, DNNL_ARG_BIAS, 1, dims, dnnl_f32, strides));
    }
    CHECK_WHY(pi_dnnl_draft_quant(draft, &c->quant, c->groups > 1 ? 3 : 1, c->oc));
    CHECK_WHY(pi_dnnl_draft_epilogue(draft, &c->end));
    CHECK_WHY(pi_dnnl_draft_attr(draft));
    dnnl_dims_t stride = {0}, dilates = {0}, begin = {0}, end = {0};
    for (int i = 0; i < c->spatial; i++) {
        stride[i] = c->stride[i];
        dilates[i] = c->dilation[i] - 1;
        begin[i] = c->pad_begin[i];
        end[i] = c->pad_end[i];
    }

    const dnnl_memory_desc_t *md = draft->md;
    dnnl_status_t status =
        c->transposed
            ? pi_dnnl_lib->deconvolution_forward_primitive_desc_create(
                  &draft->pd, pi_dnnl_lib->engine, dnnl_forward_inference, dnnl_deconvolution_direct, md[ROLE_SRC],
                  md[ROLE_WEIGHTS], md[ROLE_BIAS], md[ROLE_DST], stride, dilates, begin, end, draft->attr)
            : pi_dnnl_lib->convolution_forward_primitive_desc_create(
                  &draft->pd, pi_dnnl_lib->engine, dnnl_forward_inference, dnnl_convolution_direct, md[ROLE_SRC],
                  md[ROLE_WEIGHTS], md[ROLE_BIAS], md[ROLE_DST], stride, dilates, begin, end, draft->attr);
    return pi_dnnl_choose(draft, status, c->impl);
}

pi_status pi_dnnl_conv_new(pi_dnnl **out, const pi_dnnl_conv *conv, int threads, pi_error *err)
{
    return pi_dnnl_make(out, "conv", describe, conv, conv->impl, threads, err);
}

const char *pi_dnnl_conv_refuse(const pi_dnnl_conv *conv, int threads)
{
    return pi_dnnl_probe(describe, conv, conv->impl, threads);
}
#endif
