"""Public facts that symbp must get right, and variations on them."""
