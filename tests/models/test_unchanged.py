# SPDX-License-Identifier: Apache-2.0
"""Packages made for ONNX Runtime run their own code on pyinfer.compat.onnxruntime, and find the same.

Each runs in a process of its own, once on ONNX Runtime and once on pyinfer. What the packages need is
fetched once, if it is not installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from models import ocr
from models.test_real import TEXT
from support.packages import OCR_NEEDS, RAPIDOCR, SILERO, folder_of, folder_with

HEAD = """
import json, sys
sys.path[:] = [p for p in sys.path if p]  # the tree may hold no built pyinfer
sys.path.extend(json.loads(sys.argv[2]))
if sys.argv[1] == "pyinfer":
    from pyinfer.compat import onnxruntime as compat
    compat.install()
import onnxruntime
assert onnxruntime.InferenceSession.__module__.startswith(sys.argv[1])
"""

OCR = """
import numpy as np
from PIL import Image
from rapidocr import RapidOCR
page = np.asarray(Image.open(sys.argv[3]))
engine = RapidOCR()
found = engine(page)
words = engine(page, return_word_box=True).word_results
turned = engine(np.ascontiguousarray(page[::-1, ::-1]))
print(json.dumps({
    "text": [found.txts, turned.txts, [[w[0] for w in line] for line in words]],
    "scores": [*found.scores, *turned.scores, *(w[1] for line in words for w in line)],
    "boxes": [found.boxes.tolist(), turned.boxes.tolist()],
}))
"""

VAD = """
import numpy as np
import torch
import silero_vad
from silero_vad import load_silero_vad, get_speech_timestamps, VADIterator

def voice(seconds, rate):
    "Pulses through three formants, in syllables of 0.18 s; 1.8 s of them, then 1.2 s of silence."
    noise = np.random.default_rng(0).standard_normal(seconds * rate)
    time = np.arange(seconds * rate) / rate
    pitch = np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / rate
    pulses, out, length = (pitch % 1 < 0.08) - 0.08, np.zeros(len(time)), int(0.18 * rate)
    for k in range(0, len(time), length):
        sound = pulses[k : k + length]
        for f in ((700, 1200, 2600), (300, 2200, 3000), (400, 800, 2500))[k // length % 3]:
            t = np.arange(400) / rate
            sound = np.convolve(sound, np.exp(-90 * np.pi * t) * np.sin(2 * np.pi * f * t))[: len(sound)]
            sound = sound / (np.abs(sound).max() + 1e-9)
        out[k : k + length] = sound * np.hanning(len(sound)) ** 0.3
    return torch.from_numpy((out * (time % 3 < 1.8) * 0.3 + 0.002 * noise).astype(np.float32))

probabilities, spans = [], []
for opset, rate in ((16, 16000), (15, 16000), (16, 8000)):
    model = load_silero_vad(onnx=True, opset_version=opset)
    sound = voice(6, rate)
    probabilities.append(model.audio_forward(sound, rate)[0].tolist())
    spans.append(get_speech_timestamps(sound, model, sampling_rate=rate))
sound = voice(6, 16000)
model = load_silero_vad(sequence=True)
probabilities.append(model.audio_forward(sound.numpy()).tolist())
spans.append(silero_vad.get_speech_timestamps_sequence(sound, model))
stream = VADIterator(load_silero_vad(onnx=True))
spans.append([e for i in range(0, len(sound) - 511, 512) if (e := stream(sound[i : i + 512]))])
print(json.dumps({"probabilities": probabilities, "spans": spans}))
"""


def results(code: str, folders: list[Path], *arguments: str) -> list[Any]:
    """What the code prints at last, on ONNX Runtime and on pyinfer."""
    found = []
    for engine in ("onnxruntime", "pyinfer"):
        command = [sys.executable, "-c", HEAD + code, engine, json.dumps([str(f) for f in folders]), *arguments]
        path = os.pathsep.join(p for p in sys.path if p)
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def test_rapidocr(tmp_path: Path) -> None:
    ocr.draw(TEXT, 448, 160).save(tmp_path / "page.png")
    folders = [folder_of(RAPIDOCR), folder_with("ocr", OCR_NEEDS)]
    want, got = results(OCR, folders, str(tmp_path / "page.png"))
    assert got["text"][0] == [word for word, _, _ in TEXT]
    assert got["text"] == want["text"]
    np.testing.assert_allclose(got["scores"], want["scores"], atol=1e-3)
    np.testing.assert_allclose(np.array(got["boxes"]), np.array(want["boxes"]), atol=1)


def test_silero_vad() -> None:
    want, got = results(VAD, [folder_of(SILERO)])
    assert [len(s) for s in got["spans"]][:2] == [2, 2] and got["spans"] == want["spans"]
    for a, b in zip(got["probabilities"], want["probabilities"], strict=True):
        assert max(a) > 0.9 and min(a) < 0.1
        np.testing.assert_allclose(a, b, atol=1e-4)
