import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer as createWebServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findServer } from '../../src/queue/valkey-program.ts';
import { Kiln } from '../support/kiln.ts';
import { PYTHON } from '../support/python.ts';

let kiln: Kiln;
beforeEach(() => {
  kiln = new Kiln();
});
afterEach(() => kiln.close());

/** Ends with the code, one sentence that names the place, and nothing queued. */
async function refused(
  args: readonly string[],
  code: number,
  sentence: RegExp,
  env: Record<string, string> = {},
): Promise<void> {
  const ended = await kiln.run(args, env);
  expect(ended.stderr.trim()).toMatch(sentence);
  expect(ended.stderr.trim().split('\n')).toHaveLength(1);
  expect(ended.code).toBe(code);
  expect(ended.stdout).toBe('');
  expect(kiln.pictures()).toEqual([]);
  if (existsSync(join(kiln.data, 'kilnwatt.sqlite')))
    expect(kiln.rows('SELECT id FROM runs UNION SELECT id FROM jobs')).toEqual([]);
}

describe('bad input is one sentence with its place, and nothing is queued', () => {
  const seventh = (line: string) => kiln.write('p.txt', `${Array(6).fill('a cat').join('\n')}\n${line}\n`);

  it('an empty file', () =>
    refused(['run', kiln.write('empty.txt', '\n# nothing\n')], 2, /empty\.txt: holds no prompts/));
  it('a contact sheet that is no PNG', () =>
    refused(['run', 'a cat', '--contact-sheet', 'sheet.jpg'], 2, /--contact-sheet: names a file that ends in \.png/));
  it('a contact sheet where a folder is, or below a file', async () => {
    mkdirSync(join(kiln.work, 'all.png'));
    await refused(
      ['run', 'a cat', '--contact-sheet', 'all.png'],
      2,
      /--contact-sheet: names a file, and .* is a folder/,
    );
    const below = join(kiln.write('p.txt', 'a cat'), 'new', 'all.png');
    await refused(['run', 'a cat', '--contact-sheet', below], 2, /--contact-sheet: cannot be below .*p\.txt, which is/);
  });
  it('a file that is not there', () => refused(['run', 'none.txt'], 2, /none\.txt: there is no such file/));
  it('a file that is not UTF-8', () => {
    writeFileSync(join(kiln.work, 'latin.csv'), Buffer.from('prompt\ncaf\xe9\n', 'latin1'));
    return refused(['run', 'latin.csv'], 2, /latin\.csv: is not UTF-8 text/);
  });
  it('a folder in place of a file', () => refused(['run', './'], 2, /\.\/: is a folder/));
  it('a bad flag in line 7', () =>
    refused(['run', seventh('a cat --stesp 3')], 2, /p\.txt:7: --stesp is not known; did you mean --steps\?/));
  it('a broken flag in line 7', () =>
    refused(['run', seventh('a cat --steps many')], 2, /p\.txt:7: --steps needs a whole number/));
  it('a size that is not divisible by 8', () =>
    refused(['run', seventh('a cat --size 100x64')], 2, /p\.txt:7: width must be divisible by 8/));
  it('no steps', () => refused(['run', 'a cat', '--steps', '0'], 2, /command line: steps must be from 1/));
  it('a missing model folder', () => refused(['run', 'a cat', '--model', './nowhere'], 2, /nowhere/));
  it('an unknown sampler', () => refused(['run', 'a cat', '--sampler', 'DPM+++'], 2, /DPM\+\+\+/));
  it('syntax that the worker does not speak', () =>
    refused(['run', seventh('a (cat:1.3)')], 2, /p\.txt:7: .*\(cat:1\.3\).*--literal/));
  it('a model that nobody has, named in line 7', () =>
    refused(['run', seventh('a cat --model nobodys')], 2, /p\.txt:7: .*nobodys/));
  it('a negative prompt that would do nothing', () =>
    refused(
      ['run', seventh('a cat --negative dogs --cfg 1')],
      2,
      /p\.txt:7: a negative prompt does nothing with guidance 1/,
    ));
  it('more clip skip than the model has layers', () =>
    refused(['run', seventh('a cat --clip-skip 9')], 2, /p\.txt:7: clip skip must be from 1 to \d, not 9/));
  it('a new run of a name under which what is done stays done', () =>
    refused(['run', 'a cat', '--new', '--name', 'cats'], 2, /--new: stands against --name/));
  it('another try of a run that nobody named', () =>
    refused(['run', 'a cat', '--retry-failed'], 2, /--retry-failed: finds no interrupted run of these lines/));
  it('an unknown preset', () => refused(['run', 'a cat', '--preset', 'turbo'], 2, /turbo/));
  it('an unknown device', () => refused(['run', 'a cat', '--devices', 'cuda:9'], 2, /cuda:9/));
  it('a tag without a value', () => refused(['run', 'a cat', '--tag', 'acme'], 2, /--tag: needs key=value/));
  it('a bad setting', () =>
    refused(['run', 'a cat'], 4, /KILNWATT_DISK_RESERVE_MB/, { KILNWATT_DISK_RESERVE_MB: 'much' }));
  it('no Python', () =>
    refused(['run', 'a cat'], 6, /there is no Python at \/nowhere\/python/, { KILNWATT_PYTHON: '/nowhere/python' }));
  it('no Python in PATH', () =>
    refused(['run', 'a cat'], 6, /there is no Python at no-python/, { KILNWATT_PYTHON: 'no-python' }));
  it('a Redis that is not there', () =>
    refused(['run', 'a cat', '--redis-url', 'redis://:secret@127.0.0.1:1'], 6, /^(?!.*secret).*127\.0\.0\.1:1/));
  it('a Redis that throws jobs away when it is full', () =>
    withServer(['--maxmemory-policy', 'allkeys-lru'], (port) =>
      refused(['run', 'a cat', '--redis-url', `redis://127.0.0.1:${port}`], 4, /noeviction/),
    ));
  it('a Redis that asks for a password, or for another one', () =>
    withServer(['--requirepass', 'sesame', '--protected-mode', 'no'], async (port) => {
      const asked = /asks for a password; write it into redis_url, as in redis:\/\/:PASSWORD@127/;
      await refused(['run', 'a cat', '--redis-url', `redis://127.0.0.1:${port}`], 4, asked);
      const other = /^(?!.*secret).*does not take the password/;
      await refused(['run', 'a cat', '--redis-url', `redis://:secret@127.0.0.1:${port}`], 4, other);
    }));
  it('a web server in place of a Redis', async () => {
    const server = createWebServer((_, answer) => answer.end('<html></html>')).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const url = `redis://127.0.0.1:${portOf(server)}`;
      await refused(['run', 'a cat', '--redis-url', url], 4, /What answers at 127\.0\.0\.1:\d+ is no Redis/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('a full disk', () => refused(['run', 'a cat'], 1, /disk/, { KILNWATT_DISK_RESERVE_MB: '999999999' }));

  it('a model with pickle weights only', async () => {
    const folder = join(kiln.work, 'pickled');
    mkdirSync(join(folder, 'unet'), { recursive: true });
    writeFileSync(
      join(folder, 'model_index.json'),
      JSON.stringify({ _class_name: 'StableDiffusionPipeline', unet: ['diffusers', 'UNet2DConditionModel'] }),
    );
    writeFileSync(join(folder, 'unet/config.json'), '{"sample_size": 64}');
    writeFileSync(join(folder, 'unet/diffusion_pytorch_model.bin'), 'pickle');
    await refused(['run', 'a cat', '--model', './pickled'], 2, /safetensors/);
  });

  it('a folder of pictures that is a file', async () => {
    kiln.write('file', '');
    await refused(['run', 'a cat', '--out', 'file'], 1, /file/);
  });

  it.runIf(process.platform === 'linux')('a folder of pictures, or of data, where nothing can be made', async () => {
    await refused(['run', 'a cat', '--out', '/proc/none/a'], 1, /\/proc\/none\/a\/\S+ could not be written \(ENOENT\)/);
    await refused(['run', 'a cat', '--data-dir', '/proc/none'], 1, /\/proc\/none\/owner\.lock: cannot be locked/);
    await refused(['jobs', 'ls', '--data-dir', '/proc/none'], 1, /\/proc\/none\/live\/\S+: cannot be locked/);
  });

  it('a working folder that was removed', () => {
    const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
    const command = [process.execPath, join(import.meta.dirname, '../../src/main.ts'), 'run', 'a cat'];
    const ended = spawnSync('sh', ['-c', script, 'sh', ...command], {
      cwd: kiln.work,
      env: kiln.environment,
      encoding: 'utf8',
    });
    expect([ended.status, ended.stderr]).toEqual([
      4,
      'kilnwatt: the folder that this was started in is gone: change to one that is there\n',
    ]);
  });
});

/** A server of our own with further settings, for as long as `use` takes. */
async function withServer(settings: readonly string[], use: (port: number) => Promise<void>): Promise<void> {
  const { path } = await findServer({ python: PYTHON });
  const port = await freePort();
  const server = spawn(path, ['--port', String(port), '--save', '', ...settings], { stdio: 'ignore' });
  try {
    await use(port);
  } finally {
    server.kill('SIGKILL');
  }
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const port = portOf(server);
      server.close(() => done(port));
    });
  });
}

function portOf(server: Pick<Server, 'address'>): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
