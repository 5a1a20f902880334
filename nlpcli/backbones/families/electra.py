"""ELECTRA (Clark et al. 2020, arXiv 2003.10555): a discriminator and its generator.

HFL's and Google's. The discriminator, which is what people train further, has no pooler
and no head for tokens; the generator is a narrower masked language model on the same
embeddings. Google's code computes the erf GELU (unlike BERT's), and its files hold
both: the discriminator is read from them, the generator from files that have nothing
else. The generator of transformers computes the erf GELU in its head whatever its
configuration says. HFL's configurations have no ``type_vocab_size``: it is 2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule

WIDTH = 128  # of the token table where config.json does not tell (transformers)


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    values = {"embedding_size": WIDTH, **raw} if dialect == "hf" else raw
    fixed = {"max_relative_position": 0, "head_act": "gelu"}
    known = {"embedding_size"}
    config = TransformerConfig.published(values, origin, {}, fixed, known)
    if config.embedding_size == config.hidden_size:
        return replace(config, embedding_size=0)
    return config


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    del values["max_relative_position"], values["head_act"]
    head = "ForMaskedLM" if "mlm" in parts else "Model"
    if "discriminator" in parts:
        head = "ForPreTraining"
    return {
        "architectures": [f"Electra{head}"],
        "model_type": "electra",
        **values,
        "embedding_size": config.width,
    }


def _dialect(names: Collection[str], given: str) -> str:
    whose = {name.split("/encoder/")[0] for name in names if "/encoder/" in name}
    return "tf-generator" if given == "tf" and whose == {"generator"} else given


def _encoders() -> naming.Tables:
    project = ("embeddings_project", "embeddings_project")
    both = naming.encoder("electra.", "electra/", projection=project)
    narrow = naming.encoder("", "generator/", projection=project, tables_at="electra/")
    return {**both, "tf-generator": narrow["tf"]}


_GENERATOR = {
    "hf": naming.hf_table(
        "electra.",
        (
            *naming.dense_hf("mlm/transform", "generator_predictions.dense"),
            *naming.norm_hf("mlm/norm", "generator_predictions.LayerNorm"),
            Rule("mlm/bias", "generator_lm_head.bias", vocab_axis=0),
        ),
    ),
    "tf-generator": naming.tf_table(
        (
            *naming.dense_tf("mlm/transform", "generator_predictions/dense"),
            *naming.norm_tf("mlm/norm", "generator_predictions"),
            Rule("mlm/bias", "generator_predictions/output_bias", vocab_axis=0),
        )
    ),
}
_OURS, _THEIRS = "discriminator/{}", "discriminator_predictions"
_DISCRIMINATOR = {
    "hf": naming.hf_table(
        "electra.",
        (
            *naming.dense_hf(_OURS.format("transform"), f"{_THEIRS}.dense"),
            *naming.dense_hf(_OURS.format("prediction"), f"{_THEIRS}.dense_prediction"),
        ),
    ),
    "tf": naming.tf_table(
        (
            *naming.dense_tf(_OURS.format("transform"), f"{_THEIRS}/dense"),
            *naming.dense_tf(_OURS.format("prediction"), f"{_THEIRS}/dense_1"),
        )
    ),
}

FAMILY = Family(
    name="electra",
    model_types=("electra",),
    marks=(
        (
            r"^(electra|generator)[./](embeddings|encoder)[./_]",
            "names begin with 'electra' or 'generator'",
        ),
        (r"^(discriminator|generator)_predictions[./]", "a head that ELECTRA has"),
    ),
    read=read,
    tables={
        "backbone": _encoders(),
        "mlm": _GENERATOR,
        "discriminator": _DISCRIMINATOR,
    },
    publish=publish,
    rank=20,
    dialect=_dialect,
    unlike=("ForSequenceClassification",),
    refuses="expected a model that can learn to write, got an ELECTRA, which learnt "
    "to tell replaced tokens from all that stand around them",
)
