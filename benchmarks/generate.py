# SPDX-License-Identifier: Apache-2.0
"""Text token by token: a decoder with the keys and values of the past as inputs, whose length grows with each run.

    python benchmarks/generate.py [gpt2 llama] [--threads N] [--tokens 64]

GPT-2 small, and a Llama of 8 layers of 768 whose heads of keys serve three heads of queries each, with random weights (75 to 124
million), exported once with PyTorch. Engines take turns at each token; each keeps its own past. Every run has shapes that the
engine has not seen before, so that planning counts. Ratio: median of pyinfer / median of the better peer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import engines
import hardware
import networks
import numpy as np

MODELS = ("gpt2", "llama")
START = 16  # tokens of the past at the first run


def known(name: str) -> str:
    if name not in MODELS:
        raise argparse.ArgumentTypeError(f"no model called {name}")
    return name


def decoder(name: str) -> Any:
    import transformers

    if name == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config())
    config = transformers.LlamaConfig(
        vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=8, num_attention_heads=12, num_key_value_heads=4
    )
    return transformers.LlamaForCausalLM(config)


def export(name: str, path: Path) -> None:
    """Inputs: a token [1, 1], a mask [1, past + 1], then keys and values [1, heads, past, size] of each layer."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = decoder(name).eval()
    c = model.config
    heads = getattr(c, "num_key_value_heads", c.num_attention_heads)

    class Step(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, token: Any, mask: Any, *past: Any) -> Any:
            cache = transformers.DynamicCache()
            for i in range(c.num_hidden_layers):
                cache.update(past[2 * i], past[2 * i + 1], i)
            out = self.model(input_ids=token, attention_mask=mask, past_key_values=cache, use_cache=True)
            return (out.logits, *(t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)))

    past = [torch.zeros(1, heads, START, c.hidden_size // c.num_attention_heads) for _ in range(2 * c.num_hidden_layers)]
    grows = torch.export.Dim.DYNAMIC
    args = (torch.ones(1, 1, dtype=torch.long), torch.ones(1, START + 1, dtype=torch.long), *past)
    shapes: tuple[Any, ...] = ({}, {1: grows}, tuple({2: grows} for _ in past))
    torch.onnx.export(Step(), args, path, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False)


class Generator:
    """One engine and its past."""

    def __init__(self, run: engines.Run, inputs: list[tuple[str, list[Any]]]) -> None:
        self.run, self.names = run, [n for n, _ in inputs]
        self.past = [np.zeros((1, s[1], START, s[3]), np.float32) for _, s in inputs[2:]]
        self.token = np.full((1, 1), 5)
        self.tokens: list[int] = []

    def step(self) -> float:
        """Seconds of one run; the likeliest token is the next one's input."""
        mask = np.ones((1, self.past[0].shape[2] + 1), np.int64)
        feeds = dict(zip(self.names, (self.token, mask, *self.past), strict=True))
        begin = time.perf_counter()
        logits, *self.past = self.run(feeds).values()
        seconds = time.perf_counter() - begin
        self.past = [np.array(p) for p in self.past]  # an engine may reuse what it returned
        self.token = np.array(logits)[:, -1:].argmax(-1)
        self.tokens.append(int(self.token[0, 0]))
        return seconds


def race(path: Path, names: list[str], threads: int, tokens: int) -> dict[str, Any]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    inputs = [(i.name, [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim]) for i in graph.input]
    found = {n: Generator(engines.LOADERS[n](path, threads), inputs) for n in names}
    times: dict[str, list[float]] = {n: [] for n in found}
    order = list(found)
    for _ in range(tokens):
        order = order[1:] + order[:1]
        for n in order:
            time.sleep(engines.PAUSE)
            times[n].append(found[n].step())
    said = {n: g.tokens for n, g in found.items()}
    same = all(t == next(iter(said.values())) for t in said.values())
    return {"ms": {n: statistics.median(t[1:]) * 1e3 for n, t in times.items()}, "same_tokens": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=known, metavar="MODEL", help="gpt2, llama; both by default")
    parser.add_argument("--threads", type=int, default=hardware.usable_cpus())
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--engines", nargs="*", default=["pyinfer", *engines.PEERS])
    parser.add_argument("--zoo", type=Path, default=os.environ.get("PYINFER_ZOO"), help="keep and reuse exports here")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    args.engines = engines.drop_missing(args.engines)
    rows = {}
    print(f"{hardware.cpu_name()}, {args.threads} threads, {args.tokens} tokens\n")
    print("| model | " + " | ".join(f"{n} ms a token" for n in args.engines) + " | ratio |\n|---|" + "---:|" * (len(args.engines) + 1))
    with networks.kept(args.zoo) as folder:
        for name in args.models or MODELS:
            path = folder / f"{name}.step.onnx"
            if not path.exists():
                export(name, path)
            row = rows[name] = race(path, args.engines, args.threads, args.tokens)
            peers = [ms for n, ms in row["ms"].items() if n != "pyinfer"]
            row["ratio"] = row["ms"]["pyinfer"] / min(peers) if peers and "pyinfer" in row["ms"] else None
            cells = [f"{row['ms'][n]:.2f}" for n in args.engines]
            ratio = f"{row['ratio']:.2f}" if row["ratio"] else "–"
            print(f"| {name} | " + " | ".join(cells) + f" | {ratio} |" + ("" if row["same_tokens"] else " tokens differ"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
