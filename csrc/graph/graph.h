/* SPDX-License-Identifier: Apache-2.0 */
/* The graph: values and nodes that point at each other, all in one arena; constants are counted references.
 * Every tensor is dense and row-major. A channels-last tensor is one whose dimensions are written N, H, W, C: layout
 * is in the graph (Transpose nodes, operators of the domain "pyinfer"), never in a flag beside it.
 * Pointers to nodes and values stay valid while the graph lives. A legal graph is defined by pi_graph_verify. */
#ifndef PI_GRAPH_GRAPH_H
#define PI_GRAPH_GRAPH_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/alloc.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/size.h"

typedef struct pi_op pi_op; /* graph/op.h */
typedef struct pi_graph pi_graph;
typedef struct pi_node pi_node;
typedef struct pi_value pi_value;
typedef struct pi_const pi_const;

/* ---- tensors ---- */

typedef struct {
    void *data;     /* NULL: not known yet, or not bound */
    pi_dtype dtype; /* PI_DTYPE_NONE: unknown */
    int rank;       /* -1: unknown */
    int64_t dim[PI_MAX_RANK]; /* -1: unknown; a tensor that a kernel sees has none of these */
} pi_tensor;

/* Rank and every dimension are known. */
bool pi_tensor_known(const pi_tensor *t);
/* Elements and bytes of a known shape; LIMIT if a product does not fit in int64_t. */
pi_status pi_tensor_count(const pi_tensor *t, int64_t *count, pi_error *err) PI_MUST_USE;
pi_status pi_tensor_bytes(const pi_tensor *t, size_t *bytes, pi_error *err) PI_MUST_USE;
/* The same for a tensor that was checked before (plan and run): no failure possible. */
int64_t pi_tensor_n(const pi_tensor *t);
bool pi_tensor_same_shape(const pi_tensor *a, const pi_tensor *b);
/* "f32[1, 3, 224, 224]", "f32[N, 3]" needs names, so unknown is "?"; cut to size. Returns text. */
char *pi_tensor_text(const pi_tensor *t, char *text, size_t size);

/* ---- shape arithmetic, all checked (graph/shape.c) ---- */

/* axis in [-rank, rank) to [0, rank), else MODEL "axis 4 is out of range for rank 3". */
pi_status pi_axis(int64_t axis, int rank, int *out, pi_error *err) PI_MUST_USE;
/* out's rank and dims: a and b broadcast as NumPy does it; MODEL names both shapes. */
pi_status pi_broadcast(const pi_tensor *a, const pi_tensor *b, pi_tensor *out, pi_error *err) PI_MUST_USE;
/* Product of dims [from, to). Shapes known and checked before. */
int64_t pi_dims_product(const pi_tensor *t, int from, int to);
/* Element i of a bound integer tensor (any integer dtype) as int64_t. */
int64_t pi_tensor_int(const pi_tensor *t, int64_t i);
/* Copies rank and dims. */
void pi_tensor_set_shape(pi_tensor *t, int rank, const int64_t *dim);

/* ---- constants (graph/const.c) ---- */

/* Immutable once shared. Its bytes are ours, borrowed with a release callback, or still in a file. */
struct pi_const {
    pi_tensor t; /* t.data is NULL while the bytes are only in the file */
    size_t bytes;
    pi_heap *heap;
    pi_file *file; /* or NULL */
    uint64_t offset;
    uint32_t from;  /* 1 + number of the model's file that the bytes are in, at `offset`, dense; 0: in none, or changed */
    pi_const *base; /* or NULL; counted: f32 made of base's elements, times `factor` */
    double *factor; /* one for each index of `axis`; NULL: 1 */
    int axis;
    void (*release)(void *owner);
    void *owner;
    int refs; /* atomic */
    int pins; /* atomic: plans that read t.data, which therefore may not be dropped */
};

/* A new constant with room for its data, to be filled by the caller before anybody else sees it. */
pi_const *pi_const_new(pi_heap *heap, pi_dtype dtype, int rank, const int64_t *dim, pi_error *err) PI_MUST_USE;
/* Borrows `data` (aligned for its type); release(owner) is called at the end (NULL: not needed). */
pi_const *pi_const_view(pi_heap *heap, const pi_tensor *t, void (*release)(void *), void *owner,
                        pi_error *err) PI_MUST_USE;
/* Bytes at `offset` in `file`, little-endian and dense, read by pi_const_load when first needed. */
pi_const *pi_const_file(pi_heap *heap, const pi_tensor *type, pi_file *file, uint64_t offset,
                        pi_error *err) PI_MUST_USE;
/* `base` (f32, f16, bf16, i8, u8) as f32, index k of `axis` times factor[k] (copied; NULL: not), in double, rounded once. It
 * is made when it is read: whoever packs it never holds a second copy. base is not taken over, and pi_const_scalable. */
pi_const *pi_const_scaled(pi_heap *heap, pi_const *base, int axis, const double *factor, pi_error *err) PI_MUST_USE;
/* Of a type for that, and, if it is scaled already, along the same axis. */
bool pi_const_scalable(const pi_const *base, int axis);
/* A copy of bound data that outlives it: strings are copied too, a sequence or optional is shared. */
pi_const *pi_const_copy(pi_heap *heap, const pi_tensor *t, pi_error *err) PI_MUST_USE;
pi_const *pi_const_ref(pi_const *c);
void pi_const_unref(pi_const *c);
/* Makes t.data valid. Not thread-safe: load, passes and planning hold the model's lock. */
pi_status pi_const_load(pi_const *c, pi_error *err) PI_MUST_USE;
/* The bytes into `out` (c->bytes of them), without keeping them; any thread, at any time but during a load or drop. */
pi_status pi_const_read(const pi_const *c, void *out, pi_error *err) PI_MUST_USE;
/* Frees the bytes if they can be read again from the file and nobody pinned them. */
void pi_const_drop(pi_const *c);

/* ---- attributes (graph/attr.c) ---- */

typedef enum { /* ONNX's AttributeProto.AttributeType */
    PI_ATTR_NONE = 0,
    PI_ATTR_FLOAT = 1,
    PI_ATTR_INT = 2,
    PI_ATTR_STRING = 3,
    PI_ATTR_TENSOR = 4,
    PI_ATTR_GRAPH = 5,
    PI_ATTR_FLOATS = 6,
    PI_ATTR_INTS = 7,
    PI_ATTR_STRINGS = 8,
    PI_ATTR_TENSORS = 9,
    PI_ATTR_GRAPHS = 10,
    PI_ATTR_SPARSE = 11,
    PI_ATTR_TYPE = 13,
} pi_attr_kind;

typedef struct {
    const char *bytes; /* a NUL follows */
    size_t n;
} pi_text;

typedef struct {
    const char *name;
    pi_attr_kind kind;
    uint32_t n; /* length of a list; 1 otherwise */
    union {
        float f;
        int64_t i;
        pi_text s;
        const float *floats;
        const int64_t *ints;
        const pi_text *strings;
        pi_const *tensor; /* counted */
        pi_graph *graph;  /* owned by the graph of the node */
    };
} pi_attr;

/* What a row says of an attribute; a table ends with a NULL name. */
typedef struct {
    const char *name;
    pi_attr_kind kind;
    bool required;
    int64_t i; /* default of INT */
    float f;   /* default of FLOAT */
    const char *s; /* default of STRING, NULL: none */
} pi_attr_def;

/* Are these names of operators or attributes the same? Asked some thousand times a plan: most differ in their first letter. */
static inline bool pi_same_name(const char *a, const char *b) { return *a == *b && strcmp(a, b) == 0; }
/* Present in the node; NULL if it was left out. */
const pi_attr *pi_attr_find(const pi_node *node, const char *name);
/* The node's value, or the default of its row. The name must be in the row's table with this kind. */
int64_t pi_attr_int(const pi_node *node, const char *name);
float pi_attr_float(const pi_node *node, const char *name);
const char *pi_attr_string(const pi_node *node, const char *name);
/* NULL and *n = 0 where it was left out. */
const int64_t *pi_attr_ints(const pi_node *node, const char *name, uint32_t *n);
const float *pi_attr_floats(const pi_node *node, const char *name, uint32_t *n);
/* Adds or replaces; lists are copied into the graph's arena. */
pi_status pi_attr_set(pi_graph *g, pi_node *node, const pi_attr *attr, pi_error *err) PI_MUST_USE;
pi_status pi_attr_set_int(pi_graph *g, pi_node *node, const char *name, int64_t i, pi_error *err) PI_MUST_USE;
pi_status pi_attr_set_float(pi_graph *g, pi_node *node, const char *name, float f, pi_error *err) PI_MUST_USE;
pi_status pi_attr_set_ints(pi_graph *g, pi_node *node, const char *name, const int64_t *ints, uint32_t n,
                           pi_error *err) PI_MUST_USE;

/* ---- nodes and values ---- */

typedef struct {
    pi_node *node;
    uint32_t index; /* which input of it */
} pi_use;

struct pi_value {
    uint32_t id; /* index in the graph's value array */
    const char *name;
    pi_tensor t;       /* what is known; t.data of a loaded constant */
    pi_const *constant; /* or NULL; counted */
    pi_node *producer; /* NULL: an input or a constant */
    pi_use *use;       /* nodes that read it, in no order */
    uint32_t n_uses, room_uses;
    uint32_t n_outputs; /* how often it is an output of the graph */
    const char *const *dim_name; /* of a graph input or output: a symbol for each dimension, or NULL entries; or NULL */
};

struct pi_node {
    const pi_op *op; /* NULL: removed */
    const char *name;
    const char *source; /* the PyTorch line it came from, or NULL */
    pi_value **in;      /* NULL entry: an optional input that is left out */
    pi_value **out;     /* NULL entry: an output that nobody asked for */
    pi_attr *attr;
    uint32_t n_in, n_out, n_attrs;
    uint32_t n_explicit; /* of n_in; the rest are outer values that its subgraphs read, in their input order */
    uint32_t number;     /* place in the file (#12), kept by passes: a fused node has its main node's */
};

struct pi_graph {
    pi_arena arena;
    pi_heap *heap;
    const char *name;
    pi_node **node; /* in topological order after pi_graph_sort */
    pi_value **value;
    pi_value **input, **output;
    uint32_t n_nodes, n_values, n_inputs, n_outputs;
    uint32_t room_nodes, room_values, room_inputs, room_outputs;
    pi_graph *child; /* subgraphs, owned; next of them in sibling */
    pi_graph *sibling;
    const pi_graph *parent;
};

pi_graph *pi_graph_new(pi_heap *heap, pi_error *err) PI_MUST_USE;
void pi_graph_free(pi_graph *g);
/* A copy that shares the constants: for a plan, which specialises it. Subgraphs are copied too. */
pi_status pi_graph_clone(const pi_graph *g, pi_heap *heap, pi_graph **out, pi_error *err) PI_MUST_USE;

/* name may be NULL; it is copied. */
pi_value *pi_graph_value(pi_graph *g, const char *name, pi_error *err) PI_MUST_USE;
/* A value that is the constant c; takes over the reference (also on failure). */
pi_value *pi_graph_constant(pi_graph *g, const char *name, pi_const *c, pi_error *err) PI_MUST_USE;
/* A scalar or 1-d constant of n int64 or float: for passes. rank 0 or 1. */
pi_value *pi_graph_ints(pi_graph *g, const int64_t *ints, int64_t n, int rank, pi_error *err) PI_MUST_USE;
pi_status pi_graph_add_input(pi_graph *g, pi_value *v, pi_error *err) PI_MUST_USE;
pi_status pi_graph_add_output(pi_graph *g, pi_value *v, pi_error *err) PI_MUST_USE;
/* A node with n_in empty inputs and n_out empty outputs, at the end of the list. */
pi_node *pi_graph_node(pi_graph *g, const pi_op *op, const char *name, uint32_t n_in, uint32_t n_out,
                       pi_error *err) PI_MUST_USE;
/* Connects; v may be NULL. Keeps the lists of uses. */
pi_status pi_node_set_in(pi_graph *g, pi_node *node, uint32_t i, pi_value *v, pi_error *err) PI_MUST_USE;
void pi_node_set_out(pi_node *node, uint32_t i, pi_value *v);
/* Every reader of `old`, graph outputs included, reads `with`. The name of an output value is kept with the output. */
pi_status pi_graph_replace(pi_graph *g, pi_value *old, pi_value *with, pi_error *err) PI_MUST_USE;
void pi_graph_remove(pi_graph *g, pi_node *node);
/* Outer values of the node that are constants become constants of its subgraphs, and are none of its inputs any more. */
pi_status pi_graph_share_constants(pi_graph *g, pi_node *node, pi_error *err) PI_MUST_USE;
/* Input i is none any more; the value stays. */
void pi_graph_drop_input(pi_graph *g, uint32_t i);
/* Puts a subgraph of the node, with an input for each of its outer values and an output for each of its own at least, in
 * its place: the nodes stand at the end of g's list, in order, with the node's number. The emptied body keeps their memory. */
pi_status pi_graph_splice(pi_graph *g, pi_node *node, pi_graph *body, pi_error *err) PI_MUST_USE;
/* Only this node reads it, and it is no output of the graph. */
bool pi_value_only_use(const pi_value *v, const pi_node *node);
/* Topological order, removed nodes dropped; MODEL with the node's name if there is a cycle. */
pi_status pi_graph_sort(pi_graph *g, pi_error *err) PI_MUST_USE;
/* Removes nodes that nobody needs. */
void pi_graph_sweep(pi_graph *g);
/* The legal graph, spelled out: INTERNAL with the node and the rule that it breaks. */
pi_status pi_graph_verify(const pi_graph *g, pi_error *err) PI_MUST_USE;
/* Text of the graph, a line a node: for tests and explain. `write` gets NUL-terminated pieces. */
void pi_graph_print(const pi_graph *g, void (*write)(void *arg, const char *text), void *arg);
/* "Conv 'layer1/conv' (#12)": cut to size; returns text. */
char *pi_node_text(const pi_node *node, char *text, size_t size);

/* ---- inference (graph/infer.c) ---- */

/* Computes the outputs of a node whose inputs are all bound, into new constants (one a wanted output); none: it stays. */
typedef pi_status (*pi_eval_fn)(const pi_node *node, const pi_tensor *const *in, pi_heap *heap, pi_const **out,
                                pi_error *err);
/* Checks each node against its row and runs its infer; nodes with constant inputs become constants through `eval`, and
 * those whose row knows by then which subgraph they run become its nodes (NULL: neither). Shapes that cannot be known yet
 * stay unknown. g is sorted before and after. Errors carry the node's name and line. */
pi_status pi_graph_infer(pi_graph *g, pi_eval_fn eval, pi_error *err) PI_MUST_USE;
/* The same for one node: arity, attributes and types against the row, then infer. in/out are arrays of n_in/n_out.
 * Used by the step loop for steps whose shapes depend on data. */
pi_status pi_node_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err) PI_MUST_USE;
/* The attributes alone against the row. */
pi_status pi_node_check_attrs(const pi_node *node, pi_error *err) PI_MUST_USE;
/* Puts "Conv 'name' (#12), from model.py:10: " in front of the error. */
void pi_node_error(const pi_node *node, pi_error *err);
#endif
