"""What is wrong with the configuration of the kube-scheduler beside the operator (driver "extender")."""

from __future__ import annotations

from collections.abc import Iterator

from hami_operator.core.vendor import managed_names

from .facts import Facts, Finding, Json

_AGAIN = "hami-operator scheduler-configuration --config config.yaml > kube-scheduler.yaml, and apply it"

#: What kube-scheduler and operator have to agree on beside names.
_AGREED = (
    ("leaderElection", "resourceNamespace"),
    ("leaderElection", "resourceName"),
    ("extender", "urlPrefix"),
    ("extender", "httpTimeout"),
)


def configuration(facts: Facts) -> Iterator[Finding]:
    """Whether kube-scheduler asks the operator, about every name that it manages, where it is asked at all."""
    if facts.scheduler_configuration is None:
        return
    found = _flat(facts.scheduler_configuration)
    managed = found["extender"].get("managedResources") or ()
    known = {one.get("name") for one in managed if one.get("ignoredByScheduler")}
    if missing := [name for name in managed_names(facts.live.cluster.profiles) if name not in known]:
        yield Finding(f"kube-scheduler does not ask the operator about {', '.join(missing)}", _AGAIN)
    if facts.scheduler_expected is None:
        return
    expected = _flat(facts.scheduler_expected)
    for section, key in _AGREED:
        told, meant = found[section].get(key), expected[section].get(key)
        if told != meant:
            yield Finding(f"kube-scheduler has {key} {told!r}, the operator's settings say {meant!r}", _AGAIN)
    for name in expected["profiles"] - found["profiles"]:
        yield Finding(f"kube-scheduler has no profile with schedulerName {name!r}", _AGAIN)


def _flat(content: Json) -> Json:
    """The sections that matter; the extender is the one that binds, of which there is at most one."""
    extenders = [one for one in content.get("extenders") or () if one.get("bindVerb")]
    return {
        "leaderElection": content.get("leaderElection") or {},
        "extender": extenders[0] if extenders else {},
        "profiles": {profile.get("schedulerName") for profile in content.get("profiles") or ()},
    }
