"""Documents: blocks of finished strings, set as LaTeX, as a page, as Markdown or as plain text."""
