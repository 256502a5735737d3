/* SPDX-License-Identifier: Apache-2.0 */
/* What quantised models say in floats, DequantizeLinear -> operator -> QuantizeLinear, becomes an operator on bytes:
 * Conv, MatMul, Gemm, Add, Mul, and those that only move elements. Sums of products are then exact integers, scaled
 * once: at most one step away from the floats' result; Add, Mul and moves give the same bits. A Relu before
 * QuantizeLinear is a bound of the bytes. Runs before dequantised constants are folded, for that would turn weights into floats.
 * Scales are constants. */
#include <math.h>
#include <string.h>

#include "passes/match.h"
#include "passes/passes.h"

#define BYTES (PI_BIT(U8) | PI_BIT(I8))

/* Both ends: x dequantised, or quantised to. */
typedef struct {
    pi_value *x, *scale, *zero; /* zero NULL: 0 */
    pi_dtype dtype;
    int64_t axis;
    bool one; /* one scale for all */
} grid;

static bool is_constant(const pi_value *v) { return v && v->constant && pi_const_load(v->constant, NULL) == PI_E_OK; }

static bool read_grid(const pi_node *node, grid *d)
{
    int since = node->op->since;
    *d = (grid){.x = node->in[0], .scale = node->in[1], .zero = node->n_in > 2 ? node->in[2] : NULL};
    if (!d->x || !pi_floats(d->scale) || (d->zero && !is_constant(d->zero))) return false;
    if (d->zero && pi_tensor_n(&d->zero->constant->t) != pi_tensor_n(&d->scale->constant->t)) return false;
    if (since >= 21 && pi_attr_int(node, "block_size") != 0) return false;
    d->axis = since >= 13 ? pi_attr_int(node, "axis") : 1;
    d->one = pi_tensor_n(&d->scale->constant->t) == 1;
    return d->one || d->scale->constant->t.rank == 1;
}

/* v is dequantised from a type of these. */
static bool read_dequantize(const pi_value *v, pi_dtypes types, grid *d)
{
    const pi_node *node = pi_made_by(v, "DequantizeLinear");
    if (!node || !read_grid(node, d)) return false;
    if (node->op->since >= 23 && pi_attr_int(node, "output_dtype") > 1) return false; /* 1 is f32, 0 as the scale */
    d->dtype = d->x->t.dtype;
    if (d->x->t.rank > 0 && d->axis < 0) d->axis += d->x->t.rank;
    return pi_dtype_in(d->dtype, types);
}

static bool read_quantize(const pi_node *node, grid *d)
{
    if (!pi_is(node, "QuantizeLinear") || !node->out[0] || !read_grid(node, d) || !d->one) return false;
    d->dtype = node->out[0]->t.dtype;
    return pi_dtype_in(d->dtype, BYTES) && (node->op->since < 23 || pi_attr_int(node, "precision") == 0);
}

static int64_t zero_of(const grid *d) { return d->zero ? pi_tensor_int(&d->zero->constant->t, 0) : 0; }

/* What QuantizeLinear makes, known also where shapes are not. */
static pi_dtype quantized_type(const pi_node *node)
{
    int64_t given = node->op->since >= 21 ? pi_attr_int(node, "output_dtype") : 0;
    if (node->n_in > 2 && node->in[2]) return node->in[2]->t.dtype;
    return given ? pi_dtype_from_id(given) : PI_DTYPE_U8;
}

/* The zero point as an input; 0 of that type where there is none. NULL on failure. */
static pi_value *zero_value(pi_graph *g, const grid *d, pi_error *err)
{
    if (d->zero) return d->zero;
    pi_const *c = pi_const_new(g->heap, d->dtype, 0, NULL, err);
    if (!c) return NULL;
    memset(c->t.data, 0, c->bytes);
    return pi_graph_constant(g, d->scale->name, c, err);
}

/* The zero points of w beside as many scales. */
static pi_value *zeros_value(pi_graph *g, const grid *d, pi_error *err)
{
    if (d->zero || d->one) return zero_value(g, d, err);
    pi_const *c = pi_const_new(g->heap, d->dtype, 1, d->scale->constant->t.dim, err);
    if (!c) return NULL;
    memset(c->t.data, 0, c->bytes);
    return pi_graph_constant(g, d->scale->name, c, err);
}

static double scale_at(const grid *d, int64_t i)
{
    return (double)((const float *)d->scale->constant->t.data)[d->one ? 0 : i];
}

/* Where `bound` lies among the bytes of y: at or beyond an end it changes nothing. */
static double step_of(const grid *y, double bound) { return nearbyint(bound / scale_at(y, 0)) + (double)zero_of(y); }

/* Relu, or a Clip whose bounds change no byte of y, except that the lower one may be 0 as Relu's. *relu: bytes below 0
 * go. */
static bool is_bound(const pi_node *node, const grid *y, bool *relu)
{
    double low = -INFINITY, high = INFINITY, least = y->dtype == PI_DTYPE_I8 ? -128 : 0;
    if (pi_is(node, "Relu")) {
        low = 0;
    } else if (!pi_is(node, "Clip") || node->op->since < 11) {
        return false;
    } else if ((node->n_in > 1 && node->in[1] && !pi_scalar(node->in[1], &low)) ||
               (node->n_in > 2 && node->in[2] && !pi_scalar(node->in[2], &high))) {
        return false;
    }
    *relu = !(step_of(y, low) <= least);
    return step_of(y, high) >= least + 255 && low <= high && (!*relu || (low >= 0 && low <= 0));
}

/* What is quantised in q: made by `name`, maybe through a bound (*relu: one that bytes need), with no other reader. */
static pi_node *operator_before(const pi_node *q, const grid *y, const char *name, bool *relu)
{
    const pi_value *v = q->in[0];
    const pi_node *reader = q, *between = v->producer;
    *relu = false;
    if (between && between->op && between->out[0] == v && is_bound(between, y, relu)) {
        if (pi_only_reader(v) != q) return NULL;
        reader = between;
        v = between->in[0];
    }
    pi_node *node = pi_made_by(v, name);
    return node && pi_only_reader(v) == reader ? node : NULL;
}

/* The bias as i32 in steps of sx * sw: a constant in that very grid, or floats that are rounded to it. *ok false:
 * neither. */
static pi_status bias_value(pi_graph *g, pi_value *b, const grid *x, const grid *w, int64_t n, pi_value **out, bool *ok,
                            pi_error *err)
{
    grid d;
    *out = NULL;
    *ok = b == NULL;
    if (!b) return PI_E_OK;
    double sx = scale_at(x, 0);
    if (read_dequantize(b, PI_BIT(I32), &d)) {
        *ok = is_constant(d.x) && d.x->t.rank == 1 && d.x->t.dim[0] == n && (d.one || d.scale->constant->t.dim[0] == n);
        for (int64_t i = 0; *ok && i < n; i++) {
            double want = sx * scale_at(w, i);
            int64_t zero = d.zero ? pi_tensor_int(&d.zero->constant->t, d.one ? 0 : i) : 0;
            *ok = fabs(scale_at(&d, i) - want) <= 1e-5 * fabs(want) && zero == 0;
        }
        *out = d.x;
        return PI_E_OK;
    }
    if (!pi_floats(b) || b->t.rank != 1 || b->t.dim[0] != n) return PI_E_OK;
    const float *from = b->constant->t.data;
    for (int64_t i = 0; i < n; i++) { /* NaN fails too */
        double v = (double)from[i] / (sx * scale_at(w, i));
        if (!(fabs(v) < 1 << 30)) return PI_E_OK;
    }
    pi_const *c = pi_const_new(g->heap, PI_DTYPE_I32, 1, &n, err);
    if (!c) return pi_alloc_status(err);
    for (int64_t i = 0; i < n; i++)
        ((int32_t *)c->t.data)[i] = (int32_t)nearbyint((double)from[i] / (sx * scale_at(w, i)));
    *out = pi_graph_constant(g, b->name, c, err);
    *ok = true;
    return *out ? PI_E_OK : pi_alloc_status(err);
}

/* q becomes op(in), and the bound of the Relu if the bytes reach below it; *made is op's node, which works for `like`.
 */
static pi_status replace(pi_graph *g, pi_node *q, const pi_node *like, const pi_op *op, pi_value *const *in,
                         uint32_t n_in, bool relu, const grid *y, pi_node **made, pi_error *err)
{
    const char *name = like->name, *source = like->source;
    uint32_t number = like->number;
    if (relu) {
        pi_value *zero = zero_value(g, y, err);
        *made = zero ? pi_insert(g, like, op, in, n_in, err) : NULL;
        if (!*made || !pi_rewrite(g, q, pi_op_find(NULL, "Max", 13), (pi_value *[]){(*made)->out[0], zero}, 2, err))
            return pi_alloc_status(err);
    } else if (!(*made = pi_rewrite(g, q, op, in, n_in, err))) {
        return pi_alloc_status(err);
    }
    (*made)->name = name;
    (*made)->source = source;
    (*made)->number = number;
    return PI_E_OK;
}

static pi_status take_conv(pi_graph *g, pi_node *q, const grid *y, pi_error *err)
{
    bool relu, ok;
    grid x, w;
    pi_attr attr[8];
    pi_node *conv = operator_before(q, y, "Conv", &relu), *made;
    if (!conv || conv->n_attrs > 8) return PI_E_OK;
    if (!read_dequantize(conv->in[0], BYTES, &x) || !x.one || !read_dequantize(conv->in[1], BYTES, &w)) return PI_E_OK;
    if (!is_constant(w.x) || w.x->t.rank < 3) return PI_E_OK;
    int64_t channels = w.x->t.dim[0];
    if (!w.one && (w.axis != 0 || w.scale->constant->t.dim[0] != channels)) return PI_E_OK;
    pi_value *bias;
    PI_TRY(bias_value(g, conv->n_in > 2 ? conv->in[2] : NULL, &x, &w, channels, &bias, &ok, err));
    if (!ok) return PI_E_OK;
    uint32_t n_attrs = conv->n_attrs;
    if (n_attrs) memcpy(attr, conv->attr, n_attrs * sizeof *attr);
    pi_value *in[9] = {
        x.x, x.scale, zero_value(g, &x, err), w.x, w.scale, zeros_value(g, &w, err), y->scale, zero_value(g, y, err),
        bias};
    if (!in[2] || !in[5] || !in[7]) return pi_alloc_status(err);
    PI_TRY(replace(g, q, conv, pi_op_find(NULL, "QLinearConv", 10), in, bias ? 9 : 8, relu, y, &made, err));
    for (uint32_t i = 0; i < n_attrs; i++) PI_TRY(pi_attr_set(g, made, &attr[i], err));
    return PI_E_OK;
}

static pi_status take_matmul(pi_graph *g, pi_node *q, const grid *y, pi_error *err)
{
    bool relu;
    grid a, b;
    pi_node *mm = operator_before(q, y, "MatMul", &relu), *made;
    if (!mm || !read_dequantize(mm->in[0], BYTES, &a) || !a.one || !read_dequantize(mm->in[1], BYTES, &b))
        return PI_E_OK;
    if (!b.one && (b.x->t.rank != 2 || b.axis != 1 || b.scale->constant->t.dim[0] != b.x->t.dim[1])) return PI_E_OK;
    pi_value *in[8] = {
        a.x, a.scale, zero_value(g, &a, err), b.x, b.scale, zeros_value(g, &b, err), y->scale, zero_value(g, y, err)};
    if (!in[2] || !in[5] || !in[7]) return pi_alloc_status(err);
    return replace(g, q, mm, pi_op_find(NULL, "QLinearMatMul", 10), in, 8, relu, y, &made, err);
}

/* Gemm with a matrix of weights is a convolution of images of one place, which has a bias. */
static pi_status take_gemm(pi_graph *g, pi_node *q, const grid *y, pi_error *err)
{
    bool relu, ok;
    grid x, w;
    pi_node *gemm = operator_before(q, y, "Gemm", &relu), *made;
    if (!gemm || !read_dequantize(gemm->in[0], BYTES, &x) || !x.one || !read_dequantize(gemm->in[1], BYTES, &w))
        return PI_E_OK;
    if (!is_constant(w.x) || w.x->t.rank != 2 || pi_attr_int(gemm, "transA") || pi_attr_float(gemm, "alpha") != 1)
        return PI_E_OK;
    bool across = pi_attr_int(gemm, "transB") != 0;
    int64_t n = w.x->t.dim[across ? 0 : 1], k = w.x->t.dim[across ? 1 : 0];
    if (!w.one && (w.axis != (across ? 0 : 1) || w.scale->constant->t.dim[0] != n)) return PI_E_OK;
    pi_value *bias, *c = gemm->n_in > 2 ? gemm->in[2] : NULL, *weights = w.x;
    if (c && pi_attr_float(gemm, "beta") != 1) return PI_E_OK;
    PI_TRY(bias_value(g, c, &x, &w, n, &bias, &ok, err));
    if (!ok || n == 0 || k == 0) return PI_E_OK;
    if (!across) {
        pi_node *t = pi_insert(g, gemm, pi_op_find(NULL, "Transpose", 13), &weights, 1, err);
        if (!t) return pi_alloc_status(err);
        PI_TRY(pi_attr_set_ints(g, t, "perm", (int64_t[]){1, 0}, 2, err));
        weights = t->out[0];
    }
    pi_value *in[9] = {pi_reshaped(g, gemm, x.x, 4, (int64_t[]){0, k, 1, 1}, err),
                       x.scale,
                       zero_value(g, &x, err),
                       pi_reshaped(g, gemm, weights, 4, (int64_t[]){n, k, 1, 1}, err),
                       w.scale,
                       zeros_value(g, &w, err),
                       y->scale,
                       zero_value(g, y, err),
                       bias};
    if (!in[0] || !in[2] || !in[3] || !in[5] || !in[7]) return pi_alloc_status(err);
    pi_node *conv = pi_insert(g, gemm, pi_op_find(NULL, "QLinearConv", 10), in, bias ? 9 : 8, err);
    pi_value *shape = conv ? pi_graph_ints(g, (int64_t[]){0, n}, 2, 1, err) : NULL;
    if (!shape) return pi_alloc_status(err);
    conv->number = gemm->number;
    if (!relu) conv->out[0]->name = q->out[0]->name; /* the Reshape may go: who asks, finds the step by it */
    return replace(g, q, gemm, pi_op_find(NULL, "Reshape", 13), (pi_value *[]){conv->out[0], shape}, 2, relu, y, &made,
                   err);
}

static pi_status take_binary(pi_graph *g, pi_node *q, const grid *y, const char *name, const char *internal,
                             pi_error *err)
{
    bool relu;
    grid a, b;
    pi_node *node = operator_before(q, y, name, &relu), *made;
    if (!node || node->op->since < 7 || !read_dequantize(node->in[0], BYTES, &a) ||
        !read_dequantize(node->in[1], BYTES, &b))
        return PI_E_OK;
    if (!a.one || !b.one) return PI_E_OK;
    pi_value *in[8] = {
        a.x, a.scale, zero_value(g, &a, err), b.x, b.scale, zero_value(g, &b, err), y->scale, zero_value(g, y, err)};
    if (!in[2] || !in[5] || !in[7]) return pi_alloc_status(err);
    return replace(g, q, node, pi_op_internal(internal), in, 8, relu, y, &made, err);
}

static bool same_grid(const grid *a, const grid *b)
{
    return a->one && b->one && a->dtype == b->dtype && zero_of(a) == zero_of(b) && scale_at(a, 0) >= scale_at(b, 0) &&
           scale_at(a, 0) <= scale_at(b, 0) && scale_at(a, 0) > 0;
}

/* An operator that only moves elements does it with bytes of the same grid. */
static pi_status take_move(pi_graph *g, pi_node *q, const grid *y, pi_error *err)
{
    static const char *const moves[] = {"Reshape", "Flatten",      "Squeeze",      "Unsqueeze", "Transpose",
                                        "Slice",   "DepthToSpace", "SpaceToDepth", "Expand",    "Tile"};
    grid x;
    pi_node *node = q->in[0]->producer;
    bool known = false;
    for (size_t i = 0; i < PI_COUNT(moves); i++) known |= pi_is(node, moves[i]);
    if (!known || node->out[0] != q->in[0] || pi_only_reader(q->in[0]) != q || (node->n_out > 1 && node->out[1]))
        return PI_E_OK;
    pi_param param;
    if (!read_dequantize(node->in[0], BYTES, &x) || !same_grid(&x, y)) return PI_E_OK;
    if (!pi_op_input(node->op, 0, &param) || !pi_dtype_in(x.dtype, param.types)) return PI_E_OK;
    PI_TRY(pi_node_set_in(g, node, 0, x.x, err));
    node->out[0]->t.dtype = x.dtype;
    return pi_graph_replace(g, q->out[0], node->out[0], err);
}

/* In the graph or a subgraph. */
static bool any_dequantize(const pi_graph *g)
{
    for (const pi_graph *s = g;;) {
        for (uint32_t i = 0; i < s->n_nodes; i++)
            if (pi_is(s->node[i], "DequantizeLinear")) return true;
        if (s->child) {
            s = s->child;
            continue;
        }
        while (s != g && !s->sibling) s = s->parent;
        if (s == g) return false;
        s = s->sibling;
    }
}

static pi_status fold_others(const pi_node *node, const pi_tensor *const *in, pi_heap *heap, pi_const **out, pi_error *err)
{
    return pi_is(node, "DequantizeLinear") ? PI_E_OK : pi_op_fold(node, in, heap, out, err);
}

pi_status pi_pass_qdq(pi_graph *g, pi_error *err)
{
    if (!any_dequantize(g)) return PI_E_OK;
    PI_TRY(pi_graph_infer(g, fold_others, err)); /* types, and the branches that are taken */
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++)
        if (pi_is(g->node[i], "QuantizeLinear") && g->node[i]->out[0])
            g->node[i]->out[0]->t.dtype = quantized_type(g->node[i]);
    for (uint32_t i = 0; i < n; i++) {
        pi_node *q = g->node[i];
        grid y;
        static pi_status (*const takes[])(pi_graph *, pi_node *, const grid *, pi_error *) = {take_conv, take_matmul,
                                                                                              take_gemm, take_move};
        for (size_t t = 0; t < PI_COUNT(takes) && q->op && read_quantize(q, &y); t++) PI_TRY(takes[t](g, q, &y, err));
        if (q->op && read_quantize(q, &y)) PI_TRY(take_binary(g, q, &y, "Add", "QuantAdd", err));
        if (q->op && read_quantize(q, &y)) PI_TRY(take_binary(g, q, &y, "Mul", "QuantMul", err));
    }
    pi_graph_sweep(g);
    return pi_graph_sort(g, err);
}
