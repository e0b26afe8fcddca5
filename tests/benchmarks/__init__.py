"""Benchmarks that print ratios measured in one run. They pass or fail nothing: machines are noisy."""
