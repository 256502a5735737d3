/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: a status is returned, the text goes to the caller's pi_error (last parameter, may be NULL).
 * The text is written once, where the fault is found; a driver loop may put its context in front. */
#ifndef PI_BASE_ERROR_H
#define PI_BASE_ERROR_H

typedef enum {
#define X(code, exception, meaning) PI_E_##code,
#include "base/status.inc"
#undef X
} pi_status;

typedef struct {
    pi_status code;
    char text[2040];
} pi_error;

/* Writes the text (one line, impersonal, no full stop; too long is cut) and returns `code`. */
pi_status pi_fail(pi_error *err, pi_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Puts "<formatted>" in front of the text that is there, e.g. "Conv 'layer1/conv' (#12): ". */
void pi_error_prefix(pi_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Adds "<formatted>" behind the text that is there. */
void pi_error_append(pi_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Name of the Python exception, and the meaning in one line. */
const char *pi_status_exception(pi_status code);
const char *pi_status_meaning(pi_status code);

#define PI_MUST_USE __attribute__((warn_unused_result))

/* Return early: only while the function owns nothing. */
#define PI_TRY(expr)                          \
    do {                                      \
        pi_status try_st_ = (expr);           \
        if (try_st_ != PI_E_OK) return try_st_; \
    } while (0)

/* Return through the label `done`, which frees; a pi_status `st` must be in scope. */
#define PI_TRY_DONE(expr)                 \
    do {                                  \
        st = (expr);                      \
        if (st != PI_E_OK) goto done;     \
    } while (0)

#endif
