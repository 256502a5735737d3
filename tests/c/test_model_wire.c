/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "model/wire.h"
#include "pb.h"

/* Fields that the walk finds before it ends; -1 on an error. */
static int fields(const void *bytes, size_t n)
{
    uint8_t *exact = malloc(n + !n);
    if (!exact) return -2;
    memcpy(exact, bytes, n);
    pi_wire w = pi_wire_over((pi_span){exact, n}, exact);
    pi_field f;
    pi_error err = {0};
    bool more = true;
    int count = 0;
    while (more) {
        if (pi_wire_next(&w, &f, &more, &err) != PI_E_OK) {
            CHECK(err.code == PI_E_MODEL && strncmp(err.text, "byte ", 5) == 0);
            count = -1;
            break;
        }
        count += more;
    }
    free(exact);
    return count;
}

static void test_types(void)
{
    pb m = {0};
    pb_int(&m, 1, -1);
    pb_f32(&m, 2, 1.5f);
    pb_f64(&m, 3, 2.5);
    pb_text(&m, 4, "four");
    pi_wire w = pi_wire_over((pi_span){m.p, m.n}, m.p);
    pi_field f;
    bool more;
    int64_t i;
    float x;
    pi_span s;
    CHECK(pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && more && f.number == 1 && f.at == 0);
    CHECK(pi_field_int(&f, &i, NULL) == PI_E_OK && i == -1);
    CHECK(pi_field_f32(&f, &x, NULL) == PI_E_MODEL && pi_field_bytes(&f, &s, NULL) == PI_E_MODEL);
    CHECK(pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && pi_field_f32(&f, &x, NULL) == PI_E_OK && x == 1.5f);
    CHECK(pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && f.type == PI_WIRE_FIXED64);
    double d;
    memcpy(&d, &f.u, 8);
    CHECK(d == 2.5);
    CHECK(pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && pi_field_bytes(&f, &s, NULL) == PI_E_OK);
    CHECK(pi_span_is(s, "four") && !pi_span_is(s, "fou") && !pi_span_is(s, "fivee"));
    CHECK(pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && !more);
    for (size_t n = 0; n < m.n; n++) { /* cut anywhere: whole fields or an error, nothing is read behind */
        int got = fields(m.p, n);
        bool border = n == 0 || n == 11 || n == 16 || n == 25;
        CHECK(border ? got >= 0 : got == -1);
    }
    free(m.p);
}

static void test_malformed(void)
{
#define BYTES(...) fields((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})
    CHECK(BYTES(0x08, 0x00) == 1);
    CHECK(BYTES(0x00, 0x00) == -1);                /* field 0 */
    CHECK(BYTES(0x0b) == -1 && BYTES(0x0c) == -1); /* groups */
    CHECK(BYTES(0x0e, 1) == -1 && BYTES(0x0f, 1) == -1);
    CHECK(BYTES(0x0a, 0x02, 'x') == -1);
    CHECK(BYTES(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x') == -1); /* 2^64 - 1 bytes */
    CHECK(BYTES(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 'x') == -1);
    CHECK(BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01) == 1);       /* ten bytes */
    CHECK(BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00) == -1); /* eleven */
    CHECK(BYTES(0x0d, 1, 2, 3) == -1 && BYTES(0x09, 1, 2, 3, 4, 5, 6, 7) == -1);
    CHECK(BYTES(0xf8, 0xff, 0xff, 0xff, 0x0f, 1) == 1);        /* the largest number of a field */
    CHECK(BYTES(0xf8, 0xff, 0xff, 0xff, 0xff, 0x01, 1) == -1); /* and too large a one */
#undef BYTES
}

static void test_count(void)
{
    size_t n;
    pi_field f = {.number = 1, .type = PI_WIRE_VARINT};
    CHECK(pi_field_count(&f, PI_WIRE_VARINT, &n, NULL) == PI_E_OK && n == 1);
    CHECK(pi_field_count(&f, PI_WIRE_FIXED32, &n, NULL) == PI_E_MODEL);
    static const uint8_t packed[] = {1, 0x80, 1, 2, 0x80};
    f = (pi_field){.number = 1, .type = PI_WIRE_BYTES, .bytes = {packed, 4}};
    CHECK(pi_field_count(&f, PI_WIRE_VARINT, &n, NULL) == PI_E_OK && n == 3);
    CHECK(pi_field_count(&f, PI_WIRE_FIXED32, &n, NULL) == PI_E_OK && n == 1);
    f.bytes.n = 5;
    CHECK(pi_field_count(&f, PI_WIRE_VARINT, &n, NULL) == PI_E_MODEL);
    CHECK(pi_field_count(&f, PI_WIRE_FIXED32, &n, NULL) == PI_E_MODEL);
    f.bytes.n = 0;
    CHECK(pi_field_count(&f, PI_WIRE_FIXED64, &n, NULL) == PI_E_OK && n == 0);
}

int main(void)
{
    test_types();
    test_malformed();
    test_count();
    return CHECK_DONE();
}
