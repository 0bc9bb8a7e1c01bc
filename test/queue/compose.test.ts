import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/process/clock.ts';
import { startValkey } from '../../src/queue/valkey.ts';
import { findServer } from '../../src/queue/valkey-program.ts';
import { PYTHON } from '../support/python.ts';

const COMPOSE: { services: { valkey: { image: string; command: string[] } } } = parse(
  readFileSync(resolve(import.meta.dirname, '../../docker-compose.yml'), 'utf8'),
);
/** Where it listens, where its files are, and whose child it is: a container has its own answers. */
const OF_THE_PLACE = ['port', 'unixsocket', 'unixsocketperm', 'dir', 'daemonize'];

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kwc-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the Valkey of docker-compose.yml', () => {
  it('has the settings of the built-in one', async () => {
    const ours = Object.entries(await settingsOfOurs()).filter(([name]) => !OF_THE_PLACE.includes(name));
    const [program, ...words] = COMPOSE.services.valkey.command;
    expect(program).toBe('valkey-server');
    expect(settingsIn(words)).toEqual(Object.fromEntries(ours));
  });

  it('is of the version that the set-up brings', async () => {
    const { version } = await findServer({ python: PYTHON });
    expect(COMPOSE.services.valkey.image).toBe(`valkey/valkey:${version.replace(/\.\d+$/, '')}-alpine`);
  });
});

/** What the built-in one is started with, as a program in its place writes down. */
async function settingsOfOurs(): Promise<Record<string, string>> {
  const binary = join(root, 'server');
  const said = join(root, 'said');
  const script = `#!/bin/sh\n[ "$1" = --version ] && exec echo 'Valkey server v=9.1.2'\nprintf '%s\\n' "$@" >'${said}'\nexit 1\n`;
  writeFileSync(binary, script, { mode: 0o755 });
  mkdirSync(join(root, 'run'), { mode: 0o700 });
  const options = { dataDir: join(root, 'data'), socketPath: join(root, 'run/s.sock'), python: PYTHON, binary };
  await expect(startValkey({ ...options, clock: systemClock, log: () => {} })).rejects.toThrow('ended with code 1');
  return settingsIn(readFileSync(said, 'utf8').split('\n').slice(0, -1));
}

/** `--name value --name value …` */
function settingsIn(words: readonly string[]): Record<string, string> {
  const names = words.filter((_, at) => at % 2 === 0);
  return Object.fromEntries(names.map((name, at) => [name.replace(/^--/, ''), words[2 * at + 1] ?? '']));
}
