/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent kernels of each instruction set against plain loops: sizes, nothing written outside, gates of all kinds. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/recurrent/recurrent.h"

static const struct {
    pi_isa isa;
    const pi_recurrent_kernels *k;
    const char *name;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name, #name},
#include "kernels/recurrent/kernels.inc"
#undef X
};

static uint32_t seed = 7;
static float *numbers(size_t n, float scale)
{
    float *p = guarded(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = random_float(&seed, scale);
    return p;
}

static void product(const pi_recurrent_kernels *r, size_t m, size_t k, size_t width)
{
    size_t n = 16 * width, x_row = k + 3, y_row = n + 16;
    float *x = numbers((m - 1) * x_row + k, 1), *panel = numbers(k * n, 1), *start = numbers(n, 1);
    float *y = numbers((m - 1) * y_row + n, 1);
    for (int with = 0; with < 2; with++) {
        for (size_t i = 0; i + 1 < m; i++) y[i * y_row + n] = 77; /* between the rows */
        r->product_f32(m, k, width, x, x_row, panel, with ? start : NULL, y, y_row);
        bool good = true;
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = with ? (double)start[j] : 0, size = 1;
                for (size_t l = 0; l < k; l++) sum += (double)x[i * x_row + l] * (double)panel[l * n + j], size += 1;
                good = good && fabs((double)y[i * y_row + j] - sum) < 1e-7 * size;
            }
            good = good && (i + 1 == m || y[i * y_row + n] == 77);
        }
        CHECK(good);
    }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static bool near(float a, double b) { return fabs((double)a - b) < 1e-6; }

static void gates(const pi_recurrent_kernels *r, size_t n)
{
    float *x = numbers(4 * n, 3), *g = numbers(4 * n, 3), *peep = numbers(3 * n, 2), *old = numbers(n, 1), *h = numbers(n, 1);
    float *c = numbers(n, 1), *late = numbers(n, 1), *scaled = numbers(n, 1), *z = numbers(3 * n, 1);
    bool good = true;
    for (int form = 0; form < 4; form++) {
        const float *p = form & 1 ? peep : NULL;
        memcpy(c, old, n * sizeof *c);
        r->lstm_f32(n, form & 2, x, g, p, c, h);
        for (size_t u = 0; u < n; u++) {
            double s[4], cell = (double)old[u];
            for (size_t k = 0; k < 4; k++) s[k] = (double)x[k * n + u] + (double)g[k * n + u];
            double in = sigmoid(s[0] + (p ? (double)p[u] * cell : 0));
            double keep = form & 2 ? 1 - in : sigmoid(s[2] + (p ? (double)p[2 * n + u] * cell : 0));
            cell = keep * cell + in * tanh(s[3]);
            good = good && near(c[u], cell) && near(h[u], sigmoid(s[1] + (p ? (double)p[n + u] * cell : 0)) * tanh(cell));
        }
        CHECK(good);
    }
    r->gru_f32(n, x, g, late, old, h);
    memcpy(z, x, 3 * n * sizeof *z);
    r->gru_reset_f32(n, z, g, old, scaled);
    for (size_t u = 0; u < n; u++) {
        double zu = sigmoid((double)x[u] + (double)g[u]), ru = sigmoid((double)x[n + u] + (double)g[n + u]);
        double nu = tanh((double)x[2 * n + u] + ru * ((double)g[2 * n + u] + (double)late[u]));
        good = good && near(h[u], (1 - zu) * nu + zu * (double)old[u]) && near(z[u], zu);
        good = good && near(scaled[u], ru * (double)old[u]) && z[n + u] == x[n + u] && z[2 * n + u] == x[2 * n + u];
    }
    CHECK(good);
    r->gru_candidate_f32(n, z, g, old, h);
    for (size_t u = 0; u < n; u++) {
        double nu = tanh((double)x[2 * n + u] + (double)g[u]);
        good = good && near(h[u], (1 - (double)z[u]) * nu + (double)z[u] * (double)old[u]);
    }
    CHECK(good);
    for (int relu = 0; relu < 2; relu++) {
        r->rnn_f32(n, relu, x, g, h);
        for (size_t u = 0; u < n; u++) {
            double s = (double)x[u] + (double)g[u];
            good = good && near(h[u], relu ? fmax(0, s) : tanh(s));
        }
    }
    CHECK(good);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        for (size_t m = 1; m <= 14; m++)
            for (size_t k = 0; k <= 9; k++)
                for (size_t width = 1; width <= PI_RECURRENT_WIDEST; width++) product(tables[t].k, m, k, width);
        product(tables[t].k, 1, 300, 4);
        product(tables[t].k, 50, 65, 3);
        for (size_t n = 16; n <= 64; n += 16) gates(tables[t].k, n);
        if (check_failed) fprintf(stderr, "in %s\n", tables[t].name);
    }
    CHECK(pi_recurrent() != NULL);
    return CHECK_DONE();
}
