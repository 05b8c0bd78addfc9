"""An operator on kopf that serves admission webhooks itself, and configures them in the cluster."""

from __future__ import annotations

import os
from typing import Any

import kopf

PETS = ("pets.example.com", "v1", "pets")


@kopf.on.startup()
def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Serve on loopback with a certificate of the test's authority."""
    settings.posting.enabled = False
    settings.admission.server = kopf.WebhookServer(
        addr="127.0.0.1",
        host="127.0.0.1",
        cafile=os.environ["HOOK_CA"],
        certfile=os.environ["HOOK_CERT"],
        pkeyfile=os.environ["HOOK_KEY"],
    )
    settings.admission.managed = "auto.kopf.dev"


@kopf.on.mutate(*PETS, operation="CREATE")
def named(spec: kopf.Spec, patch: kopf.Patch, warnings: list[str], **_: Any) -> None:
    """Give a pet that has none a name."""
    if not spec.get("called"):
        patch.spec["called"] = "Rex"
        warnings.append("a pet should have a name")


@kopf.on.validate(*PETS, operation="CREATE")
@kopf.on.validate(*PETS, operation="UPDATE", id="update")
def tame(spec: kopf.Spec, dryrun: bool, **_: Any) -> None:
    """Refuse what bites."""
    if spec.get("kind") == "tiger":
        raise kopf.AdmissionError(f"no tigers{' even on trial' if dryrun else ''}", code=403)


@kopf.on.validate(*PETS, operation="DELETE", id="loved")
def loved(old: kopf.BodyEssence, userinfo: kopf.UserInfo, name: str, **_: Any) -> None:
    """Keep the pet that is loved."""
    if name == "loved":
        raise kopf.AdmissionError(f"{userinfo['username']} may not part with it")
