"""What Prometheus scrapes: the reference's series from the state of nodes, our own from a registry."""
