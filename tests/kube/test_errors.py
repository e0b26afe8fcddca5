"""From answers to errors."""

from __future__ import annotations

import pytest

from hami_operator.kube import errors, paths
from hami_operator.kube.errors import refusal

ANSWERS = [
    (400, errors.Invalid),
    (401, errors.Denied),
    (403, errors.Denied),
    (404, errors.NotFound),
    (405, errors.Invalid),
    (409, errors.Conflict),
    (410, errors.Expired),
    (413, errors.Invalid),
    (422, errors.Invalid),
]


@pytest.mark.parametrize(("code", "kind"), ANSWERS)
def test_each_refusal_is_a_kind_of_its_own(code: int, kind: type[errors.Refused]) -> None:
    error = refusal(code, {"reason": "Word", "message": "a sentence"})
    assert type(error) is kind
    assert (error.status, error.reason, error.message) == (code, "Word", "a sentence")


def test_a_body_that_is_no_status_is_survived() -> None:
    assert str(refusal(403, {})) == "403 Unknown: no message"


def test_a_failed_test_is_told_from_a_field_that_is_not_valid() -> None:
    failed = refusal(422, {"reason": "Invalid", "details": {}, "message": "the server rejected our request"})
    wrong = refusal(422, {"details": {"causes": [{"field": "metadata.uid", "message": "field is immutable"}]}})
    assert isinstance(failed, errors.Invalid)
    assert isinstance(wrong, errors.Invalid)
    assert (failed.test_failed, wrong.test_failed) == (True, False)
    assert wrong.causes == ("metadata.uid: field is immutable",)


PATHS = [
    ("/api/v1/pods", "pods"),
    ("/api/v1/nodes/n1", "nodes"),
    ("/api/v1/namespaces", "namespaces"),
    ("/api/v1/namespaces/a", "namespaces"),
    (paths.pod("a", "b"), "pods"),
    (paths.pod("a", "b") + "/binding", "pods/binding"),
    (paths.pod("a", "b") + "/status", "pods/status"),
    (paths.events("a") + "/x", "events"),
    (paths.leases("a"), "leases"),
    (paths.VERSION, "version"),
]


@pytest.mark.parametrize(("path", "resource"), PATHS)
def test_a_path_is_counted_under_its_resource(path: str, resource: str) -> None:
    assert paths.resource(path) == resource


def test_a_name_can_not_leave_its_place_in_a_path() -> None:
    assert paths.pod("a/b", "../c?d") == "/api/v1/namespaces/a%2Fb/pods/..%2Fc%3Fd"
