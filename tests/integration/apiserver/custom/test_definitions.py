"""CustomResourceDefinitions themselves: conditions, names, status, versions, their end."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from k8slite.pki import Authority

from .definitions import (
    CRDS,
    change,
    condition,
    custom,
    definition,
    establish,
    path,
    remove,
    until,
    version,
    wait_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = {"content-type": "application/merge-patch+json"}


async def test_conditions_and_names_are_told(http: httpx.AsyncClient) -> None:
    made = await establish(http, definition("apples", "told.example.com", names={"shortNames": ["ap"]}))
    assert condition(made, "NamesAccepted")["reason"] == "NoConflicts"
    assert condition(made, "NamesAccepted")["message"] == "no conflicts found"
    assert condition(made, "Established")["reason"] == "InitialNamesAccepted"
    assert made["status"]["acceptedNames"] == {
        "plural": "apples",
        "singular": "apple",
        "shortNames": ["ap"],
        "kind": "Apple",
        "listKind": "AppleList",
    }
    assert made["status"]["storedVersions"] == ["v1"]
    assert "finalizers" not in made["metadata"]
    await remove(http, "apples.told.example.com")


async def test_a_name_that_is_taken_is_refused_until_it_is_free(http: httpx.AsyncClient) -> None:
    first = definition("pears", "names.example.com", names={"shortNames": ["fruit"]})
    await establish(http, first)
    second = definition("plums", "names.example.com", names={"shortNames": ["fruit"]})
    assert (await http.post(CRDS, json=second)).status_code == 201
    told = await wait_for(http, "plums.names.example.com", "NamesAccepted", "False")
    assert condition(told, "NamesAccepted")["reason"] == "ShortNamesConflict"
    assert condition(told, "NamesAccepted")["message"] == '"fruit" is already in use'
    assert condition(told, "Established")["status"] == "False"
    assert condition(told, "Established")["reason"] == "NotAccepted"
    assert (await http.get(path(second))).status_code == 404
    await remove(http, "pears.names.example.com")
    await wait_for(http, "plums.names.example.com")
    assert (await http.get(path(second))).status_code == 200
    await remove(http, "plums.names.example.com")


async def test_a_kind_that_is_taken_is_refused(http: httpx.AsyncClient) -> None:
    await establish(http, definition("figs", "kinds.example.com", kind="Same"))
    await http.post(CRDS, json=definition("dates", "kinds.example.com", kind="Same"))
    told = await wait_for(http, "dates.kinds.example.com", "NamesAccepted", "False")
    assert condition(told, "NamesAccepted")["reason"] == "ListKindConflict"
    await remove(http, "figs.kinds.example.com")
    await remove(http, "dates.kinds.example.com")


async def test_groups_of_the_community_need_an_approval(http: httpx.AsyncClient) -> None:
    note = {"annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes/kubernetes/pull/1"}}
    made = await establish(http, definition("kiwis", "fruits.k8s.io", metadata=note))
    assert condition(made, "KubernetesAPIApprovalPolicyConformant")["status"] == "True"
    assert condition(made, "KubernetesAPIApprovalPolicyConformant")["reason"] == "ApprovedAnnotation"
    await remove(http, "kiwis.fruits.k8s.io")


async def test_users_write_the_status_of_a_definition(http: httpx.AsyncClient) -> None:
    name = "limes.status.example.com"
    made = await establish(http, definition("limes", "status.example.com"))
    extra = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from a test"}
    made["status"]["conditions"].append(extra)
    answer = await http.put(f"{CRDS}/{name}/status", json=made)
    assert answer.status_code == 200, answer.text
    patched = {"status": {"conditions": [*answer.json()["status"]["conditions"], {**extra, "type": "StatusPatched"}]}}
    answer = await http.patch(f"{CRDS}/{name}/status", json=patched, headers=MERGE)
    assert answer.status_code == 200, answer.text
    types = [each["type"] for each in (await http.get(f"{CRDS}/{name}/status")).json()["status"]["conditions"]]
    assert types == ["NamesAccepted", "Established", "StatusUpdate", "StatusPatched"]
    await remove(http, name)


async def test_stored_versions_are_remembered(http: httpx.AsyncClient) -> None:
    name = "melons.stored.example.com"
    await establish(http, definition("melons", "stored.example.com", version("v1"), version("v2", storage=False)))

    def swap(document: dict[str, Any]) -> None:
        for each in document["spec"]["versions"]:
            each["storage"] = each["name"] == "v2"

    assert (await change(http, name, swap))["status"]["storedVersions"] == ["v1", "v2"]
    await remove(http, name)


async def test_a_definition_waits_for_its_objects(http: httpx.AsyncClient) -> None:
    made = definition("grapes", "ends.example.com")
    await establish(http, made)
    held = custom("ends.example.com/v1", "Grape", "held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    for each in (held, custom("ends.example.com/v1", "Grape", "free")):
        assert (await http.post(path(made), json=each)).status_code == 201
    answer = await http.delete(f"{CRDS}/grapes.ends.example.com")
    assert answer.status_code == 200
    assert answer.json()["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert condition(answer.json(), "Terminating")["reason"] == "InstanceDeletionPending"

    async def alone() -> bool:
        items = (await http.get(path(made))).json()["items"]
        return len(items) == 1 and "deletionTimestamp" in items[0]["metadata"]

    await until(alone, "the free object stays")
    told = await wait_for(http, "grapes.ends.example.com", "Terminating")
    assert condition(told, "Terminating")["reason"] == "InstanceDeletionInProgress"
    refused = await http.post(path(made), json=custom("ends.example.com/v1", "Grape", "late"))
    assert (refused.status_code, refused.json()["reason"]) == (405, "MethodNotAllowed")
    assert refused.json()["message"] == "create not allowed while custom resource definition is terminating"
    (told,) = (await http.get("/apis/ends.example.com/v1")).json()["resources"]
    assert told["verbs"] == ["delete", "deletecollection", "get", "list", "watch"]
    freed = await http.patch(f"{path(made)}/held", json={"metadata": {"finalizers": None}}, headers=MERGE)
    assert freed.status_code == 200, freed.text

    async def gone() -> bool:
        return (await http.get(f"{CRDS}/grapes.ends.example.com")).status_code == 404

    await until(gone, "the definition stays")
    assert (await http.get(path(made))).status_code == 404


async def test_a_bundle_that_cannot_be_read_keeps_a_definition_from_being_served(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    authority = Authority.create(tmp_path, name="ca")
    name = "seals.bundles.example.com"
    client = {"url": "https://127.0.0.1:1/convert", "caBundle": "Cg=="}
    hook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    made = definition("seals", "bundles.example.com", conversion={"strategy": "Webhook", "webhook": hook})
    assert (await http.post(CRDS, json=made)).status_code == 201
    told = condition(await wait_for(http, name, status="False"), "Established")
    assert (told["reason"], told["message"]) == ("InvalidCABundle", "The conversion webhook CABundle is invalid")
    assert (await http.get(path(made))).status_code == 404

    def mend(document: dict[str, Any]) -> None:
        document["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] = base64.b64encode(
            authority.certificate_pem
        ).decode()

    await change(http, name, mend)
    await wait_for(http, name)
    spoilt = {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": "Cg=="}}}}}
    answer = await http.patch(f"{CRDS}/{name}", json=spoilt, headers=MERGE)
    assert answer.status_code == 422
    assert "unable to load root certificates: unable to parse bytes as PEM block" in answer.text
    await remove(http, name)


async def test_a_definition_that_never_was_established_goes(http: httpx.AsyncClient) -> None:
    await establish(http, definition("nuts", "never.example.com", kind="Nut"))
    await http.post(CRDS, json=definition("seeds", "never.example.com", kind="Nut"))
    await wait_for(http, "seeds.never.example.com", "NamesAccepted", "False")
    await remove(http, "seeds.never.example.com")
    await remove(http, "nuts.never.example.com")


async def test_definitions_are_listed_and_deleted_together(http: httpx.AsyncClient) -> None:
    for plural in ("reds", "blues"):
        labelled = {"labels": {"mine": "yes"}}
        await establish(http, definition(plural, "many.example.com", metadata=labelled))
    listed = (await http.get(CRDS, params={"labelSelector": "mine=yes"})).json()["items"]
    assert [item["metadata"]["name"] for item in listed] == ["blues.many.example.com", "reds.many.example.com"]
    assert (await http.delete(CRDS, params={"labelSelector": "mine=yes"})).status_code == 200

    async def gone() -> bool:
        return not (await http.get(CRDS, params={"labelSelector": "mine=yes"})).json()["items"]

    await until(gone, "definitions stay")


async def test_a_deprecated_version_warns(http: httpx.AsyncClient) -> None:
    old = version("v1alpha1", storage=False, deprecated=True)
    worded = version("v1beta1", storage=False, deprecated=True, deprecationWarning="leave v1beta1")
    made = definition("oaks", "old.example.com", old, worded, version("v1"))
    await establish(http, made)
    told = (await http.get(path(made, "v1alpha1"))).headers.get_list("warning")
    assert told == ['299 - "old.example.com/v1alpha1 Oak is deprecated; use old.example.com/v1 Oak"']
    assert (await http.get(path(made, "v1beta1"))).headers["warning"] == '299 - "leave v1beta1"'
    assert "warning" not in (await http.get(path(made, "v1"))).headers
    await remove(http, "oaks.old.example.com")
