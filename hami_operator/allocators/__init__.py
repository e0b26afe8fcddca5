"""Shared choosers: which n of these candidates. Pure functions over card states, each tested against brute force."""
