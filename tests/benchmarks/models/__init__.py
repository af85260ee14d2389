"""Workloads that the speed of emitted modules is measured on, each a model file."""
