"""A recipe as its run left it; nothing of a model, so nothing of TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.config import RunConfig
from nlpcli.errors import CheckpointError, ConfigError
from nlpcli.files.json_file import read_json_object, short
from nlpcli.recipe import find_recipe
from nlpcli.tasks.protocol import Buckets, Recipe, Setup
from nlpcli.text.tokenizers.encoding import Tokenizer

LONGEST_BUCKET = 2**16  # tokens that a batch is padded to


def open_recipe(
    config: RunConfig, tokenizer: Tokenizer, backbone: TransformerConfig
) -> Recipe[Any]:
    """The recipe of a run, made for its vocabulary and its encoder."""
    setup = Setup(config, tokenizer, backbone)
    recipe: Recipe[Any] = find_recipe(config.recipe).load().build_recipe(setup)
    if backbone.num_decoder_layers and not recipe.apart:
        problem = "expected one stack, got an encoder and a decoder, which"
        raise ConfigError([f"backbone.model: {problem} {config.recipe} does not take"])
    return recipe


def restore(recipe: Recipe[Any], path: Path) -> Buckets:
    """Give a recipe what it learnt, and return the sizes of its batches.

    Raises CheckpointError for a file that is not the recipe's.
    """
    state = read_json_object(path, CheckpointError)
    try:
        recipe.restore(state["task"])
        buckets = [{str(k): int(v) for k, v in b.items()} for b in state["buckets"]]
        if not all(0 < size <= LONGEST_BUCKET for b in buckets for size in b.values()):
            raise ValueError(f"buckets: expected sizes of 1 to {LONGEST_BUCKET}")
        return buckets
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        told = short(" ".join(str(error).split()))
        raise CheckpointError(
            f"{path}: not what this recipe keeps of a run: "
            f"{type(error).__name__}: {told}"
        ) from error


def refuse_longer(config: TransformerConfig, name: str, length: int) -> None:
    """Raise ConfigError for windows longer than the positions."""
    longest = config.longest
    if longest is None or length <= longest:
        return
    more = config.has_position_table and not config.hierarchical_positions
    raise ConfigError(
        [
            f"data.max_length: expected at most {longest} (the positions of {name}"
            + (
                "; backbone.hierarchical_positions: 0.4 makes more of them"
                if more
                else ""
            )
            + f"), got {length}"
        ]
    )
