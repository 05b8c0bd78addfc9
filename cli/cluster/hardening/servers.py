"""How the control plane is told to run (sections 1.2 to 3)."""

from __future__ import annotations

from pathlib import Path

from .controls import RENEW, Control, Examined, Look, NotApplicable, lasting, needed

_NO_PROFILING = "there is no such endpoint"
_LOOPBACK = "metricsPort is bound to 127.0.0.1"


def _set(*paths: Path | None) -> bool:
    return all(path is not None for path in paths)


def _plugin(name: str) -> Look:
    return lambda it: needed(name not in it.apiserver.disable_admission_plugins, f"{name} is disabled")


def _modes(it: Examined) -> list[str]:
    """The authorizers' modes. Raises NotApplicable for a structured file, whose reader refuses AlwaysAllow."""
    if it.apiserver.authorization_config_file is not None:
        raise NotApplicable("authorizationConfigFile names the authorizers")
    return list(it.apiserver.authorization_mode)


def _at_least(value: int, least: int, name: str) -> list[str]:
    return needed(value == 0 or value >= least, f"{name} is {value}, less than {least}")


def _kept(name: str, setting: str, least: int) -> Look:
    """A bound of the audit log, if there is one to be bounded."""

    def look(it: Examined) -> list[str]:
        if not _has_audit_log(it):
            raise NotApplicable("there is no audit log")
        return _at_least(getattr(it.apiserver.audit.log, setting), least, f"audit.log.{name}")

    return look


def _has_audit_log(it: Examined) -> bool:
    return it.apiserver.audit.policy_file is not None and bool(it.apiserver.audit.log.path)


def _etcd_files(it: Examined) -> list[str]:
    store = it.apiserver.store
    if store.engine != "etcd":
        raise NotApplicable("objects are kept in SQLite, in a file of this machine")
    return needed(_set(store.cert_file, store.key_file), "store.certFile and store.keyFile are not both set")


def _etcd_authority(it: Examined) -> list[str]:
    if it.apiserver.store.engine != "etcd":
        raise NotApplicable("objects are kept in SQLite, in a file of this machine")
    return needed(it.apiserver.store.ca_file, "store.caFile is not set")


def _etcd(flag: str, *, off: bool = False) -> Look:
    def look(it: Examined) -> list[str]:
        if not it.etcd:
            raise NotApplicable("this cluster runs no etcd of its own")
        given = any(part == flag or part.startswith(f"{flag}=") for part in it.etcd) and f"{flag}=false" not in it.etcd
        return needed(given is not off, f"etcd runs {'with' if off else 'without'} {flag}")

    return look


def _own_authority(it: Examined) -> list[str]:
    if it.apiserver.store.engine != "etcd":
        raise NotApplicable("objects are kept in SQLite, in a file of this machine")
    same = it.apiserver.store.ca_file == it.apiserver.client_ca_file
    return needed(not same, "etcd's clients have the authority that signs for users")


def _extends_no_tokens(it: Examined) -> list[str]:
    return needed(not it.apiserver.service_account_extend_token_expiration, "tokens outlive their stated end by a year")


def _one_identity(it: Examined) -> list[str]:
    raise NotApplicable("the controllers share one identity, which has the roles of those that run and no others")


CONTROLS = [
    Control("1.2.1", "anonymous requests reach nothing but what is public", "review `system:unauthenticated` bindings"),
    Control(
        "1.2.2",
        "no static tokens",
        "remove tokenFile: use certificates, OpenID Connect or ServiceAccount tokens",
        lambda it: needed(it.apiserver.token_file is None, "tokenFile is set"),
    ),
    Control("1.2.3", "external addresses of Services", "enable DenyServiceExternalIPs where users are not trusted"),
    Control(
        "1.2.4",
        "the API server shows kubelets a certificate",
        "set kubeletClientCertFile and kubeletClientKeyFile",
        lambda it: needed(
            _set(it.apiserver.kubelet_client_cert_file, it.apiserver.kubelet_client_key_file),
            "kubeletClientCertFile and kubeletClientKeyFile are not both set",
        ),
    ),
    Control(
        "1.2.5",
        "the API server verifies kubelets",
        "set kubeletCaFile",
        lambda it: needed(it.apiserver.kubelet_ca_file, "kubeletCaFile is not set"),
    ),
    Control(
        "1.2.6",
        "not everything is allowed",
        "take AlwaysAllow out of authorizationMode",
        lambda it: needed("AlwaysAllow" not in _modes(it), "authorizationMode has AlwaysAllow"),
    ),
    Control(
        "1.2.7",
        "kubelets are confined to their own node",
        "put Node into authorizationMode",
        lambda it: needed("Node" in _modes(it), "authorizationMode lacks Node"),
    ),
    Control(
        "1.2.8",
        "roles decide",
        "put RBAC into authorizationMode",
        lambda it: needed("RBAC" in _modes(it), "authorizationMode lacks RBAC"),
    ),
    Control("1.2.9", "events are limited", "flow control limits every client: see docs/flow-control.md"),
    Control("1.2.10", "admission admits not everything", built_in="there is no plugin that does"),
    Control("1.2.11", "images are pulled anew", "enable AlwaysPullImages where nodes are shared by strangers"),
    Control("1.2.12", "pods have service accounts", "do not disable ServiceAccount", _plugin("ServiceAccount")),
    Control("1.2.13", "namespaces end in order", "do not disable NamespaceLifecycle", _plugin("NamespaceLifecycle")),
    Control("1.2.14", "kubelets write only their own", "do not disable NodeRestriction", _plugin("NodeRestriction")),
    Control("1.2.15", "no profiling of the API server", built_in=_NO_PROFILING),
    Control(
        "1.2.16",
        "an audit log is kept",
        "set audit.policyFile and audit.log.path",
        lambda it: needed(_has_audit_log(it), "there is no audit log"),
    ),
    Control(
        "1.2.17",
        "the audit log is kept for a month",
        "set audit.log.maxAge to 30 or more",
        _kept("maxAge", "max_age", 30),
    ),
    Control(
        "1.2.18",
        "ten files of the audit log are kept",
        "set audit.log.maxBackups to 10 or more",
        _kept("maxBackups", "max_backups", 10),
    ),
    Control(
        "1.2.19",
        "files of the audit log hold 100 MiB",
        "set audit.log.maxSize to 100 or more",
        _kept("maxSize", "max_size", 100),
    ),
    Control("1.2.20", "requests end in time", "a request may take 60 seconds; there is no setting"),
    Control("1.2.21", "tokens of accounts that are gone are refused", built_in="each request looks the account up"),
    Control(
        "1.2.22",
        "ServiceAccount tokens have a key of their own",
        "set serviceAccountKeyFile to a key that serves nothing else",
        lambda it: needed(
            it.apiserver.service_account_key_file != it.apiserver.key_file, "it is the key of the server's certificate"
        ),
    ),
    Control("1.2.23", "the API server shows etcd a certificate", "set store.certFile and store.keyFile", _etcd_files),
    Control("1.2.24", "the API server has a certificate", built_in="it does not start without one"),
    Control("1.2.25", "clients are known by certificates", built_in="it does not start without their authority"),
    Control("1.2.26", "the API server verifies etcd", "set store.caFile", _etcd_authority),
    Control("1.2.27", "Secrets are encrypted in the store", "set encryptionConfigFile: see docs/encryption.md"),
    Control("1.2.28", "they are encrypted well", "put secretbox, aesgcm or kms first: see docs/encryption.md"),
    Control("1.2.29", "strong ciphers", "TLS is 1.2 or newer with OpenSSL's own choice; there is no setting"),
    Control(
        "1.2.30",
        "tokens end when they say",
        "set serviceAccountExtendTokenExpiration to false",
        _extends_no_tokens,
    ),
    Control("1.3.1", "ended pods are cleared away", "12,500 ended pods are kept; there is no setting"),
    Control("1.3.2", "no profiling of the controller manager", built_in=_NO_PROFILING),
    Control("1.3.3", "controllers have accounts of their own", look=_one_identity),
    Control(
        "1.3.4",
        "the controller manager has the key of ServiceAccount tokens",
        "set serviceAccountPrivateKeyFile",
        lambda it: needed(it.manager.service_account_private_key_file, "serviceAccountPrivateKeyFile is not set"),
    ),
    Control(
        "1.3.5",
        "pods can verify the API server",
        "set rootCaFile",
        lambda it: needed(it.manager.root_ca_file, "rootCaFile is not set"),
    ),
    Control("1.3.6", "kubelets' server certificates are renewed", RENEW, lasting("kubelet")),
    Control("1.3.7", "the controller manager listens on loopback only", built_in=_LOOPBACK),
    Control("1.4.1", "no profiling of the scheduler", built_in=_NO_PROFILING),
    Control("1.4.2", "the scheduler listens on loopback only", built_in=_LOOPBACK),
    Control("2.1", "etcd has a certificate", "give etcd --cert-file and --key-file", _etcd("--cert-file")),
    Control("2.2", "etcd verifies its clients", "give etcd --client-cert-auth", _etcd("--client-cert-auth")),
    Control("2.3", "etcd makes no certificates itself", "take --auto-tls away", _etcd("--auto-tls", off=True)),
    Control("2.4", "etcd's peers have certificates", "give etcd --peer-cert-file", _etcd("--peer-cert-file")),
    Control("2.5", "etcd verifies its peers", "give etcd --peer-client-cert-auth", _etcd("--peer-client-cert-auth")),
    Control("2.6", "peers make no certificates", "take --peer-auto-tls away", _etcd("--peer-auto-tls", off=True)),
    Control("2.7", "etcd has an authority of its own", "do not use the clients' authority for etcd", _own_authority),
    Control("3.1.1", "users have no client certificates", "use OpenID Connect: certificates cannot be revoked"),
    Control("3.1.2", "users have no ServiceAccount tokens", "use OpenID Connect for people"),
    Control("3.1.3", "users have no bootstrap tokens", "use OpenID Connect for people"),
    Control("3.2.1", "an audit policy", "read audit/policy.yaml of the cluster's directory"),
    Control("3.2.2", "the audit policy covers what matters", "read audit/policy.yaml of the cluster's directory"),
]
