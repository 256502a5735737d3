# SPDX-License-Identifier: Apache-2.0
"""Padded tokens are left out where no output depends on them, and only there: against PyTorch, for both exporters."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pyinfer
from models import engine, zoo

LAYERS, TOKENS, VOCAB = 2, 24, 500
NOT_A_NUMBER = VOCAB - 1  # a word whose embedding is NaN

Pool = Callable[[Tensor, Tensor], Tensor]


def mean(t: Tensor, mask: Tensor) -> Tensor:
    """As sentence-transformers has it."""
    m = mask.unsqueeze(-1).expand(t.size()).float()
    y = torch.sum(t * m, 1) / torch.clamp(m.sum(1), min=1e-9)
    return nn.functional.normalize(y, p=2, dim=1)


class Embed(nn.Module):
    """A BERT with what makes an output of its last hidden state; None: its own pooler."""

    def __init__(self, pool: Pool | None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.inner: Any = zoo.bert(64, LAYERS, 4, VOCAB).inner
        for p in self.inner.parameters():
            p.data += 0.05 * torch.randn_like(p)
        self.inner.embeddings.word_embeddings.weight.data[NOT_A_NUMBER] = torch.nan
        self.pool = pool

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        y = self.inner(input_ids=input_ids, attention_mask=attention_mask)
        if self.pool is None:
            return y.pooler_output  # type: ignore[no-any-return]
        return self.pool(y.last_hidden_state, attention_mask)


def export(
    model: nn.Module, path: Path, exporter: str, dynamic: bool, batch: int = 4
) -> pyinfer.Model:
    args = tuple(torch.from_numpy(a) for a in feeds("right", batch).values())
    names: dict[str, Any] = {"input_names": ["input_ids", "attention_mask"], "output_names": ["y"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "script":
            axes = {n: {0: "batch", 1: "tokens"} for n in names["input_names"]}
            more = {"dynamic_axes": axes} if dynamic else {}
            torch.onnx.export(
                model, args, str(path), dynamo=False, opset_version=17, **names, **more
            )
        else:
            dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
            options: dict[str, Any] = {"dynamic_shapes": (dims, dims)} if dynamic else {}
            if exporter == "dynamo24":
                options["opset_version"] = 24
            program = torch.onnx.export(model, args, dynamo=True, verbose=False, **names, **options)
            assert program is not None
            program.save(path, external_data=False)
    return pyinfer.load(str(path), threads=2)


PATTERNS = ("right", "left", "holes", "none", "nearly", "one empty", "one token")


def feeds(pattern: str, batch: int = 4, tokens: int = TOKENS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(pattern))
    ids = rng.integers(0, NOT_A_NUMBER, (batch, tokens))
    length = np.linspace(tokens // 4, tokens, batch).astype(int)[:, None]
    place = np.arange(tokens)
    if pattern == "left":
        mask = place >= tokens - length
    elif pattern == "holes":
        mask = rng.random((batch, tokens)) < 0.5
        mask[:, 3] = True
    else:
        mask = np.broadcast_to(place, (batch, tokens)) < (tokens if pattern in ("none", "nearly") else length)
    if pattern == "nearly":  # all rows at once are quicker
        mask[-1, -1] = False
    if pattern == "one empty":
        mask[batch // 2] = False
    if pattern == "one token":
        mask[0] = place == 0
    return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


def compare(
    model: pyinfer.Model, module: nn.Module, given: dict[str, np.ndarray], empty: bool = True
) -> np.ndarray:
    """1e-4 of the largest output. `empty`: sequences without a token too. What a query gives that sees nothing is
    something else in the dynamo exporter's graphs (0) than in PyTorch's kernel (the mean of all)."""
    with torch.no_grad():
        want = module(*(torch.from_numpy(a) for a in given.values())).numpy()
    got = model.run(given)["y"]
    rows = given["attention_mask"].any(1) | empty
    np.testing.assert_allclose(got[rows], want[rows], rtol=0, atol=1e-4 * np.abs(want).max())
    assert np.isfinite(got).all()
    return got


def left_out(model: pyinfer.Model, given: dict[str, np.ndarray]) -> Counter[str]:
    """How many steps of each operator get `live`; LiveTokens itself."""
    batch, tokens = given["input_ids"].shape
    steps = model.steps(tuple(given.values()), 0)[0][0]
    mine = [s for s in steps if s["domain"] == "pyinfer"]
    live = f"bool[{batch}, {tokens}] ->"
    return Counter(s["op"] for s in mine if s["op"] == "LiveTokens" or live in s["shapes"])


ALL = Counter(LiveTokens=1, MatMul=8 * LAYERS, Softmax=LAYERS)
KEYS = Counter(LiveTokens=1, MatMul=2 * LAYERS)  # keys and values


@pytest.mark.parametrize(
    ("exporter", "dynamic", "pool", "expected"),
    [
        ("dynamo", True, mean, ALL),
        ("script", False, mean, ALL),
        ("script", True, mean, ALL),
        ("dynamo24", True, mean, Counter(LiveTokens=1, MatMul=6 * LAYERS)),
        ("script", True, lambda t, mask: t[:, 0], ALL),
        ("script", True, lambda t, mask: t[:, -1] + t[:, 1], ALL),
        ("dynamo", False, None, ALL),
        ("script", True, None, ALL),
        # the outputs show padding: its queries are needed, only its keys and values are not
        ("dynamo", True, lambda t, mask: t, KEYS),
        ("script", False, lambda t, mask: t, KEYS),
        ("script", True, lambda t, mask: t.mean(1), KEYS),
        ("script", True, lambda t, mask: t * mask[:, :, None] + t[:, 0, None], ALL),
        # 0 / 0 where a row is left out
        ("script", True, lambda t, mask: mean(t / t.norm(dim=-1, keepdim=True), mask), KEYS),
    ],
)
def test_pooling(
    exporter: str, dynamic: bool, pool: Pool | None, expected: Any, tmp_path: Path
) -> None:
    module = Embed(pool).eval()
    model = export(module, tmp_path / "m.onnx", exporter, dynamic)
    for pattern in (*PATTERNS, *PATTERNS[::-1]):  # each run meets the rests of another, or of itself
        given = feeds(pattern)
        compare(model, module, given, empty=exporter == "script")
        assert left_out(model, given) == expected
    if not dynamic:
        return
    given = feeds("right", 3, 7)
    compare(model, module, given)
    assert left_out(model, given) == expected
    alone = feeds("left", 1)
    compare(model, module, alone)
    assert not left_out(model, alone)


@pytest.mark.parametrize("pattern", ["holes", "nearly"])
def test_what_padding_holds(pattern: str, tmp_path: Path) -> None:
    """NaN in padded tokens reaches no other token, as documented; PyTorch spreads it: 0 * NaN."""
    for pool, shown in ((mean, False), (lambda t, mask: t, True)):
        module = Embed(pool).eval()
        model = export(module, tmp_path / "m.onnx", "script", True)
        given = feeds(pattern)
        padded = given["attention_mask"] == 0
        want = compare(model, module, given)
        given["input_ids"][padded] = NOT_A_NUMBER
        got = model.run(given)["y"]
        if shown:
            assert np.isnan(got[padded]).all()
            got, want = got[~padded], want[~padded]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_switch(tmp_path: Path) -> None:
    module = Embed(mean).eval()
    on = export(module, tmp_path / "m.onnx", "dynamo", True)
    off = pyinfer.load(str(tmp_path / "m.onnx"), threads=2, skip_padding=0)
    for pattern in PATTERNS:
        given = feeds(pattern)
        np.testing.assert_allclose(on.run(given)["y"], compare(off, module, given, empty=False), rtol=0, atol=1e-5)
    arrays = tuple(given.values())
    assert "pyinfer.LiveTokens" in on.explain(*arrays) and not left_out(off, given)
    assert "pyinfer.LiveTokens" not in off.explain(*arrays)


def test_profile(tmp_path: Path) -> None:
    """A profile counts the operations, and the bytes, of the rows that are computed; weights are read whole."""
    bytes_of = dict[str, dict[float, float]]()
    on = export(Embed(mean).eval(), tmp_path / "m.onnx", "dynamo", True)
    off = pyinfer.load(str(tmp_path / "m.onnx"), threads=2, skip_padding=0)
    for pattern in ("right", "none", "one token"):
        given = feeds(pattern)
        mask = given["attention_mask"]
        few, all_rows = (m.profile(given, repeat=1).steps for m in (on, off))
        assert all(step.computed == 1 for step in all_rows)
        share = mask.mean()
        live = [step for step in few if step.op == "pyinfer.MatMul" and f"bool[4, {TOKENS}]" in step.shapes]
        products = [step for step in live if step.shapes.partition(" -> ")[2].count(",") == 2]
        assert len(products) >= 6 * LAYERS
        for step in products:
            full = next(s for s in all_rows if s.name == step.name)
            assert step.computed == pytest.approx(share) and step.flops == pytest.approx(full.flops * share)
            bytes_of.setdefault(step.name, {})[share] = step.bytes
        for step in few:
            assert 0 < step.computed <= 1 and (pattern != "none" or step.computed == 1)
    for sizes in bytes_of.values():
        whole = sizes.pop(1.0)
        rows = {round((whole - size) / (1 - share)) for share, size in sizes.items()}
        assert len(sizes) == 2 and len(rows) == 1 and 0 < rows.pop() < whole, "what all rows take is one number"


def test_onnxruntime(tmp_path: Path) -> None:
    """Another batch, another length in each call, and one model for all of them."""
    model = export(Embed(mean).eval(), tmp_path / "m.onnx", "dynamo", True)
    peer = engine.OnnxRuntime(tmp_path / "m.onnx")
    for batch, tokens in ((4, 24), (2, 17), (1, 24), (9, 33), (2, 1), (4, 24), (3, 2)):
        for pattern in PATTERNS[: 2 if tokens < 8 else -2]:
            given = feeds(pattern, batch, tokens)
            given["attention_mask"][:, 0] = 1
            assert engine.error(model.run(given)["y"], peer.run(given)["y"]) <= 1e-4, (batch, tokens, pattern)


# ---- one layer of attention, with masks of all kinds ----


class Layer(nn.Module):
    """add_mask(scores, keys) hides keys where `keys` [batch, tokens] is 0; finish(values, weights, keys) is the output."""

    def __init__(
        self, add_mask: Callable[..., Tensor], finish: Callable[..., Tensor], flat: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.table = nn.Embedding(VOCAB, 32)
        self.table.weight.data[NOT_A_NUMBER] = torch.nan
        self.q, self.k, self.v, self.o = (nn.Linear(32, 32) for _ in range(4))
        self.bias = nn.Parameter(torch.randn(1, 2, TOKENS, TOKENS))
        self.add_mask, self.finish, self.flat = add_mask, finish, flat

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.table(input_ids)
        b, s, h = x.shape
        z = x.reshape(b * s, h) if self.flat else x
        q, k, v = (
            part(z).reshape(b, s, 2, h // 2).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        scores = self.add_mask(q @ k.transpose(-1, -2) * 0.25, attention_mask, self.bias)
        weights = scores.softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(z.shape)
        y = (self.o(y) + z).reshape(x.shape)
        return self.finish(y, weights, attention_mask)


def plus(low: float) -> Callable[..., Tensor]:
    return lambda scores, keys, bias: scores + (1 - keys.float())[:, None, None] * low


def infinite(scores: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    return scores + torch.where(keys.bool(), 0.0, -torch.inf)[:, None, None]


def causal(scores: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    s = keys.shape[1]
    seen = torch.ones(s, s).tril().bool() & keys.bool()[:, None]
    return scores + torch.where(seen, 0.0, -3e38)[:, None]


def twice(scores: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    """Some queries see no key that both masks show."""
    s = keys.shape[1]
    return plus(-1e30)(scores + torch.where(torch.ones(s, s).tril().bool(), 0.0, -1e30), keys, bias)


def learned(scores: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    return plus(-1e9)(scores + bias, keys, bias)


def unmasked(scores: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    return scores


def pooled(y: Tensor, weights: Tensor, keys: Tensor) -> Tensor:
    return (y * keys[:, :, None]).sum(1) / keys.sum(1, keepdim=True).clamp(min=1)


def with_weights(y: Tensor, weights: Tensor, keys: Tensor) -> Tensor:
    return pooled(y, weights, keys).sum(-1)[:, None, None, None] + weights


WHOLE = Counter(LiveTokens=1, MatMul=6, Softmax=1)
MASKS: list[tuple[Callable[..., Tensor], Callable[..., Tensor], bool, Any, bool]] = [
    # mask, output, flat, steps, padding is left out
    (plus(-1e9), pooled, False, WHOLE, True),
    (plus(-1e9), pooled, True, WHOLE, True),
    (plus(float(torch.finfo(torch.float32).min)), pooled, False, WHOLE, True),
    (infinite, pooled, False, WHOLE, True),
    (causal, pooled, False, WHOLE, True),
    (learned, pooled, False, WHOLE, True),
    (
        plus(-1e4),
        pooled,
        False,
        WHOLE,
        False,
    ),  # too little to be sure: e^-10000 is 0 only if scores are small
    (twice, pooled, False, Counter(), False),
    (unmasked, pooled, False, Counter(), False),
    (
        plus(-1e9),
        with_weights,
        False,
        Counter(LiveTokens=1, MatMul=4),
        False,
    ),  # queries of padding are seen
]


@pytest.mark.parametrize(("mask", "finish", "flat", "expected", "skips"), MASKS)
def test_masks(
    mask: Any, finish: Any, flat: bool, expected: Any, skips: bool, tmp_path: Path
) -> None:
    module = Layer(mask, finish, flat).eval()
    model = export(module, tmp_path / "m.onnx", "script", False)
    for pattern in PATTERNS:
        if mask is infinite and pattern == "one empty":
            continue  # all NaN
        given = feeds(pattern)
        compare(model, module, given)
        assert left_out(model, given) == expected
    given = feeds("right")
    given["input_ids"][given["attention_mask"] == 0] = NOT_A_NUMBER
    assert np.isfinite(model.run(given)["y"]).all() == skips
