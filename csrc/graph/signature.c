/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the signature of a row, "X:T W:T B?:T -> Y:T"; the grammar stands at struct pi_op. */
#include <string.h>
#include "graph/op.h"

/* Parameter i of a list that ends at `end`; the last one answers for all later ones if it is variadic. */
static bool param_at(const pi_op *op, const char *s, const char *end, uint32_t i, pi_param *param)
{
    for (uint32_t k = 0;; k++) {
        while (s < end && *s == ' ') s++;
        if (s == end) return false;
        pi_param p = {.name = s};
        while (s < end && *s != '?' && *s != '*' && *s != ':') s++;
        p.n = (size_t)(s - p.name);
        for (; s < end && *s != ':'; s++) {
            if (*s == '?') p.optional = true;
            if (*s == '*') p.variadic = true;
        }
        const char *type = s < end ? ++s : s;
        while (s < end && *s != ' ') s++;
        if (k < i && !p.variadic) continue;
        size_t n = (size_t)(s - type);
        if (n == 1 && (*type == 'T' || *type == 'U' || *type == 'V')) {
            p.var = *type;
            p.types = *type == 'T' ? op->T : *type == 'U' ? op->U : op->V;
        } else if (n == 3 && memcmp(type, "any", 3) == 0) {
            p.types = PI_ANY;
        } else if (n == 5 && memcmp(type, "value", 5) == 0) {
            p.types = PI_VALUES;
        } else {
            p.types = (pi_dtypes)1 << pi_dtype_find(type, n);
        }
        *param = p;
        return true;
    }
}

bool pi_op_input(const pi_op *op, uint32_t i, pi_param *param)
{
    return param_at(op, op->signature, strstr(op->signature, "->"), i, param);
}

bool pi_op_output(const pi_op *op, uint32_t i, pi_param *param)
{
    const char *arrow = strstr(op->signature, "->");
    return param_at(op, arrow + 2, arrow + strlen(arrow), i, param);
}
