/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf wire format, walked in place: https://protobuf.dev/programming-guides/encoding/
 * A walk goes over the fields of one message; what nests is walked by a walk of its own, so nothing recurses here. */
#ifndef PI_MODEL_WIRE_H
#define PI_MODEL_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct {
    const uint8_t *p;
    size_t n;
} pi_span;

typedef enum { PI_WIRE_VARINT = 0, PI_WIRE_FIXED64 = 1, PI_WIRE_BYTES = 2, PI_WIRE_FIXED32 = 5 } pi_wire_type;

typedef struct {
    uint32_t number;
    pi_wire_type type;
    uint64_t u;    /* of the first, second and last type */
    pi_span bytes; /* of PI_WIRE_BYTES */
    uint64_t at;   /* place of the field's tag in the file */
} pi_field;

typedef struct {
    const uint8_t *at, *end;
    const uint8_t *file; /* its first byte: messages say where they found a fault */
} pi_wire;

static inline pi_wire pi_wire_over(pi_span message, const uint8_t *file)
{
    return (pi_wire){message.p, message.p + message.n, file};
}

/* The next field; *more is false at the end of the message. MODEL with the place if a varint has no end or too many
 * bytes, a length passes the end, a field number is 0, or the type is a group or none. */
pi_status pi_wire_next(pi_wire *wire, pi_field *field, bool *more, pi_error *err) PI_MUST_USE;
/* What the field must be; MODEL if its wire type is another one. */
pi_status pi_field_bytes(const pi_field *field, pi_span *out, pi_error *err) PI_MUST_USE;
pi_status pi_field_int(const pi_field *field, int64_t *out, pi_error *err) PI_MUST_USE;
pi_status pi_field_f32(const pi_field *field, float *out, pi_error *err) PI_MUST_USE;

/* One varint at *at, which moves behind it; false if it does not end before `end` or has more than 10 bytes. */
bool pi_varint(const uint8_t **at, const uint8_t *end, uint64_t *out);

/* A repeated number, packed into one field or one in each. Elements that this field holds; MODEL if the wire type does
 * not fit or the packed bytes are no whole number of elements. `type` is how one element is written. */
pi_status pi_field_count(const pi_field *field, pi_wire_type type, size_t *count, pi_error *err) PI_MUST_USE;

static inline bool pi_span_same(pi_span a, pi_span b)
{
    return a.n == b.n && (a.n == 0 || __builtin_memcmp(a.p, b.p, a.n) == 0);
}

static inline bool pi_span_is(pi_span s, const char *text)
{
    return pi_span_same(s, (pi_span){(const uint8_t *)text, __builtin_strlen(text)});
}
#endif
