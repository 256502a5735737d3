/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the attributes of tree operators. Nothing in them is trusted: lengths agree, ids exist, there are no cycles (so a
 * walk ends), targets and features are in range. A node may be reached in several ways: sets of categories are written as
 * chains of BRANCH_EQ whose true branches are one. */
#include <math.h>
#include <string.h>

#include "ops/ml_tree.h"
#include "ops/order.h"
#include "ops/prep.h"

enum { MOST_NODES = 1 << 28, MOST_TARGETS = 1 << 24 };

/* The nodes as the file has them, with children by index: >= 0 a node, else ~leaf. */
typedef struct {
    int64_t n, n_leaves, n_trees;
    uint8_t *mode;
    int32_t *child[2]; /* true, false */
    int32_t *root;
    int32_t *placed; /* where + 1; 0: not yet */
    int32_t *stack; /* two a node: what to place, and whose false branch it is */
    int64_t *order; /* nodes by (tree, node id) */
    const int64_t *feature, *tree_id, *node_id, *missing;
    pi_ml_list value;
    const pi_text *mode_text;
    pi_heap *heap;
} source;

bool pi_tree_is_v5(const pi_node *node) { return strcmp(node->op->name, "TreeEnsemble") == 0; }
bool pi_tree_is_classifier(const pi_node *node) { return strcmp(node->op->name, "TreeEnsembleClassifier") == 0; }

static void source_free(source *s)
{
    pi_free(s->mode);
    pi_free(s->child[0]);
    pi_free(s->child[1]);
    pi_free(s->root);
    pi_free(s->placed);
    pi_free(s->stack);
    pi_free(s->order);
}

static pi_status source_room(source *s, int64_t n, int64_t trees, pi_error *err)
{
    if (n > MOST_NODES || trees > MOST_NODES)
        return pi_fail(err, PI_E_LIMIT, "%lld nodes, at most %d are supported", (long long)n, MOST_NODES);
    size_t room = (size_t)n + 1;
    s->n = n;
    s->mode = pi_calloc(s->heap, room, sizeof *s->mode, err);
    s->child[0] = pi_calloc(s->heap, room, sizeof(int32_t), err);
    s->child[1] = pi_calloc(s->heap, room, sizeof(int32_t), err);
    s->placed = pi_calloc(s->heap, room, sizeof *s->placed, err);
    s->stack = pi_calloc(s->heap, 2 * room, sizeof(int32_t), err);
    s->order = pi_calloc(s->heap, room, sizeof(int64_t), err);
    s->root = pi_calloc(s->heap, (size_t)trees + 1, sizeof(int32_t), err);
    bool ok = s->mode && s->child[0] && s->child[1] && s->placed && s->stack && s->order && s->root;
    return ok ? PI_E_OK : pi_alloc_status(err);
}

/* A list of ints that must have n entries. */
static pi_status ints_of(const pi_node *node, const char *name, int64_t n, const int64_t **out, pi_error *err)
{
    uint32_t have;
    *out = pi_attr_ints(node, name, &have);
    if (have != n) return pi_fail(err, PI_E_MODEL, "'%s' has %u entries, expected %lld", name, have, (long long)n);
    return PI_E_OK;
}

static pi_status missing_of(const pi_node *node, source *s, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "nodes_missing_value_tracks_true");
    if (!a || a->n == 0) return PI_E_OK;
    return ints_of(node, "nodes_missing_value_tracks_true", s->n, &s->missing, err);
}

/* ---- TreeEnsembleClassifier, TreeEnsembleRegressor: nodes named by (tree, node) ---- */

static int id_compare(const source *s, int64_t i, int64_t tree, int64_t node)
{
    int c = (s->tree_id[i] > tree) - (s->tree_id[i] < tree);
    return c ? c : (s->node_id[i] > node) - (s->node_id[i] < node);
}

static bool id_before(const void *arg, int64_t a, int64_t b)
{
    const source *s = arg;
    int c = id_compare(s, a, s->tree_id[b], s->node_id[b]);
    return c ? c < 0 : a < b;
}

static int64_t id_find(const source *s, int64_t tree, int64_t node)
{
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        int c = id_compare(s, s->order[middle], tree, node);
        if (c == 0) return s->order[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static pi_status read_modes(source *s, pi_error *err)
{
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "",           "LEAF"};
    for (int64_t i = 0; i < s->n; i++) {
        unsigned m = 0;
        while (m < PI_COUNT(names) && (strcmp(names[m], s->mode_text[i].bytes) != 0 || m == TREE_MEMBER)) m++;
        if (m == PI_COUNT(names)) return pi_fail(err, PI_E_MODEL, "nodes_modes has '%.40s'", s->mode_text[i].bytes);
        s->mode[i] = (uint8_t)m;
    }
    return PI_E_OK;
}

static pi_status read_children(const pi_node *node, source *s, pi_error *err)
{
    static const char *const names[] = {"nodes_truenodeids", "nodes_falsenodeids"};
    for (int b = 0; b < 2; b++) {
        const int64_t *id;
        PI_TRY(ints_of(node, names[b], s->n, &id, err));
        for (int64_t i = 0; i < s->n; i++) {
            if (s->mode[i] == TREE_LEAF) continue;
            int64_t to = id_find(s, s->tree_id[i], id[i]);
            if (to < 0)
                return pi_fail(err, PI_E_MODEL, "%s: tree %lld has no node %lld", names[b], (long long)s->tree_id[i],
                               (long long)id[i]);
            s->child[b][i] = (int32_t)(s->mode[to] == TREE_LEAF ? ~to : to);
        }
    }
    return PI_E_OK;
}

static pi_status read_named(pi_prep *prep, source *s, pi_error *err)
{
    const pi_node *node = prep->node;
    const pi_attr *modes = pi_attr_find(node, "nodes_modes");
    uint32_t n;
    s->node_id = pi_attr_ints(node, "nodes_nodeids", &n);
    PI_TRY(source_room(s, n, n, err));
    PI_TRY(ints_of(node, "nodes_treeids", n, &s->tree_id, err));
    PI_TRY(ints_of(node, "nodes_featureids", n, &s->feature, err));
    PI_TRY(missing_of(node, s, err));
    if (n == 0 || !modes || modes->n != n)
        return pi_fail(err, PI_E_MODEL, "'nodes_modes' has %u entries, expected %u", modes ? modes->n : 0, n);
    PI_TRY(pi_ml_numbers(prep, "nodes_values", node->op->since >= 3 ? "nodes_values_as_tensor" : NULL, &s->value, err));
    if (s->value.n != n)
        return pi_fail(err, PI_E_MODEL, "'nodes_values' has %lld entries, expected %u", (long long)s->value.n, n);
    s->mode_text = modes->strings;
    s->n_leaves = n;
    PI_TRY(read_modes(s, err));
    for (int64_t i = 0; i < n; i++) s->order[i] = i;
    pi_order_sort(s->order, n, id_before, s);
    for (int64_t i = 1; i < n; i++)
        if (id_compare(s, s->order[i - 1], s->tree_id[s->order[i]], s->node_id[s->order[i]]) == 0)
            return pi_fail(err, PI_E_MODEL, "tree %lld has two nodes %lld", (long long)s->tree_id[s->order[i]],
                           (long long)s->node_id[s->order[i]]);
    PI_TRY(read_children(node, s, err));
    for (int64_t i = 0, first; i < n; i++) { /* the root is the tree's first node in the file */
        first = s->order[i];
        for (; i + 1 < n && s->tree_id[s->order[i + 1]] == s->tree_id[first]; i++)
            first = pi_min_i64(first, s->order[i + 1]);
        first = pi_min_i64(first, s->order[i]);
        s->root[s->n_trees++] = (int32_t)(s->mode[first] == TREE_LEAF ? ~first : first);
    }
    return PI_E_OK;
}

/* Votes of the leaves: counted, then put in their places. Those of inner nodes count nothing. Of several for the only
 * target the first counts: skl2onnx writes each leaf's number once for each class. */
static pi_status read_votes(pi_prep *prep, const source *s, tree_ensemble *t, pi_error *err)
{
    bool classes = pi_tree_is_classifier(prep->node), one = t->targets == 1;
    uint32_t n;
    const int64_t *node, *tree, *target;
    pi_ml_list weight;
    node = pi_attr_ints(prep->node, classes ? "class_nodeids" : "target_nodeids", &n);
    PI_TRY(ints_of(prep->node, classes ? "class_treeids" : "target_treeids", n, &tree, err));
    PI_TRY(ints_of(prep->node, classes ? "class_ids" : "target_ids", n, &target, err));
    const char *tensor = classes ? "class_weights_as_tensor" : "target_weights_as_tensor";
    PI_TRY(pi_ml_numbers(prep, classes ? "class_weights" : "target_weights", prep->node->op->since >= 3 ? tensor : NULL,
                         &weight, err));
    if (weight.n != n) return pi_fail(err, PI_E_MODEL, "%lld weights, expected %u", (long long)weight.n, n);
    t->leaves = s->n;
    t->vote_at = pi_prep_alloc(prep, ((size_t)s->n + 2) * sizeof *t->vote_at, err);
    t->vote = pi_prep_alloc(prep, n * sizeof *t->vote, err);
    if (!t->vote_at || !t->vote) return pi_alloc_status(err);
    t->positive = t->binary = true;
    t->score = n ? target[0] : 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = id_find(s, tree[i], node[i]);
        if (at < 0)
            return pi_fail(err, PI_E_MODEL, "tree %lld has no node %lld, which has a weight", (long long)tree[i],
                           (long long)node[i]);
        if (target[i] < 0 || target[i] >= t->targets)
            return pi_fail(err, PI_E_MODEL, "a weight is for class or target %lld of %lld", (long long)target[i],
                           (long long)t->targets);
        t->vote_at[at + 2] = one ? 1 : t->vote_at[at + 2] + 1;
        if (weight.v[i] < 0) t->positive = false;
        if (target[i] != t->score) t->binary = false;
    }
    for (int64_t i = 0; i < s->n; i++) t->vote_at[i + 2] += t->vote_at[i + 1];
    for (uint32_t k = 0; k < n; k++) { /* vote_at[at + 1] runs from the begin of its votes to their end */
        uint32_t i = one ? n - 1 - k : k;
        int64_t *to = &t->vote_at[id_find(s, tree[i], node[i]) + 1];
        t->vote[*to] = (tree_vote){(int32_t)target[i], weight.v[i]};
        if (!one) ++*to;
    }
    if (one) memmove(t->vote_at, t->vote_at + 1, ((size_t)s->n + 1) * sizeof *t->vote_at);
    return PI_E_OK;
}

/* ---- TreeEnsemble: nodes and leaves by index ---- */

static bool member_before(const void *arg, int64_t a, int64_t b)
{
    const double *v = arg;
    return v[a] != v[b] ? v[a] < v[b] : a < b;
}

static pi_status read_sets(pi_prep *prep, source *s, tree_ensemble *t, pi_error *err)
{
    pi_ml_list members;
    int64_t sets = 0, ends = 0, *order;
    PI_TRY(pi_ml_numbers(prep, NULL, "membership_values", &members, err));
    for (int64_t i = 0; i < s->n; i++) sets += s->mode[i] == TREE_MEMBER;
    for (int64_t i = 0; i < members.n; i++) ends += members.v[i] != members.v[i];
    if (members.n && members.v[members.n - 1] == members.v[members.n - 1]) ends++; /* the last end may be left out */
    if (sets != ends)
        return pi_fail(err, PI_E_MODEL, "membership_values has %lld sets, expected %lld", (long long)ends,
                       (long long)sets);
    t->set_at = pi_prep_alloc(prep, ((size_t)sets + 1) * sizeof *t->set_at, err);
    t->member = pi_prep_alloc(prep, (size_t)members.n * sizeof *t->member, err);
    order = pi_prep_alloc(prep, (size_t)members.n * sizeof *order, err);
    if (!t->set_at || !t->member || !order) return pi_alloc_status(err);
    int64_t to = 0, set = 0;
    for (int64_t i = 0, begin = 0; i <= members.n && set < sets; i++) {
        if (i < members.n && members.v[i] == members.v[i]) continue;
        int64_t n = i - begin;
        for (int64_t k = 0; k < n; k++) order[k] = begin + k;
        pi_order_sort(order, n, member_before, members.v);
        for (int64_t k = 0; k < n; k++) t->member[to + k] = members.v[order[k]];
        to += n;
        t->set_at[++set] = to;
        begin = i + 1;
    }
    return PI_E_OK;
}

static pi_status read_indexed_children(const pi_node *node, source *s, pi_error *err)
{
    static const char *const names[][2] = {{"nodes_truenodeids", "nodes_trueleafs"},
                                           {"nodes_falsenodeids", "nodes_falseleafs"}};
    for (int b = 0; b < 2; b++) {
        const int64_t *id, *leaf;
        PI_TRY(ints_of(node, names[b][0], s->n, &id, err));
        PI_TRY(ints_of(node, names[b][1], s->n, &leaf, err));
        for (int64_t i = 0; i < s->n; i++) {
            if (id[i] < 0 || id[i] >= (leaf[i] ? s->n_leaves : s->n))
                return pi_fail(err, PI_E_MODEL, "%s[%lld] is %lld, there are %lld %s", names[b][0], (long long)i,
                               (long long)id[i], (long long)(leaf[i] ? s->n_leaves : s->n),
                               leaf[i] ? "leaves" : "nodes");
            s->child[b][i] = (int32_t)(leaf[i] ? ~id[i] : id[i]);
        }
    }
    return PI_E_OK;
}

static pi_status read_indexed(pi_prep *prep, source *s, tree_ensemble *t, pi_error *err)
{
    const pi_node *node = prep->node;
    uint32_t n, trees, leaves;
    pi_ml_list weight;
    const pi_tensor *modes;
    const int64_t *root = pi_attr_ints(node, "tree_roots", &trees),
                  *target = pi_attr_ints(node, "leaf_targetids", &leaves);
    s->feature = pi_attr_ints(node, "nodes_featureids", &n);
    PI_TRY(source_room(s, n, trees, err));
    PI_TRY(missing_of(node, s, err));
    PI_TRY(pi_ml_tensor(node, "nodes_modes", &modes, err));
    PI_TRY(pi_ml_numbers(prep, NULL, "nodes_splits", &s->value, err));
    PI_TRY(pi_ml_numbers(prep, NULL, "leaf_weights", &weight, err));
    if (modes->dtype != PI_DTYPE_U8 || pi_tensor_n(modes) != n || s->value.n != n)
        return pi_fail(err, PI_E_MODEL,
                       "nodes_modes and nodes_splits have %lld and %lld entries, expected u8 and %u of both",
                       (long long)pi_tensor_n(modes), (long long)s->value.n, n);
    if (weight.n != leaves)
        return pi_fail(err, PI_E_MODEL, "%lld leaf_weights, expected %u", (long long)weight.n, leaves);
    if (leaves > MOST_NODES) return pi_fail(err, PI_E_LIMIT, "%u leaves", leaves);
    s->n_leaves = leaves;
    for (uint32_t i = 0; i < n; i++) {
        s->mode[i] = ((const uint8_t *)modes->data)[i];
        if (s->mode[i] > TREE_MEMBER) return pi_fail(err, PI_E_MODEL, "nodes_modes has %d", s->mode[i]);
    }
    PI_TRY(read_indexed_children(node, s, err));
    for (uint32_t i = 0; i < trees; i++) {
        if (root[i] < 0 || root[i] >= n)
            return pi_fail(err, PI_E_MODEL, "tree_roots has %lld, there are %u nodes", (long long)root[i], n);
        s->root[s->n_trees++] = (int32_t)root[i];
    }
    t->leaves = leaves;
    t->vote_at = pi_prep_alloc(prep, ((size_t)leaves + 2) * sizeof *t->vote_at, err);
    t->vote = pi_prep_alloc(prep, leaves * sizeof *t->vote, err);
    if (!t->vote_at || !t->vote) return pi_alloc_status(err);
    for (uint32_t i = 0; i < leaves; i++) {
        if (target[i] < 0 || target[i] >= t->targets)
            return pi_fail(err, PI_E_MODEL, "leaf_targetids has %lld of %lld targets", (long long)target[i],
                           (long long)t->targets);
        t->vote[i] = (tree_vote){(int32_t)target[i], weight.v[i]};
        t->vote_at[i + 1] = i + 1;
    }
    return read_sets(prep, s, t, err);
}

/* ---- flattening ---- */

/* Takes away nodes that no other leads to, until none is left: what stays is in a cycle or behind one. */
static pi_status check_cycles(const source *s, pi_error *err)
{
    int32_t *parents = s->placed, *free = s->stack, n_free = 0; /* parents are all 0 again at the end */
    for (int64_t i = 0; i < s->n; i++)
        for (int b = 0; b < 2; b++)
            if (s->mode[i] != TREE_LEAF && s->child[b][i] >= 0) parents[s->child[b][i]]++;
    for (int64_t i = 0; i < s->n; i++)
        if (parents[i] == 0) free[n_free++] = (int32_t)i;
    for (int32_t k = 0; k < n_free; k++)
        for (int b = 0; b < 2; b++) {
            int32_t to = s->mode[free[k]] == TREE_LEAF ? -1 : s->child[b][free[k]];
            if (to >= 0 && --parents[to] == 0) free[n_free++] = to;
        }
    for (int64_t i = 0; i < s->n; i++)
        if (parents[i] > 0) return pi_fail(err, PI_E_MODEL, "node %lld leads back to itself: this is no tree", (long long)i);
    return PI_E_OK;
}

/* Places node or leaf `from` (and those that its true branches lead to) at the end. In the place of a node that has one
 * already stands a comparison with NaN, which is false and leads there. */
static pi_status place_tree(source *s, tree_ensemble *t, const int32_t *set_of, int32_t from, int64_t features,
                            pi_error *err)
{
    int64_t depth = 0;
    int32_t owner = -1; /* whose false branch comes next */
    for (;;) {
        int32_t at = (int32_t)t->n++;
        if (owner >= 0) t->node[owner].other = at;
        int32_t before = from < 0 ? 0 : s->placed[from];
        if (from < 0 || before) {
            t->node[at] = from < 0 ? (tree_node){.feature = -1, .other = ~from}
                                   : (tree_node){.feature = (int32_t)s->feature[from], .value = NAN, .other = before - 1};
            if (depth == 0) return PI_E_OK;
            owner = s->stack[2 * --depth];
            from = s->stack[2 * depth + 1];
            continue;
        }
        s->placed[from] = at + 1;
        if (s->feature[from] < 0 || s->feature[from] >= features)
            return pi_fail(err, PI_E_MODEL, "node %d reads feature %lld, X has %lld", from, (long long)s->feature[from],
                           (long long)features);
        bool member = s->mode[from] == TREE_MEMBER;
        bool missing = s->missing && s->missing[from] != 0;
        t->node[at] =
            (tree_node){.feature = (int32_t)s->feature[from], .value = member ? set_of[from] : s->value.v[from]};
        t->mode[at] = (uint8_t)(s->mode[from] | (missing ? 0x80 : 0));
        if (t->mode[at] != TREE_LEQ) t->leq_only = false;
        s->stack[2 * depth] = at;
        s->stack[2 * depth++ + 1] = s->child[1][from];
        owner = -1;
        from = s->child[0][from];
    }
}

static pi_status place_all(pi_prep *prep, source *s, tree_ensemble *t, int64_t features, pi_error *err)
{
    /* each root and each branch takes one place */
    size_t room = 2 * (size_t)s->n + 2 * (size_t)s->n_trees + 1;
    int32_t *set_of = pi_prep_alloc(prep, ((size_t)s->n + 1) * sizeof *set_of, err), sets = 0;
    t->node = pi_prep_alloc(prep, room * sizeof *t->node, err);
    t->mode = pi_prep_alloc(prep, room, err);
    t->root = pi_prep_alloc(prep, (size_t)s->n_trees * sizeof *t->root, err);
    if (!set_of || !t->node || !t->mode || !t->root) return pi_alloc_status(err);
    if (room > INT32_MAX) return pi_fail(err, PI_E_LIMIT, "too many nodes");
    PI_TRY(check_cycles(s, err));
    for (int64_t i = 0; i < s->n; i++) set_of[i] = s->mode[i] == TREE_MEMBER ? sets++ : 0;
    t->leq_only = t->one_vote = true;
    for (int64_t i = 0; i < s->n_trees; i++) {
        t->root[t->trees++] = (int32_t)t->n;
        PI_TRY(place_tree(s, t, set_of, s->root[i], features, err));
    }
    for (int64_t i = 0; i < t->n; i++)
        if (t->node[i].feature < 0 && t->vote_at[t->node[i].other + 1] - t->vote_at[t->node[i].other] != 1)
            t->one_vote = false;
    return PI_E_OK;
}

static pi_status read_settings(pi_prep *prep, tree_ensemble *t, pi_error *err)
{
    static const char *const sums[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const pi_node *node = prep->node;
    bool classes = pi_tree_is_classifier(node), v5 = pi_tree_is_v5(node);
    t->sum = TREE_SUM;
    if (v5) {
        int64_t post = pi_attr_int(node, "post_transform"), sum = pi_attr_int(node, "aggregate_function");
        if (post < 0 || post > PI_POST_PROBIT || sum < 0 || sum > TREE_MAX)
            return pi_fail(err, PI_E_MODEL, "post_transform is %lld, aggregate_function %lld", (long long)post,
                           (long long)sum);
        t->post = (pi_post)post;
        t->sum = (tree_sum)sum;
    } else {
        PI_TRY(pi_ml_post(node, &t->post, err));
        PI_TRY(
            pi_ml_numbers(prep, "base_values", node->op->since >= 3 ? "base_values_as_tensor" : NULL, &t->base, err));
    }
    if (classes) {
        PI_TRY(pi_ml_labels_new(prep, "classlabels_int64s", "classlabels_strings", &t->labels, err));
        t->targets = t->labels.n;
        return PI_E_OK;
    }
    t->targets = pi_attr_int(node, "n_targets");
    if (t->targets < 1 || t->targets > MOST_TARGETS)
        return pi_fail(err, PI_E_MODEL, "n_targets is %lld", (long long)t->targets);
    if (v5) return PI_E_OK;
    const char *name = pi_attr_string(node, "aggregate_function");
    unsigned k = 0;
    while (k < PI_COUNT(sums) && strcmp(sums[k], name) != 0) k++;
    if (k == PI_COUNT(sums)) return pi_fail(err, PI_E_MODEL, "aggregate_function is '%.40s'", name);
    t->sum = (tree_sum)k;
    return PI_E_OK;
}

/* A classifier of two classes (or one label) whose weights are all for one class has one score. */
static pi_status settle_classes(const pi_node *node, tree_ensemble *t, pi_error *err)
{
    bool classes = pi_tree_is_classifier(node);
    if (classes && t->targets == 0) return pi_fail(err, PI_E_MODEL, "there are no class labels");
    t->binary = classes && t->binary && t->targets <= 2;
    if (t->base.n && t->base.n != t->targets && !(t->binary && t->base.n <= 2))
        return pi_fail(err, PI_E_MODEL, "%lld base values for %lld classes or targets", (long long)t->base.n,
                       (long long)t->targets);
    return PI_E_OK;
}

pi_status pi_tree_new(pi_prep *prep, int64_t features, tree_ensemble **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    source s = {.heap = prep->services->arena.heap};
    tree_ensemble *t = pi_prep_alloc(prep, sizeof *t, err);
    if (!t) return pi_alloc_status(err);
    PI_TRY_DONE(read_settings(prep, t, err));
    if (pi_tree_is_v5(prep->node)) {
        PI_TRY_DONE(read_indexed(prep, &s, t, err));
    } else {
        PI_TRY_DONE(read_named(prep, &s, err));
        PI_TRY_DONE(read_votes(prep, &s, t, err));
    }
    PI_TRY_DONE(settle_classes(prep->node, t, err));
    PI_TRY_DONE(place_all(prep, &s, t, features, err));
    *out = t;
done:
    source_free(&s);
    return st;
}
