"""Who reads the output of a run, and the call by which it is given to them."""

from typing import Final

from leverframe.domain.ids import ToolName
from leverframe.domain.words import Word

GIVE_OUTPUT: Final = ToolName("give_output")


class Audience(Word):
    """Who reads the output; the value is the word of the contract key `audience`."""

    SUBJECT = "subject"  # whose data the run is about
    TENANT = "tenant"
    PUBLIC = "public"
