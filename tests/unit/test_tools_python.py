"""Python tools and functions of a project: how they are found, called, and what their endings mean."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, PythonOrigin, ToolSpec
from leverframe.identity.secrets import ProjectSecrets
from leverframe.tools.functions import PythonFunctions
from leverframe.tools.python_tools import PythonTools
from leverframe.wiring.assembly import open_assembly
from tests.config_samples import write_files

SHOP = """
from __future__ import annotations
import asyncio
import dataclasses
import datetime
import enum
import math
from decimal import Decimal

LOADED = []
LOADED.append(__name__)

class Status(enum.Enum):
    OPEN = "open"

@dataclasses.dataclass
class Order:
    order_id: str
    total: Decimal
    placed: datetime.date
    status: Status

def lookup(order_id: str) -> Order:
    return Order(order_id, Decimal("49.90"), datetime.date(2026, 1, 2), Status.OPEN)

def types_of(amount: Decimal, count: int, day: datetime.date, rest: dict) -> list[str]:
    return [type(amount).__name__, type(count).__name__, type(day).__name__, type(rest["price"]).__name__]

def ratio() -> float:
    return 0.1

def nan() -> float:
    return math.nan

def opaque() -> object:
    return object()

def keys() -> dict:
    return {1: "one"}

def loaded() -> list:
    return LOADED

async def later(order_id: str) -> str:
    await asyncio.sleep(0)
    return order_id

async def never() -> None:
    await asyncio.Event().wait()

async def fails_later() -> None:
    raise ValueError("too late")

def exits() -> None:
    raise SystemExit(3)

def interrupts() -> None:
    raise KeyboardInterrupt

def fails(order_id: str) -> None:
    raise KeyError(order_id)

def spoils(order: dict) -> dict:
    order["total"] = 0
    return order

def with_credential(order_id: str, *, credential: str) -> list:
    return [order_id, len(credential)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "shop.py").write_text(SHOP)
    (tmp_path / "tools" / "broken.py").write_text("import no_such_module\n")
    (tmp_path / "tools" / "syntax.py").write_text("def lookup(:\n")
    return tmp_path


def spec(
    name: str,
    *,
    file: str = "tools/shop.py",
    effect: EffectClass = EffectClass.READ,
    properties: JsonObject | None = None,
    credential: str = "",
) -> ToolSpec:
    return ToolSpec(
        name=ToolName(name),
        version=1,
        origin=PythonOrigin(file=file, function=name),
        effect=effect,
        description="",
        input_schema={"type": "object", "properties": properties or {}},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=SourceRef(file="tools/shop.yaml", line=1),
        credential=credential,
    )


def tools_of(project: Path) -> PythonTools:
    return PythonTools(PythonFunctions(project), ProjectSecrets(project, {"SHOP_KEY": "sk-test-0123456789"}))


def execute(project: Path, tool: ToolSpec, args: JsonObject | None = None, deadline_s: float = 10.0) -> ToolAnswer:
    request = ToolRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        spec=tool,
        args=args or {},
        idempotency_key="key-1",
        deadline_s=deadline_s,
    )
    return asyncio.run(tools_of(project).execute(request))


def ready(project: Path, tool: ToolSpec) -> str:
    return asyncio.run(tools_of(project).ready(tool))


def test_a_dataclass_comes_back_as_json_with_exact_decimals(project: Path) -> None:
    answer = execute(project, spec("lookup"), {"order_id": "#W1"})

    expected: JsonObject = {"order_id": "#W1", "total": Decimal("49.90"), "placed": "2026-01-02", "status": "open"}
    assert answer == ToolOk(value=expected)


def test_arguments_have_the_types_that_the_function_declares(project: Path) -> None:
    args: JsonObject = {"amount": 50, "count": 2, "day": "2026-01-02", "rest": {"price": Decimal("1.50")}}

    answer = execute(project, spec("types_of"), args)

    assert answer == ToolOk(value=["Decimal", "int", "date", "Decimal"])


def test_a_float_becomes_the_decimal_that_python_prints(project: Path) -> None:
    answer = execute(project, spec("ratio"))

    assert answer == ToolOk(value=Decimal("0.1"))


@pytest.mark.parametrize("name", ["nan", "opaque"])
def test_what_is_not_json_is_garbage_whose_effect_is_unknown(project: Path, name: str) -> None:
    answer = execute(project, spec(name))

    assert isinstance(answer, ToolLost)
    assert (answer.kind, answer.has_left) == ("garbage", True)


def test_numbers_as_keys_become_text(project: Path) -> None:
    assert execute(project, spec("keys")) == ToolOk(value={"1": "one"})


def test_an_async_function_is_awaited_and_ends_at_the_deadline(project: Path) -> None:
    assert execute(project, spec("later"), {"order_id": "#W1"}) == ToolOk(value="#W1")

    lost = execute(project, spec("never", effect=EffectClass.KEYED), deadline_s=0.05)

    assert isinstance(lost, ToolLost)
    assert (lost.kind, lost.has_left) == ("timeout", True)


@pytest.mark.parametrize(
    ("name", "words"),
    [("fails_later", "ValueError: too late"), ("exits", "SystemExit: 3"), ("interrupts", "KeyboardInterrupt")],
)
@pytest.mark.parametrize("effect", [EffectClass.READ, EffectClass.IRREVERSIBLE])
def test_an_exception_means_no_effect_for_a_read_and_an_unknown_one_for_a_write(
    project: Path, name: str, words: str, effect: EffectClass
) -> None:
    answer = execute(project, spec(name, effect=effect))

    assert isinstance(answer, ToolLost if effect.is_write else ToolFailed)
    assert words in answer.message


def test_an_exception_is_named_with_its_file_and_line(project: Path) -> None:
    answer = execute(project, spec("fails"), {"order_id": "#W1"})

    line = SHOP.splitlines().index("    raise KeyError(order_id)") + 1
    assert isinstance(answer, ToolFailed)
    assert answer.message == f"tools/shop.py:{line} fails raised KeyError: '#W1'"


@pytest.mark.parametrize(
    ("args", "reason"),
    [({}, "'order_id'"), ({"order_id": "#W1", "x": 1}, "'x'"), ({"order_id": 7}, "'order_id': Expected `str`")],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_runs(
    project: Path, args: JsonObject, reason: str
) -> None:
    answer = execute(project, spec("fails", effect=EffectClass.KEYED), args)

    assert isinstance(answer, ToolFailed)
    assert reason in answer.message


def test_a_function_that_asks_for_the_credential_gets_it_and_others_do_not(project: Path) -> None:
    reference = "secret://env/SHOP_KEY"

    taken = execute(project, spec("with_credential", credential=reference), {"order_id": "#W1"})
    ignored = execute(project, spec("later", credential=reference), {"order_id": "#W1"})

    assert taken == ToolOk(value=["#W1", 18])
    assert ignored == ToolOk(value="#W1")


def test_a_credential_that_does_not_resolve_keeps_the_call_here(project: Path) -> None:
    tool = spec("with_credential", credential="secret://env/NOT_THERE", properties={"order_id": {}})

    answer = execute(project, tool, {"order_id": "#W1"})

    assert isinstance(answer, ToolLost)
    assert not answer.has_left
    assert "NOT_THERE" in answer.message
    assert "NOT_THERE" in ready(project, tool)


def test_the_loop_goes_on_while_a_function_works(project: Path) -> None:
    (project / "tools" / "slow.py").write_text("import time\ndef nap():\n    time.sleep(30)\n")
    started = time.monotonic()

    answer = execute(project, spec("nap", file="tools/slow.py"), deadline_s=0.05)

    assert isinstance(answer, ToolLost)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("file", "name", "reason"),
    [
        ("tools/shop.py", "lokup", "Did you mean 'lookup'?"),
        ("tools/shop.py", "LOADED", "has no function 'LOADED'"),
        ("tools/none.py", "lookup", "'tools/none.py' is not there"),
        ("tools/broken.py", "lookup", "tools/broken.py:1 does not load: ModuleNotFoundError"),
        ("tools/syntax.py", "lookup", "does not load: SyntaxError"),
        ("../outside.py", "lookup", "outside the project"),
    ],
)
def test_a_function_that_is_not_there_is_named_and_nothing_runs(
    project: Path, file: str, name: str, reason: str
) -> None:
    answer = execute(project, spec(name, file=file))

    assert isinstance(answer, ToolLost)
    assert not answer.has_left
    assert reason in answer.message
    assert reason in ready(project, spec(name, file=file))


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"order_id": {}}, ""),
        ({}, "needs 'order_id'"),
        ({"order_id": {}, "note": {}}, "takes no 'note'"),
    ],
)
def test_a_signature_that_does_not_match_the_schema_is_seen_before_a_call(
    project: Path, properties: JsonObject, reason: str
) -> None:
    why_not = ready(project, spec("lookup", properties=properties))

    assert reason in why_not
    assert bool(why_not) is bool(reason)


def test_a_file_is_run_once_for_all_its_functions(project: Path) -> None:
    functions = PythonFunctions(project)
    origin = PythonOrigin(file="tools/shop.py", function="loaded")

    first, again = functions.call(origin, []), functions.call(origin, [])

    assert first == again
    assert isinstance(first, list)
    assert len(first) == 1


@pytest.mark.parametrize("now", ["def loaded(): return 'edited'\n", "def loaded(:\n", None])
def test_what_was_loaded_is_run_whatever_the_file_was_edited_into(project: Path, now: str | None) -> None:
    file = project / "tools" / "shop.py"
    origin = PythonOrigin(file="tools/shop.py", function="loaded")
    functions = PythonFunctions(project, {origin.file: b"def loaded(): return __file__\n"})
    file.unlink() if now is None else file.write_text(now)

    assert functions.call(origin, []) == str(file.resolve())


CAPITALS = """
from leverframe.sdk.tool import tool

@tool(effect="read")
def peek(order_id: str) -> str:
    return "loaded"
"""


def test_a_file_whose_name_ends_in_capitals_is_pinned_and_called_as_it_is_checked(tmp_path: Path) -> None:
    allows = "workflow: w\npolicy: {allow_tools: [peek]}\n"
    files = {"leverframe.yaml": "providers: {}\n", "tools/SHOP.PY": CAPITALS, "workflows/w.yaml": allows}
    project = load_project(write_files(tmp_path, files))
    (tmp_path / "tools" / "SHOP.PY").write_text(CAPITALS.replace("loaded", "edited"))
    origin = PythonOrigin(file="tools/SHOP.PY", function="peek")

    async def pinned() -> object:
        async with open_assembly(project, create=True) as assembly:
            return assembly.services.functions.call(origin, ["W1"])

    assert asyncio.run(pinned()) == "loaded"
    assert PythonFunctions(tmp_path).call(origin, ["W1"]) == "edited"


def test_a_pure_function_is_given_copies(project: Path) -> None:
    order: JsonObject = {"total": Decimal("49.90")}

    answer = PythonFunctions(project).call(PythonOrigin(file="tools/shop.py", function="spoils"), [order])

    assert answer == {"total": 0}
    assert order == {"total": Decimal("49.90")}


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [("fails", ["#W1"], "raised KeyError: '#W1'"), ("fails", [], "raised TypeError"), ("nan", [], "no usable value")],
)
def test_a_pure_function_that_fails_says_where(project: Path, name: str, values: list[str], reason: str) -> None:
    with pytest.raises(ToolUnavailable) as caught:
        PythonFunctions(project).call(PythonOrigin(file="tools/shop.py", function=name), values)

    assert reason in str(caught.value)
    assert "tools/shop.py" in str(caught.value)
