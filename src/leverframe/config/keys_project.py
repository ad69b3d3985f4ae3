"""The keys of the project file, `leverframe.yaml`."""

# ruff: noqa: E501 - a table: one key a row reads better than one over eight lines
from leverframe.config import registry
from leverframe.config.registry import Key, Tier
from leverframe.config.value_types import AnyValue, Group, ListOf, MapOf, Money, Seconds, Text, ValueType, Whole, Words


def _key(
    path: str,
    value: ValueType,
    doc: str,
    example: str,
    by: str,
    *,
    default: str = "",
    unit: str = "",
    tier: Tier = "first month",
) -> Key:
    return Key(
        file="project",
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
    return Key(file="project", path=path, value=AnyValue(), doc=doc, example=example, status="not-in-this-version")


_NAME_OF_MODEL = r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}"
_LISTED_MODEL = Text(form="a model of the price list, or free", pattern=_NAME_OF_MODEL, max_chars=128)
_ANY_MODEL = Text(form="a model of the provider, or *", pattern=rf"(?:{_NAME_OF_MODEL}|\*)", max_chars=128)
_MODEL = Text(
    form="a model, written PROVIDER/MODEL",
    pattern=r"[A-Za-z][A-Za-z0-9_-]{0,63}/[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}",
    max_chars=200,
)
_URL = Text(
    form="the base address, such as https://api.example.com/v1",
    pattern=r"https?://[^\s/?#@]+(?:/[^\s?#]*)?",
    max_chars=500,
)

_ZONE = Text(form="a time zone, such as Europe/Berlin", pattern=r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", max_chars=64)

_VARIABLE = Text(form="the name of a variable", pattern=r"[A-Za-z_][A-Za-z0-9_]{0,99}", max_chars=100)
_PATH = Text(form="a path of the project, or an absolute one", pattern=r"[^\x00]+", max_chars=500)
_CLAIM = Text(form="a claim, or a JSON pointer to one", pattern=r"[\x21-\x7e]+", max_chars=200)
_PATTERN = Text(form="a text with * for any part", pattern=r"\S+", max_chars=500)

PROJECT_KEYS: tuple[Key, ...] = (
    _key("tenants", MapOf(item=Group(may_be_empty=True), key=registry.NAME), "The customers whose data and money are at stake.", "{acme: {}}", "runtime", default="{default: {}}"),
    _key("tenants.*.timezone", _ZONE, "The time zone in which the tenant's days and months begin.", "Europe/Berlin", "core.periods", default="UTC"),
    _key("people", MapOf(item=Group(may_be_empty=True), key=registry.PRINCIPAL), "Who may answer holds. Without it the operating-system user of this machine is the approver.", "{lena: {groups: [payments-leads], roles: [approver]}}", "identity"),
    _key("people.*.groups", ListOf(item=registry.NAME), "The sets of people that `from` of an approval row names.", "[payments-leads]", "identity", default="[]"),
    _key("people.*.tenants", ListOf(item=registry.NAME), "The tenants that the person works for.", "[acme]", "identity", default="every tenant"),
    _key("people.*.roles", ListOf(item=Words(known=("approver",), later=("operator",))), "What the person may do.", "[approver]", "identity", default="[]"),
    _key("providers", MapOf(item=Group(needs=("wire",)), key=registry.NAME), "Model vendors and local stand-ins.", "{openai: {wire: openai, key: secret://env/OPENAI_API_KEY}}", "models", tier="first day"),
    _key("providers.*.wire", Words(known=("openai", "anthropic", "local", "recorded")), "How the provider is spoken to. `openai` is every service that speaks that format: Azure, vLLM, Ollama, llama.cpp and others.", "openai", "models", tier="first day"),
    _key("providers.*.url", _URL, "The base address, for any that is not the vendor's own.", "http://10.0.0.7:8000/v1", "models"),
    _key("providers.*.key", registry.SECRET, "Where its key is; never the key itself.", "secret://env/OPENAI_API_KEY", "models", tier="first day"),
    _key("providers.*.private", Words(known=("allowed",)), "Admits a host in a private network, and plain HTTP to it.", "allowed", "net"),
    _key("providers.*.api_version", Text(form="the version of an Azure API", pattern=r"[A-Za-z0-9._-]{1,40}", max_chars=40), "For Azure with one address a deployment: the API version. The model's name is then the deployment's, and `url` ends in `/openai`.", "2024-10-21", "models"),
    _key("providers.*.priced_as", MapOf(item=_LISTED_MODEL, key=_ANY_MODEL), "Under which names prices are looked up, for deployments with names of their own; `free` is what your own machines serve, `*` every other model. A model without a price is refused.", "{prod-4o: gpt-4o, llama3: free}", "models", default="each model's own name"),
    _key("providers.*.file", registry.PROJECT_FILE, "For `wire: recorded`: the answers, one JSON object a line.", "recordings/refund_request.jsonl", "models", tier="first day"),
    _key("models", MapOf(item=ListOf(item=_MODEL, at_least=1), key=registry.NAME), "Tiers: an ordered list of models under one name. The first tier is the default.", "{fast: [openai/gpt-5-mini, local/smollm2]}", "runtime.loops", tier="first day"),
    _key("servers", MapOf(item=Group(), key=registry.NAME), "Tool servers: each a command (`mcp`) or an address (`url`).", '{shop: {mcp: [python, -m, shop_server], trusted_process: {because: "our own code"}}}', "tools"),
    _key("servers.*.mcp", ListOf(item=Text(form="a word of the command", max_chars=1000), at_least=1), "The command that starts an MCP server over stdio. Foreign code: it runs in a sandbox (bubblewrap) without home, network or variables.", "[python, -m, shop_server]", "tools.sandbox"),
    _key("servers.*.url", _URL, "The address of an MCP server over streamable HTTP.", "https://mcp.example.com/mcp", "net"),
    _key("servers.*.private", Words(known=("allowed",)), "Admits a `url` in a private network, and plain HTTP to it.", "allowed", "net"),
    _key("servers.*.credential", registry.SECRET, "Where the credential of a server with a `url` is. It is sent to that host alone, for the tenant of the call; `{tenant}` in it is that tenant.", "secret://env/SHOP_TOKEN", "tools.mcp_credential"),
    _key("servers.*.credential_header", Text(form="the name of a header", pattern=r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", max_chars=100), "The header that carries the credential as it is. Without it: `Authorization`, as a bearer token.", "X-API-Key", "tools.mcp_credential", default="Authorization"),
    _key("servers.*.shared_credential", Group(needs=("because",)), "Why all tenants of the project may use one credential of this server, without `{tenant}` in it.", '{because: "one account of ours"}', "config.servers"),
    _key("servers.*.shared_credential.because", registry.SENTENCE, "The reason.", "one account of ours", "config.servers"),
    _key("servers.*.trusted_process", Group(needs=("because",)), "Why this server may run as an ordinary process of yours, without the sandbox.", '{because: "our own code"}', "tools.sandbox"),
    _key("servers.*.trusted_process.because", registry.SENTENCE, "The reason, shown on every page.", "our own code", "config.servers"),
    _key("servers.*.env", MapOf(item=Text(form="the variable's value", max_chars=4000, may_be_secret=True), key=_VARIABLE), "The variables that the process has; it inherits none. A `secret://` reference is replaced by its value when the process starts.", "{TZ: UTC}", "tools.sandbox", default="{}"),
    _key("servers.*.readable", ListOf(item=_PATH), "Files and folders that a sandboxed server may read, of the project or absolute; what its command names, it may. Never the state in `.leverframe`.", "[shop_server]", "tools.sandbox", default="[]"),
    _key("servers.*.writable", _PATH, "The one folder that a sandboxed server may write; made where it is missing.", "data/shop", "tools.sandbox", default="none"),
    _key("servers.*.network", Words(known=("allowed",)), "Gives a sandboxed server the network. What it sends there, no guard sees.", "allowed", "tools.sandbox", default="none"),
    _key("servers.*.limits", Group(), "How much of the machine the process may have with all that it starts, for each tenant. A sandboxed server always has them; a trusted process only where they are written.", "{memory_mib: 512}", "tools.process_limits"),
    _key("servers.*.limits.memory_mib", Whole(minimum=32, maximum=1_048_576), "Memory of all its processes, shared pages counted once. With more the whole server is ended.", "512", "tools.process_limits", default="1024", unit="MiB"),
    _key("servers.*.limits.processes", Whole(minimum=1, maximum=100_000), "Processes and threads. One more is refused by the kernel or, where it cannot, the whole server is ended.", "64", "tools.process_limits", default="256"),
    _key("servers.*.limits.open_files", Whole(minimum=16, maximum=1_048_576), "Open files of each of its processes.", "256", "tools.process_limits", default="1024"),
    _key("servers.*.limits.file_mib", Whole(minimum=1, maximum=1_048_576), "The largest file that it may write.", "100", "tools.process_limits", default="1024", unit="MiB"),
    _key("servers.*.may_ask", ListOf(item=Words(known=("elicitation", "sampling", "roots"))), "What the server may ask of the agent's side in the middle of a call. Each becomes a tool (`shop.elicitation`), which a contract must allow; an answer is never an approval.", "[elicitation]", "tools.mcp_upstream", default="[]"),
    _key("servers.*.resources", ListOf(item=_PATTERN), "URIs of resources that may be read, `*` for any text. They become the tool `shop.resource`, which a contract must allow.", '["shop://policies/*"]', "config.server_tools", default="[]"),
    _key("servers.*.prompts", ListOf(item=_PATTERN), "Prompts that may be fetched, `*` for any text. They become the tool `shop.prompt`, which a contract must allow.", "[refund_letter]", "config.server_tools", default="[]"),
    _key("credentials", MapOf(item=Group(needs=("said_by",)), key=registry.SECRET), "Who says what a credential may do, for `leverframe doctor`. A credential is sent to no issuer that is not named here.", "{secret://env/GITHUB_TOKEN: {said_by: github}}", "runtime.doctoring", default="a JWT says it itself; of others nobody does"),
    _key("credentials.*.said_by", Words(known=("jwt", "github", "introspection")), "The credential's own claims; GitHub (classic and OAuth tokens); an authorization server by introspection (RFC 7662).", "introspection", "identity.issuers"),
    _key("credentials.*.url", _URL, "Where to ask: the introspection endpoint, or the API of a GitHub Enterprise server.", "https://login.example.com/introspect", "identity.issuers", default="https://api.github.com for github"),
    _key("credentials.*.client_id", Text(form="the name of a client", pattern=r"[\x21-\x7e]+", max_chars=200), "The client that may introspect.", "desk", "identity.issuers"),
    _key("credentials.*.client_secret", registry.SECRET, "Where its secret is.", "secret://env/INTROSPECT_SECRET", "identity.issuers"),
    _key("credentials.*.private", Words(known=("allowed",)), "Admits an issuer in a private network, and plain HTTP to it.", "allowed", "net"),
    _key("tool_limits", Group(), "What keeps a tool in trouble small, for each tenant in each process, where the tool's own file does not say.", "{max_parallel: 16}", "runtime.door.tool_gates"),
    _key("tool_limits.max_parallel", Whole(minimum=1, maximum=10_000), "Requests of one tool at once; more wait their turn for as long as its `timeout_s`.", "16", "runtime.door.tool_gates", default="32", unit="calls"),
    _key("tool_limits.breaker", Group(), "When a tool is left alone for a while.", "{failures: 5, rest_s: 30}", "runtime.door.tool_gates"),
    _key("tool_limits.breaker.failures", Whole(minimum=1, maximum=1000), "Failures in a row after which it rests: no answer, 429 or 5xx.", "5", "runtime.door.tool_gates", default="5"),
    _key("tool_limits.breaker.rest_s", Seconds(maximum=3600), "How long, the first time; twice as long each time after, up to five minutes.", "30", "runtime.door.tool_gates", default="30", unit="seconds"),
    _key("tool_limits.retries", Group(), "How many retries a tool may take.", "{percent: 20}", "runtime.door.tool_gates"),
    _key("tool_limits.retries.percent", Whole(maximum=100), "Retries in a hundred requests of one tool, beside the first ten.", "20", "runtime.door.tool_gates", default="20"),
    _key("access_tokens", Group(needs=("issuer", "audience")), "The issuer whose access tokens `/mcp` takes beside API keys (OAuth 2.1, OpenID Connect).", "{issuer: https://login.example.com, audience: https://gate.example.com/mcp, workflows: [desk]}", "identity.tokens"),
    _key("access_tokens.issuer", _URL, "The issuer, exactly as its tokens and its metadata name it. Its keys are found by discovery.", "https://login.example.com", "identity.issuer_keys"),
    _key("access_tokens.audience", _URL, "The resource indicator of `/mcp` (RFC 8707): a token that is not for it is refused.", "https://gate.example.com/mcp", "core.access_tokens"),
    _key("access_tokens.scopes", ListOf(item=Text(form="a scope", pattern=r"[\x21\x23-\x5b\x5d-\x7e]+", max_chars=200)), "The scopes that a token must have, all of them.", "[leverframe.call]", "core.access_tokens", default="[]"),
    _key("access_tokens.claims", Group(), "Where a token says whose it is and what it may use.", "{tenant: org, workflows: roles}", "core.access_tokens"),
    _key("access_tokens.claims.principal", _CLAIM, "Who acts: a name of `people`, or any other. Its subject tells callers apart whatever this says.", "email", "core.access_tokens", default="sub"),
    _key("access_tokens.claims.tenant", _CLAIM, "The tenant. A project with several needs it.", "org", "core.access_tokens"),
    _key("access_tokens.claims.workflows", _CLAIM, "The workflows that a token may use: a list, or one text with blanks between.", "/realm_access/roles", "core.access_tokens", default="those of `workflows`"),
    _key("access_tokens.workflows", ListOf(item=registry.NAME, at_least=1), "The workflows that tokens may use; with a claim for them too, those that both name.", "[desk]", "runtime.token_callers"),
    _key("access_tokens.private", Words(known=("allowed",)), "Admits an issuer in a private network, and plain HTTP to it.", "allowed", "net"),
    _key("types", MapOf(item=Group(needs=("pattern",)), key=registry.NAME), "Typed tokens, lifted from the user's own text.", '{order_id: {pattern: "#W\\\\d{7}"}}', "core.token_types"),
    _key("types.*.pattern", Text(form="a linear-time regular expression (RE2)", max_chars=1000), "What a token of the type looks like.", '"#W\\\\d{7}"', "core.token_types"),
    _key("storage", Group(), "Where state is kept.", '{url: "sqlite:.leverframe/leverframe.db"}', "store"),
    _key("storage.url", Text(form="sqlite:PATH", pattern=r"sqlite:[^\s?#]+", max_chars=500), "The database; a path is relative to the project.", "sqlite:.leverframe/leverframe.db", "store", default="sqlite:.leverframe/leverframe.db"),
    _key("storage.durability", Words(known=("grouped", "strict")), "When a commit is flushed: `grouped` answers reads, model calls and outcomes at once and flushes them within 10 ms; `strict` flushes each before its answer. What announces a write is always flushed first.", "strict", "store", default="grouped"),
    _key("budgets", ListOf(item=Group()), "Limits over all runs of a tenant, a workflow, a team, a key or a model. All that apply to a call must have room for it; a call is reserved in all of them or in none.", "[{tenant: acme, window: month, max_usd: 200}]", "core.shared_budgets", default="[]"),
    _key("budgets[].tenant", registry.NAME, "The tenant whose runs it counts. Without it each tenant has a budget of its own, of this size.", "acme", "core.shared_budgets", default="each tenant by itself"),
    _key("budgets[].workflow", registry.NAME, "The workflow whose runs it counts, within one tenant.", "refund_request", "core.shared_budgets", default="all workflows of the tenant"),
    _key("budgets[].team", registry.NAME, "The team whose keys' calls it counts, within one tenant.", "support", "core.shared_budgets", default="every team, and no team"),
    _key("budgets[].key", registry.NAME, "The name of the API key whose calls it counts, within one tenant; a key that replaces it has the same name.", "support-bot", "core.shared_budgets", default="every key, and no key"),
    _key("budgets[].model", Text(form="a model, written PROVIDER/MODEL, or a PROVIDER", pattern=r"[A-Za-z][A-Za-z0-9_-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127})?", max_chars=200), "The model, or the provider, whose calls it counts, within one tenant.", "openai/gpt-5-mini", "core.shared_budgets", default="every model, and tools"),
    _key("budgets[].window", Words(known=("minute", "hour", "day", "month", "total")), "How long a window lasts. A day and a month are calendar ones in the tenant's time zone; `total` never resets. Every limit but `max_in_flight` needs one.", "month", "core.periods"),
    _key("budgets[].max_usd", Money(), "Money that model calls and tool fees may cost in a window.", "200", "core.budgets", unit="US dollars"),
    _key("budgets[].max_model_calls", Whole(), "Model calls in a window.", "1000", "core.budgets", unit="calls"),
    _key("budgets[].max_tool_calls", Whole(), "Tool calls that were allowed or held in a window, once each.", "1000", "core.budgets", unit="calls"),
    _key("budgets[].max_input_tokens", Whole(), "Input tokens of all model calls in a window.", "1000000", "core.budgets", unit="tokens"),
    _key("budgets[].max_output_tokens", Whole(), "Output tokens of all model calls in a window.", "200000", "core.budgets", unit="tokens"),
    _key("budgets[].max_in_flight", Whole(), "Calls that may be at work at the same moment; it has no window.", "8", "core.budgets", unit="calls"),
    _key("evidence", Group(), "Who holds the key of the evidence log.", '{signer: "unix:/run/leverframe/signer.sock"}', "wiring.signing"),
    _key("evidence.signer", Text(form="unix: and the absolute path of a socket", pattern=r"unix:/[^\s?#]+", max_chars=106), "The process of another OS user that holds the log's key and refuses to sign a rollback (`leverframe signer`). Without it the key is a file beside the database.", "unix:/run/leverframe/signer.sock", "wiring.signing"),
    _later("tenants.*.subject_keys", "Encryption of payloads under a key of their subject.", "on"),
    _later("providers.*.region", "Where the provider processes data.", "eu"),
    _later("providers.*.retention", "How long the provider keeps data.", "none"),
    _later("providers.*.subprocessor", "The legal entity.", "OpenAI Ireland Ltd"),
)  # fmt: skip
