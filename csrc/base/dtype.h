/* SPDX-License-Identifier: Apache-2.0 */
/* Element types; the values are ONNX's TensorProto.DataType. */
#ifndef PI_BASE_DTYPE_H
#define PI_BASE_DTYPE_H
#include <stddef.h>
#include <stdint.h>

typedef enum {
    PI_DTYPE_NONE = 0, /* unknown */
#define X(name, id, short_name, bytes, bits, numpy) PI_DTYPE_##name = id,
#include "base/dtype.inc"
#undef X
    PI_DTYPE_COUNT,
    /* no element types: such a value is a scalar whose one element is a `pi_seq *`, see graph/seq.h */
    PI_DTYPE_SEQ = 30, /* a sequence of tensors */
    PI_DTYPE_OPT = 31, /* an optional: nothing, a tensor or a sequence */
} pi_dtype;

/* A set of dtypes is a bit mask: PI_BIT(F32) | PI_BIT(I64). */
typedef uint32_t pi_dtypes;
#define PI_BIT(name) ((pi_dtypes)1 << PI_DTYPE_##name)

#define PI_FLOATS (PI_BIT(F32) | PI_BIT(F64) | PI_BIT(F16) | PI_BIT(BF16))
#define PI_SIGNED_INTS (PI_BIT(I8) | PI_BIT(I16) | PI_BIT(I32) | PI_BIT(I64))
#define PI_UNSIGNED_INTS (PI_BIT(U8) | PI_BIT(U16) | PI_BIT(U32) | PI_BIT(U64))
#define PI_INTS (PI_SIGNED_INTS | PI_UNSIGNED_INTS)
#define PI_NUMBERS (PI_FLOATS | PI_INTS)
#define PI_ANY (((pi_dtypes)1 << PI_DTYPE_COUNT) - 2) /* all tensors */
#define PI_VALUES (PI_ANY | PI_BIT(SEQ) | PI_BIT(OPT))

static inline int pi_dtype_in(pi_dtype dtype, pi_dtypes set) { return (int)((set >> dtype) & 1); }

/* A sequence or an optional. */
static inline int pi_dtype_is_seq(pi_dtype dtype) { return dtype == PI_DTYPE_SEQ || dtype == PI_DTYPE_OPT; }

/* Bytes of one element in memory (0 for PI_DTYPE_NONE), bits of one in a file. */
size_t pi_dtype_size(pi_dtype dtype);
size_t pi_dtype_bits(pi_dtype dtype);
/* "f32", and "float32"; "?" for PI_DTYPE_NONE and anything out of range. */
const char *pi_dtype_name(pi_dtype dtype);
const char *pi_dtype_numpy(pi_dtype dtype);
/* PI_DTYPE_NONE if no dtype has this short name; `n` characters are compared. */
pi_dtype pi_dtype_find(const char *short_name, size_t n);
/* An id read from a file: PI_DTYPE_NONE if it is not one of ours. */
pi_dtype pi_dtype_from_id(int64_t id);
#endif
