"""What an AuthenticationConfiguration may say, and Kubernetes' words for what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from k8slite.apiserver.authn import configuration, oidc
from k8slite.apiserver.authn.configuration import read
from k8slite.clock import SystemClock
from k8slite.config import ApiServerConfig, ConfigError

ACCOUNTS = "https://kubernetes.default.svc"


def issuer(**fields: Any) -> dict[str, Any]:
    return {"issuer": {"url": "https://issuer.example.com", "audiences": ["a"], **fields}}


def mapped(**fields: Any) -> dict[str, Any]:
    return {"claimMappings": {"username": {"claim": "sub", "prefix": ""}, **fields}}


def problems(*jwt: dict[str, Any], **more: Any) -> str:
    """Everything that is wrong with these authenticators, as one text."""
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{**issuer(), **mapped(), **each} for each in jwt],
        **more,
    }
    found = read(orjson.dumps(document), source=Path("f"))
    causes = configuration.check(found, disallowed=[ACCOUNTS])
    try:
        oidc.build(found.jwt, fetch=lambda _: None, clock=SystemClock(), causes=causes)  # type: ignore[arg-type, return-value]
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_every_version_is_read(version: str) -> None:
    text = f"apiVersion: apiserver.config.k8s.io/{version}\nkind: AuthenticationConfiguration\n"
    assert read(text.encode(), source=Path("f")).jwt == []


@pytest.mark.parametrize(
    "text",
    [
        "kind: AuthenticationConfiguration",
        "apiVersion: v1\nkind: AuthenticationConfiguration",
        "apiVersion: apiserver.config.k8s.io/v1\nkind: Other",
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nmore: 1",
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {uri: x}}]",
        "[",
        "",
    ],
)
def test_other_files_are_refused_with_their_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"authn\.yaml"):
        read(text.encode(), source=Path("authn.yaml"))


def test_a_good_configuration_has_no_problems() -> None:
    assert problems({}) == ""


@pytest.mark.parametrize(
    ("jwt", "words"),
    [
        (issuer(url=""), "jwt[0].issuer.url: Required value"),
        (issuer(url="http://x"), "URL scheme must be https"),
        (issuer(url="https://u:p@x"), "URL must not contain a username or password"),
        (issuer(url="https://x?a=b"), "URL must not contain a query"),
        (issuer(url="https://x#f"), "URL must not contain a fragment"),
        (issuer(url=ACCOUNTS), f"URL must not overlap with disallowed issuers: [{ACCOUNTS}]"),
        (issuer(discoveryURL="https://issuer.example.com/"), "discoveryURL must be different from URL"),
        (issuer(audiences=[]), "jwt[0].issuer.audiences: Required value"),
        (issuer(audiences=[""]), "jwt[0].issuer.audiences[0]: Required value"),
        (issuer(audiences=["a", "a"], audienceMatchPolicy="MatchAny"), 'audiences[1]: Duplicate value: "a"'),
        (issuer(audiences=["a", "b"]), "audienceMatchPolicy must be MatchAny for multiple audiences"),
        (issuer(audienceMatchPolicy="All"), "must be empty or MatchAny for single audience"),
        (issuer(certificateAuthority="x"), "certificateAuthority: Invalid value"),
        (issuer(egressSelectorType="cluster"), "egressSelectorType"),
        (mapped(username={}), "claimMappings.username: Required value: claim or expression is required"),
        (mapped(username={"claim": "sub"}), "username.prefix: Required value: prefix is required when claim is set"),
        (mapped(username={"claim": "a", "expression": "claims.sub"}), "claim and expression can't both be set"),
        (mapped(username={"expression": "claims.sub", "prefix": "x"}), "may not be specified when expression is set"),
        (mapped(username={"expression": "claims."}), "compilation failed"),
        (mapped(username={"expression": "1"}), "must evaluate to string"),
        (mapped(username={"expression": "claims.email"}), "claims.email_verified must be used in"),
        (mapped(groups={"claim": "g"}), "groups.prefix: Required value"),
        (mapped(groups={"expression": "true"}), "must evaluate to one of [string list(string)]"),
        (mapped(uid={"claim": "a", "expression": "claims.sub"}), "claimMappings.uid: Invalid value"),
        (mapped(extra=[{"key": "plain", "valueExpression": "''"}]), "must be a domain-prefixed path"),
        (mapped(extra=[{"key": "a.io/X", "valueExpression": "''"}]), "must be lowercase"),
        (mapped(extra=[{"key": "k8s.io/x", "valueExpression": "''"}]), "reserved for Kubernetes use"),
        (mapped(extra=[{"key": "a.kubernetes.io/x", "valueExpression": "''"}]), "reserved for Kubernetes use"),
        (mapped(extra=[{"key": "a.io/x"}]), "extra[0].valueExpression: Required value"),
        (mapped(extra=[{"key": "a.io/x", "valueExpression": "''"}] * 2), 'extra[1].key: Duplicate value: "a.io/x"'),
        ({"claimValidationRules": [{}]}, "claimValidationRules[0]: Required value: claim or expression is required"),
        ({"claimValidationRules": [{"claim": "a", "expression": "true"}]}, "claim and expression can't both be set"),
        ({"claimValidationRules": [{"claim": "a", "message": "m"}]}, "may not be specified when claim is set"),
        ({"claimValidationRules": [{"claim": "a"}] * 2}, 'claimValidationRules[1].claim: Duplicate value: "a"'),
        ({"claimValidationRules": [{"expression": "true", "requiredValue": "x"}]}, "requiredValue: Invalid value"),
        ({"claimValidationRules": [{"expression": "true"}] * 2}, "claimValidationRules[1].expression: Duplicate"),
        ({"claimValidationRules": [{"expression": "'x'"}]}, "must evaluate to bool"),
        ({"claimValidationRules": [{"expression": "user.username == ''"}]}, "undeclared reference to 'user'"),
        ({"userValidationRules": [{}]}, "userValidationRules[0].expression: Required value"),
        ({"userValidationRules": [{"expression": "user.name == ''"}]}, "undefined field 'name'"),
        ({"userValidationRules": [{"expression": "true"}] * 2}, "userValidationRules[1].expression: Duplicate"),
    ],
)
def test_problems_are_named(jwt: dict[str, Any], words: str) -> None:
    assert words in problems(jwt)


def test_problems_across_authenticators() -> None:
    twice = problems(issuer(discoveryURL="https://d"), issuer(discoveryURL="https://d"))
    assert 'jwt[1].issuer.url: Duplicate value: "https://issuer.example.com"' in twice
    assert 'jwt[1].issuer.discoveryURL: Duplicate value: "https://d"' in twice
    many = [issuer(url=f"https://{number}.example.com") for number in range(65)]
    assert problems(*many) == "jwt: Too many: 65: must have at most 64 items"
    conditions = {"enabled": False, "conditions": [{"path": "/livez"}]}
    assert "enabled should be set to true when conditions are defined" in problems(anonymous=conditions)


def test_an_email_needs_to_be_verified_somewhere() -> None:
    email = mapped(username={"expression": "claims.email"})
    assert problems({**email, "claimValidationRules": [{"expression": "claims.email_verified == true"}]}) == ""
    verified = {"expression": "claims.?email_verified.orValue(false) ? claims.email : 'nobody'"}
    assert problems(mapped(username=verified)) == ""


def _settings(tmp_path: Path, **settings: Any) -> ApiServerConfig:
    files = {name: tmp_path / name for name in ("cert_file", "key_file", "client_ca_file", "service_account_key_file")}
    return ApiServerConfig(**files, **settings)


def test_settings_are_a_short_way_to_write_one_issuer(tmp_path: Path) -> None:
    common = {"oidc_issuer_url": "https://issuer.example.com", "oidc_client_id": "me"}
    assert configuration.from_settings(_settings(tmp_path)) == []
    [made] = configuration.from_settings(_settings(tmp_path, **common))
    assert made.claim_mappings.username.prefix == "https://issuer.example.com#"
    [made] = configuration.from_settings(_settings(tmp_path, **common, oidc_username_claim="email"))
    assert made.claim_mappings.username.prefix == ""
    [made] = configuration.from_settings(_settings(tmp_path, **common, oidc_username_prefix="-"))
    assert made.claim_mappings.username.prefix == ""
    with pytest.raises(ConfigError, match="must be specified together"):
        configuration.from_settings(_settings(tmp_path, oidc_client_id="me"))
