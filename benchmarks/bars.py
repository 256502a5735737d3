# SPDX-License-Identifier: Apache-2.0
"""What is to be reached: times, or bytes, of pyinfer as a share of the better peer's (below 1: pyinfer needs less)."""

from __future__ import annotations

# (model, batch): with two threads, with one; the better of ONNX Runtime and OpenVINO (models.py)
LATENCY = {
    ("resnet50", 1): (0.82, 0.82),
    ("resnet18", 1): (0.55, 0.55),
    ("vgg16", 1): (0.55, 0.55),
    ("unet", 1): (0.55, 0.55),
    ("mobilenet_v2", 1): (0.75, 0.80),
    ("efficientnet_b0", 1): (0.65, 0.70),
    ("convnext_t", 1): (0.82, 0.85),
    ("vit_b16", 1): (0.92, 0.92),
    ("bert_base", 1): (0.90, 0.90),
    ("minilm", 1): (0.78, 0.80),
    ("minilm_16", 1): (0.78, 0.80),
    ("gpt2", 1): (0.90, 0.90),
    ("ocr_det", 1): (0.80, 0.80),
    ("ocr_rec", 1): (0.80, 0.80),
    ("lstm_2x256", 1): (0.70, 0.70),
    ("resnet50", 8): (0.90, 0.90),
    ("minilm_embed", 8): (0.60, 0.60),
}
MEAN = 0.75  # geometric, over the models of batch 1

# a whole process beside ONNX Runtime's: time, time with a saved plan, peak memory (cold.py)
COLD = {"mobilenet_v2": (0.8, 0.5, 0.9), "resnet50": (0.5, 0.25, 0.75), "bert_base": (0.45, 0.15, 0.75)}

RELU = 0.5  # one call on 16 floats beside ONNX Runtime's (overhead.py)
OPERATOR, OPERATORS_MEAN = 1.5, 0.9  # any one beside ONNX Runtime's, and the geometric mean (ops.py)
STREAMS = 1.9  # throughput of two Python threads as a multiple of that of one (streams.py)
IDLE = 0.02  # seconds of CPU time in the second after a run (streams.py)


def latency(model: str, batch: int, threads: int) -> float | None:
    """The bar of a model; None: there is none."""
    both = LATENCY.get((model, batch))
    return both[{2: 0, 1: 1}[threads]] if both and threads in (1, 2) else None


def models(batch: int) -> list[str]:
    """Those with a bar at this batch, or those of batch 1."""
    return [m for m, b in LATENCY if b == batch] or models(1)
