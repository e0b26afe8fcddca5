"""AdmissionReview in, AdmissionReview out: versions, and everything that is no review of a pod's creation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given

from webhook.mutate import Patch, Refusal
from webhook.review import API_VERSIONS, NoReview, Reviewer

from .pods import container, families, judge, pod, pods_of_all_kinds


def review(version: str = API_VERSIONS[0], **request: Any) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "team-a",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": pod(),
            "oldObject": None,
            "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
            **request,
        },
    }


def answered(body: Any, judge: Any = judge) -> tuple[dict[str, Any], str]:
    """The whole answer, decoded, and the result that is counted."""
    done = Reviewer(judge).answer(body if isinstance(body, bytes) else json.dumps(body).encode())
    return json.loads(done.body), done.result


@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_review_is_answered_in_the_version_it_was_asked_in(version):
    body, result = answered(review(version))
    assert body["apiVersion"] == version
    assert body["kind"] == "AdmissionReview"
    assert body["response"]["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert body["response"]["allowed"] is True
    assert body["response"]["patchType"] == "JSONPatch"
    operations = json.loads(base64.b64decode(body["response"]["patch"], validate=True))
    assert {"op": "add", "path": "/spec/schedulerName", "value": "hami-scheduler"} in operations
    assert result == "mutated"


def test_a_pod_that_is_left_alone_gets_no_patch_at_all():
    body, result = answered(review(object=pod(schedulerName="other")))
    assert body["response"] == {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True}
    assert result == "untouched"


def test_a_refusal_is_an_answer_with_code_422_and_the_sentence():
    body, result = answered(review(object=pod(nodeName="n1")))
    assert body["response"]["allowed"] is False
    assert body["response"]["status"]["code"] == 422
    assert "spec.nodeName is 'n1'" in body["response"]["status"]["message"]
    assert "patch" not in body["response"]
    assert result == "refused"


def test_warnings_reach_the_user():
    body, _ = answered(review(), lambda _: Patch(warnings=("mind the gap",)))
    assert body["response"]["warnings"] == ["mind the gap"]


def test_an_endless_message_is_cut():
    body, _ = answered(review(), lambda _: Refusal("x" * 100_000))
    assert len(body["response"]["status"]["message"]) < 1100


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "CONNECT", ""])
def test_only_creations_are_judged(operation):
    def never(_: Any) -> Patch:
        raise AssertionError("judged")

    body, result = answered(review(operation=operation, object=None), never)
    assert body["response"]["allowed"] is True
    assert result == "untouched"


def test_subresources_are_not_judged():
    body, _ = answered(review(subResource="binding", object={"target": {"name": "n1"}}))
    assert body["response"]["allowed"] is True


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"resource": {"group": "apps", "version": "v1", "resource": "deployments"}}, "'apps/deployments'"),
        ({"resource": {"group": "", "version": "v1", "resource": "nodes"}}, "'nodes'"),
        ({"resource": {}}, "'nothing'"),
        ({"object": None}, "request.object is missing"),
        ({"object": {}}, "pod has no containers"),
        ({"object": []}, "$.request.object"),
        ({"object": "x"}, "$.request.object"),
        ({"object": {"spec": {"containers": "x"}}}, "$.request.object.spec.containers"),
        ({"object": {"spec": {"containers": [7]}}}, "$.request.object.spec.containers[0]"),
        ({"object": {"metadata": {"annotations": 7}, "spec": {"containers": []}}}, "metadata.annotations"),
        ({"object": {"spec": {"containers": [{"name": "a", "env": 7}]}}}, "spec.containers[0].env"),
        ({"object": {"spec": {"containers": [{"name": "a", "env": [7]}]}}}, "spec.containers[0].env[0]"),
        ({"object": {"spec": {"containers": [{"name": "a", "env": [{"name": 7}]}]}}}, "spec.containers[0].env.name"),
    ],
)
def test_a_review_that_is_not_about_a_pod_is_refused_with_a_sentence(request_, words):
    body, result = answered(review(**request_))
    assert body["response"]["allowed"] is False
    assert body["response"]["status"]["code"] == 422
    assert words in body["response"]["status"]["message"]
    assert result == "refused"


GOOD = json.dumps(review()).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no AdmissionReview"),
        (b"not json", "no AdmissionReview"),
        (b"\xff\xfe", "no AdmissionReview"),
        (b"[]", "no AdmissionReview"),
        (b"null", "no AdmissionReview"),
        (b"7", "no AdmissionReview"),
        (GOOD[:-5], "no AdmissionReview"),
        (GOOD + b"{}", "no AdmissionReview"),
        (b'{"a":' * 50_000, "no AdmissionReview"),
        (GOOD.replace(b'"CREATE"', b'"\xc3\x28"'), "no AdmissionReview"),
        ({"kind": "AdmissionReview"}, "apiVersion"),
        ({**review(), "kind": "Pod"}, "kind: 'Pod' is not AdmissionReview"),
        ({**review(), "apiVersion": "admission.k8s.io/v2"}, "apiVersion: 'admission.k8s.io/v2'"),
        ({**review(), "apiVersion": 1}, "apiVersion"),
        ({**review(), "request": None}, "request: it is missing"),
        ({**review(), "request": []}, "request"),
        (review(uid=7), "uid"),
        (review(uid=None), "uid"),
        (review(operation=1), "operation"),
        (review(resource="pods"), "resource"),
    ],
)
def test_what_is_no_review_is_told_by_field(body, words):
    with pytest.raises(NoReview) as caught:
        answered(body)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_text_that_is_no_utf8_is_refused():
    body = json.dumps(review(object=pod(metadata={"annotations": {"a": "SPOT"}}))).encode()
    answer, result = answered(body.replace(b"SPOT", b"\xc3\x28"))
    assert answer["response"]["status"]["code"] == 422
    assert result == "refused"


# -- the view ----------------------------------------------------------------------------------------------------


def replica(number: int) -> dict[str, Any]:
    """A pod of a workload, with all that differs between replicas."""
    token = {"name": f"kube-api-access-{number}", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    return pod(
        container(limits={"gpu": 1, "mem": 3000}, volumeMounts=[token], env=[{"name": "RANK", "value": str(number)}]),
        metadata={"name": f"train-{number}", "labels": {"pod-index": str(number)}, "annotations": {"a": "b"}},
        volumes=[{"name": token["name"]}],
    )


def test_replicas_are_judged_once():
    seen: list[Any] = []

    def counted(obj: Any) -> Any:
        seen.append(obj)
        return judge(obj)

    reviewer = Reviewer(counted)
    answers = {reviewer.answer(json.dumps(review(object=replica(n))).encode()).body for n in range(20)}
    assert len(seen) == len(answers) == 1
    reviewer.answer(json.dumps(review(object=pod())).encode())
    assert len(seen) == 2


def test_large_pods_are_judged_and_not_kept():
    seen: list[Any] = []

    def counted(obj: Any) -> Any:
        seen.append(obj)
        return judge(obj)

    reviewer = Reviewer(counted)
    body = json.dumps(review(object=pod(metadata={"annotations": {"a": "x" * 10_000}}))).encode()
    assert reviewer.answer(body) == reviewer.answer(body)
    assert len(seen) == 2


@given(pods_of_all_kinds)
def test_the_view_holds_all_that_is_judged(obj):
    def busy(pod: Any) -> Any:
        return judge(pod, profiles=families(runtime_class="nvidia", core_policy="force"))

    body, _ = answered(review(object=obj), busy)
    verdict = busy(obj)
    response = body["response"]
    assert response["allowed"] == isinstance(verdict, Patch)
    if isinstance(verdict, Refusal):
        assert response["status"]["message"] == verdict.message
    else:
        operations = json.loads(base64.b64decode(response.get("patch", ""))) if "patch" in response else []
        assert operations == [dict(op) for op in verdict.operations]
        assert response.get("warnings", []) == list(verdict.warnings)
