/* SPDX-License-Identifier: Apache-2.0 */
/* CPU features, as the compiler's run-time support finds them (it asks the operating system for the registers too). */
#include "base/cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

static const char *const names[] = {"any", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
enum { N_ISAS = sizeof names / sizeof *names };

static bool found(pi_isa isa)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
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

bool pi_cpu_adds_apart(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_is("amd");
#else
    return false;
#endif
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

static int limit_now(void)
{
    int most = __atomic_load_n(&limit, __ATOMIC_RELAXED);
    if (most < 0) {
        most = read_limit();
        __atomic_store_n(&limit, most, __ATOMIC_RELAXED);
    }
    return most;
}

bool pi_cpu_has(pi_isa isa) { return (int)isa <= limit_now() && found(isa); }
void pi_cpu_limit(pi_isa isa) { __atomic_store_n(&limit, (int)isa, __ATOMIC_RELAXED); }
const char *pi_isa_name(pi_isa isa) { return (unsigned)isa < N_ISAS ? names[isa] : "?"; }

void pi_cpu_features(char *text, size_t size)
{
    char list[128] = "", note[40] = "";
    size_t n = 0;
    for (int i = 1; i < N_ISAS; i++)
        if (found((pi_isa)i)) n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? " " : "", names[i]);
    int most = limit_now();
    if (most < N_ISAS) (void)snprintf(note, sizeof note, " (limited to %s)", names[most]);
    (void)snprintf(text, size, "%s%s", n ? list : names[0], note);
}

/* ---- caches ---- */

/* A number of /sys/devices/system/cpu/cpu0/cache: "48K" is 49152; 0 if it is not there. */
static size_t cache_file(int index, const char *what, char *text, size_t size)
{
    char path[96], *end;
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, what);
    if (!pi_file_text(path, text, size)) return 0;
    unsigned long n = strtoul(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;
    return n < SIZE_MAX >> 30 ? n << shift : 0;
}

static size_t cache_of_system(int level)
{
    char text[32];
    for (int i = 0; i < 8; i++) {
        size_t found_level = cache_file(i, "level", text, sizeof text);
        (void)cache_file(i, "type", text, sizeof text);
        if (found_level == (size_t)level && text[0] != 'I') return cache_file(i, "size", text, sizeof text);
    }
    return 0;
}

size_t pi_cpu_cache(int level)
{
    static const struct {
        int name;
        size_t usual;
    } levels[] = {{_SC_LEVEL1_DCACHE_SIZE, 32 << 10}, {_SC_LEVEL2_CACHE_SIZE, 1 << 20}, {_SC_LEVEL3_CACHE_SIZE, 16 << 20}};
    if (level < 1 || level > 3) return 0;
    long bytes = sysconf(levels[level - 1].name);
    if (bytes > 0) return (size_t)bytes;
    size_t told = cache_of_system(level); /* not on x86 */
    return told ? told : levels[level - 1].usual;
}
