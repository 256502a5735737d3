/* SPDX-License-Identifier: Apache-2.0 */
#include "model/wire.h"
#include <string.h>

bool pi_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    const uint8_t *p = *at;
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (p == end) return false;
        uint8_t byte = *p++;
        if (shift < 63)
            v |= (uint64_t)(byte & 0x7f) << shift;
        else
            v |= (uint64_t)(byte & 1) << 63;
        if (byte < 0x80) {
            *at = p;
            *out = v;
            return true;
        }
    }
    return false;
}

static pi_status bad(const pi_field *field, const char *what, pi_error *err)
{
    return pi_fail(err, PI_E_MODEL, "byte %llu: %s", (unsigned long long)field->at, what);
}

static uint64_t little_endian(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

pi_status pi_wire_next(pi_wire *wire, pi_field *field, bool *more, pi_error *err)
{
    *more = false;
    if (wire->at == wire->end) return PI_E_OK;
    uint64_t tag, n;
    *field = (pi_field){.at = (uint64_t)(wire->at - wire->file)};
    if (!pi_varint(&wire->at, wire->end, &tag)) return bad(field, "the tag of a field has no end", err);
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return bad(field, "a field has no valid number", err);
    field->number = (uint32_t)(tag >> 3);
    field->type = (pi_wire_type)(tag & 7);
    size_t left = (size_t)(wire->end - wire->at);
    switch (field->type) {
    case PI_WIRE_VARINT:
        if (!pi_varint(&wire->at, wire->end, &field->u)) return bad(field, "a number has no end", err);
        break;
    case PI_WIRE_FIXED64:
    case PI_WIRE_FIXED32: {
        int bytes = field->type == PI_WIRE_FIXED64 ? 8 : 4;
        if (left < (size_t)bytes) return bad(field, "a number passes the end of its message", err);
        field->u = little_endian(wire->at, bytes);
        wire->at += bytes;
        break;
    }
    case PI_WIRE_BYTES:
        if (!pi_varint(&wire->at, wire->end, &n)) return bad(field, "a length has no end", err);
        left = (size_t)(wire->end - wire->at);
        if (n > left)
            return pi_fail(err, PI_E_MODEL, "byte %llu: field %u has %llu bytes, but only %llu are left: it seems to be cut off",
                           (unsigned long long)field->at, field->number, (unsigned long long)n, (unsigned long long)left);
        field->bytes = (pi_span){wire->at, (size_t)n};
        wire->at += n;
        break;
    default: return bad(field, "a field has a type that does not exist in ONNX files", err);
    }
    *more = true;
    return PI_E_OK;
}

static pi_status wrong_type(const pi_field *field, pi_error *err)
{
    return pi_fail(err, PI_E_MODEL, "byte %llu: field %u has the wrong wire type %d", (unsigned long long)field->at,
                   field->number, (int)field->type);
}

pi_status pi_field_bytes(const pi_field *field, pi_span *out, pi_error *err)
{
    if (field->type != PI_WIRE_BYTES) return wrong_type(field, err);
    *out = field->bytes;
    return PI_E_OK;
}

pi_status pi_field_int(const pi_field *field, int64_t *out, pi_error *err)
{
    if (field->type != PI_WIRE_VARINT) return wrong_type(field, err);
    *out = (int64_t)field->u;
    return PI_E_OK;
}

pi_status pi_field_f32(const pi_field *field, float *out, pi_error *err)
{
    if (field->type != PI_WIRE_FIXED32) return wrong_type(field, err);
    uint32_t bits = (uint32_t)field->u;
    memcpy(out, &bits, sizeof bits);
    return PI_E_OK;
}

pi_status pi_field_count(const pi_field *field, pi_wire_type type, size_t *count, pi_error *err)
{
    *count = 1;
    if (field->type == type) return PI_E_OK;
    if (field->type != PI_WIRE_BYTES) return wrong_type(field, err);
    pi_span s = field->bytes;
    size_t n = 0;
    if (type == PI_WIRE_VARINT) {
        for (size_t i = 0; i < s.n; i++) n += s.p[i] < 0x80;
        if (s.n && s.p[s.n - 1] >= 0x80) return bad(field, "a list of numbers ends within a number", err);
    } else {
        size_t size = type == PI_WIRE_FIXED64 ? 8 : 4;
        n = s.n / size;
        if (s.n % size) return bad(field, "a list of numbers ends within a number", err);
    }
    *count = n;
    return PI_E_OK;
}
