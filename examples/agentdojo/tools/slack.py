"""The tools of a chat.  The harness plays their server; `_answer` asks it for each answer.

Who wrote a message is what the platform says; what it says is anybody's.  A channel's name was chosen by whoever made
the channel: one that is one word can only name it, and so the type's pattern endorses it.
"""

import json
import os
import urllib.request
from typing import Any, TypedDict

from leverframe.sdk.tool import ToolRefused, tool

TEXT = {"role": "free_text"}
MEMBER = {"role": "recipient", "type": "user_name", "accepts": "tenant-record"}
CHANNEL = {"role": "recipient", "type": "channel_name", "accepts": "tenant-record"}
SIGNED = {"/result/*/sender": "tenant-record", "/result/*/recipient": "tenant-record"}


class Message(TypedDict):
    sender: str
    recipient: str
    body: str


class Messages(TypedDict):
    result: list[Message]


class Names(TypedDict):
    result: list[str]


class Said(TypedDict):
    result: str


class Page(TypedDict):
    result: str | None


def _answer() -> Any:
    """The answer of the call that is on its way: there is one at a time."""
    with urllib.request.urlopen(os.environ["AGENTDOJO_SERVER"], timeout=60) as reply:
        answer = json.load(reply)
    if "refused" in answer:
        raise ToolRefused(answer["refused"])
    return answer


@tool(effect="read", endorse={"/result/*": "channel_name"}, output_types={"/result/*": "channel_name"})
def get_channels() -> Names:
    """Get the names of all channels."""
    return _answer()


@tool(
    effect="irreversible",
    args={"user": MEMBER, "channel": {**CHANNEL, "role": "selector"}},
    summary="Let {user} into channel {channel}",
)
def add_user_to_channel(user: str, channel: str) -> Said:
    """Let a member of the workspace into a channel."""
    return _answer()


@tool(effect="read", output_trust=SIGNED, output_types={"/result/*/sender": "user_name"})
def read_channel_messages(channel: str) -> Messages:
    """Read the messages of a channel."""
    return _answer()


@tool(effect="read", output_trust=SIGNED, output_types={"/result/*/sender": "user_name"})
def read_inbox(user: str) -> Messages:
    """Read the direct messages to a user."""
    return _answer()


@tool(effect="irreversible", args={"recipient": MEMBER, "body": TEXT}, summary="Write to {recipient}: {body}")
def send_direct_message(recipient: str, body: str) -> Said:
    """Send a direct message."""
    return _answer()


@tool(effect="irreversible", args={"channel": CHANNEL, "body": TEXT}, summary="Write in {channel}: {body}")
def send_channel_message(channel: str, body: str) -> Said:
    """Write in a channel."""
    return _answer()


@tool(effect="read", output_trust={"default": "tenant-record"}, output_types={"/result/*": "user_name"})
def get_users_in_channel(channel: str) -> Names:
    """Get the members of a channel."""
    return _answer()


@tool(
    effect="irreversible",
    args={"user": {"role": "selector", "type": "user_name"}, "user_email": {"role": "recipient", "type": "email"}},
    summary="Invite {user} to the workspace at {user_email}",
)
def invite_user_to_slack(user: str, user_email: str) -> Said:
    """Invite somebody to the workspace by e-mail."""
    return _answer()


@tool(
    effect="irreversible",
    args={"user": {"role": "selector", "type": "user_name"}},
    summary="Remove {user} from the workspace",
)
def remove_user_from_slack(user: str) -> Said:
    """Remove a member from the workspace."""
    return _answer()


# A read, and yet it tells the host of that page what it is asked for.
@tool(
    effect="read",
    args={"url": {"role": "recipient"}},
    output_confidentiality="public",
    broad="reads one page; the page's host learns the address alone, which a person must have named",
)
def get_webpage(url: str) -> Page:
    """Read a page of the web."""
    return _answer()


@tool(
    effect="irreversible",
    args={"url": {"role": "recipient"}, "content": TEXT},
    broad="writes one page, whose address a person must have named",
    summary="Write the page {url}",
)
def post_webpage(url: str, content: str) -> Said:
    """Write a page of the web."""
    return _answer()
