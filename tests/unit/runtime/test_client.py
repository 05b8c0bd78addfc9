import base64

import pytest

from k8slite import errors
from k8slite.client import Client, ClientConfig
from k8slite.config import ConfigError
from k8slite.decoding import decode_event
from k8slite.kinds.resources import NODES, PODS

A = "/api/v1/namespaces/default/pods/a"


async def test_verbs(api, client):
    made = await client.create(PODS, {"metadata": {"name": "a", "namespace": "default"}}, namespace="default")
    assert (made.key, made.kind, made.api_version) == ("default/a", "Pod", "v1")
    changed = await client.patch(PODS, "a", {"metadata": {"labels": {"x": "y"}}}, namespace="default")
    assert changed.metadata.labels == {"x": "y"}
    listing = await client.list(PODS, namespace="default")
    assert [pod.name for pod in listing.items] == ["a"]
    assert listing.items[0].kind == "Pod"
    assert listing.resource_version == str(api.revision)
    await client.delete(PODS, "a", namespace="default")
    with pytest.raises(errors.ApiError) as caught:
        await client.get(PODS, "a", namespace="default")
    assert caught.value.reason == "NotFound"


async def test_an_answer_that_is_no_status_is_still_an_api_error(api, client):
    api.fail_next = [errors.ApiError(502, "", "bad gateway")]
    with pytest.raises(errors.ApiError) as caught:
        await client.get(NODES, "n")
    assert caught.value.code == 502


async def test_watch(api, client):
    first = await api.put(A)
    await api.put(A, spec={"nodeName": "n"})
    stream = client.watch(PODS, resource_version=first["metadata"]["resourceVersion"])
    event = await anext(stream)
    assert (event.type, event.object.spec.node_name) == ("MODIFIED", "n")
    assert (await anext(stream)).type == "BOOKMARK"
    await stream.aclose()


def test_events_are_read_whatever_their_layout():
    odd = b'{"object": {"kind": "Pod", "metadata": {"name": "a", "labels": null}}, "type": "ADDED"}'
    event = decode_event(PODS, odd)
    assert event is not None
    assert (event.type, event.object.name, event.object.metadata.labels) == ("ADDED", "a", {})
    with pytest.raises(errors.ApiError) as caught:
        decode_event(PODS, b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}')
    assert caught.value.code == 410


KUBECONFIG = """
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1/", certificate-authority-data: %s}}]
users: [{name: u, user: {client-certificate: me.crt, token: secret}}]
"""


def test_kubeconfig(tmp_path):
    file = tmp_path / "config"
    file.write_text(KUBECONFIG % base64.b64encode(b"CA").decode())
    config = ClientConfig.from_kubeconfig(file)
    assert config.server == "https://127.0.0.1:1"
    assert config.ca_file is not None and config.ca_file.read_bytes() == b"CA"
    assert config.ca_file.stat().st_mode & 0o077 == 0
    assert config.cert_file == tmp_path / "me.crt"
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("text", "word"),
    [("[]", "no kubeconfig"), ("a: [", "expected"), ("current-context: x", 'no context "x"')],
)
def test_a_bad_kubeconfig_says_what_is_wrong(tmp_path, text, word):
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ConfigError, match=word):
        ClientConfig.from_kubeconfig(file)


async def test_bad_tls_files_say_so(tmp_path):
    client = Client(ClientConfig(server="https://127.0.0.1:1", ca_file=tmp_path / "none"))
    with pytest.raises(ConfigError, match="TLS files"):
        await client.get(NODES, "n")
