/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int limit = -1;
static int env_limit(void)
{
    const char *e = getenv("PYINFER_ISA");
    return !e ? 99 : strcmp(e, "any") == 0 ? 0 : strcmp(e, "avx2") == 0 ? 1 : 99;
}
bool pi_cpu_has(pi_isa isa)
{
    if (limit < 0) limit = env_limit();
    if ((int)isa > limit) return false;
    bool a2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool a5 = a2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    switch (isa) {
    case PI_CPU_ANY: return true;
    case PI_CPU_AVX2: return a2;
    case PI_CPU_AVX512: return a5;
    case PI_CPU_AVX512_VNNI: return a5 && __builtin_cpu_supports("avx512vnni");
    case PI_CPU_AVX512_BF16: return a5 && __builtin_cpu_supports("avx512bf16");
    }
    return false;
}
const char *pi_isa_name(pi_isa isa) { static const char *const n[] = {"any", "avx2", "avx512", "avx512_vnni", "avx512_bf16"}; return n[isa]; }
void pi_cpu_limit(pi_isa isa) { limit = (int)isa; }
const char *pi_cpu_features(void) { return pi_cpu_has(PI_CPU_AVX512) ? "avx2 fma avx512" : pi_cpu_has(PI_CPU_AVX2) ? "avx2 fma" : "any"; }
size_t pi_cpu_cache(int level) { return level == 1 ? 32768 : level == 2 ? 1048576 : 33554432; }
