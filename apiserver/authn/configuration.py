"""The AuthenticationConfiguration: which issuers of OpenID Connect are believed, and who may be anonymous.

One file says both; the settings `oidc…` are a short way to write one issuer. Every problem of a file is told at once,
in Kubernetes' words, with the field that has it.

Source: Kubernetes documentation, "Authentication configuration from a file"; apiserver.config.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml
from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from k8slite.config import ApiServerConfig, ConfigError
from k8slite.errors import Cause, duplicate, invalid_value, required, too_many

from .anonymous import AnonymousAccess

GROUP = "apiserver.config.k8s.io"
ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Whatever an issuer may sign with: nothing symmetric, nothing unsigned."""
_MOST_ISSUERS = 64


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class Issuer(_Model):
    """Who issues the tokens, how it is reached, and whom its tokens must be meant for."""

    url: str = ""
    discovery_url: str = Field(default="", alias="discoveryURL")
    certificate_authority: str = ""
    audiences: list[str] = []
    audience_match_policy: str = ""
    egress_selector_type: str = ""


class ClaimValidationRule(_Model):
    """What the claims must be: one of them equal to a value, or an expression true."""

    claim: str = ""
    required_value: str = ""
    expression: str = ""
    message: str = ""


class PrefixedClaimOrExpression(_Model):
    """Where a name comes from: a claim with something before it, or an expression."""

    claim: str = ""
    prefix: str | None = None
    expression: str = ""


class ClaimOrExpression(_Model):
    """Where the UID comes from."""

    claim: str = ""
    expression: str = ""


class ExtraMapping(_Model):
    """A key of the user's extra and the expression for its values."""

    key: str = ""
    value_expression: str = ""


class ClaimMappings(_Model):
    """What the user is called, by the claims of the token."""

    username: PrefixedClaimOrExpression = PrefixedClaimOrExpression()
    groups: PrefixedClaimOrExpression = PrefixedClaimOrExpression()
    uid: ClaimOrExpression = ClaimOrExpression()
    extra: list[ExtraMapping] = []


class UserValidationRule(_Model):
    """What must be true of the user that was made."""

    expression: str = ""
    message: str = ""


class JwtAuthenticator(_Model):
    """One issuer, and what its tokens mean here."""

    issuer: Issuer = Issuer()
    claim_validation_rules: list[ClaimValidationRule] = []
    claim_mappings: ClaimMappings = ClaimMappings()
    user_validation_rules: list[UserValidationRule] = []


class AnonymousCondition(_Model):
    """A path that may be asked for without credentials."""

    path: str = ""


class AnonymousConfig(_Model):
    """Whether there is an anonymous user, and where."""

    enabled: bool = False
    conditions: list[AnonymousCondition] = []


class AuthenticationConfiguration(_Model):
    """The whole file."""

    api_version: Literal[
        "apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"
    ]
    kind: Literal["AuthenticationConfiguration"]
    jwt: list[JwtAuthenticator] = []
    anonymous: AnonymousConfig | None = None

    def anonymous_access(self, otherwise: AnonymousAccess) -> AnonymousAccess:
        """Who may be anonymous; `otherwise` if the file does not say."""
        said = self.anonymous
        if said is None:
            return otherwise
        return AnonymousAccess(said.enabled, frozenset(condition.path for condition in said.conditions))


def read(content: bytes, *, source: Path) -> AuthenticationConfiguration:
    """A file's content. Raises ConfigError for what is no such configuration; `check` sees whether it makes sense."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {error}") from error
    try:
        return AuthenticationConfiguration.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{source}: {problems}") from error


def from_settings(config: ApiServerConfig) -> list[JwtAuthenticator]:
    """The issuer that the settings `oidc…` name, if any. Raises ConfigError."""
    if bool(config.oidc_issuer_url) != bool(config.oidc_client_id):
        raise ConfigError("oidcIssuerUrl and oidcClientId must be specified together")
    if not config.oidc_issuer_url:
        return []
    prefix = config.oidc_username_prefix
    if not prefix and config.oidc_username_claim != "email":
        prefix = f"{config.oidc_issuer_url}#"
    authority = ""
    if config.oidc_ca_file is not None:
        try:
            authority = config.oidc_ca_file.read_text()
        except OSError as error:
            raise ConfigError(f"{config.oidc_ca_file}: {error.strerror}") from error
    groups = PrefixedClaimOrExpression()
    if config.oidc_groups_claim:
        groups = PrefixedClaimOrExpression(claim=config.oidc_groups_claim, prefix=config.oidc_groups_prefix)
    return [
        JwtAuthenticator(
            issuer=Issuer(
                url=config.oidc_issuer_url, certificate_authority=authority, audiences=[config.oidc_client_id]
            ),
            claim_validation_rules=[
                ClaimValidationRule(claim=claim, required_value=value)
                for claim, value in config.oidc_required_claims.items()
            ],
            claim_mappings=ClaimMappings(
                username=PrefixedClaimOrExpression(
                    claim=config.oidc_username_claim, prefix="" if prefix == "-" else prefix
                ),
                groups=groups,
            ),
        )
    ]


def check(configuration: AuthenticationConfiguration, *, disallowed: Sequence[str]) -> list[Cause]:
    """What is wrong with a configuration, but for its mappings and rules, which are checked as they are compiled."""
    if len(configuration.jwt) > _MOST_ISSUERS:
        return [too_many("jwt", len(configuration.jwt), _MOST_ISSUERS)]
    causes: list[Cause] = []
    urls: set[str] = set()
    discoveries: set[str] = set()
    for index, authenticator in enumerate(configuration.jwt):
        field = f"jwt[{index}].issuer"
        issuer = authenticator.issuer
        causes += check_issuer(issuer, field, disallowed=disallowed)
        if issuer.url in urls:
            causes.append(duplicate(f"{field}.url", issuer.url))
        urls.add(issuer.url)
        if issuer.discovery_url:
            if issuer.discovery_url in discoveries:
                causes.append(duplicate(f"{field}.discoveryURL", issuer.discovery_url))
            discoveries.add(issuer.discovery_url)
    said = configuration.anonymous
    if said is not None and not said.enabled and said.conditions:
        shown = [condition.model_dump() for condition in said.conditions]
        causes.append(
            invalid_value("anonymous.conditions", shown, "enabled should be set to true when conditions are defined")
        )
    return causes


def check_issuer(issuer: Issuer, field: str, *, disallowed: Sequence[str]) -> list[Cause]:
    """What is wrong with an issuer."""
    causes: list[Cause] = []
    if not issuer.url:
        causes.append(required(f"{field}.url"))
    else:
        causes += _check_url(issuer.url, f"{field}.url", disallowed)
    if issuer.discovery_url:
        if issuer.url.rstrip("/") == issuer.discovery_url.rstrip("/"):
            detail = "discoveryURL must be different from URL"
            causes.append(invalid_value(f"{field}.discoveryURL", issuer.discovery_url, detail))
        causes += _check_url(issuer.discovery_url, f"{field}.discoveryURL", ())
    causes += _check_audiences(issuer, field)
    if issuer.certificate_authority:
        try:
            x509.load_pem_x509_certificates(issuer.certificate_authority.encode())
        except ValueError:
            detail = "data does not contain any valid RSA or ECDSA certificates"
            causes.append(invalid_value(f"{field}.certificateAuthority", "<omitted>", detail))
    if issuer.egress_selector_type:
        selector = issuer.egress_selector_type
        causes.append(invalid_value(f"{field}.egressSelectorType", selector, "egress selector is not supported"))
    return causes


def _check_url(url: str, field: str, disallowed: Sequence[str]) -> list[Cause]:
    causes: list[Cause] = []
    if url in disallowed:
        listed = "[" + " ".join(sorted(disallowed)) + "]"
        causes.append(invalid_value(field, url, f"URL must not overlap with disallowed issuers: {listed}"))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return [*causes, invalid_value(field, url, str(error))]
    if parts.scheme != "https":
        causes.append(invalid_value(field, url, "URL scheme must be https"))
    if parts.username is not None:
        causes.append(invalid_value(field, url, "URL must not contain a username or password"))
    if parts.query:
        causes.append(invalid_value(field, url, "URL must not contain a query"))
    if parts.fragment:
        causes.append(invalid_value(field, url, "URL must not contain a fragment"))
    return causes


def _check_audiences(issuer: Issuer, field: str) -> list[Cause]:
    if not issuer.audiences:
        return [required(f"{field}.audiences", f"at least one {field}.audiences is required")]
    causes: list[Cause] = []
    for index, audience in enumerate(issuer.audiences):
        if not audience:
            causes.append(required(f"{field}.audiences[{index}]"))
        if audience in issuer.audiences[:index]:
            causes.append(duplicate(f"{field}.audiences[{index}]", audience))
    policy, place = issuer.audience_match_policy, f"{field}.audienceMatchPolicy"
    if len(issuer.audiences) > 1 and policy != "MatchAny":
        causes.append(invalid_value(place, policy, "audienceMatchPolicy must be MatchAny for multiple audiences"))
    if len(issuer.audiences) == 1 and policy not in ("", "MatchAny"):
        detail = "audienceMatchPolicy must be empty or MatchAny for single audience"
        causes.append(invalid_value(place, policy, detail))
    return causes
