# SPDX-License-Identifier: Apache-2.0
"""Small networks in plain PyTorch, a row each: between them they use what the models of transformers do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.onnx import symbolic_helper

from models import nets
from models.arch import CUSTOM, Arch, Feeds, Flat


def floats(*shapes: tuple[int, ...]) -> Callable[[int], Feeds]:
    """Inputs x0, x1 ... of the given shapes behind the batch."""

    def feeds(batch: int) -> Feeds:
        r = np.random.default_rng(batch)
        return {f"x{i}": r.standard_normal((batch, *s)).astype(np.float32) for i, s in enumerate(shapes)}

    return feeds


def ints(high: int, *shape: int, low: int = 0) -> Callable[[int], Feeds]:
    return lambda batch: {"ids": np.random.default_rng(batch).integers(low, high, (batch, *shape), dtype=np.int64)}


def and_then(*parts: Callable[[int], Feeds]) -> Callable[[int], Feeds]:
    return lambda batch: {k: v for part in parts for k, v in part(batch).items()}


class Fn(nn.Module):
    """A function of tensors, with layers that it may use."""

    def __init__(self, fn: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.parts, self.fn = nn.ModuleDict(parts), fn

    def forward(self, *xs: Tensor) -> Any:
        return self.fn(*xs, **self.parts)


def fn(
    function: Callable[..., Any], feeds: Callable[[int], Feeds], parts: Callable[[], dict[str, nn.Module]] = dict, **row: Any
) -> Arch:
    return Arch(lambda: Flat(Fn(function, **parts())), feeds, **row)


def seq(make: Callable[[], nn.Module], feeds: Callable[[int], Feeds], **row: Any) -> Arch:
    return Arch(lambda: Flat(make()), feeds, **row)


def packed(x: Tensor, lengths: Tensor, rnn: nn.LSTM) -> Any:
    y, state = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], *state


def lengths(high: int) -> Callable[[int], Feeds]:
    return lambda batch: {"lengths": np.maximum(high - 2 * np.arange(batch, dtype=np.int64), 1)}


class ConvLSTM(nn.Module):
    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.gates, self.hidden = nn.Conv2d(c + hidden, 4 * hidden, 3, padding=1), hidden

    def forward(self, x: Tensor) -> Any:
        h = s = x.new_zeros(x.shape[0], self.hidden, *x.shape[3:])
        out = []
        for t in range(x.shape[1]):
            i, f, o, g = self.gates(torch.cat([x[:, t], h], 1)).chunk(4, 1)
            s = torch.sigmoid(f) * s + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(s)
            out.append(h)
        return torch.stack(out, 1), s


class Tcn(nn.Module):
    """Causal dilated convolutions with gates, as WaveNet has them."""

    def __init__(self, c: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, c, 1)
        self.both = nn.ModuleList(nn.utils.parametrizations.weight_norm(nn.Conv1d(c, 2 * c, 3, dilation=2**i)) for i in range(3))
        self.mix = nn.ModuleList(nn.Conv1d(c, c, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.first(x), []
        for i, (both, mix) in enumerate(zip(self.both, self.mix, strict=True)):
            a, b = both(F.pad(x, (2 * 2**i, 0))).chunk(2, 1)
            y = mix(torch.tanh(a) * torch.sigmoid(b))
            skips.append(y)
            x = x + y
        return F.relu(torch.stack(skips).sum(0))


class HandMoe(nn.Module):
    """Routing by TopK; each expert sees only its own tokens (index_add), so that shapes depend on data."""

    def __init__(self, dim: int = 16, experts: int = 4, top: int = 2) -> None:
        super().__init__()
        self.gate, self.top = nn.Linear(dim, experts), top
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(dim, 24), nn.GELU(), nn.Linear(24, dim)) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        weight, chosen = self.gate(flat).softmax(-1).topk(self.top, -1)
        weight = weight / weight.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            share = torch.where(chosen == i, weight, torch.zeros_like(weight)).sum(-1, keepdim=True)
            out = out + share * expert(flat)
        return out.reshape(x.shape)


class SparseMoe(HandMoe):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        weight, chosen = self.gate(flat).softmax(-1).topk(self.top, -1)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == i)
            out.index_add_(0, rows, expert(flat[rows]) * weight[rows, slot, None])
        return out.reshape(x.shape)


class Stn(nn.Module):
    """Spatial transformer: affine_grid and grid_sample."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 6))

    def forward(self, x: Tensor) -> Any:
        theta = 0.3 * self.where(x).reshape(-1, 2, 3) + torch.eye(2, 3)
        grid = F.affine_grid(theta, [x.shape[0], 3, 9, 11], align_corners=False)
        return tuple(
            F.grid_sample(x, grid, mode, pad, align_corners=corners)
            for mode, pad, corners in (("bilinear", "zeros", False), ("bicubic", "border", True), ("bilinear", "reflection", False))
        )


def iou(a: Tensor) -> Tensor:
    low, high = torch.maximum(a[..., None, :2], a[..., None, :, :2]), torch.minimum(a[..., None, 2:], a[..., None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1)
    return both / (area[..., :, None] + area[..., None, :] - both)


class Head(nn.Module):
    """One-stage detector: a small pyramid, boxes decoded on a grid, TopK, fast NMS (a box goes when a better one overlaps it)."""

    def __init__(self, c: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nets.conv_bn(3, c, 3, 2), nets.conv_bn(c, c, 3, 2))
        self.down, self.head, self.classes = nets.conv_bn(c, c, 3, 2), nn.Conv2d(c, 4 + classes, 1), classes

    def forward(self, x: Tensor) -> Any:
        fine = self.stem(x)
        coarse = self.down(fine)
        fine = fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        boxes, scores = [], []
        for level, step in ((fine, 4.0), (coarse, 8.0)):
            y = self.head(level).permute(0, 2, 3, 1)
            rows, cols = torch.arange(y.shape[1]), torch.arange(y.shape[2])
            grid = torch.stack(torch.meshgrid(cols, rows, indexing="xy"), -1)
            centre = (grid + 0.5 + y[..., :2].tanh()) * step
            half = y[..., 2:4].clamp(max=3).exp() * step / 2
            boxes.append(torch.cat([centre - half, centre + half], -1).flatten(1, 2))
            scores.append(y[..., 4:].sigmoid().flatten(1, 2))
        box, (score, label) = torch.cat(boxes, 1), torch.cat(scores, 1).max(-1)
        score, best = score.topk(20, 1)
        box = box.gather(1, best[..., None].expand(-1, -1, 4))
        keep = iou(box).triu(1).amax(1) <= 0.5
        return box, score * keep, label.gather(1, best), keep


class GreedyNms(nn.Module):
    """Greedy NMS as a loop over the sorted boxes."""

    def forward(self, centre: Tensor, score: Tensor) -> Any:
        box = torch.cat([centre - 0.8, centre + 0.8], -1)
        score, order = score.sort(1, descending=True)
        box = box.gather(1, order[..., None].expand(-1, -1, 4))
        over, alive = iou(box) > 0.4, torch.ones_like(score, dtype=torch.bool)
        for i in range(score.shape[1] - 1):
            later = torch.arange(score.shape[1]) > i
            alive = alive & ~(over[:, i] & alive[:, i : i + 1] & later)
        return order.masked_fill(~alive, -1), score.where(alive, torch.zeros_like(score))


@torch.library.custom_op("pyinfer_tests::nms", mutates_args=())
def nms(boxes: Tensor, scores: Tensor, overlap: float, threshold: float, most: int) -> Tensor:
    """ONNX's NonMaxSuppression, written out: rows of batch, class, box, by falling score."""
    rows = []
    over = iou(boxes) > overlap
    for b in range(scores.shape[0]):
        for c in range(scores.shape[1]):
            chosen: list[int] = []
            for i in scores[b, c].argsort(descending=True).tolist():
                if len(chosen) < most and scores[b, c, i] > threshold and not any(over[b, i, j] for j in chosen):
                    chosen.append(i)
            rows += [[b, c, i] for i in chosen]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, overlap: float, threshold: float, most: int) -> Tensor:
    return torch.empty(torch.library.get_ctx().new_dynamic_size(), 3, dtype=torch.int64)


def nms_dynamo(boxes: Any, scores: Any, overlap: float, threshold: float, most: int) -> Any:
    from onnxscript import opset20 as op

    const = lambda v, d: op.Constant(value=onnx.helper.make_tensor("c", d, [1], [v]))  # noqa: E731
    return op.NonMaxSuppression(boxes, scores, const(most, 7), const(overlap, 1), const(threshold, 1))


@symbolic_helper.parse_args("v", "v", "f", "f", "i")
def nms_script(g: Any, boxes: Any, scores: Any, overlap: float, threshold: float, most: int) -> Any:
    numbers = [torch.tensor([v], dtype=d) for v, d in ((most, torch.int64), (overlap, torch.float32), (threshold, torch.float32))]
    return g.op("NonMaxSuppression", boxes, scores, *(g.op("Constant", value_t=t) for t in numbers))


CUSTOM[torch.ops.pyinfer_tests.nms.default] = nms_dynamo
torch.onnx.register_custom_op_symbolic("pyinfer_tests::nms", nms_script, 17)


class OnnxNms(nn.Module):
    def forward(self, centre: Tensor, logits: Tensor) -> Any:
        boxes, scores = torch.cat([centre - 0.8, centre + 0.8], -1), logits.sigmoid()
        kept = torch.ops.pyinfer_tests.nms(boxes, scores, 0.4, 0.3, 6)
        return kept, boxes[kept[:, 0], kept[:, 2]], scores[kept[:, 0], kept[:, 1], kept[:, 2]]


class Spectrum(nn.Module):
    """Log-mel features as audio models make them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(32))
        self.mel = nn.Linear(17, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            z = torch.stft(x, 32, 8, 32, self.window, center=False, return_complex=False)
        else:
            z = torch.view_as_real(torch.stft(x, 32, 8, 32, self.window, center=False, return_complex=True))
        power = z.square().sum(-1)
        return self.mel(power.transpose(1, 2)).square().add(1e-3).log()


def fourier(x: Tensor, mix: nn.Module) -> Any:
    z = torch.fft.rfft(x, dim=1)
    return mix(torch.view_as_real(z).flatten(2)), torch.fft.fft(x, dim=-1).abs()


def einsums(x: Tensor, y: Tensor, lin: nn.Linear) -> Any:
    q = torch.einsum("bhqd,bhkd->bhqk", x, y)
    return (
        torch.einsum("bhqk,bhkd->bqhd", q.softmax(-1), y),
        torch.einsum("bhqd,ed->bqe", x, lin.weight),
        torch.einsum("bhii->bi", torch.einsum("bhqd,bhkd->bhqk", x, x)),
        torch.einsum("...d,...d->...", x, x),
    )


class Bags(nn.Module):
    """Recommendation (DLRM): embedding bags, dot products of all pairs, a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.bags = nn.ModuleList(nn.EmbeddingBag(20, 8, mode=m) for m in ("sum", "mean", "max"))
        self.top = nn.Sequential(nn.Linear(8 + 6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
        self.bottom = nn.Sequential(nn.Linear(5, 8), nn.ReLU())

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        dense = self.bottom(x)
        vectors = torch.stack([dense, *(bag(ids[:, i]) for i, bag in enumerate(self.bags))], 1)
        pairs = vectors @ vectors.transpose(1, 2)
        i, j = torch.tril_indices(4, 4, -1)
        return self.top(torch.cat([dense, pairs[:, i, j]], 1))


def norms(x: Tensor, **parts: nn.Module) -> Any:
    for part in parts.values():
        x = part(x) + 0.5 * x
    return x


def resizes(x: Tensor) -> Any:
    r = F.interpolate
    return (
        r(x, scale_factor=2.0, mode="nearest"),
        r(x, size=(13, 9), mode="nearest"),
        r(x, size=(13, 9), mode="bilinear", align_corners=False),
        r(x, size=(5, 17), mode="bilinear", align_corners=True),
        r(x, scale_factor=1.7, mode="bilinear"),
        r(x, size=(14, 15), mode="bicubic", align_corners=False),
        r(x, size=(14, 15), mode="bicubic", align_corners=True),
        r(x[:, :, 0], scale_factor=2.0, mode="linear"),
        r(x[:, :, None], size=(2, 11, 5), mode="trilinear"),
    )


def adaptive(x: Tensor) -> Any:
    return F.adaptive_avg_pool2d(x, (4, 2)), F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1), F.adaptive_max_pool2d(x, (4, 3))


def pools(x: Tensor) -> Any:
    return (
        F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        F.max_pool2d(x, 2, 1, dilation=2),
        F.max_pool2d(x, 2, return_indices=True),
        F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        F.avg_pool1d(x[:, :, 0], 3, 2),
        F.lp_pool2d(x.abs(), 2, 2),
        F.max_pool3d(x[:, :, None], (1, 2, 2)),
    )


def sums(x: Tensor) -> Any:
    return x.cumsum(-1), x.cumsum(1), x.flip(1).cumsum(1).flip(1), x.exp().cumsum(-1).log()


def reductions(x: Tensor) -> Any:
    return (
        x.mean((1, 2)), x.var(-1), x.std(1, unbiased=False), x.norm(dim=-1), x.norm(p=1, dim=1), x.logsumexp(-1), x.prod(-1),
        x.amax((1, 2)), x.amin(1, keepdim=True), x.argmax(-1), x.argmin(1), *x.max(1), *x.min(-1), (x > 0).any(-1),
        (x > -3).all(-1), x.sum(), x.abs().sum(-1),
    )  # fmt: skip


def scatters(x: Tensor, ids: Tensor) -> Any:
    a = torch.zeros_like(x).scatter(1, ids, x)
    b = torch.zeros_like(x).scatter_add(1, ids, x)
    c = x.clone()
    c[:, 1:3] = 7.0
    c[:, :, 0] += 1.0
    d = x.clone()
    d[torch.arange(x.shape[0])[:, None], torch.tensor([0, 2])] = 2.0
    e = x.index_put((torch.zeros_like(ids[:, 0, 0]), ids[:, 0, 1]), x[:, 0], accumulate=True)
    f = torch.scatter_reduce(x, 1, ids, x, "amax")
    g = x.index_select(1, torch.tensor([3, 1]))
    return a, b, c, d, e, f, g, x.gather(2, ids[..., :2]), x.masked_fill(x > 0.5, -1.0), torch.where(x > 0, x, 0.1 * x)


def orders(x: Tensor) -> Any:
    return *x.sort(-1), *x.sort(1, descending=True), x.argsort(-1), *x.topk(3), *x.topk(2, 1, largest=False)


def padded(x: Tensor) -> Any:
    return (
        F.pad(x, (1, 2, 3, 0), value=0.5),
        F.pad(x, (2, 1, 0, 3), mode="reflect"),
        F.pad(x, (2, 1, 3, 3), mode="replicate"),
        F.pad(x, (2, 1, 1, 0), mode="circular"),
        F.pad(x, (-1, 2, 0, -2)),
    )


def moves(x: Tensor) -> Any:
    return (
        x.roll(2, -1), x.roll((1, -1), (2, 3)), x.flip(-1), x.tril(), x.triu(1), x.unfold(3, 3, 2), x.repeat(1, 2, 1, 1),
        x.repeat_interleave(2, 1), x[:, ::2, 1:-1, :],
        x.movedim(1, -1), x.flatten(1), *x.split([1, 3], 1), *x.chunk(2, 2), torch.stack([x, x], 2), x[..., -1], x[:, None],
        x.expand(-1, -1, -1, -1) + x[:, :1], x.unbind(1)[2],
    )  # fmt: skip


def folds(x: Tensor) -> Any:
    y = F.unfold(x, 3, padding=1, stride=2)
    return y, F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)


def activations(x: Tensor) -> Any:
    names = "relu relu6 elu selu celu gelu silu mish softplus softsign "
    names += "hardtanh hardswish hardsigmoid logsigmoid leaky_relu tanhshrink softshrink hardshrink glu sigmoid tanh"
    y = [getattr(F, n)(x) for n in names.split()]
    return (
        *y,
        F.gelu(x, approximate="tanh"),
        F.softmax(x, 1),
        F.log_softmax(x, -1),
        F.softmin(x, -1),
        F.normalize(x, dim=1),
        F.threshold(x, 0.0, 0.0),
    )


def maths(x: Tensor) -> Any:
    p = x.abs() + 0.1
    return (
        p.sqrt(), p.rsqrt(), p.log(), p.log1p(), p.log2(), x.exp(), x.sin(), x.cos(), x.tan(), x.tanh(), x.atan(),
        x.tanh().asin(), x.erf(), p**1.5, 2.0**x, x**2, x**3,
        x.floor(), x.ceil(), x.round(), x.sign(), p.reciprocal(), x.clamp(-0.5, 0.5), torch.fmod(x, 0.3), x % 0.7, torch.atan2(x, p),
        x.isnan(), x.isinf(), x.nan_to_num(), torch.maximum(x, -x), x.lerp(p, 0.3), x.addcmul(p, p), torch.outer(x[0, 0], p[0,
        0]), x.square().mean(),
    )  # fmt: skip


def integers(ids: Tensor) -> Any:
    return (
        ids // 3, ids % 3, ids * 2 - 7, ids.float() / 3, -ids, ids.abs(), ids.clamp(2, 5), ids.eq(3), ids.cumsum(-1),
        ids.sum(-1), ids.max(-1)[0],
        F.one_hot(ids, 10), ids.to(torch.int32), ids.to(torch.float64) / 7, ids.bool(), torch.bucketize(ids.float(),
        torch.tensor([1.0, 4.0, 6.5])), (ids > 3).sum(-1),
    )  # fmt: skip


class Branches(nn.Module):
    """torch.cond for torch.export; script has the plain `if`."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: self.a(y).relu(), lambda y: self.b(y).tanh() - 1, (x,))


def scan(x: Tensor, cell: nn.Module) -> Any:
    from torch._higher_order_ops.scan import scan as loop

    return loop(lambda h, v: (torch.tanh(cell(h) + v), h.clone()), x[:, 0] * 0.0 + torch.zeros(6), x, dim=1)


class ScriptLoop(nn.Module):
    """Loops and branches that only torch.jit.script can express."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.Linear(12, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x[:, 0])
        total = torch.zeros_like(h)
        for t in range(x.size(1)):
            h = torch.tanh(self.cell(torch.cat((x[:, t], h), 1)))
            if bool(h.sum() > 0):
                total = total + self.out(h)
            else:
                total = total - h
        n = 0
        while bool(total.abs().max() > 0.5) and n < 20:
            total = total * 0.7
            n += 1
        return total, h


class ScriptList(nn.Module):
    """A list that grows in a loop: a sequence in ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        out: list[Tensor] = []
        h = x[:, 0]
        for t in range(x.size(1)):
            h = torch.tanh(self.cell(h) + x[:, t])
            out.append(h)
        return torch.stack(out, 1)


def ragged(x: Tensor) -> Any:
    return x.nonzero(), x[x > 0], torch.where(x < -0.5)[1]


class GraphNet(nn.Module):
    """Graph convolution on an edge list: gather, index_add, attention over neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)
        self.register_buffer("edges", torch.randint(0, 7, (2, 20), generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.a, self.b):
            h = layer(x)
            messages = h[:, self.edges[0]] * torch.sigmoid(h[:, self.edges[1]])
            x = F.elu(torch.zeros_like(h).index_add(1, self.edges[1], messages) + h)
        return x


class PointNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 32, 1))
        self.t, self.out = nn.Linear(32, 9), nn.Sequential(nn.Linear(32, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        turn = self.t(self.a(x).amax(-1)).reshape(-1, 3, 3) + torch.eye(3)
        x = torch.bmm(x.transpose(1, 2), turn).transpose(1, 2)
        return self.out(self.a(x).max(-1)[0]).log_softmax(-1)


class Vae(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten()
        )
        self.mean, self.spread, self.up = nn.Linear(256, 4), nn.Linear(256, 4), nn.Linear(4, 256)
        self.dec = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.PReLU(8), nn.ConvTranspose2d(8, 1, 3, 2, 1, output_padding=1), nn.Sigmoid()
        )

    def forward(self, x: Tensor, noise: Tensor) -> Any:
        h = self.enc(x)
        mean, spread = self.mean(h), self.spread(h).mul(0.5).exp()
        return self.dec(self.up(mean + noise * spread).unflatten(1, (16, 4, 4))), mean, spread


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        mlp = lambda d: nn.Sequential(nn.Linear(d, 24), nn.GELU(), nn.Dropout(0.1), nn.Linear(24, d))  # noqa: E731
        self.tokens, self.channels = mlp(16), mlp(16)
        self.n1, self.n2 = nn.LayerNorm(16), nn.LayerNorm(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.n1(x).transpose(1, 2)).transpose(1, 2)
        return (x + self.channels(self.n2(x))).mean(1)


class Dense(nn.Module):
    """DenseNet and Inception in small: concatenations of branches; shuffled groups."""

    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8 + 4 * i), nn.ReLU(), nn.Conv2d(8 + 4 * i, 4, 3, padding=1)) for i in range(3)
        )
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.branches = nn.ModuleList(
            [
                nn.Conv2d(20, 4, 1),
                nn.Conv2d(20, 4, (1, 5), padding=(0, 2)),
                nn.Conv2d(20, 4, (5, 1), padding=(2, 0)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(20, 4, 1)),
                nn.Conv2d(20, 4, 3, padding=3, dilation=3),
            ]
        )
        self.group = nn.Conv2d(20, 20, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for part in self.grow:
            x = torch.cat([x, part(x)], 1)
        x = torch.cat([b(x) for b in self.branches], 1)
        x = self.group(x)
        a, b = x.reshape(-1, 4, 5, *x.shape[2:]).transpose(1, 2).flatten(1, 2).chunk(2, 1)
        return F.local_response_norm(torch.cat([b, F.max_pool2d(a, 3, 1, 1)], 1), 3)


class Crnn(nn.Module):
    """Text recognition: convolutions, two directions of LSTM, CTC scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nets.conv_bn(1, 8, 3), nn.MaxPool2d(2), nets.conv_bn(8, 16, 3), nn.MaxPool2d((2, 1)), nn.Conv2d(16, 16, (4, 1))
        )
        self.rnn, self.out = nn.LSTM(16, 12, 2, bidirectional=True, batch_first=True), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(self.conv(x)[:, :, 0].transpose(1, 2))[0]).log_softmax(-1)


class Attend(nn.Module):
    """Encoder-decoder of GRUs with additive attention, a fixed number of greedy steps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.enc, self.dec = nn.Embedding(20, 8), nn.GRU(8, 8, batch_first=True, bidirectional=True), nn.GRUCell(24, 16)
        self.key, self.query, self.v, self.out = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 1), nn.Linear(16, 20)

    def forward(self, ids: Tensor) -> Any:
        memory, last = self.enc(self.embed(ids))
        h, token, answers = last.transpose(0, 1).flatten(1), ids[:, 0] * 0, []
        for _ in range(4):
            w = self.v(torch.tanh(self.key(memory) + self.query(h)[:, None])).softmax(1)
            h = self.dec(torch.cat([(w * memory).sum(1), self.embed(token)], -1), h)
            token = self.out(h).argmax(-1)
            answers.append(token)
        return torch.stack(answers, 1), h


def fake_quant(x: Tensor, conv: nn.Conv2d) -> Tensor:
    x = torch.fake_quantize_per_tensor_affine(x, 0.05, 120, 0, 255)
    w = torch.fake_quantize_per_channel_affine(conv.weight, torch.full((8,), 0.02), torch.zeros(8, dtype=torch.int32), 0, -128, 127)
    return F.conv2d(x, w, conv.bias, padding=1)


def late(x: Tensor, ids: Tensor, norm: nn.Module) -> Any:
    """What the script exporter has no words for."""
    return (
        norm(x),
        x.expm1(),
        x.sinh(),
        x.trunc(),
        x.frac(),
        F.fold(F.unfold(x, 3, padding=1, stride=2), (8, 8), 3, padding=1, stride=2),
        F.channel_shuffle(x, 2),
        x.diff(dim=-1),
        ids & 5,
        ids | 3,
        ids ^ 6,
        ids << 2,
        ids >> 1,
        ~ids,
        F.threshold(x, 0.1, 2.0),
    )


def double(x: Tensor) -> Any:
    y = x.double()
    return (y @ y.transpose(1, 2)).softmax(-1), y.cumsum(1), torch.linalg.norm(y, dim=-1)


def halves(x: Tensor, lin: nn.Module) -> Tensor:
    return lin(x.half().float()).relu() + x.bfloat16().float()


def attention(x: Tensor, mha: nn.MultiheadAttention) -> Any:
    pad = x[..., 0] > 1.2
    causal = torch.triu(torch.full((x.shape[1], x.shape[1]), float("-inf")), 1)
    y, w = mha(x, x, x, attn_mask=causal)
    z = F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], attn_mask=~pad[:, None, None, :], scale=0.3)
    return y, w, z, F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], is_causal=True)


def transformer() -> nn.Module:
    torch.backends.mha.set_fastpath_enabled(False)  # one operator that no exporter knows
    return nn.Transformer(16, 2, 1, 2, 24, batch_first=True, norm_first=True, activation="gelu")


def mask_encoder() -> nn.Module:
    torch.backends.mha.set_fastpath_enabled(False)
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 2, enable_nested_tensor=False)


PLAIN: dict[str, Arch] = {
    "lstm": seq(lambda: nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True), floats((7, 6))),
    "lstm_state": fn(
        lambda x, h, c, rnn: rnn(x, (h.transpose(0, 1).contiguous(), c.transpose(0, 1).contiguous())),
        floats((7, 6), (1, 8), (1, 8)),
        lambda: {"rnn": nn.LSTM(6, 8, batch_first=True)},
    ),
    "lstm_packed": fn(
        packed,
        and_then(floats((7, 6)), lengths(7)),
        lambda: {"rnn": nn.LSTM(6, 8, batch_first=True, bidirectional=True)},
        fails={"dynamo": "argument 'size' failed to unpack"},
    ),
    "gru": seq(lambda: nn.GRU(6, 8, 2, batch_first=True, bidirectional=True), floats((7, 6))),
    "rnn": seq(lambda: nn.RNN(6, 8, 2, nonlinearity="relu", batch_first=True), floats((7, 6))),
    "rnn_time_first": seq(
        lambda: nn.RNN(6, 8, bidirectional=True),
        lambda b: {"x": np.random.default_rng(b).standard_normal((7, b, 6)).astype(np.float32)},
        free={"x": 1},
    ),
    "conv_lstm": seq(lambda: ConvLSTM(2, 4), floats((3, 2, 7, 6))),
    "conv1d_wavenet": seq(Tcn, floats((1, 20))),
    "conv3d": seq(
        lambda: nn.Sequential(
            nn.Conv3d(2, 8, 3, padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(8, 8, (1, 3, 3), groups=4, dilation=(1, 2, 2)),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        ),
        floats((2, 6, 12, 12)),
    ),
    "transposed1d": seq(
        lambda: nn.Sequential(nn.ConvTranspose1d(4, 6, 5, 3, 1, 1, groups=2), nn.Tanh(), nn.ConvTranspose1d(6, 2, 3, dilation=2)),
        floats((4, 9)),
    ),
    "transposed2d": seq(
        lambda: nn.Sequential(
            nn.ConvTranspose2d(8, 6, 4, 2, 1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 3, (3, 2), (2, 3), (1, 0), (1, 1)),
            nn.Tanh(),
        ),
        floats((8, 5, 4)),
    ),
    "transposed3d": seq(
        lambda: nn.Sequential(nn.ConvTranspose3d(3, 4, 2, 2), nn.ReLU(), nn.ConvTranspose3d(4, 2, 3, padding=1)), floats((3, 3, 4, 4))
    ),
    "unet": seq(lambda: nets.UNet((8, 12, 16)), floats((3, 16, 16))),
    "dense_inception": seq(Dense, floats((3, 12, 12))),
    "crnn": seq(Crnn, floats((1, 16, 24))),
    "gru_attention": seq(Attend, ints(20, 6)),
    "moe_dense": seq(HandMoe, floats((5, 16))),
    "moe_sparse": seq(SparseMoe, floats((5, 16))),
    "spatial_transformer": seq(Stn, floats((3, 12, 16)), fails={"script": "'aten::affine_grid_generator'"}),
    "grid_sample_3d": fn(
        lambda x, g: F.grid_sample(x, g.tanh() * 1.1, align_corners=True),
        floats((2, 4, 5, 6), (3, 3, 3, 3)),
        fails={"script": "GridSample with 5D"},
    ),
    "detector": seq(Head, floats((3, 32, 32))),
    "nms_greedy": seq(GreedyNms, floats((12, 2), (12,))),
    "nms_onnx": seq(OnnxNms, floats((12, 2), (3, 12))),
    "stft": seq(Spectrum, floats((120,))),
    "fourier": fn(fourier, floats((12, 6)), lambda: {"mix": nn.Linear(12, 8)}, fails={"script": "'aten::fft_rfft'"}),
    "einsum": fn(einsums, floats((2, 5, 8), (2, 5, 8)), lambda: {"lin": nn.Linear(8, 6)}),
    "embedding_bag": seq(Bags, and_then(floats((5,)), ints(20, 3, 4))),
    "norms": fn(
        norms,
        floats((8, 6, 5)),
        lambda: {
            "g": nn.GroupNorm(4, 8),
            "i": nn.InstanceNorm2d(8, affine=True),
            "l": nn.LayerNorm([6, 5]),
            "r": nn.LocalResponseNorm(3),
            "b": nn.BatchNorm2d(8),
        },
    ),
    "interpolate": fn(resizes, floats((2, 7, 6))),
    "adaptive_pooling": fn(adaptive, floats((3, 8, 6))),
    "pooling": fn(pools, floats((3, 9, 8))),
    "cumsum": fn(sums, floats((5, 7))),
    "reductions": fn(reductions, floats((5, 7))),
    "scan": fn(scan, floats((5, 6)), lambda: {"cell": nn.Linear(6, 6)}, fails={"script": "dynamo-optimized function"}),
    "scatter": fn(
        scatters,
        and_then(
            floats((4, 4)),
            lambda b: {
                "ids": np.stack(
                    [np.stack([np.random.default_rng(9 * i + j).permutation(4) for j in range(4)], 1) for i in range(b)]
                ).astype(np.int64)
            },
        ),
    ),
    "sort_topk": fn(orders, floats((5, 7))),
    "pad_modes": fn(padded, floats((2, 6, 7))),
    "movement": fn(moves, floats((4, 6, 6))),
    "folds": fn(folds, floats((4, 8, 8))),
    "activations": fn(activations, floats((6, 8))),
    "maths": fn(maths, floats((5, 5))),
    "integers": fn(integers, ints(8, 6)),
    "late_operators": fn(
        late, and_then(floats((4, 8, 8)), ints(8, 6)), lambda: {"norm": nn.RMSNorm(8)}, fails={"script": "'aten::rms_norm'"}
    ),
    "cond": seq(Branches, floats((3, 6)), fails={"script": "dynamo-optimized function"}),
    "script_loop": Arch(ScriptLoop, floats((5, 6)), scripted=True, fails={"dynamo": "data-dependent expression"}),
    "script_list": Arch(ScriptList, floats((5, 6)), scripted=True),
    "nonzero": fn(ragged, floats((5, 4))),
    "graph_net": seq(GraphNet, floats((7, 6)), fails={"script": "duplicated values in 'index'"}),
    "point_net": seq(PointNet, floats((3, 20))),
    "vae": seq(Vae, floats((1, 16, 16), (4,))),
    "mixer": seq(Mixer, floats((3, 32, 32))),
    "fake_quant": fn(
        fake_quant,
        floats((3, 8, 8)),
        lambda: {"conv": nn.Conv2d(3, 8, 3)},
        fails={"dynamo dynamic": "aten.fake_quantize_per_tensor_affine_cachemask"},
    ),
    "float64": fn(double, floats((5, 6))),
    "half": fn(halves, floats((5, 6)), lambda: {"lin": nn.Linear(6, 6)}),
    "attention": fn(attention, floats((7, 16)), lambda: {"mha": nn.MultiheadAttention(16, 4, batch_first=True)}),
    "transformer": seq(transformer, floats((6, 16), (5, 16))),
    "transformer_encoder": seq(mask_encoder, floats((6, 16))),
}
