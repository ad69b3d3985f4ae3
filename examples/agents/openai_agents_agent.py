"""An agent of the OpenAI Agents SDK with one tool, as its documentation writes one."""

import os

from agents import Agent, Runner, function_tool


@function_tool
def order_status(order_id: str) -> str:
    """Look up what became of an order."""
    return f"Order {order_id} was delivered yesterday."


agent = Agent(
    name="Desk",
    model=os.environ.get("MODEL", "gpt-5-mini"),
    instructions="Look the order up before you answer. Be brief.",
    tools=[order_status],
)

if __name__ == "__main__":
    print(Runner.run_sync(agent, "Where is my order #W2378156?").final_output)
