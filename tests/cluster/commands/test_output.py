"""What every command says of one small cluster, in 80 columns and as JSON, against golden files.

``UPDATE_GOLDEN=1 pytest tests/cluster/commands`` writes the files anew: read the difference before it is committed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hami_operator.cli.main import main
from hami_operator.sandbox import Sandbox

from .conftest import WORLD

pytestmark = pytest.mark.cluster

GOLDEN = Path(__file__).parents[2] / "golden" / "commands"

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: trial, namespace: team-a}
spec:
  containers:
  - name: main
    resources: {limits: {nvidia.com/gpu: 1, nvidia.com/gpumem: 9000}}
"""

#: File name -> what is typed behind ``kubectl hami``.
SAID = {
    "explain_pod_waits": "explain pod team-a/large",
    "explain_pod_waits_wide": "explain pod team-a/large -o wide",
    "explain_pod_waits_cards": "explain pod team-a/large --cards",
    "explain_pod_waits_json": "explain pod team-a/large -o json",
    "explain_pod_count": "explain pod team-a/four",
    "explain_pod_annotation": "explain pod team-a/picky",
    "explain_pod_quota": "explain pod team-b/over",
    "explain_pod_quota_json": "explain pod team-b/over -o json",
    "explain_pod_fits": "explain pod team-a/fits",
    "explain_pod_fits_wide": "explain pod team-a/fits -o wide",
    "explain_pod_volume": "explain pod team-a/stores -o wide",
    "explain_pod_runs": "explain pod team-a/trainer-1",
    "explain_pod_runs_wide": "explain pod team-a/trainer-1 -o wide",
    "explain_pod_runs_cards": "explain pod team-a/trainer-1 --cards",
    "explain_pod_runs_json": "explain pod team-a/trainer-1 -o json",
    "explain_pod_runs_without_event": "explain pod team-b/chat-0",
    "explain_pod_unreadable": "explain pod team-c/broken",
    "explain_pod_unknown": "explain pod team-a/nobody",
    "explain_node": "explain node a30-0",
    "explain_node_obstacles": "explain node a30-1",
    "explain_node_json": "explain node a30-1 -o json",
    "explain_node_unknown": "explain node nowhere",
    "explain_quota": "explain quota team-b/team-b",
    "explain_quota_json": "explain quota team-b/team-b -o json",
    "explain_quota_core": "explain quota team-a/compute",
    "explain_quota_unknown": "explain quota team-a/nothing",
    "fit": "fit -f pod.yaml",
    "fit_json": "fit -f pod.yaml -o json",
    "fit_auto": "fit -f pod.yaml --replicas auto",
    "fit_too_many": "fit -f pod.yaml --replicas 40",
    "fit_too_many_json": "fit -f pod.yaml --replicas 40 -o json",
    "top_nodes": "top",
    "top_nodes_json": "top -o json",
    "top_cards": "top cards",
    "top_cards_json": "top cards -o json",
    "top_namespaces": "top namespaces",
    "top_namespaces_json": "top namespaces -o json",
    "dump": "dump",
    "dump_anonymous": "dump --anonymize",
    "dump_json": "dump -o json",
    "doctor": "doctor",
    "doctor_json": "doctor -o json",
}

#: The same of files alone.
SIMULATED = {
    "simulate": "simulate --now 2025-10-09T08:53:20Z --lenient world.yaml",
    "simulate_json": "simulate --now 2025-10-09T08:53:20Z --lenient --output json world.yaml",
    "simulate_yaml": "simulate --now 2025-10-09T08:53:20Z --lenient --output yaml world.yaml",
    "simulate_impossible": "simulate --now 2025-10-09T08:53:20Z world.yaml",
}

_MASKS = (
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uid>"),
    (r"(?!2025-10-09)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"\d+ s\b", "<n> s"),
)


def masked(text: str) -> str:
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def run(command: str, *more: str) -> Result:
    return CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}).invoke(main, [*command.split(), *more])


def compare(name: str, command: str, result: Result, update: bool) -> None:
    """Against the golden file, which begins with the command and ends with the status."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    text = masked(f"$ kubectl hami {command}\n{result.stderr}{result.stdout}[status {result.exit_code}]\n")
    golden = GOLDEN / f"{name}.txt"
    if update:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.exists(), f"{golden} is missing: write it with UPDATE_GOLDEN=1"
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SAID)
def test_a_command_says_what_its_golden_file_says(
    name: str, world: Sandbox, update_golden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pod.yaml").write_text(POD, encoding="utf-8")
    compare(name, SAID[name], run(SAID[name], "--kubeconfig", str(world.kubeconfig)), update_golden)


@pytest.mark.parametrize("name", SIMULATED)
def test_simulate_says_what_its_golden_file_says(
    name: str, update_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(WORLD.parent)
    compare(name, SIMULATED[name], run(SIMULATED[name]), update_golden)


def test_every_golden_file_is_of_a_command() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == SAID.keys() | SIMULATED.keys()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_for_people_fits_80_columns_and_what_is_for_programs_is_json(path: Path) -> None:
    command, *said = path.read_text(encoding="utf-8").splitlines()
    lines = [line for line in said if not line.startswith(("not used", "warning", "error"))]
    if "json" in command:
        json.loads("\n".join(lines[:-1]))
    elif "dump" not in command and "yaml " not in command.partition("--output")[2]:
        assert [line for line in lines if len(line) > 80] == []
        assert all(character.isprintable() for line in lines for character in line)


def test_a_dump_is_decided_as_the_live_cluster_is(world: Sandbox, tmp_path: Path) -> None:
    for form in ("yaml", "json"):
        dumped = run(f"dump -o {form}", "--kubeconfig", str(world.kubeconfig))
        (tmp_path / f"dump.{form}").write_text(dumped.stdout, encoding="utf-8")
        result = run("simulate --lenient --output json", str(tmp_path / f"dump.{form}"))
        rows = {row["name"]: row for row in json.loads(result.stdout)["pods"]}
        for name in ("large", "four", "picky"):
            live = json.loads(run(f"explain pod team-a/{name} -o json", "--kubeconfig", str(world.kubeconfig)).stdout)
            assert rows[name]["message"] == live["message"]
