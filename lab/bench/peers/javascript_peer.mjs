// The published example's job in JavaScript: @google/adk, and by hand what the Python
// SDK does, with Node's own pooled fetch.
//
// Arguments: sessions, and how many run at once. Prints what they cost, warm.
import { FunctionTool, InMemoryRunner, LlmAgent, LogLevel, setLogLevel } from '@google/adk';
import { z } from 'zod';

setLogLevel(LogLevel.ERROR);
const env = process.env, api = env.ANALYST_API_URL, org = `${env.LUMOAUTH_URL}/orgs/${env.LUMOAUTH_ORG_ID}/api/v1`;
const prompt = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.";

async function ask(path, token, body) {
  const resp = await fetch(org + path, {
    method: 'POST', body: body && JSON.stringify(body), headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  });
  if (!resp.ok) throw new Error(`${path}: ${resp.status} ${await resp.text()}`);
  return resp.json();
}

const login = await fetch(`${org}/oauth/token`, {
  method: 'POST',
  body: new URLSearchParams({ grant_type: 'client_credentials', client_id: env.AGENT_CLIENT_ID, client_secret: env.AGENT_CLIENT_SECRET }),
}).then((r) => r.json());
const base = login.access_token;

async function call(task, method, url, body) {
  const send = (token) => fetch(url, {
    method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  });
  let resp = await send(base);
  const demand = resp.headers.get('insufficient-authorization-details');
  if (resp.status === 403 && demand) {
    await resp.text();
    const asked = await ask('/jit/request', base, {
      task_id: task, authorization_details: JSON.parse(Buffer.from(demand, 'base64')), justification: `${method} ${url}`,
    });
    if (asked.status !== 'approved') throw new Error(asked.status);
    const granted = await ask(`/jit/request/${asked.request_id}/token`, base);
    resp = await send(granted.access_token);
  }
  if (!resp.ok) throw new Error(`${url}: ${resp.status}`);
  return { result: await resp.text() };
}

async function session() {
  const { task_id: task } = await ask('/jit/task', base, { name: 'protected data analysis' });
  try {
    const agent = new LlmAgent({
      name: 'protected_data_analyst', model: 'gemini-2.5-flash',
      instruction: 'You are a senior data analyst. Use the tools to read documents and to create reports.',
      tools: [
        new FunctionTool({
          name: 'fetch_document', description: 'Fetch one document by its identifier.', parameters: z.object({ document_id: z.string() }),
          execute: ({ document_id: id }) => call(task, 'GET', `${api}/v1/documents/${id}`),
        }),
        new FunctionTool({
          name: 'create_report', description: 'Create a report.', parameters: z.object({ title: z.string(), content: z.string() }),
          execute: (report) => call(task, 'POST', `${api}/v1/reports`, report),
        }),
      ],
    });
    const runner = new InMemoryRunner({ agent, appName: 'analyst' });
    const s = await runner.sessionService.createSession({ appName: 'analyst', userId: 'u' });
    let calls = 0;
    for await (const event of runner.runAsync({ userId: 'u', sessionId: s.id, newMessage: { role: 'user', parts: [{ text: prompt }] } })) {
      if (event.errorCode) throw new Error(event.errorMessage);
      for (const p of event.content?.parts ?? []) if (p.functionResponse) calls++;
    }
    if (calls !== 2) throw new Error(`${calls} calls`);
  } finally {
    await ask(`/jit/task/${task}/complete`, base);
  }
}

async function sessions(n, atOnce) {
  let left = n;
  const worker = async () => { while (left-- > 0) await session(); };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const [n, atOnce] = process.argv.slice(2).map(Number);
await sessions(Math.max(5, atOnce), atOnce);
const cpu = process.cpuUsage(), start = performance.now();
await sessions(n, atOnce);
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({
  cpu_ms: (used.user + used.system) / 1000 / n, wall_ms: (performance.now() - start) / n, rss_mb: process.resourceUsage().maxRSS / 1024,
}));
