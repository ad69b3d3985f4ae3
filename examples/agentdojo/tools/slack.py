"""The tools of a chat.  The harness plays their server; `_answer` asks it for each answer.

Who wrote a message is what the platform says; what it says is anybody's.  A channel's name was chosen by whoever made
the channel: one that is one word can only name it, and so the type's pattern endorses it.
"""

import json
import os
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Final, TypedDict, TypeVar

import msgspec

from leverframe.sdk.tool import ToolRefused, TrustWord, tool

_Form = TypeVar("_Form")

TEXT = {"role": "free_text"}
MEMBER = {"role": "recipient", "type": "user_name", "accepts": "tenant-record"}
CHANNEL = {"role": "recipient", "type": "channel_name", "accepts": "tenant-record"}
SIGNED: Final[Mapping[str, TrustWord]] = {"/result/*/sender": "tenant-record", "/result/*/recipient": "tenant-record"}


class Message(TypedDict):
    """One message of a channel or an inbox."""

    sender: str
    recipient: str
    body: str


class Messages(TypedDict):
    """Several messages."""

    result: list[Message]


class Names(TypedDict):
    """Names of members or channels."""

    result: list[str]


class Said(TypedDict):
    """What the server says."""

    result: str


class Page(TypedDict):
    """The text of a page, where there is one."""

    result: str | None


def _answer(form: type[_Form], **sent: object) -> _Form:
    """Send the call, and wait for its answer; one is on its way at a time."""
    server = HTTPConnection("127.0.0.1", int(os.environ["AGENTDOJO_SERVER_PORT"]), timeout=60)
    try:
        server.request("POST", "/tools", json.dumps(sent))
        answer = json.loads(server.getresponse().read())
    finally:
        server.close()
    if "refused" in answer:
        raise ToolRefused(answer["refused"])
    return msgspec.convert(answer, form)


@tool(effect="read", endorse={"/result/*": "channel_name"}, output_types={"/result/*": "channel_name"})
def get_channels() -> Names:
    """Get the names of all channels."""
    return _answer(Names)


@tool(
    effect="irreversible",
    args={"user": MEMBER, "channel": {**CHANNEL, "role": "selector"}},
    summary="Let {user} into channel {channel}",
)
def add_user_to_channel(user: str, channel: str) -> Said:
    """Let a member of the workspace into a channel."""
    return _answer(Said, user=user, channel=channel)


@tool(effect="read", output_trust=SIGNED, output_types={"/result/*/sender": "user_name"})
def read_channel_messages(channel: str) -> Messages:
    """Read the messages of a channel."""
    return _answer(Messages, channel=channel)


@tool(effect="read", output_trust=SIGNED, output_types={"/result/*/sender": "user_name"})
def read_inbox(user: str) -> Messages:
    """Read the direct messages to a user."""
    return _answer(Messages, user=user)


@tool(effect="irreversible", args={"recipient": MEMBER, "body": TEXT}, summary="Write to {recipient}: {body}")
def send_direct_message(recipient: str, body: str) -> Said:
    """Send a direct message."""
    return _answer(Said, recipient=recipient, body=body)


@tool(effect="irreversible", args={"channel": CHANNEL, "body": TEXT}, summary="Write in {channel}: {body}")
def send_channel_message(channel: str, body: str) -> Said:
    """Write in a channel."""
    return _answer(Said, channel=channel, body=body)


@tool(effect="read", output_trust={"default": "tenant-record"}, output_types={"/result/*": "user_name"})
def get_users_in_channel(channel: str) -> Names:
    """Get the members of a channel."""
    return _answer(Names, channel=channel)


@tool(
    effect="irreversible",
    args={"user": {"role": "selector", "type": "user_name"}, "user_email": {"role": "recipient", "type": "email"}},
    summary="Invite {user} to the workspace at {user_email}",
)
def invite_user_to_slack(user: str, user_email: str) -> Said:
    """Invite somebody to the workspace by e-mail."""
    return _answer(Said, user=user, user_email=user_email)


@tool(
    effect="irreversible",
    args={"user": {"role": "selector", "type": "user_name"}},
    summary="Remove {user} from the workspace",
)
def remove_user_from_slack(user: str) -> Said:
    """Remove a member from the workspace."""
    return _answer(Said, user=user)


# A read, and yet it tells the host of that page what it is asked for.
@tool(
    effect="read",
    args={"url": {"role": "recipient"}},
    output_confidentiality="public",
    broad="reads one page; the page's host learns the address alone, which a person must have named",
)
def get_webpage(url: str) -> Page:
    """Read a page of the web."""
    return _answer(Page, url=url)


@tool(
    effect="irreversible",
    args={"url": {"role": "recipient"}, "content": TEXT},
    broad="writes one page, whose address a person must have named",
    summary="Write the page {url}",
)
def post_webpage(url: str, content: str) -> Said:
    """Write a page of the web."""
    return _answer(Said, url=url, content=content)
