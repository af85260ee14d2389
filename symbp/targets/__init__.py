"""One target language a file, beside `templates/<target>/`."""
