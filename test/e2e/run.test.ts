import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readMetadata } from '../../src/images/metadata.ts';
import { Kiln } from '../support/kiln.ts';

const PROMPTS = [
  'a red circle',
  '# a comment',
  '',
  'a blue square --steps 3 --size 72x64',
  '--prompt "a green star" --steps 3 --seed 7',
  '',
].join('\n');

let kiln: Kiln;
afterEach(() => kiln.close());

/** Importing torch takes its time on a busy machine. */
const REAL = 180_000;

describe('kilnwatt run on the real engine', () => {
  it(
    'turns a prompt file into pictures that say what they are and what they cost',
    async () => {
      kiln = new Kiln({ KILNWATT_WORKER_ENGINE: 'diffusers' });
      const file = kiln.write('p.txt', PROMPTS);
      const ended = await kiln.run(['run', file, '--steps', '2', '--name', 'first', '--tag', 'client=acme', '--json']);
      expect(ended.stderr).toMatch(/^~ 0\.30 EUR per kWh is assumed.*\n~ energy is time × watts.*\n$/);
      expect(ended.code).toBe(0);
      const events = Kiln.events(ended);
      const images = events.filter((event) => event.event === 'image');
      expect(images.map((image) => image.prompt).sort()).toEqual(['a blue square', 'a green star', 'a red circle']);
      const summary = events.at(-1);
      expect(summary).toMatchObject({ event: 'summary', jobs: 3, images: 3, cached: 0, failed: 0, left: 0 });
      expect(summary?.energy).toMatchObject({ method: 'assumed' });
      expect(summary?.cost).toMatchObject({ currency: 'EUR', method: 'assumed' });

      expect(kiln.pictures()).toHaveLength(3);
      expect(kiln.leftovers()).toEqual([]);
      const star = images.find((image) => image.seed === 7);
      const metadata = readMetadata(readFileSync(String(star?.path)), String(star?.path));
      expect(metadata?.parameters).toMatch(/, Energy: [\d.]+ J assumed, Cost: 0\.\d+ EUR assumed$/);
      expect(metadata?.parameters).toContain('a green star\nSteps: 3, Sampler: DPM++ 2M');
      expect(metadata?.kilnwatt).toMatchObject({
        job: star?.id,
        receipt: { batch: { size: 1 }, energy: { meter: 'model' } },
      });
      const entries = kiln.rows("SELECT * FROM entries WHERE kind = 'active'");
      expect(entries).toHaveLength(3);
      expect(entries.every((entry) => entry.tags === '{"client":"acme"}')).toBe(true);
      expect(kiln.rows("SELECT cause FROM entries WHERE kind = 'overhead'")).toEqual([{ cause: 'load' }]);
    },
    REAL,
  );

  it('draws all pictures of the run on one sheet when asked, those done before as well', async () => {
    kiln = new Kiln();
    const file = kiln.write('p.txt', 'one\ntwo\n');
    await kiln.run(['run', file, '--name', 'n']);
    kiln.write('p.txt', 'one\ntwo\nthree\n');
    const sheet = join(kiln.work, 'new', 'sheet.png');
    const ended = await kiln.run(['run', file, '--name', 'n', '--contact-sheet', 'new/sheet.png', '--json']);
    expect(ended.code).toBe(0);
    expect(Kiln.events(ended).at(-1)).toMatchObject({ images: 1, cached: 2, contact_sheet: sheet });
    // Three columns of 192 with their gaps and margins: the width is in the first chunk of a PNG.
    expect(readFileSync(sheet).readUInt32BE(16)).toBe(3 * 192 + 2 * 16 + 2 * 24);

    const over = join('outputs', kiln.pictures()[0] ?? 'none');
    const refused = await kiln.run(['run', file, '--name', 'n', '--contact-sheet', over]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/--contact-sheet: would replace a picture of this run, .*; name another file/);

    const home = await kiln.run(['run', file, '--name', 'n', '--contact-sheet=~/all.png', '--json']);
    expect(Kiln.events(home).at(-1)).toMatchObject({ cached: 3, contact_sheet: join(kiln.root, 'all.png') });

    for (const name of kiln.pictures()) rmSync(join(kiln.work, 'outputs', name));
    const none = await kiln.run(['run', file, '--name', 'n', '--contact-sheet', 'new/sheet.png', '--json']);
    expect(none.code).toBe(0);
    expect(none.stderr).toMatch(/No picture of this run is on the disk, so there is no contact sheet\./);
    expect(Kiln.events(none).at(-1)).toMatchObject({ contact_sheet: null });
  });

  it('makes nothing twice, keeps old seeds when a line is inserted, and leaves thrown-away pictures alone', async () => {
    kiln = new Kiln();
    const file = kiln.write('p.txt', 'one\ntwo\n');
    await kiln.run(['run', file, '--name', 'n', '--json']);
    const before = kiln.pictures();
    rmSync(join(kiln.work, 'outputs', before[0] ?? ''));
    kiln.write('p.txt', 'zero\none\ntwo\n');
    const again = Kiln.events(await kiln.run(['run', file, '--name', 'n', '--json']));
    expect(again.at(-1)).toMatchObject({ jobs: 3, images: 1, cached: 2, failed: 0, left: 0 });
    expect(
      again
        .filter((event) => event.event === 'image' && event.cached === true)
        .map((event) => event.path === null)
        .sort(),
    ).toEqual([false, true]);
    expect(kiln.pictures()).toHaveLength(2);
    expect(kiln.pictures()).toContain(before[1]);
    const remade = Kiln.events(await kiln.run(['run', file, '--name', 'n', '--remake-missing', '--json']));
    expect(remade.at(-1)).toMatchObject({ images: 1, cached: 2 });
    expect(kiln.pictures()).toContain(before[0]);
  });

  it('fails the one prompt that fails, tells why, and tries it again only when asked', async () => {
    kiln = new Kiln();
    const file = kiln.write('p.txt', 'one\nthe poison\ntwo\n');
    const script = { KW_FAKE: JSON.stringify({ fail_on: 'poison' }) };
    const first = await kiln.run(['run', file, '--name', 'n', '--json'], script);
    expect(first.code).toBe(5);
    const events = Kiln.events(first);
    expect(events.at(-1)).toMatchObject({ jobs: 3, images: 2, failed: 1, left: 0 });
    expect(events.find((event) => event.event === 'failure')).toMatchObject({
      code: 'black_image',
      prompt: 'the poison',
    });
    const again = await kiln.run(['run', file, '--name', 'n', '--json']);
    expect(again.code).toBe(5);
    expect(Kiln.events(again).at(-1)).toMatchObject({ images: 0, cached: 2, failed: 1 });
    const retried = await kiln.run(['run', file, '--name', 'n', '--retry-failed', '--json']);
    expect(retried.code).toBe(0);
    expect(Kiln.events(retried).at(-1)).toMatchObject({ images: 1, cached: 2, failed: 0 });
  });

  it('takes a prompt from the command line, with n pictures whose seeds follow each other', async () => {
    kiln = new Kiln();
    const ended = await kiln.run([
      'run',
      'a red circle',
      '-n',
      '3',
      '--seed',
      '5',
      '--format',
      'webp',
      '--sidecar',
      'txt',
      '--json',
    ]);
    expect(ended.code).toBe(0);
    const images = Kiln.events(ended).filter((event) => event.event === 'image');
    expect(images.map((image) => image.seed).sort()).toEqual([5, 6, 7]);
    expect(kiln.pictures().every((name) => name.endsWith('.webp'))).toBe(true);
  });

  it('shows with --dry-run what would be made, and changes nothing', async () => {
    kiln = new Kiln();
    const ended = await kiln.run(['run', kiln.write('p.txt', 'one\ntwo\n'), '--dry-run', '--json']);
    expect(ended.code).toBe(0);
    expect(Kiln.events(ended).filter((event) => event.state === 'planned')).toHaveLength(2);
    expect(kiln.pictures()).toEqual([]);
    expect(kiln.rows('SELECT * FROM runs')).toEqual([]);
    const shown = await kiln.run(['run', 'p.txt', '--dry-run']);
    expect(shown.stdout.match(/^would make {2}outputs\/.+ seed \d+ /gm)).toHaveLength(2);
  });

  it('tells a person one line a picture and the bill', async () => {
    kiln = new Kiln();
    const ended = await kiln.run(['run', kiln.write('p.txt', 'one\ntwo\n'), '--name', 'bill']);
    expect(ended.stdout).toMatch(/^Run bill: 2 to make\n/);
    expect(ended.stdout.match(/^done .+ EUR {2}outputs\/bill\//gm)).toHaveLength(2);
    expect(ended.stdout).toContain('per 1,000, without loading');
    expect(ended.stdout).toContain('0.30 EUR per kWh is assumed; set yours in');
    expect(ended.stdout).not.toContain('\x1b');
  });
});
