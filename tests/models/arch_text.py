# SPDX-License-Identifier: Apache-2.0
"""Language models of transformers: encoders, decoders, mixtures of experts, encoder-decoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers as tf
from torch import Tensor, nn
from transformers import AutoConfig

from models.arch import Arch, Feeds, Flat
from models.arch_hf import ROW, SEQ2SEQ, SMALL, VOCAB, both, decoder_ids, floats, hf, rng, text


def encoder(kind: str, **config: Any) -> Arch:
    return hf(tf.AutoModel, kind, text(), **(SMALL | config))


def decoder(kind: str, **config: Any) -> Arch:
    return hf(tf.AutoModelForCausalLM, kind, text(), **(SMALL | {"num_key_value_heads": 2, "use_cache": False} | config))


def cached(kind: str, heads: int = 2, width: int = 8, layers: int = 2, past: int = 6, new: int = 2, **config: Any) -> Arch:
    """A decoder that takes keys and values of `past` tokens and gives them for past + new."""
    row: dict[str, Any] = {k: config.pop(k) for k in ROW if k in config}

    def feeds(batch: int) -> Feeds:
        out: Feeds = {"input_ids": rng(batch).integers(5, VOCAB, (batch, new), dtype=np.int64)}
        out["attention_mask"] = (np.arange(past + new) >= np.arange(batch)[:, None]).astype(np.int64)
        for i in range(layers):
            for part in ("key", "value"):
                out[f"past_{part}_{i}"] = rng(i).standard_normal((batch, heads, past, width)).astype(np.float32)
        return out

    def call(model: nn.Module, ids: Tensor, mask: Tensor, *kv: Tensor) -> Any:
        cache = tf.DynamicCache(config=model.config)
        for i in range(layers):
            cache.update(kv[2 * i], kv[2 * i + 1], i)
        y = model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        return [y.logits, *(t for layer in y.past_key_values.layers for t in (layer.keys, layer.values))]

    def make() -> nn.Module:
        made = AutoConfig.for_model(kind, **(SMALL | {"num_key_value_heads": heads} | config))
        return Flat(tf.AutoModelForCausalLM.from_config(made).eval(), call)

    return Arch(make, feeds, **row)


def moe(kind: str, **config: Any) -> Arch:
    return decoder(
        kind,
        **(
            {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "n_routed_experts": 4}
            | config
        ),
    )


def seq2seq(kind: str, **config: Any) -> Arch:
    return hf(tf.AutoModelForSeq2SeqLM, kind, both(text(), decoder_ids()), **(SEQ2SEQ | config))


T5 = dict(vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=4, use_cache=False)


TEXT: dict[str, Arch] = {
    # text encoders
    "bert": encoder("bert"),
    "roberta": encoder("roberta"),
    "distilbert": hf(
        tf.AutoModel, "distilbert", text(), vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64
    ),
    "albert": encoder("albert", embedding_size=16),
    "electra": encoder("electra", embedding_size=16),
    "deberta": encoder("deberta", relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=16),
    "deberta_v2": encoder(
        "deberta-v2", relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=8, max_relative_positions=16
    ),
    "mpnet": encoder("mpnet"),
    "modernbert": encoder("modernbert", num_hidden_layers=3, local_attention=4),
    "xlm_roberta": encoder("xlm-roberta"),
    "funnel": hf(
        tf.FunnelModel,
        "funnel",
        text(8),
        vocab_size=VOCAB,
        block_sizes=[1, 1],
        d_model=32,
        n_head=4,
        d_head=8,
        d_inner=48,
        num_decoder_layers=1,
    ),
    "convbert": encoder("convbert", embedding_size=16),
    "squeezebert": encoder("squeezebert", embedding_size=32),
    "mobilebert": encoder("mobilebert", embedding_size=16, intra_bottleneck_size=16, true_hidden_size=16, intermediate_size=32),
    "roformer": encoder("roformer", embedding_size=32),
    "fnet": hf(tf.AutoModel, "fnet", text(mask=False), **SMALL, fails={"script": "'aten::fft_fftn'"}),
    "longformer": hf(
        tf.AutoModel,
        "longformer",
        text(16),
        **(SMALL | dict(attention_window=8)),
        fails={"dynamo": "data-dependent expression"},
        wrong={
            "script static": "sizes and windows fixed while tracing; ONNX Runtime answers the same",
            "script dynamic": "sizes and windows fixed while tracing; ONNX Runtime answers the same",
        },
    ),
    "xlnet": hf(
        tf.AutoModel,
        "xlnet",
        text(),
        vocab_size=VOCAB,
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=48,
        fails={"dynamo": "Cannot find a compatible OpOverload for aten.sub"},
    ),
    "ibert": encoder("ibert"),
    "canine": hf(
        tf.AutoModel,
        "canine",
        text(16),
        **(SMALL | dict(local_transformer_stride=8, downsampling_rate=4, num_hash_buckets=64, num_hash_functions=4)),
        wrong={
            "script static": "windows of attention traced with other sizes (ONNX Runtime refuses it too)",
            "script dynamic": "windows of attention traced with other sizes (ONNX Runtime refuses it too)",
        },
    ),
    "esm": encoder("esm", position_embedding_type="rotary", mask_token_id=4),
    "reformer": hf(
        tf.AutoModel,
        "reformer",
        text(16),
        vocab_size=VOCAB,
        hidden_size=32,
        attention_head_size=8,
        num_attention_heads=4,
        feed_forward_size=48,
        axial_pos_shape=[4, 4],
        axial_pos_embds_dim=[16, 16],
        lsh_attn_chunk_length=4,
        local_attn_chunk_length=4,
        num_buckets=4,
        attn_layers=["local", "local"],
        is_decoder=False,
        fails={"dynamo dynamic": "conflicts between user-specified ranges and inferred ranges", "script": "unordered_map::at"},
    ),
    # decoders
    "gpt2": decoder("gpt2", n_embd=32, n_layer=2, n_head=4, hidden_size=32),
    "llama": decoder("llama"),
    "mistral": decoder("mistral", sliding_window=4),
    "qwen2": decoder("qwen2"),
    "qwen3": decoder("qwen3", head_dim=8),
    "gemma": decoder("gemma", head_dim=8),
    "gemma2": decoder("gemma2", head_dim=8, sliding_window=4),
    "gemma3": decoder("gemma3_text", head_dim=8, sliding_window=4),
    "phi": decoder("phi", num_key_value_heads=4),
    "phi3": decoder("phi3"),
    "gpt_neox": decoder("gpt_neox"),
    "gpt_neo": decoder("gpt_neo", num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4),
    "gptj": decoder("gptj", n_embd=32, n_layer=2, n_head=4, rotary_dim=4),
    "opt": decoder("opt", ffn_dim=48, word_embed_proj_dim=32),
    "bloom": decoder("bloom", n_layer=2, n_head=4),
    "falcon": decoder("falcon"),
    "mpt": hf(
        tf.AutoModelForCausalLM,
        "mpt",
        text(),
        vocab_size=VOCAB,
        d_model=32,
        n_layers=2,
        n_heads=4,
        expansion_ratio=2,
        max_seq_len=64,
        use_cache=False,
    ),
    "mamba": hf(
        tf.AutoModelForCausalLM, "mamba", text(), vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, state_size=4, use_cache=False
    ),
    "mamba2": hf(
        tf.AutoModelForCausalLM,
        "mamba2",
        text(),
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=2,
        state_size=4,
        num_heads=4,
        head_dim=8,
        n_groups=1,
        chunk_size=4,
        use_cache=False,
    ),
    "rwkv": hf(
        tf.AutoModelForCausalLM,
        "rwkv",
        text(mask=False),
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=2,
        attention_hidden_size=16,
        intermediate_size=24,
        use_cache=False,
    ),
    "recurrent_gemma": decoder("recurrent_gemma", lru_width=32, attention_window_size=8, num_hidden_layers=3, head_dim=8),
    "stablelm": decoder("stablelm"),
    "starcoder2": decoder("starcoder2"),
    "cohere": decoder(
        "cohere",
        fails={"script static": "INTERNAL ASSERT FAILED"},
        wrong={"script dynamic": "sizes after repeat_interleave halved (ONNX Runtime refuses it too)"},
    ),
    "olmo2": decoder("olmo2"),
    "smollm3": decoder("smollm3"),
    "glm4": decoder("glm4", head_dim=8, fails={"script": "All tensors must have the same rank"}),
    "granite": decoder("granite"),
    "xglm": decoder("xglm", d_model=32, num_layers=2, attention_heads=4, ffn_dim=48),
    "lfm2": decoder("lfm2", layer_types=["conv", "full_attention"]),
    "gpt2_cache": cached("gpt2", heads=4, n_embd=32, n_layer=2, n_head=4),
    "llama_cache": cached("llama"),
    "mistral_cache": cached("mistral", sliding_window=None),
    "qwen3_cache": cached("qwen3", head_dim=8),
    "gemma2_cache": cached("gemma2", head_dim=8, sliding_window=32),
    "phi_cache": cached("phi", heads=4),
    "gpt_neox_cache": cached("gpt_neox", heads=4),
    "opt_cache": cached("opt", heads=4, ffn_dim=48, word_embed_proj_dim=32),
    "bloom_cache": cached("bloom", heads=4, n_layer=2, n_head=4),
    "falcon_cache": cached("falcon", heads=1),
    # mixtures of experts
    "mixtral": moe("mixtral"),
    "qwen2_moe": moe("qwen2_moe", shared_expert_intermediate_size=16),
    "olmoe": moe("olmoe"),
    "gpt_oss": moe("gpt_oss", head_dim=8, sliding_window=4),
    "deepseek_v3": moe(
        "deepseek_v3",
        num_key_value_heads=4,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=4,
        qk_nope_head_dim=4,
        v_head_dim=8,
        n_group=2,
        topk_group=1,
        first_k_dense_replace=1,
    ),
    "granitemoe": moe("granitemoe"),
    "switch": hf(
        tf.AutoModelForSeq2SeqLM,
        "switch_transformers",
        both(text(), decoder_ids()),
        "logits",
        num_experts=4,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        expert_capacity=64,
        **T5,
        fails={"dynamo": "Cannot swap t1"},
        wrong={"script dynamic": "routing fixed while tracing; ONNX Runtime answers the same"},
    ),
    # encoder-decoders
    "t5": hf(tf.AutoModelForSeq2SeqLM, "t5", both(text(), decoder_ids()), **T5),
    "umt5": hf(tf.AutoModelForSeq2SeqLM, "umt5", both(text(), decoder_ids()), **T5),
    "longt5": hf(tf.AutoModelForSeq2SeqLM, "longt5", both(text(16), decoder_ids()), local_radius=3, **T5),
    "bart": seq2seq("bart"),
    "mbart": seq2seq("mbart"),
    "marian": seq2seq("marian", decoder_vocab_size=VOCAB),
    "pegasus": seq2seq("pegasus"),
    "m2m_100": seq2seq("m2m_100"),
    "blenderbot": seq2seq("blenderbot"),
    "prophetnet": hf(
        tf.AutoModelForSeq2SeqLM,
        "prophetnet",
        both(text(), decoder_ids()),
        vocab_size=VOCAB,
        hidden_size=32,
        num_encoder_layers=2,
        num_decoder_layers=2,
        num_encoder_attention_heads=4,
        num_decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        use_cache=False,
        fails={"dynamo": "Cannot find a compatible OpOverload for aten.sub"},
    ),
    "whisper": hf(
        tf.AutoModelForSpeechSeq2Seq,
        "whisper",
        both(floats("input_features", 16, 40), decoder_ids()),
        **(SEQ2SEQ | dict(num_mel_bins=16, max_source_positions=20, max_target_positions=32)),
    ),
    "speech_to_text": hf(
        tf.AutoModelForSpeechSeq2Seq,
        "speech_to_text",
        both(floats("input_features", 40, 16), decoder_ids()),
        **(
            SEQ2SEQ
            | dict(input_feat_per_channel=16, num_conv_layers=2, conv_channels=16, max_source_positions=64, max_target_positions=32)
        ),
    ),
}
