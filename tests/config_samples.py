"""A project of two workflows in which every enforced key of the three files is used at least once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from leverframe.config.lock_file import lock_text
from leverframe.core.pins import with_pins
from leverframe.domain.errors import Problem
from leverframe.domain.ids import PrincipalId
from leverframe.domain.pins import Offering, Reviewed, ToolsLock

SEED = """\
workflow: "refund_request"
budget:
  max_tool_calls: 4
  max_input_tokens: 3000
  max_output_tokens: 800
policy:
  allow_tools:
    - "lookup_order"
    - "create_refund_draft"
  deny_tools:
    - "issue_refund" # requires approval
approval:
  required_for:
    - tool: "issue_refund"
      threshold_usd: 50
logging:
  retain_days: 90
  redact_fields: ["email", "address", "card_last4"]
"""

PROJECT = """\
tenants: {acme: {timezone: Europe/Berlin}, globex: }
people:
  lena: {groups: [payments-leads, payments-ops], tenants: [acme, globex], roles: [approver]}
  os:omar: {groups: [payments-leads], roles: [approver]}
providers:
  openai: {wire: openai, key: secret://env/OPENAI_API_KEY}
  vllm: {wire: openai, url: "http://10.0.0.7:8000/v1", private: allowed}
  claude: {wire: anthropic, key: secret://env/ANTHROPIC_API_KEY}
  azure: {wire: openai, url: "https://eu.openai.azure.com/openai", api_version: "2024-10-21", key: secret://env/AZ}
  local: {wire: local}
  replayed: {wire: recorded, file: recordings/refund.jsonl}
models: {fast: [openai/gpt-5-mini, local/smollm2], strong: [openai/gpt-5]}
servers: {shop: {mcp: [python, -m, shop_server], trusted_process: {because: "our own code"}}}
types: {order_id: {pattern: "#W\\\\d{7}"}}
storage: {url: "sqlite:.leverframe/leverframe.db", durability: strict}
budgets:
  - {tenant: acme, window: month, max_usd: 200, max_model_calls: 10000, max_output_tokens: 2000000}
  - {workflow: refund_request, window: day, max_usd: 10, max_tool_calls: 1000, max_input_tokens: 5000000}
"""

CONTRACT = """\
workflow: refund_request
description: Decide and prepare a refund for one order.
owner: group:payments-ops
kind: agent
environments: [sandbox, prod]
enforce: full
input:
  type: object
  additionalProperties: false
  required: [message, customer_id]
  properties: {message: {type: string}, customer_id: {type: string}, attachment: {type: string}}
input_trust: {attachment: third-party}
output: {type: object, required: [outcome], properties: {outcome: {type: string}}}
subject: input.customer_id
intent: input.message
facts:
  order: {tool: lookup_order, args: {order_id: args.order_id}}
  refund_value: {python: facts.py:refund_value, of: [facts.order, args.amount_usd]}
budget:
  max_usd: 0.05
  max_model_calls: 8
  max_tool_calls: 4
  max_input_tokens: 3000
  max_output_tokens: 800
  max_wall_s: 90
  max_total_s: 86400
  max_steps: 12
  per_step: {max_output_tokens: 300}
fallback: {handoff: queue:tier2, say: "A colleague will take this over."}
models:
  prompt: prompts/refund.md
  default: fast
  pass_fields: [reasoning_content]
  vendor_tools: [web_search]
  vendor_state: [store]
  remote_urls: allowed
policy:
  allow_tools: [lookup_order, create_refund_draft, issue_refund]
  rules:
    - id: own-orders-only
      then: deny
      tools: [lookup_order, create_refund_draft, issue_refund]
      when: facts.order.customer_id != run.subject
      reason: A run may touch only its own customer's orders.
    - id: velocity
      then: hold
      tools: [issue_refund]
      when: history.sum("issue_refund", "amount_usd", "24h", "subject") + args.amount_usd > 200
    - id: no-irreversible
      then: deny
      effects: [irreversible]
approval:
  required_for:
    - tool: issue_refund
      threshold_usd: 50
      mode: review
      from: [group:payments-leads]
      quorum: 1
      distinct_from: [initiator, launcher]
      decide_within: 30m
      execute_within: 10m
      step_up: none
logging:
  retain_days: 400
  redact_fields: [email, address, card_last4]
"""

CHAIN = """\
workflow: triage
kind: chain
steps:
  - parse: {regex: "#W\\\\d{7}", in: input.message, as: order_id}
  - model: {prompt: prompts/triage.md, output: schemas/triage.json, as: triage}
  - check: {python: checks.py:grounded, of: [triage, input.message]}
  - tool: {name: lookup_order, args: {order_id: triage.order_id}, as: order}
policy: {allow_tools: [lookup_order]}
"""

SHOP = '''\
from decimal import Decimal
from typing import Literal, TypedDict

from leverframe.sdk.tool import tool


class Order(TypedDict):
    order_id: str
    customer_id: str
    refundable_usd: Decimal
    status: Literal["pending", "delivered"]


@tool(effect="read", args={"order_id": {"role": "selector"}}, output_trust={"default": "tenant-record"})
def lookup_order(order_id: str) -> Order:
    """Look up one order.

    Never told to the agent.
    """
    raise NotImplementedError


@tool(
    effect="keyed",
    idempotency="idempotency_key",
    args={"order_id": {"role": "selector"}, "amount_usd": {"role": "amount", "currency": "USD"}},
    once_per={"keys": ["order_id", "amount_usd"], "within": "24h"},
    cost_usd=0.002,
    summary="Refund {amount_usd} on order {order_id}",
)
def issue_refund(order_id: str, amount_usd: Decimal, note: str = "", *, idempotency_key: str) -> dict[str, str]:
    """Refund part or all of one order."""
    return {"order_id": order_id}
'''

DRAFT_TOOL = """\
tool: create_refund_draft
version: 2
from: {mcp: shop, name: draft}
effect: reconcilable
description: Prepare a refund.
input:
  type: object
  additionalProperties: false
  required: [order_id, amount_usd]
  properties: {order_id: {type: string}, amount_usd: {type: number}, note: {type: string}}
output: {type: object}
args:
  order_id: {role: selector, type: order_id, accepts: tenant-record}
  amount_usd: {role: amount, currency: USD, unit: major}
  note: {role: free_text}
reconcile: {tool: lookup_order, args: {order_id: args.order_id}, done: facts.py:was_drafted}
once_per: {keys: [order_id], within: 24h}
cost_usd: 0.002
timeout_s: 10
retries: {max: 3, on: [timeout, connect, 429, 5xx]}
output_trust: {default: tenant-record, /note: third-party}
output_confidentiality: tenant
environments: [sandbox, prod]
summary: "Draft {amount_usd} on order {order_id}"
"""

FACTS = """\
from decimal import Decimal


def refund_value(order: dict, amount: Decimal | None = None) -> Decimal:
    return amount or order["refundable_usd"]


def was_drafted(args: dict, order: dict) -> bool:
    return order["status"] == "drafted"
"""

LOCK = lock_text(
    with_pins(
        ToolsLock(),
        "shop",
        {"command": ["python", "-m", "shop_server"]},
        Offering(info={"name": "shop", "version": "1"}, tools={"draft": {"name": "draft", "inputSchema": {}}}),
        names=("draft",),
        reviewed=Reviewed(by=PrincipalId("os:test"), at=datetime(2026, 1, 1, tzinfo=UTC)),
    )
)

FILES: Mapping[str, str] = {
    "leverframe.yaml": PROJECT,
    "tools.lock": LOCK,
    "workflows/refund_request.yaml": CONTRACT,
    "workflows/triage.yaml": CHAIN,
    "tools/shop.py": SHOP,
    "tools/draft.yaml": DRAFT_TOOL,
    "facts.py": FACTS,
    "checks.py": "def grounded(triage, message):\n    return triage['order_id'] in message\n",
    "prompts/refund.md": "Prepare a refund.\n",
    "prompts/triage.md": "Name the order.\n",
    "schemas/triage.json": '{"type": "object", "properties": {"order_id": {"type": "string"}}}',
    "recordings/refund.jsonl": "",
}

SMALL: Mapping[str, str] = {
    "leverframe.yaml": "models: {fast: [local/smollm2]}\nproviders: {local: {wire: local}}\n",
    "tools/shop.py": SHOP,
}


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a project; a value of `bytes` is written as it is."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def told(problems: tuple[Problem, ...], severity: str = "error") -> list[str]:
    """The problems of one severity as `path:line:column code`."""
    return [f"{each.path}:{each.line}:{each.column} {each.code}" for each in problems if each.severity == severity]
