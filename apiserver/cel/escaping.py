"""Property names as CEL identifiers: `namespace` is a keyword there, and `my-field` would be a subtraction.

Source: Kubernetes documentation, "Validation rules", escaping.
"""

from __future__ import annotations

import re

from k8slite.remembering import remembered

_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"}
) | {
    "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"
}  # fmt: skip
_ALLOWED = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./-]*", re.ASCII)
_ESCAPED = re.compile(r"__|[./-]")
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


@remembered(4096)
def escape(name: str) -> str | None:
    """The identifier by which expressions reach the property; None if they cannot."""
    if name in _RESERVED:
        return f"__{name}__"
    if not _ALLOWED.fullmatch(name):
        return None
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], name)
