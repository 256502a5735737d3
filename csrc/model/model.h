/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an ONNX model into a graph. Nothing in the file is trusted: every length, count, name and number is checked, and
 * the memory used stays in proportion to the file. Large weights are not read here: they become constants that know
 * their place in the file. */
#ifndef PI_MODEL_MODEL_H
#define PI_MODEL_MODEL_H
#include "graph/graph.h"

/* Where the model is: a path, or `n` bytes in memory. */
typedef struct {
    const char *path;            /* or NULL */
    pi_file *file;               /* or NULL: an open one, not taken over; then path only tells that external data is allowed */
    const void *bytes;           /* when path is NULL; must stay valid and unchanged until release(owner) */
    size_t n;
    void (*release)(void *owner); /* called once, when nothing of the model needs the bytes, also on failure; or NULL */
    void *owner;
    const char *external_dir; /* folder for external data of a model given as bytes; NULL: external data is refused */
} pi_model_source;

typedef struct {
    const char *domain; /* "" is the standard one */
    int64_t version;
} pi_opset;

typedef struct {
    const char *key, *value;
} pi_model_meta;

/* An input or output as the file declares it; passes do not change this. Unknown: rank -1, dim -1, dtype NONE. */
typedef struct {
    const char *name;
    pi_tensor t; /* of a sequence or optional: the tensors in it */
    bool sequence, optional; /* both: an optional of a sequence */
    bool maps;               /* of an output: each row of the tensor is a map, by the labels of the ZipMap that makes it */
    const char *dim_name[PI_MAX_RANK]; /* a symbol ("batch") or NULL */
} pi_port;

typedef struct {
    const char *name; /* the location that the model gives; "" for the model itself */
    size_t name_n;
    pi_file_id id;
    pi_file *file; /* counted; NULL: on disk, to be opened again by its path or name */
} pi_model_file;

typedef struct {
    pi_graph *graph; /* owned; the caller may take it and set this to NULL */
    int64_t ir_version, model_version;
    const char *producer_name, *producer_version, *domain, *doc; /* "" if the file does not say */
    const pi_opset *opset;
    const pi_model_meta *meta;
    const pi_port *input, *output; /* in the order of graph->input and graph->output */
    uint32_t n_opsets, n_meta, n_inputs, n_outputs;
    pi_model_file *from; /* n_from: what the model was read from, itself first; pi_const.from counts them */
    uint32_t n_from;
    pi_arena arena; /* of everything here but the graph */
} pi_model;

/* MODEL: malformed, or not an ONNX file (the text says what it looks like, and what to do).
 * UNSUPPORTED: lists all operators of the model that the engine does not know, with the lines they came from.
 * LIMIT, NOMEM, FILE as usual. All texts in the model and graph are valid UTF-8. */
pi_status pi_model_read(const pi_model_source *source, pi_heap *heap, pi_model **out, pi_error *err) PI_MUST_USE;
void pi_model_free(pi_model *model);
#endif
