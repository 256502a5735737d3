# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # First steps
#
# A *model* is a file: a list of small operations (multiply, add, compare) and the numbers that a
# training found. An *inference engine* reads the file and runs the list. This notebook shows all
# that is needed to use one.
#
# Needed: `pip install .` in the folder of pyinfer. Each cell checks with `assert` what the text
# above it says; a cell that runs without an error has kept its word.

# %%
import numpy as np

import pyinfer
from pyinfer import example

# %% [markdown]
# ## Load
#
# A small model comes with the package. It tells handwritten digits apart.

# %%
model = pyinfer.load(example.model_path(), threads=1)
model

# %% [markdown]
# What goes in, and what comes out? Each *port* has a name, a shape and a type. A word in a shape
# is a number that is free: `batch` pictures at once, each of 1 channel and 8 x 8 pixels.

# %%
print(*model.inputs, *model.outputs, sep="\n")
assert model.inputs[0].shape == ("batch", 1, 8, 8)
assert model.outputs[0].name == "probabilities"

# %% [markdown]
# Six pictures come with it too. 0 is black, 1 is white.

# %%
pictures, labels = example.pictures()
assert pictures.shape == (6, 1, 8, 8) and pictures.dtype == np.float32
assert pictures.min() >= 0 and pictures.max() <= 1

for row in pictures[1, 0]:
    print("".join(2 * " ░▒▓█"[int(4 * v)] for v in row))

# %% [markdown]
# ## Run
#
# A model is called like a function. It gives, for each picture, how likely each of the ten digits
# is. Such numbers are positive and add up to one; the largest is the answer.

# %%
probabilities = model(pictures)
assert probabilities.shape == (6, 10)
assert (probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1)

print("answers:", probabilities.argmax(axis=1))
print("labels: ", labels)
assert (probabilities.argmax(axis=1) == labels).all()

# %% [markdown]
# Models with many inputs are easier to call by name. These three do the same.

# %%
a = model(pictures)
b = model(x=pictures)
c = model.run({"x": pictures})["probabilities"]
assert np.array_equal(a, b) and np.array_equal(b, c)

# %% [markdown]
# Who calls a model a thousand times can keep one array for the answer: `out` is written into, and
# nothing new is allocated for it.

# %%
answer = np.empty((6, 10), np.float32)
model.run({"x": pictures}, out={"probabilities": answer})
assert np.array_equal(answer, a)

# %% [markdown]
# ## Batches
#
# `batch` may be any number. The pictures of a batch know nothing of each other: one alone gets the
# same answer, up to the last digits (other sizes may be computed in another order, and sums of
# floats depend on the order).

# %%
alone = np.concatenate([model(picture[None]) for picture in pictures])
assert np.allclose(alone, a, atol=1e-5)

many = np.tile(pictures, (100, 1, 1, 1))
assert model(many).shape == (600, 10)

# %% [markdown]
# ## Threads
#
# A run may use several cores. `threads` says how many; without it, all that this process may use.
# The answers stay the same, up to the last digits again. For a model as small as this one, two may
# well be slower: to share out the work costs time too.

# %%
two = pyinfer.load(example.model_path(), threads=2)
assert (model.threads, two.threads) == (1, 2)
assert np.allclose(two(pictures), a, atol=1e-5)

# %% [markdown]
# Another thing are threads of yours: one model may be called from many at once.

# %%
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(model, [pictures] * 20))
assert all(np.allclose(answer, a, atol=1e-5) for answer in answers)

# %% [markdown]
# ## Where did the time go?
#
# `profile` runs the model some times and says what each step cost. `where_does_the_time_go` is the
# notebook about it.

# %%
profile = model.profile(pictures)
print(profile)
assert len(profile.steps) > 3 and all(step.ms > 0 for step in profile.steps)

# %% [markdown]
# ## What does it really run?
#
# Not the list in the file: pyinfer rewrites it first. `explain` shows the steps that are left,
# which code runs them (in brackets), and why other code was refused. The notebook
# `how_an_inference_engine_works` tells how this comes about.

# %%
print(model.explain(pictures))
steps = model.explain(pictures).steps
assert "Relu" not in [step.op for step in steps]  # it became a part of the convolution before it
assert [node.op for node in steps[0].nodes] == ["Conv", "Relu"]

# %% [markdown]
# As pictures: before the passes that rewrite it, the nodes of the file...

# %%
model.graph(pictures, passes=False)

# %% [markdown]
# ...and after them, the steps that run. With the pointer on a block, it tells more.

# %%
model.graph(pictures)

# %% [markdown]
# ## Memory
#
# `used` is what the model holds now, `peak` was the most so far; both in bytes. Called with arrays
# or shapes, it plans a run on them: values that do not live at the same time share memory.

# %%
print(model.memory)
assert 0 < model.memory.used <= model.memory.peak < 100e6

# %%
plan = model.memory((100, 1, 8, 8))
print(plan)
assert plan.lower_bound <= plan.arena < sum(place.bytes for place in plan.places) + plan.scratch


# %% [markdown]
# ## Errors on purpose
#
# An error should say what is wrong, and what would be right. Let us make some. `message` runs a
# function that has to fail, and gives the text.


# %%
def message(kind, function):
    try:
        function()
    except kind as error:
        print(f"{type(error).__name__}: {error}\n")
        return str(error)
    raise AssertionError("there was no error")


# %% [markdown]
# One picture is no batch. The message says how to make it one.

# %%
text = message(pyinfer.InputError, lambda: model(pictures[0]))
assert "give x[None]" in text
assert model(pictures[0][None]).shape == (1, 10)

# %% [markdown]
# Pictures of another size, a name that is none, numbers of a kind that does not fit.

# %%
assert "got float32[6, 1, 8, 7]" in message(pyinfer.InputError, lambda: model(pictures[..., :7]))
assert "no input 'picture'" in message(pyinfer.InputError, lambda: model.run({"picture": pictures}))
assert "convert it first" in message(pyinfer.InputError, lambda: model(pictures + 1j))

# %% [markdown]
# A file that is not there, and bytes that are no model.

# %%
assert "none.onnx" in message(pyinfer.FileError, lambda: pyinfer.load("none.onnx"))
assert "no ONNX model" in message(pyinfer.ModelError, lambda: pyinfer.load(b"abc"))

# %% [markdown]
# An option that is mistyped: the message lists all that there are.

# %%
text = message(TypeError, lambda: pyinfer.load(example.model_path(), thread=1))
assert "threads" in text

# %% [markdown]
# All errors of pyinfer are `PyinferError`s, and most are one of Python's own as well: code that
# catches `ValueError` or `OSError` catches them.

# %%
assert issubclass(pyinfer.InputError, pyinfer.PyinferError)
assert issubclass(pyinfer.InputError, ValueError) and issubclass(pyinfer.FileError, OSError)

# %% [markdown]
# ## A warning
#
# NumPy makes 64-bit floats unless told otherwise, models want 32-bit ones. pyinfer casts, and says
# so once: a cast costs time in each run. With `strict=True` it refuses.

# %%
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    again = model(pictures.astype(np.float64))
assert np.allclose(again, a, atol=1e-5)
assert [w.category for w in caught] == [pyinfer.InputWarning]
print(caught[0].message)

strict = pyinfer.load(example.model_path(), strict=True)
message(pyinfer.InputError, lambda: strict(pictures.astype(np.float64)))

# %% [markdown]
# ## Try it
#
# 1. Turn a picture upside down (`pictures[:1, :, ::-1]`). What does the model think of it, and how
#    sure is it?
# 2. Add noise, `np.random.default_rng(0).normal(0, s, pictures.shape).astype(np.float32)`. From
#    which `s` on does it err?
# 3. Draw a digit of your own as an 8 x 8 array. Is it recognised? (With a pen: `pyinfer demo`, in a
#    terminal, opens a window in which you draw and the model guesses.)
#
# Where to go on: `from_pytorch` trains a network and brings it here; `where_does_the_time_go`
# measures.
