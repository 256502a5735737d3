/* SPDX-License-Identifier: Apache-2.0 */
/* RandomNormal, RandomUniform, their Like forms, Bernoulli, Multinomial. Elements are drawn in order by one generator: results do
 * not depend on the number of threads. */
#include "ops/random.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "ops/element.h"
#include "ops/move.h"

void pi_random_start(pi_random *r, uint32_t seed)
{
    r->state[0] = seed;
    for (uint32_t i = 1; i < 624; i++) r->state[i] = 1812433253u * (r->state[i - 1] ^ r->state[i - 1] >> 30) + i;
    r->at = 624;
}

uint32_t pi_random_seed(void)
{
    struct timespec now = {0}; /* its address differs by thread */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = ((uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec ^ (uintptr_t)&now) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed >> 32);
}

static void random_refill(pi_random *r)
{
    for (int i = 0; i < 624; i++) {
        uint32_t y = (r->state[i] & 0x80000000u) | (r->state[(i + 1) % 624] & 0x7fffffffu);
        r->state[i] = r->state[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    r->at = 0;
}

uint32_t pi_random_bits(pi_random *r)
{
    if (r->at == 624) random_refill(r);
    uint32_t y = r->state[r->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

double pi_random_uniform(pi_random *r)
{
    uint32_t high = pi_random_bits(r) >> 5, low = pi_random_bits(r) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

double pi_random_normal(pi_random *r) /* Box and Muller's, one of the two */
{
    double u = 1 - pi_random_uniform(r), v = pi_random_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* A seed that is a whole number counts as that number. */
static void random_of(const pi_node *node, pi_random *r)
{
    const pi_attr *seed = pi_attr_find(node, "seed");
    uint32_t bits = seed ? pi_float_bits(seed->f) : pi_random_seed();
    if (seed && seed->f >= 0 && seed->f < 4294967296.0f && seed->f == floorf(seed->f)) bits = (uint32_t)seed->f;
    pi_random_start(r, bits);
}

/* dtype from the attribute; without it the input's, or F32. */
static pi_status random_dtype(const pi_node *node, const pi_tensor *like, pi_dtypes allowed, pi_tensor *out, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "dtype");
    out->dtype = a ? pi_dtype_from_id(a->i) : like ? like->dtype : (pi_dtype)pi_attr_int(node, "dtype");
    if (!pi_dtype_in(out->dtype, allowed))
        return pi_fail(err, PI_E_MODEL, "dtype %s is not possible here", pi_dtype_name(out->dtype));
    return PI_E_OK;
}

static pi_status random_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)in;
    pi_list shape;
    PI_TRY(random_dtype(node, NULL, PI_FLOATS, out, err));
    PI_TRY(pi_move_attr(node, "shape", &shape, err));
    return pi_move_shape(out, shape.n, shape.v, err);
}

static pi_status like_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(random_dtype(node, in[0], PI_FLOATS, out, err));
    return pi_move_shape(out, in[0]->rank, in[0]->dim, err);
}

static pi_status random_run(const pi_call *call, pi_error *err)
{
    bool normal = strncmp(call->node->op->name, "RandomN", 7) == 0;
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    double a = (double)pi_attr_float(call->node, normal ? "mean" : "low");
    double b = (double)pi_attr_float(call->node, normal ? "scale" : "high");
    pi_random r;
    random_of(call->node, &r);
    int64_t n = pi_tensor_n(out);
    for (int64_t i = 0; i < n; i++)
        pi_element_put(out->dtype, out->data, i, normal ? a + b * pi_random_normal(&r) : a + (b - a) * pi_random_uniform(&r));
    return PI_E_OK;
}

static pi_status bernoulli_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(random_dtype(node, in[0], PI_NUMBERS | PI_BIT(BOOL), out, err));
    return pi_move_shape(out, in[0]->rank, in[0]->dim, err);
}

static pi_status bernoulli_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    pi_random r;
    random_of(call->node, &r);
    int64_t n = pi_tensor_n(out);
    for (int64_t i = 0; i < n; i++) {
        double p = pi_element_get(call->in[0]->dtype, call->in[0]->data, i);
        pi_element_put(out->dtype, out->data, i, pi_random_uniform(&r) < p);
    }
    return PI_E_OK;
}

static pi_status multinomial_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(random_dtype(node, NULL, PI_BIT(I32) | PI_BIT(I64), out, err));
    if (in[0]->rank != 2) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected 2", in[0]->rank);
    int64_t dim[2] = {in[0]->dim[0], pi_attr_int(node, "sample_size")};
    if (in[0]->dim[1] == 0 && dim[0] > 0) return pi_fail(err, PI_E_MODEL, "there are no classes to draw from");
    return pi_move_shape(out, 2, dim, err);
}

/* The input holds logarithms of weights; draws by the sum that first exceeds u, after the largest is subtracted. */
static pi_status multinomial_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *in = call->in[0];
    pi_tensor *out = call->out[0];
    pi_random r;
    random_of(call->node, &r);
    int64_t classes = in->dim[1], samples = out->dim[1];
    for (int64_t b = 0; b < in->dim[0]; b++) {
        double top = -INFINITY, total = 0;
        for (int64_t c = 0; c < classes; c++) top = fmax(top, pi_element_get(in->dtype, in->data, b * classes + c));
        for (int64_t c = 0; c < classes; c++) total += exp(pi_element_get(in->dtype, in->data, b * classes + c) - top);
        for (int64_t s = 0; s < samples; s++) {
            double u = pi_random_uniform(&r) * total, sum = 0;
            int64_t c = 0;
            for (; c < classes - 1; c++) {
                sum += exp(pi_element_get(in->dtype, in->data, b * classes + c) - top);
                if (sum > u) break;
            }
            pi_element_put(out->dtype, out->data, b * samples + s, (double)c);
        }
    }
    return PI_E_OK;
}

static const pi_impl random_impls[] = {{.name = "ref", .run = random_run}, {0}};
static const pi_impl bernoulli_impls[] = {{.name = "ref", .run = bernoulli_run}, {0}};
static const pi_impl multinomial_impls[] = {{.name = "ref", .run = multinomial_run}, {0}};

#define SEED {.name = "seed", .kind = PI_ATTR_FLOAT}
#define SHAPE {.name = "shape", .kind = PI_ATTR_INTS, .required = true}
static const pi_attr_def normal_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT, .i = 1},
                                           {.name = "mean", .kind = PI_ATTR_FLOAT, .f = 0},
                                           {.name = "scale", .kind = PI_ATTR_FLOAT, .f = 1},
                                           SEED, SHAPE, {0}};
static const pi_attr_def uniform_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT, .i = 1},
                                            {.name = "high", .kind = PI_ATTR_FLOAT, .f = 1},
                                            {.name = "low", .kind = PI_ATTR_FLOAT, .f = 0},
                                            SEED, SHAPE, {0}};
static const pi_attr_def normal_like_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT},
                                                {.name = "mean", .kind = PI_ATTR_FLOAT, .f = 0},
                                                {.name = "scale", .kind = PI_ATTR_FLOAT, .f = 1},
                                                SEED, {0}};
static const pi_attr_def uniform_like_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT},
                                                 {.name = "high", .kind = PI_ATTR_FLOAT, .f = 1},
                                                 {.name = "low", .kind = PI_ATTR_FLOAT, .f = 0},
                                                 SEED, {0}};
static const pi_attr_def bernoulli_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT}, SEED, {0}};
static const pi_attr_def multinomial_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT, .i = 6},
                                                {.name = "sample_size", .kind = PI_ATTR_INT, .i = 1},
                                                SEED, {0}};

static const pi_op rows[] = {
    {.name = "RandomNormal", .since = 1, .signature = "-> output:any", .flags = PI_OP_RANDOM, .attrs = normal_attrs,
     .infer = random_infer, .impls = random_impls},
    {.name = "RandomUniform", .since = 1, .signature = "-> output:any", .flags = PI_OP_RANDOM, .attrs = uniform_attrs,
     .infer = random_infer, .impls = random_impls},
    {.name = "RandomNormalLike", .since = 1, .signature = "input:T -> output:any", .T = PI_ANY, .flags = PI_OP_RANDOM,
     .attrs = normal_like_attrs, .infer = like_infer, .impls = random_impls},
    {.name = "RandomUniformLike", .since = 1, .signature = "input:T -> output:any", .T = PI_ANY, .flags = PI_OP_RANDOM,
     .attrs = uniform_like_attrs, .infer = like_infer, .impls = random_impls},
    {.name = "Bernoulli", .since = 15, .signature = "input:T -> output:any", .T = PI_FLOATS, .flags = PI_OP_RANDOM,
     .attrs = bernoulli_attrs, .infer = bernoulli_infer, .impls = bernoulli_impls},
    {.name = "Multinomial", .since = 7, .signature = "input:T -> output:any", .T = PI_FLOATS, .flags = PI_OP_RANDOM,
     .attrs = multinomial_attrs, .infer = multinomial_infer, .impls = multinomial_impls},
};
const pi_op_family pi_ops_random = {rows, PI_COUNT(rows)};
