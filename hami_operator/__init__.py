"""hami-operator: the control plane for shared accelerators on Kubernetes."""

__version__ = "0.1.0"
