"""The tools of the runtime itself: what was asked is what is answered, and nothing leaves the process."""

from leverframe.domain.calls import ToolAnswer, ToolOk, ToolRequest
from leverframe.domain.pins import Closed
from leverframe.domain.tools import ToolSpec
from leverframe.ports.acting import ToolExecutor


class BuiltInTools(ToolExecutor):
    """Gives a decided call its own arguments back: that it was decided, and recorded, is all that it is for."""

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        return ToolOk(value=request.args)

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
