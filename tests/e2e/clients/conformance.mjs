// Makes the calls of tests/support/conformance.py with openai for Node, eight at a time, and says
// what it saw of each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [base, key, file, home] = process.argv.slice(2);
const OpenAI = createRequire(home + "/")("openai").default;
const client = new OpenAI({ baseURL: base, apiKey: key, maxRetries: 0 });
const calls = {
  chat: (body) => client.chat.completions.create(body),
  completions: (body) => client.completions.create(body),
  embeddings: (body) => client.embeddings.create(body),
  models: async () => ({ data: (await client.models.list()).data }),
  model: (body) => client.models.retrieve(body.model),
};

async function see({ call, body }) {
  try {
    const answer = await calls[call](body);
    if (!body.stream) return { body: answer };
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { chunks };
  } catch (error) {
    return {
      error: { class: error.constructor.name, status: error.status, code: error.code, param: error.param },
    };
  }
}

const waiting = JSON.parse(readFileSync(file, "utf8"));
const seen = {};
async function work() {
  for (let check; (check = waiting.shift()); ) seen[check.name] = await see(check);
}
await Promise.all(Array.from({ length: 8 }, work));
console.log(JSON.stringify(seen));
