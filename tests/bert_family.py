"""BERT as its family file has it, and whole models from folders, for tests."""

from nlpcli.backbones import family_of
from nlpcli.backbones.config import TransformerConfig
from nlpcli.engine.published import open_published
from nlpcli.engine.shapes import part_shapes

BERT = family_of("bert")
RULES, POOLER_RULES, MLM_RULES, NSP_RULES = (
    BERT.tables[part] for part in ("backbone", "pooler", "mlm", "nsp")
)


def expected_shapes(config):
    """Paths and shapes by part, for sizes under their published names."""
    sizes = TransformerConfig.from_dict(config, "test")
    return {part: part_shapes(BERT, sizes, part) for part in BERT.tables}


def load_folder(folder):
    """The backbone of a model folder of any family."""
    published = open_published(folder)
    published.check_sizes()
    backbone = published.family.build(published.config)
    published.fill_backbone(backbone)
    return backbone
