"""What a plain word of YAML means: the core schema of YAML 1.2, read and written.

PyYAML reads by YAML 1.1, where 010 is 8, 1:30 is 90, 1e-5 is text, a day is a date and
"no" is false. Here a number is what a person takes it for, and all else is text that
the declared type may still take or refuse.
"""

from __future__ import annotations

import re

import yaml

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
# Tag, what the whole word looks like, how it may begin; the first that fits counts.
_SCHEMA = (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
)


class Loader(yaml.SafeLoader):
    """Plain data only, by the core schema."""


class Dumper(yaml.SafeDumper):
    """Quotes what is no text for readers of YAML 1.1 or of 1.2, so that both agree."""


Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _SCHEMA:
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    Loader.add_implicit_resolver(f"{_TAG}{_name}", _whole, _first)
    Dumper.add_implicit_resolver(f"{_TAG}{_name}", _whole, _first)


def _integer(loader: Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is no integer")
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _float(loader: Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node))
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return float(re.sub(r"\.(?=[a-zA-Z])", "", text))


Loader.add_constructor(f"{_TAG}int", _integer)
Loader.add_constructor(f"{_TAG}float", _float)
