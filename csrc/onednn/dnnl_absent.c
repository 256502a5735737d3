/* SPDX-License-Identifier: Apache-2.0 */
/* The door where the build has no oneDNN: everything refuses. */
#ifndef PI_ONEDNN
#include <stdio.h>
#include <string.h>
#include "onednn/onednn.h"

static const char absent[] = "this build has no oneDNN";

bool pi_dnnl_available(const char **why)
{
    if (why) *why = absent;
    return false;
}
void pi_dnnl_warm(void) {}
void pi_dnnl_build(char *text, size_t size) { snprintf(text, size, "%s", absent); }
void pi_dnnl_describe(char *text, size_t size) { snprintf(text, size, "%s", absent); }
void pi_dnnl_free(void *object) { (void)object; }
const char *pi_dnnl_impl_name(const pi_dnnl *object) { return (void)object, "none"; }
size_t pi_dnnl_scratch(const pi_dnnl *object) { return (void)object, (size_t)0; }
void pi_dnnl_weights(const pi_dnnl *object, pi_dnnl_weights_info *info)
{
    (void)object;
    memset(info, 0, sizeof *info);
}
pi_status pi_dnnl_pack(const pi_dnnl *object, const void *plain, void *packed, pi_error *err)
{
    (void)object, (void)plain, (void)packed;
    return pi_fail(err, PI_E_UNSUPPORTED, "%s", absent);
}
pi_status pi_dnnl_run(pi_dnnl *object, const pi_dnnl_args *args, pi_error *err)
{
    (void)object, (void)args;
    return pi_fail(err, PI_E_UNSUPPORTED, "%s", absent);
}
#define ABSENT(kind)                                                                                  \
    pi_status pi_dnnl_##kind##_new(pi_dnnl **out, const pi_dnnl_##kind *d, int threads, pi_error *err) \
    {                                                                                                 \
        (void)d, (void)threads;                                                                       \
        *out = NULL;                                                                                  \
        return pi_fail(err, PI_E_UNSUPPORTED, "%s", absent);                                          \
    }                                                                                                 \
    const char *pi_dnnl_##kind##_refuse(const pi_dnnl_##kind *d, int threads) { return (void)d, (void)threads, absent; }
ABSENT(conv)
ABSENT(matmul)
ABSENT(pool)
ABSENT(reorder)
#endif
