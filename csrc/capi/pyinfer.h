/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pyinfer: run ONNX models on a CPU. The public C interface, C11 and C++.
 *
 *     pyinfer_error error;
 *     pyinfer_model *model;
 *     if (pyinfer_load("model.onnx", NULL, &model, &error)) { fprintf(stderr, "%s\n", error.text); return 1; }
 *     pyinfer_tensor in = {.data = x, .dtype = PYINFER_F32, .rank = 4, .shape = {1, 3, 224, 224}};
 *     pyinfer_tensor out = {.data = y, .capacity = sizeof y};
 *     if (pyinfer_run(model, &in, 1, &out, 1, &error)) ...
 *     pyinfer_free(model);
 *
 * A model may be run by many threads at once. Strings and pointers that are returned belong to the object they were
 * asked of, unless said otherwise. Every function that can fail returns 0 on success, else a pyinfer_status, and fills
 * `error` (may be NULL). Tensors are dense, row-major.
 */
#ifndef PYINFER_H
#define PYINFER_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#define PYINFER_API __attribute__((visibility("default")))
#else
#define PYINFER_API
#endif

/* Dimensions that a tensor may have. */
enum { PYINFER_MAX_RANK = 12 };

/* The same numbers as ONNX's TensorProto.DataType; elements of 6, 4 and 2 bits take one byte each. */
typedef enum {
    PYINFER_F32 = 1, PYINFER_U8 = 2, PYINFER_I8 = 3, PYINFER_U16 = 4, PYINFER_I16 = 5, PYINFER_I32 = 6,
    PYINFER_I64 = 7, PYINFER_STRING = 8, PYINFER_BOOL = 9, PYINFER_F16 = 10, PYINFER_F64 = 11, PYINFER_U32 = 12,
    PYINFER_U64 = 13, PYINFER_C64 = 14, PYINFER_C128 = 15, PYINFER_BF16 = 16, PYINFER_F8E4M3FN = 17,
    PYINFER_F8E4M3FNUZ = 18, PYINFER_F8E5M2 = 19, PYINFER_F8E5M2FNUZ = 20, PYINFER_U4 = 21, PYINFER_I4 = 22,
    PYINFER_F4E2M1 = 23, PYINFER_F8E8M0 = 24, PYINFER_U2 = 25, PYINFER_I2 = 26,
    PYINFER_F6E2M3 = 27, PYINFER_F6E3M2 = 28
} pyinfer_dtype;

/* What a function that can fail returns. */
typedef enum {
    PYINFER_OK = 0,
    PYINFER_E_MODEL,       /* the model is malformed or breaks the ONNX standard */
    PYINFER_E_UNSUPPORTED, /* legal, but this engine cannot run it: the text lists all such operators */
    PYINFER_E_INPUT,       /* inputs or arguments of the caller do not fit */
    PYINFER_E_LIMIT,       /* a limit of size, depth, time or memory */
    PYINFER_E_NOMEM,
    PYINFER_E_FILE,
    PYINFER_E_CANCELLED,
    PYINFER_E_NUMBER,      /* a step made a NaN or an infinity, and check_numbers is on */
    PYINFER_E_INTERNAL
} pyinfer_status;

/* Of the caller; `text` says in one line what is wrong. */
typedef struct {
    pyinfer_status code;
    char text[2040];
} pyinfer_error;

/* Name of the Python exception of a status ("ModelError"), and its meaning in one line. NULL for an unknown one. */
PYINFER_API const char *pyinfer_status_exception(pyinfer_status code);
PYINFER_API const char *pyinfer_status_meaning(pyinfer_status code);

/* Of the library: "0.1.0". */
PYINFER_API const char *pyinfer_version(void);
/* What was found on this machine: version, CPU features, oneDNN and OpenMP copies, threads and why; "key: value" lines.
 * Writes at most `size` bytes with the closing NUL. */
PYINFER_API void pyinfer_describe(char *text, size_t size);

/* ---- elements ---- */

/* Bytes of an element in memory; 0 for what is no type. */
PYINFER_API size_t pyinfer_dtype_size(pyinfer_dtype dtype);
PYINFER_API const char *pyinfer_dtype_name(pyinfer_dtype dtype);       /* "f32" */
PYINFER_API const char *pyinfer_dtype_numpy_name(pyinfer_dtype dtype); /* "float32" */

/* ---- options ---- */

/* See pyinfer_option_at for what each means; set them all with pyinfer_options_init first. */
typedef struct {
    int threads;
    int level;
    int onednn;
    int strict;
    int exact;
    int skip_padding;
    int tune;
    int check_numbers;
    size_t memory_limit;
    /* Not of options.inc: values within the graph that become outputs too, behind the model's own, by the names of
     * pyinfer_inner_at, and weights by theirs. Fusion stops at values. INPUT if there is no such value. Read while loading only. */
    const char *const *fetch;
    int n_fetch;
} pyinfer_options;

/* Defaults of options.inc, and PYINFER_<NAME> from the environment where it is set; what is no number there, or out of range, is
 * an error when a model is loaded. */
PYINFER_API void pyinfer_options_init(pyinfer_options *options);
/* Row i of the options: name, type ("int", "size_t"), default, documentation; 0 at the end of the list. */
PYINFER_API int pyinfer_option_at(int i, const char **name, const char **type, long long *default_value, const char **doc);
/* Sets an option by its name; INPUT if there is none or the value is out of range. */
PYINFER_API pyinfer_status pyinfer_option_set(pyinfer_options *options, const char *name, long long value,
                                              pyinfer_error *error);

/* ---- models ---- */

/* A loaded model: counted, see pyinfer_ref; any number of threads may use it at a time. */
typedef struct pyinfer_model pyinfer_model;

/* options may be NULL. External data is read from beneath the model's folder only. */
PYINFER_API pyinfer_status pyinfer_load(const char *path, const pyinfer_options *options, pyinfer_model **model,
                                        pyinfer_error *error);
/* A model in memory: the bytes must stay until release(owner) is called (NULL: until pyinfer_free), which also happens
 * when loading fails. external_dir: where external data may be read from, NULL: nowhere. */
PYINFER_API pyinfer_status pyinfer_load_bytes(const void *bytes, size_t n, void (*release)(void *), void *owner,
                                              const char *external_dir, const pyinfer_options *options,
                                              pyinfer_model **model, pyinfer_error *error);
/* Counted: a model is freed when each ref has its free. A request that is open holds one. */
PYINFER_API pyinfer_model *pyinfer_ref(pyinfer_model *model);
PYINFER_API void pyinfer_free(pyinfer_model *model);

/* ---- saved plans ---- */

/* Writes the model, its external data, the weights as they were packed for the shapes that ran so far (or were begun), and what
 * the option tune chose: a file for pyinfer_load, which then need not pack or measure. Processes that load the same file share
 * its pages. On another CPU, or with another version, it is loaded as the model that it has inside. Mode 0600; what was at
 * `path` is replaced at once, when all is written. Whoever cuts off a saved plan that is in use ends the processes that use
 * it: replace it instead. */
PYINFER_API pyinfer_status pyinfer_save(pyinfer_model *model, const char *path, pyinfer_error *error);
/* Before the first run of a model that was loaded by its path: packed weights are looked for in the file at `path`, and written
 * there (at most `most` bytes; 0: any number) when they had to be packed. The file is used if no other user may write to it, it
 * was made on such a CPU by this version, and the model's files are the same: their size, inode, times of modification and of
 * change. Of a file that cannot be used or written, nothing is said: the model works all the same. */
PYINFER_API pyinfer_status pyinfer_cache(pyinfer_model *model, const char *path, size_t most, pyinfer_error *error);
/* NONE: no plan. USED: packed weights are taken from one. STALE: a saved plan that was made on another CPU or by another version.
 * NEW: a cache was set, and had nothing that can be used. */
enum { PYINFER_PLAN_NONE = 0, PYINFER_PLAN_USED = 1, PYINFER_PLAN_STALE = 2, PYINFER_PLAN_NEW = 3 };
/* One of PYINFER_PLAN_*. */
PYINFER_API int pyinfer_plan_state(const pyinfer_model *model);

/* What a value is. Of a pyinfer_value: TENSOR, SEQUENCE, OPTIONAL (a tensor or nothing), or OPTIONAL | SEQUENCE (a sequence or
 * nothing). Of a pyinfer_tensor: TENSOR, SEQUENCE or ABSENT; an optional that is there simply is what is in it. */
enum { PYINFER_TENSOR = 0, PYINFER_SEQUENCE = 1, PYINFER_OPTIONAL = 2, PYINFER_ABSENT = 4 };

/* An input or output of a model. */
typedef struct {
    const char *name;
    int dtype;                            /* pyinfer_dtype; 0: unknown before the run. Of a sequence: of its tensors */
    int rank;                             /* -1: any */
    int64_t shape[PYINFER_MAX_RANK];      /* -1: symbolic or unknown */
    const char *symbol[PYINFER_MAX_RANK]; /* name of a symbolic dimension, or NULL */
    int kind;                             /* TENSOR, SEQUENCE, OPTIONAL, OPTIONAL | SEQUENCE */
    const struct pyinfer_tensor *keys;    /* of an output that ONNX has as a sequence of maps (ZipMap): a tensor whose columns have
                                             these names, I64 or STRING of rank 1; else NULL */
} pyinfer_value;

/* How many there are, in the order in which pyinfer_run takes and gives them. */
PYINFER_API int pyinfer_input_count(const pyinfer_model *model);
PYINFER_API int pyinfer_output_count(const pyinfer_model *model);
/* NULL if i is out of range. */
PYINFER_API const pyinfer_value *pyinfer_input(const pyinfer_model *model, int i);
PYINFER_API const pyinfer_value *pyinfer_output(const pyinfer_model *model, int i);
/* Threads of one run. */
PYINFER_API int pyinfer_threads(const pyinfer_model *model);
/* Metadata: "ir_version", "opset", "opset.<domain>", "producer_name", "producer_version", "domain", "doc",
 * "model_version", and the model's own metadata_props behind "meta."; entry i, 0 at the end of the list. */
PYINFER_API int pyinfer_metadata_at(const pyinfer_model *model, int i, const char **key, const char **value);
/* Bytes in use now by the model (weights, plans, contexts), and the most since it was loaded. */
PYINFER_API size_t pyinfer_memory_used(const pyinfer_model *model);
PYINFER_API size_t pyinfer_memory_peak(const pyinfer_model *model);

/* ---- running ---- */

/* An array: of the caller as an input, and as an output of pyinfer_run. */
typedef struct pyinfer_tensor {
    void *data; /* elements; for PYINFER_STRING an array of pyinfer_string */
    int dtype;
    int rank;
    int64_t shape[PYINFER_MAX_RANK];
    size_t capacity; /* outputs given by the caller: bytes at data */
    int kind;        /* TENSOR (0), SEQUENCE, ABSENT */
} pyinfer_tensor;

/* A sequence is a pyinfer_tensor of kind SEQUENCE, rank 1 and shape {n}, whose data is an array of n pyinfer_tensor:
 *     pyinfer_tensor items[2] = {{.data = a, .dtype = PYINFER_F32, .rank = 1, .shape = {3}}, {...}};
 *     pyinfer_tensor in = {.data = items, .rank = 1, .shape = {2}, .kind = PYINFER_SEQUENCE};
 * and an absent optional is {.kind = PYINFER_ABSENT}. As an output it is read in the same form from pyinfer_output_type after
 * execute; pyinfer_run has no place for it. */

/* An element of type PYINFER_STRING; not terminated. */
typedef struct {
    const char *bytes;
    size_t n;
} pyinfer_string;

/* One call: inputs in the model's order; each output has data and capacity of the caller, and gets dtype and shape.
 * INPUT if an output does not fit its capacity (the text says how many bytes it needs). */
PYINFER_API pyinfer_status pyinfer_run(pyinfer_model *model, const pyinfer_tensor *input, int n_inputs,
                                       pyinfer_tensor *output, int n_outputs, pyinfer_error *error);

/* The same in steps, for callers that make the outputs' memory themselves:
 *   begin (checks the inputs, plans if these shapes are new) -> output_type for each -> set_output -> execute -> end.
 * A request belongs to one thread at a time; its inputs must stay valid until end. */
typedef struct pyinfer_request pyinfer_request;

/* First step: the request is the caller's until pyinfer_end. */
PYINFER_API pyinfer_status pyinfer_begin(pyinfer_model *model, const pyinfer_tensor *input, int n_inputs,
                                         pyinfer_request **request, pyinfer_error *error);
/* dtype and shape of output i; rank is -1 as long as it depends on the data, and for sequences and optionals. After execute,
 * data and kind are set too: borrowed until end. */
PYINFER_API void pyinfer_output_type(const pyinfer_request *request, int i, pyinfer_tensor *tensor);
/* Memory of the caller for output i, of the size that its type says: the engine writes into it directly. Ignored
 * for strings, sequences and optionals, and where the rank is -1. Aligned for its type. */
PYINFER_API void pyinfer_set_output(pyinfer_request *request, int i, void *data);
/* After execute: the memory of an output of numbers whose shape depended on the data becomes the caller's, who ends it with
 * pyinfer_free_output. NULL where it is shared or not of this kind: copy it. Outlives request and model. */
PYINFER_API void *pyinfer_take_output(pyinfer_request *request, int i);
/* NULL is fine. */
PYINFER_API void pyinfer_free_output(void *data);
/* Runs. cancel: an int that another thread may set to stop the run (CANCELLED), or NULL. */
PYINFER_API pyinfer_status pyinfer_execute(pyinfer_request *request, const int *cancel, pyinfer_error *error);
/* Gives the request's memory back to the model; NULL is fine. */
PYINFER_API void pyinfer_end(pyinfer_request *request);
/* Before exit() in a process in which another thread may still be in a run: ends all runs of the process, now and from now on,
 * with CANCELLED, and waits for them, ten seconds at most. Exit destroys what they use. */
PYINFER_API void pyinfer_stop(void);

/* ---- looking inside ---- */

/* A value that a node of the file makes; functions are expanded, what is in bodies of If, Loop and Scan is not listed. */
typedef struct {
    const char *name;   /* what pyinfer_options.fetch takes; the first counts where two have one name */
    const char *node;   /* that makes it, "" without a name */
    const char *op;     /* "Conv" */
    const char *domain; /* "" is ONNX's */
    const char *source; /* the PyTorch line it came from, or NULL */
    int index;          /* of that node: values with the same one come out of one node */
    int n_in;
    const char *const *in; /* names of what the node reads: values of this list, inputs, weights; "" for one that is left out */
} pyinfer_inner;

/* Value i, in topological order; 0 if i is out of range. Valid while the model is. */
PYINFER_API int pyinfer_inner_at(const pyinfer_model *model, int i, pyinfer_inner *inner);

/* Step i of the request's plan: what was chosen, and, if profiling was on, how long it took. */
typedef struct {
    const char *name;    /* of the node in the file */
    const char *op;      /* "Conv" */
    const char *domain;  /* "" or "pyinfer" */
    const char *parts;   /* "Mul, Add": the operators that pyinfer.Eltwise runs together, else "" */
    const char *source;  /* the PyTorch line it came from, or NULL */
    const char *value;   /* of the file that it makes (its first one), perhaps with other axes in front; "": one of the engine's own */
    const char *impl;    /* implementation chosen */
    const char *isa;     /* the widest instructions that it may use here: "avx2", "avx512"; oneDNN's own name of its kernel; "": not
                          * known, as of the plain reference */
    const char *layout;  /* "channels-last", "channels-first"; "": of an operator that knows none */
    const char *refused; /* why the earlier candidates were not taken: "onednn: ...; simd: ...", or "" */
    const char *tuned;   /* times of the candidates that were measured, "own 0.121 ms, onednn 0.160 ms", the name alone if that was
                          * in another process, or "" */
    const char *shapes;  /* "f32[1, 3, 224, 224], f32[64, 3, 7, 7] -> f32[1, 64, 112, 112]" */
    uint64_t ns;         /* of the last profiled run, or 0 */
    uint64_t start_ns;   /* since the start of that run */
    double flops;        /* 0: not known; of a profiled run, without the padding that was left out */
    double bytes;        /* read and written at least once; of a profiled run, without that padding */
    double computed;     /* share of its rows that the last profiled run computed: the option skip_padding leaves out others */
    size_t scratch, scratch_offset; /* bytes of the arena that it needs for itself while it runs, and where */
} pyinfer_step;

/* Steps of the request's plan; views make none. */
PYINFER_API int pyinfer_step_count(const pyinfer_request *request);
/* 0 if i is out of range. */
PYINFER_API int pyinfer_step_at(const pyinfer_request *request, int i, pyinfer_step *step);
/* Measures each step of the following executes of this request. */
PYINFER_API void pyinfer_profile(pyinfer_request *request, int on);
/* GFLOP/s of f32 multiply-adds on registers (2 each), on so many threads at once (below 1: as many as this process may use):
 * what a step's flops / ns can reach, unless it needs fewer multiplications than its direct sums (Winograd, Strassen) or works on
 * narrower types. Measured at each call, in some 5 ms. */
PYINFER_API double pyinfer_peak_gflops(int threads);
/* GB/s that so many threads read from memory, from more than the caches hold (64 to 128 MB for the while). Measured at each
 * call, in some 0.1 s; 0 if there is no memory for it. */
PYINFER_API double pyinfer_peak_gbytes(int threads);

/* Node i of the plan's graph, in the order of the run. Those that are no view are the steps, in this order. */
typedef struct {
    const char *name;   /* as of a pyinfer_step */
    const char *op;
    const char *domain;
    const char *parts;
    const char *source;
    int view;           /* 1: gives its input another shape, in the same memory; no step is made for it */
    int n_in, n_out;
} pyinfer_node;

/* 0 if i is out of range. */
PYINFER_API int pyinfer_node_at(const pyinfer_request *request, int i, pyinfer_node *node);
/* Number (of pyinfer_place_at) of what node i reads as input k, or, from k = n_in on, writes as output k - n_in; -1: that is
 * left out, or out of range. */
PYINFER_API int pyinfer_node_value(const pyinfer_request *request, int i, int k);

/* Where a value lies. NONE: nowhere, no step reads it. ARENA: at `offset`. INPUT, OUTPUT: in the caller's memory. CONSTANT: a
 * weight that steps read as it is. HEAP: made while running, of a size that the data say. PACKED: a weight that only has its
 * packed form, or that nothing reads any more. */
enum {
    PYINFER_PLACE_NONE, PYINFER_PLACE_ARENA, PYINFER_PLACE_INPUT, PYINFER_PLACE_OUTPUT, PYINFER_PLACE_CONSTANT,
    PYINFER_PLACE_HEAP, PYINFER_PLACE_PACKED
};
typedef struct {
    const char *name; /* in the file, "": one of the engine's own */
    const char *type; /* "f32[1, 64, 56, 56]"; valid until the next call for this request */
    int kind;
    int storage;      /* values with the same one share memory: views, and results that take the place of what they read; or -1 */
    int first, last;  /* steps that write the storage first and read it last; the number of steps: it is read after the run */
    size_t bytes;     /* of the value; 0: not known before the run */
    size_t offset;    /* ARENA: bytes from its start */
} pyinfer_place;

/* Value i of the plan's graph; 0 if i is out of range. */
PYINFER_API int pyinfer_place_at(const pyinfer_request *request, int i, pyinfer_place *place);
/* Bytes of the arena of this request's plan (values, and scratch of steps), and of the model's packed weights. */
PYINFER_API size_t pyinfer_arena_bytes(const pyinfer_request *request);
PYINFER_API size_t pyinfer_packed_bytes(const pyinfer_request *request);
/* The optimised graph as text, a line a node. write gets NUL-terminated pieces. */
PYINFER_API void pyinfer_print(const pyinfer_model *model, void (*write)(void *arg, const char *text), void *arg);

/* ---- the operator table ---- */

/* Row i: domain ("" is ONNX's), name, since which opset, signature, element types that its T may have (short names);
 * 0 at the end of the list. */
PYINFER_API int pyinfer_op_at(int i, const char **domain, const char **name, int *since, const char **signature,
                              char *types, size_t types_size);

/* ---- tests of the engine itself ---- */

/* The nth allocation from now on fails, and each later one; 0: off. */
PYINFER_API void pyinfer_test_fail_alloc(long nth);
/* Blocks of memory that the engine holds in this process. */
PYINFER_API long pyinfer_test_alive_blocks(void);
/* Implementations of this name are taken wherever a row has one ("ref"); NULL: off. For comparing implementations. */
PYINFER_API void pyinfer_test_force_impl(const char *name);

#ifdef __cplusplus
}
#endif
#endif
