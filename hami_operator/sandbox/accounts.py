"""Service accounts: real tokens through the TokenRequest API, and the account that HAMi's device plugin runs as."""

from __future__ import annotations

from typing import Any

from .api import Api
from .errors import ApiError

Json = dict[str, Any]

PLUGIN_NAMESPACE, PLUGIN_ACCOUNT = "kube-system", "hami-device-plugin"

#: Seconds a token holds: longer than a sandbox is likely to live.
TOKEN_S = 30 * 24 * 3600

#: The rules of HAMi's chart for its device plugin (charts/hami/templates/device-plugin/monitorrole.yaml).
_PLUGIN_RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "create", "watch", "list", "update", "patch"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "update", "list", "patch"]},
]


async def token(api: Api, namespace: str, name: str) -> str:
    """A token of a service account. Raises ApiError (404) when there is no such account."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = await api.post(path, {"spec": {"expirationSeconds": TOKEN_S}})
    return str(answer["status"]["token"])


async def make_plugin_account(api: Api) -> str:
    """Make the plugins' account with the rights it has under HAMi's chart; its token."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", "namespace": PLUGIN_NAMESPACE, "name": PLUGIN_ACCOUNT}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PLUGIN_ACCOUNT}
    metadata = {"name": PLUGIN_ACCOUNT}
    objects: list[tuple[str, Json]] = [
        (f"/api/v1/namespaces/{PLUGIN_NAMESPACE}/serviceaccounts", {"metadata": metadata}),
        (f"{rbac}/clusterroles", {"metadata": metadata, "rules": _PLUGIN_RULES}),
        (f"{rbac}/clusterrolebindings", {"metadata": metadata, "roleRef": role, "subjects": [subject]}),
    ]
    for path, body in objects:
        try:
            await api.post(path, body)
        except ApiError as error:
            if error.status != 409:
                raise
    return await token(api, PLUGIN_NAMESPACE, PLUGIN_ACCOUNT)
