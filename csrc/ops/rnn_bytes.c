/* SPDX-License-Identifier: Apache-2.0 */
/* DynamicQuantizeLSTM's products. Weights less their zero points stand in panels of kernels/quant, four of 16 units (one a
 * gate) for each block; what meets them is rounded to 255 steps of its own range, as DynamicQuantizeLinear does it: all
 * of X with one scale, the state of each sequence and step with its own. So a sequence's result does not depend on which
 * others are in its batch, but for the range of X; with one sequence it is that of ONNX Runtime. */
#include <string.h>
#include "kernels/quant/quant_linear.h"
#include "kernels/quant/quant_panel.h"
#include "kernels/recurrent/recurrent.h"
#include "ops/move.h"
#include "ops/quant.h"
#include "ops/rnn.h"

enum { GATES = 4, LANES = PI_QUANT_COLUMNS, ROWS = 48, PART = 256 };

void pi_rnn_grid(const pi_rnn *s, const pi_tensor *const *in, uint32_t which, int64_t d, int64_t row, float *scale, int32_t *zero)
{
    const pi_tensor *const *grid = in + PI_RNN_GRID + 2 * (which - PI_RNN_W);
    int64_t at = grid[0]->rank == 1 ? d : d * s->gates * s->hidden + row;
    *scale = ((const float *)grid[0]->data)[at];
    *zero = (int32_t)pi_tensor_int(grid[1], at);
}

typedef struct {
    const pi_rnn *s;
    const pi_tensor *const *in;
    const pi_rnn_bytes *w;
    uint32_t which;
} packing;

/* [directions, k, gates * hidden] becomes [directions, blocks, gates, pairs, 16, 2]; units that are not there are 0. */
static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const packing *p = arg;
    int64_t rows = GATES * p->s->hidden, k = source->dim[1], panel = p->w->pairs * 2 * LANES;
    int is_signed = source->dtype == PI_DTYPE_I8;
    (void)err;
    memset(out, 0, (size_t)(p->s->directions * p->w->blocks * GATES * panel) * sizeof(int16_t));
    for (int64_t d = 0; d < p->s->directions; d++)
        for (int64_t row = 0; row < rows; row++) {
            float scale;
            int32_t zero;
            int64_t gate = row / p->s->hidden, u = row % p->s->hidden;
            int16_t *to = (int16_t *)out + ((d * p->w->blocks + u / LANES) * GATES + gate) * panel + u % LANES * 2;
            const uint8_t *from = (const uint8_t *)source->data + d * k * rows + row;
            pi_rnn_grid(p->s, p->in, p->which, d, row, &scale, &zero);
            for (int64_t odd = 0; odd < 2 && odd < k; odd++)
                pi_quant_widen(from + odd * rows, is_signed, 2 * rows, zero, to + odd, 2 * LANES, (k - odd + 1) / 2);
        }
    return PI_E_OK;
}

pi_status pi_rnn_bytes_init(pi_prep *prep, const pi_rnn *s, uint32_t which, int64_t blocks, pi_rnn_bytes *w, pi_error *err)
{
    struct {
        char name[16];
        int64_t hidden;
        uint64_t zeros; /* the packed form depends on them */
    } key = {.name = "rnn_b16", .hidden = s->hidden};
    packing p = {s, prep->in, w, which};
    uint32_t grid = PI_RNN_GRID + 2 * (which - PI_RNN_W);
    int64_t k = which == PI_RNN_W ? s->input : s->hidden, directions = s->directions;
    size_t bytes;
    if (!pi_prep_is_const(prep, which) || !pi_prep_is_const(prep, grid) || !pi_prep_is_const(prep, grid + 1) ||
        !prep->in[grid]->data || !prep->in[grid + 1]->data)
        return pi_fail(err, PI_E_UNSUPPORTED, "W, R, a scale or a zero point is not constant");
    key.zeros = pi_quant_zeros_hash(prep->in[grid + 1]);
    *w = (pi_rnn_bytes){.blocks = blocks, .pairs = (k + 1) / 2};
    if (!pi_mul((size_t)(directions * blocks * GATES * LANES), 2 * sizeof(int16_t), &bytes) ||
        !pi_mul(bytes, (size_t)w->pairs, &bytes))
        return pi_fail(err, PI_E_LIMIT, "the weights are too large");
    float *scale = pi_prep_alloc(prep, (size_t)(directions * blocks * GATES * LANES) * sizeof *scale, err);
    const void *panel;
    if (!scale) return pi_alloc_status(err);
    for (int64_t d = 0; d < directions; d++)
        for (int64_t row = 0; row < GATES * s->hidden; row++) {
            int32_t zero;
            int64_t gate = row / s->hidden, u = row % s->hidden;
            float *to = scale + ((d * blocks + u / LANES) * GATES + gate) * LANES + u % LANES;
            pi_rnn_grid(s, prep->in, which, d, row, to, &zero);
        }
    PI_TRY(pi_prep_pack(prep, which, &key, sizeof key, bytes, pack, &p, &panel, err));
    pi_prep_drop(prep, which);
    w->panel = panel;
    w->scale = scale;
    return PI_E_OK;
}

void pi_rnn_bytes_range(const float *x, int64_t n, float *scale, float *zero)
{
    float low = 0, high = 0;
    pi_quant_linear_select()->range(x, n, &low, &high);
    pi_quant_dynamic(low, high, scale, zero);
}

void pi_rnn_bytes_row(const float *x, int64_t n, float scale, float zero, int16_t *to)
{
    uint8_t bytes[PART];
    for (int64_t i = 0; i < n; i += PART) {
        int64_t part = pi_min_i64(PART, n - i);
        pi_quant_linear_select()->to_bytes(bytes, x + i, part, scale, zero, false);
        pi_quant_widen(bytes, false, 1, (int32_t)zero, to + i, 1, part);
    }
    if (n % 2) to[n] = 0;
}

void pi_rnn_bytes_product(const pi_rnn_bytes *w, int64_t block, const int16_t *x, int64_t m, const float *scale, int64_t scale_step,
                          const float *start, float *y, int64_t y_row)
{
    const int64_t none = 0;
    const pi_quant_taps taps = {1, w->pairs, &none};
    const pi_quant_panel_fn panel = pi_quant_panel_select();
    const int16_t *row[ROWS];
    int32_t sum[ROWS * LANES];
    for (int64_t i = 0; i < m; i += ROWS) {
        int64_t rows = pi_min_i64(ROWS, m - i);
        for (int64_t r = 0; r < rows; r++) row[r] = x + (i + r) * 2 * w->pairs;
        for (int64_t gate = block * GATES; gate < (block + 1) * GATES; gate++) {
            int64_t first = gate % GATES * LANES;
            panel(row, rows, &taps, w->panel + gate * w->pairs * 2 * LANES, sum, LANES);
            for (int64_t r = 0; r < rows; r++) {
                float *to = y + (i + r) * y_row + first, step = scale[(i + r) * scale_step];
                for (int64_t j = 0; j < LANES; j++)
                    to[j] = (float)sum[r * LANES + j] * (step * w->scale[gate * LANES + j]) + (start ? start[first + j] : 0);
            }
        }
    }
}
