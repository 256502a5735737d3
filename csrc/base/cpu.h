/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU can do. Kernel rows name one of these; the first supported row wins.
 * PYINFER_ISA=any|avx2|avx512 (read once) lowers what is reported: for tests and for same bits across machines. */
#ifndef PI_BASE_CPU_H
#define PI_BASE_CPU_H
#include <stdbool.h>
#include <stddef.h>

typedef enum {
    PI_CPU_ANY = 0,    /* portable C */
    PI_CPU_AVX2 = 1,   /* avx2, fma, f16c */
    PI_CPU_AVX512 = 2, /* avx512 f, bw, vl, dq, and AVX2's */
    PI_CPU_AVX512_VNNI = 3,
    PI_CPU_AVX512_BF16 = 4,
} pi_isa;

bool pi_cpu_has(pi_isa isa);
const char *pi_isa_name(pi_isa isa);
/* Tests: report at most this one from now on. */
void pi_cpu_limit(pi_isa isa);
/* Additions have units of their own beside those of multiply-adds, and as many: AMD. */
bool pi_cpu_adds_apart(void);
/* All of these that were found, "avx2 avx512 ...", and the limit if there is one. */
void pi_cpu_features(char *text, size_t size);
/* Bytes of the data cache of a level (1, 2, 3), with a usual value where the system does not tell. */
size_t pi_cpu_cache(int level);
#endif
