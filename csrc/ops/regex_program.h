/* SPDX-License-Identifier: Apache-2.0 */
/* The program of a regular expression, between its two files. Jumps are relative: a part may be moved and copied. */
#ifndef PI_OPS_REGEX_PROGRAM_H
#define PI_OPS_REGEX_PROGRAM_H
#include <stdint.h>
#include "ops/regex.h"

enum {            /* what an instruction does, and its x and y */
       RE_CHAR,   /* the code point x */
       RE_CLASS,  /* one in the y ranges from x on, sorted */
       RE_SPLIT,  /* goes on at +x and at +y */
       RE_JUMP,   /* goes on at +x */
       RE_ASSERT, /* goes on if x holds here */
       RE_MATCH,
};
enum { RE_TEXT_BEGIN, RE_TEXT_END, RE_LINE_BEGIN, RE_LINE_END, RE_WORD_EDGE, RE_NO_WORD_EDGE };

typedef struct {
    int32_t op, x, y;
} re_inst;

typedef struct {
    int32_t first, last;
} re_range;

struct pi_regex {
    re_inst *inst;
    re_range *range;
    int32_t n, n_ranges;
};
#endif
