/**
 * Fail when a built file is heavier than budgets.json allows: node budget.mjs [--json]
 *
 * Budgets are in bytes as served: Zopfli's gzip, brotli 11; a kilobyte is 1,024 of them. A goal is what a
 * script should come down to: it is shown, and fails nothing.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compressed } from "./compressed.mjs";

const tracking = dirname(dirname(fileURLToPath(import.meta.url)));

/** What a file weighs: as it is, and as a server sends it. */
export async function weigh(contents) {
  const { br, gz } = await compressed(contents);
  return { min: contents.length, gzip: gz.length, brotli: br.length };
}

/** Each script of `dist/`, by the name that budgets.json has for it: its weights, its budget, what is over. */
export async function weighDist(dist = join(tracking, "dist"), budgets = join(tracking, "budgets.json")) {
  const { files, plugins, otherPlugins } = await readJson(budgets);
  const { assets, pinned, plugins: chunks } = await readJson(join(dist, "assets.json"));
  // The same bytes once more, under a name that tells them.
  const copies = new Set(Object.values(pinned));
  const nameOf = Object.fromEntries(Object.entries(chunks).map(([name, file]) => [file, name]));
  const scripts = [...new Set([...Object.keys(assets), ...Object.values(chunks)])].filter((file) => !copies.has(file));
  const weighed = scripts.map(async (file) => {
    const plugin = nameOf[file];
    const budget = plugin ? (plugins[plugin] ?? otherPlugins) : files[file];
    const weights = await weigh(await readFile(join(dist, file)));
    const isOver = (limits) => Object.keys(weights).filter((kind) => weights[kind] > limits?.[kind]);
    const over = isOver(budget);
    // A script that nobody gave a budget may not slip in.
    return { name: plugin ?? file, file, ...weights, budget: budget ?? null, over: budget ? over : ["no budget"], short: isOver(budget?.goal) };
  });
  const rows = (await Promise.all(weighed)).sort((a, b) => b.min - a.min);
  const built = new Set(rows.map(({ name }) => name));
  // Renamed, a script would leave its budget behind and go by the wider one.
  for (const [name, budget] of Object.entries({ ...files, ...plugins })) {
    if (!built.has(name)) rows.push({ name, file: null, min: 0, gzip: 0, brotli: 0, budget, over: ["not built"], short: [] });
  }
  return rows;
}

async function readJson(file) {
  return JSON.parse(await readFile(file, "utf8"));
}

function print(rows) {
  const right = (value) => String(value).padStart(8);
  console.log("".padEnd(16) + ["min", "gzip", "brotli"].map(right).join("") + "  budget");
  for (const { name, min, gzip, brotli, budget, over, short } of rows) {
    const { goal, ...limits } = budget ?? {};
    const list = (bytes) => Object.entries(bytes).map(([kind, count]) => `${kind} ${count}`).join(", ");
    const verdict =
      (over.length ? `  OVER: ${over.join(", ")}` : "") + (short.length ? `  not yet at its goal: ${list(goal)}` : "");
    console.log(name.padEnd(16) + [min, gzip, brotli].map(right).join("") + "  " + list(limits) + verdict);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = await weighDist();
  if (process.argv.includes("--json")) console.log(JSON.stringify(rows));
  else print(rows);
  if (rows.some(({ over }) => over.length)) process.exitCode = 1;
}
