# SPDX-License-Identifier: Apache-2.0
"""The operators that ops.py times: one node each, at a size that real models have.

Weights, shapes and axes are initializers, as exporters write them; everything else is an input of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
rng = np.random.default_rng(7)


def f32(*shape: int, scale: float = 1.0) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape, np.float32) * np.float32(scale))


def f16(*shape: int) -> np.ndarray:
    return f32(*shape).astype(np.float16)


def f64(*shape: int) -> np.ndarray:
    return f32(*shape).astype(np.float64)


def ints(low: int, high: int, *shape: int, dtype: Any = np.int64) -> np.ndarray:
    return rng.integers(low, high, shape, dtype)


def i64(*values: int) -> Const:
    return Const(np.array(values, np.int64))


@dataclass
class Const:
    """An initializer."""

    value: np.ndarray


@dataclass
class Case:
    op: str
    note: str
    inputs: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = OPSET
    nodes: tuple[str, ...] = ()  # "y0 = Mul x0 x1": several nodes instead of one

    @property
    def name(self) -> str:
        return f"{self.op} {self.note}".strip()

    def feeds(self) -> dict[str, np.ndarray]:
        return {f"x{i}": v for i, v in enumerate(self.inputs) if isinstance(v, np.ndarray)}

    def model(self) -> onnx.ModelProto:
        """The graph's outputs have no type written: every engine finds it."""
        names = ["" if v is None else f"x{i}" for i, v in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        nodes = [helper.make_node(self.op, names, outputs, name="node", **self.attrs)]
        if self.nodes:
            parts = [line.replace(" =", "").split() for line in self.nodes]
            nodes = [helper.make_node(op, ins, [out], name=out) for out, op, *ins in parts]
        feeds = [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in self.feeds().items()
        ]
        constants = [
            numpy_helper.from_array(v.value, f"x{i}")
            for i, v in enumerate(self.inputs)
            if isinstance(v, Const)
        ]
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(nodes, "one", feeds, results, constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10
        )


CASES: list[Case] = []


def add(
    op: str, note: str, *inputs: Any, outputs: int = 1, opset: int = OPSET, **attrs: Any
) -> None:
    CASES.append(Case(op, note, inputs, attrs, outputs, opset))


def tree(note: str, inputs: tuple[Any, ...], *nodes: str) -> None:
    CASES.append(Case("Eltwise", note, inputs, nodes=nodes))


def weights(*shape: int) -> Const:
    return Const(f32(*shape, scale=0.05))


def elementwise() -> None:
    for op in "Relu Sigmoid Tanh Exp Erf Sqrt Neg Abs HardSwish Mish Softplus Elu Floor Round Sin Gelu".split():
        x = f32(1, 64, 56, 56)
        add(op, "64x56x56", np.abs(x) if op == "Sqrt" else x)
    add("Log", "64x56x56", np.abs(f32(1, 64, 56, 56)) + 1)
    add("LeakyRelu", "64x56x56", f32(1, 64, 56, 56), alpha=0.1)
    add("Clip", "64x56x56", f32(1, 64, 56, 56), Const(np.float32(0)), Const(np.float32(6)))
    add("PRelu", "64x56x56", f32(1, 64, 56, 56), weights(64, 1, 1))
    for op in "Add Mul Div Max".split():
        add(op, "same 128x3072", f32(128, 3072), f32(128, 3072))
    add("Add", "row 128x3072", f32(128, 3072), weights(3072))
    add("Mul", "channel 64x56x56", f32(1, 64, 56, 56), f32(1, 64, 1, 1))
    add("Sub", "column 512x768", f32(512, 768), f32(512, 1))
    add("Add", "both ways 512x1 + 1x768", f32(512, 1), f32(1, 768))
    add("Mul", "scalar", f32(128, 3072), Const(np.float32(0.125)))
    add("Pow", "square", f32(128, 3072), Const(np.float32(2)))
    add("Pow", "1.7", np.abs(f32(128, 768)), Const(np.float32(1.7)))
    add("Greater", "128x3072", f32(128, 3072), f32(128, 3072))
    add("Equal", "i64 row", ints(0, 9, 128, 1), ints(0, 9, 1, 1024))
    add("And", "128x3072", f32(128, 3072) > 0, f32(128, 3072) > 0)
    add("Add", "i64", ints(0, 9, 128, 1024), ints(0, 9, 128, 1024))
    add("Add", "f16", f16(128, 3072), f16(128, 3072))
    add("Add", "f64", f64(128, 1024), f64(128, 1024))
    add("Exp", "f64", f64(128, 1024))
    number = [Const(np.float32(v)) for v in (1.7, 0.25, -2.0, 2.0, 3.0)]
    x = f32(1024, 1024)
    tree("8 in a row, 1M", (x, *number), "a = Mul x0 x1", "b = Add a x2", "c = Clip b x3 x4", "d = Sub c x5", "e = Div d x5",
         "f = Sigmoid e", "g = Mul f x1", "y0 = Sqrt g")  # fmt: skip
    tree("8 cheap ones in a row, 1M", (x, *number), "a = Mul x0 x1", "b = Add a x2", "c = Max b x3", "d = Min c x4", "e = Sub d x5",
         "f = Mul e x1", "g = Abs f", "y0 = Add g x2")  # fmt: skip
    tree("tree, rows and columns, 1M", (f32(64, 128, 128), f32(64, 1, 1), f32(128), f32(64, 128, 128), f32(128, 1)), "a = Sub x0 x1",
         "b = Mul a x2", "c = Tanh b", "d = Mul x3 x4", "e = Add c d", "f = Max e x1", "y0 = Mul f c")  # fmt: skip
    tree("tree, 1024x7x7 with channels", (f32(1, 1024, 7, 7), f32(1024, 1, 1), f32(1024, 1, 1)), "a = Mul x0 x1", "b = Add a x2",
         "c = HardSwish b", "y0 = Add c x0")  # fmt: skip
    tree("channels last, 80x80x96", (f32(1, 80, 80, 96), f32(96), f32(1, 80, 80, 96)), "a = Mul x0 x1", "b = Add x0 a",
         "y0 = Add b x2")  # fmt: skip
    tree(
        "columns, 6400x96",
        (f32(6400, 96), f32(6400, 1), f32(6400, 96)),
        "a = Sub x0 x1",
        "b = Mul x2 a",
        "y0 = Add b x1",
    )
    tree(
        "3 in a row, 128x48",
        (f32(128, 48), f32(48), f32(128, 48)),
        "a = Mul x0 x1",
        "b = Relu a",
        "y0 = Add b x2",
    )
    add("Sigmoid", "f16", f16(128, 1024))
    add("Where", "128x3072", f32(128, 3072) > 0, f32(128, 3072), f32(128, 3072))
    add(
        "Where",
        "mask 12x128x128",
        f32(1, 1, 128, 128) > 0,
        f32(1, 12, 128, 128),
        Const(np.float32(-1e9)),
    )
    for note, x, to in (
        ("f32 to f16", f32(128, 3072), TensorProto.FLOAT16),
        ("f16 to f32", f16(128, 3072), TensorProto.FLOAT),
        ("f32 to i64", f32(128, 1024, scale=9), TensorProto.INT64),
        ("i64 to f32", ints(0, 99, 128, 1024), TensorProto.FLOAT),
        ("u8 to f32", ints(0, 255, 3, 640, 640, dtype=np.uint8), TensorProto.FLOAT),
        ("bool to f32", f32(128, 1024) > 0, TensorProto.FLOAT),
    ):
        add("Cast", note, x, to=to)


def reductions() -> None:
    for op in ("Softmax", "LogSoftmax"):
        add(op, "last 12x128x128", f32(1, 12, 128, 128), axis=-1)
        add(op, "middle 21x4096", f32(1, 21, 4096), axis=1)
    add("Softmax", "last 16", f32(1, 4, 2100, 16), axis=-1)
    add("Softmax", "f64", f64(128, 1000), axis=-1)
    add("Softmax", "f16", f16(12, 128, 128), axis=-1)
    x = f32(64, 56, 112)
    for op in ("ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2"):
        for note, axis in (("last", 2), ("middle", 1), ("first", 0)):
            add(op, note, x, i64(axis), keepdims=0)
    add("ReduceMean", "plane", f32(1, 256, 28, 28), i64(2, 3))
    add("ReduceProd", "last", f32(512, 512), i64(1))
    add("ReduceLogSumExp", "last", f32(512, 512), i64(1))
    add("ReduceSum", "all f64", f64(512, 512), keepdims=0)
    add("ReduceSum", "i64 last", ints(0, 9, 512, 512), i64(1))
    for note, axis in (("last", -1), ("channel", 1)):
        add("ArgMax", note, f32(1, 21, 128, 128), axis=axis)
    add("CumSum", "last", f32(128, 1024), i64(1))
    add("CumSum", "first", f32(1024, 128), i64(0))
    add("TopK", "100 of 8400", f32(1, 8400), i64(100), axis=-1, outputs=2)
    add("TopK", "5 of 1000", f32(64, 1000), i64(5), axis=-1, outputs=2)
    add("TopK", "axis 1", f32(1, 1000, 80), i64(10), axis=1, outputs=2)
    add("TopK", "all 1000", f32(8, 1000), i64(1000), axis=-1, outputs=2)


def normalisation() -> None:
    add("LayerNormalization", "128x768", f32(1, 128, 768), weights(768), weights(768), axis=-1)
    add("LayerNormalization", "3136x96", f32(1, 3136, 96), weights(96), weights(96), axis=-1)
    add("RMSNormalization", "128x768", f32(1, 128, 768), weights(768), axis=-1, opset=23)
    add(
        "GroupNormalization",
        "32 of 320x32x32",
        f32(1, 320, 32, 32),
        weights(320),
        weights(320),
        num_groups=32,
    )
    add("InstanceNormalization", "64x64x64", f32(1, 64, 64, 64), weights(64), weights(64))
    w = [weights(64), weights(64), weights(64), Const(np.abs(f32(64)) + 1)]
    add("BatchNormalization", "64x56x56", f32(1, 64, 56, 56), *w)
    add("LpNormalization", "512x768", f32(512, 768), axis=-1, p=2)
    add("MeanVarianceNormalization", "8x64x32x32", f32(8, 64, 32, 32))
    add("LRN", "64x28x28", f32(1, 64, 28, 28), size=5)


def products() -> None:
    add("MatMul", "512x512x512", f32(512, 512), weights(512, 512))
    add("MatMul", "both inputs 256", f32(256, 256), f32(256, 256))
    add("MatMul", "128x768x3072", f32(1, 128, 768), weights(768, 3072))
    add("MatMul", "batched 12x128x64x128", f32(1, 12, 128, 64), f32(1, 12, 64, 128))
    add("MatMul", "vector 1x768x3072", f32(1, 768), weights(768, 3072))
    add("MatMul", "matrix by vector", f32(1024, 1024), f32(1024))
    add("MatMul", "skinny 4x2048x512", f32(4, 2048), weights(2048, 512))
    add("MatMul", "few columns 4096x256x4", f32(4096, 256), weights(256, 4))
    add("MatMul", "small 64x8x8x8", f32(64, 8, 8), f32(64, 8, 8))
    add("MatMul", "f64 256", f64(256, 256), f64(256, 256))
    add("MatMul", "f16 256", f16(256, 256), Const(f16(256, 256)))
    add(
        "MatMul",
        "i32 128",
        ints(-9, 9, 128, 128, dtype=np.int32),
        ints(-9, 9, 128, 128, dtype=np.int32),
    )
    add("Gemm", "transB 32x2048x1000", f32(32, 2048), weights(1000, 2048), weights(1000), transB=1)
    add("Gemm", "transA 256", f32(256, 256), weights(256, 256), weights(256), transA=1, alpha=0.5)
    add(
        "Einsum",
        "bhid,bhjd->bhij",
        f32(1, 12, 128, 64),
        f32(1, 12, 128, 64),
        equation="bhid,bhjd->bhij",
    )
    add("Einsum", "bij,bjk->ik", f32(4, 128, 128), f32(4, 128, 128), equation="bij,bjk->ik")
    add("Einsum", "ij->ji", f32(512, 768), equation="ij->ji")
    q = (f32(1, 12, 128, 64), f32(1, 12, 128, 64), f32(1, 12, 128, 64))
    add("Attention", "12x128x64", *q, opset=23)
    cache = (f32(1, 12, 512, 64), f32(1, 12, 512, 64))
    add("Attention", "12x1x64 of 512", f32(1, 12, 1, 64), *cache, opset=23)
    angles = (weights(2048, 64), weights(2048, 64), np.arange(128).reshape(1, 128))
    for note, interleaved in (("32x128x128", 0), ("interleaved 32x128x128", 1)):
        add(
            "RotaryEmbedding",
            note,
            f32(1, 32, 128, 128),
            *angles,
            interleaved=interleaved,
            opset=23,
        )


def convolutions() -> None:
    def conv(
        note: str, x: tuple[int, ...], w: tuple[int, ...], op: str = "Conv", **attrs: Any
    ) -> None:
        k = w[2:]
        bias = w[0] if op == "Conv" else w[1] * attrs.get("group", 1)
        attrs.setdefault("pads", [s // 2 for s in k] * 2)
        add(op, note, f32(*x), weights(*w), weights(bias), kernel_shape=list(k), **attrs)

    conv("1x1 256 to 64, 56", (1, 256, 56, 56), (64, 256, 1, 1))
    conv("3x3 64, 56", (1, 64, 56, 56), (64, 64, 3, 3))
    conv("3x3 512, 7", (1, 512, 7, 7), (512, 512, 3, 3))
    conv("3x3 stride 2", (1, 64, 56, 56), (128, 64, 3, 3), strides=[2, 2])
    conv("7x7 stem", (1, 3, 224, 224), (64, 3, 7, 7), strides=[2, 2])
    conv("16x16 patches", (1, 3, 224, 224), (192, 3, 16, 16), strides=[16, 16], pads=[0] * 4)
    conv("grouped 32", (1, 256, 28, 28), (256, 8, 3, 3), group=32)
    conv("depthwise 3x3", (1, 144, 56, 56), (144, 1, 3, 3), group=144)
    conv("depthwise 7x7", (1, 96, 56, 56), (96, 1, 7, 7), group=96)
    conv("depthwise stride 2", (1, 96, 112, 112), (96, 1, 3, 3), group=96, strides=[2, 2])
    conv("dilated 2", (1, 64, 56, 56), (64, 64, 3, 3), dilations=[2, 2], pads=[2] * 4)
    conv("1-d 128, 1000", (1, 128, 1000), (128, 128, 3))
    conv("1-d depthwise 31", (1, 256, 400), (256, 1, 31), group=256)
    conv("3-d 16, 16x32x32", (1, 16, 16, 32, 32), (32, 16, 3, 3, 3))
    conv("batch 8, 14", (8, 256, 14, 14), (256, 256, 3, 3))
    conv("one channel out", (1, 64, 64, 64), (1, 64, 3, 3))
    for note, x, w, stride, pad in (
        ("2x2 stride 2", (1, 128, 28, 28), (128, 64, 2, 2), 2, 0),
        ("4x4 stride 2", (1, 64, 28, 28), (64, 32, 4, 4), 2, 1),
        ("to one channel", (1, 24, 80, 80), (24, 1, 2, 2), 2, 0),
        ("1-d", (1, 128, 200), (128, 64, 16), 8, 4),
    ):
        axes = len(x) - 2
        conv(note, x, w, "ConvTranspose", strides=[stride] * axes, pads=[pad] * 2 * axes)
    for op in ("MaxPool", "AveragePool"):
        add(
            op,
            "3x3 stride 2",
            f32(1, 64, 112, 112),
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1] * 4,
        )
        add(op, "2x2 stride 2", f32(1, 64, 56, 56), kernel_shape=[2, 2], strides=[2, 2])
    add("MaxPool", "5x5 stride 1", f32(1, 256, 20, 20), kernel_shape=[5, 5], pads=[2] * 4)
    add("MaxPool", "1-d", f32(1, 128, 1000), kernel_shape=[3], strides=[2])
    add("MaxPool", "3-d", f32(1, 16, 16, 56, 56), kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    add("GlobalAveragePool", "2048x7x7", f32(1, 2048, 7, 7))
    add("GlobalMaxPool", "512x14x14", f32(1, 512, 14, 14))
    add("LpPool", "2x2", f32(1, 64, 56, 56), kernel_shape=[2, 2], strides=[2, 2])


def movement() -> None:
    for shape, perm in (
        ((1, 64, 56, 56), (0, 2, 3, 1)),
        ((1, 56, 56, 64), (0, 3, 1, 2)),
        ((1, 3, 640, 640), (0, 2, 3, 1)),
        ((1, 128, 12, 64), (0, 2, 1, 3)),
        ((1, 12, 128, 64), (0, 1, 3, 2)),
        ((1024, 1024), (1, 0)),
        ((512, 512), (1, 0)),
        ((1000, 1000), (1, 0)),
        ((8, 7, 8, 7, 96), (0, 2, 1, 3, 4)),
        ((32, 32, 32, 32), (3, 2, 1, 0)),
        ((2, 32, 28, 28, 2), (0, 4, 1, 2, 3)),
    ):
        add(
            "Transpose",
            f"{'x'.join(map(str, shape))} {''.join(map(str, perm))}",
            f32(*shape),
            perm=perm,
        )
    add("Transpose", "f16 1024x1024", f16(1024, 1024), perm=(1, 0))
    add("Transpose", "u8 480x640x3 201", ints(0, 255, 480, 640, 3, dtype=np.uint8), perm=(2, 0, 1))
    add("Concat", "channels", f32(1, 64, 56, 56), f32(1, 32, 56, 56), axis=1)
    add("Concat", "last", f32(512, 64), f32(512, 64), f32(512, 3), axis=1)
    add("Split", "last in 3", f32(1, 128, 2304), axis=-1, num_outputs=3, outputs=3)
    add("Split", "channels in 2", f32(1, 64, 56, 56), axis=1, num_outputs=2, outputs=2)
    add("Slice", "every second", f32(1, 16, 160, 160), i64(0), i64(9999), i64(3), i64(2))
    add("Slice", "middle", f32(1, 64, 56, 56), i64(1, 1), i64(55, 55), i64(2, 3))
    add("Slice", "reversed", f32(128, 1024), i64(-1), i64(-9999), i64(1), i64(-1))
    for mode in ("constant", "reflect", "edge"):
        add("Pad", mode, f32(1, 64, 56, 56), i64(0, 0, 1, 1, 0, 0, 1, 1), mode=mode)
    add("Tile", "1x4x2", f32(16, 64, 64), i64(1, 4, 2))
    add("Expand", "rows", f32(1, 1, 1024), i64(1, 512, 1024))
    add("Expand", "columns", f32(512, 1), i64(512, 1024))
    add("DepthToSpace", "DCR", f32(1, 48, 160, 160), blocksize=4)
    add("DepthToSpace", "CRD", f32(1, 48, 160, 160), blocksize=4, mode="CRD")
    add("SpaceToDepth", "2", f32(1, 16, 160, 160), blocksize=2)
    add("Gather", "embedding", weights(30000, 384), ints(0, 30000, 1, 128))
    add("Gather", "last axis", f32(512, 768), ints(0, 768, 64), axis=1)
    add("GatherElements", "last", f32(512, 768), ints(0, 768, 512, 256), axis=1)
    add("GatherElements", "first", f32(768, 512), ints(0, 768, 256, 512), axis=0)
    add("GatherND", "rows", f32(64, 64, 256), ints(0, 64, 1000, 2))
    add("GatherND", "single", f32(512, 512), ints(0, 512, 20000, 2))
    add("ScatterElements", "last", f32(512, 768), ints(0, 768, 512, 64), f32(512, 64), axis=1)
    add(
        "ScatterElements",
        "add",
        f32(512, 768),
        ints(0, 512, 64, 768),
        f32(64, 768),
        axis=0,
        reduction="add",
    )
    add("ScatterND", "rows", f32(64, 64, 256), ints(0, 64, 500, 2), f32(500, 256))
    add("NonZero", "512x512", f32(512, 512) > 1)
    add(
        "OneHot",
        "1000x512",
        ints(0, 512, 1000),
        Const(np.int64(512)),
        Const(np.array([0, 1], np.float32)),
        axis=-1,
    )
    add("Unique", "10000", ints(0, 500, 10000), outputs=1, sorted=1)
    add("Range", "100000", Const(np.int64(0)), np.array(100000, np.int64), Const(np.int64(1)))
    add("Trilu", "12x128x128", f32(1, 12, 128, 128), upper=0)
    add("Compress", "rows", f32(1024, 256), f32(1024) > 0, axis=0)
    add(
        "ReverseSequence", "64x16x128", f32(64, 16, 128), ints(1, 64, 16), batch_axis=1, time_axis=0
    )
    add("ConstantOfShape", "128x3072", np.array([128, 3072], np.int64))
    add("EyeLike", "512", f32(512, 512))
    add("IsNaN", "128x3072", f32(128, 3072))


def images() -> None:
    def resize(note: str, shape: tuple[int, ...], scales: tuple[float, ...], **attrs: Any) -> None:
        add("Resize", note, f32(*shape), None, Const(np.array(scales, np.float32)), **attrs)

    for mode in ("nearest", "linear", "cubic"):
        resize(f"{mode} up 2", (1, 64, 40, 40), (1, 1, 2, 2), mode=mode)
        resize(f"{mode} down 2", (1, 64, 80, 80), (1, 1, 0.5, 0.5), mode=mode)
    resize("nearest up 2 asymmetric", (1, 128, 40, 40), (1, 1, 2, 2), mode="nearest",
           coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    resize("linear align corners x1.5", (1, 64, 40, 40), (1, 1, 1.5, 1.5), mode="linear",
           coordinate_transformation_mode="align_corners")  # fmt: skip
    resize(
        "linear antialias down 4", (1, 3, 640, 640), (1, 1, 0.25, 0.25), mode="linear", antialias=1
    )
    grid = (rng.random((1, 40, 40, 2), np.float32) * 2.2 - 1.1).astype(np.float32)
    add("GridSample", "linear", f32(1, 32, 80, 80), grid, mode="linear", align_corners=0)
    add("GridSample", "nearest", f32(1, 32, 80, 80), grid, mode="nearest", padding_mode="border")
    add("GridSample", "cubic", f32(1, 32, 80, 80), grid, mode="cubic")
    corner = rng.random((100, 2), np.float32) * 300
    boxes = np.concatenate([corner, corner + rng.random((100, 2), np.float32) * 200 + 5], 1).astype(
        np.float32
    )
    add("RoiAlign", "100 of 7x7", f32(1, 64, 50, 50), boxes, np.zeros(100, np.int64), output_height=7, output_width=7,
        sampling_ratio=2, spatial_scale=0.1)  # fmt: skip
    corner = rng.random((1, 2000, 2), np.float32) * 600
    boxes = np.concatenate(
        [corner, corner + rng.random((1, 2000, 2), np.float32) * 80 + 5], 2
    ).astype(np.float32)
    limits = [i64(100), Const(np.array([0.5], np.float32)), Const(np.array([0.25], np.float32))]
    add(
        "NonMaxSuppression",
        "2000 boxes, 10 classes",
        boxes,
        rng.random((1, 10, 2000), np.float32),
        *limits,
    )


def quantised() -> None:
    one, u8, s8 = Const(np.float32(0.02)), Const(np.uint8(128)), Const(np.int8(0))
    x = ints(0, 255, 1, 64, 56, 56, dtype=np.uint8)
    w = Const(ints(-127, 127, 64, 64, 3, 3, dtype=np.int8))
    add("QuantizeLinear", "u8", f32(1, 64, 56, 56), one, u8)
    add(
        "QuantizeLinear",
        "s8 channels",
        f32(1, 64, 56, 56),
        Const(np.abs(f32(64)) + 1),
        Const(np.zeros(64, np.int8)),
        axis=1,
    )
    add("DequantizeLinear", "u8", x, one, u8)
    add("DynamicQuantizeLinear", "128x768", f32(128, 768), outputs=3)
    add("QLinearConv", "3x3 64, 56", x, one, u8, w, one, s8, one, u8, pads=[1] * 4)
    add(
        "ConvInteger",
        "3x3 64, 28",
        ints(0, 255, 1, 64, 28, 28, dtype=np.uint8),
        w,
        u8,
        pads=[1] * 4,
    )
    a, b = ints(0, 255, 128, 768, dtype=np.uint8), Const(ints(-127, 127, 768, 768, dtype=np.int8))
    add("QLinearMatMul", "128x768x768", a, one, u8, b, one, s8, one, u8)
    add("MatMulInteger", "128x768x768", a, b, u8, s8)
    add("MatMulInteger", "1x768x768", a[:1], b, u8, s8)
    add("MatMulInteger", "both inputs", a, ints(-127, 127, 768, 256, dtype=np.int8), u8, s8)


def recurrent() -> None:
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        h, i = 128, 64
        add(op, "100x1x64, 128", f32(100, 1, i), weights(1, gates * h, i), weights(1, gates * h, h),
            weights(1, 2 * gates * h), hidden_size=h)  # fmt: skip
    add("LSTM", "both ways, batch 8", f32(50, 8, 64), weights(2, 512, 64), weights(2, 512, 128), weights(2, 1024),
        hidden_size=128, direction="bidirectional")  # fmt: skip


for family in (
    elementwise,
    reductions,
    normalisation,
    products,
    convolutions,
    movement,
    images,
    quantised,
    recurrent,
):
    family()
