"""Run a command that dies with its starter, where wanted with a /var/lib/kubelet or a host name of its own.

A script of its own, run with ``python -I -S``; standard library only. It becomes the command, so no process stays::

    launch.py [--parent PID] [--kubelet-root DIR | --join PID] [--hostname NAME] -- COMMAND [ARGUMENT ...]

The path of the device plugin socket is fixed, so each hollow node needs its own view of that one folder. Nothing is
left on the machine: the mounts go with the last process of the namespace, and where /var/lib/kubelet does not exist
it is only there inside.
"""

import argparse
import ctypes
import os
import signal
import socket
import sys

KUBELET = "/var/lib/kubelet"

_NEWNS, _NEWUTS, _NEWUSER = 0x00020000, 0x04000000, 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)


def own_namespace(kind: int) -> None:
    """A namespace of one's own; without the right to it, inside a user namespace where we are root."""
    try:
        _call("unshare", kind)
    except OSError:
        user, group = os.geteuid(), os.getegid()
        _call("unshare", kind | _NEWUSER)
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as handle:
                handle.write(text)


def show_kubelet_root(folder: str) -> None:
    """Put ``folder`` in the place of /var/lib/kubelet, for this mount namespace alone.

    Where that does not exist, an empty ``folder.parent`` is left beside it.
    """
    _mount("none", "/", "", _REC | _PRIVATE)
    if not os.path.isdir(KUBELET):
        _grow_parent(folder + ".parent")
    _mount(folder, KUBELET, "", _BIND | _REC)


def _grow_parent(scratch: str) -> None:
    """/var/lib with the same entries and one more, since a folder can't be made there for us alone."""
    parent = os.path.dirname(KUBELET)
    os.makedirs(scratch, exist_ok=True)
    _mount("none", scratch, "tmpfs", 0)
    for entry in os.scandir(parent):
        target = os.path.join(scratch, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
            continue
        if entry.is_dir():
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT))
        _mount(entry.path, target, "", _BIND | _REC)
    os.mkdir(os.path.join(scratch, os.path.basename(KUBELET)))
    _mount(scratch, parent, "", _BIND | _REC)


def join_namespace(pid: int) -> None:
    """Enter the mount namespace of another process, through its user namespace where that is another."""
    kinds = ["mnt"]
    if os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        kinds.insert(0, "user")
    for handle in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
        _call("setns", handle, 0)
        os.close(handle)
    os.chdir("/")


def die_with(parent: int) -> None:
    """Be killed when the parent's thread that started us ends; at once if it is gone already."""
    _call("prctl", _PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("the starter is gone")


def main() -> None:
    """Read the arguments, prepare, and become the command."""
    parser = argparse.ArgumentParser(prog="launch.py")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--kubelet-root")
    parser.add_argument("--join", type=int)
    parser.add_argument("--hostname")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    try:
        if arguments.kubelet_root:
            own_namespace(_NEWNS)
            show_kubelet_root(arguments.kubelet_root)
        if arguments.join:
            join_namespace(arguments.join)
        if arguments.hostname:
            own_namespace(_NEWUTS)
            socket.sethostname(arguments.hostname)
    except OSError as error:
        sys.exit(f"no namespace: {error}")
    if arguments.parent:
        die_with(arguments.parent)
    os.execvp(arguments.command[0], arguments.command)


if __name__ == "__main__":
    main()
