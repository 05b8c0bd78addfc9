"""Write `k8slite/apiserver/wire/protobuf.json`: the field numbers of Kubernetes' protobuf encoding.

A development tool; run it when the schema version moves, on check-outs of the repositories `kubernetes/api` and
`kubernetes/apimachinery`:

    python scripts/build_protobuf.py <api> <apimachinery>

The numbers stand in the struct tags of their `types.go` files. What a number's field is made of the facts know already
(`facts.json`), so an entry holds names only: `7:name` a field, `7:name*` one that may be absent (a pointer in Go; the
zero value of any other field means that it is unset), `7:+type` a struct whose fields are its parent's.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "apiserver" / "wire" / "protobuf.json"
FACTS = Path(__file__).resolve().parent.parent / "k8slite" / "schema" / "facts.json"

_STRUCT = re.compile(r"^type (\w+) struct \{$")
_FIELD = re.compile(r"^\s+(?:(\w+)\s+)?(\*?[\w.\[\]*]+)\s+`(.*)`")
_TAG = re.compile(r'(\w+):"([^"]*)"')
_PACKAGES = {
    "k8s.io/apimachinery/pkg/apis/meta/v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "k8s.io/api/core/v1": "io.k8s.api.core.v1",
}
_IMPORT = re.compile(r'^\s+(?:(\w+) )?"([^"]+)"')


def structs(path: Path, package: str) -> dict[str, str]:
    """The entries of one `types.go`."""
    found: dict[str, str] = {}
    imports: dict[str, str] = {}
    name, fields = "", []
    for line in path.read_text().splitlines():
        if imported := _IMPORT.match(line):
            alias, source = imported.groups()
            if source in _PACKAGES:
                imports[alias or source.rsplit("/", 1)[-1]] = _PACKAGES[source]
        if started := _STRUCT.match(line):
            name, fields = started[1], []
        elif line == "}" and name:
            if fields:
                found[f"{package}.{name}"] = " ".join(fields)
            name = ""
        elif name and (field := _FIELD.match(line)) and (entry := _entry(field, package, imports)):
            fields.append(entry)
    return found


def _entry(field: re.Match[str], package: str, imports: dict[str, str]) -> str:
    kind, tags = field[2], dict(_TAG.findall(field[3]))
    if "protobuf" not in tags:
        return ""
    number = tags["protobuf"].split(",")[1]
    json_name = tags.get("json", "").split(",")[0]
    if not json_name:
        alias, _, bare = kind.lstrip("*").rpartition(".")
        return f"{number}:+{imports.get(alias, package)}.{bare}"
    return f"{number}:{json_name}{'*' if kind.startswith('*') else ''}"


def main(api: Path, apimachinery: Path) -> None:
    """Read both trees and write the file."""
    entries: dict[str, str] = {}
    for path in sorted(api.glob("*/*/types.go")):
        group, version = path.parts[-3:-1]
        entries |= structs(path, f"io.k8s.api.{group}.{version}")
    entries |= structs(apimachinery / "pkg/apis/meta/v1/types.go", "io.k8s.apimachinery.pkg.apis.meta.v1")
    known = set(json.loads(FACTS.read_text())["definitions"])
    wanted = {name for name in entries if name in known}
    while more := {p.partition("+")[2] for name in wanted for p in entries.get(name, "").split() if "+" in p} - wanted:
        wanted |= more
    lines = [f"{json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(wanted) if name in entries]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
