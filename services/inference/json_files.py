"""What a model's folder says in JSON."""

import json
from pathlib import Path
from typing import Any

from services.inference.engine import ModelUnusableError


def read_json(path: Path) -> dict[str, Any]:
    """Nothing if there is no such file. Raises ModelUnusableError."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ModelUnusableError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelUnusableError(f"{path} is not what it should be: a JSON object.")
    return content


def require_json(path: Path) -> dict[str, Any]:
    """Raises ModelUnusableError, also if there is no such file."""
    if not path.exists():
        raise ModelUnusableError(f"{path} is missing.")
    return read_json(path)
