"""Which token begins, ends, pads: what the files beside a tokenizer say of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import read_json_object, short
from nlpcli.text.tokenizers.vocab import Roles, known_name

_MAP = "special_tokens_map.json"
_KEYS = {
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "begin": ("bos_token", "cls_token"),
    "end": ("eos_token", "sep_token"),
    "mask": ("mask_token",),
}

Told = Mapping[str, str | None]


def read_told(folder: Path, settings: Mapping[str, Any]) -> dict[str, str | None]:
    """The tokens that tokenizer_config.json and special_tokens_map.json name, by the
    keys of transformers; None where they say that there is none.

    Raises CheckpointError for a name that is none.
    """
    path = folder / _MAP
    found: dict[str, str | None] = {}
    older = read_json_object(path) if path.exists() else {}
    sources = (settings, "tokenizer_config.json"), (older, _MAP)
    for source, file in sources:
        for key in (key for keys in _KEYS.values() for key in keys):
            if key not in source or found.get(key) is not None:
                continue
            value = source[key]
            name = value.get("content") if isinstance(value, dict) else value
            if value is not None and not isinstance(name, str):
                raise CheckpointError(
                    f"{folder / file}: {key}: expected a token, "
                    f"got {short(repr(value))}"
                )
            found[key] = name
    return found


def read_puts_begin(folder: Path, settings: Mapping[str, Any]) -> bool | None:
    """Whether the settings put a token before a text, None where they say nothing.

    Raises CheckpointError for what is no truth value.
    """
    value = settings.get("add_bos_token")
    if value is None or isinstance(value, bool):
        return value
    raise CheckpointError(
        f"{folder / 'tokenizer_config.json'}: add_bos_token: expected true or false, "
        f"got {short(repr(value))}"
    )


def roles_of(told: Told, index: Mapping[str, int]) -> Roles:
    """The role of each token that was told; the well-known names where nothing was.

    A token that was told and is not in the vocabulary has no role.
    """
    return Roles(**{role: _name(role, told, index) for role in Roles._fields})


def _name(role: str, told: Told, index: Mapping[str, int]) -> str | None:
    for key in _KEYS[role]:
        name = told.get(key)
        if name in index:
            return name
    if role != "end" and any(key in told for key in _KEYS[role]):
        return None
    return known_name(role, index)
