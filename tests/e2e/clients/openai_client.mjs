// The openai package for Node: whole, streamed, tools, structured output, responses.
import { createRequire } from "node:module";

const [base, key, text, home] = process.argv.slice(2);
const OpenAI = createRequire(home + "/")("openai").default;
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: text }];
const said = {};

const whole = await client.chat.completions.create({ model: "gpt-test", messages });
said.whole = whole.choices[0].message.content;

said.streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "gpt-test", messages, stream: true }))
  said.streamed += chunk.choices[0]?.delta?.content ?? "";

const parameters = { type: "object", properties: { about: { type: "string" } } };
const tools = [{ type: "function", function: { name: "look_up", parameters } }];
const called = await client.chat.completions.create({ model: "standin-tool", messages, tools });
said.tool = JSON.parse(called.choices[0].message.tool_calls[0].function.arguments).about;

const response_format = { type: "json_schema", json_schema: { name: "about", schema: parameters } };
const typed = await client.chat.completions.create({ model: "gpt-test", messages, response_format });
said.structured = JSON.parse(typed.choices[0].message.content).about;

said.responses = (await client.responses.create({ model: "gpt-test", input: text })).output_text;
let piece = "";
for await (const event of await client.responses.create({ model: "gpt-test", input: text, stream: true }))
  if (event.type === "response.output_text.delta") piece += event.delta;
said["responses streamed"] = piece;

try {
  await client.chat.completions.create({ model: "gpt-unheard-of", messages });
} catch (error) {
  said.error = `${error.constructor.name} ${error.status} ${error.code}`;
}
console.log(JSON.stringify(said));
