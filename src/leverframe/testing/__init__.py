"""Fakes for tests: a model that answers by script, a vendor that counts, a receiver that counts, a clock that stands.

Only what is outside is faked: clocks, models and receivers.  Real servers on a loopback port, so that what is tested
is what runs.
"""

from leverframe.testing.clock import FakeClock, FakeEntropy
from leverframe.testing.conversing_vendor import ConversingVendor
from leverframe.testing.mcp_host import CredentialedMcpServer
from leverframe.testing.receiver import CountingReceiver
from leverframe.testing.scripted_model import ScriptedModel, say, stumble, use_tool
from leverframe.testing.troubled_vendor import TroubledVendor
from leverframe.testing.vendor import FakeVendor

__all__ = [
    "ConversingVendor",
    "CountingReceiver",
    "CredentialedMcpServer",
    "FakeClock",
    "FakeEntropy",
    "FakeVendor",
    "ScriptedModel",
    "TroubledVendor",
    "say",
    "stumble",
    "use_tool",
]
