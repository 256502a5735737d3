# SPDX-License-Identifier: Apache-2.0
"""Kinds of operators, and a colour for each that all eyes tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

from . import palette

OTHER = "other"
COLOURS = {
    "convolution": palette.BLUE,
    "matrix product": palette.VERMILLION,
    "attention": palette.ORANGE,
    "normalisation": palette.PURPLE,
    "element by element": palette.GREEN,
    "pooling, reduction": palette.YELLOW,
    "moving data": palette.SKY,
    OTHER: "#999999",
}
_WORDS = {  # the first kind with a word that the operator's name has
    "convolution": "Conv",
    "attention": "Attention RotaryEmbedding LiveTokens",
    "matrix product": "MatMul Gemm Einsum LSTM GRU RNN",
    "normalisation": "Norm Softmax LRN",
    "moving data": "Reshape Transpose Concat Split Slice Gather Scatter queeze Flatten Expand Tile "
    "Pad Identity Shape Cast Constant Resize DepthToSpace SpaceToDepth Upsample OneHot Range "
    "NonZero Size Compress",
    "pooling, reduction": "Pool Reduce ArgM TopK CumSum Mean",
}
_ELEMENTS = frozenset(
    "Eltwise Abs Add And BitShift Ceil Celu Clip Cos DequantizeLinear Div Dropout "
    "DynamicQuantizeLinear Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Min Mish Mod Mul Neg Not Or PRelu "
    "Pow QLinearAdd QLinearMul QuantizeLinear Reciprocal Relu Round Selu Sigmoid Sign SiLU Sin "
    "Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Trilu Where Xor".split()
)


def kind_of(op: str) -> str:
    """The kind of an operator, with or without its domain and parts.

    >>> kind_of("Conv"), kind_of("pyinfer.Eltwise(Mul, Add)"), kind_of("ReduceMean")
    ('convolution', 'element by element', 'pooling, reduction')
    """
    name = op.partition("(")[0].rpartition(".")[2]
    if name in _ELEMENTS:
        return "element by element"
    for kind, words in _WORDS.items():
        if any(word in name for word in words.split()):
            return kind
    return OTHER


def ink(colour: str) -> str:
    """Black or white, whichever is read more easily on this colour.

    >>> ink("#000000"), ink("#F0E442")
    ('#FFFFFF', '#000000')
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return palette.BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else palette.PAPER
