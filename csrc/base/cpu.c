/* SPDX-License-Identifier: Apache-2.0 */
/* CPU features, as the compiler's run-time support finds them (it asks the operating system for the registers too). */
#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"any", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
enum { N_ISAS = sizeof names / sizeof *names };

static bool found(pi_isa isa)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    switch (isa) {
    case PI_CPU_ANY: return true;
    case PI_CPU_AVX2: return avx2;
    case PI_CPU_AVX512: return avx512;
    case PI_CPU_AVX512_VNNI: return avx512 && __builtin_cpu_supports("avx512vnni");
    case PI_CPU_AVX512_BF16: return avx512 && __builtin_cpu_supports("avx512bf16");
    }
#endif
    return isa == PI_CPU_ANY;
}

/* The best that may be reported: PYINFER_ISA, or what a test says. -1: not read yet; racing readers write the same. */
static int limit = -1;

static int read_limit(void)
{
    const char *text = getenv("PYINFER_ISA");
    for (int i = 0; text && i < N_ISAS; i++)
        if (strcmp(text, names[i]) == 0) return i;
    return N_ISAS;
}

bool pi_cpu_has(pi_isa isa)
{
    int most = __atomic_load_n(&limit, __ATOMIC_RELAXED);
    if (most < 0) {
        most = read_limit();
        __atomic_store_n(&limit, most, __ATOMIC_RELAXED);
    }
    return (int)isa <= most && found(isa);
}

void pi_cpu_limit(pi_isa isa) { __atomic_store_n(&limit, (int)isa, __ATOMIC_RELAXED); }
const char *pi_isa_name(pi_isa isa) { return (unsigned)isa < N_ISAS ? names[isa] : "?"; }

void pi_cpu_features(char *text, size_t size)
{
    size_t n = 0;
    if (size) text[0] = '\0';
    for (int i = 1; i < N_ISAS && n < size; i++)
        if (found((pi_isa)i)) n += (size_t)snprintf(text + n, size - n, "%s%s", n ? " " : "", names[i]);
    if (n < size && read_limit() < N_ISAS) (void)snprintf(text + n, size - n, " (limited to %s)", names[read_limit()]);
}

size_t pi_cpu_cache(int level)
{
    static const struct {
        int name;
        size_t usual;
    } levels[] = {{_SC_LEVEL1_DCACHE_SIZE, 32 << 10}, {_SC_LEVEL2_CACHE_SIZE, 1 << 20}, {_SC_LEVEL3_CACHE_SIZE, 16 << 20}};
    if (level < 1 || level > 3) return 0;
    long bytes = sysconf(levels[level - 1].name);
    return bytes > 0 ? (size_t)bytes : levels[level - 1].usual;
}
