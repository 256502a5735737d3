/* SPDX-License-Identifier: Apache-2.0 */
/* The text of errors; see error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

pi_status pi_fail(pi_error *err, pi_status code, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
    }
    return code;
}

void pi_error_prefix(pi_error *err, const char *format, ...)
{
    if (!err) return;
    char front[512];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(front, sizeof front, format, ap);
    va_end(ap);
    size_t n = strlen(front), keep = strlen(err->text);
    if (keep > sizeof err->text - 1 - n) keep = sizeof err->text - 1 - n;
    memmove(err->text + n, err->text, keep);
    memcpy(err->text, front, n);
    err->text[n + keep] = '\0';
}

void pi_error_append(pi_error *err, const char *format, ...)
{
    if (!err) return;
    size_t n = strlen(err->text);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(err->text + n, sizeof err->text - n, format, ap);
    va_end(ap);
}

#define X(code, exception, meaning) {#exception, meaning},
static const struct {
    const char *exception, *meaning;
} statuses[] = {
#include "base/status.inc"
};
#undef X

const char *pi_status_exception(pi_status code) { return statuses[code].exception; }
const char *pi_status_meaning(pi_status code) { return statuses[code].meaning; }
