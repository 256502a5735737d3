/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcasting as strides over merged dimensions. */
#include "ops/bcast.h"
#include <string.h>

void pi_bcast_init(pi_bcast *b, const pi_tensor *out, const pi_tensor *const *in, int n_in)
{
    memset(b, 0, sizeof *b);
    b->n_in = n_in;
    b->n = pi_tensor_n(out);
    int64_t run[PI_BCAST_INPUTS]; /* elements of each input inside the dimensions seen so far */
    for (int k = 0; k < n_in; k++) run[k] = 1;
    /* from the last dimension on, written backwards from the end of the arrays */
    int at = PI_MAX_RANK;
    for (int i = out->rank - 1; i >= 0; i--) {
        int64_t d = out->dim[i], stride[PI_BCAST_INPUTS];
        if (d == 1) continue;
        for (int k = 0; k < n_in; k++) {
            int j = i - (out->rank - in[k]->rank);
            int64_t dk = j < 0 ? 1 : in[k]->dim[j];
            stride[k] = dk == 1 ? 0 : run[k];
            run[k] *= dk;
        }
        bool merge = at < PI_MAX_RANK;
        for (int k = 0; k < n_in && merge; k++) merge = stride[k] == b->stride[k][at] * b->dim[at];
        if (merge) {
            b->dim[at] *= d;
            continue;
        }
        b->dim[--at] = d;
        for (int k = 0; k < n_in; k++) b->stride[k][at] = stride[k];
    }
    if (at == PI_MAX_RANK) b->dim[--at] = 1;
    b->rank = PI_MAX_RANK - at;
    memmove(b->dim, b->dim + at, (size_t)b->rank * sizeof *b->dim);
    for (int k = 0; k < n_in; k++) memmove(b->stride[k], b->stride[k] + at, (size_t)b->rank * sizeof **b->stride);
}

int64_t pi_bcast_at(const pi_bcast *b, int64_t at, int64_t *offset)
{
    int last = b->rank - 1;
    int64_t place = at % b->dim[last];
    at /= b->dim[last];
    for (int k = 0; k < b->n_in; k++) offset[k] = place * b->stride[k][last];
    for (int i = last - 1; i >= 0; i--) {
        int64_t c = at % b->dim[i];
        at /= b->dim[i];
        for (int k = 0; k < b->n_in; k++) offset[k] += c * b->stride[k][i];
    }
    return b->dim[last] - place;
}

pi_bcast_span pi_bcast_rows(const pi_bcast *b, int64_t at, int64_t end)
{
    pi_bcast_span s = {.rows = 1};
    int last = b->rank - 1;
    int64_t row = b->dim[last], left = pi_bcast_at(b, at, s.offset);
    s.n = pi_min_i64(left, end - at);
    for (int k = 0; last > 0 && k < b->n_in; k++) s.row[k] = b->stride[k][last - 1]; /* of a single row too: kernels look at it */
    if (last == 0 || left != row || end - at < 2 * row) return s;
    int64_t place = at / row % b->dim[last - 1];
    s.rows = pi_min_i64(b->dim[last - 1] - place, (end - at) / row);
    return s;
}

static bool row_has(const pi_node *node, const char *attr)
{
    for (const pi_attr_def *d = node->op->attrs; d && d->name; d++)
        if (strcmp(d->name, attr) == 0) return true;
    return false;
}

pi_status pi_bcast_legacy(const pi_node *node, const pi_tensor *a, const pi_tensor *b, pi_tensor *aligned, pi_error *err)
{
    char ta[200], tb[200];
    *aligned = *b;
    if (!row_has(node, "broadcast")) return PI_E_OK;
    if (pi_attr_int(node, "broadcast") == 0) {
        if (pi_tensor_same_shape(a, b)) return PI_E_OK;
        return pi_fail(err, PI_E_MODEL, "%s and %s differ, and attribute 'broadcast' is 0",
                       pi_tensor_text(a, ta, sizeof ta), pi_tensor_text(b, tb, sizeof tb));
    }
    int axis = a->rank - b->rank;
    if (pi_attr_find(node, "axis")) {
        PI_TRY(pi_axis(pi_attr_int(node, "axis"), a->rank, &axis, err));
        /* an exporter may give the axis for a scalar, or trailing ones that fall off the end */
        while (aligned->rank > 0 && axis + aligned->rank > a->rank && aligned->dim[aligned->rank - 1] == 1) aligned->rank--;
    }
    if (axis < 0 || axis + aligned->rank > a->rank)
        return pi_fail(err, PI_E_MODEL, "%s does not fit into %s at axis %d", pi_tensor_text(b, tb, sizeof tb),
                       pi_tensor_text(a, ta, sizeof ta), axis);
    while (axis + aligned->rank < a->rank) aligned->dim[aligned->rank++] = 1;
    for (int i = 0; i < aligned->rank; i++)
        if (aligned->dim[i] != 1 && aligned->dim[i] != a->dim[axis + i])
            return pi_fail(err, PI_E_MODEL, "%s does not fit into %s at axis %d", pi_tensor_text(b, tb, sizeof tb),
                           pi_tensor_text(a, ta, sizeof ta), axis);
    return PI_E_OK;
}
