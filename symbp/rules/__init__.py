"""Families of rewriting rules, one file each. A rule states an identity, why it is applied and where it holds."""
