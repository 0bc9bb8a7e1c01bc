import { spawn, spawnSync } from 'node:child_process';
import { renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decoded } from '../chaos/evidence.ts';
import { Kiln } from '../support/kiln.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const PROMPTS = Array.from({ length: 24 }, (_, at) => `prompt ${at}`).join('\n');

let kiln: Kiln;
beforeEach(() => {
  kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 0.02 }) });
});
afterEach(() => kiln.close());

describe('a folder of pictures that is gone', () => {
  it('holds the run up with one sentence, and lets it go on when it is back: nothing is lost', async () => {
    const run = kiln.start(['run', kiln.write('p.txt', PROMPTS), '--name', 'gone', '--json']);
    await run.line(/"event":"image"/);
    const [there, away] = [join(kiln.work, 'outputs/gone'), join(kiln.work, 'outputs/away')];
    renameSync(there, away);
    await run.errorLine(/^Waiting: .*outputs\/gone/);
    renameSync(away, there);
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/ takes pictures again\.$/m);
    expect(Kiln.events(ended).at(-1)).toMatchObject({ images: 24, failed: 0, left: 0 });
    expect(kiln.pictures()).toHaveLength(24);
    expect(kiln.leftovers()).toEqual([]);
  });
});

/** A small disk of one's own takes a namespace, which some hosts do not allow. */
const allowed = spawnSync('unshare', ['-rm', 'true']).status === 0;

describe.runIf(allowed)('a disk of pictures that is full', () => {
  it('holds the run up, and lets it go on when there is room: every picture is whole', async () => {
    const run = onSmallDisk(['run', kiln.write('p.txt', PROMPTS), '--name', 'full', '--size', '256x256', '--json']);
    const { stderr, stdout, ended } = run;
    await until(() => /^Waiting: /m.test(stderr()));
    const disk = `/proc/${run.pid}/root${kiln.work}/outputs`;
    rmSync(join(disk, 'filler'));
    const pictures = until(() => /"event":"summary"/.test(stdout()) || ended());
    await pictures;
    expect(stderr()).toMatch(/ takes pictures again\.$/m);
    const summary = stdout().trimEnd().split('\n').at(-1) ?? '';
    expect(JSON.parse(summary)).toMatchObject({ event: 'summary', images: 24, failed: 0, left: 0 });
    await run.closed;
    const seen = await decoded(join(kiln.work, 'kept'));
    expect(seen.map(({ fault }) => fault)).toEqual(Array(24).fill(null));
    expect(new Set(seen.map(({ job }) => job)).size).toBe(24);
  });
});

/** Runs on a disk of 2 MB, most of which a file takes; when it has ended, the pictures are copied to `kept`. */
function onSmallDisk(args: readonly string[]) {
  const script = [
    'mkdir -p outputs && mount -t tmpfs -o size=2m tmpfs outputs',
    'head -c 2060000 /dev/zero > outputs/filler',
    '"$@" & wait $! ; code=$?',
    'cp -r outputs kept && exit $code',
  ].join('\n');
  const child = spawn('unshare', ['-rm', 'sh', '-c', script, 'sh', process.execPath, MAIN, ...args], {
    cwd: kiln.work,
    env: { ...kiln.environment, KILNWATT_DISK_RESERVE_MB: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const heard = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    heard.stderr += text;
  });
  let over = false;
  const closed = new Promise<void>((done) =>
    child.once('close', () => {
      over = true;
      done();
    }),
  );
  return { pid: child.pid, stdout: () => heard.stdout, stderr: () => heard.stderr, ended: () => over, closed };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 25_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not come so far within 25 s');
    await new Promise((next) => setTimeout(next, 20));
  }
}

describe('serve on a data folder without room', () => {
  it('waits for room instead of ending again and again, and ends well when it is told to', async () => {
    const server = kiln.start(['serve'], { KILNWATT_DISK_RESERVE_MB: '999999999' });
    await server.errorLine(/^Waiting: less than 999999999 MB \(disk_reserve_mb\) are free for /);
    server.process.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
  });
});
