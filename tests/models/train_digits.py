# SPDX-License-Identifier: Apache-2.0
"""Makes the packaged digit classifier: digits.onnx, some pictures, and digits.json.

    python tests/models/train_digits.py    # about ten seconds; needs torch, onnxscript, scikit-learn, Pillow

The network is trained on scikit-learn's load_digits (1,797 pictures of 8x8 pixels, UCI optical
recognition of handwritten digits) with a fixed seed. Input "x": float32 [batch, 1, 8, 8], black 0
to white 1 (the data set's 0..16 divided by 16). Output "probabilities": float32 [batch, 10].

The pictures are native 8x8 grey PNG files of the test half, one for each digit listed in
digits.json with the label, the pixels and the probabilities that PyTorch computed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

HERE = Path(__file__).resolve().parents[2] / "pyinfer" / "example"
SEED = 0
EPOCHS = 40


def block(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]


class Digits(nn.Module):
    """Three 3x3 convolutions with BatchNorm, one 2x2 pooling, mean over the picture, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*block(1, 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 64))
        self.classify = nn.Linear(64, 10)

    def logits(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).softmax(1)


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training pictures and labels, test pictures and labels."""
    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=SEED, stratify=y)
    return tuple(torch.from_numpy(a) for a in (x_train, y_train, x_test, y_test))  # type: ignore


def train(x: Tensor, y: Tensor) -> Digits:
    torch.manual_seed(SEED)
    model = Digits()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model.logits(x[rows]), y[rows], label_smoothing=0.02)
            loss.backward()
            optimiser.step()
        schedule.step()
    return model.eval()


def write_model(model: Digits, path: Path) -> None:
    import onnx

    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 8, 8),),
        dynamo=True,
        verbose=False,
        input_names=["x"],
        output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    proto = program.model_proto  # type: ignore[union-attr]
    for node in proto.graph.node:  # the exporter writes stack traces with paths of this machine
        del node.metadata_props[:]
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]
    del proto.graph.metadata_props[:], proto.metadata_props[:]
    proto.doc_string = "8x8 grey digits, float32 [batch, 1, 8, 8] in 0..1, to probabilities of 0..9"
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def main() -> None:
    x_train, y_train, x_test, y_test = data()
    model = train(x_train, y_train)
    with torch.no_grad():
        p_test = model(x_test)
    accuracy = (p_test.argmax(1) == y_test).float().mean().item()
    print(f"test accuracy {accuracy:.4f} of {len(y_test)} pictures")
    if accuracy < 0.98:
        raise SystemExit("the model is too bad to be shipped")
    write_model(model, HERE / "digits.onnx")

    pictures = []
    for label in (0, 2, 3, 5, 7, 8):
        sure = p_test[:, label] * (y_test == label)
        row = int(sure.argmax())
        name = f"digit_{label}.png"
        grey = (x_test[row, 0].numpy() * 255).round().astype(np.uint8)
        Image.fromarray(grey, "L").save(HERE / name)
        with torch.no_grad():
            p = model(torch.from_numpy(grey.astype(np.float32) / 255)[None, None])[0]
        pictures.append(
            {
                "file": name,
                "label": label,
                "pixels": grey.ravel().tolist(),
                "probabilities": [round(v, 6) for v in p.tolist()],
            }
        )
    about = {
        "input": "x: float32 [batch, 1, 8, 8], 0 black to 1 white",
        "output": "probabilities: float32 [batch, 10]",
        "accuracy": round(accuracy, 4),
        "pictures": pictures,
    }
    text = json.dumps(about, indent=1)
    text = re.sub(r"(?<=[\d\[,])\n +(?=[\d\]])", " ", text)  # lists of numbers on one line
    (HERE / "digits.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
