/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text, in the C locale whatever the process has set. */
#ifndef PI_OPS_NUMBER_TEXT_H
#define PI_OPS_NUMBER_TEXT_H
#include <stdbool.h>
#include <stddef.h>

enum { PI_NUMBER_TEXT = 48 };

/* The shortest decimal that reads back as the same number (a float if `single`), as NumPy writes it: "0.1", "1e-05",
 * "3.0", "inf", "nan". `text` has room for PI_NUMBER_TEXT bytes; returns the length. */
size_t pi_number_write(double x, bool single, char *text);
/* A decimal number, "inf" or "nan" in any case, with blanks around it; false if that is not all of it. */
bool pi_number_read(const char *text, size_t n, double *x);
#endif
