"""The keys of a workflow contract, `workflows/NAME.yaml`."""

# ruff: noqa: E501 - a table: one key a row reads better than one over eight lines
from leverframe.config import registry
from leverframe.config.registry import Key, Tier
from leverframe.config.value_types import (
    AnyValue,
    Group,
    ListOf,
    MapOf,
    Money,
    SchemaObject,
    Seconds,
    Span,
    Text,
    ValueType,
    Whole,
    Words,
)

INTEGRITY = Words(known=("system", "user", "tenant-record", "third-party"))
TOOLS = ListOf(item=registry.TOOL_NAME)
EFFECTS = ListOf(item=Words(known=("read", "idempotent", "keyed", "reconcilable", "irreversible")))
_PROVENANCE = Words(known=("deny", "hold", "off"))
_CHAIN_PATH = Text(
    form="the name of an earlier step, a field of it or of the input, such as triage.order_id or input.message",
    pattern=r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*",
    max_chars=200,
)


def _key(
    path: str,
    value: ValueType,
    doc: str,
    example: str,
    by: str,
    *,
    default: str = "",
    unit: str = "",
    tier: Tier = "all",
) -> Key:
    return Key(
        file="contract",
        path=path,
        value=value,
        doc=doc,
        example=example,
        default=default,
        unit=unit,
        enforced_by=by,
        tier=tier,
    )


def _later(path: str, doc: str, example: str) -> Key:
    return Key(file="contract", path=path, value=AnyValue(), doc=doc, example=example, status="not-in-this-version")


_TOP = (
    _key("workflow", registry.NAME, "The name of the workflow.", "refund_request", "config.contract", tier="first day"),
    _key("description", registry.SENTENCE, "What the workflow is for; the agent is told it.", "Prepare a refund for one order.", "runtime.loops"),
    _key("owner", Text(form="a group:NAME or person:NAME", pattern=r"(?:group|person):[A-Za-z0-9_.@-]{1,64}"), "Who answers for the workflow; must exist in `people`, and stands on the readiness card.", "group:payments-ops", "config.people"),
    _key("kind", Words(known=("agent", "chain"), later=("router", "code")), "The shape of the work: a model and tools in a loop, or a fixed list of steps.", "chain", "runtime.loops", default="agent"),
    _key("environments", ListOf(item=registry.NAME, at_least=1), "Where runs may have effects. The first is the default; `environments/NAME.yaml` narrows the contract there.", "[sandbox, prod]", "config.overlays", default="[default]"),
    _key("enforce", Words(known=("full", "observe")), "Whether the contract is kept, or only watched: under `observe` a model call or a read that it would refuse is done and told as such, nothing is clamped, and no budget holds. Writes are always enforced.", "observe", "core.policy.observing", default="full"),
    _key("input", SchemaObject(), "The schema of a run's input; an input that breaks it opens no run.", "{type: object, required: [message]}", "runtime.schemas"),
    _key("input_trust", MapOf(item=INTEGRITY, key=Text(form="a field of the input")), "The integrity of input fields that hold pasted, ticket or e-mail text; others have that of who opened the run.", "{attachment: third-party}", "core.provenance"),
    _key("input_confidentiality", Words(known=("public", "tenant", "secret")), "Who may read a run's input.", "public", "core.provenance", default="tenant"),
    _key("audience", Words(known=("subject", "tenant", "public")), "Who reads a run's output. An output of a run that has seen what they may not read is held: `public` reads public values, `tenant` those of the tenant, and so does the `subject` of a run that has one.", "subject", "core.policy.output_rules", default="not asked"),
    _key("output", SchemaObject(), "The schema of the run's output; one that breaks it is `invalid_output`.", "{type: object, required: [outcome]}", "runtime.schemas"),
    _key("subject", registry.INPUT_FIELD, "The input field that says whose data the run is about; conditions read it as `run.subject`.", "input.customer_id", "runtime.paths"),
    _key("intent", registry.TOP_INPUT_FIELD, "The input field that holds what the person asked, verbatim; first in every packet.", "input.message", "runtime.paths"),
    _key("facts", MapOf(item=Group(), key=registry.NAME), "Values that the door reads itself before it decides, recorded with the decision.", "{order: {tool: lookup_order, args: {order_id: args.order_id}}}", "runtime.door"),
    _key("facts.*.tool", registry.TOOL_NAME, "The `read` tool that answers the fact.", "lookup_order", "runtime.door"),
    _key("facts.*.args", MapOf(item=registry.CALL_PATH, key=Text(form="an argument of the tool")), "Arguments of that tool, as paths into the call and the run.", "{order_id: args.order_id}", "runtime.door"),
    _key("facts.*.python", registry.PYTHON_FUNCTION, "The pure function that computes the fact.", "facts.py:refund_value", "runtime.door"),
    _key("facts.*.of", ListOf(item=registry.CALL_PATH), "What the function is given, in the order of its parameters.", "[facts.order, args.item_ids]", "runtime.door"),
)  # fmt: skip

_BUDGET = (
    _key("budget", Group(), "Hard limits of one run.", "{max_tool_calls: 4}", "core.budgets", tier="first day"),
    _key("budget.max_usd", Money(), "Money that model calls and tool fees may cost.", "0.05", "core.budgets", unit="US dollars"),
    _key("budget.max_model_calls", Whole(), "Model calls of the run.", "8", "core.budgets", unit="calls"),
    _key("budget.max_tool_calls", Whole(), "Tool calls that were allowed or held, once each.", "4", "core.budgets", unit="calls", tier="first day"),
    _key("budget.max_input_tokens", Whole(), "Input tokens of all model calls.", "3000", "core.budgets", unit="tokens", tier="first day"),
    _key("budget.max_output_tokens", Whole(), "Output tokens of all model calls.", "800", "core.budgets", unit="tokens", tier="first day"),
    _key("budget.max_wall_s", Seconds(), "Time that the run may take; approvals stop this clock.", "90", "core.budgets", unit="seconds"),
    _key("budget.max_total_s", Seconds(), "Time that the run may take, waiting for people included.", "86400", "core.budgets", unit="seconds"),
    _key("budget.max_steps", Whole(minimum=1), "Steps of the run, denied calls included.", "12", "core.budgets", unit="steps", default="50"),
    _key("budget.per_step", Group(), "Limits of each step.", "{max_output_tokens: 300}", "core.budgets"),
    _key("budget.per_step.max_output_tokens", Whole(minimum=1), "Output tokens of one model call.", "300", "core.budgets", unit="tokens"),
    _key("fallback", Group(), "What a stop condition does; without it the run ends as stopped.", "{handoff: queue:tier2, say: A colleague will take this over.}", "runtime.outcomes"),
    _key("fallback.handoff", Text(form="a queue, written queue:NAME", pattern=r"queue:[A-Za-z][A-Za-z0-9_-]{0,63}"), "The queue whose people get the case.", "queue:tier2", "runtime.outcomes"),
    _key("fallback.say", registry.SENTENCE, "What the person is told.", "A colleague will take this over.", "runtime.outcomes"),
)  # fmt: skip

_WORK = (
    _key("models", Group(), "Which model, and what it is told.", "{default: fast}", "runtime.loops", tier="first month"),
    _key("models.prompt", registry.PROJECT_FILE, "The file that holds the agent's instructions; without it they are made from the contract.", "prompts/refund_request.md", "runtime.loops", tier="first month"),
    _key("models.default", registry.NAME, "The tier of `leverframe.yaml` that runs of this workflow use.", "fast", "runtime.loops", default="the first tier", tier="first month"),
    _key("models.pass_fields", ListOf(item=Text(form="the name of a field or of a beta", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", max_chars=64)), "Fields of a relayed model call that pass although nobody here knows them, and betas of Anthropic; any other unknown one is refused by name.", "[top_k, reasoning_content]", "core.wires", default="[]"),
    _key("models.vendor_tools", ListOf(item=Text(form="the name of a tool that the vendor runs", pattern=r"[a-z][a-z0-9_-]{0,63}", max_chars=64)), "Tools that the vendor may run in a relayed model call: effects outside the door. A name admits its dated versions. `mcp` is every MCP server that the vendor calls.", "[web_search]", "core.wires", default="[]"),
    _key("models.vendor_state", ListOf(item=Words(known=("store", "background", "previous_response_id", "conversation", "prompt", "files", "containers", "audio", "threads"))), "What the vendor may keep or look up for a relayed model call. Without `store` it is told to store nothing.", "[store, previous_response_id]", "core.wires", default="[]"),
    _key("models.remote_urls", Words(known=("allowed",)), "Admits addresses of images and files that the vendor fetches: what stands in an address leaves with it.", "allowed", "core.wires"),
    _key("steps", ListOf(item=Group(), at_least=1), "The steps of a chain, in order; each has one of `parse`, `model`, `check`, `tool`.", "[{model: {prompt: prompts/triage.md, as: triage}}]", "runtime.loops"),
    _key("steps[].parse", Group(needs=("regex", "in", "as")), "Take a token out of a text, without a model.", '{regex: "#W\\\\d{7}", in: input.message, as: order_id}', "runtime.loops"),
    _key("steps[].parse.regex", Text(form="a linear-time regular expression (RE2)", max_chars=1000), "What the token looks like; its first group, where it has one, is the token.", '"#W\\\\d{7}"', "runtime.loops"),
    _key("steps[].parse.in", _CHAIN_PATH, "The text to look in.", "input.message", "runtime.loops"),
    _key("steps[].parse.as", registry.NAME, "The name of the token in later steps.", "order_id", "runtime.loops"),
    _key("steps[].model", Group(needs=("prompt", "as")), "One model call.", "{prompt: prompts/triage.md, as: triage}", "runtime.loops"),
    _key("steps[].model.prompt", registry.PROJECT_FILE, "The file that holds the prompt.", "prompts/triage.md", "runtime.loops"),
    _key("steps[].model.output", registry.PROJECT_FILE, "The JSON Schema file that the answer must fit; without it the answer is a text.", "schemas/triage.json", "runtime.schemas"),
    _key("steps[].model.as", registry.NAME, "The name of the answer in later steps.", "triage", "runtime.loops"),
    _key("steps[].check", Group(needs=("python", "of")), "A pure function that must answer true; false ends the run as `invalid_output`.", "{python: checks.py:grounded, of: [triage, input.message]}", "runtime.loops"),
    _key("steps[].check.python", registry.PYTHON_FUNCTION, "The function.", "checks.py:grounded", "runtime.loops"),
    _key("steps[].check.of", ListOf(item=_CHAIN_PATH), "What it is given, in the order of its parameters.", "[triage, input.message]", "runtime.loops"),
    _key("steps[].tool", Group(needs=("name",)), "One tool call, through the door like any other.", "{name: create_refund_draft, args: {order_id: order_id}}", "runtime.loops"),
    _key("steps[].tool.name", registry.TOOL_NAME, "The tool.", "create_refund_draft", "runtime.loops"),
    _key("steps[].tool.args", MapOf(item=_CHAIN_PATH, key=Text(form="an argument of the tool")), "Its arguments: names of earlier steps, fields of them, fields of the input. One that is not there is left out.", "{order_id: order_id}", "runtime.loops"),
    _key("steps[].tool.as", registry.NAME, "The name of the result in later steps.", "draft", "runtime.loops", default="the tool's name"),
)  # fmt: skip

_POLICY = (
    _key("policy", Group(), "What may be called.", "{allow_tools: [lookup_order]}", "core.policy", tier="first day"),
    _key("policy.allow_tools", TOOLS, "The whole list of what may run by itself.", "[lookup_order, create_refund_draft]", "core.policy", default="[]", tier="first day"),
    _key("policy.deny_tools", TOOLS, "What never runs; with an approval row: what is held on every call.", "[issue_refund]", "core.policy", default="[]", tier="first day"),
    _key("policy.rules", ListOf(item=Group(needs=("id", "then"))), "Rules; deny beats hold beats allow beats the default, which is deny.", "[{id: own-orders-only, then: deny, when: facts.order.customer_id != run.subject}]", "core.policy", tier="first month"),
    _key("policy.rules[].id", registry.NAME, "The rule's name in every decision.", "own-orders-only", "core.policy", tier="first month"),
    _key("policy.rules[].then", Words(known=("deny", "hold", "allow")), "What follows where the rule matches; `allow` only selects within `allow_tools`.", "deny", "core.policy", tier="first month"),
    _key("policy.rules[].tools", TOOLS, "The tools that the rule is about; none: every tool.", "[issue_refund]", "core.policy", default="every tool", tier="first month"),
    _key("policy.rules[].effects", EFFECTS, "The effect classes that the rule is about.", "[keyed, irreversible]", "core.policy", default="every class"),
    _key("policy.rules[].when", registry.CONDITION, "The condition; unknown never allows, and always denies or holds.", "facts.order.customer_id != run.subject", "core.conditions", default="always", tier="first month"),
    _key("policy.rules[].reason", registry.SENTENCE, "What the decision says to a person.", "A run may touch only its own customer's orders.", "core.policy", tier="first month"),
    _key("policy.provenance", Group(), "What follows where a value that says who, which or how much comes from untrusted text. `off` needs `because`.", "{selectors: deny}", "core.policy.label_rules"),
    _key("policy.provenance.recipients", _PROVENANCE, "A recipient that no trusted value of the run equals, of any call that has one.", "deny", "core.policy.label_rules", default="hold"),
    _key("policy.provenance.selectors", _PROVENANCE, "A selector or command of a write that no trusted value of the run equals.", "deny", "core.policy.label_rules", default="hold"),
    _key("policy.provenance.amounts", _PROVENANCE, "An amount of a write that no trusted value equals and that no threshold or rule bounds.", "deny", "core.policy.label_rules", default="hold"),
    _key("policy.provenance.free_text", _PROVENANCE, "Text to a recipient, written after third-party text was read that the recipient may not read, or that links somewhere.", "deny", "core.policy.label_rules", default="hold"),
    _key("policy.provenance.rule_of_two", _PROVENANCE, "A call to a recipient in a run that has read third-party text and a secret.", "deny", "core.policy.label_rules", default="hold"),
    _key("policy.provenance.suspicious", Words(known=("deny", "hold")), "A write, or a call with a recipient, in a run that has read text in which something was hidden from its readers. It catches no plainly worded text.", "hold", "core.policy.label_rules", default="not asked"),
    _key("policy.provenance.because", registry.SENTENCE, "Why some of them are off; shown with the policy.", "the desk sends to its own queue only", "config.contract_provenance"),
)  # fmt: skip

_ROW = "approval.required_for[]"
_APPROVAL = (
    _key("approval", Group(), "What a person must answer first.", "{required_for: [{tool: issue_refund}]}", "core.policy", tier="first day"),
    _key("approval.hold_wait_s", Seconds(maximum=300), "How long MCP waits for an answer before it says that a call is held. The same call again collects it.", "20", "mcp", unit="seconds", default="20"),
    _key("approval.required_for", ListOf(item=Group(needs=("tool",))), "One row a tool.", "[{tool: issue_refund, threshold_usd: 50}]", "core.policy", default="[]", tier="first day"),
    _key(f"{_ROW}.tool", registry.TOOL_NAME, "The tool that is held.", "issue_refund", "core.policy", tier="first day"),
    _key(f"{_ROW}.threshold_usd", Money(), "Calls at or above this amount are held; without it, every call.", "50", "core.policy", unit="US dollars", tier="first day"),
    _key(f"{_ROW}.mode", Words(known=("review",), later=("confirm",)), "Someone else answers (maker-checker).", "review", "runtime.answers", default="review"),
    _key(f"{_ROW}.from", ListOf(item=registry.GROUP), "Whose answer counts; none: anyone of the tenant with the role approver. Never the initiator.", "[group:payments-leads]", "runtime.answers", tier="first month"),
    _key(f"{_ROW}.quorum", Whole(minimum=1, maximum=20), "How many different people must grant.", "2", "runtime.answers", default="1", unit="people"),
    _key(f"{_ROW}.distinct_from", ListOf(item=Words(known=("initiator", "launcher"), later=("editor",))), "Who may not answer; the initiator never may, named or not.", "[initiator, launcher]", "runtime.answers", default="[initiator]"),
    _key(f"{_ROW}.decide_within", Span(), "Without an answer in this time the call is denied.", "30m", "runtime.answers", default="24h"),
    _key(f"{_ROW}.execute_within", Span(), "A granted call that did not run in this time is denied.", "10m", "runtime.answers", default="1h"),
    _key(f"{_ROW}.step_up", Words(known=("none",), later=("password", "passkey")), "What an approver must prove beyond being signed in.", "none", "runtime.answers", default="none"),
)  # fmt: skip

_PLAN = (
    _key("plan", Group(), "Whether a run fixes its tools before it reads anything.", "{declare: true}", "core.policy.plan_rules"),
    _key("plan.declare", Words(known=("true", "false")), "With `true` a run declares its tools and how often each is called at most, by the tool `declare_plan`, before any other call. The plan can shrink; a call beyond it, or a wider plan, is held and says what it adds.", "true", "core.policy.plan_rules", default="false"),
)  # fmt: skip

_HOST = Text(
    form="a host name, such as example.com",
    pattern=r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
    max_chars=253,
)
_CONTEXT = (
    _key("context", Group(), "What an agent is shown of untrusted text, and what a run's output may link to.", "{untrusted: quote}", "core.agent_view"),
    _key("context.untrusted", Words(known=("plain", "quote", "hide")), "How third-party text is shown to a model or agent: as it is, with its words marked (`quote`), or not at all, as handles that stand for its values (`hide`).", "quote", "core.agent_view", default="plain"),
    _key("context.hygiene", Words(known=("clean", "off")), "Whether what no reader sees (hidden characters and elements, comments, data URIs) is taken out of third-party text before an agent sees it, and out of a run's output. Each removal is counted in the evidence, which keeps the text as it came. `off` needs `because`.", "clean", "core.hygiene", default="clean"),
    _key("context.because", registry.SENTENCE, "Why hygiene is off; shown with the contract.", "the agent compares files byte by byte", "config.contract_context"),
    _key("context.link_hosts", ListOf(item=_HOST), "Hosts that links and images in a run's output may lead to, subdomains included; others lose their target and keep their words.", "[example.com]", "core.hygiene", default="[]"),
    _key("context.extract", MapOf(item=registry.PROJECT_FILE, key=registry.NAME), "Schemas, by name, under which a model without tools may read hidden text for the agent, by a tool `extract_NAME`; goes with `untrusted: hide`.", "{invoice: schemas/invoice.json}", "runtime.door.extracting"),
)  # fmt: skip

_LOGGING = (
    _key("logging", Group(), "What the record keeps and shows.", "{retain_days: 400}", "core.redaction", tier="first day"),
    _key("logging.retain_days", Whole(minimum=1, maximum=36_500), "After this time the disclosures of a run are deleted; every proof still holds.", "90", "runtime.retention", default="400", unit="days", tier="first day"),
    _key("logging.redact_fields", ListOf(item=Text(form="the name of a field", max_chars=200)), "Fields that are never shown or exported, by key anywhere and by value where it reappears.", "[email, address, card_last4]", "core.redaction", default="[]", tier="first day"),
)  # fmt: skip

_LATER = (
    _later("models.escalate", "When a stronger tier takes over.", "{to: strong, on: [invalid_output]}"),
    _later("models.residency", "Regions outside which a provider is refused.", "[eu]"),
    _later("models.cache", "Which answers may be reused.", "{exact: 10m}"),
    _later("context.sources", "Which documents are retrieved for the model.", "[{tool: lookup_order}]"),
    _later("context.max_tokens", "How much the model is shown.", "2000"),
    _later("context.pinned", "What is never left out.", "[task, constraints, approvals]"),
    _later("context.compact", "What becomes shorter first.", "{tool_results: handles}"),
    _later("route", "The branches of a router.", "{by: {model: prompts/risk.md}}"),
    _later("code", "The durable function of a `code` workflow.", "flows/backfill.py:main"),
    _later(f"{_ROW}.then_ask", "Whom to ask next when nobody answers.", "[{after: 10m, to: group:oncall}]"),
    _later("slo", "Service levels of the workflow.", "{p95_s: 30}"),
    _later("release", "Gate and canary of a release.", "{gate: {suites: [golden]}}"),
)

CONTRACT_KEYS: tuple[Key, ...] = (*_TOP, *_BUDGET, *_WORK, *_POLICY, *_APPROVAL, *_PLAN, *_CONTEXT, *_LOGGING, *_LATER)
