"""The webhook configuration in force: what a failing webhook means, and what its expression may cost."""

from __future__ import annotations

import signal

import pytest
import yaml

from hami_operator import config
from hami_operator.sandbox.api import Api
from hami_operator.sandbox.errors import ApiError
from tests.webhook.pods import container, pod
from webhook import configuration, install

from .conftest import MANIFESTS, Webhook, create, until, until_called

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def test_while_no_webhook_answers_pods_that_ask_for_cards_are_refused_and_others_pass(
    doomed: Webhook, api: Api
) -> None:
    doomed.process.send_signal(signal.SIGKILL)
    await doomed.process.wait()
    with pytest.raises(ApiError, match="failed calling webhook"):
        await create(api, pod())
    assert (await create(api, pod(container())))["spec"]["schedulerName"] == "default-scheduler"


async def test_with_the_lenient_component_they_are_let_in_unjudged(doomed: Webhook, api: Api) -> None:
    (configured,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    component = yaml.safe_load((MANIFESTS / "components/lenient/kustomization.yaml").read_text())
    (*_, change) = yaml.safe_load(component["patches"][0]["patch"])
    configured[change["path"].rpartition("/")[2]] = change["value"]
    await api.patch(install.CONFIGURATION_PATH, {"webhooks": [configured]})
    doomed.process.send_signal(signal.SIGKILL)
    await doomed.process.wait()
    await until_called(api, pod(), "default-scheduler")


async def test_a_pod_of_two_hundred_containers_passes_with_a_hundred_names_in_force(
    doomed: Webhook, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server breaks off expressions that cost too much, and would refuse the pod."""
    (first, *_) = config.Settings().devices.profiles()
    more = {f"vendor{number}.example.com/device-memory": 1 for number in range(100)}
    wide = first.names.all() + tuple(more)
    monkeypatch.setattr(type(first.names), "all", lambda _: wide)
    expression = configuration.match_expression([first])
    monkeypatch.undo()
    (configured,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    configured["matchConditions"][0]["expression"] = expression
    await api.patch(install.CONFIGURATION_PATH, {"webhooks": [configured]})
    last = {"name": "main", "image": "app", "resources": {"limits": {"vendor99.example.com/device-memory": "1"}}}
    others = {f"other{number}.example.com/thing": 1 for number in range(8)}
    many = [container(f"c{number}", limits=others) for number in range(200)]
    before = await doomed.reviews()

    async def called() -> bool:
        await create(api, pod(*many, last))
        return await doomed.reviews() > before

    await until("the last container's name is found", called)
