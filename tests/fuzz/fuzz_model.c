/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzing of the model reader: load, verify, print, free. Two ways to build it, from the folder of a build with
 * -DPYINFER_SANITIZE=address,undefined -DPYINFER_TESTS=ON:
 *   clang -fsanitize=fuzzer,address,undefined -I csrc tests/fuzz/fuzz_model.c BUILD/libpyinfer_inside.a -fopenmp -lm -ldl
 *   gcc -g -fsanitize=address,undefined -DFUZZ_MAIN -I csrc tests/fuzz/fuzz_model.c BUILD/libpyinfer_inside.a -fopenmp -lm -ldl
 * The second has a small mutator of its own: ./a.out ROUNDS SEED FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void swallow(void *arg, const char *text) { *(size_t *)arg += strlen(text); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    pi_heap *heap = pi_heap_new((size_t)64 << 20);
    pi_model *m = NULL;
    pi_error err = {0};
    pi_status st = pi_model_read(&(pi_model_source){.bytes = data, .n = n}, heap, &m, &err);
    if ((st == PI_E_OK) != (m != NULL) || st == PI_E_INTERNAL || (st != PI_E_OK && !err.text[0])) abort();
    if (m) {
        size_t length = 0;
        if (pi_graph_verify(m->graph, &err) != PI_E_OK) abort();
        pi_graph_print(m->graph, swallow, &length);
        for (uint32_t i = 0; i < m->graph->n_values; i++) {
            pi_const *c = m->graph->value[i]->constant;
            if (c && pi_const_load(c, &err) == PI_E_OK) pi_const_drop(c);
        }
        pi_graph *copy = NULL;
        if (pi_graph_clone(m->graph, heap, &copy, &err) == PI_E_OK) pi_graph_free(copy);
    }
    pi_model_free(m);
    pi_heap_unref(heap);
    if (pi_alloc_alive() != 0) abort();
    return 0;
}

#ifdef FUZZ_MAIN
static uint64_t state;
static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (uint32_t)(state >> 32) % below : 0;
}

/* Some bytes flipped, replaced by numbers that matter, moved, doubled or cut. */
static size_t mutate(uint8_t *p, size_t n, size_t room)
{
    static const uint8_t telling[] = {0, 1, 2, 7, 8, 10, 16, 18, 34, 42, 50, 58, 127, 128, 255};
    for (uint32_t k = 1 + draw(4); k-- && n;) {
        uint32_t at = draw((uint32_t)n), len = 1 + draw(n - at < 40 ? (uint32_t)(n - at) : 40), to;
        switch (draw(6)) {
        case 0: p[at] ^= (uint8_t)(1u << draw(8)); break;
        case 1: p[at] = telling[draw(sizeof telling)]; break;
        case 2: p[at] = (uint8_t)(p[at] + 1 - 2 * (int)draw(2)); break;
        case 3: /* cut out */
            memmove(p + at, p + at + len, n - at - len);
            n -= len;
            break;
        case 4: /* repeat somewhere */
            to = draw((uint32_t)n);
            if (n + len > room) break;
            memmove(p + to + len, p + to, n - to);
            memmove(p + to, p + at + (at >= to ? len : 0), len);
            n += len;
            break;
        default: n = draw(20) ? n : at; break;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static uint8_t seed[1 << 20], work[1 << 21];
    if (argc < 4) return 2;
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252u;
    for (int i = 3; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) return 2;
        size_t n = fread(seed, 1, sizeof seed, f);
        (void)fclose(f);
        for (long k = 0; k < atol(argv[1]); k++) {
            memcpy(work, seed, n);
            size_t m = k ? mutate(work, n, sizeof work) : n;
            uint8_t *exact = malloc(m + !m); /* so that a read past the end is seen */
            if (!exact) return 2;
            memcpy(exact, work, m);
            FILE *last = getenv("FUZZ_LAST") ? fopen(getenv("FUZZ_LAST"), "wb") : NULL;
            if (last) (void)fwrite(exact, 1, m, last), (void)fclose(last);
            (void)LLVMFuzzerTestOneInput(exact, m);
            free(exact);
        }
    }
    return 0;
}
#endif
