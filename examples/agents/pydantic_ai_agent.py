"""A pydantic-ai agent with one tool, as its documentation writes one.  Which model it asks is in its environment."""

import os

from pydantic_ai import Agent

agent = Agent(
    f"openai:{os.environ.get('MODEL', 'gpt-5-mini')}",
    instructions="Look the order up before you answer. Be brief.",
)


@agent.tool_plain
def order_status(order_id: str) -> str:
    """Look up what became of an order."""
    return f"Order {order_id} was delivered yesterday."


if __name__ == "__main__":
    print(agent.run_sync("Where is my order #W2378156?").output)
