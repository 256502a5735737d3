/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and driver of the Fourier passes. Bluestein: L. I. Bluestein, "A linear filtering approach to the computation
 * of discrete Fourier transform", 1970: with j k = (j^2 + k^2 - (k - j)^2) / 2 a transform is a convolution with a
 * chirp. */
#include "ops/fft_plan.h"

#include <math.h>
#include <string.h>

/* By symmetry to an angle in [0, pi / 4], where sine and cosine are exact to the last bit or two. */
void pi_fft_root(int64_t t, int64_t n, double *re, double *im)
{
    int64_t a = 8 * t; /* eighths of a turn, times n */
    int octant = (int)(a / n);
    int64_t rest = octant & 1 ? (octant + 1) * n - a : a - octant * n;
    double angle = 0.78539816339744830962 * ((double)rest / (double)n), c = cos(angle), s = sin(angle);
    bool swap = octant == 1 || octant == 2 || octant == 5 || octant == 6;
    double x = swap ? s : c, y = swap ? c : s;
    *re = octant >= 2 && octant <= 5 ? -x : x;
    *im = octant >= 4 ? y : -y;
}

/* The next radix of n; 0: a prime that is too large. */
static size_t next_radix(int64_t n)
{
    static const int radices[] = {4, 2, 3, 5, 7, 11, 13};
    for (size_t i = 0; i < PI_COUNT(radices); i++)
        if (n % radices[i] == 0) return (size_t)radices[i];
    return 0;
}

static bool splits(int64_t n)
{
    for (size_t r; n > 1; n /= (int64_t)r)
        if (!(r = next_radix(n))) return false;
    return true;
}

/* The smallest 2^a, 3 * 2^a or 5 * 2^a that is at least n. */
static int64_t convolution_points(int64_t n)
{
    int64_t best = INT64_MAX;
    for (int64_t odd = 1; odd <= 5; odd += 2) {
        int64_t m = odd;
        while (m < n) m *= 2;
        best = pi_min_i64(best, m);
    }
    return best;
}

static pi_status pass_new(pi_fft_pass *pass, pi_prep *prep, size_t radix, int64_t n, pi_error *err)
{
    size_t m = (size_t)n / radix, count = (radix - 1) * m + radix;
    double *table = pi_prep_alloc(prep, 2 * count * sizeof *table, err);
    if (!table) return pi_alloc_status(err);
    double *re = table, *im = table + count;
    for (size_t k = 1; k < radix; k++)
        for (size_t i = 0; i < m; i++) pi_fft_root((int64_t)(i * k), n, re + (k - 1) * m + i, im + (k - 1) * m + i);
    *pass = (pi_fft_pass){radix, m, re, im, re + (radix - 1) * m, im + (radix - 1) * m};
    for (size_t k = 0; k < radix; k++)
        pi_fft_root((int64_t)k, (int64_t)radix, re + (radix - 1) * m + k, im + (radix - 1) * m + k);
    return PI_E_OK;
}

static pi_status passes_new(pi_fft_plan *plan, pi_prep *prep, int64_t n, pi_error *err)
{
    plan->n = plan->room = (size_t)n;
    while (n > 1) {
        size_t radix = next_radix(n);
        PI_TRY(pass_new(&plan->pass[plan->passes++], prep, radix, n, err));
        n /= (int64_t)radix;
    }
    return PI_E_OK;
}

static pi_status bluestein_new(pi_fft_plan *plan, pi_prep *prep, int64_t n, pi_error *err)
{
    pi_fft_plan *inner = pi_prep_alloc(prep, sizeof *inner, err);
    if (!inner) return pi_alloc_status(err);
    PI_TRY(passes_new(inner, prep, convolution_points(2 * n - 1), err));
    size_t m = inner->n;
    double *table = pi_prep_alloc(prep, (2 * (size_t)n + 4 * m) * sizeof *table, err);
    if (!table) return pi_alloc_status(err);
    double *re = table, *im = table + n;
    pi_fft_buffer b = {.lanes = 1};
    for (int i = 0; i < 4; i++) b.data[i] = table + 2 * n + (size_t)i * m;
    for (int64_t k = 0, square = 0; k < n; k++) {
        pi_fft_root(square, 2 * n, re + k, im + k);
        square = (square + 2 * k + 1) % (2 * n);
        size_t at = (size_t)k, back = k ? m - at : 0;
        b.data[0][at] = b.data[0][back] = re[k] / (double)m;
        b.data[1][at] = b.data[1][back] = -im[k] / (double)m;
    }
    pi_fft_run(inner, &b);
    *plan = (pi_fft_plan){.n = (size_t)n,
                          .room = m,
                          .inner = inner,
                          .chirp_re = re,
                          .chirp_im = im,
                          .wave_re = b.data[0],
                          .wave_im = b.data[1]};
    return PI_E_OK;
}

pi_status pi_fft_check(int64_t n, pi_error *err)
{
    if (n >= 1 && n <= PI_FFT_MOST) return PI_E_OK;
    return pi_fail(err, n < 1 ? PI_E_MODEL : PI_E_LIMIT, "a transform of %lld points, expected 1 to %d", (long long)n,
                   PI_FFT_MOST);
}

pi_status pi_fft_new(const pi_fft_plan **out, pi_prep *prep, int64_t n, pi_error *err)
{
    PI_TRY(pi_fft_check(n, err));
    pi_fft_plan *plan = pi_prep_alloc(prep, sizeof *plan, err);
    if (!plan) return pi_alloc_status(err);
    PI_TRY(splits(n) ? passes_new(plan, prep, n, err) : bluestein_new(plan, prep, n, err));
    *out = plan;
    return PI_E_OK;
}

static void exchange(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

static void passes_run(const pi_fft_plan *plan, pi_fft_buffer *b)
{
    pi_fft_fn pass = pi_fft();
    size_t s = b->lanes;
    for (int i = 0; i < plan->passes; i++) {
        pass(&plan->pass[i], s, b->data[0], b->data[1], b->data[2], b->data[3]);
        s *= plan->pass[i].radix;
        exchange(&b->data[0], &b->data[2]);
        exchange(&b->data[1], &b->data[3]);
    }
}

/* x[k] *= w[k] for n points of all lanes. */
static void multiply(const pi_fft_buffer *b, size_t n, const double *w_re, const double *w_im)
{
    double *re = b->data[0], *im = b->data[1];
    for (size_t k = 0; k < n; k++)
        for (size_t l = 0; l < b->lanes; l++, re++, im++) {
            double t = *re * w_re[k] - *im * w_im[k];
            *im = *re * w_im[k] + *im * w_re[k];
            *re = t;
        }
}

void pi_fft_run(const pi_fft_plan *plan, pi_fft_buffer *b)
{
    if (!plan->inner) {
        passes_run(plan, b);
        return;
    }
    size_t n = plan->n, m = plan->inner->n;
    multiply(b, n, plan->chirp_re, plan->chirp_im);
    for (int i = 0; i < 2; i++) memset(b->data[i] + n * b->lanes, 0, (m - n) * b->lanes * sizeof(double));
    passes_run(plan->inner, b);
    multiply(b, m, plan->wave_re, plan->wave_im);
    exchange(&b->data[0], &b->data[1]); /* the inverse */
    exchange(&b->data[2], &b->data[3]);
    passes_run(plan->inner, b);
    exchange(&b->data[0], &b->data[1]);
    exchange(&b->data[2], &b->data[3]);
    multiply(b, n, plan->chirp_re, plan->chirp_im);
}
