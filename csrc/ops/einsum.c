/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum. The equation becomes a list of labels with lengths, and for each input a stride along each label (0 where it has
 * none, a sum where it is repeated: a diagonal). A block of the output's last label is one vector; the labels that
 * are summed count around it. */
#include <string.h>

#include "base/threads.h"
#include "ops/block.h"
#include "ops/einsum.h"

enum { DOTS = 52 }; /* the letters come first */

typedef struct {
    pi_einsum s;
    uint32_t n_in;
    int64_t stride[]; /* [n_in][PI_EINSUM_LABELS], elements */
} einsum_state;

static int letter(char c) { return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? 26 + c - 'A' : -1; }

/* The term at *at: labels in order, spaces skipped, "..." standing for `dots` axes. Stops at ',' '-' or the end. */
static pi_status read_term(const char **at, int dots, int *label, int *n, bool *has_dots, pi_error *err)
{
    const char *s = *at;
    *n = 0;
    *has_dots = false;
    for (; *s && *s != ',' && *s != '-'; s++) {
        int more = 1, first = letter(*s);
        if (*s == ' ') continue;
        if (strncmp(s, "...", 3) == 0) {
            if (*has_dots) return pi_fail(err, PI_E_MODEL, "a term of the equation has two ellipses");
            *has_dots = true;
            more = dots;
            first = DOTS + dots - 1;
            s += 2;
        } else if (first < 0) {
            return pi_fail(err, PI_E_MODEL, "the equation has a character '%c' that means nothing", *s);
        }
        if (*n + more > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "a term of the equation has more than %d axes", PI_MAX_RANK);
        for (int k = 0; k < more; k++) label[(*n)++] = first - k;
    }
    *at = s;
    return PI_E_OK;
}

/* Letters of the term at s, without the ellipsis. */
static int count_letters(const char *s)
{
    int n = 0;
    for (; *s && *s != ',' && *s != '-'; s++) n += letter(*s) >= 0;
    return n;
}

static pi_status read_input(const char **at, const pi_tensor *t, uint32_t i, pi_einsum *spec, int *seen, int64_t *stride,
                            pi_error *err)
{
    int label[PI_MAX_RANK], n, letters = count_letters(*at);
    int64_t own[PI_MAX_RANK];
    bool has_dots;
    if (letters > t->rank)
        return pi_fail(err, PI_E_MODEL, "the equation gives input %u %d axes, it has rank %d", i, letters, t->rank);
    PI_TRY(read_term(at, t->rank - letters, label, &n, &has_dots, err));
    if (n != t->rank) return pi_fail(err, PI_E_MODEL, "the equation gives input %u %d axes, it has rank %d", i, n, t->rank);
    pi_move_strides(t->rank, t->dim, own);
    for (int k = 0; k < n; k++) {
        int64_t *d = &spec->dim[label[k]];
        seen[label[k]]++;
        if (*d < 0 || *d == 1) *d = t->dim[k];
        if (t->dim[k] != *d && t->dim[k] != 1)
            return pi_fail(err, PI_E_MODEL, "axis %d of input %u has length %lld, its label has %lld elsewhere", k, i,
                           (long long)t->dim[k], (long long)*d);
        if (stride && t->dim[k] != 1) stride[label[k]] += own[k];
    }
    return PI_E_OK;
}

static void add_output(pi_einsum *spec, int label) { spec->out[spec->n_out++] = label; }

pi_status pi_einsum_open(const pi_node *node, const pi_tensor *const *in, pi_einsum *spec, int64_t *stride, pi_error *err)
{
    const char *at = pi_attr_string(node, "equation");
    int seen[PI_EINSUM_LABELS] = {0}, label[PI_MAX_RANK], n, dots = 0;
    bool has_dots, wanted[PI_EINSUM_LABELS] = {false};
    spec->n_out = spec->n_sum = 0;
    for (int l = 0; l < PI_EINSUM_LABELS; l++) spec->dim[l] = -1;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (!in[i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", i);
        PI_TRY(read_input(&at, in[i], i, spec, seen, stride ? stride + (size_t)i * PI_EINSUM_LABELS : NULL, err));
        if (i + 1 < node->n_in && *at++ != ',')
            return pi_fail(err, PI_E_MODEL, "the equation has fewer terms than there are inputs");
    }
    if (*at == ',') return pi_fail(err, PI_E_MODEL, "the equation has more terms than there are inputs");
    while (dots < PI_MAX_RANK && spec->dim[DOTS + dots] >= 0) dots++;
    if (*at == '-') {
        if (*++at != '>') return pi_fail(err, PI_E_MODEL, "the equation has a '-' without '>'");
        at++;
        PI_TRY(read_term(&at, dots, label, &n, &has_dots, err));
        if (*at) return pi_fail(err, PI_E_MODEL, "the equation goes on behind its output");
        for (int k = 0; k < n; k++) {
            if (!seen[label[k]] || wanted[label[k]])
                return pi_fail(err, PI_E_MODEL, "a label of the output is %s", seen[label[k]] ? "repeated" : "in no input");
            wanted[label[k]] = true;
            add_output(spec, label[k]);
        }
    } else { /* the ellipsis, then what occurs once, in the order of the alphabet (capitals first) */
        for (int k = dots - 1; k >= 0; k--) add_output(spec, DOTS + k);
        for (int l = 0; l < 52; l++) {
            int upper = (l + 26) % 52;
            if (seen[upper] != 1) continue;
            if (spec->n_out == PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "the output has more than %d axes", PI_MAX_RANK);
            add_output(spec, upper);
        }
        for (int k = 0; k < spec->n_out; k++) wanted[spec->out[k]] = true;
    }
    for (int l = 0; l < PI_EINSUM_LABELS; l++)
        if (seen[l] && !wanted[l]) spec->sum[spec->n_sum++] = l;
    return PI_E_OK;
}

static pi_status einsum_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_einsum spec;
    int64_t dim[PI_MAX_RANK];
    if (node->n_in == 0) return pi_fail(err, PI_E_MODEL, "there are no inputs");
    PI_TRY(pi_einsum_open(node, in, &spec, NULL, err));
    for (int k = 0; k < spec.n_out; k++) dim[k] = spec.dim[spec.out[k]];
    return pi_move_shape(out, spec.n_out, dim, err);
}

static pi_status einsum_prepare(pi_prep *prep, pi_error *err)
{
    size_t bytes;
    if (!pi_mul(prep->node->n_in, PI_EINSUM_LABELS * sizeof(int64_t), &bytes) || !pi_add(bytes, sizeof(einsum_state), &bytes))
        return pi_fail(err, PI_E_LIMIT, "too many inputs");
    einsum_state *s = prep->state = pi_prep_alloc(prep, bytes, err);
    if (!s) return pi_alloc_status(err);
    s->n_in = prep->node->n_in;
    return pi_einsum_open(prep->node, prep->in, &s->s, s->stride, err);
}

typedef struct {
    const einsum_state *s;
    const pi_call *call;
    int64_t length, blocks; /* of the last output label */
} einsum_job;

/* Adds the product of all inputs at one place of the summed labels; offset[] are kept in at[label]. */
#define TERM(name, type, wide, READ)                                                                          \
    static void name(const einsum_job *job, const int64_t *at, int64_t first, int64_t n, wide *sum)           \
    {                                                                                                         \
        wide product[PI_BLOCK];                                                                               \
        type v[PI_BLOCK];                                                                                     \
        const pi_einsum *spec = &job->s->s;                                                                 \
        int last = spec->n_out ? spec->out[spec->n_out - 1] : -1;                                             \
        for (int64_t j = 0; j < n; j++) product[j] = 1;                                                       \
        for (uint32_t i = 0; i < job->s->n_in; i++) {                                                         \
            const int64_t *stride = job->s->stride + (size_t)i * PI_EINSUM_LABELS;                                      \
            const pi_tensor *t = job->call->in[i];                                                            \
            int64_t offset = 0, step = last < 0 ? 0 : stride[last];                                           \
            for (int k = 0; k < spec->n_out - 1; k++) offset += at[spec->out[k]] * stride[spec->out[k]];      \
            for (int k = 0; k < spec->n_sum; k++) offset += at[spec->sum[k]] * stride[spec->sum[k]];          \
            READ(t->dtype, pi_at(t->data, t->dtype, offset + first * step), step, n, v);                      \
            for (int64_t j = 0; j < n; j++) product[j] *= (wide)v[j];                                         \
        }                                                                                                     \
        for (int64_t j = 0; j < n; j++) sum[j] += product[j];                                                 \
    }
TERM(term_f64, double, double, pi_read_f64)
TERM(term_i64, int64_t, uint64_t, pi_read_i64)
#undef TERM

static void einsum_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const einsum_job *job = arg;
    const pi_einsum *s = &job->s->s;
    pi_tensor *y = job->call->out[0];
    bool integer = !pi_dtype_is_float(y->dtype);
    for (int64_t u = begin; u < end; u++) {
        union {
            double f[PI_BLOCK];
            uint64_t i[PI_BLOCK];
        } sum;
        int64_t at[PI_EINSUM_LABELS] = {0}, row = u / job->blocks, rest = row, first = u % job->blocks * PI_BLOCK;
        int64_t n = pi_min_i64(PI_BLOCK, job->length - first);
        int k;
        memset(&sum, 0, sizeof sum);
        for (k = s->n_out - 2; k >= 0; k--) {
            at[s->out[k]] = rest % s->dim[s->out[k]];
            rest /= s->dim[s->out[k]];
        }
        for (k = 0; k < s->n_sum && s->dim[s->sum[k]] > 0; k++) {}
        if (k == s->n_sum) do { /* not over an empty axis */
                if (integer)
                    term_i64(job, at, first, n, sum.i);
                else
                    term_f64(job, at, first, n, sum.f);
                for (k = s->n_sum - 1; k >= 0 && ++at[s->sum[k]] == s->dim[s->sum[k]]; k--) at[s->sum[k]] = 0;
            } while (k >= 0 && !pi_cancelled(job->call));
        void *to = pi_at_mut(y->data, y->dtype, row * job->length + first);
        if (integer)
            pi_write_i64(y->dtype, to, 1, n, (const int64_t *)sum.i);
        else
            pi_write_f64(y->dtype, to, 1, n, sum.f);
    }
}

static pi_status einsum_run(const pi_call *call, pi_error *err)
{
    const einsum_state *s = call->state;
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *y = call->out[0];
    int64_t total = pi_tensor_n(y);
    if (total == 0) return PI_E_OK;
    einsum_job job = {.s = s, .call = call, .length = y->rank ? y->dim[y->rank - 1] : 1};
    job.blocks = (job.length + PI_BLOCK - 1) / PI_BLOCK;
    pi_parallel(call->run->threads, total / job.length * job.blocks, 4, einsum_task, &job);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- one input, nothing to sum: a transpose, or a diagonal ---- */

static const char *copy_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    pi_einsum spec;
    if (node->n_in != 1) return "more than one input";
    if (pi_einsum_open(node, in, &spec, NULL, NULL) != PI_E_OK || spec.n_sum > 0) return "something is summed";
    return NULL;
}

static pi_status copy_run(const pi_call *call, pi_error *err)
{
    const einsum_state *s = call->state;
    pi_copy copy;
    int64_t dim[PI_MAX_RANK] = {0}, from[PI_MAX_RANK] = {0}, to[PI_MAX_RANK] = {0};
    PI_TRY(pi_move_outputs(call, err));
    for (int k = 0; k < s->s.n_out; k++) {
        dim[k] = s->s.dim[s->s.out[k]];
        from[k] = s->stride[s->s.out[k]];
    }
    pi_move_strides(s->s.n_out, dim, to);
    pi_copy_plan(&copy, pi_dtype_size(call->in[0]->dtype), s->s.n_out, dim, from, to);
    pi_move(call, &copy, call->in[0]->data, call->out[0]->data);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "copy", .refuse = copy_refuse, .prepare = einsum_prepare, .run = copy_run},
                                {.name = "product", .refuse = pi_einsum_product_refuse, .prepare = pi_einsum_product_prepare,
                                 .run = pi_einsum_product_run},
                                {.name = "ref", .prepare = einsum_prepare, .run = einsum_run}, {0}};

static const pi_attr_def attrs[] = {{.name = "equation", .kind = PI_ATTR_STRING, .required = true}, {0}};

static const pi_op rows[] = {
    {.name = "Einsum", .since = 12, .signature = "Inputs*:T -> Output:T", .T = PI_NUMBERS, .attrs = attrs,
     .infer = einsum_infer, .impls = impls},
};
const pi_op_family pi_ops_einsum = {rows, PI_COUNT(rows)};
