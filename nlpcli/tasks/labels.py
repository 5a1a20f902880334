"""Labels that the training data has, sorted, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from nlpcli.errors import DataError

_TOLD = 20  # labels that a message names


class Labels:
    """Names in the order of their numbers; ``what`` is how messages call one."""

    def __init__(self, what: str = "label", names: Sequence[str] = ()) -> None:
        self.what = what
        self.counts: Counter[str] = Counter()
        self.examples = 0
        self.restore(names)

    def restore(self, names: Sequence[str]) -> None:
        """Take over the names; what was counted stays.

        Raises ValueError for what cannot be a list of them.
        """
        told = isinstance(names, list | tuple) and all(
            isinstance(name, str) for name in names
        )
        if not told or len(set(names)) < len(names):
            raise ValueError(f"expected a list of different {self.what}s")
        self._names = list(names)
        self._known = set(names)
        self._new = False  # labels that are not yet among the names
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """All labels, each at the place of its number."""
        if self._new:
            self._names, self._new, self._numbers = sorted(self._known), False, {}
        return self._names

    def learn(self, names: Iterable[str]) -> None:
        """Take in the labels of a training example."""
        own = set(names)
        self.counts.update(own)
        self.examples += 1
        self._new = self._new or not own <= self._known
        self._known |= own

    def require(self, names: Iterable[str], origin: str) -> None:
        """Raise DataError for a label that training never met."""
        for name in names:
            if name not in self._known:
                told = ", ".join(self.names[:_TOLD])
                more = f" and {len(self) - _TOLD} more" if len(self) > _TOLD else ""
                raise DataError(
                    f"{origin}: expected a {self.what} of the training data "
                    f"({told}{more}), got {name!r}"
                )

    def number(self, name: str) -> int:
        """The number of a label."""
        names = self.names
        if not self._numbers:
            self._numbers = {label: number for number, label in enumerate(names)}
        return self._numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._known

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
