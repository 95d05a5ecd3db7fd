// The simulated provider and the service as processes, in a folder of their own.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = process.env.SLUICE_BINARY;

// Resolves with the URL that the process says it listens on.
function start(args) {
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let text = "";
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`sluice ${args[0]} ended with ${code}`)));
    child.stdout.on("data", (bytes) => {
      text += bytes;
      const at = text.match(/listening on (\S+)\n/);
      if (at) resolve({ child, url: at[1] });
    });
  });
}

function stop({ child }) {
  return new Promise((resolve) => {
    child.removeAllListeners("exit");
    child.on("exit", (code) => resolve(code));
    child.kill("SIGTERM");
  });
}

// Two requests of the model "slow" fit at once, so a third one waits.
// more: further top-level keys.
const config = (sim, dir, more) => `
listen: 127.0.0.1:0
data_dir: ${dir}/data
log: {level: warn}
${more}providers:
  - name: sim
    format: openai
    base_url: ${sim}/v1
    api_key: sk-simulated-0123456789
    models:
      - {name: gpt-4o, rpm: 600, tpm: 60000, max_parallel_requests: 8}
      - {name: slow, rpm: 2}
      - {name: wall, tpm: 100, default_output_tokens: 10}
  - name: claude
    format: anthropic
    base_url: ${sim}
    api_key: sk-simulated-0123456789
    models:
      - {name: "claude-*", pool: claude, rpm: 60, itpm: 30000, otpm: 8000}
`;

export async function withStack(use, more = "") {
  const dir = await mkdtemp(join(tmpdir(), "sluice-openapi-"));
  const sim = await start(["simulate", "--listen", "127.0.0.1:0", "--latency-ms", "1"]);
  try {
    await writeFile(join(dir, "sluice.yaml"), config(sim.url, dir, more));
    const serve = await start(["serve", "--config", join(dir, "sluice.yaml")]);
    try {
      await use(serve);
    } finally {
      const code = await stop(serve);
      if (code !== 0) throw new Error(`sluice serve ended with ${code}`);
    }
  } finally {
    await stop(sim);
    await rm(dir, { recursive: true, force: true });
  }
}
