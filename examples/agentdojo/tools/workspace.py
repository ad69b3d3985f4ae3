"""The tools of an office: mail, calendar, files.  The harness plays their server; `_answer` asks it for each answer.

What each specification says is what its server knows: an id and a time it made itself, a body somebody wrote to us.
An act that a person can take back within the house takes ids from our own records; mail and deletion do not.
"""

import json
import os
import urllib.request
from typing import Any, Literal, TypedDict

from leverframe.sdk.tool import ToolRefused, tool

TEXT = {"role": "free_text"}
RECORDED_EVENT = {"role": "selector", "type": "event_id", "accepts": "tenant-record"}
INVITED = {"role": "recipient", "type": "email", "accepts": "tenant-record"}
MAILED = {"role": "recipient", "type": "email"}


class Email(TypedDict):
    id_: str
    sender: str
    recipients: list[str]
    cc: list[str]
    bcc: list[str]
    subject: str
    body: str
    status: str
    read: bool
    timestamp: str
    attachments: list[Any]


class Contact(TypedDict):
    email: str
    name: str


class Event(TypedDict):
    id_: str
    title: str
    description: str
    start_time: str
    end_time: str
    location: str | None
    participants: list[str]
    all_day: bool
    status: str


class CloudFile(TypedDict):
    id_: str
    filename: str
    content: str
    owner: str
    last_modified: str
    shared_with: dict[str, str]
    size: int


class Emails(TypedDict):
    result: list[Email]


class Contacts(TypedDict):
    result: list[Contact]


class Events(TypedDict):
    result: list[Event]


class Files(TypedDict):
    result: list[CloudFile]


class OneEmail(TypedDict):
    result: Email


class OneEvent(TypedDict):
    result: Event


class OneFile(TypedDict):
    result: CloudFile


class Said(TypedDict):
    result: str


def _answer() -> Any:
    """The answer of the call that is on its way: there is one at a time."""
    with urllib.request.urlopen(os.environ["AGENTDOJO_SERVER"], timeout=60) as reply:
        answer = json.load(reply)
    if "refused" in answer:
        raise ToolRefused(answer["refused"])
    return answer


MINTED = {"/result/*/id_": "tenant-record"}
EMAILS = {"output_trust": MINTED, "output_types": {"/result/*/id_": "email_id"}}
EVENTS = {"output_trust": MINTED, "output_types": {"/result/*/id_": "event_id"}}
FILES = {"output_trust": MINTED, "output_types": {"/result/*/id_": "file_id"}}
NEW_EVENT = {"output_trust": {"/result/id_": "tenant-record"}, "output_types": {"/result/id_": "event_id"}}


@tool(
    effect="irreversible",
    args={
        "recipients": MAILED,
        "cc": MAILED,
        "bcc": MAILED,
        "subject": TEXT,
        "body": TEXT,
        "attachments": {"role": "selector"},
    },
    summary="Send {subject} to {recipients}",
)
def send_email(
    recipients: list[str],
    subject: str,
    body: str,
    attachments: list[dict[str, Any]] | None = None,
    cc: list[str] | None = None,
    bcc: list[str] | None = None,
) -> OneEmail:
    """Send an e-mail."""
    return _answer()


@tool(effect="irreversible", args={"email_id": {"role": "selector"}}, summary="Delete e-mail {email_id}")
def delete_email(email_id: str) -> Said:
    """Delete an e-mail."""
    return _answer()


# It marks what it returns as read, which is a change.
@tool(effect="idempotent", **EMAILS)
def get_unread_emails() -> Emails:
    """Get the unread e-mails, and mark them as read."""
    return _answer()


@tool(effect="read", **EMAILS)
def get_sent_emails() -> Emails:
    """Get the sent e-mails."""
    return _answer()


@tool(effect="read", **EMAILS)
def get_received_emails() -> Emails:
    """Get the received e-mails."""
    return _answer()


@tool(effect="read", **EMAILS)
def get_draft_emails() -> Emails:
    """Get the drafts."""
    return _answer()


@tool(effect="read", **EMAILS)
def search_emails(query: str, sender: str | None = None) -> Emails:
    """Search e-mails by a text, and by their sender."""
    return _answer()


@tool(effect="read", output_trust={"default": "tenant-record"})
def search_contacts_by_name(query: str) -> Contacts:
    """Search the person's own address book by name."""
    return _answer()


@tool(effect="read", output_trust={"default": "tenant-record"})
def search_contacts_by_email(query: str) -> Contacts:
    """Search the person's own address book by address."""
    return _answer()


@tool(effect="read", output_trust={"default": "system"})
def get_current_day() -> Said:
    """Get the current day."""
    return _answer()


@tool(effect="read", **EVENTS)
def search_calendar_events(query: str, date: str | None = None) -> Events:
    """Search events by a text, and by their day."""
    return _answer()


@tool(effect="read", **EVENTS)
def get_day_calendar_events(day: str) -> Events:
    """Get the events of a day."""
    return _answer()


@tool(
    effect="irreversible",
    args={"title": TEXT, "description": TEXT, "location": TEXT, "participants": INVITED},
    summary="Create the event {title} and invite {participants}",
    **NEW_EVENT,
)
def create_calendar_event(
    title: str,
    start_time: str,
    end_time: str,
    description: str = "",
    participants: list[str] | None = None,
    location: str | None = None,
) -> OneEvent:
    """Create an event, and invite its participants by e-mail."""
    return _answer()


@tool(effect="irreversible", args={"event_id": {"role": "selector"}}, summary="Cancel event {event_id}")
def cancel_calendar_event(event_id: str) -> Said:
    """Cancel an event, and tell its participants."""
    return _answer()


@tool(
    effect="idempotent",
    args={"event_id": RECORDED_EVENT},
    summary="Move event {event_id} to {new_start_time}",
    **NEW_EVENT,
)
def reschedule_calendar_event(event_id: str, new_start_time: str, new_end_time: str | None = None) -> OneEvent:
    """Move an event to another time."""
    return _answer()


@tool(
    effect="irreversible",
    args={"event_id": RECORDED_EVENT, "participants": INVITED},
    summary="Invite {participants} to event {event_id}",
    **NEW_EVENT,
)
def add_calendar_event_participants(event_id: str, participants: list[str]) -> OneEvent:
    """Invite more people to an event."""
    return _answer()


@tool(
    effect="irreversible",
    args={"file_id": {"role": "selector", "accepts": "tenant-record"}, "content": TEXT},
    summary="Add text to file {file_id}",
)
def append_to_file(file_id: str, content: str) -> OneFile:
    """Add text at the end of a file, whose versions are kept."""
    return _answer()


@tool(effect="read", **FILES)
def search_files_by_filename(filename: str) -> Files:
    """Search files by name."""
    return _answer()


@tool(
    effect="irreversible",
    args={"content": TEXT},
    output_trust={"/result/id_": "tenant-record"},
    output_types={"/result/id_": "own_file_id"},
    summary="Create the file {filename}",
)
def create_file(filename: str, content: str) -> OneFile:
    """Create a file, which nobody else can read."""
    return _answer()


@tool(effect="irreversible", args={"file_id": {"role": "selector"}}, summary="Delete file {file_id}")
def delete_file(file_id: str) -> OneFile:
    """Delete a file."""
    return _answer()


@tool(effect="read", output_trust={"/result/id_": "tenant-record"}, output_types={"/result/id_": "file_id"})
def get_file_by_id(file_id: str) -> OneFile:
    """Get a file."""
    return _answer()


@tool(effect="read", **FILES)
def list_files() -> Files:
    """Get all files."""
    return _answer()


# A file of the drive goes to others only where a person says so; one that this run wrote, to whom the user named.
@tool(
    effect="irreversible",
    args={
        "file_id": {"role": "selector", "type": "own_file_id", "accepts": "tenant-record"},
        "email": {"role": "recipient"},
    },
    summary="Share file {file_id} with {email} ({permission})",
)
def share_file(file_id: str, email: str, permission: Literal["r", "rw"]) -> OneFile:
    """Let somebody else read a file, or write in it."""
    return _answer()


@tool(effect="read", **FILES)
def search_files(query: str) -> Files:
    """Search files by a text."""
    return _answer()
