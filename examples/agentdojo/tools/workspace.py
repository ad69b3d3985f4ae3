"""The tools of an office: mail, calendar, files.  The harness plays their server; `_answer` asks it for each answer.

What each specification says is what its server knows: an id and a time it made itself, a body somebody wrote to us.
An act that a person can take back within the house takes ids from our own records; mail and deletion do not.
"""

import json
import os
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, Final, Literal, TypedDict, TypeVar

import msgspec

from leverframe.sdk.tool import ToolRefused, TrustWord, tool

_Form = TypeVar("_Form")

TEXT = {"role": "free_text"}
RECORDED_EVENT = {"role": "selector", "type": "event_id", "accepts": "tenant-record"}
INVITED = {"role": "recipient", "type": "email", "accepts": "tenant-record"}
MAILED = {"role": "recipient", "type": "email"}


class Email(TypedDict):
    """One e-mail as the mailbox has it."""

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
    # Any: the id of a file, or a whole event.
    attachments: list[Any]


class Contact(TypedDict):
    """One entry of the address book."""

    email: str
    name: str


class Event(TypedDict):
    """One event of the calendar."""

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
    """One file of the drive."""

    id_: str
    filename: str
    content: str
    owner: str
    last_modified: str
    shared_with: dict[str, str]
    size: int


class Emails(TypedDict):
    """Several e-mails."""

    result: list[Email]


class Contacts(TypedDict):
    """Several contacts."""

    result: list[Contact]


class Events(TypedDict):
    """Several events."""

    result: list[Event]


class Files(TypedDict):
    """Several files."""

    result: list[CloudFile]


class OneEmail(TypedDict):
    """The e-mail that the act was about."""

    result: Email


class OneEvent(TypedDict):
    """The event that the act was about."""

    result: Event


class OneFile(TypedDict):
    """The file that the act was about."""

    result: CloudFile


class Said(TypedDict):
    """What the server says."""

    result: str


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


MINTED: Final[Mapping[str, TrustWord]] = {"/result/*/id_": "tenant-record"}
EMAILS: Final = {"/result/*/id_": "email_id"}
EVENTS: Final = {"/result/*/id_": "event_id"}
FILES: Final = {"/result/*/id_": "file_id"}
ONE_MINTED: Final[Mapping[str, TrustWord]] = {"/result/id_": "tenant-record"}
ONE_EVENT: Final = {"/result/id_": "event_id"}


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
    *,
    attachments: list[dict[str, str]] | None = None,
    cc: list[str] | None = None,
    bcc: list[str] | None = None,
) -> OneEmail:
    """Send an e-mail."""
    return _answer(OneEmail, recipients=recipients, subject=subject, body=body, attachments=attachments, cc=cc, bcc=bcc)


@tool(effect="irreversible", args={"email_id": {"role": "selector"}}, summary="Delete e-mail {email_id}")
def delete_email(email_id: str) -> Said:
    """Delete an e-mail."""
    return _answer(Said, email_id=email_id)


# It marks what it returns as read, which is a change.
@tool(effect="idempotent", output_trust=MINTED, output_types=EMAILS)
def get_unread_emails() -> Emails:
    """Get the unread e-mails, and mark them as read."""
    return _answer(Emails)


@tool(effect="read", output_trust=MINTED, output_types=EMAILS)
def get_sent_emails() -> Emails:
    """Get the sent e-mails."""
    return _answer(Emails)


@tool(effect="read", output_trust=MINTED, output_types=EMAILS)
def get_received_emails() -> Emails:
    """Get the received e-mails."""
    return _answer(Emails)


@tool(effect="read", output_trust=MINTED, output_types=EMAILS)
def get_draft_emails() -> Emails:
    """Get the drafts."""
    return _answer(Emails)


@tool(effect="read", output_trust=MINTED, output_types=EMAILS)
def search_emails(query: str, sender: str | None = None) -> Emails:
    """Search e-mails by a text, and by their sender."""
    return _answer(Emails, query=query, sender=sender)


@tool(effect="read", output_trust={"default": "tenant-record"})
def search_contacts_by_name(query: str) -> Contacts:
    """Search the person's own address book by name."""
    return _answer(Contacts, query=query)


@tool(effect="read", output_trust={"default": "tenant-record"})
def search_contacts_by_email(query: str) -> Contacts:
    """Search the person's own address book by address."""
    return _answer(Contacts, query=query)


@tool(effect="read", output_trust={"default": "system"})
def get_current_day() -> Said:
    """Get the current day."""
    return _answer(Said)


@tool(effect="read", output_trust=MINTED, output_types=EVENTS)
def search_calendar_events(query: str, date: str | None = None) -> Events:
    """Search events by a text, and by their day."""
    return _answer(Events, query=query, date=date)


@tool(effect="read", output_trust=MINTED, output_types=EVENTS)
def get_day_calendar_events(day: str) -> Events:
    """Get the events of a day."""
    return _answer(Events, day=day)


@tool(
    effect="irreversible",
    args={"title": TEXT, "description": TEXT, "location": TEXT, "participants": INVITED},
    summary="Create the event {title} and invite {participants}",
    output_trust=ONE_MINTED,
    output_types=ONE_EVENT,
)
def create_calendar_event(
    title: str,
    start_time: str,
    end_time: str,
    *,
    description: str = "",
    participants: list[str] | None = None,
    location: str | None = None,
) -> OneEvent:
    """Create an event, and invite its participants by e-mail."""
    return _answer(
        OneEvent,
        title=title,
        start_time=start_time,
        end_time=end_time,
        description=description,
        participants=participants,
        location=location,
    )


@tool(effect="irreversible", args={"event_id": {"role": "selector"}}, summary="Cancel event {event_id}")
def cancel_calendar_event(event_id: str) -> Said:
    """Cancel an event, and tell its participants."""
    return _answer(Said, event_id=event_id)


@tool(
    effect="idempotent",
    args={"event_id": RECORDED_EVENT},
    summary="Move event {event_id} to {new_start_time}",
    output_trust=ONE_MINTED,
    output_types=ONE_EVENT,
)
def reschedule_calendar_event(event_id: str, new_start_time: str, new_end_time: str | None = None) -> OneEvent:
    """Move an event to another time."""
    return _answer(OneEvent, event_id=event_id, new_start_time=new_start_time, new_end_time=new_end_time)


@tool(
    effect="irreversible",
    args={"event_id": RECORDED_EVENT, "participants": INVITED},
    summary="Invite {participants} to event {event_id}",
    output_trust=ONE_MINTED,
    output_types=ONE_EVENT,
)
def add_calendar_event_participants(event_id: str, participants: list[str]) -> OneEvent:
    """Invite more people to an event."""
    return _answer(OneEvent, event_id=event_id, participants=participants)


@tool(
    effect="irreversible",
    args={"file_id": {"role": "selector", "accepts": "tenant-record"}, "content": TEXT},
    summary="Add text to file {file_id}",
)
def append_to_file(file_id: str, content: str) -> OneFile:
    """Add text at the end of a file, whose versions are kept."""
    return _answer(OneFile, file_id=file_id, content=content)


@tool(effect="read", output_trust=MINTED, output_types=FILES)
def search_files_by_filename(filename: str) -> Files:
    """Search files by name."""
    return _answer(Files, filename=filename)


@tool(
    effect="irreversible",
    args={"content": TEXT},
    output_trust=ONE_MINTED,
    output_types={"/result/id_": "own_file_id"},
    summary="Create the file {filename}",
)
def create_file(filename: str, content: str) -> OneFile:
    """Create a file, which nobody else can read."""
    return _answer(OneFile, filename=filename, content=content)


@tool(effect="irreversible", args={"file_id": {"role": "selector"}}, summary="Delete file {file_id}")
def delete_file(file_id: str) -> OneFile:
    """Delete a file."""
    return _answer(OneFile, file_id=file_id)


@tool(effect="read", output_trust=ONE_MINTED, output_types={"/result/id_": "file_id"})
def get_file_by_id(file_id: str) -> OneFile:
    """Get a file."""
    return _answer(OneFile, file_id=file_id)


@tool(effect="read", output_trust=MINTED, output_types=FILES)
def list_files() -> Files:
    """Get all files."""
    return _answer(Files)


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
    return _answer(OneFile, file_id=file_id, email=email, permission=permission)


@tool(effect="read", output_trust=MINTED, output_types=FILES)
def search_files(query: str) -> Files:
    """Search files by a text."""
    return _answer(Files, query=query)
