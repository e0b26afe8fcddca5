"""What-if: a scenario of ordinary Kubernetes objects in, decisions out, by the code that decides live. No cluster."""
