// The official Node SDKs, unmodified and configured by their environment alone.  Prints one JSON object: each check by
// name, and "" or what went wrong.  The packages are found from the folder in SDK_ROOT.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.SDK_ROOT}/package.json`);
const { default: OpenAI } = require("openai");
const { default: Anthropic } = require("@anthropic-ai/sdk");
const { betaTool } = require("@anthropic-ai/sdk/helpers/beta/json-schema");

const HELLO = "Hello, I am here to help.";
const GPT = "gpt-5-mini";
const CLAUDE = "claude-sonnet-5";
const HI = [{ role: "user", content: "Hi" }];
const TOOLS_PLEASE = [{ role: "user", content: "Please use every tool for my order." }];
const PICTURE = Buffer.from("a little picture").toString("base64");
const ADDRESS = "https://example.com/picture.png?secret=1";
const PARAMETERS = { type: "object", properties: { order_id: { type: "string" } }, required: ["order_id"] };
const ORDER = {
  type: "object",
  properties: { order_id: { type: "string" }, lines: { type: "array", items: { type: "integer" } } },
  required: ["order_id", "lines"],
  additionalProperties: false,
};
const FUNCTIONS = ["look_up", "cancel"].map((name) => ({ type: "function", function: { name, parameters: PARAMETERS } }));
const TOOLS = ["look_up", "cancel"].map((name) => ({ name, input_schema: PARAMETERS }));

const openai = new OpenAI();
const anthropic = new Anthropic();
const chat = (more = {}, options = {}) => openai.chat.completions.create({ model: GPT, messages: HI, ...more }, options);
const message = (more = {}, options = {}) =>
  anthropic.messages.create({ model: CLAUDE, max_tokens: 100, messages: HI, ...more }, options);
const collected = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
};
const refused = async (promise, kind) => {
  const error = await promise.then(() => assert.fail("it was answered"), (err) => err);
  assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  return error;
};

const checks = {
  async openai_plain() {
    const answer = await chat();
    assert.equal(answer.choices[0].message.content, HELLO);
    assert.equal(answer.usage.completion_tokens, 6);
  },
  async openai_stream() {
    const parts = await collected(await chat({ stream: true }));
    assert.equal(parts.map((part) => part.choices[0]?.delta.content ?? "").join(""), HELLO);
    assert.ok(parts.every((part) => !part.usage));
    const counted = await collected(await chat({ stream: true, stream_options: { include_usage: true } }));
    assert.equal(counted.at(-1).usage.completion_tokens, 6);
  },
  async openai_tools() {
    const asked = (await chat({ messages: TOOLS_PLEASE, tools: FUNCTIONS })).choices[0].message;
    assert.deepEqual(asked.tool_calls.map((call) => call.function.name), ["look_up", "cancel"]);
    const results = asked.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "done" }));
    const told = await chat({ messages: [...TOOLS_PLEASE, asked, ...results], tools: FUNCTIONS });
    assert.equal(told.choices[0].message.content, "The tool says: done; done");
  },
  async openai_tools_streamed() {
    const stream = openai.chat.completions.stream({ model: GPT, messages: TOOLS_PLEASE, tools: FUNCTIONS });
    const calls = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
    assert.deepEqual(calls.map((call) => call.function.arguments), ['{"order_id": "W1"}', '{"order_id": "W1"}']);
  },
  async openai_structured_output() {
    const json_schema = { name: "order", strict: true, schema: ORDER };
    const parsed = await openai.chat.completions.parse({
      model: GPT, messages: HI, response_format: { type: "json_schema", json_schema },
    });
    assert.deepEqual(JSON.parse(parsed.choices[0].message.content), { order_id: "W1", lines: [1] });
    const format = { type: "json_schema", name: "order", strict: true, schema: ORDER };
    const response = await openai.responses.parse({ model: GPT, input: "Hi", text: { format } });
    assert.deepEqual(JSON.parse(response.output_text), { order_id: "W1", lines: [1] });
  },
  async openai_parsed_goes_back() {
    const response_format = { type: "json_schema", json_schema: { name: "order", strict: true, schema: ORDER } };
    const { message: parsed } = (await openai.chat.completions.parse({ model: GPT, messages: HI, response_format })).choices[0];
    assert.ok("parsed" in parsed);
    assert.equal((await chat({ messages: [...HI, parsed, ...HI] })).choices[0].message.content, HELLO);
  },
  async openai_runs_tools() {
    const look_up = { name: "look_up", description: "", parameters: PARAMETERS, parse: JSON.parse };
    const tools = [{ type: "function", function: { ...look_up, function: ({ order_id }) => `${order_id} is here` } }];
    for (const stream of [false, true]) {
      const runner = openai.chat.completions.runTools({ model: GPT, messages: HI, tools, stream });
      assert.equal(await runner.finalContent(), "The tool says: W1 is here");
    }
  },
  async openai_images() {
    const shown = (url) => chat({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] });
    assert.equal((await shown(`data:image/png;base64,${PICTURE}`)).choices[0].message.content, "I see 1 image.");
    const error = await refused(shown(ADDRESS), OpenAI.BadRequestError);
    assert.equal(error.code, "remote_url");
    assert.equal(error.param, "messages[0].content[0].image_url.url");
  },
  async openai_responses() {
    assert.equal((await openai.responses.create({ model: GPT, input: "Hi" })).output_text, HELLO);
    const final = await openai.responses.stream({ model: GPT, input: "Hi" }).finalResponse();
    assert.equal(final.output_text, HELLO);
    const tools = [{ type: "function", name: "look_up", parameters: PARAMETERS, strict: false }];
    const call = (await openai.responses.create({ model: GPT, input: "Hi", tools })).output[0];
    const result = { type: "function_call_output", call_id: call.call_id, output: "delivered" };
    const input = [{ role: "user", content: "Hi" }, call, result];
    const told = await openai.responses.create({ model: GPT, input, tools });
    assert.equal(told.output_text, "The tool says: delivered");
  },
  async openai_embeddings() {
    const answer = await openai.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
    assert.deepEqual(answer.data.map((one) => one.embedding), [[0.5, 0.25], [0.5, 0.25]]);
  },
  async openai_models() {
    const names = (await collected(openai.models.list())).map((one) => one.id);
    assert.ok(names.includes(GPT) && names.includes("fast"), names.join());
    await refused(openai.models.retrieve("gpt-nobody"), OpenAI.NotFoundError);
  },
  async openai_errors() {
    const kinds = {
      e400: OpenAI.BadRequestError, e404: OpenAI.NotFoundError,
      "e429-a7": OpenAI.RateLimitError, e500: OpenAI.InternalServerError,
    };
    for (const [trouble, kind] of Object.entries(kinds)) {
      const error = await refused(chat({ model: `${GPT}-${trouble}` }, { maxRetries: 0 }), kind);
      assert.equal(error.code, `vendor_${trouble.slice(1, 4)}`);
      assert.equal(error.requestID, "req_1");
    }
    const stranger = new OpenAI({ apiKey: "lf_nobody" });
    await refused(stranger.models.list(), OpenAI.AuthenticationError);
  },
  async openai_budget() {
    const spent = new OpenAI({ apiKey: process.env.SPENT_KEY });
    await spent.chat.completions.create({ model: GPT, messages: HI });
    const error = await refused(spent.chat.completions.create({ model: GPT, messages: HI }), OpenAI.RateLimitError);
    assert.equal(error.code, "insufficient_quota");
    assert.equal(error.headers.get("x-ratelimit-remaining-requests"), "0");
  },
  async openai_retries() {
    assert.equal((await chat({ model: `${GPT}-e503-f1` })).choices[0].message.content, HELLO);
  },
  async openai_early_close() {
    for await (const part of await chat({ model: `${GPT}-g20`, stream: true })) {
      assert.ok(part);
      break;
    }
  },
  async anthropic_plain() {
    const answer = await message();
    assert.deepEqual([answer.content[0].text, answer.usage.output_tokens], [HELLO, 6]);
    assert.equal(answer._request_id, "req_1");
  },
  async anthropic_stream() {
    const stream = anthropic.messages.stream({ model: CLAUDE, max_tokens: 100, messages: HI });
    const final = await stream.finalMessage();
    assert.deepEqual([final.content[0].text, final.usage.output_tokens], [HELLO, 6]);
  },
  async anthropic_tools() {
    for (const isStreamed of [false, true]) {
      const asked = { model: CLAUDE, max_tokens: 100, messages: TOOLS_PLEASE, tools: TOOLS };
      const answer = isStreamed ? await anthropic.messages.stream(asked).finalMessage() : await message(asked);
      assert.deepEqual(answer.content.map((one) => [one.name, one.input.order_id]), [["look_up", "W1"], ["cancel", "W1"]]);
      const results = answer.content.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "done" }));
      const rest = [{ role: "assistant", content: answer.content }, { role: "user", content: results }];
      const told = await message({ messages: [...TOOLS_PLEASE, ...rest], tools: TOOLS });
      assert.equal(told.content[0].text, "The tool says: done; done");
    }
  },
  async anthropic_runs_tools() {
    // It asks for a thread that the vendor holds, and goes on without one where that is refused.
    const look_up = betaTool({
      name: "look_up", description: "", inputSchema: PARAMETERS, run: async ({ order_id }) => `${order_id} is here`,
    });
    const asked = { model: CLAUDE, max_tokens: 100, messages: HI, tools: [look_up] };
    const answer = await anthropic.beta.messages.toolRunner(asked);
    assert.equal(answer.content[0].text, "The tool says: W1 is here");
  },
  async anthropic_structured_output() {
    const answer = await message({ output_config: { format: { type: "json_schema", schema: ORDER } } });
    assert.deepEqual(JSON.parse(answer.content[0].text), { order_id: "W1", lines: [1] });
  },
  async anthropic_images() {
    const shown = (source) => message({ messages: [{ role: "user", content: [{ type: "image", source }] }] });
    const packed = { type: "base64", media_type: "image/png", data: PICTURE };
    assert.equal((await shown(packed)).content[0].text, "I see 1 image.");
    const error = await refused(shown({ type: "url", url: ADDRESS }), Anthropic.BadRequestError);
    assert.match(error.message, /messages\[0\]\.content\[0\]\.source\.url/);
  },
  async anthropic_count_tokens() {
    assert.ok((await anthropic.messages.countTokens({ model: CLAUDE, messages: HI })).input_tokens > 0);
  },
  async anthropic_models() {
    const names = (await collected(anthropic.models.list())).map((one) => one.id);
    assert.ok(names.includes(CLAUDE), names.join());
  },
  async anthropic_errors() {
    const kinds = {
      e400: Anthropic.BadRequestError, e404: Anthropic.NotFoundError,
      "e429-a7": Anthropic.RateLimitError, e500: Anthropic.InternalServerError,
    };
    for (const [trouble, kind] of Object.entries(kinds)) {
      const error = await refused(message({ model: `${CLAUDE}-${trouble}` }, { maxRetries: 0 }), kind);
      assert.equal(error.requestID, "req_1");
    }
    const stranger = new Anthropic({ apiKey: "lf_nobody" });
    const asked = { model: CLAUDE, max_tokens: 100, messages: HI };
    await refused(stranger.messages.create(asked), Anthropic.AuthenticationError);
  },
  async anthropic_retries() {
    assert.equal((await message({ model: `${CLAUDE}-e529-f1` })).content[0].text, HELLO);
  },
  async anthropic_early_close() {
    for await (const part of await message({ model: `${CLAUDE}-g20`, stream: true })) {
      assert.ok(part);
      break;
    }
  },
};

const found = {};
for (const [name, check] of Object.entries(checks)) {
  found[name] = await check().then(() => "", (err) => `${err.stack}`);
}
process.stdout.write(JSON.stringify(found));
process.exit(0);
