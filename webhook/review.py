"""AdmissionReview in, AdmissionReview out, in the version that was asked. Pure: bytes in, bytes out.

Pods of one workload differ in name, token volume and owner, and in nothing that is judged. So the judge is shown a
*view* of the pod, only the fields that matter, and what it said to a view is remembered: replicas cost no second look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from hami_operator.core import protocol

from .mutate import Patch, Refusal

API_VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")
KIND = "AdmissionReview"

#: HTTP code that a refusal bears: the user's object is at fault, not the call.
UNPROCESSABLE = 422

#: The API server hands a message on to the user; nobody reads more than this of one.
_LONGEST_MESSAGE = 1_000

#: How many views are remembered, and up to which size (bytes).
_VIEWS, _LARGEST_VIEW = 1_024, 8_192

T = TypeVar("T", bound="Request")

Judge = Callable[[Mapping[str, Any]], Patch | Refusal]


class NoReview(Exception):
    """The body is no AdmissionReview that could be answered; the text names the field and what is allowed."""


# What is decoded lives no longer than its review and holds no cycles: ``gc=False`` spares the collector.


class Resource(Struct, gc=False):
    """Which resource the request is about."""

    group: str = ""
    resource: str = ""


class EnvView(Struct, omit_defaults=True, gc=False):
    """What is judged of a variable: replicas differ in the values (their rank, say)."""

    name: Raw | UnsetType = UNSET


class ContainerView(Struct, rename="camel", omit_defaults=True, gc=False):
    """What is judged of a container."""

    name: Raw | UnsetType = UNSET
    resources: Raw | UnsetType = UNSET
    env: list[EnvView] | UnsetType | None = UNSET
    security_context: Raw | UnsetType = UNSET
    restart_policy: Raw | UnsetType = UNSET


class LabelsView(Struct, omit_defaults=True, gc=False):
    """The one label that is judged."""

    node: Raw | UnsetType = msgspec.field(default=UNSET, name=protocol.POD_NODE)


class MetadataView(Struct, omit_defaults=True, gc=False):
    """What is judged of a pod's metadata."""

    annotations: Raw | UnsetType = UNSET
    labels: LabelsView | UnsetType | None = UNSET


class SpecView(Struct, rename="camel", omit_defaults=True, gc=False):
    """What is judged of a pod's spec."""

    containers: list[ContainerView] | UnsetType | None = UNSET
    init_containers: list[ContainerView] | UnsetType | None = UNSET
    scheduler_name: Raw | UnsetType = UNSET
    runtime_class_name: Raw | UnsetType = UNSET
    node_name: Raw | UnsetType = UNSET


class PodView(Struct, omit_defaults=True, gc=False):
    """What is judged of a pod: the judge sees these fields and no others. Positions of containers are the pod's."""

    metadata: MetadataView | UnsetType | None = UNSET
    spec: SpecView | UnsetType | None = UNSET


class Request(Struct, rename="camel", gc=False):
    """What we read of an AdmissionRequest (k8s.io/api/admission/v1), the object apart."""

    uid: str
    resource: Resource = msgspec.field(default_factory=Resource)
    sub_resource: str | None = None
    operation: str = ""


class Envelope(Struct, Generic[T], rename="camel", gc=False):
    """An AdmissionReview as the API server sends it."""

    api_version: str
    kind: str
    request: T | None = None


class PodRequest(Request, rename="camel", gc=False):
    """A request with what is judged of its pod."""

    object: PodView | None = None


class Answer(NamedTuple):
    """The bytes to send back, and how the review ended: ``mutated``, ``untouched`` or ``refused``."""

    body: bytes
    result: str


class Response(NamedTuple):
    """How the review ends, and the end of the answer's bytes, from the comma behind the uid on."""

    result: str
    tail: bytes


_reviews = msgspec.json.Decoder(Envelope[PodRequest])
_envelopes = msgspec.json.Decoder(Envelope[Request])
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode


def _written(result: str, fields: Mapping[str, Any]) -> Response:
    """``fields``: an AdmissionResponse without its uid."""
    return Response(result, b"," + _encode(fields)[1:] + b"}")


_UNTOUCHED = _written("untouched", {"allowed": True})

#: The beginning of an answer's bytes, up to the uid, by version.
_HEADS = {
    version: _encode({"apiVersion": version, "kind": KIND, "response": {"uid": ""}}).removesuffix(b'""}}')
    for version in API_VERSIONS
}


class Reviewer:
    """Answers reviews as ``judge`` says, which must be a pure function of the pod."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._remembered = lru_cache(_VIEWS)(self._response)

    def answer(self, body: bytes) -> Answer:
        """Let the judge look at the pod of a review and write down what it says.

        Raises:
            NoReview: the body is not JSON, or not an AdmissionReview with a request.
        """
        try:
            review = _reviews.decode(body)
        except _MALFORMED as error:
            envelope = _read_envelope(body)
            return _answer(envelope, _request(envelope), _refused(str(error)))
        request = _request(review)
        return _answer(review, request, self._respond(request))

    def _respond(self, request: PodRequest) -> Response:
        resource = request.resource
        if (resource.group, resource.resource) != ("", "pods"):
            name = f"{resource.group}/{resource.resource}".lstrip("/") or "nothing"
            return _refused(f"this webhook judges pods, its configuration sends it {_short(name)!r}")
        if request.operation != "CREATE" or request.sub_resource:
            return _UNTOUCHED
        if request.object is None:
            return _refused("request.object is missing: the creation of a pod can't be judged without the pod")
        view = _encode(request.object)
        return self._remembered(view) if len(view) <= _LARGEST_VIEW else self._response(view)

    def _response(self, view: bytes) -> Response:
        try:
            pod = msgspec.json.decode(view)
        except _MALFORMED as error:
            return _refused(f"request.object: {error}")
        verdict = self._judge(pod)
        if isinstance(verdict, Refusal):
            return _refused(verdict.message)
        response: dict[str, Any] = {"allowed": True}
        if verdict.operations:
            # Bytes are written as base64, which is the form that AdmissionResponse.patch has on the wire.
            response |= {"patchType": "JSONPatch", "patch": _encode(verdict.operations)}
        if verdict.warnings:
            response["warnings"] = [_short(warning) for warning in verdict.warnings]
        return _written("mutated" if verdict.operations else "untouched", response)


def _read_envelope(body: bytes) -> Envelope[Request]:
    """A review whose object is malformed. Raises NoReview when more than that is."""
    try:
        return _envelopes.decode(body)
    except _MALFORMED as error:
        raise NoReview(f"the body is no AdmissionReview: {error}") from None


def _request(review: Envelope[T]) -> T:
    if review.kind != KIND:
        raise NoReview(f"kind: {_short(review.kind)!r} is not {KIND}")
    if review.api_version not in API_VERSIONS:
        raise NoReview(f"apiVersion: {_short(review.api_version)!r} is not one of {', '.join(API_VERSIONS)}")
    if review.request is None:
        raise NoReview("request: it is missing, an AdmissionReview must have one")
    return review.request


def _answer(review: Envelope[T], request: Request, response: Response) -> Answer:
    return Answer(_HEADS[review.api_version] + _encode(request.uid) + response.tail, response.result)


def _refused(message: str) -> Response:
    status = {"code": UNPROCESSABLE, "reason": "Invalid", "message": _short(message)}
    return _written("refused", {"allowed": False, "status": status})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
