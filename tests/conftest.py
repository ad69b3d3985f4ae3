"""What every test gets: property profiles, samples of long matrices, and the `needs` marker."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.capabilities import MARKER, lack, skip_or_fail
from tests.leaks import credentials, leaks_of
from tests.sampling import IS_LONG, SEED
from tests.shop_runs import ShopRuns

_CREDENTIALS = credentials()
_PRINTED: list[str] = []

# No deadline: two shared cores make any single example slow now and then, which says nothing about the code.
settings.register_profile("quick", deadline=None, print_blob=True, max_examples=60)
settings.register_profile(
    "long", deadline=None, print_blob=True, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("long" if IS_LONG else "quick")

# A suite in the background of a shell inherits an ignored SIGINT, and so would every child that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", "last: after every other test, since it judges what they left")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for kind, name in mark.kwargs.items():
            reason = lack(kind, name)
            if reason:
                skip_or_fail(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, text in report.sections:
        _PRINTED.extend(f"{report.nodeid} ({name}): {value}" for value in leaks_of(text, _CREDENTIALS))


@pytest.fixture
def printed() -> list[str]:
    """Where a test so far printed or logged a credential."""
    return _PRINTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    drawn = "long matrices run whole" if IS_LONG else f"long matrices sampled by LEVERFRAME_SEED={SEED}"
    terminalreporter.write_line(f"{drawn}; LONG=1 runs them whole")


@pytest.fixture(scope="session")
def shop_runs(tmp_path_factory: pytest.TempPathFactory) -> ShopRuns:
    """A project in which one run of each kind has really happened.  Copy it before you tamper with it."""
    made = ShopRuns(tmp_path_factory.mktemp("shop-runs") / "desk")
    made.make()
    return made
