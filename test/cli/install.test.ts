import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installService } from '../../src/cli/install.ts';
import { systemdUnit } from '../../src/cli/systemd-unit.ts';
import { loadConfig } from '../../src/config.ts';
import { InputError, StorageError } from '../../src/errors.ts';

const ANALYZE = '/usr/bin/systemd-analyze';
const LINUX = '6.1.0-amd64';
const WSL = '5.15.167.4-microsoft-standard-WSL2';
const COMMAND = ['/usr/lib/node', '--max-semi-space-size=2', '/usr/lib/kilnwatt/main.js'];

let home: string;
let cwd: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kilnwatt-install-'));
  cwd = join(home, 'work');
  mkdirSync(cwd);
});

afterEach(() => rmSync(home, { recursive: true }));

const unitPath = () => join(home, '.config', 'systemd', 'user', 'kilnwatt.service');
const written = () => readFileSync(unitPath(), 'utf8');

function install({ env = {}, flags = {}, kernel = LINUX }: Parts = {}): Promise<readonly string[]> {
  return installService({ loaded: loadConfig({ cwd, env: { HOME: home, ...env }, flags }), command: COMMAND, kernel });
}

interface Parts {
  readonly env?: Record<string, string>;
  readonly flags?: Record<string, string>;
  readonly kernel?: string;
}

describe('the unit', () => {
  it('starts "kilnwatt serve" again when it fails, and gives a stop more time than the batch has', () => {
    const unit = systemdUnit({ command: COMMAND, env: {}, folder: null, stopSeconds: 120.5 });
    expect(readUnit(unit)).toMatchObject({
      Service: {
        Type: ['exec'],
        ExecStart: ['"/usr/lib/node" "--max-semi-space-size=2" "/usr/lib/kilnwatt/main.js" "serve"'],
        Restart: ['on-failure'],
        KillMode: ['mixed'],
        KillSignal: ['SIGTERM'],
        TimeoutStopSec: ['151'],
        OOMPolicy: ['continue'],
      },
      Install: { WantedBy: ['default.target'] },
    });
    expect(readUnit(unit).Service).not.toHaveProperty('WorkingDirectory');
  });

  it('keeps paths and values as they are, whatever systemd would read in them', () => {
    const odd = `/a b/%h $HOME "q" 'q' \\n ;`;
    const { Service = {} } = readUnit(
      systemdUnit({ command: [`${odd}/node`, odd], env: { KILNWATT_OUT: odd }, folder: '/a b/%h', stopSeconds: 1 }),
    );
    expect(wordsOf(Service.ExecStart?.[0] ?? '', { arguments: true })).toEqual([
      '/usr/bin/env',
      `${odd}/node`,
      odd,
      'serve',
    ]);
    expect(wordsOf(Service.Environment?.[0] ?? '', { arguments: false })).toEqual([`KILNWATT_OUT=${odd}`]);
    expect(Service.WorkingDirectory).toEqual(['/a b/%%h']);
  });

  it.runIf(existsSync(ANALYZE))('is one that systemd takes, where there is a systemd to ask', () => {
    const env = { KILNWATT_OUT: `${home}/"\\n' %h $HOME` };
    for (const name of ['a b 50% $HOME', `ada's "own" \\n`]) {
      const folder = join(home, name);
      const node = join(folder, 'node');
      mkdirSync(folder);
      writeFileSync(node, '#!/bin/sh\n');
      chmodSync(node, 0o755);
      expect(verified(systemdUnit({ command: [node, '50% of $HOME'], env, folder, stopSeconds: 120 }))).toBe('');
    }
    const unit = systemdUnit({ command: ['/nowhere/node'], env, folder: null, stopSeconds: 120 });
    expect(verified(unit)).toContain('is not executable');
    expect(verified(unit.replace('KillMode=mixed', 'KillMode=some'))).toContain('Failed to parse kill mode');
  });
});

describe('serve --install', () => {
  it('writes the unit for all to read, and says what to do next', async () => {
    const sentences = await install();
    expect(statSync(unitPath()).mode & 0o777).toBe(0o644);
    expect(sentences).toEqual([
      `Wrote ${unitPath()}`,
      'Start it, now and at every login:  systemctl --user daemon-reload && systemctl --user enable --now kilnwatt',
      'Keep it running while you are logged out:  loginctl enable-linger',
      'Read what it says:  journalctl --user -u kilnwatt',
    ]);
  });

  it('puts it where XDG_CONFIG_HOME says', async () => {
    await install({ env: { XDG_CONFIG_HOME: join(home, 'xdg') } });
    expect(statSync(join(home, 'xdg', 'systemd', 'user', 'kilnwatt.service')).isFile()).toBe(true);
  });

  it('hands the service what flags and variables said, its data folder, and nothing else', async () => {
    await install({
      flags: { devices: 'cpu:2' },
      env: {
        KILNWATT_WORKER_IDLE_UNLOAD_SECONDS: 'none',
        KILNWATT_NOTIFY_ON: 'done,paused',
        KILNWATT_REDIS_URL: 'redis://host:6379',
        XDG_DATA_HOME: '/data',
      },
    });
    const environment = readUnit(written()).Service?.Environment ?? [];
    expect(environment.flatMap((line) => wordsOf(line, { arguments: false })).toSorted()).toEqual([
      'KILNWATT_DATA_DIR=/data/kilnwatt',
      'KILNWATT_DEVICES=cpu:2',
      'KILNWATT_NOTIFY_ON=done,paused',
      'KILNWATT_REDIS_URL=redis://host:6379',
      'KILNWATT_WORKER_IDLE_UNLOAD_SECONDS=none',
    ]);
  });

  it('leaves what files say to the files, and goes where the near one lies', async () => {
    writeFileSync(join(cwd, 'kilnwatt.yaml'), 'data_dir: /data\ndevices: cpu\nlimits: { stop_seconds: 600 }\n');
    await install();
    const { Service = {} } = readUnit(written());
    expect(Service.Environment).toBeUndefined();
    expect(Service.WorkingDirectory).toEqual([cwd]);
    expect(Service.TimeoutStopSec).toEqual(['630']);
  });

  it('writes no secret into it, and says where those belong', async () => {
    const sentences = await install({
      flags: { redis_url: 'redis://:hidden@host' },
      env: { KILNWATT_NOTIFY_URL: 'https://ntfy.sh/hidden', KILNWATT_NOTIFY_BODY: '{"token":"hidden"}' },
    });
    expect(written() + sentences.join()).not.toContain('hidden');
    expect(sentences).toContain(
      `Left out, because it may be secret: redis_url, notify.url, notify.body. Set it in ${join(home, '.config/kilnwatt/config.yaml')}, with chmod 600`,
    );
  });

  it('replaces its own unit, says how that takes effect, and knows when nothing has changed', async () => {
    await install();
    const again = await install({ flags: { devices: 'cpu' } });
    expect(written()).toContain('KILNWATT_DEVICES=cpu');
    expect(again[0]).toBe(`Wrote ${unitPath()}`);
    expect(again).toContain('If it runs already:  systemctl --user daemon-reload && systemctl --user restart kilnwatt');
    expect((await install({ flags: { devices: 'cpu' } }))[0]).toBe(`Nothing has changed in ${unitPath()}`);
  });

  it('leaves a unit alone that somebody else has written', async () => {
    mkdirSync(dirname(unitPath()), { recursive: true });
    writeFileSync(unitPath(), '[Service]\nExecStart=/usr/bin/mine\n');
    const attempt = install();
    await expect(attempt).rejects.toBeInstanceOf(InputError);
    await expect(attempt).rejects.toMatchObject({ code: 'unit_foreign', message: expect.stringContaining(unitPath()) });
    expect(written()).toContain('/usr/bin/mine');
  });

  it('says what is wrong with a folder that cannot be written', async () => {
    mkdirSync(join(home, '.config'));
    writeFileSync(join(home, '.config', 'systemd'), 'a file');
    const attempt = install();
    await expect(attempt).rejects.toBeInstanceOf(StorageError);
    await expect(attempt).rejects.toMatchObject({ code: 'not_writable' });
  });

  it('says under WSL what keeps Linux and Windows awake', async () => {
    const sentences = (await install({ kernel: WSL })).join('\n');
    for (const name of [
      'systemd=true',
      'instanceIdleTimeout=-1',
      'vmIdleTimeout=-1',
      'standby-timeout-ac 0',
      'wsl.exe',
    ])
      expect(sentences).toContain(name);
    expect((await install()).join('\n')).not.toContain('WSL');
  });
});

type Unit = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** Sections and their lines, as systemd reads them: comments and blank lines left out. */
function readUnit(text: string): Unit {
  const unit: Record<string, Record<string, string[]>> = {};
  let section: Record<string, string[]> = {};
  for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
    const [, heading] = /^\[(\w+)\]$/.exec(line) ?? [];
    const [, name, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (heading !== undefined) {
      section = {};
      unit[heading] = section;
    } else if (name !== undefined) section[name] = [...(section[name] ?? []), value];
    else throw new Error(`systemd cannot read this line: ${line}`);
  }
  return unit;
}

/** What systemd makes of quoted words: escapes, specifiers, and in the arguments of a command variables. */
function wordsOf(line: string, options: { readonly arguments: boolean }): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/g)].map(([, word = ''], at) => {
    const plain = word.replaceAll(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one));
    const unspecified = plain.replaceAll(/%(.)/g, (_, one: string) => (one === '%' ? '%' : `<specifier ${one}>`));
    if (!options.arguments || at === 0) return unspecified;
    return unspecified.replaceAll(/\$(.)/g, (_, one: string) => (one === '$' ? '$' : `<variable ${one}>`));
  });
}

/** What systemd complains of; it wants a runtime folder. */
function verified(unit: string): string {
  const path = join(home, 'kilnwatt.service');
  writeFileSync(path, unit);
  const env = { PATH: process.env.PATH ?? '', HOME: home, XDG_RUNTIME_DIR: home };
  const { status, stdout, stderr } = spawnSync(ANALYZE, ['--user', 'verify', path], {
    env,
    encoding: 'utf8',
  });
  return `${stdout}${stderr}${status === 0 ? '' : `exit code ${status}`}`;
}
