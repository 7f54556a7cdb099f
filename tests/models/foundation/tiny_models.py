"""Tiny random models of each architecture, written to a folder as their makers publish them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.utils import PushToHubMixin

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
try:
    import open_clip
    import sentence_transformers  # noqa: F401 - a part of the extra
    import transformers
except ImportError as error:
    if REQUIRED:
        raise
    pytest.skip(f"needs the extra foundation: {error}", allow_module_level=True)

CONTENT_WORDS = "a the fire bridge dog barks music speech rain over river steel . in photo"
WORDS = ["<pad>", "<s>", "</s>", "<unk>", *CONTENT_WORDS.split()]
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
LABELS = {0: "Person", 1: "Dog", 2: "Car"}
_TEXT = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_NORMAL = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer that knows `WORDS`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)


def save(model: PreTrainedModel, folder: Path, *processors: PushToHubMixin) -> Path:
    """Write a model and its processors to a folder."""
    for part in (model, *processors):
        part.save_pretrained(folder)
    return folder


def seeded(build: type[PreTrainedModel], config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """Return a model with random weights that depend on the seed only, larger than at the start of a training.

    So outputs differ visibly between inputs.
    """
    import torch

    torch.manual_seed(seed)
    model = build(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2.0)
    return model


def tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """Write a SigLIP model."""
    text = _TEXT | {"projection_size": 16, "max_position_embeddings": 64}
    config = transformers.SiglipConfig(text_config=text, vision_config=_VISION)
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32}, **_NORMAL)
    save_tokenizer(folder)
    return save(seeded(transformers.SiglipModel, config, seed), folder, processor)


def tiny_siglip2(folder: Path) -> Path:
    """Write a SigLIP 2 model with NaFlex: it keeps the proportions of pictures."""
    vision = {name: value for name, value in _VISION.items() if name != "image_size"} | {"num_patches": 16}
    config = transformers.Siglip2Config(text_config=_TEXT | {"projection_size": 16}, vision_config=vision)
    processor = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16, **_NORMAL)
    save_tokenizer(folder)
    return save(seeded(transformers.Siglip2Model, config), folder, processor)


def tiny_clip(folder: Path) -> Path:
    """Write a CLIP model."""
    config = transformers.CLIPConfig(text_config=_TEXT, vision_config=_VISION, projection_dim=12)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    save_tokenizer(folder)
    return save(seeded(transformers.CLIPModel, config), folder, processor)


def tiny_clap(folder: Path, *, fused: bool = False) -> Path:
    """Write a CLAP model that hears 10 s at 48 kHz."""
    audio = {
        "num_mel_bins": 64,
        "spec_size": 256,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "window_size": 4,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "enable_fusion": fused,
        "enable_patch_fusion": fused,
    }
    text = _TEXT | {"max_position_embeddings": 90, "projection_dim": 16}
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    # The extractor is saved with fusion, its default, also for the model without it: as some publish it.
    extractor = transformers.ClapFeatureExtractor(feature_size=64, truncation="fusion")
    save_tokenizer(folder)
    return save(seeded(transformers.ClapModel, config), folder, extractor)


def tiny_fused_clap(folder: Path) -> Path:
    """Write a CLAP model that fuses parts of long sounds."""
    return tiny_clap(folder, fused=True)


def tiny_open_clip(folder: Path) -> Path:
    """Write a model of open_clip with its own tokenizer."""
    import torch
    from safetensors.torch import save_file

    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    torch.manual_seed(0)
    network = open_clip.CLIP(**model)
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def tiny_rt_detr(folder: Path) -> Path:
    """Write an RT-DETRv2 detector of the three labels of `LABELS`."""
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrV2Config(
        backbone_config=backbone,
        id2label=LABELS,
        encoder_in_channels=[8, 8, 8],
        **_detr_sizes(),
    )
    processor = transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})
    return save(seeded(transformers.RTDetrV2ForObjectDetection, config), folder, processor)


def tiny_d_fine(folder: Path) -> Path:
    """Write a D-FINE detector of the three labels of `LABELS`."""
    backbone = transformers.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 8, 8],
        stage_mid_channels=[4, 4, 4, 4],
        stage_out_channels=[8, 8, 8, 8],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, False, False],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.DFineConfig(
        backbone_config=backbone,
        id2label=LABELS,
        encoder_in_channels=[8, 8, 8],
        depth_mult=1.0,
        **_detr_sizes(),
    )
    processor = transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})
    return save(seeded(transformers.DFineForObjectDetection, config), folder, processor)


def _detr_sizes() -> dict[str, Any]:
    return {
        "encoder_hidden_dim": 16,
        "feat_strides": [8, 16, 32],
        "encoder_layers": 1,
        "encoder_ffn_dim": 16,
        "encoder_attention_heads": 2,
        "d_model": 16,
        "num_queries": 12,
        "decoder_in_channels": [16, 16, 16],
        "decoder_ffn_dim": 16,
        "num_feature_levels": 3,
        "decoder_n_points": 4,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
        "num_denoising": 0,
    }


def tiny_owlv2(folder: Path) -> Path:
    """Write an OWLv2 detector."""
    text = _TEXT | {"vocab_size": len(WORDS)}
    config = transformers.Owlv2Config(text_config=text, vision_config=_VISION, projection_dim=16)
    processor = transformers.Owlv2ImageProcessor(size={"height": 32, "width": 32})
    save_tokenizer(folder)
    return save(seeded(transformers.Owlv2ForObjectDetection, config), folder, processor)


def tiny_grounding_dino(folder: Path) -> Path:
    """Write a Grounding DINO detector."""
    backbone = transformers.SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    config = transformers.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        num_queries=10,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        d_model=32,
        max_text_len=32,
    )
    processor = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 128, "longest_edge": 192})
    save_tokenizer(folder)
    return save(seeded(transformers.GroundingDinoForObjectDetection, config), folder, processor)


def tiny_ast(folder: Path) -> Path:
    """Write an Audio Spectrogram Transformer with three events."""
    config = transformers.ASTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_length=128,
        num_mel_bins=32,
        id2label={0: "Speech", 1: "Music", 2: "Dog"},
    )
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128)
    return save(seeded(transformers.ASTForAudioClassification, config), folder, extractor)


def tiny_wav2vec2(folder: Path) -> Path:
    """Write a wav2vec2 classifier of three emotions."""
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        conv_dim=[16, 16],
        conv_kernel=[10, 8],
        conv_stride=[5, 40],
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        id2label={0: "calm", 1: "angry", 2: "happy"},
    )
    extractor = transformers.Wav2Vec2FeatureExtractor()
    return save(seeded(transformers.Wav2Vec2ForSequenceClassification, config), folder, extractor)


def tiny_xlm_r(folder: Path) -> Path:
    """Write an XLM-R classifier of three sentiments."""
    text = _TEXT | {"max_position_embeddings": 18}
    config = transformers.XLMRobertaConfig(**text, id2label={0: "negative", 1: "neutral", 2: "positive"})
    save_tokenizer(folder)
    return save(seeded(transformers.XLMRobertaForSequenceClassification, config), folder)


NAMED: Final = (
    ("we met Anna Schmidt in Oslo", "O O B-PER I-PER O B-LOC"),
    ("Anna said that Oslo was cold", "B-PER O O B-LOC O O"),
    ("in Oslo we met nobody", "O B-LOC O O O"),
    ("我 在 上 海 见 到 李 雷", "O O B-LOC I-LOC O O B-PER I-PER"),
    ("李 雷 到 了", "B-PER I-PER O O"),
    ("我 到 了 上 海", "O O O B-LOC I-LOC"),
)
"""Sentences with the class of each word, which `tiny_named_entities` learns by heart."""
_CLASSES: Final = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def tiny_named_entities(folder: Path) -> Path:
    """Write a BERT that finds the names of `NAMED`: it is trained on these sentences."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = [*_BERT_SPECIAL.values(), *dict.fromkeys(" ".join(text for text, _ in NAMED).split())]
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=_BERT_SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_BERT_SPECIAL).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BertConfig(
        vocab_size=len(ids), max_position_embeddings=32, id2label=dict(enumerate(_CLASSES)), **sizes
    )
    torch.manual_seed(0)
    model = transformers.BertForTokenClassification(config).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        for text, classes in NAMED:
            inputs = torch.tensor([[2, *(ids[word] for word in text.split()), 3]])
            wanted = torch.tensor([[0, *map(_CLASSES.index, classes.split()), 0]])
            model(inputs, labels=wanted).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return save(model.eval(), folder)


_BERT_SPECIAL: Final = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
}


_CHAT = (
    "{%- for message in messages %}<|im_start|>{{ message.role }} "
    "{% if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif 'text' in part %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}<|im_end|> {%- endfor %}"
)
_CHAT_TOKENS = [
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
_CHAT_SPECIAL = {
    "pad_token": "<|pad|>",
    "eos_token": "<|im_end|>",
    "unk_token": "<unk>",
    "additional_special_tokens": _CHAT_TOKENS,
}
_CHAT_WORDS = [*_CHAT_TOKENS, "<unk>", "user", "system", "find", *CONTENT_WORDS.split()]


def tiny_sentence_transformers(folder: Path) -> Path:
    """Write a model of sentence-transformers over Qwen3-VL, with an instruction for queries: as Qwen3-VL-Embedding."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    save_qwen3_vl(folder / "base")
    transformer = Transformer(str(folder / "base"))
    torch.manual_seed(0)
    modules = [transformer, Pooling(32, pooling_mode="lasttoken"), Dense(32, 16), Normalize()]
    whole = SentenceTransformer(modules=modules, prompts={"query": "find a bridge", "document": ""}, device="cpu")
    whole.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(folder / "base")
    return folder


def save_qwen3_vl(folder: Path) -> Path:
    """Write a Qwen3-VL model with its processor."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    ids = {word: index for index, word in enumerate(_CHAT_WORDS)}
    words = Tokenizer(models.WordLevel(ids, "<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        **_CHAT_SPECIAL,
        model_max_length=64,
    )
    patches = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
    pictures = transformers.Qwen2VLImageProcessor(
        **patches, size={"shortest_edge": 1024, "longest_edge": 4096}, **_NORMAL
    )
    processor = transformers.Qwen3VLProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(**patches),
        chat_template=_CHAT,
    )
    text = {
        "vocab_size": len(ids),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True},
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "patch_size": 8,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    config = transformers.Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    return save(seeded(transformers.Qwen3VLForConditionalGeneration, config), folder, processor)
