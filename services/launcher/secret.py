"""What the services of this mesh prove themselves with: made once, kept in the data folder."""

import json
import secrets
from pathlib import Path

from services.launcher.folder import write_private
from services.launcher.refusal import RefusalError

SIGNING = "signing"
"""Encrypts auth's signing keys at rest."""
OPERATOR = "operator"
"""The launcher itself, as auth knows it."""
EDGE = "edge"
"""Who takes what people sign in with. The launcher, which knows every secret, can act as it."""
CALLERS = (EDGE, "conversation", "history", "metadata", "inference", OPERATOR)


def load_secrets(folder: Path, *, make: bool) -> dict[str, str]:
    """Each one's secret by name. `make` adds what is missing."""
    path = folder / "secrets.json"
    try:
        known: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        known = {}
    except ValueError:
        raise RefusalError(f"{path} is damaged. Without it the mesh cannot read its signing keys.") from None
    missing = {*CALLERS, "auth", SIGNING} - known.keys()
    if missing and make:
        known |= {name: secrets.token_urlsafe(32) for name in sorted(missing)}
        write_private(path, json.dumps(known, indent=2) + "\n")
    return known
