"""What stands in clear in an entry is never refused by the leaf: a decision that cannot be recorded is not made."""

import pytest

from leverframe.core.leaves import is_cleartext
from leverframe.core.policy.compiled import BUILT_IN
from leverframe.domain.policy import SourceRef
from leverframe.runtime.entries import clear_place


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (SourceRef(file="workflows/refund.yaml", line=4), "workflows/refund.yaml:4"),
        (SourceRef(file="tools/my tool.yaml", line=1), "tools/my%20tool.yaml:1"),
        (SourceRef(file="tools/my\ttool.yaml", line=1), "tools/my%09tool.yaml:1"),
        (BUILT_IN, "(built-in)"),
    ],
)
def test_the_place_of_a_rule_is_written_without_white_space(source: SourceRef, written: str) -> None:
    assert clear_place(str(source)) == written
    assert is_cleartext(clear_place(str(source)))


def test_the_end_of_a_long_place_is_kept_since_it_names_file_and_line() -> None:
    source = SourceRef(file=f"{'folder/' * 60}refund.yaml", line=41)

    assert is_cleartext(clear_place(str(source)))
    assert clear_place(str(source)).endswith("/refund.yaml:41")
