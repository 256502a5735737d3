/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
/* Eight rows by 16 columns: vpdpwssd multiplies pairs and adds them to the sum in one instruction, one or two a cycle.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/quant/quant_panel.h"

static inline __m512i pair_of(const int16_t *a)
{
    int32_t both;
    memcpy(&both, a, sizeof both);
    return _mm512_set1_epi32(both);
}

void pi_quant_panel_vnni(const int16_t *a, int64_t lda, const int16_t *panel, int64_t pairs, int32_t *c, int64_t ldc,
                         int64_t m)
{
    int64_t i = 0;
    for (; i + 8 <= m; i += 8) {
        __m512i sum[8];
        for (int r = 0; r < 8; r++) sum[r] = _mm512_setzero_si512();
        for (int64_t p = 0; p < pairs; p++) {
            __m512i b = _mm512_loadu_si512(panel + 32 * p);
            for (int r = 0; r < 8; r++) sum[r] = _mm512_dpwssd_epi32(sum[r], b, pair_of(a + (i + r) * lda + 2 * p));
        }
        for (int r = 0; r < 8; r++) _mm512_storeu_si512(c + (i + r) * ldc, sum[r]);
    }
    for (; i < m; i++) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t p = 0; p < pairs; p++)
            sum = _mm512_dpwssd_epi32(sum, _mm512_loadu_si512(panel + 32 * p), pair_of(a + i * lda + 2 * p));
        _mm512_storeu_si512(c + i * ldc, sum);
    }
}
#else
typedef int quant_panel_vnni_empty;
#endif
