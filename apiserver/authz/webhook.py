"""The webhook authorizer: another server is asked with a SubjectAccessReview, and its answers are kept for a while.

It is named by a kubeconfig, whose server is the whole URL. What cannot be asked is, by the webhook's failure policy, no
opinion or a denial, and is kept by nobody.

Source: Kubernetes documentation, "Webhook Mode"; apiserver, plugin/pkg/authorizer/webhook.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from k8slite.clock import Clock
from k8slite.config import ConfigError
from k8slite.connection import ClientConfig, connect

from ..authn.base import User
from .base import Attributes, Decision, Held, Reason
from .conditions import ConditionError, met
from .configuration import WebhookSettings
from .reviewing import spec_of

if TYPE_CHECKING:
    import aiohttp

_KEPT = 8192
_ATTEMPTS = 5
_FIRST_WAIT = 0.5
_GROWTH = 1.5
_ANSWER_LIMIT = 1 << 20
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_log = logging.getLogger(__name__)


class WebhookError(Exception):
    """The webhook gave no answer. `again`: another attempt may help."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


@dataclass(frozen=True, slots=True)
class _Answer:
    decision: Decision
    reason: str
    until: float


class WebhookAuthorizer:
    """Asks one server."""

    def __init__(self, settings: WebhookSettings, *, clock: Clock) -> None:
        """Read the kubeconfig; nothing is connected yet. Raises ConfigError."""
        self._settings = settings
        self._clock = clock
        self._config = _client(settings.kubeconfig)
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()  # by digest: clients choose how long questions are
        self._session: aiohttp.ClientSession | None = None
        self._asking = 0
        self._closed = False

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """The webhook's opinion; NO_OPINION, or DENY by its failure policy, if it cannot be asked."""
        spec = spec_of(attributes)
        try:
            if self._settings.conditions and not met(self._settings.conditions, spec):
                return Decision.NO_OPINION, ""
        except ConditionError as error:
            return self._failed(str(error))
        key = hashlib.sha256(orjson.dumps(spec)).digest()
        known = self._answers.get(key)
        if known is not None and known.until > self._clock.monotonic():
            return known.decision, known.reason
        self._asking += 1
        try:
            status = await self._ask(spec)
        except WebhookError as error:
            _log.error("webhook authorizer %s: %s", self._settings.name, error)
            return self._failed(str(error))
        finally:
            self._asking -= 1
            if self._closed:
                await self.close()
        decision, reason = _opinion(status)
        allowed = status.get("allowed") is True
        self._keep(key, _Answer(decision, reason, self._clock.monotonic() + self._seconds(allowed)))
        return decision, reason

    def held(self, user: User, namespace: str) -> Held:
        """Nothing that could be listed: the other server decides."""
        return Held(problems=("webhook authorizer does not support user rule resolution",), incomplete=True)

    async def close(self) -> None:
        """Close the connection, once nobody waits for an answer."""
        self._closed = True
        if not self._asking and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _seconds(self, allowed: bool) -> float:
        return self._settings.authorized_ttl if allowed else self._settings.unauthorized_ttl

    def _keep(self, key: bytes, answer: _Answer) -> None:
        self._answers[key] = answer
        self._answers.move_to_end(key)
        if len(self._answers) > _KEPT:
            self._answers.popitem(last=False)

    def _failed(self, text: str) -> tuple[Decision, str]:
        decision = Decision.DENY if self._settings.denies_on_failure else Decision.NO_OPINION
        return decision, Reason(fault=text)

    async def _ask(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The status of the answer. Raises WebhookError."""
        version = self._settings.version
        if version == "v1beta1" and "groups" in spec:
            spec = {("group" if key == "groups" else key): value for key, value in spec.items()}
        review = {
            "kind": "SubjectAccessReview",
            "apiVersion": f"authorization.k8s.io/{version}",
            "metadata": {},
            "spec": spec,
            "status": {"allowed": False},
        }
        wait = _FIRST_WAIT
        for attempt in range(_ATTEMPTS):
            try:
                answer: Any = await self._post(orjson.dumps(review))
            except WebhookError as error:
                if not error.again or attempt == _ATTEMPTS - 1:
                    raise
                await self._clock.sleep(wait)
                wait *= _GROWTH
                continue
            status = answer.get("status") if isinstance(answer, dict) else None
            if not isinstance(status, dict):
                raise WebhookError("the answer has no status")
            return status
        raise AssertionError

    async def _post(self, body: bytes) -> Any:
        import aiohttp

        if self._session is None:
            self._session = connect(self._config)
        url, timeout = self._config.server, aiohttp.ClientTimeout(total=self._settings.timeout)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content = b""
                async for piece in response.content.iter_chunked(65536):
                    content += piece
                    if len(content) > _ANSWER_LIMIT:
                        raise WebhookError(f'Post "{url}": the answer is too large')
                if not 200 <= response.status < 300:
                    again = response.status == 429 or response.status >= 500
                    raise WebhookError(f'Post "{url}": the server answered with status {response.status}', again=again)
        except TimeoutError:
            raise WebhookError(f'Post "{url}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise WebhookError(f'Post "{url}": {error}', again=True) from error
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise WebhookError(f'Post "{url}": {error}') from None


def _client(kubeconfig: Path | None) -> ClientConfig:
    if kubeconfig is None:
        token = _IN_CLUSTER / "token"
        if not token.is_file():
            raise ConfigError(f"{token}: InClusterConfig needs a service account's files")
        server = "https://kubernetes.default.svc/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return ClientConfig(server=server, ca_file=_IN_CLUSTER / "ca.crt", token=token.read_text().strip())
    config = ClientConfig.from_kubeconfig(kubeconfig)
    if not config.server.startswith(("https://", "http://")):
        raise ConfigError(f"{kubeconfig}: the cluster names no server")
    return config


def _opinion(status: dict[str, Any]) -> tuple[Decision, str]:
    reason = str(status.get("reason") or "")
    if status.get("denied") is True:
        if status.get("allowed") is True:
            fault = "webhook subject access review returned both allow and deny response"
            return Decision.DENY, Reason(reason, fault=fault)
        return Decision.DENY, reason
    return (Decision.ALLOW if status.get("allowed") is True else Decision.NO_OPINION), reason
