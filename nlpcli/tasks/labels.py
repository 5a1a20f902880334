"""Labels that the training data has, sorted, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from nlpcli.errors import DataError


class Labels:
    """Names in the order of their numbers; ``what`` is how messages call one."""

    def __init__(self, what: str = "label", names: Sequence[str] = ()) -> None:
        self.what = what
        self.restore(names)
        self.counts: Counter[str] = Counter()
        self.examples = 0

    def restore(self, names: Sequence[str]) -> None:
        """Take over the names; what was counted stays."""
        self.names = list(names)
        self._known = set(names)

    def learn(self, names: Iterable[str]) -> None:
        """Take in the labels of a training example."""
        own = set(names)
        self.counts.update(own)
        self.examples += 1
        new = own.difference(self._known)
        if new:
            self._known |= new
            self.names = sorted(self._known)

    def require(self, names: Iterable[str], origin: str) -> None:
        """Raise DataError for a label that training never met."""
        for name in names:
            if name not in self._known:
                raise DataError(
                    f"{origin}: expected a {self.what} of the training data "
                    f"({', '.join(self.names)}), got {name!r}"
                )

    def number(self, name: str) -> int:
        """The number of a label."""
        return self.names.index(name)

    def balanced(self, several: bool) -> list[float] | None:
        """What an error on each label counts, so that rare ones count as frequent ones.

        n / (labels x count), as scikit-learn has it; with ``several`` the examples
        without a label to those with it. None where nothing was learnt.
        """
        if not self.examples:
            return None
        counts = [self.counts[name] for name in self.names]
        if several:
            return [(self.examples - count) / count for count in counts]
        return [self.examples / (len(counts) * count) for count in counts]

    def __len__(self) -> int:
        return len(self.names)
