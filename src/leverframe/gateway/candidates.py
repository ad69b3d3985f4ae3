"""Which models are asked for the one that a call names."""

from leverframe.core.leaves import is_cleartext
from leverframe.domain.contracts import Contract, Enforce, ModelRef, Project, Wire
from leverframe.domain.errors import NotFound, WireRefused
from leverframe.domain.relays import WireFormat


def candidates_of(project: Project, contract: Contract, asked: str, wire: WireFormat) -> tuple[ModelRef, ...]:
    """Who is asked for a model: of those that the name means, those that speak the call's format.

    Raises:
        NotFound: the contract has no such model.
        WireRefused: it has, and none of them speaks the format.
    """
    if contract.enforce is Enforce.OBSERVE:
        return _watched(project, contract, asked, wire)
    found = tuple(one for one in _named(project, contract, asked) if _speaks(project, one.provider, wire))
    if not found:
        other = "/v1/chat/completions or /v1/responses" if wire.is_anthropic else "/v1/messages"
        raise WireRefused(
            f"The model {asked[:100]!r} is of a provider that does not speak {wire.value}, and nothing is translated.",
            code="wrong_format",
            param="model",
            next_move=f"Ask it at {other}.",
        )
    return found


def _watched(project: Project, contract: Contract, asked: str, wire: WireFormat) -> tuple[ModelRef, ...]:
    """Of a workflow that is only watched: its own tier, else another, else whoever of the project speaks the format."""
    own = project.tiers.get(contract.tier, ())
    every = tuple(dict.fromkeys(one for tier in project.tiers.values() for one in tier))
    provider, _, model = asked.partition("/")
    ways = (
        own if asked == contract.tier else _meant(own, asked),
        project.tiers.get(asked, ()),
        _meant(every, asked),
        (ModelRef(provider=provider, model=model),) if model else (),
        *((ModelRef(provider=name, model=asked),) for name in (*(one.provider for one in own), *project.providers)),
    )
    # No contract can write such a name down, and no record can say in clear that it was asked for.
    if not is_cleartext(asked):
        raise NotFound(
            f"{asked[:100]!r} is no name of a model.", next_move="Name one in at most 256 characters, without blanks."
        )
    for way in ways:
        found = tuple(one for one in way if _speaks(project, one.provider, wire))
        if found:
            return found
    raise WireRefused(
        f"No provider of this project speaks {wire.value}, so nobody can be asked for {asked[:100]!r}.",
        code="wrong_format",
        param="model",
        next_move="Add one: `providers` of leverframe.yaml.",
    )


def _meant(models: tuple[ModelRef, ...], asked: str) -> tuple[ModelRef, ...]:
    return tuple(one for one in models if asked in (one.model, f"{one.provider}/{one.model}"))


def _speaks(project: Project, name: str, wire: WireFormat) -> bool:
    provider = project.providers.get(name)
    return provider is not None and provider.wire is (Wire.ANTHROPIC if wire.is_anthropic else Wire.OPENAI)


def _named(project: Project, contract: Contract, asked: str) -> tuple[ModelRef, ...]:
    """The tier of the contract by its name, else those of it that the name means."""
    tier = project.tiers.get(contract.tier, ())
    if asked == contract.tier:
        return tier
    found = _meant(tier, asked)
    if not found:
        known = ", ".join([contract.tier, *(one.model for one in tier)])
        raise NotFound(
            f"The model {asked[:100]!r} is not one of workflow {contract.workflow!r}.", next_move=f"It has: {known}."
        )
    return found
