"""What can go wrong in the sandbox: one root, and the kinds a caller may want to tell apart."""

from __future__ import annotations


class SandboxError(Exception):
    """Root of the sandbox's errors. The text is a sentence for the person at the terminal."""


class BadSpec(SandboxError):
    """A node, card type, fault or name was asked for that does not exist; the text says what is allowed."""


class NotRunning(SandboxError):
    """There is no running sandbox of that name."""


class AlreadyRunning(SandboxError):
    """A sandbox of that name is running already."""


class BuildFailed(SandboxError):
    """The control plane's binary could not be had."""


class ProcessDied(SandboxError):
    """A component ended while something was expected of it; the text holds the end of its log."""


class TimedOut(SandboxError):
    """A condition did not come true in time; the text says which, and what was seen last."""


class ApiError(SandboxError):
    """The API server answered a stand-in of a node with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class AllocateFailed(SandboxError):
    """The simulated device plugin refuses an Allocate call; the kubelet fails the pod with this text."""
