"""Tokens stay where they are: not in logs at any level, not in answers, not in metrics, not in the audit log."""

from __future__ import annotations

import logging
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from k8slite.apiserver.authn import webhook

from ..audit_log import audited
from .clients import as_bearer, review, user, whoami
from .issuer import running_issuer
from .test_bootstrap import TOKEN as BOOTSTRAP
from .test_bootstrap import secret, write
from .test_oidc import configuration
from .test_webhook import JANE, reviewing


async def test_no_token_is_told_to_anybody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_FIRST_WAIT", 0.01)
    caplog.set_level(logging.DEBUG)
    known = {"webhook-token-5d1c": {"authenticated": True, "user": JANE}, "webhook-token-77aa": [500]}
    (tmp_path / "static.csv").write_text("static-token-91ee,joe,1\n")
    async with running_issuer(tmp_path) as issuer, reviewing(tmp_path, known) as reviewer:
        file = tmp_path / "authn.yaml"
        file.write_text(yaml.safe_dump(configuration(issuer)))
        async with audited(
            tmp_path,
            token_file=tmp_path / "static.csv",
            enable_bootstrap_token_auth=True,
            authentication_config_file=file,
            authentication_token_webhook_config_file=reviewer.kubeconfig,
        ) as log:
            server = log.server
            await write(server, secret())
            good = [issuer.token(), BOOTSTRAP, "webhook-token-5d1c", "static-token-91ee"]
            bad = [
                issuer.token(lifetime=-5),
                issuer.token()[:-6] + "AAAAAA",
                BOOTSTRAP[:-1] + "0",
                "webhook-token-77aa",
                "x" * 20_000,
            ]
            answers = [(await whoami(server, token)).text for token in (*good, *bad)]
            answers += [str(await review(server, token)) for token in (*good, *bad)]
            assert [await user(server, token) for token in bad] == [401] * len(bad)
            assert 401 not in [await user(server, token) for token in good]
            async with server.http() as http:
                answers.append((await http.get("/metrics")).text)
            async with server.http(as_bearer(server, good[0])) as http:
                await log.answered(await http.get("/api/v1/pods"))
            recorded = log.file.read_text()
            assert "oidc:jane" in recorded
            everything = caplog.text + recorded + "".join(answers)
    assert "credentials were refused" in caplog.text
    for token in (*good, *bad):
        for part in (token, token.rpartition(".")[2], b64encode(token.encode()).decode()):
            assert part not in everything, part


async def test_audit_events_say_how_somebody_could_act_for_another(tmp_path: Path) -> None:
    async with audited(tmp_path) as log, log.server.http() as http:
        event = await log.answered(await http.get("/api/v1/pods", headers={"Impersonate-User": "jane"}))
        assert event["user"]["username"] == "kubernetes-admin"
        assert event["impersonatedUser"]["username"] == "jane"
        assert event["authenticationMetadata"] == {"impersonationConstraint": "impersonate:user-info"}
        masters = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}
        event = await log.answered(await http.get("/api/v1/pods", headers=masters))
        assert event["impersonatedUser"]["groups"] == ["system:masters", "system:authenticated"]
        assert "authenticationMetadata" not in event


async def test_the_audit_event_of_a_token_request_names_the_token(tmp_path: Path) -> None:
    async with audited(tmp_path) as log, log.server.http() as http:
        made = await http.post("/api/v1/namespaces/default/serviceaccounts/default/token", json={"spec": {}})
        event = await log.answered(made)
        issued = event["annotations"]["authentication.kubernetes.io/issued-credential-id"]
        token = made.json()["status"]["token"]
        found = await user(log.server, token)
        assert isinstance(found, dict)
        assert found["extra"]["authentication.kubernetes.io/credential-id"] == [issued]
        assert token not in log.file.read_text()
