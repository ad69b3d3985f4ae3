"""The three callables of ASGI.  Source: the ASGI specification, version 3."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# Any: the values of a scope are of as many types as the specification names.
Scope = MutableMapping[str, Any]
# Any: those of a message likewise.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
