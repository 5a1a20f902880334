"""How far a batch is padded, by what is compiled."""

from nlpcli.text.batching import padded_sizes

BUCKETS = [{"tokens": 8, "characters": 16}, {"tokens": 24, "characters": 40}]
SIZES = [{"tokens": 5, "characters": 9}, {"tokens": 7, "characters": 3}]


def test_only_static_axes_take_the_bucket():
    assert padded_sizes(SIZES, BUCKETS, ()) == {"tokens": 7, "characters": 9}
    assert padded_sizes(SIZES, BUCKETS, ("tokens",)) == {"tokens": 8, "characters": 9}
    assert padded_sizes(SIZES, BUCKETS, None) == {"tokens": 8, "characters": 16}


def test_beyond_every_bucket_is_the_next_power_of_two():
    long = [{"tokens": 30, "characters": 9}]
    assert padded_sizes(long, BUCKETS, None) == {"tokens": 32, "characters": 16}
