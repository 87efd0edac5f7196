"""Configurations of `transformers`, each made tiny by one table of sizes, whatever its author called them."""

from collections.abc import Mapping
from typing import Any

WIDTH, DEEP, HEADS, WORDS, SIDE, FRAMES = 32, 2, 4, 64, 32, 16

_NAMES = (
    (
        WIDTH,
        """hidden_size d_model dim n_embd embed_dim hidden_dim embedding_size mamba_d_ssm decoder_hidden_size
        projection_dim conv_dim hidden_sizes embed_dims neck_hidden_sizes encoder_hidden_size
        attention_hidden_size lru_width output_hidden_size pooler_hidden_size proj_codevector_dim
        classifier_proj_size dim_model_base entity_emb_size image_text_hidden_size emb_dim""",
    ),
    (
        40,
        """intermediate_size encoder_ffn_dim decoder_ffn_dim d_ff ffn_dim n_inner ffn_hidden_size
        moe_intermediate_size shared_expert_intermediate_size d_inner decoder_intermediate_size
        pooler_output_size dff""",
    ),
    (
        DEEP,
        """num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_encoder_layers
        num_decoder_layers depths decoder_num_hidden_layers encoder_num_hidden_layers num_conv_layers""",
    ),
    (
        HEADS,
        """num_attention_heads n_head n_heads encoder_attention_heads decoder_attention_heads num_heads
        attention_heads num_encoder_attention_heads num_decoder_attention_heads decoder_num_attention_heads
        encoder_num_attention_heads num_experts num_local_experts n_routed_experts moe_num_experts""",
    ),
    (
        2,
        """num_key_value_heads num_kv_heads num_experts_per_tok moe_k decoder_num_key_value_heads
        encoder_num_key_value_heads""",
    ),
    (
        8,
        """head_dim d_kv qk_nope_head_dim v_head_dim q_lora_rank kv_lora_rank qk_head_dim linear_key_head_dim
        linear_value_head_dim mamba_d_state mamba_d_head state_size chunk_size mamba_chunk_size index_head_dim
        time_step_rank mamba_dt_rank kv_channels patch_size""",
    ),
    (4, "qk_rope_head_dim codevector_dim"),
    (
        WORDS,
        """vocab_size max_position_embeddings n_positions max_seq_len max_source_positions max_target_positions
        context_length attention_window sliding_window decoder_vocab_size entity_vocab_size
        pronunciation_vocab_size shape_vocab_size num_hash_buckets""",
    ),
    (SIDE, "image_size input_size"),
    (FRAMES, "num_mel_bins max_length"),
)
"""What the configurations call their sizes."""
_SIZES = {name: size for size, names in _NAMES for name in names.split()}

_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "mask_token_id": 3}


def tiny(kind: Any, overrides: Mapping[str, Any]) -> Any:
    """A configuration of this class, with the sizes of the table and then those of its own.

    An override of a configuration that lies within is a mapping.
    """
    plain = kind()
    sizes = {name: _smaller(name, value) for name, value in plain.to_dict().items() if name in _SIZES | _SPECIAL}
    parts = {name: _part(plain, name, overrides.get(name, {})) for name in plain.sub_configs if _has(plain, name)}
    return kind(**{**sizes, **overrides, **parts})


def _has(config: object, name: str) -> bool:
    return getattr(config, name, None) is not None


def _part(whole: object, name: str, overrides: Mapping[str, Any]) -> object:
    return tiny(type(getattr(whole, name)), overrides)


def _smaller(name: str, value: object) -> object:
    """In the place of a number the table's, of a list as many of them."""
    if name in _SPECIAL:
        return None if value is None and name != "pad_token_id" else _SPECIAL[name]
    if isinstance(value, list | tuple):
        return type(value)(_smaller(name, each) for each in value)
    return _SIZES[name] if isinstance(value, int) and not isinstance(value, bool) else value
