# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # Reading text in pictures
#
# rapidocr is a package that reads text in pictures. It was written for another engine, ONNX
# Runtime. Here it runs unchanged on pyinfer; afterwards we take its three networks apart:
#
# - *detection*: where in the picture is text?
# - *orientation*: does a line stand on its head?
# - *recognition*: which letters are in a line?
#
# Needed, in the folder of pyinfer:
#
#     pip install ".[notebooks]" rapidocr==3.10.0

# %% [markdown]
# ## One package in the place of another
#
# `install()` makes `import onnxruntime` give pyinfer's stand-in, which has the same classes and
# functions. It must come before the package that is to use it is imported.

# %%
from pyinfer.compat import onnxruntime as stand_in

stand_in.install()

import onnxruntime

assert onnxruntime is stand_in
assert onnxruntime.InferenceSession.__module__.startswith("pyinfer")

# %%
import importlib.util
import logging
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rapidocr import RapidOCR

logging.disable(logging.WARNING)

# %% [markdown]
# ## A picture to read
#
# We draw one, so that we know what is in it.

# %%
text = ["Twelve ships", "reach the harbour", "at noon: 365 days"]


def draw(lines, width=448, height=192):
    picture = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(32)
    for i, line in enumerate(lines):
        pen.text((32, 20 + 55 * i), line, fill="black", font=font)
    return picture


page = draw(text)
page

# %% [markdown]
# ## Read it
#
# One call, and the answer is there, with a score for each line: how sure is it?

# %%
reader = RapidOCR()
found = reader(np.asarray(page))
for line, score in zip(found.txts, found.scores, strict=True):
    print(f"{score:.2f}  {line}")
assert [line.replace(" ", "") for line in found.txts] == [line.replace(" ", "") for line in text]
assert min(found.scores) > 0.8

# %% [markdown]
# It also reads a page that stands on its head.

# %%
turned = reader(np.asarray(page.rotate(180)))
print(turned.txts)
assert set(turned.txts) == set(found.txts)

# %% [markdown]
# ## The networks
#
# Now without the package's code. The three files are in its folder; a *session* of the stand-in is
# what rapidocr made of each.

# %%
folder = Path(importlib.util.find_spec("rapidocr").submodule_search_locations[0], "models")


def session(kind):
    (path,) = folder.glob(f"*{kind}*.onnx")
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


detection, orientation, recognition = map(session, ("det", "cls", "rec"))
for one in (detection, orientation, recognition):
    print(one.get_inputs()[0].shape, "->", one.get_outputs()[0].shape)

# %% [markdown]
# All three want numbers from -1 to 1, in the order `[batch, colour, height, width]`, blue first.


# %%
def numbers(picture):
    x = np.asarray(picture, np.float32)[:, :, ::-1] / 127.5 - 1
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def run(one, x):
    return one.run(None, {one.get_inputs()[0].name: x})[0]


x = numbers(page)
assert x.shape == (1, 3, 192, 448) and x.min() >= -1 and x.max() <= 1

# %% [markdown]
# ## Detection
#
# The answer is a picture of the same size: for each pixel, how likely it is that text is there.
# Not the letters light up but the *lines*, and only their middle, so that two lines stay apart.

# %%
likely = run(detection, x)[0, 0]
assert likely.shape == (192, 448) and likely.min() >= 0 and likely.max() <= 1
for row in likely[::12, ::8]:
    print("".join("#" if value > 0.3 else "." for value in row))

# %% [markdown]
# Count, in each row of pixels, those that are likely text: rows with and without take turns. So
# the lines can be cut out. (rapidocr does more: it finds lines that are not level.)

# %%
rows = (likely > 0.3).any(axis=1)
edges = np.flatnonzero(np.diff(np.r_[False, rows, False].astype(int)))
spans = edges.reshape(-1, 2)  # begin and end of each line
print(spans.tolist())
assert len(spans) == len(text)


# %%
def cut(top, bottom):
    columns = np.flatnonzero((likely[top:bottom] > 0.3).any(axis=0))
    more = int(bottom - top) // 2 + 2  # only the middle lights up
    left, right = int(columns[0]) - more, int(columns[-1]) + more
    return page.crop((left, int(top) - more, right, int(bottom) + more))


lines = [cut(top, bottom) for top, bottom in spans]
lines[1]

# %% [markdown]
# ## Orientation
#
# A line as 48 x 192 pixels goes in; out come two numbers that add up to 1: how likely it stands
# upright, and how likely on its head.


# %%
def upside_down(line):
    x = np.zeros((1, 3, 48, 192), np.float32)
    width = min(round(48 * line.width / line.height), 192)
    x[..., :width] = numbers(line.resize((width, 48)))
    upright, head = run(orientation, x)[0]
    assert np.isclose(upright + head, 1, atol=1e-3)
    return head > upright


assert not any(upside_down(line) for line in lines)
assert all(upside_down(line.rotate(180)) for line in lines)

# %% [markdown]
# ## Recognition
#
# The line is scaled to a height of 48 pixels and goes through from left to right. Every 8 pixels
# the network says how likely each character is: one row of the answer for each step.

# %%
characters = ["", *recognition.get_modelmeta().custom_metadata_map["character"].splitlines(), " "]


def steps(line):
    return run(recognition, numbers(line.resize((round(48 * line.width / line.height), 48))))[0]


answer = steps(lines[0])
print(f"{len(answer)} steps, {answer.shape[1]} characters to choose from")
assert answer.shape[1] == len(characters)
assert abs(8 * len(answer) - 48 * lines[0].width / lines[0].height) <= 8
assert np.allclose(answer.sum(axis=1), 1, atol=1e-3)

# %% [markdown]
# Take the best character of each step. Wide letters are seen in several steps, and between letters
# there is nothing, the *blank* (printed as `_`):

# %%
best = answer.argmax(axis=1)
print("".join(characters[i] or "_" for i in best))
assert (best == 0).sum() > 3

# %% [markdown]
# The rule to read this is called CTC (Graves 2006): drop repetitions, *then* drop blanks. In this
# order, or a double letter could not be told from one wide letter.


# %%
def collapse(indices):
    kept = [i for n, i in enumerate(indices) if n == 0 or i != indices[n - 1]]
    return [i for i in kept if i != 0]


assert collapse([5, 5, 0, 5, 7, 7]) == [5, 5, 7]  # a blank between: a double letter
assert collapse([5, 5, 5, 7]) == [5, 7]  # none between: one wide letter


def read(line):
    return "".join(characters[i] for i in collapse(steps(line).argmax(axis=1)))


for line, want in zip(lines, text, strict=True):
    print(read(line))
    assert read(line).replace(" ", "") == want.replace(" ", "")

# %% [markdown]
# ## Lines of any length
#
# The width of the picture is free: for each new width pyinfer makes a plan, and keeps it. A
# picture of half the width gives half as many steps.

# %%
whole = numbers(lines[0].resize((320, 48)))
assert len(run(recognition, whole)[0]) == 2 * len(run(recognition, whole[..., :160])[0])

# %% [markdown]
# To try pictures of your own: `pyinfer demo`, in a terminal, opens a window that finds and reads
# the text of a picture that is dropped on it.
#
# ## Exercises
#
# 1. How large may the letters be, or how small? Draw them with other sizes and read them.
# 2. Add noise to the page. When do the scores fall, and when does the first letter change?
# 3. Why does CTC need the blank? Write down what the network would have to say for "hello" without
#    it.
#
# ## Solution of 3

# %%
# Without a blank, "hello" and "helo" look alike: the two l become one when repetitions go.
number = {"h": 1, "e": 2, "l": 3, "o": 4, "_": 0}
assert collapse([number[c] for c in "hello"]) == [number[c] for c in "helo"]
assert collapse([number[c] for c in "hel_lo"]) == [number[c] for c in "hello"]
