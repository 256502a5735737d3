/* SPDX-License-Identifier: Apache-2.0 */
/* Categories: LabelEncoder, CategoryMapper, OneHotEncoder. Of equal keys the last one counts; NaN is a key like others.
 * ZipMap names columns: its output stays a tensor, and whoever gives it away as maps reads the labels (capi). */
#include <string.h>

#include "base/str.h"
#include "base/threads.h"
#include "ops/block.h"
#include "ops/lookup.h"
#include "ops/ml.h"
#include "ops/move.h"
#include "ops/prep.h"

enum { GRAIN = 1 << 12 };

/* ---- lists of values: from STRINGS, INTS, FLOATS or a TENSOR ---- */

typedef struct {
    pi_dtype dtype; /* NONE: there is no list */
    int64_t n;
    const void *data;             /* numbers of this dtype */
    const pi_text *texts;         /* strings of an attribute */
    const pi_str *const *strings; /* strings of a tensor */
} list;

typedef struct {
    const char *strings, *ints, *floats, *tensor;
} list_names;

static const list_names label_keys = {"keys_strings", "keys_int64s", "keys_floats", "keys_tensor"};
static const list_names label_values = {"values_strings", "values_int64s", "values_floats", "values_tensor"};

/* The type of the list that the node has; NONE: none, or several. */
static pi_dtype list_type(const pi_node *node, const list_names *names, const pi_attr **attr)
{
    const char *const all[] = {names->strings, names->ints, names->floats, names->tensor};
    static const pi_dtype types[] = {PI_DTYPE_STRING, PI_DTYPE_I64, PI_DTYPE_F32};
    pi_dtype found = PI_DTYPE_NONE;
    *attr = NULL;
    for (int i = 0; i < 4; i++) {
        const pi_attr *a = all[i] ? pi_attr_find(node, all[i]) : NULL;
        if (!a || (i < 3 && a->n == 0)) continue;
        if (*attr) return PI_DTYPE_NONE;
        *attr = a;
        found = i < 3 ? types[i] : a->tensor->t.dtype;
    }
    return found;
}

static pi_status list_read(const pi_node *node, const list_names *names, list *out, pi_error *err)
{
    const pi_attr *a;
    *out = (list){.dtype = list_type(node, names, &a)};
    if (out->dtype == PI_DTYPE_NONE)
        return pi_fail(err, PI_E_MODEL, "expected one list of '%s' or its like", names->strings);
    out->n = a->n;
    if (a->kind == PI_ATTR_STRINGS) out->texts = a->strings;
    if (a->kind == PI_ATTR_INTS) out->data = a->ints;
    if (a->kind == PI_ATTR_FLOATS) out->data = a->floats;
    if (a->kind != PI_ATTR_TENSOR) return PI_E_OK;
    PI_TRY(pi_const_load(a->tensor, err));
    PI_TRY(pi_tensor_count(&a->tensor->t, &out->n, err));
    if (out->dtype == PI_DTYPE_STRING)
        out->strings = a->tensor->t.data;
    else
        out->data = a->tensor->t.data;
    return PI_E_OK;
}

/* Keys of any type as what a lookup takes. */
static pi_status keys_of(pi_prep *prep, const list *from, pi_lookup *to, pi_error *err)
{
    *to = (pi_lookup){.n = from->n, .texts = from->texts};
    if (from->dtype == PI_DTYPE_STRING && !from->texts) {
        pi_text *texts = pi_prep_alloc(prep, (size_t)from->n * sizeof *texts, err);
        if (!texts) return pi_alloc_status(err);
        for (int64_t i = 0; i < from->n; i++)
            texts[i] = from->strings[i] ? (pi_text){from->strings[i]->bytes, from->strings[i]->n} : (pi_text){"", 0};
        to->texts = texts;
    } else if (pi_dtype_in(from->dtype, PI_FLOATS)) {
        double *floats = pi_prep_alloc(prep, (size_t)from->n * sizeof *floats, err);
        if (!floats) return pi_alloc_status(err);
        pi_read_f64(from->dtype, from->data, 1, from->n, floats);
        to->floats = floats;
    } else if (from->dtype != PI_DTYPE_STRING) {
        int64_t *ints = pi_prep_alloc(prep, (size_t)from->n * sizeof *ints, err);
        if (!ints) return pi_alloc_status(err);
        pi_read_i64(from->dtype, from->data, 1, from->n, ints);
        to->ints = ints;
    }
    return pi_lookup_sort(to, prep, err);
}

static int64_t find_element(const pi_lookup *keys, const pi_tensor *x, int64_t i)
{
    const void *p = pi_at(x->data, x->dtype, i);
    if (keys->texts) {
        const pi_str *s = ((const pi_str *const *)x->data)[i];
        return pi_lookup_text(keys, s ? s->bytes : "", s ? s->n : 0);
    }
    if (keys->floats || pi_dtype_in(x->dtype, PI_FLOATS)) {
        double v;
        pi_read_f64(x->dtype, p, 1, 1, &v);
        if (keys->floats) return pi_lookup_float(keys, v);
        bool whole = v >= -9007199254740992.0 && v <= 9007199254740992.0 && v == (double)(int64_t)v;
        return whole ? pi_lookup_int(keys, (int64_t)v) : -1; /* a category is a whole number */
    }
    int64_t v;
    pi_read_i64(x->dtype, p, 1, 1, &v);
    return pi_lookup_int(keys, v);
}

/* ---- LabelEncoder, CategoryMapper ---- */

typedef struct {
    pi_lookup keys;
    size_t size;       /* bytes of a value */
    const char *value; /* of each key, then the default */
} map_state;

typedef struct {
    const pi_call *call;
    const map_state *state;
} map_job;

static bool is_old(const pi_node *node) { return node->op->since == 1; } /* LabelEncoder 1, and CategoryMapper */

static pi_status map_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_attr *attr;
    bool text = in[0]->dtype == PI_DTYPE_STRING;
    out[0].dtype = is_old(node) ? (text ? PI_DTYPE_I64 : PI_DTYPE_STRING) : list_type(node, &label_values, &attr);
    if (!is_old(node)) {
        pi_dtype key = list_type(node, &label_keys, &attr);
        if (out[0].dtype == PI_DTYPE_NONE || key == PI_DTYPE_NONE)
            return pi_fail(err, PI_E_MODEL, "expected one list of keys and one of values");
        if (key != in[0]->dtype)
            return pi_fail(err, PI_E_MODEL, "X is %s, the keys are %s", pi_dtype_name(in[0]->dtype),
                           pi_dtype_name(key));
    }
    return pi_infer_same(node, in, out, err);
}

static pi_status put_text(pi_prep *prep, const char *bytes, size_t n, const pi_str **to, pi_error *err)
{
    *to = pi_str_new(&prep->services->arena, bytes, n, err);
    return *to ? PI_E_OK : pi_alloc_status(err);
}

/* The values and the default behind them, in their memory form. */
static pi_status values_of(pi_prep *prep, const list *values, map_state *s, pi_error *err)
{
    const pi_node *node = prep->node;
    const pi_tensor *given = NULL;
    size_t bytes;
    s->size = pi_dtype_size(values->dtype);
    if (!pi_mul((size_t)values->n + 1, s->size, &bytes)) return pi_fail(err, PI_E_LIMIT, "too many values");
    char *value = pi_prep_alloc(prep, bytes, err), *last = value + (size_t)values->n * s->size;
    if (!value) return pi_alloc_status(err);
    s->value = value;
    if (node->op->since >= 4) PI_TRY(pi_ml_tensor(node, "default_tensor", &given, err));
    if (given && (given->dtype != values->dtype || pi_tensor_n(given) != 1))
        return pi_fail(err, PI_E_MODEL, "default_tensor has %lld of %s, expected one %s", (long long)pi_tensor_n(given),
                       pi_dtype_name(given->dtype), pi_dtype_name(values->dtype));
    if (values->dtype == PI_DTYPE_STRING) {
        const pi_str **to = (const pi_str **)(void *)value;
        for (int64_t i = 0; i < values->n; i++) {
            const pi_str *have = values->texts ? NULL : values->strings[i];
            if (values->texts)
                PI_TRY(put_text(prep, values->texts[i].bytes, values->texts[i].n, &to[i], err));
            else
                PI_TRY(put_text(prep, have ? have->bytes : "", have ? have->n : 0, &to[i], err));
        }
        const pi_attr *a = pi_attr_find(node, "default_string");
        const pi_str *have = given ? ((const pi_str *const *)given->data)[0] : NULL;
        const char *text = a ? a->s.bytes : pi_attr_string(node, "default_string");
        if (given) return put_text(prep, have ? have->bytes : "", have ? have->n : 0, &to[values->n], err);
        return put_text(prep, text, a ? a->s.n : strlen(text), &to[values->n], err);
    }
    if (values->n) memcpy(value, values->data, (size_t)values->n * s->size);
    if (given) {
        memcpy(last, given->data, s->size);
    } else if (pi_dtype_in(values->dtype, PI_FLOATS)) {
        double d = (double)pi_attr_float(node, "default_float");
        pi_write_f64(values->dtype, last, 1, 1, &d);
    } else {
        int64_t i = pi_attr_int(node, "default_int64");
        pi_write_i64(values->dtype, last, 1, 1, &i);
    }
    return PI_E_OK;
}

/* Version 1 has one list of strings, whose numbers are 0 and on; CategoryMapper two lists, for both ways. */
static pi_status old_lists(pi_prep *prep, list *keys, list *values, pi_error *err)
{
    bool mapper = strcmp(prep->node->op->name, "CategoryMapper") == 0;
    const pi_attr *texts = pi_attr_find(prep->node, mapper ? "cats_strings" : "classes_strings");
    const pi_attr *ints = mapper ? pi_attr_find(prep->node, "cats_int64s") : NULL;
    uint32_t n = texts ? texts->n : 0, n_ints = ints ? ints->n : 0;
    if (mapper && n != n_ints) return pi_fail(err, PI_E_MODEL, "%u cats_strings and %u cats_int64s", n, n_ints);
    int64_t *count = pi_prep_alloc(prep, n * sizeof *count, err);
    if (!count) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) count[i] = mapper ? ints->ints[i] : i;
    list a = {.dtype = PI_DTYPE_STRING, .n = n, .texts = texts ? texts->strings : (const pi_text *)(const void *)count};
    list b = {.dtype = PI_DTYPE_I64, .n = n, .data = count};
    bool text = prep->in[0]->dtype == PI_DTYPE_STRING;
    *keys = text ? a : b;
    *values = text ? b : a;
    return PI_E_OK;
}

static pi_status map_prepare(pi_prep *prep, pi_error *err)
{
    list keys, values;
    map_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    if (is_old(prep->node)) {
        PI_TRY(old_lists(prep, &keys, &values, err));
    } else {
        PI_TRY(list_read(prep->node, &label_keys, &keys, err));
        PI_TRY(list_read(prep->node, &label_values, &values, err));
    }
    if (keys.n != values.n)
        return pi_fail(err, PI_E_MODEL, "%lld keys and %lld values", (long long)keys.n, (long long)values.n);
    PI_TRY(keys_of(prep, &keys, &s->keys, err));
    PI_TRY(values_of(prep, &values, s, err));
    prep->state = s;
    return PI_E_OK;
}

static void map_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const map_job *job = arg;
    const map_state *s = job->state;
    char *y = job->call->out[0]->data;
    for (int64_t i = begin; i < end; i++) {
        int64_t k = find_element(&s->keys, job->call->in[0], i);
        memcpy(y + (size_t)i * s->size, s->value + (size_t)(k < 0 ? s->keys.n : k) * s->size, s->size);
    }
}

static pi_status map_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), GRAIN, map_chunk, &(map_job){call, call->state});
    return PI_E_OK;
}

/* ---- OneHotEncoder ---- */

static const list_names one_hot_names = {"cats_strings", "cats_int64s", NULL, NULL};

static pi_status one_hot_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t dim[PI_MAX_RANK + 1];
    const pi_attr *cats;
    pi_dtype dtype = list_type(node, &one_hot_names, &cats);
    if (dtype == PI_DTYPE_NONE) return pi_fail(err, PI_E_MODEL, "expected one of cats_strings and cats_int64s");
    if ((dtype == PI_DTYPE_STRING) != (in[0]->dtype == PI_DTYPE_STRING))
        return pi_fail(err, PI_E_MODEL, "X is %s, the categories are %s", pi_dtype_name(in[0]->dtype),
                       pi_dtype_name(dtype));
    for (int i = 0; i < in[0]->rank; i++) dim[i] = in[0]->dim[i];
    dim[in[0]->rank] = cats->n;
    return pi_move_shape(out, in[0]->rank + 1, dim, err);
}

static pi_status one_hot_prepare(pi_prep *prep, pi_error *err)
{
    list cats;
    pi_lookup *keys = pi_prep_alloc(prep, sizeof *keys, err);
    if (!keys) return pi_alloc_status(err);
    PI_TRY(list_read(prep->node, &one_hot_names, &cats, err));
    PI_TRY(keys_of(prep, &cats, keys, err));
    prep->state = keys;
    return PI_E_OK;
}

static pi_status one_hot_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_lookup *keys = call->state;
    int64_t n = pi_tensor_n(call->in[0]);
    bool zeros = pi_attr_int(call->node, "zeros") != 0;
    float *y = call->out[0]->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = find_element(keys, call->in[0], i);
        if (k < 0 && !zeros)
            return pi_fail(err, PI_E_INPUT, "element %lld is none of the %lld categories", (long long)i,
                           (long long)keys->n);
        memset(y + i * keys->n, 0, (size_t)keys->n * sizeof *y);
        if (k >= 0) y[i * keys->n + k] = 1;
    }
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl map_impls[] = {{.name = "ref", .prepare = map_prepare, .run = map_run}, {0}};
static pi_status zip_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t dim[2];
    pi_dtype dtype;
    uint32_t labels = pi_ml_label_count(node, "classlabels_int64s", "classlabels_strings", &dtype);
    PI_TRY(pi_ml_shape(in[0], &dim[0], &dim[1], err));
    if (dim[1] >= 0 && dim[1] != labels)
        return pi_fail(err, PI_E_MODEL, "X has %lld columns, there are %u labels", (long long)dim[1], labels);
    return pi_move_shape(out, 2, dim, err);
}

static const pi_impl zip_impls[] = {{.name = "ref", .run = pi_move_view_run, .inplace = 1}, {0}};
static const pi_impl one_hot_impls[] = {{.name = "ref", .prepare = one_hot_prepare, .run = one_hot_run}, {0}};

#define STRINGS(attr) {.name = attr, .kind = PI_ATTR_STRINGS}
#define INTS(attr) {.name = attr, .kind = PI_ATTR_INTS}
#define FLOATS(attr) {.name = attr, .kind = PI_ATTR_FLOATS}
#define TENSOR(attr) {.name = attr, .kind = PI_ATTR_TENSOR}
#define DEFAULTS                                             \
    {.name = "default_int64", .kind = PI_ATTR_INT, .i = -1}, \
        {.name = "default_string", .kind = PI_ATTR_STRING, .s = "_Unused"}
#define LABELS                                                                                      \
    STRINGS("keys_strings"), INTS("keys_int64s"), FLOATS("keys_floats"), STRINGS("values_strings"), \
        INTS("values_int64s"), FLOATS("values_floats"), {.name = "default_float", .kind = PI_ATTR_FLOAT, .f = -0.0f}
static const pi_attr_def label_v1[] = {STRINGS("classes_strings"), DEFAULTS, {0}};
static const pi_attr_def label_v2[] = {LABELS, DEFAULTS, {0}};
static const pi_attr_def label_v4[] = {
    LABELS, DEFAULTS, TENSOR("keys_tensor"), TENSOR("values_tensor"), TENSOR("default_tensor"), {0}};
static const pi_attr_def mapper_attrs[] = {STRINGS("cats_strings"), INTS("cats_int64s"), DEFAULTS, {0}};
static const pi_attr_def one_hot_attrs[] = {
    STRINGS("cats_strings"), INTS("cats_int64s"), {.name = "zeros", .kind = PI_ATTR_INT, .i = 1}, {0}};

static const pi_attr_def zip_attrs[] = {STRINGS("classlabels_strings"), INTS("classlabels_int64s"), {0}};

#define TEXT_OR_INT (PI_BIT(STRING) | PI_BIT(I64))
#define MAP(op_name, version, types, attributes) \
    {.domain = PI_ML,                            \
     .name = op_name,                            \
     .since = version,                           \
     .signature = "X:T -> Y:any",                \
     .T = types,                                 \
     .attrs = attributes,                        \
     .infer = map_infer,                         \
     .impls = map_impls}
static const pi_op rows[] = {
    MAP("LabelEncoder", 1, TEXT_OR_INT, label_v1),
    MAP("LabelEncoder", 2, TEXT_OR_INT | PI_BIT(F32), label_v2),
    MAP("LabelEncoder", 4, TEXT_OR_INT | PI_BIT(F32) | PI_BIT(F64) | PI_BIT(I32) | PI_BIT(I16), label_v4),
    MAP("CategoryMapper", 1, TEXT_OR_INT, mapper_attrs),
    {.domain = PI_ML,
     .name = "OneHotEncoder",
     .since = 1,
     .signature = "X:T -> Y:f32",
     .T = PI_ML_NUMBERS | PI_BIT(STRING),
     .attrs = one_hot_attrs,
     .infer = one_hot_infer,
     .impls = one_hot_impls},
    {.domain = PI_ML,
     .name = "ZipMap",
     .since = 1,
     .signature = "X:f32 -> Z:f32",
     .flags = PI_OP_VIEW,
     .attrs = zip_attrs,
     .infer = zip_infer,
     .impls = zip_impls},
};
const pi_op_family pi_ops_ml_label = {rows, PI_COUNT(rows)};
