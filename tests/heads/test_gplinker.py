"""GPLinker's link scores against bert4keras's formula in numpy."""

import numpy as np
import pytest

from nlpcli.heads.gplinker import EntityHead, LinkHead
from nlpcli.heads.pointer import GlobalPointerHead

MASK = np.arange(6) < np.array([6, 4])[:, None]


def make(kind, efficient, labels=3, size=4, hidden=10):
    head = kind(labels, size, efficient, name="links")
    head.build((None, None, hidden))
    random = np.random.default_rng(0)
    for variable in head.variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return head


def numpy_links(head, states):
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in head.variables}
    x = states @ weights["projection/kernel"].T + weights["projection/bias"]
    pairs = x.reshape(*x.shape[:2], -1, 2, head.head_size)
    logits = np.einsum("bild,bjld->blij", pairs[..., 0, :], pairs[..., 1, :])
    logits = np.repeat(logits, head.labels // logits.shape[1], axis=1)
    logits = logits / np.sqrt(head.head_size)
    if head.efficient:
        ends = x @ weights["boundaries/kernel"].T + weights["boundaries/bias"]
        ends = ends.reshape(*x.shape[:2], head.labels, 2) / 2
        logits = logits + ends[..., 0].transpose(0, 2, 1)[..., :, None]
        logits = logits + ends[..., 1].transpose(0, 2, 1)[..., None, :]
    return logits


@pytest.mark.parametrize("efficient", [False, True])
def test_links_have_neither_positions_nor_order(efficient):
    head = make(LinkHead, efficient)
    states = np.random.default_rng(1).normal(size=(2, 6, 10)).astype(np.float32)
    found = np.asarray(head(states, MASK))
    allowed = (MASK[:, None, :, None] & MASK[:, None, None, :]).repeat(3, axis=1)
    expected = numpy_links(head, states)
    np.testing.assert_allclose(found[allowed], expected[allowed], atol=1e-4)
    assert (found[~allowed] < -1e8).all()
    assert allowed[0, 0, 5, 0]


@pytest.mark.parametrize("kind", [EntityHead, LinkHead])
def test_loss_sums_over_labels(kind):
    head = make(kind, True)
    plain = make(GlobalPointerHead, True)
    states = np.random.default_rng(1).normal(size=(2, 6, 10)).astype(np.float32)
    logits = head(states, MASK)
    spans = np.array([[[0, 0, 2], [2, 1, 1]], [[1, 0, 3], [-1, -1, -1]]], np.int32)
    total, weight = head.loss(spans, logits, MASK)
    mean, same = plain.loss(spans, logits, MASK)
    assert float(total) == pytest.approx(3 * float(mean), rel=1e-6)
    assert float(weight) == float(same) == 2
