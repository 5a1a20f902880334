"""Addresses of servers: what may be shown of them, and who may have a token."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

TOKEN_HOST = "NLPCLI_TOKEN_HOST"

_ADDRESS = re.compile(r"(?<=://)\S+")


def show_address(text: str) -> str:
    """An address, or a text with addresses in it, as it may be printed.

    Users and passwords are left out, and what stands behind a "?" (signatures).
    """
    return _ADDRESS.sub(lambda match: _shown(match[0]), text)


def has_password(text: str) -> bool:
    """Whether a text has an address with a user, or a user and a password."""
    return any("@" in rest for rest in _ADDRESS.findall(text))


def host_of(address: str) -> str:
    """The host of an address in small letters, "" where there is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:  # half of a bracket
        return ""


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def token_hosts() -> set[str]:
    """Hosts that the user names as ones that may have a token; commas between them."""
    named = os.environ.get(TOKEN_HOST, "").lower().split(",")
    return {host.strip() for host in named} - {""}


def _shown(rest: str) -> str:
    # the last one: a password may have an @ or a / that should have been %40 or %2F
    host = rest.rpartition("@")[2]
    path, mark, _ = host.partition("?")
    return f"{path}?…" if mark else path
