"""Labels that the training data has, sorted, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nlpcli.errors import DataError


class Labels:
    """Names in the order of their numbers; ``what`` is how messages call one."""

    def __init__(self, what: str = "label", names: Sequence[str] = ()) -> None:
        self.what = what
        self.names = list(names)
        self._known = set(names)

    def learn(self, names: Iterable[str]) -> None:
        """Take in labels of a training example."""
        new = set(names).difference(self._known)
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

    def __len__(self) -> int:
        return len(self.names)
