/* SPDX-License-Identifier: Apache-2.0 */
/* The multiply-adds that the machine's peak is measured with: each row does the rounds that it is asked for, in as many lanes
 * as its flops say. */
#include <math.h>
#include "check.h"
#include "kernels/fma/fma.h"

#include "base/cpu.h"
#include "ops/machine.h"

static const struct {
    pi_isa isa;
    const pi_fma_kernel *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/fma/kernels.inc"
#undef X
};

int main(void)
{
    static const int rounds[] = {0, 1, 2, 7, 40};
    const pi_fma_kernel *first = NULL;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        if (!first) first = tables[t].k;
        double lanes = (double)tables[t].k->flops / (2 * PI_FMA_CHAINS);
        for (size_t r = 0; r < sizeof rounds / sizeof *rounds; r++)
            for (float start = -2; start < 4; start += 1.5f) {
                double want = 0;
                for (int c = 0; c < PI_FMA_CHAINS; c++) {
                    double v = (double)start + c;
                    for (int i = 0; i < rounds[r]; i++) v = v / 2 + (double)start;
                    want += v * lanes;
                }
                CHECK(fabs((double)tables[t].k->run(rounds[r], start) - want) <= 1e-5 * (fabs(want) + lanes));
            }
    }
    CHECK(pi_fma() == first);
    for (int threads = -1; threads < 4; threads++) {
        double peak = pi_machine_gflops(threads);
        CHECK(isfinite(peak) && peak > 0);
    }
    return CHECK_DONE();
}
