"""What kube-scheduler asks an extender over HTTP, and the answers: the wire alone, nothing is decided here.

Forms: Kubernetes v1.37 staging/src/k8s.io/kube-scheduler/extender/v1/types.go. Their JSON keys are capitalised; they
are read whatever their case, as Go reads them. What goes wrong is told with status 200 in the field ``Error`` where the
answer has one, since kube-scheduler drops the text of any other status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hami_operator.core.errors import ObjectError
from hami_operator.core.model import Node, Pod, PodKey
from hami_operator.core.objects import read_node, read_pod

Json = dict[str, Any]

#: Verb, whether it was answered, seconds.
Observe = Callable[[str, bool, float], None]


class Filtered(Protocol):
    """Nodes that take a pod, and why each of the others does not."""

    @property
    def fitting(self) -> list[str]:
        """Their names."""

    @property
    def refused(self) -> dict[str, str]:
        """By name."""


class Extender(Protocol):
    """Who knows the answers; see ``hami_operator.extender``."""

    def filter(self, pod: Pod, names: Sequence[str]) -> Filtered:
        """Which of these nodes take the pod."""

    def try_on(self, pod: Pod, nodes: Sequence[Node]) -> Filtered:
        """Which of these nodes would take it."""

    def prioritize(self, pod: Pod, names: Sequence[str]) -> dict[str, int]:
        """How good each is, 0 to 10."""

    def preempt(self, pod: Pod, victims: Mapping[str, Sequence[str]]) -> list[str]:
        """On which of these nodes the pod fits without these pods."""

    async def bind(self, key: PodKey, node: str) -> str:
        """Bind; empty, or why not."""


# -- forms -------------------------------------------------------------------------------------------------------


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return {key.lower(): item for key, item in value.items()} if isinstance(value, dict) else value


class NodeList(_Form):
    """Whole Node objects."""

    items: list[Json] = []


class ExtenderArgs(_Form):
    """Of ``filter`` and ``prioritize``: names, or whole nodes."""

    pod: Json
    nodes: NodeList | None = None
    node_names: list[str] | None = Field(None, alias="nodenames")


class BindingArgs(_Form):
    """Of ``bind``."""

    name: str = Field(alias="podname", min_length=1)
    namespace: str = Field(alias="podnamespace", min_length=1)
    uid: str = Field(alias="poduid", min_length=1)
    node: str = Field(min_length=1)


class MetaPod(_Form):
    """A pod by its uid, or a whole pod, whose uid is in its metadata."""

    uid: str = ""
    metadata: MetaPod | None = None


class Victims(_Form):
    """Pods to be ended on one node."""

    pods: list[MetaPod] | None = None
    violations: int = Field(0, alias="numpdbviolations")

    def uids(self) -> list[str]:
        """Who they are."""
        return [(pod.metadata or pod).uid for pod in self.pods or ()]


class PreemptionArgs(_Form):
    """Of ``preempt``: victims by node, as uids or as whole pods."""

    pod: Json
    whole: dict[str, Victims] | None = Field(None, alias="nodenametovictims")
    meta: dict[str, Victims] | None = Field(None, alias="nodenametometavictims")


class BadArgs(Exception):
    """What was sent is no such form: names the field, its value and what is allowed."""


def _parsed(form: type[_Form], body: bytes) -> Any:
    try:
        return form.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        field, shown = ".".join(str(part) for part in first["loc"]), repr(first["input"])
        raise BadArgs(f"{field}: {shown[:200]}: {first['msg']}") from None
    except ValueError as error:
        raise BadArgs(f"the body is no JSON: {error}") from None


# -- answers -----------------------------------------------------------------------------------------------------


async def _filtered(args: ExtenderArgs, extender: Extender) -> Json:
    """kube-scheduler's own preemption never finds whom to end for cards, which it does not see (it is an error to it
    when a node fits with nobody ended). So every refusal goes where such nodes are left alone."""
    pod = read_pod(args.pod)
    if args.nodes is not None:
        nodes = _nodes(args.nodes)
        found = extender.try_on(pod, nodes)
        objects = dict(zip((node.name for node in nodes), args.nodes.items, strict=True))
        return _filter_result(found, nodes={"metadata": {}, "items": [objects[name] for name in found.fitting]})
    found = extender.filter(pod, args.node_names or [])
    return _filter_result(found, names=found.fitting)


def _nodes(found: NodeList) -> list[Node]:
    nodes = [read_node(item) for item in found.items]
    for number, node in enumerate(nodes):
        if not node.name:
            raise BadArgs(f"nodes.items.{number}.metadata.name: '': a name is needed")
    return nodes


def _filter_result(found: Filtered, nodes: Json | None = None, names: list[str] | None = None) -> Json:
    return {
        "Nodes": nodes,
        "NodeNames": names,
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": found.refused,
        "Error": "",
    }


async def _prioritized(args: ExtenderArgs, extender: Extender) -> list[Json]:
    names = args.node_names
    if names is None:
        names = [node.name for node in _nodes(args.nodes)] if args.nodes is not None else []
    return [{"Host": name, "Score": mark} for name, mark in extender.prioritize(read_pod(args.pod), names).items()]


async def _preempting(args: PreemptionArgs, extender: Extender) -> Json:
    victims = args.meta or args.whole or {}
    uids = {node: each.uids() for node, each in victims.items()}
    helped = extender.preempt(read_pod(args.pod), uids)
    kept = {
        node: {"Pods": [{"UID": uid} for uid in uids[node]], "NumPDBViolations": victims[node].violations}
        for node in helped
    }
    return {"NodeNameToMetaVictims": kept}


async def _bound(args: BindingArgs, extender: Extender) -> Json:
    return {"Error": await extender.bind(PodKey(args.namespace, args.name, args.uid), args.node)}


# -- routes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why there is no answer: 400 where the question is malformed, 413 where it is too large, 503 where there is none
    at present."""

    status: int
    text: str


class Endpoints:
    """The verbs. ``extender`` raises ``failure`` while it can't answer, as does what it returns."""

    def __init__(self, extender: Callable[[], Extender], failure: type[Exception], observe: Observe) -> None:
        self._extender = extender
        self._failure = failure
        self._observe = observe

    def application(self, request_bytes: int) -> web.Application:
        """All routes; a request of more than ``request_bytes`` is refused."""
        app = web.Application(client_max_size=request_bytes)
        app.add_routes(
            [
                web.post("/filter", self.filter),
                web.post("/prioritize", self.prioritize),
                web.post("/preempt", self.preempt),
                web.post("/bind", self.bind),
            ]
        )
        return app

    async def filter(self, request: web.Request) -> web.Response:
        """Which nodes take the pod, by their cards."""
        return _with_error(await self._ask(request, ExtenderArgs, _filtered))

    async def prioritize(self, request: web.Request) -> web.Response:
        """How good the nodes are."""
        return _with_status(await self._ask(request, ExtenderArgs, _prioritized))

    async def preempt(self, request: web.Request) -> web.Response:
        """On which nodes it helps to end the pods that kube-scheduler would end."""
        return _with_status(await self._ask(request, PreemptionArgs, _preempting))

    async def bind(self, request: web.Request) -> web.Response:
        """Choose cards of the node, and bind the pod."""
        return _with_error(await self._ask(request, BindingArgs, _bound))

    async def _ask(
        self, request: web.Request, form: type[_Form], answer: Callable[[Any, Extender], Awaitable[Any]]
    ) -> Any:
        """The answer, or a ``_Failure``."""
        begin, answered = time.perf_counter(), False
        try:
            result = await answer(_parsed(form, await request.read()), self._extender())
            answered = True
        except (BadArgs, ObjectError) as error:
            return _Failure(400, str(error))
        except web.HTTPRequestEntityTooLarge as error:
            return _Failure(413, f"the question is larger than extender.requestMib permits: {error.text}")
        except self._failure as error:
            return _Failure(503, str(error))
        finally:
            self._observe(request.path.strip("/"), answered, time.perf_counter() - begin)
        return result


def _with_error(result: Any) -> web.Response:
    """For answers that have a field for it."""
    return web.json_response({"Error": result.text} if isinstance(result, _Failure) else result)


def _with_status(result: Any) -> web.Response:
    """For those that have none."""
    if isinstance(result, _Failure):
        return web.Response(status=result.status, text=f"{result.text}\n")
    return web.json_response(result)
