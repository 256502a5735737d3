# SPDX-License-Identifier: Apache-2.0
"""All rows of the architecture tables, their tiers, and how many an exporter can do.

`PYTHONPATH=tests python -m models.architectures` prints the figures for README.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.arch import WAYS, Arch
from models.arch_plain import PLAIN
from models.arch_senses import SENSES
from models.arch_text import TEXT
from models.arch_vision import VISION

TABLES = {"language": TEXT, "images": VISION, "sound, text with images, time series": SENSES, "plain PyTorch": PLAIN}
ARCHITECTURES: dict[str, Arch] = {name: row for table in TABLES.values() for name, row in table.items()}
assert len(ARCHITECTURES) == sum(map(len, TABLES.values())), "two rows have one name"

FULL = frozenset(
    """
    bert distilbert deberta_v2 mpnet modernbert gpt2 llama qwen3 gemma2 phi bloom falcon mamba gpt2_cache
    llama_cache mixtral qwen2_moe t5 bart marian whisper vit swin convnextv2 beit dinov2 mobilevit resnet
    efficientnet levit pvt detr yolos segformer mask2former maskformer upernet dpt depth_anything rt_detr
    wav2vec2 ast encodec clip siglip patchtst time_series_transformer lstm gru rnn lstm_packed conv1d_wavenet
    conv3d transposed2d unet moe_sparse spatial_transformer detector nms_onnx stft einsum embedding_bag norms
    scatter sort_topk pad_modes movement cond script_loop script_list attention
    """.split()
)
"""The tier `full`; all others are in the tier `deep`."""
assert ARCHITECTURES.keys() >= FULL, FULL - ARCHITECTURES.keys()


def reason(why: Mapping[str, str], way: str) -> str | None:
    """Keys are a way ("dynamo static") or an exporter, which stands for both of its ways."""
    return why.get(way) or why.get(way.split()[0])


def figures() -> list[str]:
    """Lines of a table: architectures in all, then for each way how many are exported rightly, and so pass."""
    lines = []
    for title, table in {**TABLES, "all": ARCHITECTURES}.items():
        passed = [sum(not (reason(r.fails, w) or reason(r.wrong, w)) for r in table.values()) for w in WAYS]
        lines.append(f"| {title} | {len(table)} | {' | '.join(map(str, passed))} |")
    return lines


if __name__ == "__main__":
    print("\n".join(figures()))
