/* SPDX-License-Identifier: Apache-2.0 */
/* Gather from a large table that is still in the model's file (word embeddings): a row is read when it is first asked
 * for, and kept. Most of such a table is never asked for. */
#include <string.h>
#include "ops/gather_file.h"
#include "ops/index.h"

enum { TABLE_BYTES = 8 << 20, ROW_BYTES = 512 };
enum { ABSENT = 0, COMING = 1, READY = 2 }; /* of a row */

typedef struct {
    const pi_const *table;
    size_t row;
    int64_t rows;
    uint8_t *kept; /* atomic, a row each */
    char *data;    /* rows * row */
} gather_file;

const char *pi_gather_file_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    const pi_const *c = node->in[0] ? node->in[0]->constant : NULL;
    if (!c || !c->file || c->t.data) return "the table is in memory";
    if (c->bytes < TABLE_BYTES || in[0]->dtype != c->t.dtype || in[0]->rank < 2) return "a small table";
    if (pi_attr_int(node, "axis") != 0) return "only axis 0";
    return c->bytes / (size_t)c->t.dim[0] >= ROW_BYTES ? NULL : "short rows";
}

pi_status pi_gather_file_prepare(pi_prep *prep, pi_error *err)
{
    gather_file *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    const pi_const *c = prep->node->in[0]->constant;
    const void *block;
    size_t bytes, head;
    *s = (gather_file){.table = c, .rows = c->t.dim[0], .row = c->bytes / (size_t)c->t.dim[0]};
    head = ((size_t)s->rows + 63) / 64 * 64;
    if (!pi_add(head, c->bytes, &bytes)) return pi_fail(err, PI_E_LIMIT, "the table is too large");
    PI_TRY(pi_prep_pack(prep, 0, "rows", 4, bytes, NULL, NULL, &block, err));
    s->kept = (uint8_t *)(uintptr_t)block; /* shared by all plans, and written while running */
    s->data = (char *)s->kept + head;
    pi_prep_drop(prep, 0);
    return PI_E_OK;
}

/* Another thread may be reading the same row: then this one reads it for itself. */
static pi_status read_row(const gather_file *s, int64_t i, char *out, pi_error *err)
{
    const uint64_t at = s->table->offset + (uint64_t)i * s->row;
    char *place = s->data + (size_t)i * s->row;
    uint8_t seen = ABSENT;
    if (!__atomic_compare_exchange_n(&s->kept[i], &seen, COMING, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        if (seen == READY) memcpy(out, place, s->row);
        return seen == READY ? PI_E_OK : pi_file_read(s->table->file, at, out, s->row, err);
    }
    pi_status st = pi_file_read(s->table->file, at, place, s->row, err);
    if (st == PI_E_OK) memcpy(out, place, s->row);
    __atomic_store_n(&s->kept[i], st == PI_E_OK ? READY : ABSENT, __ATOMIC_RELEASE);
    return st;
}

pi_status pi_gather_file_run(const pi_call *call, pi_error *err)
{
    const gather_file *s = call->state;
    const pi_tensor *index = call->in[1];
    char *y = call->out[0]->data;
    const bool wide = index->dtype == PI_DTYPE_I64;
    PI_TRY(pi_index_check(index, s->rows, 0, err));
    for (int64_t j = 0, n = pi_tensor_n(index); j < n; j++, y += s->row) {
        int64_t i = pi_gather_index(index->data, wide, j, s->rows);
        if (__atomic_load_n(&s->kept[i], __ATOMIC_ACQUIRE) == READY)
            memcpy(y, s->data + (size_t)i * s->row, s->row);
        else
            PI_TRY(read_row(s, i, y, err));
    }
    return PI_E_OK;
}
