"""Where downloaded models lie: the hub's cache and plain folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from nlpcli.checkpoints.registry import Model, find_model
from nlpcli.errors import CheckpointError, NlpcliError, NotFoundError, UsageError
from nlpcli.files.atomic import explained
from nlpcli.files.home import at_home
from nlpcli.files.plain_file import open_plain

WEIGHTS = ("model.safetensors", "tf_model.h5", "pytorch_model.bin")
VOCABULARIES = ("vocab.txt", "tokenizer.json", "spiece.model")
CONFIGS = ("config.json", "bert_config.json")
_OTHER_CONFIGS = ("*_config.json", "*_config_*.json", "discriminator.json")

_NO_CONFIGS = {"tokenizer_config.json", "generation_config.json"}


def models_folder() -> Path:
    """Where plain folders are looked for: $NLPCLI_MODELS or ~/.cache/nlpcli/models."""
    given = os.environ.get("NLPCLI_MODELS")
    if given:
        return at_home(given)
    cache = os.environ.get("XDG_CACHE_HOME") or at_home("~/.cache")
    return Path(cache) / "nlpcli" / "models"


def locate(name: str) -> Path | None:
    """The whole model of a registry name on disk, without any network; else None."""
    model = find_model(name)
    plain = models_folder() / model.name
    if is_whole(plain):
        return plain
    return next((p for p in _snapshots(model) if is_whole(p)), None)


def remove(name: str) -> int:
    """Delete a model, whole or half, from the hub's cache; the bytes that became free.

    Raises NotFoundError when it is not there and UsageError for a plain folder, which
    is the user's own.
    """
    model = find_model(name)
    folder = _repository(model)
    if model.is_built_in:
        raise UsageError(f"{model.name}: is built in, there is nothing to remove")
    if not folder.is_dir():
        plain = models_folder() / model.name
        if plain.is_dir():
            raise UsageError(
                f"{plain}: was not downloaded by nlpcli, remove it by hand"
            )
        raise NotFoundError(f"{model.name}: is not on disk ({folder})")
    # By folder: the hub's own strategy finds commits by hash, which forks share.
    size = _size(folder)
    with explained(folder):
        shutil.rmtree(folder)
    return size


def config_file(folder: Path, dialect: str | None = None) -> Path | None:
    """The configuration beside weights; Google's name first where theirs are."""
    names = CONFIGS[::-1] if dialect == "tf" else CONFIGS
    named = [folder / name for name in names]
    others = [p for name in _OTHER_CONFIGS for p in sorted(folder.glob(name))]
    others = [path for path in others if path.name not in _NO_CONFIGS]
    return next((path for path in (*named, *others) if path.exists()), None)


def is_whole(folder: Path) -> bool:
    """Whether a folder has a configuration, a vocabulary and all its weights."""
    return folder.is_dir() and not missing_files(folder)


def missing_files(folder: Path) -> list[str]:
    """What a model folder lacks, in words."""
    # A link whose file is gone, as an interrupted removal leaves it, does not count.
    found = folder.iterdir() if folder.is_dir() else ()
    names = {path.name for path in found if path.exists()}
    missing = []
    if config_file(folder) is None:
        missing.append(" or ".join(CONFIGS))
    if not names.intersection(VOCABULARIES):
        missing.append(" or ".join(VOCABULARIES))
    return missing + _missing_weights(folder, names)


def _missing_weights(folder: Path, names: Collection[str]) -> list[str]:
    from nlpcli.checkpoints.safetensors import read_weight_map

    for weights in WEIGHTS:
        if weights in names:
            return []
        index = f"{weights}.index.json"
        if index in names and not weights.endswith(".h5"):
            try:
                shards = sorted(set(read_weight_map(folder / index).values()))
            except CheckpointError:
                return [f"a readable {index}"]
            return [shard for shard in shards if shard not in names]
    if any(name.endswith(".index") for name in names):
        return []
    if prefixes := {name.split(".data-")[0] for name in names if ".data-" in name}:
        return [f"{prefix}.index" for prefix in sorted(prefixes)]
    return [" or ".join(WEIGHTS)]


def _snapshots(model: Model) -> list[Path]:
    """Downloaded commits of a repository, that of ``main`` first, then the newest."""
    if model.is_built_in:
        return []
    folder = _repository(model)
    main = folder / "refs" / "main"
    commit = _first_bytes(main).decode("utf-8", "replace").strip()
    snapshots = folder / "snapshots"
    found = [p for p in snapshots.iterdir() if p.is_dir()] if snapshots.is_dir() else []
    return sorted(found, key=lambda p: (p.name != commit, -p.stat().st_mtime))


def _first_bytes(path: Path) -> bytes:
    """Those of a small file; nothing where there is none."""
    try:
        with open_plain(path) as stream:
            return stream.read(1000)
    except NlpcliError:
        return b""


def _repository(model: Model) -> Path:
    return _cache() / f"models--{model.repository.replace('/', '--')}"


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _size(folder: Path) -> int:
    """Bytes of the files of a folder; links, the cache's second names, count once."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
