"""The tools of the runtime itself that need nothing else: a plan that is declared, an output that is given."""

from leverframe.domain.calls import ToolAnswer, ToolOk, ToolRequest
from leverframe.domain.pins import Closed
from leverframe.domain.tools import BuiltIn, BuiltInOrigin, ToolSpec
from leverframe.ports.acting import ToolExecutor


class BuiltInTools(ToolExecutor):
    """Answers a call of which all that matters is that it was decided and recorded; nothing leaves the process."""

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        origin = request.spec.origin
        if isinstance(origin, BuiltInOrigin) and origin.name is BuiltIn.PLAN:
            return ToolOk(value=request.args)
        # The values of an output are not the run's to call with: none of them comes back.
        return ToolOk(value={"given": True})

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; it always can."""
        del spec
        return ""

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Why a review must come first; nobody reviews what no server offers."""
        del spec
        return None

    def pin(self, spec: ToolSpec) -> str:
        """Nothing: it is of this very process."""
        del spec
        return ""

    async def close(self) -> None:
        """Nothing was started."""
