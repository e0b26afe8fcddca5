"""AdmissionReview in, AdmissionReview out, in the version that was asked. Pure: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from .mutate import Patch, Refusal

API_VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")
KIND = "AdmissionReview"

#: HTTP code that a refusal bears: the user's object is at fault, not the call.
UNPROCESSABLE = 422

#: The API server hands a message on to the user; nobody reads more than this of one.
_LONGEST_MESSAGE = 1_000

Judge = Callable[[Mapping[str, Any]], Patch | Refusal]


class NoReview(Exception):
    """The body is no AdmissionReview that could be answered; the text names the field and what is allowed."""


class Resource(msgspec.Struct):
    """Which resource the request is about."""

    group: str = ""
    version: str = ""
    resource: str = ""


class Request(msgspec.Struct, rename="camel"):
    """What we read of an AdmissionRequest (k8s.io/api/admission/v1)."""

    uid: str
    resource: Resource = msgspec.field(default_factory=Resource)
    sub_resource: str | None = None
    operation: str = ""
    object: dict[str, Any] | None = None


class Review(msgspec.Struct, rename="camel"):
    """An AdmissionReview as the API server sends it."""

    api_version: str
    kind: str
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes to send back, and how the review ended: ``mutated``, ``untouched`` or ``refused``."""

    body: bytes
    result: str


_decoder = msgspec.json.Decoder(Review)
_encoder = msgspec.json.Encoder()


def answer(body: bytes, judge: Judge) -> Answer:
    """Let ``judge`` look at the pod of a review and write down what it says.

    Raises:
        NoReview: the body is not JSON, or not an AdmissionReview with a request.
    """
    review = _read(body)
    request = review.request
    if request is None:
        raise NoReview("request: it is missing, an AdmissionReview must have one")
    verdict = _verdict(request, judge)
    if isinstance(verdict, Refusal):
        return Answer(_encode(review, request, _refused(verdict)), "refused")
    return Answer(_encode(review, request, _allowed(verdict)), "mutated" if verdict.operations else "untouched")


def _read(body: bytes) -> Review:
    try:
        review = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoReview(f"the body is no AdmissionReview: {error}") from None
    if review.kind != KIND:
        raise NoReview(f"kind: {_short(review.kind)!r} is not {KIND}")
    if review.api_version not in API_VERSIONS:
        raise NoReview(f"apiVersion: {_short(review.api_version)!r} is not one of {', '.join(API_VERSIONS)}")
    return review


def _verdict(request: Request, judge: Judge) -> Patch | Refusal:
    resource = request.resource
    if (resource.group, resource.resource) != ("", "pods"):
        name = f"{resource.group}/{resource.resource}".lstrip("/") or "nothing"
        return Refusal(f"this webhook judges pods, its configuration sends it {_short(name)!r}")
    if request.operation != "CREATE" or request.sub_resource:
        return Patch()
    if request.object is None:
        return Refusal("request.object is missing: the creation of a pod can't be judged without the pod")
    return judge(request.object)


def _allowed(patch: Patch) -> dict[str, Any]:
    response: dict[str, Any] = {"allowed": True}
    if patch.operations:
        # A bytes value is written as base64, which is the form that AdmissionResponse.patch has on the wire.
        response |= {"patchType": "JSONPatch", "patch": _encoder.encode(patch.operations)}
    if patch.warnings:
        response["warnings"] = [_short(warning) for warning in patch.warnings]
    return response


def _refused(refusal: Refusal) -> dict[str, Any]:
    status = {"code": UNPROCESSABLE, "reason": "Invalid", "message": _short(refusal.message)}
    return {"allowed": False, "status": status}


def _encode(review: Review, request: Request, response: dict[str, Any]) -> bytes:
    answered = {"apiVersion": review.api_version, "kind": KIND, "response": {"uid": request.uid, **response}}
    return _encoder.encode(answered)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
