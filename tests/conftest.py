"""Options and fixtures of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-generated",
        action="store_true",
        help="write generated/ afresh from the zoo, instead of comparing it",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-generated"):  # of all models, those that take long too
        config.option.markexpr = ""


LARGE = {"gpt2", "lenet", "transformer", "digits_cnn"}
"""Models whose tests take seconds each: the smaller ones go through the same code."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = getattr(item, "callspec", None)
        if parameters is not None and any(str(v) in LARGE for v in parameters.params.values()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def update_generated(request: pytest.FixtureRequest) -> bool:
    """Whether the golden files are to be written rather than compared."""
    return bool(request.config.getoption("--update-generated"))
