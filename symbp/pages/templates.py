"""The templates of documents: they arrange finished strings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(form: str, **marks: str) -> Environment:
    """Templates of templates/<form>: those of the package where it is installed, else of the checkout around it.

    `marks` are the marks of a template's own lines, where those of Jinja belong to the form.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    package = Path(__file__).parent.parent
    folders = [package / "_templates" / form, package.parent / "templates" / form]
    return Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        **marks,  # type: ignore[arg-type]
    )
