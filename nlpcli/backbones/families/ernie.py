"""ERNIE 1.0 and 3.0 in BERT's form (Sun et al. 2019 and 2021, arXiv 2107.02137).

As transformers has them (nghuyong's conversions). ERNIE 3.0 adds a row for the task it
is asked: always row 0 here, as transformers does where none is told. Files that say
``use_task_id: false`` may hold that table all the same; it is not used then. Older
conversions say ``bert`` in their configuration and are BERTs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu, head_class
from nlpcli.backbones.family import Family
from nlpcli.errors import CheckpointError

TASKS = 3  # rows where the configuration does not tell
_TABLES = (
    "token_embedding",
    "segment_embedding",
    "position_embedding",
    "task_embedding",
)


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    values = {"task_type_vocab_size": TASKS, **raw}
    used = values.get("use_task_id", False)
    if not isinstance(used, bool):
        raise CheckpointError(f"{origin}: use_task_id: expected bool, got {used!r:.80}")
    if not used:
        values["task_type_vocab_size"] = 0
    known = {"task_type_vocab_size"}
    fixed = {"max_relative_position": 0}
    config = TransformerConfig.published(values, origin, {}, fixed, known)
    return google_gelu(config, dialect)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    del values["max_relative_position"]
    return {
        "architectures": [f"Ernie{head_class(parts)}"],
        "model_type": "ernie",
        "use_task_id": config.task_type_vocab_size > 0,
        **values,
    }


def _dialect(names: Collection[str], given: str) -> str:
    return "hf-bert" if any(n.startswith("bert.") for n in names) else given


def _tables(ernie: naming.Tables, bert: naming.Tables) -> naming.Tables:
    return {**ernie, "hf-bert": bert["hf"]}


FAMILY = Family(
    name="ernie",
    model_types=("ernie",),
    marks=((r"^ernie\.", "names begin with 'ernie.'"),),
    read=read,
    tables={
        "backbone": _tables(
            naming.encoder("ernie.", "bert/", _TABLES),
            naming.encoder("bert.", "bert/", _TABLES),
        ),
        "pooler": _tables(
            naming.pooler("ernie.", "bert/"), naming.pooler("bert.", "bert/")
        ),
        "mlm": _tables(naming.masked_head(), naming.masked_head()),
        "nsp": _tables(naming.sentence_head(), naming.sentence_head()),
    },
    publish=publish,
    rank=30,
    dialect=_dialect,
)
