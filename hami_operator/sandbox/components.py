"""The control plane's processes: etcd, kube-apiserver, kube-controller-manager, and kube-scheduler on request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .api import Api
from .binaries import SCHEDULER
from .credentials import Authority, User, kubeconfig, make_all, new_token, write_private
from .errors import ApiError, ProcessDied, SandboxError
from .instance import Instance, State
from .processes import Launch, Processes
from .waiting import until

#: Seconds for each step until the control plane serves.
STEP_S = 60.0

#: Times another set of ports is tried when somebody else took one meanwhile.
TRIES = 3


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Free ports of loopback. They stay bound, but are not listened at, so nobody else is given them meanwhile."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            placeholder = stack.enter_context(socket.socket())
            placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            placeholder.bind(("127.0.0.1", 0))
            ports.append(placeholder.getsockname()[1])
        yield ports


def check_component(link: Path) -> None:
    """Raise SandboxError when this sandbox was started without this component."""
    if not link.exists():
        raise SandboxError(
            f"{link.name} was not asked for when this sandbox was started, and is not among its binaries"
        )


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Starts the control plane of one instance; ``binaries`` has a link for each component."""

    instance: Instance
    processes: Processes
    binaries: Path
    how: Launch

    async def start(self, state: State) -> None:
        """Start everything but the scheduler, and wait until pods can be created; fills in url and token."""
        state.token = new_token()
        authority = make_all(self.instance.folder, state.token)
        for attempt in range(1, TRIES + 1):
            try:
                await self._serve(state, authority)
                break
            except ProcessDied as error:
                if attempt == TRIES or "address already in use" not in str(error):
                    raise
                self.processes.end_all()
        self._start_controllers(state, authority)
        async with Api(self.instance.kubeconfig) as api:
            await self._pods_can_be_made(api)

    async def _serve(self, state: State, authority: Authority) -> None:
        with free_ports(3) as (client_port, peer_port, port):
            state.url = f"https://127.0.0.1:{port}"
            text = kubeconfig(state.url, authority.certificate, User(token=state.token))
            write_private(self.instance.kubeconfig, text)
            self._run("etcd", *self._etcd_flags(client_port, peer_port))
            self._run("kube-apiserver", *self._apiserver_flags(client_port, port))
            async with Api(self.instance.kubeconfig) as api:
                await until("the API server is ready", lambda: self._ready(api), STEP_S)

    async def _ready(self, api: Api) -> bool | None:
        self.processes.check("etcd")
        self.processes.check("kube-apiserver")
        return await api.ready() or None

    async def _pods_can_be_made(self, api: Api) -> None:
        """Pods need the default account and the CA's ConfigMap, which the controllers make."""

        async def made() -> bool | None:
            self.processes.check("kube-controller-manager")
            try:
                await api.get("/api/v1/namespaces/default/serviceaccounts/default")
                await api.get("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
            except ApiError as error:
                if error.status == 404:
                    return None
                raise
            return True

        await until("the controllers made the default service account", made, STEP_S)

    def _run(self, component: str, *flags: str) -> None:
        check_component(self.binaries / component)
        self.processes.start(component, [str(self.binaries / component), *flags], self.how)

    def _etcd_flags(self, client_port: int, peer_port: int) -> list[str]:
        client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        return [
            f"--data-dir={self.instance.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ]

    def _apiserver_flags(self, etcd_port: int, port: int) -> list[str]:
        folder = self.instance.folder
        return [
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={folder / 'apiserver.crt'}",
            f"--tls-private-key-file={folder / 'apiserver.key'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",  # an EndpointSlice can't name a loopback address
            "--profiling=false",
        ]

    def _start_controllers(self, state: State, authority: Authority) -> None:
        folder = self.instance.folder
        config = self._client_config(state, authority, "kube-controller-manager")
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--service-account-private-key-file={folder / 'sa.key'}",
            f"--root-ca-file={folder / 'ca.crt'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--profiling=false",
        )

    def start_scheduler(self, state: State) -> None:
        """Start a kube-scheduler as the cluster's own."""
        config = self._client_config(state, Authority.load(self.instance.folder), SCHEDULER)
        flags = (f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0", "--profiling=false")
        self._run(SCHEDULER, *flags)

    def start_another_scheduler(self, name: str, config: Path, host: str) -> int:
        """Start one more by a configuration file (which names its kubeconfig), as on a host of this name; its pid."""
        check_component(self.binaries / SCHEDULER)
        command = [str(self.binaries / SCHEDULER), f"--config={config}", "--secure-port=0", "--profiling=false"]
        return self.processes.start(name, command, replace(self.how, host=host))

    def _client_config(self, state: State, authority: Authority, component: str) -> Path:
        path = self.instance.folder / f"{component}.kubeconfig"
        user = User(pair=authority.client(f"system:{component}"))
        write_private(path, kubeconfig(state.url, authority.certificate, user))
        return path
