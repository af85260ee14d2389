"""Model files, each a small complete network: what `symbp derive` reads, and what `generated/` holds derived."""
