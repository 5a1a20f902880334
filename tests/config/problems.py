"""All that is wrong with a configuration of ner."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlpcli.config.loader import resolve
from nlpcli.errors import ConfigError


def problems(sets: list[str] = (), files: list[Path] = ()) -> list[str]:  # type: ignore[assignment]
    with pytest.raises(ConfigError) as caught:
        resolve("ner", files, sets)
    return caught.value.problems
