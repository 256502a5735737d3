# SPDX-License-Identifier: Apache-2.0
"""What runs by default (oneDNN, vectors) against the plain reference: odd shapes, broadcasting, NaN and infinity."""

from __future__ import annotations

import io
import itertools
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from numpy.random import Generator

import pyinfer
from ops.node import forced, model_of, run

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 0.5, 2], np.float32)
SEEDS = range(12)


def normal(rng: Generator, *shape: int, special: bool = True) -> np.ndarray:
    x = np.asarray(rng.standard_normal(shape) * 3, np.float32)
    if special and x.size:
        flat = x.reshape(-1)
        for _ in range(int(rng.integers(0, 4))):
            flat[rng.integers(flat.size)] = rng.choice(SPECIAL)
    return x


def some_shape(rng: Generator, least: int = 0, most: int = 4) -> list[int]:
    choices = [1, 2, 3, 5, 7, 16, 17, 33, 64]
    shape = [int(rng.choice(choices)) for _ in range(rng.integers(least, most + 1))]
    while np.prod(shape) > 200_000:
        shape[int(np.argmax(shape))] = 2
    return shape


def part(rng: Generator, shape: list[int]) -> list[int]:
    """A shape that broadcasts to this one."""
    dims = [1 if rng.random() < 0.35 else d for d in shape]
    return dims[int(rng.integers(0, len(dims) + 1)) :] if rng.random() < 0.4 else dims


def same(op: str, inputs: list[Any], tolerance: float = 1e-5, **more: Any) -> None:
    want = run(op, inputs, impl="ref", **more)
    got = run(op, inputs, **more)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        wide = (g, w) if g.dtype.kind in "iub" else (g.astype(np.float64), w.astype(np.float64))
        finite = np.abs(wide[1][np.isfinite(wide[1])])
        scale = float(finite.max()) if finite.size else 1.0
        np.testing.assert_allclose(
            *wide, rtol=tolerance, atol=tolerance * min(max(scale, 1.0), 100.0)
        )


UNARY = [
    *"Neg Abs Sign Floor Ceil Round Sqrt Exp Log Erf Tanh Sigmoid Softplus Softsign Sin Cos".split(),
    *"Reciprocal Relu LeakyRelu Elu HardSigmoid HardSwish Gelu Mish IsNaN Selu Celu".split(),
]


@pytest.mark.parametrize("op", UNARY)
def test_unary(op: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        x = normal(rng, *some_shape(rng))
        if op in ("Sin", "Cos"):
            x = np.clip(x, -100, 100)
        same(op, [x])
        if op not in ("Sin", "Cos", "Exp"):
            narrow = ml_dtypes.bfloat16 if seed % 2 else np.float16
            with np.errstate(over="ignore"):
                same(op, [x.astype(narrow)], 1e-2)


def test_unary_is_fast() -> None:
    x = np.ones((3, 5), np.float32)
    for op in set(UNARY) - {"Celu"}:
        m = pyinfer.load(model_of(op, [x], opset=22))
        assert m.steps((x,), 0)[0][0][0]["impl"] == "simd", op


@pytest.mark.parametrize("op", "Add Sub Mul Div Min Max Equal Less Greater LessOrEqual".split())
def test_binary(op: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng)
        a, b = normal(rng, *part(rng, shape)), normal(rng, *part(rng, shape))
        if op == "Equal":
            a, b = np.round(a), np.round(b)
        same(op, [a, b])


TYPED = {
    **{"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Min": np.minimum, "Max": np.maximum},
    **{"Equal": np.equal, "Less": np.less, "Greater": np.greater},
    **{"LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal},
}


@pytest.mark.parametrize("op", TYPED)
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_binary_typed(op: str, dtype: str) -> None:
    """Operands of these types have loops of their own: the same bits as NumPy, overflow included."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng)
        pair = []
        for s in (part(rng, shape), part(rng, shape)):
            x = np.asarray(rng.integers(-3, 4, s), np.int64)
            if dtype != "float64" and seed % 3 == 0:
                x = np.asarray(rng.integers(-(2**31), 2**31, s)) * (
                    2**29 if dtype == "int64" else 1
                )
            pair.append(
                np.asarray(x.astype(dtype) if dtype != "float64" else normal(rng, *s), dtype)
            )
        with np.errstate(all="ignore"):
            want = TYPED[op](*pair)
        np.testing.assert_array_equal(run(op, pair)[0], want)


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_binary_bool(op: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng)
        a, b = rng.random(part(rng, shape)) < 0.5, rng.random(part(rng, shape)) < 0.5
        want = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}[op](a, b)
        np.testing.assert_array_equal(run(op, [np.asarray(a), np.asarray(b)])[0], want)


def test_cast_to_integers_saturates() -> None:
    x = np.array(
        [0.9, -0.9, 3e9, -3e9, 1e19, -1e19, np.inf, -np.inf, np.nan, 2.0**62] * 5, np.float32
    )
    top = np.iinfo(np.int64)
    want = [0, 0, 3000000000, -3000000000, top.max, top.min, top.max, top.min, 0, 2**62] * 5
    np.testing.assert_array_equal(run("Cast", [x], to=7)[0], np.array(want, np.int64))


@pytest.mark.parametrize("op", "Sum Mean Min Max".split())
def test_variadic(op: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng)
        same(op, [normal(rng, *part(rng, shape)) for _ in range(1 + seed % 4)])


@pytest.mark.parametrize("power", [2.0, 3.0, 0.5, -1.0, 1.7])
def test_pow(power: float) -> None:
    x = np.abs(normal(np.random.default_rng(1), 7, 33, special=False)) + np.float32(0.1)
    same("Pow", [x, np.float32(power)], constant=[1])
    same("Pow", [x, np.float32(power)])


def test_where_clip_prelu() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng, 1)
        x, y = normal(rng, *part(rng, shape)), normal(rng, *part(rng, shape))
        same("Where", [rng.random(part(rng, shape)) < 0.5, x, y], 0.0)
        same("Clip", [x, np.float32(-0.5), None if seed % 2 else np.float32(1)], 0.0)
        same("PRelu", [normal(rng, *shape), normal(rng, *part(rng, shape))])


@pytest.mark.parametrize("seed", SEEDS)
def test_softmax(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = some_shape(rng, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    x = normal(rng, *shape)
    same("Softmax", [x], axis=axis)
    same("LogSoftmax", [x], axis=axis)
    same("Softmax", [x], axis=abs(axis) % len(shape), opset=11)


REDUCE = "Sum Mean Max Min Prod L1 L2 LogSum LogSumExp SumSquare".split()


@pytest.mark.parametrize("kind", REDUCE)
def test_reduce(kind: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng, 1)
        x = normal(rng, *shape, special=kind in ("Max", "Min"))
        if kind in ("Prod", "LogSum"):
            x = np.abs(x) * np.float32(0.1) + np.float32(0.95)
        axes = rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False)
        same(f"Reduce{kind}", [x, np.sort(axes).astype(np.int64)], 2e-5, keepdims=seed % 2)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_arg(op: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        shape = some_shape(rng, 1)
        x = np.round(normal(rng, *shape))
        axis = int(rng.integers(0, len(shape)))
        same(op, [x], 0.0, axis=axis, select_last_index=seed % 2, keepdims=seed % 3 > 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_norms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = some_shape(rng, 2)
    shape[-1] = max(shape[-1], 5)  # two equal numbers have no variance to divide by
    x = normal(rng, *shape, special=False)
    axis = int(rng.integers(0, len(shape)))
    scale, bias = (normal(rng, *shape[axis:], special=False) for _ in range(2))
    same("LayerNormalization", [x, scale, bias], 5e-5, axis=axis, outputs=3)
    same("LayerNormalization", [x, scale, None], 5e-5, axis=axis)
    same("RMSNormalization", [x, scale], 5e-5, axis=axis)
    groups = int(rng.choice([1, 2, 4]))
    channels = groups * int(rng.choice([1, 2, 5]))
    y = normal(rng, 2, channels, 5, 7, special=False)
    scale, bias = (normal(rng, channels, special=False) for _ in range(2))
    same("GroupNormalization", [y, scale, bias], 5e-5, num_groups=groups)
    same("InstanceNormalization", [y, scale, bias], 5e-5)
    variance = np.abs(normal(rng, channels, special=False))
    same("BatchNormalization", [y, scale, bias, bias, variance], 5e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_pools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spatial = int(rng.integers(1, 4))
    x = normal(rng, 2, 3, *(int(rng.integers(5, 20)) for _ in range(spatial)))
    window: dict[str, Any] = {
        "kernel_shape": [int(rng.choice([1, 2, 3, 5])) for _ in range(spatial)],
        "strides": [int(rng.choice([1, 2, 3])) for _ in range(spatial)],
        "dilations": [int(rng.choice([1, 1, 2])) for _ in range(spatial)],
        "ceil_mode": seed % 2,
    }
    window["kernel_shape"] = [
        min(k, (n - 1) // d + 1)
        for k, n, d in zip(window["kernel_shape"], x.shape[2:], window["dilations"], strict=True)
    ]
    if seed % 3:
        window["pads"] = [int(k > 2) for k in window["kernel_shape"]] * 2
    else:
        window["auto_pad"] = "SAME_UPPER"
    same("MaxPool", [x], 0.0, **window)
    x = np.clip(x, -9, 9)
    same("AveragePool", [x], count_include_pad=seed % 2, **window)
    same("GlobalAveragePool", [x])
    same("GlobalMaxPool", [x], 0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = (int(rng.choice([1, 2, 7, 16, 17, 64])) for _ in range(3))
    batch = some_shape(rng, 0, 2)
    a = normal(rng, *part(rng, batch), m, k, special=False)
    b = normal(rng, *part(rng, batch), k, n, special=False)
    for constant in ([], [1]):
        same("MatMul", [a, b], 1e-4, constant=constant)
        same("MatMul", [a.reshape(-1)[:k], b], 1e-4, constant=constant)
    trans_a, trans_b = seed % 2, seed // 2 % 2
    a, b = normal(rng, m, k, special=False), normal(rng, k, n, special=False)
    biases = [None, *(normal(rng, *s, special=False) for s in ((n,), (1, n), (m, 1), (m, n), ()))]
    for c in biases:
        for constant in ([], [1, 2] if c is not None else [1]):
            same(
                "Gemm",
                [a.T.copy() if trans_a else a, b.T.copy() if trans_b else b, c],
                1e-4,
                constant=constant,
                transA=trans_a,
                transB=trans_b,
                alpha=0.5,
                beta=[1.0, 2.0][seed % 2],
            )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_convolutions(op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spatial, group = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 4]))
    inner, outer = (int(rng.choice([1, 2, 4, 8])) for _ in range(2))
    kernel = [int(rng.choice([1, 2, 3])) for _ in range(spatial)]
    x = normal(rng, 2, group * inner, *([9, 10, 11][:spatial]), special=False)
    first = (group * inner, outer) if op == "ConvTranspose" else (group * outer, inner)
    w, b = normal(rng, *first, *kernel, special=False), normal(rng, group * outer, special=False)
    window: dict[str, Any] = {
        "strides": [int(rng.choice([1, 2])) for _ in range(spatial)],
        "dilations": [int(rng.choice([1, 2])) for _ in range(spatial)],
        "pads": [int(k > 1) for k in kernel] * 2,
    }
    for constant in ([], [1, 2]):
        same(op, [x, w, b], 2e-4, constant=constant, group=group, **window)
        same(op, [x, w, None], 2e-4, constant=constant[:1], group=group)


@pytest.mark.parametrize("outer", [1, 2, 4])
def test_transposed_to_few_channels(outer: int) -> None:
    """Windows that tile the output; alone, and behind a convolution, which leaves its output channels-last."""
    rng = np.random.default_rng(outer)
    rows = (((3, 7), (2, 2)), ((2, 130), (1, 3)), ((1, 64), (4, 2)), ((65,), (5,)), ((2, 3, 5), (2, 1, 3)))
    for batch, ((size, kernel), bias) in itertools.product((1, 2), itertools.product(rows, (False, True))):
        x = normal(rng, batch, 5, *size, special=False)
        w = normal(rng, 5, outer, *kernel, special=False)
        b = normal(rng, outer, special=False) if bias else None
        model = model_of("ConvTranspose", [x, w, b], constant=[1], strides=kernel)
        mine = pyinfer.load(model)
        feeds = [x] if b is None else [x, b]
        assert "[few]" in str(mine.explain(*feeds)), (outer, size, kernel)
        same("ConvTranspose", [x, w, b], 2e-5, constant=[1], strides=kernel)
        before = torch.nn.functional.relu(torch.from_numpy(x))
        conv = getattr(torch.nn, f"ConvTranspose{len(size)}d")(5, outer, kernel, kernel, bias=bias)
        front = getattr(torch.nn, f"Conv{len(size)}d")(5, 5, 1)
        with torch.no_grad():
            want = torch.sigmoid(conv(front(before)))
        whole = torch.nn.Sequential(torch.nn.ReLU(), front, conv, torch.nn.Sigmoid())
        buffer = io.BytesIO()
        torch.onnx.export(whole, (torch.from_numpy(x),), buffer, dynamo=False)
        mine = pyinfer.load(buffer.getvalue(), threads=2)
        assert "[few]" in str(mine.explain(x)), (outer, size, kernel)
        np.testing.assert_allclose(mine(x), want.numpy(), atol=1e-5)


# channels, multiple, size, kernel, strides, dilations, pads: more than one band, windows of more rows than a kernel has weights
# in registers, that leave rows and columns out or see padding alone, images smaller than a register
PLANES: list[tuple[int, int, tuple[int, ...], tuple[int, ...], list[int], list[int], list[int]]] = [
    (3, 1, (33, 50), (3, 3), [1, 1], [1, 1], [1, 1, 1, 1]),
    (5, 1, (90, 101), (3, 3), [2, 2], [1, 1], [1, 1, 1, 1]),
    (2, 3, (30, 31), (5, 5), [2, 2], [1, 1], [1, 2, 2, 1]),
    (4, 1, (3, 2), (7, 7), [1, 1], [1, 1], [3, 3, 3, 3]),
    (2, 1, (25, 40), (2, 3), [3, 4], [2, 3], [2, 5, 0, 1]),
    (2, 2, (20, 9), (3, 1), [1, 1], [4, 1], [4, 0, 4, 0]),
    (3, 1, (7, 6), (7, 6), [9, 9], [1, 1], [0, 0, 0, 0]),
    (3, 1, (6, 5), (1, 1), [1, 2], [1, 1], [2, 9, 0, 1]),
    (4, 1, (400,), (31,), [1], [1], [15, 15]),
    (3, 1, (29, 37), (7, 7), [1, 1], [1, 1], [3, 3, 3, 3]),
    (3, 1, (35, 61), (16, 5), [2, 2], [1, 1], [2, 3, 9, 3]),
    (2, 2, (40, 70), (4, 5), [4, 5], [2, 3], [5, 7, 5, 7]),
    (2, 1, (5, 3), (2, 2), [2, 1], [1, 1], [1, 5, 6, 0]),
    (4, 1, (5000,), (8,), [3], [2], [0, 7]),
]


@pytest.mark.parametrize("case", PLANES, ids=str)
def test_depthwise_channels_first(case: Any) -> None:
    """A lone depthwise convolution is not turned to channels-last; with and without what goes into its epilogue."""
    channels, multiple, size, kernel, strides, dilations, pads = case
    rng = np.random.default_rng(len(str(case)))
    x = normal(rng, 2, channels, *size, special=False)
    w = normal(rng, channels * multiple, 1, *kernel, special=False)
    b = normal(rng, channels * multiple, special=False)
    rank = len(size)
    wide = torch.from_numpy(x).double()
    for before, after in zip(pads[:rank], pads[rank:], strict=True):  # the first spatial axis first
        wide = torch.nn.functional.pad(wide.movedim(2, -1), (before, after))
    convolve = getattr(torch.nn.functional, f"conv{rank}d")
    want = convolve(
        wide,
        torch.from_numpy(w).double(),
        torch.from_numpy(b).double(),
        strides,
        dilation=dilations,
        groups=channels,
    )
    more = {"strides": strides, "dilations": dilations, "pads": pads, "group": channels}
    plain = onnx.load_from_string(model_of("Conv", [x, w, b], constant=[1], **more))
    for act, done in ((None, want), ("Relu", want.relu()), ("Swish", torch.nn.functional.silu(want))):
        model = onnx.ModelProto()
        model.CopyFrom(plain)
        if act:
            model.opset_import[0].version = 24
            y = model.graph.output[0].name
            model.graph.node.append(onnx.helper.make_node(act, [y], ["acted"]))
            model.graph.output[0].name = "acted"
        for threads in (1, 2):
            mine = pyinfer.load(model.SerializeToString(), threads=threads)
            text = str(mine.explain(x, b))
            assert "[planes]" in text and "Transpose" not in text, text
            np.testing.assert_allclose(mine(x, b), done.numpy(), rtol=1e-4, atol=2e-4)


def test_grouped_convolution() -> None:
    """Blocks of pixels and groups that threads share: pointers at the window move from group to group."""
    rng = np.random.default_rng(3)
    x = normal(rng, 2, 96, 23, 29, special=False)
    w, b = normal(rng, 72, 12, 3, 3, special=False), normal(rng, 72, special=False)
    want = torch.nn.functional.conv2d(
        *(torch.from_numpy(a).double() for a in (x, w, b)), padding=1, groups=8
    )
    model = model_of("Conv", [x, w, b], constant=[1, 2], group=8, pads=[1] * 4)
    for threads in (1, 2, 3):
        with forced("own"):
            got = pyinfer.load(model, threads=threads)(x)
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("constant", [False, True])
def test_sixteen_bits(narrow: Any, constant: bool) -> None:
    """16-bit floats go through the f32 kernels, constants packed from their f32 form or not."""
    rng = np.random.default_rng(5)

    def some(*shape: int) -> np.ndarray:
        return normal(rng, *shape, special=False).astype(narrow)

    def both(op: str, inputs: list[Any], **more: Any) -> None:
        places = [i for i, x in enumerate(inputs) if i > 0 and x is not None] if constant else []
        same(op, inputs, 2e-2, constant=places, **more)

    x = some(2, 8, 9, 9)
    both("Conv", [x, some(16, 8, 3, 3), some(16)], pads=[1, 1, 1, 1])
    both("Conv", [x, some(8, 1, 3, 3), None], group=8)
    both("ConvTranspose", [x, some(8, 4, 2, 2), some(4)], strides=[2, 2])
    both("MatMul", [some(3, 7, 16), some(16, 24)])
    both("Gemm", [some(7, 16), some(24, 16), some(24)], transB=1)
    both("Gemm", [some(7, 16), some(24, 16), some(24)], transB=1, beta=0.5)
    both("LayerNormalization", [some(5, 64), some(64), some(64)])
    both("RMSNormalization", [some(5, 64), some(64)])
    both("InstanceNormalization", [x, some(8), some(8)])
    both("GroupNormalization", [x, some(8), some(8)], num_groups=2)
    both("BatchNormalization", [x, some(8), some(8), some(8), np.abs(some(8))])
    both("Softmax", [some(4, 33)])
    both("ReduceMean", [x, np.array([2, 3])])
    both("ReduceMax", [x, np.array([1])])
    both("ArgMax", [some(5, 40)], axis=1)
    both("MaxPool", [x], kernel_shape=[2, 2])
    both("AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    both("GlobalAveragePool", [x])


def test_einsum_copies() -> None:
    x = normal(np.random.default_rng(5), 3, 4, 3, 2)
    for equation in ("abcd->dbca", "abad->bad", "...d->d...", "abcd", "ABab->abAB"):
        wide = np.asarray(x[:, :, :, :1] if equation == "abcd" else x)
        want = np.einsum(equation, wide)
        np.testing.assert_array_equal(run("Einsum", [wide], equation=equation)[0], want)
        same("Einsum", [wide.astype(np.int32)], 0.0, equation=equation)


def test_nonzero_like_numpy() -> None:
    rng = np.random.default_rng(6)
    for shape in ([], [0], [5], [3, 1, 7], [2, 3, 4, 5], [4, 0, 3]):
        for x in (rng.integers(0, 2, shape), rng.random(shape) < 0.3, normal(rng, *shape) > 1):
            got = run("NonZero", [np.asarray(x)])[0]
            np.testing.assert_array_equal(got, np.array(np.nonzero(np.atleast_1d(x)), np.int64))


@pytest.mark.parametrize("most", [0, 1, 3, 40, 1000])
def test_nms_like_a_plain_loop(most: int) -> None:
    rng = np.random.default_rng(most)
    low = rng.random((2, 40, 2), np.float32) * 10
    boxes = np.concatenate([low, low + rng.random((2, 40, 2), np.float32) * 6], 2)
    scores = np.round(rng.random((2, 3, 40), np.float32), 1)  # with equal ones

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        both = float(np.prod(sides)) if (sides > 0).all() else 0.0
        return both / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - both)

    want: list[list[int]] = []
    for b, c in np.ndindex(2, 3):
        chosen: list[int] = []
        for i in sorted(np.nonzero(scores[b, c] > 0.3)[0], key=lambda i: (-scores[b, c, i], i)):
            if len(chosen) < most and all(iou(boxes[b, i], boxes[b, k]) <= 0.4 for k in chosen):
                chosen.append(int(i))
        want += [[b, c, i] for i in chosen]
    limits = [np.int64(most), np.float32(0.4), np.float32(0.3)]
    got = run("NonMaxSuppression", [boxes, scores, *(np.array([v]) for v in limits)])[0]
    np.testing.assert_array_equal(got, np.array(want, np.int64).reshape(-1, 3))


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("seed", range(6))
def test_typed_products(dtype: str, seed: int) -> None:
    """f64 and integers, which wrap, against NumPy: edges of tiles, transposes, batches, vectors, constants."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        if dtype == "float64":
            return rng.standard_normal(shape)
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)

    def compare(got: np.ndarray, want: np.ndarray) -> None:
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-11 if dtype == "float64" else 0, atol=1e-11)

    m, k, n = (int(rng.choice([1, 3, 12, 17, 40, 97])) for _ in range(3))
    k += int(rng.choice([0, 256, 300]))
    constant = (1,) if rng.random() < 0.5 else ()
    for a, b in (
        (some(m, k), some(k, n)),
        (some(3, 1, m, k), some(2, k, n)),
        (some(2, m, k), some(k, n)),
        (some(k), some(k, n)),
        (some(m, k), some(k)),
    ):
        compare(run("MatMul", [a, b], constant=constant)[0], a @ b)
    for c in (None, some(n), some(m, 1), some(m, n)):
        a, b = some(k, m), some(n, k)
        want = a.T @ b.T if c is None else a.T @ b.T + c
        compare(run("Gemm", [a, b, c], transA=1, transB=1, constant=constant)[0], want)
    if dtype == "float64":
        want = 0.5 * (a.T @ b.T) - 2 * c
        how = {"transA": 1, "transB": 1, "alpha": 0.5, "beta": -2.0}
        compare(run("Gemm", [a, b, c], constant=constant, **how)[0], want)
