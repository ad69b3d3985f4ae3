"""The bound of a model call is never below what a byte-level tokenizer can make of its texts."""

from hypothesis import given
from hypothesis import strategies as st

from leverframe.domain.calls import Message, ModelRequest, OfferedTool, Role, ToolUse
from leverframe.domain.contracts import ModelRef
from leverframe.domain.ids import CallId, TenantId
from leverframe.models.bounds import input_tokens_bound

TEXT = st.text(max_size=40)
USES = st.lists(st.builds(ToolUse, id=TEXT, name=TEXT, arguments=TEXT), max_size=2).map(tuple)
MESSAGES = st.builds(Message, role=st.sampled_from(Role), text=TEXT, tool_uses=USES, tool_use_id=TEXT)
TOOLS = st.builds(OfferedTool, name=TEXT, description=TEXT, input_schema=st.dictionaries(TEXT, TEXT, max_size=3))


@given(messages=st.lists(MESSAGES, max_size=4), tools=st.lists(TOOLS, max_size=3))
def test_the_bound_is_at_least_the_bytes_of_all_texts(messages: list[Message], tools: list[OfferedTool]) -> None:
    request = ModelRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        model=ModelRef(provider="p", model="m"),
        messages=tuple(messages),
        max_output_tokens=1,
        deadline_s=1.0,
        tools=tuple(tools),
    )
    texts = [text for one in messages for text in (one.text, one.tool_use_id)]
    texts += [text for one in messages for use in one.tool_uses for text in (use.id, use.name, use.arguments)]
    texts += [text for tool in tools for text in (tool.name, tool.description, *map(str, tool.input_schema.values()))]

    bound = input_tokens_bound(request)

    assert bound >= sum(len(text.encode()) for text in texts)
