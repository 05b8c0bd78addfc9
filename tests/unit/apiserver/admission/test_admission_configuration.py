"""The file that configures admission plugins: in place or by path, and nothing unknown in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.apiserver.admission.configuration import read
from k8slite.config import ConfigError

OWN = {"apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration", "limits": []}
OF = {"kind": "Configuration", "versions": frozenset({"eventratelimit.admission.k8s.io/v1alpha1"})}


def written(path: Path, plugins: Any, **more: Any) -> Path:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}
    path.write_text(yaml.safe_dump({**head, "plugins": plugins, **more}))
    return path


def test_no_file_configures_nothing() -> None:
    found = read(None)
    assert found.names == frozenset()
    assert found.of("EventRateLimit", **OF) == {}


def test_a_configuration_stands_in_place_or_in_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    plugins = [{"name": "EventRateLimit", "path": "own.yaml"}, {"name": "Other", "configuration": OWN}]
    found = read(written(tmp_path / "admission.yaml", plugins))
    assert found.names == {"EventRateLimit", "Other"}
    assert found.of("EventRateLimit", **OF) == found.of("Other", **OF) == OWN
    assert found.of("Third", **OF) == {}


def test_a_plugin_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.yaml", [{"name": "Other", "configuration": OWN}]))
    with pytest.raises(ConfigError, match="Other: the configuration is no PodSecurityConfiguration"):
        found.of("Other", kind="PodSecurityConfiguration", versions=frozenset({"v1"}))


@pytest.mark.parametrize(
    ("plugins", "problem"),
    [
        ({"name": "A"}, "plugins: must be a list"),
        ([{"configuration": OWN}], r"plugins\[0\]: a plugin needs a name"),
        (["A"], r"plugins\[0\]: a plugin needs a name"),
        ([{"name": "A", "config": OWN}], r"plugins\[0\]: unknown field config"),
        ([{"name": "A", "configuration": []}], r"plugins\[0\].configuration: must be a mapping"),
        ([{"name": "A"}], r"plugins\[0\]: needs a configuration or a path"),
        ([{"name": "A", "path": "missing.yaml"}], "missing.yaml: No such file"),
        ([{"name": "A", "configuration": OWN}] * 2, r"plugins\[1\]: A is configured twice"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, plugins: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(written(tmp_path / "admission.yaml", plugins))


@pytest.mark.parametrize("text", ["[]", "{", "kind: AdmissionConfiguration", "kind: Other\napiVersion: v1", "\x00"])
def test_another_document_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "admission.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read(path)
