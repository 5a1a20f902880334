"""What a configuration may choose is what there is."""

from nlpcli.layers import choices
from nlpcli.layers.feed_forward import ACTIVATIONS


def test_every_activation_is_a_choice():
    assert tuple(ACTIVATIONS) == choices.ACTIVATIONS
