"""`k8slite check`: each control that looks at something fails for the configuration that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k8slite.cli.cluster import configs
from k8slite.cli.cluster.hardening import examine
from k8slite.cli.cluster.hardening.command import CONTROLS, describe
from k8slite.cli.cluster.hardening.controls import Examined, FileState, judge
from k8slite.cli.cluster.spec import ClusterSpec
from k8slite.config import StoreConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY_NUMBER = {control.number: control for control in CONTROLS}


def examined(store: str = "etcd") -> Examined:
    """What `up` makes, with two nodes."""
    spec = ClusterSpec(name="c", nodes=2, store=store, encrypts=True)  # type: ignore[arg-type]
    parts = {service.name: service.config for service in configs.services(spec)}
    pki = spec.directory / "pki"
    private, directory = FileState(0o100600, 0, 0), FileState(0o040700, 0, 0)
    names = ["apiserver", "controller-manager", "scheduler", "proxy", "kubelet-1", "kubelet-2"]
    files = {spec.directory / "config" / f"{name}.yaml": private for name in names}
    files |= {spec.directory / name: private for name in ("cluster.yaml", "kubeconfig", "store.db")}
    files |= {pki / name: private for name in ("ca.crt", "ca.key", "scheduler.conf", "controller-manager.conf")}
    files |= {pki / name: private for name in ("proxy.conf", "c-1.conf", "c-2.conf")}
    files |= {spec.directory / "etcd": directory}
    return Examined(
        directory=spec.directory,
        apiserver=parts["apiserver"],  # type: ignore[arg-type]
        manager=parts["controller-manager"],  # type: ignore[arg-type]
        scheduler=parts["scheduler"],  # type: ignore[arg-type]
        kubelets={f"kubelet-{n}.yaml": parts[f"kubelet-{n}"] for n in (1, 2)},  # type: ignore[misc]
        proxy=parts["proxy"],  # type: ignore[arg-type]
        etcd=configs.etcd(spec).command if spec.runs_etcd else (),
        files=files,
        ends=dict.fromkeys(("kubelet", "c-1", "c-2"), NOW + timedelta(days=300)),
        now=NOW,
    )


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_what_up_makes_fails_in_nothing(store: str) -> None:
    findings = [judge(control, examined(store)) for control in CONTROLS]
    assert [finding for finding in findings if finding.state == "FAIL"] == []
    assert "fail" not in describe(findings, manual=False)


def apiserver(**changes: Any) -> Examined:
    found = examined()
    return replace(found, apiserver=found.apiserver.model_copy(update=changes))


def audit(**changes: Any) -> Examined:
    settings = examined().apiserver.audit
    return apiserver(audit=settings.model_copy(update={"log": settings.log.model_copy(update=changes)}))


def manager(**changes: Any) -> Examined:
    found = examined()
    return replace(found, manager=found.manager.model_copy(update=changes))


def etcd(*, without: str = "", added: str = "") -> Examined:
    found = examined()
    command = [part for part in found.etcd if part.partition("=")[0] != without]
    return replace(found, etcd=[*command, *([added] if added else [])])


def file(name: str, state: FileState) -> Examined:
    found = examined()
    return replace(found, files={**found.files, found.directory / name: state})


READABLE, FOREIGN = FileState(0o100640, 0, 0), FileState(0o100600, 1000, 0)
BROKEN = {
    "1.1.1": file("config/apiserver.yaml", READABLE),
    "1.1.2": file("config/apiserver.yaml", FOREIGN),
    "1.1.3": file("config/controller-manager.yaml", READABLE),
    "1.1.4": file("config/controller-manager.yaml", FOREIGN),
    "1.1.5": file("config/scheduler.yaml", READABLE),
    "1.1.6": file("config/scheduler.yaml", FOREIGN),
    "1.1.7": file("cluster.yaml", READABLE),
    "1.1.8": file("cluster.yaml", FOREIGN),
    "1.1.11": file("etcd", FileState(0o040755, 0, 0)),
    "1.1.12": file("etcd", FileState(0o040700, 1000, 0)),
    "1.1.13": file("kubeconfig", READABLE),
    "1.1.14": file("kubeconfig", FOREIGN),
    "1.1.15": file("pki/scheduler.conf", READABLE),
    "1.1.16": file("pki/scheduler.conf", FOREIGN),
    "1.1.17": file("pki/controller-manager.conf", READABLE),
    "1.1.18": file("pki/controller-manager.conf", FOREIGN),
    "1.1.19": file("pki/ca.key", FOREIGN),
    "1.1.20": file("pki/ca.crt", READABLE),
    "1.1.21": file("pki/ca.key", READABLE),
    "1.2.2": apiserver(token_file=Path("/tokens")),
    "1.2.4": apiserver(kubelet_client_key_file=None),
    "1.2.5": apiserver(kubelet_ca_file=None),
    "1.2.6": apiserver(authorization_mode=["Node", "RBAC", "AlwaysAllow"]),
    "1.2.7": apiserver(authorization_mode=["RBAC"]),
    "1.2.8": apiserver(authorization_mode=["Node"]),
    "1.2.12": apiserver(disable_admission_plugins=["ServiceAccount"]),
    "1.2.13": apiserver(disable_admission_plugins=["NamespaceLifecycle"]),
    "1.2.14": apiserver(disable_admission_plugins=["NodeRestriction"]),
    "1.2.16": audit(path=""),
    "1.2.17": audit(max_age=7),
    "1.2.18": audit(max_backups=3),
    "1.2.19": audit(max_size=10),
    "1.2.22": apiserver(service_account_key_file=examined().apiserver.key_file),
    "1.2.23": apiserver(store=StoreConfig(engine="etcd", endpoints=["http://x"], ca_file=Path("/ca"))),
    "1.2.26": apiserver(store=StoreConfig(engine="etcd", endpoints=["http://x"])),
    "1.2.30": apiserver(service_account_extend_token_expiration=True),
    "1.3.4": manager(service_account_private_key_file=None),
    "1.3.5": manager(root_ca_file=None),
    "1.3.6": replace(examined(), ends={"kubelet": NOW + timedelta(days=3)}),
    "2.1": etcd(without="--cert-file"),
    "2.2": etcd(without="--client-cert-auth"),
    "2.3": etcd(added="--auto-tls=true"),
    "2.4": etcd(without="--peer-cert-file"),
    "2.5": etcd(without="--peer-client-cert-auth"),
    "2.6": etcd(added="--peer-auto-tls"),
    "2.7": apiserver(store=StoreConfig(engine="etcd", ca_file=examined().apiserver.client_ca_file)),
    "4.1.1": file("config/kubelet-2.yaml", READABLE),
    "4.1.2": file("config/kubelet-2.yaml", FOREIGN),
    "4.1.3": file("pki/proxy.conf", READABLE),
    "4.1.4": file("pki/proxy.conf", FOREIGN),
    "4.1.5": file("pki/c-2.conf", READABLE),
    "4.1.6": file("pki/c-2.conf", FOREIGN),
    "4.1.7": file("pki/ca.crt", READABLE),
    "4.1.8": file("pki/ca.crt", FOREIGN),
    "4.1.9": file("config/kubelet-1.yaml", READABLE),
    "4.1.10": file("config/kubelet-1.yaml", FOREIGN),
    "4.2.10": replace(examined(), ends={"c-1": NOW + timedelta(days=300), "c-2": NOW}),
    "4.2.11": replace(examined(), ends={"kubelet": NOW}),
}


@pytest.mark.parametrize("number", BROKEN)
def test_a_control_fails_for_what_it_is_about(number: str) -> None:
    finding = judge(BY_NUMBER[number], BROKEN[number])
    assert finding.state == "FAIL" and finding.details[-1] == BY_NUMBER[number].remedy
    assert judge(BY_NUMBER[number], examined()).state == "PASS"


def test_every_control_that_can_fail_was_seen_to() -> None:
    never = {"1.3.3", "4.2.6"}  # they apply to no cluster of ours, and say why
    assert {control.number for control in CONTROLS if control.look is not None} - never == set(BROKEN)


def test_the_key_of_the_secrets_is_a_key() -> None:
    encryption = examined().apiserver.encryption_config_file
    assert encryption is not None
    finding = judge(BY_NUMBER["1.1.21"], file(encryption.name, READABLE))
    assert finding.state == "FAIL" and "encryption.yaml has mode 0640" in finding.details[0]


def test_a_flag_that_is_set_to_false_is_not_given() -> None:
    assert judge(BY_NUMBER["2.2"], etcd(without="--client-cert-auth", added="--client-cert-auth=false")).state == "FAIL"
    assert judge(BY_NUMBER["2.3"], etcd(added="--auto-tls=false")).state == "PASS"


@pytest.mark.parametrize("number", ["1.2.17", "1.2.18", "1.2.19"])
def test_bounds_of_no_audit_log_are_kept_by_none(number: str) -> None:
    assert judge(BY_NUMBER[number], audit(path="")).state == "N/A"


def test_a_link_is_as_open_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "target").chmod(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    found = examine._files(tmp_path)
    assert found[tmp_path / "link"].mode & 0o777 == 0o644
    assert tmp_path / "dangling" not in found


@pytest.mark.parametrize("number", ["1.3.3", "4.2.6"])
def test_what_does_not_apply_says_why(number: str) -> None:
    finding = judge(BY_NUMBER[number], examined())
    assert finding.state == "N/A" and finding.details
