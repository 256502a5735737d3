/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the reader, for the files of this folder. Names and messages are spans of the file's picture, which
 * lives until the read is over; what the graph keeps is copied. */
#ifndef PI_MODEL_READER_H
#define PI_MODEL_READER_H
#include "base/map.h"
#include "base/str.h"
#include "graph/op.h"
#include "model/model.h"
#include "model/wire.h"

enum {
    READ_LARGE = 1 << 16,     /* raw data of more bytes stays in the file until it is needed */
    READ_ATTRS = 256,         /* attributes of a node */
    READ_SUBGRAPHS = 4,       /* subgraphs of a node */
    READ_TEXTS = 4,           /* texts that one message may hold */
    READ_TEXT = 96,           /* bytes of such a text */
    READ_EXPANDED = 256 << 20 /* bytes of function bodies, each counted as often as it is expanded */
};

typedef struct {
    pi_span domain; /* the standard one is empty */
    int64_t version;
} read_opset;

typedef struct {
    const read_opset *list;
    uint32_t n;
} read_opsets;

typedef struct {
    pi_span domain, name, overload, message;
    read_opsets opsets;
    uint64_t nodes, bytes; /* when fully expanded */
    uint32_t first_edge, n_edges;
} read_function;

enum { READ_PLACES = 3 };

typedef struct {
    char node[READ_TEXT]; /* its name */
    char source[160];     /* its line in the user's code */
} read_place;

typedef struct {
    pi_span domain, op;
    int64_t version;
    uint32_t count;
    read_place place[READ_PLACES]; /* of the first nodes */
} read_unsupported;

typedef struct {
    pi_heap *heap;
    pi_file *file;
    const uint8_t *base; /* the picture: the file's bytes, but large raw data may be missing */
    size_t n;
    void *reserved; /* the picture's space, if it is not the caller's memory */
    void *charge;   /* stands in the account for what was read into the picture */
    bool holes, external_allowed;
    pi_model *model;
    pi_arena arena; /* until the read is over */
    char *name; /* one NUL-terminated name, PI_MAX_NAME bytes and some */
    char text[READ_TEXTS][READ_TEXT];
    unsigned next_text;
    char op[128], domain[128];
    uint32_t depth;   /* of subgraphs and functions */
    uint32_t n_nodes; /* made so far */
    uint32_t n_captures;
    /* files of external data, by location */
    pi_map external;
    pi_file **external_file;
    pi_span *external_name;
    uint32_t n_external, room_external;
    /* local functions */
    pi_map function_key;
    read_function *function;
    uint32_t n_functions;
    /* operators that the engine does not have */
    read_unsupported *unsupported;
    uint32_t n_unsupported, room_unsupported;
} pi_reader;

/* ---- texts (reader_text.c) ---- */

/* The span as a NUL-terminated text with `prefix` (or NULL) in front, bytes that are no printable UTF-8 replaced by '?';
 * valid until the next call. LIMIT if it is longer than PI_MAX_NAME; NULL then. */
const char *read_name(pi_reader *r, const char *prefix, pi_span s, pi_error *err);
/* The same, cut, for messages: the last READ_TEXTS results stay valid. */
const char *read_text(pi_reader *r, pi_span s);
/* A clean copy in the arena; line breaks are kept. NULL on failure. */
const char *read_copy(pi_arena *arena, pi_span s, pi_error *err);
/* The line of the user's code in a stack trace of PyTorch, as "net.py:12, in forward: y = self.fc(x)"; "" if there is none. */
void read_source_line(pi_span trace, char *text, size_t size);

/* ---- the file (model_source.c, model_hint.c) ---- */

/* Opens the source and takes its picture. */
pi_status read_open(pi_reader *r, const pi_model_source *source, pi_error *err) PI_MUST_USE;
void read_close(pi_reader *r);
/* MODEL if the bytes are obviously those of another format: says of which, and what to do. */
pi_status read_hint(const uint8_t *bytes, size_t n, uint64_t size, pi_error *err) PI_MUST_USE;
/* What a file with such a name is, when its bytes do not tell; or NULL. */
const char *read_hint_name(const char *path);

/* ---- tensors (onnx_tensor.c, onnx_sparse.c) ---- */

typedef struct {
    pi_span message, name;
    pi_tensor t;
    bool has_raw, external, has_length;
    pi_span raw, location;
    uint64_t offset, length;
    size_t count[7]; /* elements found in float, int32, string, int64, double, uint64 data, see onnx_tensor.c */
} read_tensor_head;

/* A TensorProto. *out is a new reference. `name`, if given, gets the tensor's name. */
pi_status read_tensor(pi_reader *r, pi_span message, pi_span *name, pi_const **out, pi_error *err) PI_MUST_USE;
/* A SparseTensorProto, made dense. */
pi_status read_sparse(pi_reader *r, pi_span message, pi_span *name, pi_const **out, pi_error *err) PI_MUST_USE;
/* A 1-d (or scalar) tensor of n strings. `strings` are copied. */
pi_status read_strings(pi_reader *r, int rank, const int64_t *dim, size_t n, pi_wire *fields, uint32_t number,
                       pi_const **out, pi_error *err) PI_MUST_USE;
/* Repeated numbers `number` of a message, at most n, as elements of `size` bytes: the lowest of the
 * number; 0: a byte that is 1 if the number is not 0. */
pi_status read_numbers(pi_wire fields, uint32_t number, pi_wire_type type, size_t size, void *out, size_t n,
                       pi_error *err) PI_MUST_USE;

/* ---- attributes (onnx_attr.c) ---- */

typedef struct {
    pi_span name, ref, message;
    int64_t kind;
    float f;
    int64_t i;
    pi_span s, t, g, sparse;
    size_t n_floats, n_ints, n_strings;
} read_attr_head;

typedef struct pi_scope pi_scope;

/* Reads the head, and follows ref_attr_name through the function's environment: *present is false if that leads nowhere. */
pi_status read_attr(pi_reader *r, const pi_scope *scope, pi_span message, read_attr_head *a, bool *present,
                    pi_error *err) PI_MUST_USE;
/* The value, all kinds but graphs, into `out` with memory of g. */
pi_status read_attr_value(pi_reader *r, pi_graph *g, const read_attr_head *a, pi_attr *out, pi_error *err) PI_MUST_USE;
/* The value of a Constant node. */
pi_status read_constant(pi_reader *r, const pi_scope *scope, pi_wire fields, pi_const **out, pi_error *err) PI_MUST_USE;

/* ---- scopes and nodes ---- */

typedef struct {
    pi_span name;  /* of the function's attribute */
    pi_span value; /* AttributeProto that gives it */
} read_binding;

/* Outer values that the subgraphs of one node read. */
typedef struct {
    pi_map names; /* in the outer scope, to a place in the list */
    pi_value **outer;
    uint32_t n, room;
} read_captures;

/* Where names live: a graph, or the body of a function that is being expanded into a graph. */
struct pi_scope {
    pi_scope *parent; /* of a subgraph; NULL for the main graph and for functions, which see nothing outside */
    pi_graph *g;
    pi_map names; /* to a value's id, see READ_DECLARED */
    /* a subgraph's outer values */
    read_captures *captures;
    pi_value **local; /* by place in captures */
    uint32_t n_local;
    read_opsets opsets;
    /* a function's */
    bool in_function;
    const read_binding *binding;
    uint32_t n_bindings;
    pi_map results; /* its outputs, to ids of the caller's values */
    const char *prefix, *source;
};

enum {
    READ_DECLARED = (int)0x80000000u, /* flag of an id: output of a node of this scope */
    READ_ABSENT = 0x7fffffff,         /* an optional input of a function that the call left out */
};

typedef struct {
    pi_span message, name, op, domain, overload;
    bool has_metadata;
    uint32_t n_in, n_out, n_attrs;
    uint32_t number; /* in the file */
    int64_t version; /* of the operator, where it is not that of the domain in the scope; else 0 */
} read_node_head;

pi_status read_node(pi_reader *r, pi_span message, uint32_t number, read_node_head *node, pi_error *err) PI_MUST_USE;
/* The value of metadata_props["pkg.torch.onnx.stack_trace"]; empty if there is none. */
pi_status read_trace(pi_reader *r, const read_node_head *node, pi_span *trace, pi_error *err) PI_MUST_USE;
bool read_is_constant(const pi_reader *r, const read_node_head *node);
/* The value of a name, taken in from outer scopes if need be. *v is NULL for an absent one; MODEL if nothing has the name. */
pi_status read_lookup(pi_reader *r, pi_scope *scope, pi_span name, pi_value **v, pi_error *err) PI_MUST_USE;
/* All nodes of a GraphProto or FunctionProto (field `number`), into scope->g. */
pi_status read_nodes(pi_reader *r, pi_scope *scope, pi_span message, uint32_t number, pi_error *err) PI_MUST_USE;
/* A GraphProto, into scope->g. */
pi_status read_graph(pi_reader *r, pi_scope *scope, pi_span message, pi_error *err) PI_MUST_USE;
/* A node's own subgraphs; see onnx_subgraph.c. */
typedef struct {
    read_captures captures;
    struct {
        pi_span attr; /* the message */
        pi_graph *g;
        pi_value **local;
        uint32_t n_local;
    } graph[READ_SUBGRAPHS];
    uint32_t n;
} read_subgraphs;
pi_status read_node_subgraphs(pi_reader *r, pi_scope *scope, const read_node_head *node, read_subgraphs *sub,
                              pi_error *err) PI_MUST_USE;
void read_subgraphs_deinit(read_subgraphs *sub);
pi_status read_capture(pi_reader *r, pi_scope *scope, pi_span name, pi_value *outer, pi_value **v, pi_error *err) PI_MUST_USE;

/* The imports of a ModelProto (field 8) or FunctionProto (field 9). */
pi_status read_opset_imports(pi_reader *r, pi_span message, uint32_t number, read_opsets *out, pi_error *err) PI_MUST_USE;
/* The version of a domain; 0: not imported. */
int64_t read_opset_version(read_opsets opsets, pi_span domain);

/* ---- functions (onnx_function.c, onnx_budget.c) ---- */

/* Indexes the functions of a ModelProto and counts what the whole model is when they are expanded: MODEL on a cycle,
 * LIMIT if that is too much. */
pi_status read_functions(pi_reader *r, pi_span model, pi_span graph, pi_error *err) PI_MUST_USE;
pi_status read_budget(pi_reader *r, pi_span graph, pi_error *err) PI_MUST_USE;
const read_function *read_find_function(const pi_reader *r, const read_node_head *node);
pi_status read_expand(pi_reader *r, pi_scope *scope, const read_node_head *call, const read_function *f,
                      pi_error *err) PI_MUST_USE;

/* ---- operators that are missing (onnx_unsupported.c) ---- */

pi_status read_add_unsupported(pi_reader *r, const pi_scope *scope, const read_node_head *node, int64_t version,
                               pi_error *err) PI_MUST_USE;
pi_status read_unsupported_error(pi_reader *r, pi_error *err) PI_MUST_USE;
#endif
