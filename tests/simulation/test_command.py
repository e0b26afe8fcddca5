"""The command line is a contract: output, exit status, and what bad input is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import ALLOCATED, REGISTER, container, device, node_object, pod_object
from tests.simulation.expectation import NOW, simulate

CARDS = [device("GPU-a", index=0), device("GPU-b", index=1)]
NODE = node_object("n1", CARDS)
POD = pod_object("p1", container(gpu=1, mem=1000))
GOLDEN = Path(__file__).parents[1] / "golden"


def listed(*objects: Mapping[str, Any]) -> str:
    return json.dumps({"kind": "List", "items": list(objects)})


def documents(*objects: Mapping[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


def running(name: str, text: str, node: str = "n1", **metadata: Any) -> dict[str, Any]:
    annotations = {"hami.io/vgpu-node": node, ALLOCATED: text}
    return pod_object(name, container(gpu=1), metadata={"annotations": annotations, **metadata}, nodeName=node)


def changed(obj: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The object with one field set (None: taken away)."""
    head, _, rest = path.partition("/")
    copy = dict(obj)
    if rest:
        copy[head] = changed(copy.get(head, {}), rest, value)
    elif value is None:
        del copy[head]
    else:
        copy[head] = value
    return copy


# -- input -------------------------------------------------------------------------------------------------------


def test_files_and_standard_input_are_one_scenario(tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(documents(NODE))
    result = simulate("--output", "json", str(world), "-", text=documents(POD))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["pods"][0]["node"] == "n1"


def test_yaml_json_and_standard_input_give_the_same_answer(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(listed(NODE, POD))
    answers = {
        simulate("--output", "json", str(file)).stdout,
        simulate("--output", "json", text=documents(NODE, POD)).stdout,
        simulate("--output", "json", "-", text=listed(NODE, POD)).stdout,
    }
    assert len(answers) == 1


def test_the_order_of_nodes_and_running_pods_does_not_show() -> None:
    other, pods = (
        node_object("n0", [device("GPU-z")]),
        [running("a", "GPU-a,NVIDIA,10,0:;"), running("b", "GPU-b,NVIDIA,9,0:;")],
    )
    one = simulate("--output", "json", text=documents(NODE, other, *pods, POD)).stdout
    assert one == simulate("--output", "json", text=documents(POD, *reversed(pods), other, NODE)).stdout


def test_other_kinds_are_counted_in_one_line_and_ignored() -> None:
    others = [{"kind": kind, "metadata": {"name": str(i)}} for i, kind in enumerate(["Service", "Secret", "Service"])]
    result = simulate(text=documents(NODE, POD, *others))
    assert result.exit_code == 0
    assert result.stderr == "not used: 1 Secret, 2 Service\n"


def test_nothing_at_all_is_a_world_without_pods() -> None:
    result = simulate("--output", "json", text="")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "apiVersion": "hami-operator.io/v1alpha1",
        "kind": "SimulationResult",
        "pods": [],
        "quotas": [],
        "devices": [],
    }


def test_the_time_is_fixed_by_now_and_lands_in_annotations() -> None:
    result = simulate("--output", "json", "--now", "2020-01-01T01:00:00+01:00", text=documents(NODE, POD))
    assert json.loads(result.stdout)["pods"][0]["annotations"]["hami.io/bind-time"] == "1577836800"


@pytest.mark.parametrize("text", ["yesterday", "2020-01-01T00:00:00", "1577836800", ""])
def test_a_time_without_a_zone_is_a_usage_error(text: str) -> None:
    result = simulate("--now", text, text="")
    assert result.exit_code == 2
    assert "is not an RFC 3339 time such as 2025-10-09T08:53:20Z" in result.stderr


# -- output ------------------------------------------------------------------------------------------------------


def test_yaml_says_the_same_as_json() -> None:
    text = documents(NODE, POD, pod_object("p2", container(gpu=9)))
    as_json, as_yaml = (simulate("--output", form, text=text) for form in ("json", "yaml"))
    assert yaml.safe_load(as_yaml.stdout) == json.loads(as_json.stdout)
    assert as_json.exit_code == as_yaml.exit_code == 1
    assert "&id" not in as_yaml.stdout


def test_the_default_is_a_table() -> None:
    assert simulate(text=documents(NODE, POD)).stdout.startswith("Pods\n")


@pytest.mark.parametrize(
    ("pods", "status"),
    [
        ([], 0),
        ([POD], 0),
        ([POD, pod_object("q", container(cpu=1), schedulerName="default-scheduler")], 0),
        ([POD, pod_object("q", container(gpu=9))], 1),
        ([POD, pod_object("q", container(gpu=1, mem="3Gi"))], 1),
    ],
    ids=["none", "placed", "ignored", "unschedulable", "denied"],
)
def test_the_exit_status_tells_whether_every_pod_of_ours_was_placed(pods: list[Any], status: int) -> None:
    for form in ("json", "yaml", "table"):
        assert simulate("--output", form, text=documents(NODE, *pods)).exit_code == status


@pytest.mark.parametrize("name", ["plain", "full"])
def test_the_table_is_readable_at_eighty_columns(name: str) -> None:
    """The golden text is written anew with GOLDEN=write."""
    result = simulate(str(GOLDEN / f"table_{name}.yaml"))
    golden = GOLDEN / f"table_{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(result.stdout)
    assert result.stdout == golden.read_text()
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_the_table_does_without_block_characters_where_there_are_none() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "hami_operator", "simulate", str(GOLDEN / "table_plain.yaml")],
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert b"######.... 14000/24576" in done.stdout


def test_the_help_has_an_example_and_the_exit_statuses() -> None:
    text = simulate("--help").stdout
    assert "kubectl get nodes,pods -A -o yaml | hami-operator simulate" in text
    assert "Exit status:" in text


# -- bad input ---------------------------------------------------------------------------------------------------


def of_kind(kind: str, name: str = "x", **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, **parts}


def configured(text: str, name: str = "c") -> dict[str, Any]:
    return of_kind("ConfigMap", name, data={"device-config.yaml": text})


def bad(text: str | list[Mapping[str, Any]], *sentences: str) -> tuple[str, tuple[str, ...]]:
    return text if isinstance(text, str) else documents(*text), sentences


BAD = {
    "no YAML": bad("a: [", "document 1: no valid YAML"),
    "no object": bad("text", "document 1: 'text' is not a Kubernetes object"),
    "no kind": bad(
        [NODE, {"metadata": {"name": "x"}}], "document 2: x: kind: None is not the kind of a Kubernetes object"
    ),
    "no name": bad(
        [{"kind": "Pod", "metadata": {}}], "document 1: Pod: metadata.name: None is not the name of an object"
    ),
    "no metadata": bad([{"kind": "Service"}], "document 1: Service: metadata.name: None is not the name"),
    "a kind that is no text": bad([{"kind": 7}], "document 1: 7: kind: 7 is not a text"),
    "a field of the wrong type": bad(
        [changed(POD, "spec/priority", "high")],
        "document 1: Pod default/p1: spec.priority: 'high' is not an integer",
    ),
    "a node field of the wrong type": bad(
        [changed(NODE, "spec", {"taints": 1})], "Node n1: spec.taints: 1 is not a list"
    ),
    "an amount": bad([pod_object("p", container(cpu="much"))], "Pod default/p: ", "'much' is not a quantity"),
    "replicas": bad(
        [of_kind("Deployment", spec={"replicas": -1, "template": {}})],
        "Deployment default/x: spec.replicas: -1 is not an integer from 0 to 100000",
    ),
    "no template": bad([of_kind("Job")], "Job default/x: spec.template: None is not a pod template"),
    "quota": bad(
        [of_kind("ResourceQuota", spec={"hard": {"limits.x": []}})],
        "ResourceQuota default/x: spec.hard[limits.x]: [] is not a quantity",
    ),
    "priority class": bad([of_kind("PriorityClass", value="x")], "PriorityClass x: value: 'x' is not an integer"),
    "device configuration": bad(
        [configured("nvidia: {defaultCores: 101}")],
        "ConfigMap default/c: data[device-config.yaml]: nvidia.defaultCores: 101: ",
        "less than or equal to 100",
    ),
    "device configuration that is no mapping": bad(
        [configured("[1]")], "data[device-config.yaml]: '[1]' is not a YAML mapping"
    ),
    "device configuration of nobody": bad(
        [configured("martian: {}")], "data[device-config.yaml]: no section of a family that is known (nvidia, "
    ),
    "device configuration that is no YAML": bad([configured("a: [")], "ConfigMap default/c: "),
    "device configuration that is no text": bad([configured(7)], "data.device-config.yaml: 7 is not a text"),  # type: ignore[arg-type]
    "quota of no mapping": bad([of_kind("ExtendedResourceQuota", spec={"hard": 1})], "spec.hard: 1 is not an object"),
    "volume": bad([of_kind("PersistentVolume", spec={"nodeAffinity": 1})], "spec.nodeAffinity: 1 is not an object"),
    "claim": bad([of_kind("PersistentVolumeClaim", status={"phase": 1})], "status.phase: 1 is not a text"),
    "namespace": bad([{"kind": "Namespace", "metadata": {"name": "n", "labels": []}}], "labels: [] is not an object"),
}

BROKEN_NODE = changed(NODE, "metadata/annotations", {REGISTER: "GPU-a,10,x,100,A30,0,true,0,m:"})

IMPOSSIBLE = {
    "register": bad(
        [BROKEN_NODE],
        f"document 1: Node n1: metadata.annotations[{REGISTER}]: 'GPU-a,10,x,100,A30,0,true,0,m:': "
        "devmem 'x' is not an integer from 0 to 2147483647",
    ),
    "allocation": bad(
        [NODE, running("r", "GPU-a,NVIDIA:;")],
        f"document 2: Pod default/r: metadata.annotations[{ALLOCATED}]: 'GPU-a,NVIDIA:;': "
        "entry 'GPU-a,NVIDIA' has 2 fields, at least 4 are needed",
    ),
    "memory": bad(
        [NODE, running("r", "GPU-a,NVIDIA,24577,0:;")],
        "document 1: Node n1: NVIDIA card 'GPU-a': memory: 24577 is given (default/r 24577), allowed is at most 24576",
    ),
    "cores": bad(
        [NODE, *(running(f"r{i}", "GPU-a,NVIDIA,1,60:;") for i in range(2))],
        "card 'GPU-a': cores: 120 is given (default/r0 60, default/r1 60), allowed is at most 100",
    ),
    "slots": bad(
        [node_object("n1", [device("GPU-a", slots=1)]), *(running(f"r{i}", "GPU-a,NVIDIA,1,0:;") for i in range(2))],
        "card 'GPU-a': slots: 2 is given (default/r0 1, default/r1 1), allowed is at most 1",
    ),
    "two pods of one name": bad(
        [NODE, POD, POD],
        "document 3: Pod default/p1: metadata.name: 'p1' is not a name that no other Pod has, "
        "and <standard input>, document 2 has it too",
    ),
    "two nodes of one name": bad(
        [NODE, NODE], "document 2: Node n1: metadata.name: 'n1' is not a name that no other Node has"
    ),
    "two pods of one uid": bad(
        [NODE, *(running(f"r{i}", "GPU-a,NVIDIA,1,0:;", uid="u") for i in range(2))],
        "document 3: Pod default/r1: metadata.uid: 'u' is not a uid that no other Pod has",
    ),
    "a card that the node has not": bad(
        [NODE, running("r", "GPU-z,NVIDIA,1,0:;")],
        "Pod default/r: metadata.annotations: card: 'GPU-z' is not a NVIDIA card of node n1 (GPU-a, GPU-b)",
    ),
    "a node that is not there": bad(
        [running("r", "GPU-a,NVIDIA,1,0:;", node="n7")],
        "Pod default/r: spec.nodeName: 'n7' is not the name of a Node of the input",
    ),
    "a class that is not there": bad(
        [changed(POD, "spec/priorityClassName", "vip")],
        "Pod default/p1: spec.priorityClassName: 'vip' is not a PriorityClass of the input or of every cluster "
        "(system-cluster-critical, system-node-critical)",
    ),
    "two device configurations": bad(
        [configured("nvidia: {defaultCores: 1}", "c0"), configured("{}", "c1")],
        "document 2: ConfigMap default/c1: data: 'c1' is not the only ConfigMap with a device-config.yaml",
    ),
}


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_status_2_and_names_what_is_wrong(name: str, lenient: bool) -> None:
    text, sentences = BAD[name]
    result = simulate(*(["--lenient"] if lenient else []), text=text)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: <standard input>, document ")
    for sentence in sentences:
        assert sentence in result.stderr


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_world_ends_with_status_2_and_names_what_is_wrong(name: str) -> None:
    text, sentences = IMPOSSIBLE[name]
    result = simulate(text=text)
    assert result.exit_code == 2
    assert result.stdout == ""
    for sentence in sentences:
        assert sentence in result.stderr


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_world_is_a_warning_where_that_is_wanted(name: str) -> None:
    text, sentences = IMPOSSIBLE[name]
    result = simulate("--lenient", "--output", "json", text=text)
    assert result.exit_code in (0, 1)
    assert json.loads(result.stdout)["kind"] == "SimulationResult"
    for sentence in sentences:
        assert sentence in result.stderr
    assert result.stderr.startswith("warning: <standard input>, document ")


def test_every_fault_is_told_in_a_line_of_its_own() -> None:
    result = simulate(text=documents(changed(POD, "spec/priority", "high"), changed(NODE, "spec", {"taints": 1})))
    assert len(result.stderr.splitlines()) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = simulate(str(tmp_path / "absent.yaml"))
    assert result.exit_code == 2
    assert "absent.yaml: No such file or directory" in result.stderr
    assert simulate("--config", str(tmp_path / "absent.yaml"), text="").exit_code == 2


def test_a_bad_settings_file_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("policies: {node: tight}")
    result = simulate("--config", str(file), text="")
    assert result.exit_code == 2
    assert "policies.node: 'tight'" in result.stderr


# -- batches -----------------------------------------------------------------------------------------------------


def batch(*lines: str, arguments: tuple[str, ...] = ()) -> tuple[int, list[Any]]:
    result = simulate("--batch", *arguments, text="".join(f"{line}\n" for line in lines))
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_each_line_is_a_scenario_of_its_own_and_has_a_result() -> None:
    array = json.dumps([NODE, POD])
    status, results = batch(listed(NODE, POD), array, listed(NODE))
    assert status == 0
    alone = json.loads(simulate("--output", "json", text=listed(NODE, POD)).stdout)
    assert results[0] == results[1] == alone
    assert results[2]["pods"] == []


def test_a_bad_line_has_an_error_in_its_place_and_the_run_goes_on() -> None:
    impossible = listed(NODE, running("r", "GPU-z,NVIDIA,1,0:;"))
    status, results = batch(listed(NODE, POD), "{", "", "7", impossible, listed(NODE, POD))
    assert status == 2
    assert [sorted(result) == ["error"] for result in results] == [False, True, True, True, True, False]
    assert results[1]["error"].startswith("<standard input>, line 2: no valid JSON")
    assert "line 5, item 2: Pod default/r: metadata.annotations: card: 'GPU-z'" in results[4]["error"]
    assert results[0] == results[5]


def test_the_status_of_a_batch_is_the_highest_of_its_lines() -> None:
    assert batch(listed(NODE, POD), listed(POD), listed(NODE, POD))[0] == 1
    assert batch()[0] == 0


def test_a_batch_reads_files_and_lenient_worlds(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text(f"{listed(NODE, running('r', 'GPU-z,NVIDIA,1,0:;'), POD)}\n")
    result = simulate("--batch", "--lenient", "--output", "json", str(file))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["pods"][0]["outcome"] == "placed"
    assert simulate("--batch", str(tmp_path / "absent")).exit_code == 2


def test_lines_may_have_configurations_of_their_own() -> None:
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"device-config.yaml": "nvidia: {defaultMemory: 7}"},
    }
    asked = pod_object("p", container(gpu=1))
    _, (one, two, three) = batch(listed(NODE, asked), listed(NODE, asked, config), listed(NODE, asked))
    assert two["pods"][0]["devices"][0]["memory"] == 7
    assert one["pods"][0]["devices"][0]["memory"] == three["pods"][0]["devices"][0]["memory"] == 24576


@pytest.mark.parametrize("form", ["table", "yaml"])
def test_a_batch_writes_nothing_but_json_lines(form: str) -> None:
    result = simulate("--batch", "--output", form, text="")
    assert result.exit_code == 2
    assert "--batch writes json" in result.stderr


def test_a_batch_answers_each_line_before_it_reads_the_next() -> None:
    """Another program keeps the process and talks to it line by line."""
    command = [sys.executable, "-m", "hami_operator", "simulate", "--batch", "--output", "json", "--now", NOW]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("p1", "p2"):
            process.stdin.write(f"{listed(NODE, changed(POD, 'metadata/name', name))}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["pods"][0]["name"] == name
        process.stdin.close()
        assert process.wait() == 0


def test_with_the_driver_extender_cards_are_judged_where_kube_scheduler_judges_the_rest(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("driver: extender\n")
    spread = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    text = documents(NODE, pod_object("p1", container(gpu=1), topologySpreadConstraints=[spread]))
    result = simulate("--config", str(settings), "--output", "json", "-", text=text)
    rows = json.loads(result.stdout)["pods"]
    assert {row["outcome"] for row in rows} == {"placed"}
