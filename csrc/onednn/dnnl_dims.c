/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on dims: here nothing of oneDNN is needed. */
#include "base/size.h"
#include "onednn/onednn.h"

void pi_dnnl_dense(pi_dnnl_strides *strides, int batch_rank, const int64_t *batch, int64_t rows, int64_t cols)
{
    int64_t step = 0;
    strides->col = 1;
    strides->row = cols;
    if (!pi_mul_i64(rows, cols, &step)) step = 0; /* the product is refused when it is made */
    for (int i = batch_rank - 1; i >= 0; i--) {
        strides->batch[i] = step;
        if (!pi_mul_i64(step, batch[i], &step)) step = 0;
    }
}

#ifdef PI_ONEDNN
#include "onednn/dnnl_private.h"

enum { DIM_MAX = 1 << 30 }; /* oneDNN keeps dims in int */

static int64_t lowest(const int64_t *const lists[7], int list, int i)
{
    if (list < 5) return 1;
    return list == 5 ? 0 : -lists[3][i]; /* an end that is cut off */
}

const char *pi_dnnl_window_check(int spatial, int64_t n, const int64_t *const lists[7])
{
    if (spatial < 1 || spatial > 3) return "oneDNN has one to three spatial dims";
    if (n < 1 || n > DIM_MAX) return "oneDNN has no such batch";
    for (int list = 0; list < 7; list++)
        for (int i = 0; i < spatial; i++)
            if (lists[list][i] < lowest(lists, list, i) || lists[list][i] > DIM_MAX) return "oneDNN has no such dims or pads";
    for (int i = 0; i < spatial; i++) {
        int64_t reach = (lists[1][i] - 1) * lists[4][i]; /* below 2^60 */
        if (reach > DIM_MAX) return "oneDNN has no such dilated kernel";
    }
    return NULL;
}

bool pi_dnnl_image_fits(int spatial, int64_t c, const int64_t *dims, pi_dtype type)
{
    int64_t bytes = (int64_t)pi_dtype_size(type);
    bool fits = c >= 1 && pi_mul_i64(bytes, c, &bytes);
    for (int i = 0; fits && i < spatial; i++) fits = pi_mul_i64(bytes, dims[i], &bytes);
    return fits && bytes <= INT32_MAX;
}
#endif
