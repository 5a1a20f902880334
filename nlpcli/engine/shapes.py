"""What a model of some sizes would hold: paths and shapes, of the model itself.

Nothing of keras is imported before it is asked for: what is wrong with a folder is
mostly seen without.
"""

from __future__ import annotations

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.rules import blocks_beyond
from nlpcli.checkpoints.source import Shape, Source
from nlpcli.errors import CheckpointError

MANY_BLOCKS = 200


def backbone_shapes(
    family: Family, config: TransformerConfig, source: Source
) -> dict[str, Shape]:
    """Those of a backbone that weights are compared with.

    Raises CheckpointError for many blocks and few tensors, which would take long to
    describe.
    """
    blocks, tensors = config.num_blocks, len(source.describe())
    if blocks > max(tensors, MANY_BLOCKS):
        raise CheckpointError(
            f"{source.label}: expected the tensors of {blocks} layers (its "
            f"configuration), found {tensors} in all"
        )
    return part_shapes(family, config)


def untold_blocks(
    family: Family, config: TransformerConfig, source: Source, dialect: str
) -> str | None:
    """What to say of a file with more blocks than its configuration tells."""
    shapes = backbone_shapes(family, config, source)
    told, found = blocks_beyond(family.rules("backbone", dialect), shapes, source)
    if told == found:
        return None
    return f"{source.label}: {found} layers, {told} by its configuration"


def part_shapes(
    family: Family, config: TransformerConfig, part: str = "backbone"
) -> dict[str, Shape]:
    """Paths and shapes of a part, those of the model that would be built."""
    from nlpcli.backbones.described import described
    from nlpcli.heads.published_parts import PARTS

    if part != "backbone":
        return described(lambda: PARTS[part][1](config))
    found = described(lambda: family.build(config))
    return {path.split("/", 1)[1]: shape for path, shape in found.items()}
