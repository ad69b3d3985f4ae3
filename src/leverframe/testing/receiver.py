"""A receiver of writes on a loopback port, which counts effects and not requests.

It outlives the process under test, so that what a SIGKILL left behind can be counted.  `POST /effects` does an effect:
with an `Idempotency-Key` header it is done once for each key, and the first answer is given again; without one, each
request is an effect.  `GET /effects?field=value` lists the effects whose JSON has this value, for a reconcile tool.
"""

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject
from leverframe.testing.loopback import Asked, LoopbackServer, OnLoopback, Served


class CountingReceiver(OnLoopback):
    """Counts what was done.

    `hold()` makes it do effects and keep the answers to itself until `release()`: the moment to kill a process
    between its request and the answer.
    """

    def __init__(self) -> None:
        self._effects: list[JsonObject] = []
        self._answers: dict[str, bytes] = {}
        self._request_count = 0
        self._lock = threading.Lock()
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._server = LoopbackServer(self._serve)

    @property
    def url(self) -> str:
        """Where effects are posted."""
        return f"{self._server.url}/effects"

    @property
    def effects(self) -> Sequence[JsonObject]:
        """What was done, in order, each once."""
        with self._lock:
            return list(self._effects)

    @property
    def request_count(self) -> int:
        """How often it was asked to, repeats included."""
        return self._request_count

    def hold(self) -> None:
        """Do effects and answer nobody."""
        self._may_answer.clear()

    def release(self) -> None:
        """Answer again, those who still wait included."""
        self._may_answer.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._may_answer.set()
        super().__exit__(kind, error, trace)

    def _serve(self, asked: Asked) -> Served:
        if asked.method == "GET":
            return self._listed(asked)
        effect = canonical.decode(asked.body)
        if not isinstance(effect, Mapping):
            return Served(status=400, body=b'{"error":"an effect is a JSON object"}')
        key = asked.headers.get("idempotency-key", "")
        with self._lock:
            self._request_count += 1
            answer = self._answers.get(key) if key else None
            if answer is None:
                self._effects.append(effect)
                answer = canonical.encode({"effect": len(self._effects)})
                if key:
                    self._answers[key] = answer
        self._may_answer.wait()
        return Served(body=answer)

    def _listed(self, asked: Asked) -> Served:
        wanted = dict(parse_qsl(urlsplit(asked.path).query))
        found: list[Json] = [
            effect
            for effect in self.effects
            if all(str(effect.get(name, "")) == value for name, value in wanted.items())
        ]
        return Served(body=canonical.encode({"effects": found}))
