"""Wrong files of a project: each is one clear error with its place and the next move, and nothing else."""

# ruff: noqa: E501 - tables of cases: one case a row
from pathlib import Path

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.errors import ConfigInvalid, NotFound
from tests.config_samples import SHOP, SMALL, told, write_files

W = "workflows/w.yaml"
P = "leverframe.yaml"
T = "tools/t.yaml"
HEAD = "workflow: w\npolicy: {allow_tools: [lookup_order, issue_refund]}\n"
TOOL = "tool: t\nfrom: {python: tools/shop.py:lookup_order}\neffect: read\n"

# name, content, "line:column code", a part of what is said
CONTRACT_CASES = [
    ("misspelt key", "workflow: w\nbudgt: {}\n", "2:1 unknown-key", "Did you mean 'budget'?"),
    ("a key of another file", "workflow: w\nproviders: {}\n", "2:1 unknown-key", "Known here: workflow,"),
    ("misspelt key below", "workflow: w\nbudget: {max_tool_cals: 4}\n", "2:10 unknown-key", "'max_tool_calls'"),
    ("no workflow", "description: x\n", "1:1 missing-key", "workflow: refund_request"),
    ("workflow is a number", "workflow: 12\n", "1:11 wrong-type", 'Quote it: "12"'),
    ("workflow is empty", "workflow:\n", "1:10 empty-value", "Write a value"),
    ("a list for a file", "- workflow: w\n", "1:1 wrong-type", "a list"),
    ("a text for a map", "workflow: w\nbudget: 4\n", "2:9 wrong-type", "a map of keys"),
    ("a text for a list", "workflow: w\npolicy: {allow_tools: lookup_order}\n", "2:23 wrong-type", "expected a list"),
    ("money in quotes", 'workflow: w\nbudget: {max_usd: "0.05"}\n', "2:19 wrong-type", "without quotes"),
    ("money with a unit", "workflow: w\nbudget: {max_usd: 5 USD}\n", "2:19 wrong-type", "'5 USD'"),
    ("money below a millionth", "workflow: w\nbudget: {max_usd: 0.0000001}\n", "2:19 bad-value", "six decimals"),
    ("negative money", "workflow: w\nbudget: {max_usd: -1}\n", "2:19 bad-value", "from 0"),
    ("infinite money", "workflow: w\nbudget: {max_usd: .inf}\n", "2:19 not-finite", "'.inf'"),
    ("half a call", "workflow: w\nbudget: {max_tool_calls: 4.5}\n", "2:26 wrong-type", "a whole number"),
    ("true for a count", "workflow: w\nbudget: {max_tool_calls: true}\n", "2:26 wrong-type", "the word true"),
    ("seconds with a unit", "workflow: w\nbudget: {max_wall_s: 90s}\n", "2:22 wrong-type", "a number of seconds"),
    ("no seconds", "workflow: w\nbudget: {max_wall_s: 0}\n", "2:22 bad-value", "above 0"),
    ("no such enforcement", "workflow: w\nenforce: observ\n", "2:10 bad-value", "Did you mean 'observe'?"),
    ("a later kind", "workflow: w\nkind: router\n", "2:7 not-in-this-version", "agent, chain"),
    ("an unknown kind", "workflow: w\nkind: agnt\n", "2:7 bad-value", "Did you mean 'agent'?"),
    ("a later key", "workflow: w\nroute: {by: {model: a.md}}\n", "2:1 not-in-this-version", "refused rather than ignored"),
    ("a later key below", "workflow: w\nmodels: {cache: {exact: 10m}}\n", "2:10 not-in-this-version", "cache"),
    ("duplicate key", "workflow: w\nowner: group:a\nowner: group:b\n", "3:1 duplicate-key", "it was set at 2:1"),
    ("two documents", "workflow: w\n---\nworkflow: x\n", "2:1 several-documents", "file of its own"),
    ("a tag", "workflow: !!str w\n", "1:11 yaml-tag", "'!!str'"),
    ("a number for a key", "workflow: w\n1: x\n", "2:1 key-not-text", "Quote it"),
    ("bad YAML", "workflow: w\npolicy: [1\n", "3:1 yaml-syntax", "not YAML"),
    ("a tab", "workflow: w\n\tbudget: {}\n", "2:1 yaml-syntax", "not YAML"),
    ("unclosed quote", "workflow: 'w\n", "2:1 yaml-syntax", "not YAML"),
    ("alias of no anchor", "workflow: w\nbudget: *b\n", "2:9 alias-unknown", "'&b'"),
    ("alias within its anchor", "workflow: w\nbudget: &b {max_usd: *b}\n", "2:22 alias-unfinished", "'*b'"),
    ("unknown tool", "workflow: w\npolicy: {allow_tools: [lookup_ordr]}\n", "2:24 unknown-tool", "'lookup_order'"),
    ("empty environments", "workflow: w\nenvironments: []\n", "2:15 empty-list", "1 or more"),
    ("bad schema", "workflow: w\ninput: {type: objekt}\n", "2:9 bad-schema", "objekt"),
    ("schema from elsewhere", 'workflow: w\ninput: {$ref: "https://x.example/s"}\n', "2:9 outside-reference", "$defs"),
    ("unknown subject", "workflow: w\nsubject: customer_id\n", "2:10 bad-value", "input.customer_id"),
    ("missing prompt", "workflow: w\nmodels: {prompt: prompts/x.md}\n", "2:10 missing-file", "'prompts/x.md'"),
    ("prompt outside", "workflow: w\nmodels: {prompt: ../x.md}\n", "2:10 outside-project", "Keep it inside"),
    ("unknown tier", "workflow: w\nmodels: {default: fats}\n", "2:10 unknown-tier", "Did you mean 'fast'?"),
    ("a chain without steps", "workflow: w\nkind: chain\n", "2:1 missing-key", "steps"),
    ("an agent with steps", "workflow: w\nsteps: [{tool: {name: lookup_order, args: {order_id: input.o}}}]\n", "2:1 key-without-effect", "kind: chain"),
    ("two kinds of step", "workflow: w\nkind: chain\nsteps: [{model: {prompt: p, as: a}, check: {python: c.py:f, of: []}}]\n", "3:9 bad-step", "model and check"),
    ("a step's unknown name", "workflow: w\nkind: chain\nsteps: [{tool: {name: lookup_order, args: {order_id: order.id}}}]\npolicy: {allow_tools: [lookup_order]}\n", "3:54 unknown-path", "an earlier step"),
    ("a step that is never allowed", "workflow: w\nkind: chain\nsteps: [{tool: {name: lookup_order, args: {order_id: input.o}}}]\n", "3:1 step-never-runs", "allow_tools"),
    ("look-around", "workflow: w\nkind: chain\nsteps: [{parse: {regex: '(?=a)b', in: input.m, as: x}}]\n", "3:25 bad-pattern", "RE2"),
    ("a fact without a reader", HEAD + "facts: {order: {}}\n", "3:9 bad-fact", "either a tool or a Python function"),
    ("a fact that writes", HEAD + "facts: {order: {tool: issue_refund, args: {order_id: args.order_id, amount_usd: args.amount_usd}}}\n", "3:17 fact-writes", "effect: read"),
    ("a fact's argument", HEAD + "facts: {order: {tool: lookup_order, args: {order: args.order_id}}}\n", "3:44 unknown-argument", "'order_id'"),
    ("a fact's path", HEAD + "facts: {order: {tool: lookup_order, args: {order_id: args.ordr_id}}}\n", "3:54 unknown-path", "'args.order_id'"),
    ("facts in a circle", HEAD + "facts: {a: {python: f.py:f, of: [facts.b]}, b: {python: f.py:f, of: [facts.a]}}\n", "3:9 fact-circle", "a -> b -> a"),
    ("a missing function", HEAD + "facts: {a: {python: f.py:g, of: [args.order_id]}}\n", "3:13 unknown-function", "'g'"),
    ("too many values", HEAD + "facts: {a: {python: f.py:f, of: [args.order_id, run.subject]}}\n", "3:29 wrong-arity", "takes 1"),
    ("two rules of one id", "workflow: w\npolicy: {rules: [{id: a, then: deny}, {id: a, then: hold}]}\n", "2:40 duplicate-rule", "line 2"),
    ("a built-in rule id", "workflow: w\npolicy: {rules: [{id: deny_tools, then: deny}]}\n", "2:19 reserved-rule-id", "Choose another"),
    ("no then", "workflow: w\npolicy: {rules: [{id: a}]}\n", "2:18 missing-key", "then: deny"),
    ("two rows of one tool", HEAD + "approval: {required_for: [{tool: issue_refund}, {tool: issue_refund}]}\n", "3:50 duplicate-row", "one row a tool"),
    ("a threshold without an amount", HEAD + "approval: {required_for: [{tool: lookup_order, threshold_usd: 5}]}\n", "3:48 amount-missing", "the role amount"),
    ("the acting user", HEAD + "approval: {required_for: [{tool: issue_refund, mode: confirm}]}\n", "3:54 not-in-this-version", "review"),
    ("a passkey", HEAD + "approval: {required_for: [{tool: issue_refund, step_up: passkey}]}\n", "3:57 not-in-this-version", "none"),
    ("the editor", HEAD + "approval: {required_for: [{tool: issue_refund, distinct_from: [editor]}]}\n", "3:64 not-in-this-version", "launcher"),
    ("a duration without unit", HEAD + "approval: {required_for: [{tool: issue_refund, decide_within: 30}]}\n", "3:63 wrong-type", "30s, 30m"),
    ("a group without its word", HEAD + "approval: {required_for: [{tool: issue_refund, from: [leads]}]}\n", "3:55 bad-value", "group:NAME"),
    ("nobody to grant", HEAD + "approval: {required_for: [{tool: issue_refund, quorum: 0}]}\n", "3:56 bad-value", "from 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "said"), [case[1:] for case in CONTRACT_CASES], ids=[case[0] for case in CONTRACT_CASES]
)
def test_a_wrong_contract_is_one_error_with_its_place(tmp_path: Path, content: str, place: str, said: str) -> None:
    files = {**SMALL, W: content, "f.py": "def f(x):\n    return x\n", "checks.py": ""}

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is None
    assert f"{W}:{place}" in told(problems)
    assert any(said in f"{each.message} {each.next_move}" for each in problems if f"{W}:{place}" in told((each,)))


PROJECT_CASES = [
    ("unknown wire", "providers: {a: {wire: opnai}}\n", "1:23 bad-value", "'openai'"),
    ("no wire", "providers: {a: {key: secret://env/K}}\n", "1:16 missing-key", "wire"),
    ("a key in the open", "providers: {a: {wire: openai, key: sk-abc}}\n", "1:36 bad-value", "secret://env"),
    ("neither key nor address", "providers: {a: {wire: openai}}\n", "1:13 missing-key", "key: secret"),
    ("plain HTTP", 'providers: {a: {wire: openai, url: "http://x.example/v1"}}\n', "1:31 plain-http", "private: allowed"),
    ("a recording that is not there", "providers: {a: {wire: recorded, file: r.jsonl}}\n", "1:33 missing-file", "'r.jsonl'"),
    ("no recording", "providers: {a: {wire: recorded}}\n", "1:13 missing-key", "recordings/"),
    ("a key without a meaning", "providers: {a: {wire: local, url: https://x.example}}\n", "1:30 key-without-effect", "It takes wire"),
    ("a tier of nobody", "models: {fast: [opnai/gpt]}\nproviders: {openai: {wire: local}}\n", "1:17 unknown-provider", "Did you mean 'openai'?"),
    ("a model without provider", "models: {fast: [gpt]}\n", "1:17 bad-value", "PROVIDER/MODEL"),
    ("a server that is nowhere", "servers: {shop: {env: {A: b}}}\n", "1:11 missing-key", "url: https"),
    (
        "a credential of a process",
        "servers: {s: {mcp: [x], credential: secret://env/K}}\n",
        "1:25 key-without-effect",
        "Delete it",
    ),
    (
        "a header that says something else",
        "servers: {s: {url: https://x.example/mcp, credential: secret://env/K, credential_header: Host}}\n",
        "1:71 taken-header",
        "X-API-Key",
    ),
    (
        "a header without a credential",
        "servers: {s: {url: https://x.example/mcp, credential_header: X-Key}}\n",
        "1:43 key-without-effect",
        "secret://env/NAME",
    ),
    (
        "one credential for all tenants",
        "{tenants: {a: {}, b: {}}, servers: {s: {url: https://x.example/mcp, credential: secret://env/K}}}\n",
        "1:81 shared-credential",
        "shared_credential",
    ),
    (
        "a tenant's credential in a process of all",
        "servers: {s: {mcp: [x], trusted_process: {because: y}, env: {K: 'secret://env/K_{tenant}'}}}\n",
        "1:65 one-process",
        "without {tenant}",
    ),
    (
        "tenants whose variables have one name",
        "{tenants: {acme-eu: {}, acme_eu: {}}, servers: {s: {mcp: [x], env: {K: 'secret://env/K_{tenant}'}}}}\n",
        "1:72 tenants-alike",
        "capitals and hyphens",
    ),
    ("a broken reference", "servers: {s: {mcp: [x], env: {K: 'secret://env'}}}\n", "1:34 wrong-form", "SHOP_TOKEN"),
    ("a plain address", "servers: {s: {url: http://x.example/mcp}}\n", "1:15 plain-http", "private: allowed"),
    ("a whole machine", "servers: {s: {mcp: [x], readable: [/]}}\n", "1:36 too-wide", "the folder it needs"),
    ("rules to write", "servers: {s: {mcp: [x], writable: tools}}\n", "1:25 too-wide", "data/shop"),
    ("a walled url", "servers: {s: {url: 'https://x/m', env: {A: b}}}\n", "1:35 key-without-effect", "Delete it"),
    ("limits of a url", "servers: {s: {url: 'https://x/m', limits: {processes: 9}}}\n", "1:35 key-without-effect", "Delete it"),
    ("hardly any memory", "servers: {s: {mcp: [x], limits: {memory_mib: 8}}}\n", "1:46 bad-value", "32"),
    ("memory without a limit", "servers: {s: {mcp: [x], limits: {memory_mib: -1}}}\n", "1:46 bad-value", "32"),
    ("no process at all", "servers: {s: {mcp: [x], limits: {processes: 0}}}\n", "1:45 bad-value", "1"),
    ("part of a file", "servers: {s: {mcp: [x], limits: {file_mib: 0.5}}}\n", "1:44 wrong-type", "whole number"),
    ("files in words", "servers: {s: {mcp: [x], limits: {open_files: many}}}\n", "1:46 wrong-type", "without quotes, unit"),
    ("another limit", "servers: {s: {mcp: [x], limits: {memory_mb: 8}}}\n", "1:34 unknown-key", "'memory_mib'"),
    ("no reason to trust", "servers: {shop: {mcp: [python], trusted_process: {}}}\n", "1:50 missing-key", "because"),
    ("an empty reason", 'servers: {shop: {mcp: [x], trusted_process: {because: ""}}}\n', "1:55 bad-value", "not empty"),
    ("an empty command", 'servers: {shop: {mcp: [], trusted_process: {because: "x"}}}\n', "1:23 empty-list", "1 or more"),
    ("a pattern that can stall", 'types: {a: {pattern: "(a)\\\\1"}}\n', "1:22 bad-pattern", "back-references"),
    ("another database", "storage: {url: postgres://x}\n", "1:16 bad-value", "sqlite:PATH"),
    ("lazy flushing", "storage: {durability: lazy}\n", "1:23 bad-value", "strict"),
    ("a window of no such length", "budgets: [{team: a, window: dy, max_usd: 1}]\n", "1:29 bad-value", "'day'"),
    ("an unknown tenant", "tenants: {acme: {}}\npeople: {lena: {tenants: [acm]}}\n", "2:27 unknown-tenant", "'acme'"),
    ("an unknown role", "people: {lena: {roles: [aprover]}}\n", "1:25 bad-value", "the word approver"),
    ("a person of many words", "people: {lena smith: {}}\n", "1:10 bad-value", "os:NAME"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "said"), [case[1:] for case in PROJECT_CASES], ids=[case[0] for case in PROJECT_CASES]
)
def test_a_wrong_project_file_is_one_error_with_its_place(tmp_path: Path, content: str, place: str, said: str) -> None:
    project, problems = load_project_lenient(write_files(tmp_path, {P: content}))

    assert project is None
    assert f"{P}:{place}" in told(problems)
    assert any(said in f"{each.message} {each.next_move}" for each in problems if f"{P}:{place}" in told((each,)))


TOOL_CASES = [
    ("no origin", "tool: t\n", "1:1 missing-key", "from"),
    ("two origins", "tool: t\nfrom: {python: tools/shop.py:lookup_order, mcp: shop}\n", "2:1 bad-origin", "one place"),
    ("a later origin", "tool: t\nfrom: {http: {}}\n", "2:8 not-in-this-version", "from.http"),
    ("an unknown server", "tool: t\nfrom: {mcp: shop}\ninput: {type: object}\n", "2:8 unknown-server", "servers"),
    ("no input", "tool: t\nfrom: {mcp: shop}\n", "1:1 missing-key", "schema of its arguments"),
    ("no such function", "tool: t\nfrom: {python: tools/shop.py:lokup_order}\n", "2:8 unknown-function", "'lookup_order'"),
    ("no such file", "tool: t\nfrom: {python: tools/shp.py:lookup_order}\n", "2:8 missing-file", "'shop.py'"),
    ("keyed without a key", TOOL.replace("read", "keyed"), "1:1 keyed-without-key", "idempotency"),
    ("reconcilable without a way", TOOL.replace("read", "reconcilable"), "1:1 reconcilable-without-reconcile", "reconcile:"),
    ("reconcile of a read", TOOL + "reconcile: {tool: lookup_order, match: {order_id: args.order_id}}\n", "4:1 key-without-effect", "effect: reconcilable"),
    ("reconcile by nothing", TOOL.replace("read", "reconcilable") + "reconcile: {tool: lookup_order}\n", "4:1 reconcile-unclear", "either `match` or `done`"),
    ("reconcile by a write", TOOL.replace("read", "reconcilable") + "reconcile: {tool: issue_refund, match: {order_id: args.order_id}}\n", "4:13 reconcile-writes", "effect: read"),
    ("an unknown argument", TOOL + "args: {ordr_id: {role: selector}}\n", "4:8 unknown-argument", "'order_id'"),
    ("an unknown role", TOOL + "args: {order_id: {role: selectr}}\n", "4:25 bad-value", "'selector'"),
    ("a text as amount", TOOL + "args: {order_id: {role: amount}}\n", "4:8 amount-not-number", "string"),
    ("a currency of a selector", TOOL + "args: {order_id: {role: selector, currency: USD}}\n", "4:8 key-without-effect", "role: amount"),
    ("a command", TOOL + "args: {order_id: {role: command}}\n", "4:8 broad-without-reason", "broad: {because"),
    ("an unknown placeholder", TOOL + 'summary: "Look at {oder_id}"\n', "4:10 unknown-argument", "'order_id'"),
    ("once per nothing", TOOL + "once_per: {keys: [], within: 24h}\n", "4:18 empty-list", "1 or more"),
    ("once per a stranger", TOOL + "once_per: {keys: [amount], within: 24h}\n", "4:19 unknown-argument", "'amount'"),
    ("a bad duration", TOOL + "once_per: {keys: [order_id], within: 1day}\n", "4:38 bad-value", "30m, 24h, 7d"),
    ("an unknown failure", TOOL + "retries: {max: 2, on: [500]}\n", "4:24 bad-value", "5xx"),
    ("too many retries", TOOL + "retries: {max: 99}\n", "4:16 bad-value", "to 10"),
    ("a pointer without slash", TOOL + "output_trust: {note: third-party}\n", "4:16 bad-value", "JSON pointer"),
    ("a cache of a write", "tool: t\nfrom: {mcp: s}\neffect: idempotent\ninput: {type: object}\ncache_s: 5\n", "5:1 key-without-effect", "only the answer of a read"),
    ("no place at all", TOOL + "max_parallel: 0\n", "4:15 bad-value", "1 to 10,000"),
    ("the header", TOOL + "idempotency: {header: Idempotency-Key}\n", "4:15 not-in-this-version", "idempotency.header"),
    ("an array for input", "tool: t\nfrom: {mcp: s}\ninput: {type: array}\n", "3:1 bad-schema", "not an object"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "said"), [case[1:] for case in TOOL_CASES], ids=[case[0] for case in TOOL_CASES]
)
def test_a_wrong_tool_is_one_error_with_its_place(tmp_path: Path, content: str, place: str, said: str) -> None:
    project, problems = load_project_lenient(write_files(tmp_path, {**SMALL, T: content}))

    assert project is None
    assert f"{T}:{place}" in told(problems)
    assert any(said in f"{each.message} {each.next_move}" for each in problems if f"{T}:{place}" in told((each,)))


PYTHON_CASES = [
    ("not Python", "def (:\n", "1:5 python-syntax", "not Python"),
    ("an endless sum", "x = 1" + " + 1" * 100_000 + "\n", "1:1 python-syntax", "nested too deeply"),
    ("an endless sign", "x = " + "-" * 100_000 + "1\n", "1:1 python-syntax", "nested too deeply"),
    ("an import that fails", "import nothing_of_that_name\n", "1:1 python-error", "ModuleNotFoundError"),
    ("an exit", "\nraise SystemExit(3)\n", "2:1 python-error", "SystemExit: 3"),
    ("no type", "from leverframe.sdk.tool import tool\n\n@tool(effect='read')\ndef f(x): ...\n", "4:1 bad-signature", "x: str"),
    ("a float", "from leverframe.sdk.tool import tool\n\n@tool(effect='read')\ndef f(x: float): ...\n", "4:1 bad-signature", "write Decimal"),
    ("a file handle", "from typing import IO\nfrom leverframe.sdk.tool import tool\n\n@tool(effect='read')\ndef f(x: IO[str]): ...\n", "5:1 bad-signature", "JSON form"),
    ("any arguments", "from leverframe.sdk.tool import tool\n\n@tool(effect='read')\ndef f(*xs: str): ...\n", "4:1 bad-signature", "passed by name"),
    ("a key that is not there", "from leverframe.sdk.tool import tool\n\n@tool(effect='keyed',\n  idempotency='kee')\ndef f(key: str): ...\n", "4:3 unknown-argument", "'key'"),
    ("a misspelt word", "from leverframe.sdk.tool import tool\n\n@tool(\n  efect='read')\ndef f(key: str): ...\n", "4:3 unknown-key", "'effect'"),
    ("an effect of no class", "from leverframe.sdk.tool import tool\n\n@tool(effect='wirte')\ndef f(key: str): ...\n", "3:7 bad-value", "irreversible"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "said"), [case[1:] for case in PYTHON_CASES], ids=[case[0] for case in PYTHON_CASES]
)
def test_a_wrong_python_tool_is_one_error_with_its_place(tmp_path: Path, content: str, place: str, said: str) -> None:
    files = {P: "{}\n", "tools/mine.py": content}

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is None
    assert told(problems) == [f"tools/mine.py:{place}"]
    assert said in f"{problems[0].message} {problems[0].next_move}"


def test_all_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    files = {P: "modls: {}\n", W: "workflow: w\nbudgt: {}\nkind: agnt\n", T: "tol: t\n"}

    with pytest.raises(ConfigInvalid) as caught:
        load_project(write_files(tmp_path, files))

    assert {each.path for each in caught.value.problems} == {P, W, T}
    assert len([each for each in caught.value.problems if each.path == W]) == 2
    assert "workflows/w.yaml:2:1: error unknown-key" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"workflow: w\n\xff\xfe\n", "not-utf8"),
        (b"\x00\x01\x02PNG", "binary-file"),
        (b"workflow: w\x1b[2J\n", "binary-file"),
        (b"# " + b"x" * 1_100_000, "file-too-large"),
        (b"", "empty-file"),
        (b"[" * 40 + b"]" * 40, "too-deep"),
        (b"a: " + b"9" * 50, "number-too-long"),
    ],
)
def test_what_is_no_text_file_of_ours_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    root = write_files(tmp_path, {**SMALL, W: content})

    _, problems = load_project_lenient(root)

    assert code in {each.code for each in problems}


def test_a_broken_file_of_many_lines_is_told_quickly_and_briefly(tmp_path: Path) -> None:
    root = write_files(tmp_path, {**SMALL, W: "a: 1\n" * 20_000})

    _, problems = load_project_lenient(root)

    assert len(problems) <= 200


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text("mine")
    root = write_files(tmp_path / "p", {**SMALL, W: "workflow: w\nmodels: {prompt: prompts/p.md}\n"})
    (root / "prompts").mkdir()
    (root / "prompts/p.md").symlink_to(outside)

    _, problems = load_project_lenient(root)

    assert f"{W}:2:10 outside-project" in told(problems)


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="leverframe init"):
        load_project(tmp_path)


def test_two_tools_or_workflows_of_one_name_are_refused(tmp_path: Path) -> None:
    files = {**SMALL, T: TOOL.replace("tool: t", "tool: lookup_order"), W: HEAD, "workflows/v.yaml": HEAD}

    _, problems = load_project_lenient(write_files(tmp_path, files))

    assert {"duplicate-tool", "duplicate-workflow"} <= {each.code for each in problems}
    assert any(each.path == "tools/shop.py" and f"{T}:1" in each.message for each in problems)


def test_a_fact_that_rests_on_third_party_text_is_refused(tmp_path: Path) -> None:
    shop = SHOP.replace(', output_trust={"default": "tenant-record"}', "")
    contract = HEAD + "facts: {order: {tool: lookup_order, args: {order_id: args.order_id}}}\n"

    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, "tools/shop.py": shop, W: contract}))

    assert told(problems) == [f"{W}:3:17 fact-untrusted"]


@pytest.mark.parametrize(
    ("tenants", "reference", "secret"),
    [
        ("{acme-eu: {}, acme_eu: {}}", "secret://env/K_{tenant}", "secret://env/K_ACME_EU"),
        ("{Acme: {}, acme: {}}", "secret://env/K_{tenant}", "secret://env/K_ACME"),
        ("{acme-eu: {}, acme_eu: {}}", "secret://file/keys/{tenant}.txt", ""),
        ("{acme-eu: {}, acme_us: {}}", "secret://env/K_{tenant}", ""),
    ],
)
def test_a_tools_credential_gives_no_two_tenants_one_secret(
    tmp_path: Path, tenants: str, reference: str, secret: str
) -> None:
    tool = f'tool: t\nfrom: {{mcp: s}}\ninput: {{type: object}}\ncredential: "{reference}"\n'
    project = f"{{tenants: {tenants}, servers: {{s: {{url: https://x.example/mcp}}}}}}\n"

    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, "leverframe.yaml": project, T: tool}))

    found = tuple(one for one in problems if one.severity == "error")
    assert told(found) == ([f"{T}:4:13 tenants-alike"] if secret else [])
    assert secret in "".join(one.message for one in found)


@pytest.mark.parametrize(
    ("server", "code", "said"),
    [
        ("{mcp: [x]}", "key-without-effect", "env:"),
        ("{url: https://x.example/mcp}", "shared-credential", "shared_credential"),
        ("{url: https://x.example/mcp, shared_credential: {because: one account}}", "", ""),
    ],
)
def test_a_tools_own_credential_is_for_an_address_and_one_tenants(
    tmp_path: Path, server: str, code: str, said: str
) -> None:
    tool = "tool: t\nfrom: {mcp: s}\ninput: {type: object}\ncredential: secret://env/K\n"
    project = f"{{tenants: {{a: {{}}, b: {{}}}}, servers: {{s: {server}}}}}\n"

    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, "leverframe.yaml": project, T: tool}))

    found = [one for one in problems if one.severity == "error"]
    assert [one.code for one in found] == ([code] if code else [])
    assert said in "".join(one.next_move for one in found)


@pytest.mark.parametrize("content", [case[1] for case in CONTRACT_CASES], ids=[case[0] for case in CONTRACT_CASES])
def test_a_wrong_contract_is_told_what_to_write(tmp_path: Path, content: str) -> None:
    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, W: content}))

    errors = [each for each in problems if each.severity == "error"]
    assert errors
    assert not [each for each in errors if not each.next_move]


def test_a_python_file_that_is_no_text_is_told_with_its_place(tmp_path: Path) -> None:
    _, problems = load_project_lenient(write_files(tmp_path, {P: "{}\n", "tools/mine.py": b"x = 1\n# \xe9\n"}))

    assert told(problems) == ["tools/mine.py:2:3 not-utf8"]


def test_a_value_of_the_wrong_shape_is_shown_one_of_the_right(tmp_path: Path) -> None:
    content = "providers: {a: {wire: recorded, file: r.jsonl}}\nmodels: {fast: a/b}\n"

    _, problems = load_project_lenient(write_files(tmp_path, {P: content, "r.jsonl": ""}))

    (found,) = [each for each in problems if each.code == "wrong-type"]
    assert "[openai/gpt-5-mini, local/smollm2]" in found.next_move
