/* SPDX-License-Identifier: Apache-2.0 */
/* What Resize means, taken apart axis by axis; resize_table.c computes it, resize.c moves the data. */
#ifndef PI_OPS_RESIZE_SPEC_H
#define PI_OPS_RESIZE_SPEC_H
#include "ops/move.h"

typedef enum { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC } resize_mode;

typedef struct {
    int64_t in, out;
    /* a step in the output is num / den steps in the input: in / out where that is what is meant, else 1 / scale */
    double num, den;
    double roi[2];
    int taps;      /* input elements that make one output element */
    bool identity; /* index j comes from j alone */
    /* tables, [out][taps] and [out]; from resize_tables */
    int64_t *index;
    double *weight;
    uint8_t *outside; /* of the region of interest, or NULL */
} resize_axis;

typedef struct {
    resize_mode mode;
    int coordinate, nearest; /* places in the lists of names */
    bool exclude_outside, antialias, crop;
    float cubic_a, extrapolation;
    int rank;
    resize_axis axis[PI_MAX_RANK];
} resize_spec;

/* Reads the node; *known is 0 where scales or sizes have no value yet. Regions are left out unless `roi`. */
pi_status pi_resize_open(const pi_node *node, const pi_tensor *const *in, bool roi, resize_spec *spec, int *known,
                         pi_error *err) PI_MUST_USE;
/* Where the values are not known: the largest tables that lead to these output lengths; no axis counts as identity. */
void pi_resize_guess(resize_spec *spec, const pi_tensor *out);
/* Bytes for the tables of all axes, and building them there (16-byte aligned). */
pi_status pi_resize_bytes(const resize_spec *spec, size_t *bytes, pi_error *err) PI_MUST_USE;
void pi_resize_tables(resize_spec *spec, void *memory);
#endif
