"""The methods that a configuration asks for, put together in Kubernetes' order.

What only some configurations need (OpenID Connect, the webhook) is imported only for them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from k8slite.clock import Clock
from k8slite.config import ApiServerConfig, ConfigError

from ..backends import Backends
from ..lookup import Objects
from ..verbs.tokens import api_audiences, issuers
from .anonymous import AnonymousAccess
from .base import Authenticator, TokenMethod
from .bootstrap import BootstrapTokens
from .chain import Chain
from .legacy import LegacyTokens, Touch
from .metrics import AuthenticationMetrics
from .request_header import HeaderNames, RequestHeaderAuthenticator
from .serviceaccount import Keys, ServiceAccountTokens
from .static import StaticTokens
from .tokens import Tokens
from .x509 import CertificateAuthenticator, Issuers


@dataclass(frozen=True, slots=True)
class Parts:
    """What methods may need."""

    config: ApiServerConfig
    keys: Keys
    objects: Objects
    backends: Backends
    clock: Clock
    touch: Touch = lambda *_: None
    metrics: AuthenticationMetrics = field(default_factory=AuthenticationMetrics)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What is to be closed when the server ends."""


def build(parts: Parts) -> Chain:
    """The chain of methods. Raises ConfigError for files and settings that are wrong."""
    config = parts.config
    anonymous: Callable[[], AnonymousAccess] = _always(AnonymousAccess(config.anonymous_auth is not False))
    methods: list[TokenMethod] = []
    if config.token_file is not None:
        methods.append(StaticTokens.load(config.token_file))
    methods.append(ServiceAccountTokens(keys=parts.keys, issuers=issuers(config), objects=parts.objects))
    methods.append(LegacyTokens(keys=parts.keys, objects=parts.objects, touch=parts.touch))
    if config.enable_bootstrap_token_auth:
        methods.append(BootstrapTokens(parts.objects))
    if config.authentication_config_file is not None:
        from .dynamic import ConfiguredTokens
        from .fetching import fetches

        if config.oidc_issuer_url or config.oidc_client_id:
            raise ConfigError("authenticationConfigFile and the settings oidc… are mutually exclusive")
        configured = ConfiguredTokens(
            config.authentication_config_file,
            disallowed=issuers(config),
            otherwise=anonymous(),
            fetch=fetches(parts.backends),
            clock=parts.clock,
            metrics=parts.metrics,
        )
        if configured.says_anonymous and config.anonymous_auth is not None:
            raise ConfigError(
                "anonymousAuth cannot be set when anonymous is configured in the authentication configuration"
            )
        methods.append(configured)
        anonymous = configured.anonymous
    elif config.oidc_issuer_url or config.oidc_client_id:
        methods.append(_oidc(parts))
    if config.authentication_token_webhook_config_file is not None:
        from .webhook import WebhookTokens

        webhook = WebhookTokens(
            config.authentication_token_webhook_config_file,
            version=config.authentication_token_webhook_version,
            remembered=config.authentication_token_webhook_cache_ttl,
            audiences=api_audiences(config),
            clock=parts.clock,
        )
        parts.closing.push_async_callback(webhook.close)
        methods.append(webhook)
    tokens = Tokens(methods, audiences=api_audiences(config), clock=parts.clock, metrics=parts.metrics)
    return Chain(
        certificates=_certificates(parts),
        tokens=tokens,
        anonymous=anonymous,
        clock=parts.clock,
        metrics=parts.metrics,
    )


def _always(access: AnonymousAccess) -> Callable[[], AnonymousAccess]:
    return lambda: access


def _oidc(parts: Parts) -> TokenMethod:
    from . import configuration, oidc
    from .fetching import fetches

    config = parts.config
    sources = configuration.from_settings(config)
    if unknown := sorted(set(config.oidc_signing_algs) - set(configuration.ALGORITHMS)):
        raise ConfigError(f'oidc: unsupported signing alg: "{unknown[0]}"')
    issuers_of_accounts = issuers(config)
    causes = [
        cause
        for source in sources
        for cause in configuration.check_issuer(source.issuer, "issuer", disallowed=issuers_of_accounts)
    ]
    return oidc.OidcTokens(
        oidc.build(
            sources,
            fetch=fetches(parts.backends),
            clock=parts.clock,
            algorithms=config.oidc_signing_algs,
            causes=causes,
        )
    )


def _certificates(parts: Parts) -> list[Authenticator]:
    config, clock = parts.config, parts.clock
    clients = Issuers(config.client_ca_file)
    if config.requestheader_client_ca_file is None:
        return [CertificateAuthenticator(clock=clock, issuers=clients)]
    proxies = RequestHeaderAuthenticator(
        Issuers(config.requestheader_client_ca_file),
        allowed=config.requestheader_allowed_names,
        headers=HeaderNames.of(config),
        clock=clock,
    )
    return [proxies, CertificateAuthenticator(clock=clock, issuers=clients, others=True)]
