"""What a body and its headers ask for, as a contract reads them: kept to it, or only watched.

Knows: that of a watched workflow nothing is refused that a vendor could be asked, whatever it holds.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from leverframe.core.wires import passed_headers, read_call, watch_call
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, RelayCall, WireFormat

_MOST_LACKS: Final = 30
# What a contract can write down; no other name can be admitted by it.
_WRITABLE: Final = re.compile(
    r"pass_fields=[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|vendor_tools=[a-z][a-z0-9_-]{0,63}|vendor_state=\w+|remote_urls=\w+"
)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A call and the headers that go on with it; of a watched one why it would have been refused, and what it lacks."""

    call: RelayCall
    headers: Mapping[str, str]
    refused_as: str = ""
    lacks: tuple[str, ...] = ()


class _Anything(frozenset[str]):
    """A set that holds every name."""

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True


_EVERYTHING: Final = Admitted(fields=_Anything(), vendor_tools=_Anything(), state=_Anything(), remote_urls=True)


def enforced(wire: WireFormat, body: bytes, headers: Mapping[str, str], contract: Contract) -> Reading:
    """A call that its contract admits.  Raises WireRefused."""
    return _read(wire, body, headers, contract.admitted)


def watched(wire: WireFormat, body: bytes, headers: Mapping[str, str], contract: Contract) -> Reading:
    """A call of a workflow that is only watched.

    Raises:
        WireRefused: it is no JSON object that can be read here, or names no model, so that nobody could be asked.
    """
    try:
        return _read(wire, body, headers, contract.admitted)
    except WireRefused as err:
        refused_as = err.code
    passed = passed_headers(wire, headers, _EVERYTHING)
    try:
        call = read_call(wire, body, _EVERYTHING)
    except WireRefused:
        call = watch_call(wire, body)
    return Reading(
        call=call, headers=passed, refused_as=refused_as, lacks=_lacking(wire, body, headers, contract.admitted)
    )


def _read(wire: WireFormat, body: bytes, headers: Mapping[str, str], admitted: Admitted) -> Reading:
    return Reading(call=read_call(wire, body, admitted), headers=passed_headers(wire, headers, admitted))


def _lacking(wire: WireFormat, body: bytes, headers: Mapping[str, str], admitted: Admitted) -> tuple[str, ...]:
    """What the contract would have to admit for this call, one thing after the other; nothing where no contract can.

    A draft that admitted a part of it would be wider than before, and the call refused all the same.
    """
    lacks: list[str] = []
    for _ in range(_MOST_LACKS):
        try:
            _read(wire, body, headers, admitted)
            return tuple(lacks)
        except WireRefused as err:
            if not _WRITABLE.fullmatch(err.lack):
                return ()
            key, _, name = err.lack.partition("=")
            match key:
                case "pass_fields":
                    admitted = replace(admitted, fields=admitted.fields | {name})
                case "vendor_tools":
                    admitted = replace(admitted, vendor_tools=admitted.vendor_tools | {name})
                case "vendor_state":
                    admitted = replace(admitted, state=admitted.state | {name})
                case _:
                    admitted = replace(admitted, remote_urls=True)
            lacks.append(err.lack)
    return ()
