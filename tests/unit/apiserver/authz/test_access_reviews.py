"""Reviews of access: what is asked, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision, Held, Reason
from k8slite.apiserver.authz.chain import Chain
from k8slite.apiserver.authz.reviewing import spec_of
from k8slite.apiserver.authz.rules import parse
from k8slite.apiserver.verbs.access_reviews import AccessReviews
from k8slite.errors import ApiError
from k8slite.selectors import parse_field_selector, parse_label_selector

ALICE = User("alice", uid="7", groups=("dev",), extra={"scope": ("a", "b")})


class Judge:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, decision: Decision = Decision.ALLOW, reason: str = "") -> None:
        self.opinion = (decision, reason)
        self.asked: list[Attributes] = []

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        self.asked.append(attributes)
        return self.opinion

    def held(self, user: User, namespace: str) -> Held:
        rule = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}
        url = {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}
        return Held(parse([rule, url]), ["one", "two"], incomplete=True)


async def ask(judge: Judge, plural: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = more.pop("metadata", {})
    body = {"kind": "K", "apiVersion": "authorization.k8s.io/v1", "metadata": metadata, "spec": spec}
    status: dict[str, Any] = (await AccessReviews(judge).review(plural, body, user=ALICE, **more))["status"]
    return status


RESOURCE = {"verb": "list", "group": "apps", "resource": "deployments", "namespace": "ns", "name": "d"}


async def test_each_answer_is_told_apart() -> None:
    spec = {"resourceAttributes": RESOURCE}
    plural = "selfsubjectaccessreviews"
    assert await ask(Judge(reason="because"), plural, spec) == {"allowed": True, "reason": "because"}
    assert await ask(Judge(Decision.NO_OPINION), plural, spec) == {"allowed": False}
    assert await ask(Judge(Decision.DENY, "no"), plural, spec) == {"allowed": False, "denied": True, "reason": "no"}
    fault = Reason("r", fault="nobody answers")
    assert await ask(Judge(Decision.NO_OPINION, fault), plural, spec) == {
        "allowed": False,
        "reason": "r",
        "evaluationError": "nobody answers",
    }


async def test_the_subject_is_whole() -> None:
    judge = Judge()
    spec = {"user": "bob", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}, "resourceAttributes": RESOURCE}
    await ask(judge, "subjectaccessreviews", spec)
    assert judge.asked[0] == Attributes(
        User("bob", uid="1", groups=("g",), extra={"k": ("v",)}),
        "list",
        group="apps",
        resource="deployments",
        namespace="ns",
        name="d",
    )
    await ask(judge, "selfsubjectaccessreviews", {"nonResourceAttributes": {"path": "/x", "verb": "get"}})
    assert judge.asked[1] == Attributes(ALICE, "get", "/x")


async def test_selectors_narrow_the_question() -> None:
    judge = Judge()
    requirements = [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]
    labels = {"rawSelector": "a in (b,c),!d"}
    spec = {"resourceAttributes": RESOURCE | {"fieldSelector": {"requirements": requirements}, "labelSelector": labels}}
    await ask(judge, "selfsubjectaccessreviews", spec)
    assert judge.asked[0].fields == parse_field_selector("spec.nodeName=n1")
    assert judge.asked[0].labels == parse_label_selector("a in (b,c),!d")
    assert spec_of(judge.asked[0])["resourceAttributes"]["labelSelector"] == {
        "requirements": [
            {"key": "a", "operator": "In", "values": ["b", "c"]},
            {"key": "d", "operator": "DoesNotExist"},
        ]
    }


async def test_what_cannot_be_judged_is_left_out_and_said() -> None:
    judge = Judge()
    requirements = [
        {"key": "a", "operator": "In", "values": ["b"]},
        {"key": "c", "operator": "In", "values": ["d", "e"]},
    ]
    spec = {"resourceAttributes": RESOURCE | {"fieldSelector": {"requirements": requirements}}}
    status = await ask(judge, "selfsubjectaccessreviews", spec)
    assert status["evaluationError"] == ("spec.resourceAttributes.fieldSelector partially ignored due to parse error")
    assert judge.asked[0].fields == parse_field_selector("a=b")
    spec = {"resourceAttributes": RESOURCE | {"labelSelector": {"rawSelector": "&"}}}
    status = await ask(judge, "selfsubjectaccessreviews", spec)
    assert status["evaluationError"] == "spec.resourceAttributes.labelSelector ignored due to parse error"


@pytest.mark.parametrize(
    ("plural", "spec", "refusal"),
    [
        (
            "selfsubjectaccessreviews",
            {},
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": RESOURCE, "nonResourceAttributes": {"path": "/", "verb": "get"}},
            "cannot be specified in combination with resourceAttributes",
        ),
        ("subjectaccessreviews", {"resourceAttributes": RESOURCE}, "at least one of user or group must be specified"),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"fieldSelector": {}}},
            "spec.resourceAttributes.fieldSelector.requirements: Required value: when "
            "spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
        ),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"labelSelector": {"rawSelector": "a", "requirements": [{"key": "a"}]}}},
            "may not specified at the same time as requirements",
        ),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"fieldSelector": {"requirements": [{"operator": "Maybe"}]}}},
            "not a valid selector operator",
        ),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"labelSelector": {"requirements": [{"key": "a", "operator": "In"}]}}},
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            "localsubjectaccessreviews",
            {"user": "u", "nonResourceAttributes": {"path": "/", "verb": "get"}},
            "disallowed on this kind of request",
        ),
        (
            "localsubjectaccessreviews",
            {"user": "u", "resourceAttributes": RESOURCE | {"namespace": "other"}},
            "must match metadata.namespace",
        ),
    ],
)
async def test_what_is_no_question(plural: str, spec: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ApiError) as refused:
        await ask(Judge(), plural, spec, namespace="ns")
    assert refused.value.code == 422
    assert refusal in refused.value.message


async def test_metadata_says_nothing_but_where() -> None:
    spec = {"user": "u", "resourceAttributes": RESOURCE}
    with pytest.raises(ApiError, match=r"metadata: Invalid value: .*: must be empty"):
        await ask(Judge(), "subjectaccessreviews", spec, metadata={"name": "x"})
    await ask(Judge(), "localsubjectaccessreviews", spec, metadata={"namespace": "ns"}, namespace="ns")
    with pytest.raises(ApiError, match="must be empty except for namespace"):
        await ask(Judge(), "localsubjectaccessreviews", spec, metadata={"name": "x"}, namespace="ns")
    with pytest.raises(ApiError, match="does not match the namespace sent on the request"):
        await ask(Judge(), "localsubjectaccessreviews", spec, metadata={"namespace": "other"}, namespace="ns")


async def test_a_local_review_must_name_its_namespace() -> None:
    spec = {"user": "u", "resourceAttributes": RESOURCE | {"namespace": ""}}
    with pytest.raises(ApiError, match=r"must match metadata\.namespace"):
        await ask(Judge(), "localsubjectaccessreviews", spec, namespace="ns")


async def test_rules() -> None:
    status = await ask(Judge(), "selfsubjectrulesreviews", {"namespace": "ns"})
    assert status == {
        "resourceRules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
        "incomplete": True,
        "evaluationError": "[one, two]",
    }
    with pytest.raises(ApiError, match="no namespace on request"):
        await ask(Judge(), "selfsubjectrulesreviews", {})


async def test_a_chain_gathers_what_its_members_hold() -> None:
    class Silent:
        async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
            return Decision.NO_OPINION, Reason(fault="down")

    chain = Chain([Silent(), Judge(Decision.NO_OPINION, "no rule")])
    decision, reason = await chain.authorize(Attributes(ALICE, "get", "/x"))
    assert (decision, reason) == (Decision.NO_OPINION, "no rule")
    with pytest.raises(ApiError, match="Internal error occurred: down") as failed:
        await chain.require(Attributes(ALICE, "get", "/x"))
    assert failed.value.code == 500
    assert chain.held(ALICE, "ns").incomplete
