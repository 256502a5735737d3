/* SPDX-License-Identifier: Apache-2.0 */
/* 8-bit weights for oneDNN, which takes them signed. */
#include <string.h>

#include "base/cpu.h"
#include "onednn/onednn.h"
#include "ops/prep.h"
#include "ops/quant.h"

void pi_quant_flip(const void *x, void *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) ((uint8_t *)out)[i] = ((const uint8_t *)x)[i] ^ 0x80;
}

static pi_status pack_plain(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    return pi_dnnl_pack(arg, source->data, out, err);
}

typedef struct {
    const pi_dnnl *object;
    bool as_is;
    pi_heap *heap;
} flip_arg;

static pi_status pack_flipped(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const flip_arg *a = arg;
    int64_t n = pi_tensor_n(source);
    if (a->as_is) {
        pi_quant_flip(source->data, out, n);
        return PI_E_OK;
    }
    uint8_t *plain = pi_alloc(a->heap, (size_t)n, err);
    if (!plain) return pi_alloc_status(err);
    pi_quant_flip(source->data, plain, n);
    pi_status status = pi_dnnl_pack(a->object, plain, out, err);
    pi_free(plain);
    return status;
}

pi_status pi_quant_pack(pi_prep *prep, uint32_t i, pi_dnnl *object, bool flip, const void **out, pi_error *err)
{
    static const char name[8] = "flipped";
    pi_dnnl_weights_info info;
    *out = NULL;
    pi_dnnl_weights(object, &info);
    if (!flip) {
        if (info.as_is) return PI_E_OK;
        PI_TRY(pi_prep_pack(prep, i, info.key, info.key_bytes, info.bytes, pack_plain, object, out, err));
    } else {
        flip_arg arg = {object, info.as_is, prep->services->arena.heap};
        size_t bytes = info.as_is ? (size_t)pi_tensor_n(prep->in[i]) : info.bytes,
               more = info.as_is ? 0 : info.key_bytes;
        char *key = pi_prep_alloc(prep, sizeof name + more, err);
        if (!key) return pi_alloc_status(err);
        memcpy(key, name, sizeof name);
        if (more) memcpy(key + sizeof name, info.key, more);
        PI_TRY(pi_prep_pack(prep, i, key, sizeof name + more, bytes, pack_flipped, &arg, out, err));
    }
    pi_prep_drop(prep, i);
    return PI_E_OK;
}

bool pi_quant_panels_first(void) { return pi_cpu_has(PI_CPU_AVX2) && !pi_cpu_has(PI_CPU_AVX512_VNNI); }

bool pi_quant_known_zero(const pi_tensor *t)
{
    int64_t n = t ? pi_tensor_n(t) : 0;
    for (int64_t i = 0; i < n; i++)
        if (!t->data || pi_tensor_int(t, i) != 0) return false;
    return true;
}
