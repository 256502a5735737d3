# SPDX-License-Identifier: Apache-2.0
"""Rows for tiny models of transformers with random weights, and their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn
from transformers import AutoConfig

from models.arch import Arch, Feeds, Flat

VOCAB = 99
EXPERTS = "batched_mm"
ROW = ("free", "fails", "wrong", "batches", "limit")  # what is of the row and not of the configuration


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def text(length: int = 9, mask: bool = True, low: int = 5) -> Callable[[int], Feeds]:
    """Token ids, and a mask that hides a tail of other length in each row, as padded text has it."""

    def feeds(batch: int) -> Feeds:
        out: Feeds = {"input_ids": rng(batch).integers(low, VOCAB, (batch, length), dtype=np.int64)}
        if mask:
            keep = np.maximum(length - np.arange(batch), 2)
            out["attention_mask"] = (np.arange(length) < keep[:, None]).astype(np.int64)
        return out

    return feeds


def floats(name: str, *shape: int) -> Callable[[int], Feeds]:
    return lambda batch: {name: rng(batch + 10).standard_normal((batch, *shape)).astype(np.float32)}


def both(*parts: Callable[[int], Feeds]) -> Callable[[int], Feeds]:
    return lambda batch: {k: v for part in parts for k, v in part(batch).items()}


def pixels(size: int = 32, channels: int = 3) -> Callable[[int], Feeds]:
    return floats("pixel_values", channels, size, size)


def decoder_ids(length: int = 5) -> Callable[[int], Feeds]:
    """With a mask of ones: without one transformers looks for packed texts, by an operator that the script exporter lacks."""
    return lambda batch: {
        "decoder_input_ids": rng(batch + 5).integers(5, VOCAB, (batch, length), dtype=np.int64),
        "decoder_attention_mask": np.ones((batch, length), np.int64),
    }


def hf(
    auto: Any, kind: Any, feeds: Callable[[int], Feeds], outputs: str = "", always: dict[str, Any] | None = None, **config: Any
) -> Arch:
    """Row of auto.from_config(the config of model type `kind`). outputs: fields, by spaces; none: the first."""
    row: dict[str, Any] = {k: config.pop(k) for k in ROW if k in config}
    names = list(feeds(1))

    def call(model: nn.Module, *xs: Tensor) -> Any:
        y = model(**dict(zip(names, xs, strict=True)), **(always or {}))
        return [y[name] for name in outputs.split()] if outputs else y[0]

    def make() -> nn.Module:
        made = AutoConfig.for_model(kind, **config) if isinstance(kind, str) else kind(**config)
        made._experts_implementation = EXPERTS
        model = auto.from_config(made) if hasattr(auto, "from_config") else auto(made)
        return Flat(model.eval(), call)

    return Arch(make, feeds, **row)


SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


SEQ2SEQ = {
    "vocab_size": VOCAB,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "use_cache": False,
    "forced_eos_token_id": 2,
}


VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=32, patch_size=8)
