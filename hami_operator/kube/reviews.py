"""Who bears a token, and whether they may GET a path: asked of the API server, which stores nothing of it."""

from __future__ import annotations

from .client import Client

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


async def may_get(client: Client, token: str, path: str) -> bool | None:
    """Whether the bearer may GET the path; None where the API server does not know the token.

    Raises:
        KubeError: there was no answer, or we may not ask.
    """
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = (await client.create(TOKENS, review))["status"]
    if not status.get("authenticated"):
        return None
    user = status["user"]
    asked = {
        "user": user.get("username", ""),
        "uid": user.get("uid", ""),
        "groups": user.get("groups") or [],
        "extra": user.get("extra") or {},
        "nonResourceAttributes": {"path": path, "verb": "get"},
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}
    return bool((await client.create(ACCESS, review))["status"].get("allowed"))
