"""What a run starts from: published weights, whole or only the lowest layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.engine.published import backbone_variables
from nlpcli.errors import ConfigError
from tests.engine.google_folder import write_google_folder


def start_of(folder: Path, **backbone: object) -> build.Start:
    flags = {f"backbone.{name}": value for name, value in backbone.items()}
    return build.open_start(
        resolve("ner", flags={"data.max_length": 16, "data.stride": 4, **flags})
    )


def test_the_lowest_layers_of_a_published_encoder(tmp_path: Path) -> None:
    folder = tmp_path / "google"
    values = write_google_folder(folder, ["backbone"])
    start = start_of(folder, model=str(folder), num_hidden_layers=1)
    assert start.config.num_hidden_layers == 1
    backbone = start.family.build(start.config)
    assert start.published is not None
    start.published.fill_backbone(backbone)
    found = backbone_variables(backbone)
    assert not any(path.startswith("layer_1/") for path in found)
    for path, variable in found.items():
        np.testing.assert_array_equal(np.asarray(variable), values[path])


def test_sizes_that_a_published_encoder_does_not_have(tmp_path: Path) -> None:
    folder = tmp_path / "google"
    write_google_folder(folder, ["backbone"])
    with pytest.raises(ConfigError, match=r"expected at most 2 .* 3"):
        start_of(folder, model=str(folder), num_hidden_layers=3)
    with pytest.raises(ConfigError, match="hidden_size: expected none"):
        start_of(folder, model=str(folder), hidden_size=64)
