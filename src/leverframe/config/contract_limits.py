"""`budget`, `fallback`, `logging` of a contract and what its `models` admit: limits in the units of the core."""

from decimal import Decimal

from leverframe.config.sections import Section
from leverframe.domain.budgets import BudgetLimits, BudgetUnit
from leverframe.domain.contracts import Fallback, LoggingRules
from leverframe.domain.money import micro_usd
from leverframe.domain.policy import SourceRef
from leverframe.domain.relays import Admitted

DEFAULT_MAX_STEPS = 50
DEFAULT_RETAIN_DAYS = 400
MICROSECONDS = 1_000_000
UNIT_KEYS = {
    BudgetUnit.USD: "max_usd",
    BudgetUnit.MODEL_CALLS: "max_model_calls",
    BudgetUnit.TOOL_CALLS: "max_tool_calls",
    BudgetUnit.INPUT_TOKENS: "max_input_tokens",
    BudgetUnit.OUTPUT_TOKENS: "max_output_tokens",
    BudgetUnit.WALL_US: "max_wall_s",
    BudgetUnit.STEPS: "max_steps",
}


def read_budget(section: Section, *, defaults: bool) -> BudgetLimits:
    """Read `budget`; `defaults` False leaves out what is not written, as an overlay needs."""
    budget = section.section("budget")
    limits: dict[BudgetUnit, int] = {}
    sources: dict[BudgetUnit, SourceRef] = {}
    for unit, key in UNIT_KEYS.items():
        value = budget.decimal(key)
        if value is not None:
            limits[unit] = _in_unit(unit, value)
            sources[unit] = budget.place(key).ref
    if defaults and BudgetUnit.STEPS not in limits:
        limits[BudgetUnit.STEPS] = DEFAULT_MAX_STEPS
        sources[BudgetUnit.STEPS] = SourceRef(file="(default)")
    total_s = budget.decimal("max_total_s")
    return BudgetLimits(
        limits=limits,
        sources=sources,
        max_total_s=None if total_s is None else max(1, int(total_s)),
        per_step_output_tokens=budget.section("per_step").whole("max_output_tokens"),
    )


def _in_unit(unit: BudgetUnit, value: Decimal) -> int:
    match unit:
        case BudgetUnit.USD:
            return micro_usd(value)
        case BudgetUnit.WALL_US:
            return int(value * MICROSECONDS)
        case _:
            return int(value)


def read_fallback(section: Section) -> Fallback | None:
    """Read `fallback`; None where the contract declares none."""
    if "fallback" not in section:
        return None
    fallback = section.section("fallback")
    return Fallback(handoff_queue=fallback.text("handoff").removeprefix("queue:"), say=fallback.text("say"))


def read_logging(section: Section) -> LoggingRules:
    """Read `logging`."""
    logging = section.section("logging")
    return LoggingRules(
        retain_days=logging.whole("retain_days") or DEFAULT_RETAIN_DAYS,
        redact_fields=frozenset(logging.texts("redact_fields")),
    )


def read_admitted(section: Section) -> Admitted:
    """Read what relayed model calls may ask of a vendor; nothing without a key that says so."""
    models = section.section("models")
    return Admitted(
        fields=frozenset(models.texts("pass_fields")),
        vendor_tools=frozenset(models.texts("vendor_tools")),
        state=frozenset(models.texts("vendor_state")),
        remote_urls=models.text("remote_urls") == "allowed",
    )
