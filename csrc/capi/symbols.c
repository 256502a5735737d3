/* SPDX-License-Identifier: Apache-2.0 */
/* Dimensions of inputs that share a symbol ("batch") must be equal. Which those are is found once a model, so that a call
 * compares only numbers. */
#include <string.h>
#include "capi/capi.h"

/* The first dimension of an input that has this symbol; false if that is dimension d of input i itself. */
static bool first_of(const pyinfer_model *m, int i, int d, int *first, int *first_dim)
{
    for (*first = 0; *first <= i; ++*first) {
        const pyinfer_value *v = &m->input[*first];
        for (*first_dim = 0; *first_dim < v->rank; ++*first_dim) {
            if (*first == i && *first_dim == d) return false;
            if (v->symbol[*first_dim] && strcmp(v->symbol[*first_dim], m->input[i].symbol[d]) == 0) return true;
        }
    }
    return false;
}

pi_status pi_capi_find_symbols(pyinfer_model *m, pi_error *err)
{
    size_t most = 1;
    for (int i = 0; i < pyinfer_input_count(m); i++)
        for (int d = 0; d < m->input[i].rank; d++) most += m->input[i].symbol[d] != NULL;
    if (!(m->twin = pi_arena_calloc(&m->arena, most, sizeof *m->twin, err))) return pi_alloc_status(err);
    for (int i = 0; i < pyinfer_input_count(m); i++)
        for (int d = 0; d < m->input[i].rank; d++) {
            int first, first_dim;
            if (!m->input[i].symbol[d] || !first_of(m, i, d, &first, &first_dim)) continue;
            m->twin[m->n_twins++] = (pi_capi_twin){first, i, first_dim, d};
        }
    return PI_E_OK;
}

pi_status pi_capi_check_symbols(const pyinfer_model *m, const pi_tensor *input, pi_error *err)
{
    for (int k = 0; k < m->n_twins; k++) {
        const pi_capi_twin *w = &m->twin[k];
        const pi_tensor *a = &input[w->first], *b = &input[w->other];
        if (a->rank <= w->first_dim || b->rank <= w->other_dim) continue; /* a sequence, an absent optional */
        if (a->dim[w->first_dim] == b->dim[w->other_dim]) continue;
        return pi_fail(err, PI_E_INPUT,
                       "'%.60s' is %lld in dimension %d of input '%.100s', but %lld in dimension %d of input '%.100s': "
                       "the model gives both one name, so they must be equal; pad or cut one, or export it with two names",
                       m->input[w->first].symbol[w->first_dim], (long long)a->dim[w->first_dim], w->first_dim,
                       m->input[w->first].name, (long long)b->dim[w->other_dim], w->other_dim, m->input[w->other].name);
    }
    return PI_E_OK;
}
