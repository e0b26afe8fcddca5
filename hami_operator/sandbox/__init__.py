"""A Kubernetes of one's own on one machine, with accelerator nodes that have no accelerators.

For demo, tests, and users who want to try policies and quotas. Real: etcd, kube-apiserver (RBAC, Node authorizer,
service account tokens, admission), kube-controller-manager, kube-scheduler on request, and on hollow nodes the
kubelet with its device manager. Played: container runtime, cards, device plugins. In short::

    async with await Sandbox.start([NodeSpec("a100-80", cards=8, count=2)], Settings(name="mine")) as sandbox:
        await sandbox.kubectl("apply", "-f", "-", stdin=manifest)
        config = await sandbox.service_account_kubeconfig("hami-system", "hami-operator")   # or user_kubeconfig(name)
        pid = sandbox.spawn("operator", [sys.executable, "-m", "hami_operator", "run", f"--kubeconfig={config}"])
        node = sandbox.node("a100-80-0")           # add(spec, ...), remove(name), nodes
        await node.containers()                    # what the kubelet gave each container; environment(pod, container)
        await node.exit("default/p1", "main")      # the container ends; annotation podstatus.RUN_SECONDS does as well
        await node.slow(2.0); await node.fail_allocate(1); await node.card_unhealthy(0); await node.well()
        await node.kill_plugin(); await node.start_plugin(); await node.gone(); await node.back()
        assert sandbox.verdict().ok, sandbox.verdict()

Nothing here is bound to an event loop, so one sandbox serves many tests. A sandbox started with ``attached`` (the
default) goes when its starter goes, also by ``kill -9``; else it stays until ``Sandbox.attach(name).stop()``.

Modules: ``sandbox`` (this object), ``nodes`` (specs and handles), ``playing`` (processes of nodes), ``components``
(control plane), ``binaries`` and ``build``, ``instance`` and ``processes`` (what is on disk and runs), ``plugin`` and
``simulator`` (the processes that play), ``allocation`` and ``plugin_protocol`` (the plugin's half of the protocol),
``plugins`` (habits of vendors), ``podview`` (what is read of a pod), ``checker`` and ``journal`` (the verdict),
``cards`` (every card type), ``families`` (settings that know them), ``commands`` and ``disturb`` (the command line).
"""

from .errors import SandboxError
from .faults import Faults
from .journal import Verdict
from .kubectl import Completed
from .nodes import Kind, Node, NodeSpec
from .playing import no_hollow_nodes
from .sandbox import Sandbox, Settings

__all__ = [
    "Completed",
    "Faults",
    "Kind",
    "Node",
    "NodeSpec",
    "Sandbox",
    "SandboxError",
    "Settings",
    "Verdict",
    "no_hollow_nodes",
]
