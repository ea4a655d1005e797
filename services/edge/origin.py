"""Whether a browser's request comes from our own pages: what a cookie alone does not prove."""

from collections.abc import Mapping
from urllib.parse import urlsplit

CSRF_HEADER = "x-parley-csrf"
"""A form of another site cannot send it, and a script of another site would have to ask first."""

_PORTS = {"http": 80, "https": 443}


def is_ours(headers: Mapping[str, str]) -> bool:
    """Whether nothing in the headers says that another site made the request."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or _is_host(origin, headers.get("host", ""))


def _is_host(origin: str, host: str) -> bool:
    # The scheme is not compared: TLS may end in front of the edge.
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        default = _PORTS.get(page.scheme)
        return bool(page.hostname) and (page.hostname, page.port or default) == (here.hostname, here.port or default)
    except ValueError:
        return False
