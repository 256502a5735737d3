/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <string.h>
#include "base/size.h"

const pi_str *pi_str_new(pi_arena *pool, const char *bytes, size_t n, pi_error *err)
{
    size_t total;
    if (!pi_add(n, sizeof(pi_str) + 1, &total)) {
        (void)pi_fail(err, PI_E_LIMIT, "a string of %zu bytes", n);
        return NULL;
    }
    pi_str *s = pi_arena_alloc(pool, total, err);
    if (!s) return NULL;
    s->n = n;
    if (n) memcpy(s->bytes, bytes, n);
    return s;
}
