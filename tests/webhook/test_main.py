"""The command line: every help has an example, and what can't work is said in one sentence."""

from __future__ import annotations

import socket

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from webhook.__main__ import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", [(), *((name,) for name in main.commands)])
def test_help_has_an_example_that_parses(command):
    text = run(*command, "--help").output
    assert "Example" in text
    examples = [line.split()[1:] for line in text.splitlines() if line.strip().startswith("hami-webhook ")]
    assert examples
    for name, *rest in examples:
        arguments = rest[: rest.index("|")] if "|" in rest else rest
        with main.commands[name].make_context(name, arguments) as context:
            assert isinstance(context, click.Context)


def test_the_configuration_follows_settings(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("devices: {nvidia: {resourceCountName: example.com/card, resourceMemoryName: example.com/mem}}\n")
    result = run("configuration", "--config", str(file), "--namespace", "elsewhere")
    assert result.exit_code == 0, result.output
    (webhook,) = yaml.safe_load(result.output)["webhooks"]
    assert webhook["clientConfig"]["service"]["namespace"] == "elsewhere"
    (spared, _) = webhook["namespaceSelector"]["matchExpressions"]
    assert spared["values"] == ["kube-system", "elsewhere"]
    expression = webhook["matchConditions"][0]["expression"]
    assert "'example.com/card'" in expression
    assert "'example.com/mem'" in expression
    assert "'nvidia.com/gpu'" not in expression


def test_no_pod_is_spared_where_a_family_changes_containers_that_ask_for_nothing(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("devices: {nvidia: {overwriteEnv: true}}\n")
    (webhook,) = yaml.safe_load(run("configuration", "--config", str(file)).output)["webhooks"]
    assert "matchConditions" not in webhook


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("certs", "--url", "http://127.0.0.1/mutate"), "'http://127.0.0.1/mutate' is no URL such as https://"),
        (("certs", "--url", "https:///x"), "is no URL such as https://"),
        (("certs", "--once", "--kubeconfig", "/nowhere/k.yaml"), "/nowhere/k.yaml"),
        (("certs", "--interval", "0"), "--interval"),
        (("serve",), "--cert-dir"),
        (("serve", "--cert-dir", "/tls", "--port", "70000"), "70000"),
        (("serve", "--cert-dir", "/tls", "--config", "/nowhere/c.yaml"), "/nowhere/c.yaml"),
        (("configuration", "--config", "/nowhere/c.yaml"), "/nowhere/c.yaml"),
    ],
)
def test_what_cannot_work_is_said_and_not_traced(arguments, words):
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "no YAML mapping"),
        ("a: [", "no valid YAML"),
        ("webhook: {privileged: perhaps}", "webhook.privileged"),
        ("webhook: {sharedLock: perhaps}", "webhook.sharedLock"),
    ],
)
def test_bad_settings_are_refused_by_field(tmp_path, content, words):
    file = tmp_path / "config.yaml"
    file.write_text(content)
    result = run("serve", "--cert-dir", str(tmp_path), "--config", str(file))
    assert result.exit_code == 1
    assert words in result.output


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("--cert-dir", str(tmp_path), "--host", "127.0.0.1", "--port", "0", "--health-port", port)
        result = run("serve", *arguments)
    assert result.exit_code == 1
    assert port in result.output
