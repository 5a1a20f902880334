"""How many items have which length: what ``data check`` shows of a file."""

from __future__ import annotations

from collections import Counter
from typing import Any

BINS = 10


class Lengths:
    """Counts of lengths, and where the longest stands."""

    def __init__(self) -> None:
        self.lengths: Counter[int] = Counter()
        self.longest = 0
        self.longest_line: str | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.lengths.total()

    def add(self, length: int, line: str) -> None:
        """Count one; ``line`` is where it stands."""
        self.lengths[length] += 1
        if self.longest_line is None or length > self.longest:
            self.longest, self.longest_line = length, line

    def longer_than(self, length: int) -> int:
        """How many are longer."""
        return sum(count for size, count in self.lengths.items() if size > length)

    def report(self) -> dict[str, Any]:
        """Mean, median, 95th percentile, the longest and a histogram, for JSON."""
        total = sum(size * count for size, count in self.lengths.items())
        return {
            "mean": total / self.count if self.count else None,
            "median": self._quantile(0.5),
            "p95": self._quantile(0.95),
            "longest": self.longest,
            "longest_line": self.longest_line,
            "histogram": self._histogram(),
        }

    def _quantile(self, share: float) -> int | None:
        reached, wanted = 0, share * self.count
        for size, count in sorted(self.lengths.items()):
            reached += count
            if reached >= wanted:
                return size
        return None

    def _histogram(self) -> list[dict[str, int]]:
        """Equal bins up to the 95th percentile, then one open bin to the longest."""
        if not self.lengths:
            return []
        width = max(1, -(-((self._quantile(0.95) or 0) + 1) // BINS))
        edge = BINS * width
        bins = [
            {
                "from": start,
                "to": start + width - 1,
                "count": sum(self.lengths[n] for n in range(start, start + width)),
            }
            for start in range(0, edge, width)
        ]
        if self.longest >= edge:
            rest = self.longer_than(edge - 1)
            bins.append({"from": edge, "to": self.longest, "count": rest})
        return bins
