/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a model: one table gives the defaults, the environment variables and the setter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "capi/capi.h"

enum { KIND_int, KIND_size_t };

static const struct {
    const char *name, *type, *doc;
    int kind;
    size_t offset;
    long long standard, most;
} rows[] = {
#define X(type, name, standard, most, doc) {#name, #type, doc, KIND_##type, offsetof(pyinfer_options, name), standard, most},
#include "capi/options.inc"
#undef X
};
enum { N_OPTIONS = sizeof rows / sizeof *rows };

static pi_status set(pyinfer_options *options, int i, long long value, pi_error *err)
{
    char *at = (char *)options + rows[i].offset;
    if (value < 0 || value > rows[i].most)
        return pi_fail(err, PI_E_INPUT, "option %s is %lld, expected 0 to %lld (%s)", rows[i].name, value, rows[i].most, rows[i].doc);
    if (rows[i].kind == KIND_int) {
        int v = (int)value;
        memcpy(at, &v, sizeof v);
    } else {
        size_t v = (size_t)value;
        memcpy(at, &v, sizeof v);
    }
    return PI_E_OK;
}

/* A number in PYINFER_<NAME>. PYINFER_ONEDNN may also be a path, or "off". */
static pi_status from_environment(pyinfer_options *options, int i, pi_error *err)
{
    char name[64], *end;
    int n = snprintf(name, sizeof name, "PYINFER_%s", rows[i].name);
    if (n < 0 || (size_t)n >= sizeof name) return PI_E_OK;
    for (char *c = name; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    const char *text = getenv(name);
    if (!text || !*text) return PI_E_OK;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == 0 && *end == '\0' && set(options, i, value, NULL) == PI_E_OK) return PI_E_OK;
    if (offsetof(pyinfer_options, onednn) == rows[i].offset) return PI_E_OK;
    return pi_fail(err, PI_E_INPUT, "the environment has %s=%.60s, expected a number from 0 to %lld (%s)", name, text, rows[i].most,
                   rows[i].doc);
}

pi_status pi_capi_check_environment(pi_error *err)
{
    pyinfer_options unused;
    for (int i = 0; i < N_OPTIONS; i++) PI_TRY(from_environment(&unused, i, err));
    return PI_E_OK;
}

void pyinfer_options_init(pyinfer_options *options)
{
    memset(options, 0, sizeof *options);
    for (int i = 0; i < N_OPTIONS; i++) {
        (void)set(options, i, rows[i].standard, NULL);
        (void)from_environment(options, i, NULL);
    }
}

int pyinfer_option_at(int i, const char **name, const char **type, long long *default_value, const char **doc)
{
    if (i < 0 || i >= N_OPTIONS) return 0;
    *name = rows[i].name;
    *type = rows[i].type;
    *default_value = rows[i].standard;
    *doc = rows[i].doc;
    return 1;
}

pyinfer_status pyinfer_option_set(pyinfer_options *options, const char *name, long long value, pyinfer_error *error)
{
    pi_error err = {0};
    pi_status st = PI_E_OK;
    int i = 0;
    while (i < N_OPTIONS && strcmp(rows[i].name, name) != 0) i++;
    st = i < N_OPTIONS ? set(options, i, value, &err) : pi_fail(&err, PI_E_INPUT, "there is no option '%.60s'", name);
    return pi_capi_status(st, &err, error);
}
