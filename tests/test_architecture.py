"""Holds the layout: data flows one way, each file has its layer, files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "symbp"

# From the ground up. A module imports only from lines above its own; from its own line, only files
# of one folder import each other. A pattern stands for a folder: a new rule, target, layer or zoo
# model is one new file, and no edit here.
LAYERS = (
    ("errors",),
    ("ir.*", "numbers", "pages.mathml"),
    ("notation.*", "functions", "layout", "report", "naming", "results"),
    ("rewrite", "matrices.*", "pictures.*"),
    ("pages.*",),
    ("contraction", "shapes", "validate"),
    ("exhaustive", "maximum", "ranges", "recurrence", "tensor"),
    ("rules.*", "targets.*", "fast.*", "expressions", "initial", "share", "sympify", "notebook"),
    ("hoisting", "derivative", "quotients", "costs"),
    ("looping",),
    ("known", "masks"),
    ("declare", "normalise", "differentiate", "simplify", "stabilise", "lower", "emit"),
    ("update", "stepping"),
    ("optimizers.*",),
    ("direct",),
    ("evaluate",),
    ("sample",),
    ("oracle", "invoke", "reference", "exact.*"),
    ("ulps", "verify", "verify_step", "explain.*", "files"),
    ("documents",),
    ("pipeline", "model_file"),
    ("",),  # symbp itself: what a user imports
    ("layers.*",),
    ("zoo.*",),
    ("terminal",),
    ("cli",),
)
STAGES = next(line for line in LAYERS if "normalise" in line)
# two hand `Network` on, and an update of parameters is one
KNOW_THE_STAGES = {"pipeline", "model_file", "", "update"}

# Imports inside functions, each for a reason.
DELAYED_IMPORTS = {
    "cli": "help and complaints about the command line need not wait for SymPy and rich",
    "declare": "pages and their templates, which a notebook alone needs",
    "terminal": "rich, which a display on a terminal alone needs",
    "numbers": "mpmath, which extreme inputs alone need",
    "pages.mathml": "latex2mathml, which pages alone need",
    "pages.templates": "jinja2, which documents alone need",
    "pictures.slots": "igraph, which pictures alone need",
}

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "LICENSE",
    "README.md",
    "generated",
    "pyproject.toml",
    "symbp",
    "templates",
    "tests",
}
MADE_BY_TOOLS = (
    ".git",
    ".benchmarks",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "*.egg-info",
    "build",
    "dist",
    "__pycache__",
)

MAXIMUM_FILE = 400
MAXIMUM_FUNCTION = 60


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """The dotted name inside the package; of a package's __init__, that of its folder."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(p): p for p in sorted(PACKAGE.rglob("*.py")) if "_templates" not in p.parts}
each_module = pytest.mark.parametrize(
    "name", [n for n, p in SOURCES.items() if p.read_text("utf-8").strip()]
)


def layer_of(name: str) -> int | None:
    """The number of a module's line in LAYERS; a folder itself has the line of its files."""
    for number, line in enumerate(LAYERS):
        if any(fnmatch(name, p) or (p.endswith(".*") and name == p[:-2]) for p in line):
            return number
    return None


def imports(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """The modules of this package that a file imports, by their names inside it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in names:
            head, _, inner = full.partition(".")
            if head == "symbp" and inner != "__version__":  # a constant, there before any import
                yield inner if inner in modules else inner.rpartition(".")[0]


def upward(name: str, source: str, modules: set[str]) -> list[str]:
    """The imports of a module that come from its own layer, another folder's, or from above."""
    own = layer_of(name)
    assert own is not None, f"symbp/{name.replace('.', '/')}.py has no line in LAYERS"
    found = []
    for imported in imports(ast.parse(source), modules):
        other = layer_of(imported)
        assert other is not None, f"{name} imports symbp.{imported}, which has no line in LAYERS"
        if other > own or (other == own and folder(imported) != folder(name)):
            found.append(imported)
    return found


def folder(name: str) -> str:
    """The folder that a module stands in; of a module that stands in none, itself."""
    return name.partition(".")[0]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, in that order; none: an empty list."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for imported in sorted(graph.get(name, ())):
            if found := visit(imported, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, []))), [])


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def delayed_imports(tree: ast.AST) -> list[int]:
    """The lines of imports inside functions."""
    inside = (n for f in functions(tree) for n in ast.walk(f))
    return sorted({n.lineno for n in inside if isinstance(n, (ast.Import, ast.ImportFrom))})


def long_functions(tree: ast.AST, limit: int = MAXIMUM_FUNCTION) -> list[str]:
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(tree)}
    return [f"{name}: {length} lines" for name, length in lengths.items() if length > limit]


def bare_excepts(tree: ast.AST) -> list[int]:
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.type is None]


@each_module
def test_imports_point_down(name: str) -> None:
    assert upward(name, SOURCES[name].read_text("utf-8"), set(SOURCES)) == []


def test_no_circles() -> None:
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in SOURCES.items()}
    assert circle({name: set(imports(tree, set(SOURCES))) for name, tree in trees.items()}) == []


@each_module
def test_only_the_pipeline_knows_the_stages(name: str) -> None:
    found = set(imports(ast.parse(SOURCES[name].read_text("utf-8")), set(SOURCES))) & set(STAGES)
    assert not found or name in KNOW_THE_STAGES, f"{name} imports {sorted(found)}"


@each_module
def test_imports_stand_at_the_top(name: str) -> None:
    lines = delayed_imports(ast.parse(SOURCES[name].read_text("utf-8")))
    assert not lines or name in DELAYED_IMPORTS, f"{SOURCES[name]}: imports in functions at {lines}"


@each_module
def test_sizes(name: str) -> None:
    text = SOURCES[name].read_text("utf-8")
    assert len(text.splitlines()) <= MAXIMUM_FILE
    assert long_functions(ast.parse(text)) == []


@each_module
def test_no_bare_except(name: str) -> None:
    assert bare_excepts(ast.parse(SOURCES[name].read_text("utf-8"))) == []


def test_top_level_holds_only_what_belongs_there() -> None:
    names = {p.name for p in ROOT.iterdir() if not any(fnmatch(p.name, m) for m in MADE_BY_TOOLS)}
    assert names <= TOP_LEVEL, f"unexpected: {sorted(names - TOP_LEVEL)}"


def test_templates_decide_no_mathematics() -> None:
    """Templates arrange finished strings: no arithmetic, no Python blocks."""
    for path in (ROOT / "templates").rglob("*.jinja*"):
        assert "{% do " not in path.read_text("utf-8"), path


# The checks themselves, on sources that break each of them.

MODULES = {
    "errors",
    "rewrite",
    "normalise",
    "simplify",
    "pipeline",
    "cli",
    "rules.softmax",
    "",
    "ir.nodes",
}


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("normalise", "from symbp.pipeline import derive", ["pipeline"]),
        ("normalise", "from symbp.simplify import simplify", ["simplify"]),
        ("rewrite", "import symbp.rules.softmax", ["rules.softmax"]),
        ("errors", "def f():\n    from symbp import rewrite", ["rewrite"]),
        ("normalise", "from symbp import derive", [""]),
        (
            "normalise",
            "from symbp.errors import ModelError\nfrom symbp.ir.nodes import Entry\nimport sympy",
            [],
        ),
        ("rules.new", "from symbp.rewrite import contract", []),
        ("rules.new", "from symbp.rules.softmax import helper", []),
    ],
)
def test_upward_imports_are_seen(name: str, source: str, found: list[str]) -> None:
    assert upward(name, source, MODULES) == found


def test_circles_are_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a", "c"}}) == []
    assert circle({"z": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]


def test_a_module_without_a_layer_is_seen() -> None:
    with pytest.raises(AssertionError, match="no line in LAYERS"):
        upward("helpers", "", MODULES)


def test_long_functions_bare_excepts_and_delayed_imports_are_seen() -> None:
    tree = ast.parse("def f():\n    import os\n    try:\n        pass\n    except:\n        pass\n")
    assert long_functions(tree, limit=5) == ["f: 6 lines"]
    assert bare_excepts(tree) == [5]
    assert delayed_imports(tree) == [2]
