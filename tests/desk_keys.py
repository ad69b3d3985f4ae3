"""The key of an agent of the desk, made as a person makes one."""

from datetime import timedelta

from leverframe.domain.authority import ApiKey
from leverframe.domain.ids import EnvironmentName, PrincipalId, TeamName, WorkflowName
from leverframe.runtime.keys import Wanted, create_key
from leverframe.runtime.services import Services
from tests.door_desk import TENANT


async def desk_key(services: Services, *, may_open_runs: bool = True, lives_for: timedelta | None = None) -> ApiKey:
    """A key for the workflow `desk`."""
    wanted = Wanted(
        tenant=TENANT,
        name="desk",
        team=TeamName(""),
        workflows=frozenset({WorkflowName("desk")}),
        environments=frozenset({EnvironmentName("default")}),
        may_open_runs=may_open_runs,
        lives_for=lives_for,
    )
    return (await create_key(services, services.people[PrincipalId("person:lena")], wanted, proof="test")).key
