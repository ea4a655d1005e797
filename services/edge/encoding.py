"""JSON as it goes out."""

import json

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` makes an encoder for each call that wants it otherwise than usual."""
