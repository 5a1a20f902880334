"""Finding a rule's tensor in a file that spells its name in another way."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from nlpcli.checkpoints.table import RuleTable


class Names:
    """A file's names, looked up by a table's name or one of its other forms."""

    def __init__(self, table: RuleTable, found: Collection[str]) -> None:
        self._table = table
        self._found = found
        self._spellings = [
            (old, new)
            for old, new in table.spellings
            if any(name.endswith(old) for name in found)
        ]

    def forms(self, name: str) -> list[str]:
        """Which forms of a rule's name the file has; one, if all is well."""
        prefix = self._table.prefix
        forms = [name]
        if prefix and name.startswith(prefix):
            forms.append(name[len(prefix) :])
        for old, new in self._spellings:
            forms += [form[: -len(new)] + old for form in forms if form.endswith(new)]
        return [form for form in forms if form in self._found]

    def unused(self, used: Collection[str]) -> list[str]:
        """Names that no rule took, without those that carry nothing to load."""
        return [
            name
            for name in self._found
            if name not in used
            and not any(re.search(pattern, name) for pattern in self._table.ignorable)
        ]

    def explain(self, used: Collection[str]) -> list[str]:
        """What the names say about a file that does not fit, in one line or none."""
        for start, reason in self._table.foreign.items():
            if any(name.startswith(start) for name in self._found):
                return [f"its names begin with {start!r}: {reason}"]
        if used:
            return []
        if not self._found:
            return ["has no tensors at all"]
        some = ", ".join(grouped(self._found)[:3])
        return [f"has none of the expected names, only {some} ..."]

    def mixed(self, used: Collection[str]) -> list[str]:
        """A gap when some names have the prefix and others, that could, lack it."""
        having, lacking = self._by_prefix(used)
        if not having or not lacking:
            return []
        return [
            f"{having[0]} begins with {self._table.prefix!r} but {lacking[0]} does "
            "not: expected one form, these may be two models in one file"
        ]

    def notes(self, used: Collection[str]) -> list[str]:
        """Which other forms of names were accepted."""
        having, lacking = self._by_prefix(used)
        notes = []
        if lacking and not having:
            notes.append(f"names have no {self._table.prefix!r} in front")
        notes += [
            f"names end in {old!r} instead of {new!r}"
            for old, new in self._spellings
            if any(name.endswith(old) for name in used)
        ]
        return notes

    def _by_prefix(self, used: Collection[str]) -> tuple[list[str], list[str]]:
        prefix = self._table.prefix
        if not prefix:
            return [], []
        stems = tuple(
            name[len(prefix) :].split("{", 1)[0]
            for rule in self._table.rules
            for name in rule.sources
            if name.startswith(prefix)
        )
        having = sorted(name for name in used if name.startswith(prefix))
        return having, sorted(name for name in used if name.startswith(stems))


def grouped(names: Iterable[str]) -> list[str]:
    """Names with their numbers folded: ``encoder.layer.*.output.dense.bias (12)``."""
    counts: dict[str, int] = {}
    for name in names:
        folded = re.sub(r"(?<![A-Za-z0-9])[0-9]+(?![A-Za-z0-9])", "*", name)
        counts[folded] = counts.get(folded, 0) + 1
    return [f"{name} ({n})" if n > 1 else name for name, n in counts.items()]
