"""One vendor behind one address: how it is asked, what its answers cost.

Knows: the differences of OpenAI, Azure, Anthropic and those who speak like them.  Never: lets a key into a message.
Source: Azure OpenAI REST reference for its addresses and its header; Anthropic API reference.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Final

from leverframe.core.api_keys import read_key
from leverframe.domain.contracts import BILLED_BY_NOBODY, Provider, Wire
from leverframe.domain.errors import ModelUnpriced, SecretUnavailable
from leverframe.domain.relays import Dialect, WireFormat
from leverframe.models.call_prices import MAX_CACHED, CallPrice, PriceList, free_price, half_hour
from leverframe.net.addresses import is_private
from leverframe.net.url import Url, parse_url
from leverframe.ports.secrets import Secrets

OPENAI_URL: Final = "https://api.openai.com/v1"
ANTHROPIC_URL: Final = "https://api.anthropic.com/v1"
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".azure-api.net")
_PATHS: Final = {
    WireFormat.CHAT: "/chat/completions",
    WireFormat.RESPONSES: "/responses",
    WireFormat.EMBEDDINGS: "/embeddings",
    WireFormat.MESSAGES: "/messages",
    WireFormat.COUNT: "/messages/count_tokens",
}
# Asked by the name of the deployment in the address; the others name it in the body.
_BY_DEPLOYMENT: Final = frozenset({WireFormat.CHAT, WireFormat.EMBEDDINGS})


class Vendor:
    """The models of one provider, for calls in a vendor's own format."""

    def __init__(self, provider: Provider, secrets: Secrets) -> None:
        self.provider = provider
        self._secrets = secrets
        self._urls: dict[tuple[WireFormat, str], Url] = {}
        self._known: dict[tuple[str, int], CallPrice] = {}

    @cached_property
    def url(self) -> Url:
        """The base address.  Raises ProviderUnavailable where it cannot be called."""
        default = ANTHROPIC_URL if self.provider.wire is Wire.ANTHROPIC else OPENAI_URL
        return parse_url(self.provider.url or default)

    @cached_property
    def dialect(self) -> Dialect:
        """Whom it speaks like."""
        return _dialect(self.provider, self.url)

    @cached_property
    def _prices(self) -> PriceList:
        return PriceList(base_url=str(self.url))

    @cached_property
    def _home_prices(self) -> PriceList:
        return PriceList(base_url=ANTHROPIC_URL if self.provider.wire is Wire.ANTHROPIC else OPENAI_URL)

    @cached_property
    def _any_prices(self) -> PriceList:
        return PriceList(base_url=None)

    def speaks(self, wire: WireFormat) -> bool:
        """Whether it takes calls in this format."""
        return wire.is_anthropic == (self.dialect is Dialect.ANTHROPIC)

    def url_of(self, wire: WireFormat, model: str) -> Url:
        """Where a call goes."""
        key = (wire, model if self.provider.api_version else "")
        if key not in self._urls:
            self._urls[key] = self.url.below(self._path(wire, model))
        return self._urls[key]

    async def headers(self) -> Mapping[str, str]:
        """The header with the vendor's key.

        Raises:
            SecretUnavailable: the reference does not resolve, or to a key of our own where a vendor is asked.
        """
        if not self.provider.key:
            return {}
        key = await self._secrets.resolved(self.provider.key)
        if not self.provider.url and read_key(key) is not None:
            # What a shell that has read an agent's variables has in the place of the vendor's.
            raise SecretUnavailable(
                f"{self.provider.key!r} of provider {self.provider.name!r} is a key of Leverframe's own, which opens"
                " this gateway and no vendor; it is not sent there.",
                next_move="Start Leverframe in a shell with the vendor's key, which has not read an agent's variables.",
            )
        if self.dialect is Dialect.ANTHROPIC:
            return {"x-api-key": key}
        return {"api-key": key} if self.dialect is Dialect.AZURE else {"Authorization": f"Bearer {key}"}

    def price(self, model: str, now: datetime) -> CallPrice:
        """What the model's tokens cost.

        Raises:
            ModelUnpriced: nobody here knows.
        """
        # Each call asks three times, and the lists are several.
        key = (model, half_hour(now))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            known = self._known[key] = self._looked_up(model, now)
        return known

    def _looked_up(self, model: str, now: datetime) -> CallPrice:
        listed = self.listed_as(model)
        if listed == BILLED_BY_NOBODY:
            return _FREE
        price = self._prices.price(listed, now)
        if price is None and (listed != model or is_own_host(self.provider, self.url)):
            # Some names are found only in the list of the vendor whose format is spoken.
            price = self._any_prices.price(listed, now) or self._home_prices.price(listed, now)
        if price is None:
            raise unpriced(self.provider, model)
        return price

    def listed_as(self, model: str) -> str:
        """What the price list calls a model."""
        return self.provider.listed_as(model)

    def _path(self, wire: WireFormat, model: str) -> str:
        version = self.provider.api_version
        if not version:
            return _PATHS[wire]
        deployment = f"/deployments/{model}" if wire in _BY_DEPLOYMENT else ""
        return f"{deployment}{_PATHS[wire]}?api-version={version}"


_FREE: Final = free_price()


def unpriced(provider: Provider, model: str) -> ModelUnpriced:
    """Nobody knows what it costs.  A host of one's own may stand before a vendor that bills, so it is asked, too."""
    return ModelUnpriced(
        f"The price of {f'{provider.name}/{model}'!r} is not known (unpriced), so no budget can hold it.",
        next_move=f"Say under which name `genai-prices` lists it: `priced_as: {{{model}: gpt-4o}}` of provider"
        f" {provider.name!r}; or `{{{model}: free}}` where nobody bills for it.",
    )


def is_own_host(provider: Provider, url: Url) -> bool:
    """Whether this can only be a private host, whose models go by any vendor's names."""
    if not provider.allows_private_hosts:
        return False
    if url.scheme == "http":
        return True
    try:
        return is_private(url.host)
    except ValueError:  # a name, which may be anybody's
        return False


def _dialect(provider: Provider, url: Url) -> Dialect:
    if provider.wire is Wire.ANTHROPIC:
        return Dialect.ANTHROPIC
    if url.host == parse_url(OPENAI_URL).host:
        return Dialect.OPENAI
    if provider.api_version or url.host.endswith(_AZURE):
        return Dialect.AZURE
    return Dialect.COMPATIBLE
