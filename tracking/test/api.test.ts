import assert from "node:assert/strict";
import { test } from "node:test";
import { installApi, isInstalled, type Commands, type Sluice } from "../src/api";

function commandsInto(calls: unknown[][]): Commands {
  const record = (name: string) => (...args: unknown[]) => void calls.push([name, ...args]);
  const names = ["track", "page", "identify", "alias", "group", "reset", "consent", "optOut", "optIn", "flush", "use"];
  return Object.fromEntries(names.map((name) => [name, record(name)])) as unknown as Commands;
}

function aStub() {
  const stub = function (...command: unknown[]) {
    (stub.q = stub.q || []).push(command);
  } as { (...command: unknown[]): void; q?: unknown[][] };
  return stub;
}

test("commands from before the script came are replayed in order, then run at once", () => {
  const calls: unknown[][] = [];
  const host: { sluice: unknown } = { sluice: aStub() };
  (host.sluice as Sluice)("track", "early", { n: 1 });
  const replay = installApi(host, "sluice", commandsInto(calls));
  const sluice = host.sluice as Sluice;
  sluice("identify", "u_1");
  sluice.track("method");
  assert.deepEqual(calls, []);
  replay();
  sluice("flush");
  sluice.q.push(["track", "late"]);
  assert.deepEqual(calls, [["track", "early", { n: 1 }], ["identify", "u_1"], ["track", "method"], ["flush"], ["track", "late"]]);
});

test("no command throws into the page: unknown, hostile or broken", () => {
  const host = {} as { sluice: Sluice };
  const commands = commandsInto([]);
  commands.track = () => {
    throw new Error("broken");
  };
  installApi(host, "sluice", commands)();
  for (const command of [["nope"], [], ["__proto__"], ["constructor"], ["track", "x"], [Symbol("s")], [null]]) {
    host.sluice(...command);
  }
  host.sluice.track("x");
  assert.ok(isInstalled(host, "sluice"));
});

test("a stub is not the tracker", () => {
  assert.equal(isInstalled({}, "sluice"), false);
  assert.equal(isInstalled({ sluice: aStub() }, "sluice"), false);
});
