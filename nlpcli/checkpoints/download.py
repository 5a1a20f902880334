"""From a model's name to a folder on disk, through the usual library of the hub.

huggingface_hub brings its cache (HF_HOME), its mirrors (HF_ENDPOINT), its offline
switch (HF_HUB_OFFLINE) and resumed downloads. Nothing is fetched that is on disk.

The hub is asked without a token. One (HF_TOKEN, or what a login left) is sent only when
it refuses a model, over https, to its own host or one that NLPCLI_TOKEN_HOST names.
"""

from __future__ import annotations

import errno
import fnmatch
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from nlpcli.checkpoints.registry import Model, find_model
from nlpcli.checkpoints.storage import locate, missing_files, models_folder
from nlpcli.errors import NlpcliError, NotFoundError, UsageError
from nlpcli.files.address import (
    TOKEN_HOST,
    has_password,
    host_of,
    show_address,
    token_hosts,
)
from nlpcli.files.home import at_home
from nlpcli.progress import SILENT, Progress

logger = logging.getLogger("nlpcli")

_SMALL = (
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "spiece.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
# The first that a repository has is taken: index files bring their shards.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("tf_model.h5",),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)

_CLIENTS = {
    *("huggingface_hub", "hf_xet", "requests", "urllib3"),
    *("httpx", "httpx2", "httpcore"),
}


def resolve_model(
    name_or_folder: str | Path, offline: bool = False, progress: Progress = SILENT
) -> Path:
    """The folder of a model: a path as it is, a name from disk or downloaded.

    Raises NotFoundError for an unknown name (with the nearest ones) and for a model
    that cannot be fetched (with the files to fetch by hand and where to put them).
    """
    name = str(name_or_folder)
    given = at_home(name)
    if name and given.is_dir():
        return given
    if given.is_file():
        raise UsageError(f"{given}: expected a model folder or name, got a file")
    plain = models_folder() / name
    if name and Path(name).name == name and plain.is_dir():
        return plain
    if name.startswith((".", "/", "~")) or "\\" in name:
        raise NotFoundError(f"{name}: no such model folder")
    return pull(name, offline=offline, progress=progress)


def pull(name: str, offline: bool = False, progress: Progress = SILENT) -> Path:
    """Download a model of the registry, or find it on disk; its folder.

    Only the files a model needs are fetched, first of all those that need no torch,
    all from one commit. Raises NotFoundError that says what to do by hand.
    """
    model = find_model(name)
    if model.is_built_in:
        raise UsageError(f"{model.name}: is built in, there is nothing to download")
    here = locate(model.name)
    if here is not None:
        return here
    from huggingface_hub import constants

    if offline or constants.HF_HUB_OFFLINE:
        why = "--offline" if offline else "HF_HUB_OFFLINE"
        raise _unreachable(model, f"is not on disk and {why} forbids to download it")
    try:
        folder = _download(model, progress)
    except NotFoundError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NlpcliError(
                f"{constants.HF_HUB_CACHE}: no space left for {model.name} "
                f"({model.megabytes} MB); HF_HOME names another place"
            ) from error
        if not _is_from_hub(error):
            if _tellable(error) is None:
                raise NlpcliError(f"{model.name}: {_reason(error)}") from None
            raise
        why = f"cannot be downloaded: {_reason(error)}"
        if _is_refused(error) and not _may_have_token(constants.ENDPOINT):
            why += (
                "; a token is sent only over https, to huggingface.co or a host that "
                f"{TOKEN_HOST} names"
            )
        raise _unreachable(model, why) from _tellable(error)
    missing = missing_files(folder)
    if missing:
        raise _unreachable(model, f"its repository has no {', no '.join(missing)}")
    return folder


def needed_files(names: Collection[str]) -> list[str]:
    """Which of a repository's files make the model: small ones first, then weights."""
    chosen = [name for name in _SMALL if name in names]
    for patterns in _WEIGHTS:
        if patterns[0] in names:
            weights = [n for n in sorted(names) if _matches(n, patterns)]
            return chosen + weights
    return chosen


def _download(model: Model, progress: Progress) -> Path:
    """Without a token, and with one where the hub refuses that and may have it."""
    from huggingface_hub import constants, get_token

    # its warnings show addresses as they are, and texts of the server
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return _fetch(model, progress, token=False)
    except Exception as error:
        if not _is_refused(error) or not _may_have_token(constants.ENDPOINT):
            raise
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        if token is None:
            raise
    logger.info("%s: refused without a token, asked again with it", model.repository)
    return _fetch(model, progress, token)


def _is_refused(error: BaseException) -> bool:
    """Whether the hub wants to know who asks."""
    responses = [getattr(step, "response", None) for step in _chain(error)]
    return any(getattr(one, "status_code", None) in (401, 403) for one in responses)


def _may_have_token(endpoint: str) -> bool:
    """Whether a token may be sent to a hub: encrypted, and to its own host."""
    trusted = {"huggingface.co"} | token_hosts()
    return endpoint.lower().startswith("https://") and host_of(endpoint) in trusted


def _fetch(model: Model, progress: Progress, token: str | bool) -> Path:
    from huggingface_hub import HfApi, constants, hf_hub_download

    info = HfApi(library_name="nlpcli").model_info(
        model.repository, files_metadata=True, token=token
    )
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    files = needed_files(sizes)
    if "config.json" not in files:
        raise _unreachable(model, "its repository has no config.json")
    total = sum(size or 0 for size in map(sizes.get, files)) or None
    logger.info(
        "downloading %s from %s (%s)",
        model.repository,
        show_address(constants.ENDPOINT),
        f"{total / 1e6:.0f} MB" if total else "size not stated",
    )
    progress.start(f"downloading {model.repository}", total)
    done, commit, folder = 0, "main", Path()
    try:
        for name in files:
            path = hf_hub_download(
                model.repository,
                name,
                revision=commit,
                library_name="nlpcli",
                token=token,
                tqdm_class=_bar(progress, done),
            )
            done += Path(path).stat().st_size
            progress.update(done)
            # The first file settles the commit; a push meanwhile changes nothing.
            folder = Path(path).parent
            commit = folder.name
    finally:
        progress.finish()
    return folder


def _bar(progress: Progress, done: int) -> type:
    """A bar for one file in the form the hub asks for; ``done`` bytes came before."""
    from huggingface_hub.utils import tqdm

    most = 0

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})
            self.received = int(kwargs.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            # A Xet transfer has two bars for one file; the one ahead is shown.
            nonlocal most
            self.received += int(n or 0)
            most = max(most, self.received)
            progress.update(done + most)

    return Bar


def _is_from_hub(error: Exception) -> bool:
    """Network, disk and hub errors; anything else is a bug and stays one.

    The hub's library has changed its HTTP client over time (requests, httpx, httpx2),
    so a client's errors are known by their package.
    """
    packages = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return isinstance(error, OSError) or bool(packages & _CLIENTS)


def _unreachable(model: Model, why: str) -> NotFoundError:
    from huggingface_hub import constants

    return NotFoundError(
        f"{model.name}: {why}; fetch {', '.join(model.files)} from "
        f"{show_address(constants.ENDPOINT)}/{model.repository} and put them into "
        f"{models_folder() / model.name}, or set HF_ENDPOINT to a mirror"
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: that is where the network speaks."""
    if getattr(error, "response", None) is None:
        while error.__cause__ is not None:
            error = error.__cause__
    text = show_address(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _tellable(error: BaseException) -> BaseException | None:
    """The error as the cause of another; None where --debug would print a password."""
    return None if any(has_password(str(step)) for step in _chain(error)) else error


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what it came from; one of a library may be its own cause."""
    found: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in found:
        found.append(step)
        step = step.__cause__ or step.__context__
    return found


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # a name with a folder in it could lead out of the model's own
    return "/" not in name and any(
        fnmatch.fnmatchcase(name, pattern) for pattern in patterns
    )
