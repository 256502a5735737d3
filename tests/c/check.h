/* SPDX-License-Identifier: Apache-2.0 */
/* The C test harness: CHECK(condition) counts, CHECK_DONE() ends main. No framework. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
static int check_count, check_failed;
#define CHECK(condition)                                                              \
    do {                                                                              \
        check_count++;                                                                \
        if (!(condition)) {                                                           \
            check_failed++;                                                           \
            fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition);    \
        }                                                                             \
    } while (0)
#define CHECK_DONE() (printf("%d checks, %d failed\n", check_count, check_failed), check_failed != 0)
#endif
