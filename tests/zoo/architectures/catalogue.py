"""Architectures of `transformers`, each with what it is trained on and what has to be said beside the tiny sizes.

Some are not as healthy as they might be, and what is found in them is true, so they are built otherwise or left out:

- `BertLMHeadModel` and its like see the tokens that they are to predict unless `is_decoder=True` (TCK216).
- In `ReformerModelWithLMHead` the tokens to come decide which of the earlier ones share a bucket, so its answers change
  with them (TCK216). In training it draws a seed from the clock, so that no two runs of it are the same.
- `T5ForTokenClassification` draws the weights of its classifier with a standard deviation of 1 and does not scale what
  it is given: its first loss is ten times that of a guess (TCK518).
- `MiniCPM3ForCausalLM` divides by `hidden_size / dim_model_base`: of a narrow model with the default of 256 the logits
  are eight times too large (TCK518). The table sets both.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from tests.zoo.architectures import batches
from tests.zoo.architectures.batches import IMAGE_WORD, Batch, Maker
from tests.zoo.architectures.configurations import FRAMES, WIDTH, WORDS, tiny


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model class, by its name in `transformers`."""

    name: str
    make: Maker
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the table of tiny sizes can't know."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the model is called with."""

    def config(self) -> Any:
        """Its configuration."""
        kind = getattr(importlib.import_module("transformers"), self.name)
        return tiny(kind.config_class, self.overrides)

    def build(self) -> nn.Module:
        """The model, with random weights."""
        kind = getattr(importlib.import_module("transformers"), self.name)
        model: nn.Module = kind(self.config())
        return model

    def batch(self, rows: int) -> Batch:
        """So many samples for it."""
        return self.make(self.config(), rows)


def _of(names: str, make: Maker, more: Mapping[str, Any] | None = None, /, **overrides: Any) -> dict[str, Architecture]:
    return {name: Architecture(name, make, overrides, more or {}) for name in names.split()}


_PAIR: dict[str, Any] = {"return_loss": True}
_EAR = {
    "conv_dim": (WIDTH, WIDTH),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 5),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_length": 2,
    "ctc_loss_reduction": "mean",
}
_STAGES = {"embed_dim": 8, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4, "patch_size": 4}
_TIMES = {"prediction_length": 4, "context_length": 8, "lags_sequence": [1, 2], "num_time_features": 1, "input_size": 1}
_LATENT = {"qk_rope_head_dim": 8, "num_key_value_heads": 4}

ENCODERS = {
    **_of(
        """AlbertForMaskedLM BertForMaskedLM BigBirdForMaskedLM ConvBertForMaskedLM DebertaForMaskedLM
        DebertaV2ForMaskedLM DistilBertForMaskedLM ElectraForMaskedLM FNetForMaskedLM IBertForMaskedLM
        LayoutLMForMaskedLM LongformerForMaskedLM MegatronBertForMaskedLM MobileBertForMaskedLM ModernBertForMaskedLM
        MPNetForMaskedLM MraForMaskedLM NomicBertForMaskedLM NystromformerForMaskedLM RoFormerForMaskedLM
        SqueezeBertForMaskedLM YosoForMaskedLM TapasForMaskedLM LukeForMaskedLM RoCBertForMaskedLM
        FlaubertWithLMHeadModel XLMWithLMHeadModel""",
        batches.masked,
    ),
    **_of("EsmForMaskedLM", batches.masked, vocab_size=WORDS, pad_token_id=0, mask_token_id=3),
    **_of("XmodForMaskedLM", batches.masked, default_language="en_XX"),
    **_of("RobertaForSequenceClassification XLNetForSequenceClassification", batches.classified),
    **_of("CanineForSequenceClassification", batches.classified),
    **_of("ErnieForTokenClassification RemBertForTokenClassification", batches.tagged),
    **_of("FunnelForQuestionAnswering", batches.answered),
}

DECODERS = {
    **_of(
        """BloomForCausalLM CohereForCausalLM FalconForCausalLM Gemma2ForCausalLM Gemma3ForCausalLM Glm4ForCausalLM
        GPT2LMHeadModel GPTBigCodeForCausalLM GPTNeoXForCausalLM GraniteForCausalLM LlamaForCausalLM MistralForCausalLM
        MptForCausalLM Olmo2ForCausalLM OPTForCausalLM PersimmonForCausalLM PhiForCausalLM Phi3ForCausalLM
        Qwen3ForCausalLM SmolLM3ForCausalLM StableLmForCausalLM Starcoder2ForCausalLM XGLMForCausalLM XLNetLMHeadModel
        CTRLLMHeadModel DiffLlamaForCausalLM""",
        batches.causal,
    ),
    **_of("BertLMHeadModel RobertaForCausalLM", batches.causal, is_decoder=True),
    **_of("GPTJForCausalLM CodeGenForCausalLM", batches.causal, rotary_dim=4),
    **_of("GPTNeoForCausalLM", batches.causal, attention_types=[[["global", "local"], 1]]),
    **_of("MiniCPM3ForCausalLM", batches.causal, **_LATENT),
    **_of("Qwen2ForSequenceClassification", batches.classified),
}

MIXTURES = {
    **_of(
        """Ernie4_5_MoeForCausalLM Glm4MoeForCausalLM GptOssForCausalLM GraniteMoeForCausalLM JetMoeForCausalLM
        MiniMaxForCausalLM MixtralForCausalLM OlmoeForCausalLM PhimoeForCausalLM Qwen2MoeForCausalLM Qwen3MoeForCausalLM
        HYV4ForCausalLM""",
        batches.causal,
    ),
    **_of("DeepseekV2ForCausalLM", batches.causal, **_LATENT, num_experts_per_tok=2),
    **_of("DeepseekV3ForCausalLM", batches.causal, **_LATENT, n_group=1, topk_group=1, first_k_dense_replace=1),
    **_of("SwitchTransformersForConditionalGeneration", batches.translated, decoder_start_token_id=0),
    **_of("NllbMoeForConditionalGeneration", batches.translated),
}

STATE_SPACES = {
    **_of("MambaForCausalLM FalconMambaForCausalLM RwkvForCausalLM", batches.unpadded),
    **_of("Mamba2ForCausalLM", batches.unpadded, num_heads=8, head_dim=8, n_groups=1),
    **_of("BambaForCausalLM", batches.causal, mamba_n_heads=8, mamba_d_head=8, attn_layer_indices=[1]),
    **_of("JambaForCausalLM", batches.causal, attn_layer_period=2, attn_layer_offset=1, use_mamba_kernels=False),
    **_of("FalconH1ForCausalLM", batches.causal, mamba_n_heads=4, mamba_d_head=8, mamba_d_ssm=WIDTH),
    **_of("RecurrentGemmaForCausalLM", batches.causal, block_types=("recurrent", "attention")),
    **_of(
        "Qwen3NextForCausalLM",
        batches.causal,
        layer_types=["linear_attention", "full_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    ),
    **_of("OlmoHybridForCausalLM Lfm2ForCausalLM", batches.causal),
}

TRANSLATORS = {
    **_of(
        """BartForConditionalGeneration BigBirdPegasusForConditionalGeneration BlenderbotForConditionalGeneration
        LEDForConditionalGeneration M2M100ForConditionalGeneration MarianMTModel PegasusForConditionalGeneration
        PegasusXForConditionalGeneration ProphetNetForConditionalGeneration T5GemmaForConditionalGeneration
        UMT5ForConditionalGeneration""",
        batches.translated,
    ),
    **_of("T5ForConditionalGeneration LongT5ForConditionalGeneration", batches.translated, decoder_start_token_id=0),
    **_of("EncoderDecoderModel", batches.translated, decoder_start_token_id=1, pad_token_id=0),
}

VISION = {
    **_of(
        """BeitForImageClassification DeiTForImageClassification Dinov2ForImageClassification
        IJepaForImageClassification MobileViTForImageClassification PoolFormerForImageClassification
        PvtForImageClassification PvtV2ForImageClassification RegNetForImageClassification ResNetForImageClassification
        SiglipForImageClassification SwiftFormerForImageClassification ViTForImageClassification""",
        batches.pictures,
    ),
    **_of("SwinForImageClassification Swinv2ForImageClassification", batches.pictures, **_STAGES),
    **_of(
        "FocalNetForImageClassification",
        batches.pictures,
        embed_dim=8,
        hidden_sizes=[8, 8],
        depths=[1, 1],
        focal_levels=[2, 2],
        focal_windows=[3, 3],
        patch_size=4,
    ),
    **_of("ConvNextForImageClassification ConvNextV2ForImageClassification", batches.pictures, patch_size=4),
    **_of(
        "EfficientNetForImageClassification",
        batches.pictures,
        width_coefficient=0.25,
        depth_coefficient=0.3,
        hidden_dim=320,
    ),
    **_of("MobileNetV2ForImageClassification", batches.pictures, depth_multiplier=0.25),
    **_of("BitForImageClassification", batches.pictures, num_groups=4),
    **_of("SegformerForSemanticSegmentation", batches.segmented),
    **_of("GLPNForDepthEstimation", batches.measured),
    **_of("ViTMAEForPreTraining", batches.unlabelled),
    **_of("TimesformerForVideoClassification VideoMAEForVideoClassification", batches.films, num_frames=2),
    **_of("VivitForVideoClassification", batches.films),
}

AUDIO = {
    **_of("Wav2Vec2ForCTC HubertForCTC WavLMForCTC UniSpeechForCTC", batches.spoken, **_EAR),
    **_of("Data2VecAudioForCTC", batches.spoken, **_EAR),
    **_of("SEWForSequenceClassification Wav2Vec2ConformerForSequenceClassification", batches.sounds, **_EAR),
    **_of("ASTForAudioClassification", batches.patches, max_length=2 * FRAMES, frequency_stride=4, time_stride=4),
    **_of("WhisperForConditionalGeneration", batches.spectra, max_source_positions=FRAMES),
    **_of("WhisperForAudioClassification", batches.heard, max_source_positions=FRAMES),
    **_of("Speech2TextForConditionalGeneration", batches.banks, input_feat_per_channel=FRAMES, conv_channels=WIDTH),
    **_of(
        "MoonshineForConditionalGeneration",
        batches.spoken,
        encoder_num_key_value_heads=4,
        decoder_num_key_value_heads=4,
    ),
}

MULTIMODAL = {
    **_of(
        "AltCLIPModel BlipModel ChineseCLIPModel CLIPModel CLIPSegModel MetaClip2Model SiglipModel GroupViTModel",
        batches.captioned,
        _PAIR,
    ),
    **_of("BlipForConditionalGeneration GitForCausalLM", batches.described),
    **_of("LlavaForConditionalGeneration", batches.inserted, image_token_index=IMAGE_WORD),
    **_of("PaliGemmaForConditionalGeneration", batches.told_apart, image_token_index=IMAGE_WORD),
    **_of("ViltForQuestionAnswering", batches.asked),
    **_of("VisionEncoderDecoderModel", batches.drawn, decoder_start_token_id=1, pad_token_id=0),
}

SERIES = {
    **_of(
        "PatchTSTForPrediction", batches.series, patch_length=4, patch_stride=4, context_length=16, prediction_length=4
    ),
    **_of("PatchTSMixerForPrediction", batches.series, context_length=32, prediction_length=4),
    **_of("TimeSeriesTransformerForPrediction InformerForPrediction", batches.timed, **_TIMES),
    **_of("AutoformerForPrediction", batches.timed, **_TIMES, label_length=4, moving_average=3),
}

KINDS = {
    "encoders": ENCODERS,
    "decoders": DECODERS,
    "mixtures of experts": MIXTURES,
    "state spaces": STATE_SPACES,
    "encoder-decoders": TRANSLATORS,
    "vision": VISION,
    "audio": AUDIO,
    "multimodal": MULTIMODAL,
    "time series": SERIES,
}

ARCHITECTURES = {name: architecture for kind in KINDS.values() for name, architecture in kind.items()}
