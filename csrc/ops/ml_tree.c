/* SPDX-License-Identifier: Apache-2.0 */
/* TreeEnsemble, TreeEnsembleClassifier, TreeEnsembleRegressor. Rows are walked in blocks, tree by tree, so that a
 * tree's nodes stay in the cache for a block; thresholds and sums are doubles. */
#include "ops/ml_tree.h"
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/move.h"

enum { ROWS = 128, TOGETHER = 8, WORK = 1 << 13 }; /* rows of a block, that are walked at once; nodes that deserve a thread */

typedef struct {
    const tree_ensemble *t;
    int64_t features;
    bool direct;     /* rows are read where they are: f32 */
    size_t scratch;  /* of one thread: sums, marks, and the rows as doubles */
    int64_t columns; /* of the scores' output */
} tree_state;

typedef struct {
    const pi_call *call;
    const tree_state *state;
    pi_tensor *scores, *label; /* NULL: nobody asked */
} tree_job;

/* ---- infer ---- */

static pi_status tree_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t rows, features, dim[2];
    PI_TRY(pi_ml_shape(in[0], &rows, &features, err));
    dim[0] = rows;
    if (!pi_tree_is_classifier(node)) {
        dim[1] = pi_attr_int(node, "n_targets");
        return pi_move_shape(out, 2, dim, err);
    }
    uint32_t labels = pi_ml_label_count(node, "classlabels_int64s", "classlabels_strings", &out[0].dtype);
    dim[1] = labels == 1 ? 2 : labels;
    PI_TRY(pi_move_shape(&out[0], 1, dim, err));
    return node->n_out > 1 ? pi_move_shape(&out[1], 2, dim, err) : PI_E_OK;
}

/* ---- prepare ---- */

static pi_status tree_prepare(pi_prep *prep, pi_error *err)
{
    int64_t rows, features;
    tree_ensemble *t;
    tree_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_ml_shape(prep->in[0], &rows, &features, err));
    PI_TRY(pi_tree_new(prep, features, &t, err));
    *s = (tree_state){.t = t, .features = features, .direct = prep->in[0]->dtype == PI_DTYPE_F32};
    s->columns = pi_tree_is_classifier(prep->node) && t->targets == 1 ? 2 : t->targets;
    size_t sums, row, threads = (size_t)pi_max_i64(prep->threads, 1);
    bool ok = pi_mul((size_t)t->targets + 2, ROWS * (sizeof(double) + 1), &sums) &&
              pi_mul(s->direct ? 0 : (size_t)features, ROWS * sizeof(double), &row) &&
              pi_add(sums, row + 128, &s->scratch);
    s->scratch = s->scratch / 64 * 64;
    if (!ok || !pi_mul(s->scratch, threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many targets or features");
    prep->state = s;
    return PI_E_OK;
}

/* ---- walking ---- */

static bool in_set(const tree_ensemble *t, double set, double x)
{
    int64_t low = t->set_at[(int64_t)set], high = t->set_at[(int64_t)set + 1];
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (t->member[middle] == x) return true;
        if (t->member[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool takes_true(const tree_ensemble *t, int64_t at, double x)
{
    double value = t->node[at].value;
    if (x != x) return t->mode[at] & 0x80;
    switch (t->mode[at] & 0x7F) {
        case TREE_LEQ:
            return x <= value;
        case TREE_LT:
            return x < value;
        case TREE_GTE:
            return x >= value;
        case TREE_GT:
            return x > value;
        case TREE_EQ:
            return x == value;
        case TREE_NEQ:
            return x != value;
        default:
            return in_set(t, value, x);
    }
}

/* The leaf where a row ends. Each step goes to a later node of the same tree, so it ends. */
static inline int32_t walk_f32(const tree_node *nodes, int32_t at, const float *x)
{
    while (nodes[at].feature >= 0) at = (double)x[nodes[at].feature] <= nodes[at].value ? at + 1 : nodes[at].other;
    return nodes[at].other;
}

static inline int32_t walk_f64(const tree_node *nodes, int32_t at, const double *x)
{
    while (nodes[at].feature >= 0) at = x[nodes[at].feature] <= nodes[at].value ? at + 1 : nodes[at].other;
    return nodes[at].other;
}

/* The leaves where TOGETHER rows end, `features` apart: a step waits for memory, those of other rows need not. */
static inline void walk_together(const tree_node *nodes, int32_t root, const float *x, int64_t features, int32_t *leaf)
{
    int32_t at[TOGETHER], open = 1;
    for (int i = 0; i < TOGETHER; i++) at[i] = root;
    while (open) {
        open = 0;
#pragma GCC unroll 8
        for (int i = 0; i < TOGETHER; i++) {
            const tree_node *node = &nodes[at[i]];
            int32_t leaf_mask = node->feature >> 31, k = node->feature & ~leaf_mask;
            int32_t yes = -((double)x[i * features + k] <= node->value); /* masks: no branch to be guessed */
            int32_t next = ((at[i] + 1) & yes) | (node->other & ~yes);
            at[i] = (next & ~leaf_mask) | (at[i] & leaf_mask);
            open |= ~leaf_mask;
        }
    }
    for (int i = 0; i < TOGETHER; i++) leaf[i] = nodes[at[i]].other;
}

static int32_t walk_any(const tree_ensemble *t, int32_t at, const float *f, const double *d)
{
    while (t->node[at].feature >= 0) {
        int32_t k = t->node[at].feature;
        at = takes_true(t, at, f ? (double)f[k] : d[k]) ? at + 1 : t->node[at].other;
    }
    return t->node[at].other;
}

static void count_vote(const tree_ensemble *t, const tree_vote *v, double *sum, uint8_t *has)
{
    double *s = &sum[v->target];
    if (t->sum <= TREE_SUM)
        *s += v->weight;
    else if (!has[v->target] || (t->sum == TREE_MIN ? v->weight < *s : v->weight > *s))
        *s = v->weight;
    has[v->target] = 1;
}

static int32_t walk(const tree_ensemble *t, int64_t k, const float *f, const double *d)
{
    if (!t->leq_only) return walk_any(t, t->root[k], f, d);
    return f ? walk_f32(t->node, t->root[k], f) : walk_f64(t->node, t->root[k], d);
}

static inline void add_leaf(const tree_ensemble *t, int32_t leaf, double *sum, uint8_t *has)
{
    if (t->one_vote && t->sum == TREE_SUM) {
        const tree_vote *v = &t->vote[t->vote_at[leaf]];
        sum[v->target] += v->weight;
        return;
    }
    for (int64_t v = t->vote_at[leaf]; v < t->vote_at[leaf + 1]; v++) count_vote(t, &t->vote[v], sum, has);
}

static void walk_block(const tree_job *job, int64_t begin, int64_t n, double *sum, uint8_t *has, double *wide)
{
    const tree_state *s = job->state;
    const tree_ensemble *t = s->t;
    const pi_tensor *x = job->call->in[0];
    const float *f = s->direct ? (const float *)x->data + begin * s->features : NULL;
    if (!f)
        for (int64_t r = 0; r < n; r++) pi_ml_row(x, begin + r, s->features, wide + r * s->features);
    memset(sum, 0, (size_t)(n * t->targets) * sizeof *sum);
    memset(has, 0, (size_t)(n * t->targets));
    bool together = t->leq_only && f && s->features > 0;
    for (int64_t k = 0; k < t->trees && !pi_cancelled(job->call); k++)
        for (int64_t r = 0, rows; r < n; r += rows) {
            int32_t leaf[TOGETHER];
            rows = together && n - r >= TOGETHER ? TOGETHER : 1;
            if (rows > 1)
                walk_together(t->node, t->root[k], f + r * s->features, s->features, leaf);
            else
                leaf[0] = walk(t, k, f ? f + r * s->features : NULL, f ? NULL : wide + r * s->features);
            for (int64_t i = 0; i < rows; i++) add_leaf(t, leaf[i], sum + (r + i) * t->targets, has + (r + i) * t->targets);
        }
}

/* ---- from sums to outputs ---- */

/* One score for two classes: the other's is its complement (of probabilities) or its opposite. out has two columns. */
static void two_classes(const tree_ensemble *t, const double *sum, double *out)
{
    double s = sum[t->score] + (t->base.n ? t->base.v[t->base.n - 1] : 0);
    bool complement = t->positive && (t->post == PI_POST_NONE || t->post == PI_POST_PROBIT);
    out[1] = s;
    out[0] = complement ? 1 - s : -s;
}

static void finish_row(const tree_job *job, int64_t row, double *sum)
{
    const tree_state *s = job->state;
    const tree_ensemble *t = s->t;
    double pair[2], *out = sum;
    if (t->binary) {
        two_classes(t, sum, pair);
        out = pair;
    } else {
        for (int64_t i = 0; i < t->targets; i++) {
            if (t->sum == TREE_AVERAGE) sum[i] /= (double)pi_max_i64(t->trees, 1);
            if (t->base.n) sum[i] += t->base.v[i];
        }
    }
    pi_ml_post_apply(t->post, out, 1, s->columns);
    if (job->scores)
        pi_write_f64(job->scores->dtype, pi_at_mut(job->scores->data, job->scores->dtype, row * s->columns), 1,
                     s->columns, out);
    if (!job->label) return;
    for (int64_t i = 0; i < s->columns; i++) out[i] = (double)(float)out[i]; /* the label is that of the scores as given */
    int64_t best = pi_ml_argmax(out, s->columns);
    pi_ml_label_put(&t->labels, job->label, row, t->targets == 1 ? best - 1 : best); /* one label: it or none */
}

static void tree_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const tree_job *job = arg;
    const tree_state *s = job->state;
    int64_t targets = s->t->targets;
    double *sum = (double *)(void *)((char *)job->call->scratch + (size_t)thread * s->scratch);
    double *wide = sum + ROWS * targets;
    uint8_t *has = (uint8_t *)(wide + (s->direct ? 0 : ROWS * s->features));
    for (int64_t at = begin, n; at < end && !pi_cancelled(job->call); at += n) {
        n = pi_min_i64(ROWS, end - at);
        walk_block(job, at, n, sum, has, wide);
        for (int64_t r = 0; r < n; r++) finish_row(job, at + r, sum + r * targets);
    }
}

static pi_status tree_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const tree_state *s = call->state;
    bool classes = pi_tree_is_classifier(call->node);
    tree_job job = {.call = call, .state = s};
    job.label = classes ? call->out[0] : NULL;
    job.scores = !classes ? call->out[0] : pi_move_wants(call, 1) ? call->out[1] : NULL;
    int64_t rows, features, cost = 8 * s->t->trees + s->t->targets + (s->direct ? 0 : s->features);
    PI_TRY(pi_ml_shape(call->in[0], &rows, &features, err));
    pi_parallel(call->run->threads, rows, pi_max_i64(1, WORK / pi_max_i64(cost, 1)), tree_chunk, &job);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl tree_impls[] = {{.name = "ref", .prepare = tree_prepare, .run = tree_run}, {0}};

#define INTS(attr) {.name = attr, .kind = PI_ATTR_INTS}
#define FLOATS(attr) {.name = attr, .kind = PI_ATTR_FLOATS}
#define TENSOR(attr) {.name = attr, .kind = PI_ATTR_TENSOR}
#define NODES                                                                                              \
    INTS("nodes_nodeids"), INTS("nodes_treeids"), INTS("nodes_featureids"), INTS("nodes_truenodeids"),     \
        INTS("nodes_falsenodeids"), INTS("nodes_missing_value_tracks_true"), FLOATS("nodes_values"),       \
        FLOATS("nodes_hitrates"), {.name = "nodes_modes", .kind = PI_ATTR_STRINGS}, FLOATS("base_values"), \
        {.name = "post_transform", .kind = PI_ATTR_STRING, .s = "NONE"}
#define NODES_3 TENSOR("nodes_values_as_tensor"), TENSOR("nodes_hitrates_as_tensor"), TENSOR("base_values_as_tensor")
#define CLASSES                                                                               \
    INTS("class_nodeids"), INTS("class_treeids"), INTS("class_ids"), FLOATS("class_weights"), \
        INTS("classlabels_int64s"),                                                           \
    {                                                                                         \
        .name = "classlabels_strings", .kind = PI_ATTR_STRINGS                                \
    }
#define TARGETS                                                                                   \
    INTS("target_nodeids"), INTS("target_treeids"), INTS("target_ids"), FLOATS("target_weights"), \
        {.name = "n_targets", .kind = PI_ATTR_INT, .i = 1},                                       \
        {.name = "aggregate_function", .kind = PI_ATTR_STRING, .s = "SUM"}
static const pi_attr_def classifier_v1[] = {NODES, CLASSES, {0}};
static const pi_attr_def classifier_v3[] = {NODES, NODES_3, CLASSES, TENSOR("class_weights_as_tensor"), {0}};
static const pi_attr_def regressor_v1[] = {NODES, TARGETS, {0}};
static const pi_attr_def regressor_v3[] = {NODES, NODES_3, TARGETS, TENSOR("target_weights_as_tensor"), {0}};

#define NEED_INTS(attr) {.name = attr, .kind = PI_ATTR_INTS, .required = true}
#define NEED_TENSOR(attr) {.name = attr, .kind = PI_ATTR_TENSOR, .required = true}
static const pi_attr_def ensemble_attrs[] = {{.name = "aggregate_function", .kind = PI_ATTR_INT, .i = TREE_SUM},
                                             {.name = "post_transform", .kind = PI_ATTR_INT, .i = PI_POST_NONE},
                                             {.name = "n_targets", .kind = PI_ATTR_INT, .i = 1},
                                             NEED_INTS("tree_roots"),
                                             NEED_INTS("leaf_targetids"),
                                             NEED_INTS("nodes_featureids"),
                                             NEED_INTS("nodes_truenodeids"),
                                             NEED_INTS("nodes_falsenodeids"),
                                             NEED_INTS("nodes_trueleafs"),
                                             NEED_INTS("nodes_falseleafs"),
                                             NEED_TENSOR("nodes_modes"),
                                             NEED_TENSOR("nodes_splits"),
                                             NEED_TENSOR("leaf_weights"),
                                             TENSOR("nodes_hitrates"),
                                             TENSOR("membership_values"),
                                             INTS("nodes_missing_value_tracks_true"),
                                             {0}};

#define CLASSIFIER(version, attributes) \
    {.domain = PI_ML,                   \
     .name = "TreeEnsembleClassifier",  \
     .since = version,                  \
     .signature = "X:T -> Y:any Z:f32", \
     .T = PI_ML_NUMBERS,                \
     .attrs = attributes,               \
     .infer = tree_infer,               \
     .impls = tree_impls}
#define REGRESSOR(version, attributes) \
    {.domain = PI_ML,                  \
     .name = "TreeEnsembleRegressor",  \
     .since = version,                 \
     .signature = "X:T -> Y:f32",      \
     .T = PI_ML_NUMBERS,               \
     .attrs = attributes,              \
     .infer = tree_infer,              \
     .impls = tree_impls}
static const pi_op rows[] = {
    CLASSIFIER(1, classifier_v1),
    CLASSIFIER(3, classifier_v3),
    REGRESSOR(1, regressor_v1),
    REGRESSOR(3, regressor_v3),
    {.domain = PI_ML,
     .name = "TreeEnsemble",
     .since = 5,
     .signature = "X:T -> Y:T",
     .T = PI_BIT(F32) | PI_BIT(F64) | PI_BIT(F16),
     .attrs = ensemble_attrs,
     .infer = tree_infer,
     .impls = tree_impls},
};
const pi_op_family pi_ops_ml_tree = {rows, PI_COUNT(rows)};
