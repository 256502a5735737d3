/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf messages written by hand, for tests of the reader. A message is a text of bytes that grows. */
#ifndef PB_H
#define PB_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *p;
    size_t n, room;
} pb;

static inline void pb_raw(pb *m, const void *bytes, size_t n)
{
    if (m->n + n + 1 > m->room) {
        m->room = 2 * (m->n + n) + 64;
        m->p = realloc(m->p, m->room);
        if (!m->p) exit(2);
    }
    if (n) memcpy(m->p + m->n, bytes, n);
    m->n += n;
}

static inline void pb_varint(pb *m, uint64_t v)
{
    for (;;) {
        uint8_t byte = (uint8_t)(v & 0x7f);
        v >>= 7;
        if (v) byte |= 0x80;
        pb_raw(m, &byte, 1);
        if (!v) return;
    }
}

static inline void pb_tag(pb *m, uint32_t number, unsigned type) { pb_varint(m, (uint64_t)number << 3 | type); }

static inline void pb_int(pb *m, uint32_t number, int64_t v)
{
    pb_tag(m, number, 0);
    pb_varint(m, (uint64_t)v);
}

static inline void pb_f32(pb *m, uint32_t number, float v)
{
    pb_tag(m, number, 5);
    pb_raw(m, &v, 4);
}

static inline void pb_f64(pb *m, uint32_t number, double v)
{
    pb_tag(m, number, 1);
    pb_raw(m, &v, 8);
}

static inline void pb_bytes(pb *m, uint32_t number, const void *bytes, size_t n)
{
    pb_tag(m, number, 2);
    pb_varint(m, n);
    pb_raw(m, bytes, n);
}

static inline void pb_text(pb *m, uint32_t number, const char *text) { pb_bytes(m, number, text, strlen(text)); }

/* Appends `inner` as a field and frees it. */
static inline void pb_message(pb *m, uint32_t number, pb *inner)
{
    pb_bytes(m, number, inner->p, inner->n);
    free(inner->p);
    *inner = (pb){0};
}

/* ---- ONNX ---- */

/* A ValueInfoProto of floats; dims < 0 are symbols "N". */
static inline void pb_port(pb *graph, uint32_t number, const char *name, int rank, const int64_t *dim)
{
    pb v = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        pb d = {0};
        if (dim[i] < 0)
            pb_text(&d, 2, "N");
        else
            pb_int(&d, 1, dim[i]);
        pb_message(&shape, 1, &d);
    }
    pb_int(&tensor, 1, 1);
    pb_message(&tensor, 2, &shape);
    pb_message(&type, 1, &tensor);
    pb_text(&v, 1, name);
    pb_message(&v, 2, &type);
    pb_message(graph, number, &v);
}

/* A NodeProto with names separated by spaces ("-" is the empty name); more fields may be added before it is put in. */
static inline pb pb_node(const char *op, const char *in, const char *out)
{
    pb n = {0};
    for (int k = 1; k <= 2; k++)
        for (const char *s = k == 1 ? in : out; *s;) {
            size_t len = strcspn(s, " ");
            pb_bytes(&n, (uint32_t)k, s, *s == '-' ? 0 : len);
            s += len + (s[len] == ' ');
        }
    pb_text(&n, 4, op);
    return n;
}

static inline void pb_add_node(pb *graph, const char *op, const char *in, const char *out)
{
    pb n = pb_node(op, in, out);
    pb_message(graph, 1, &n);
}

/* A ModelProto around the graph, opset 17; functions may be added. Frees the graph. */
static inline pb pb_model(pb *graph)
{
    pb m = {0}, opset = {0};
    pb_int(&m, 1, 8);
    pb_int(&opset, 2, 17);
    pb_message(&m, 8, &opset);
    pb_message(&m, 7, graph);
    return m;
}
#endif
