"""Models of English text, trained on the documentation that comes with Python: python -m symbp.zoo.text."""
