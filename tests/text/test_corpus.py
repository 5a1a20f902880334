"""A draw of texts."""

from nlpcli.text.corpus import Corpus


def test_the_corpus_is_the_same_in_any_order():
    texts = [str(number) for number in range(100)]
    one, other = Corpus(10), Corpus(10)
    one.add(texts)
    other.add(texts[::-1] + texts)
    assert one.texts() == other.texts() and len(set(one.texts())) == 10
