import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { embedMetadata, readMetadata } from '../../src/images/metadata.ts';
import { png } from '../../src/images/png.ts';
import type { ImageFormat, ImageMetadata } from '../../src/ports.ts';
import { makePictures, readWithPillow, type Seen } from './pillow.ts';
import { metadataOf } from './samples.ts';

const FILES = [
  'plain.png',
  'alpha.png',
  'plain.jpeg',
  'progressive.jpeg',
  'lossy.webp',
  'lossless.webp',
  'alpha.webp',
  'extended.webp',
] as const;
const FORMATS = [
  ['png', 'plain.png'],
  ['jpeg', 'plain.jpeg'],
  ['webp', 'lossy.webp'],
] as const;
const metadata = metadataOf('job-1');
let folder: string;
const before = new Map<string, Seen>();
const after = new Map<string, Seen>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kilnwatt-formats-'));
  await makePictures(folder);
  for (const file of FILES) await writeFile(join(folder, `with-${file}`), await embedded(file, metadata));
  const all = await readWithPillow(
    [...FILES, ...FILES.map((file) => `with-${file}`)].map((file) => join(folder, file)),
  );
  for (const [index, file] of FILES.entries()) {
    const [plain, written] = [all[index], all[index + FILES.length]];
    if (plain === undefined || written === undefined) throw new Error(`Pillow said nothing of ${file}`);
    before.set(file, plain);
    after.set(file, written);
  }
});
afterAll(() => rm(folder, { recursive: true }));

async function embedded(file: string, texts: ImageMetadata): Promise<Buffer> {
  return Buffer.concat(embedMetadata(await readFile(join(folder, file)), formatOf(file), texts, file));
}

function seen(files: ReadonlyMap<string, Seen>, file: string): Seen {
  const found = files.get(file);
  if (found === undefined) throw new Error(`Pillow was not asked for ${file}`);
  return found;
}

function formatOf(file: string): ImageFormat {
  return file.endsWith('png') ? 'png' : file.endsWith('webp') ? 'webp' : 'jpeg';
}

describe.each(FILES)('%s', (file) => {
  test('keeps its pixels, its size, its kind and its colour profile', () => {
    const kept = ({ format, size, mode, pixels, icc }: Seen): object => ({ format, size, mode, pixels, icc });
    expect(kept(seen(after, file))).toEqual(kept(seen(before, file)));
  });

  test('says to our own reader what was put in', async () => {
    expect(readMetadata(await readFile(join(folder, `with-${file}`)), file)).toEqual(metadata);
    expect(readMetadata(await readFile(join(folder, file)), file)).toBeUndefined();
  });

  test('says to Pillow what was put in', () => {
    const { text, comment, history, xmp, software } = seen(after, file);
    const isPng = file.endsWith('png');
    expect(isPng ? text.parameters : comment?.[1]).toBe(metadata.parameters);
    expect(JSON.parse((isPng ? text.kilnwatt : history) ?? '')).toEqual(metadata.kilnwatt);
    expect(xmp).toContain('trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>');
    if (!isPng) expect([comment?.[0], software]).toEqual(['UNICODE\0', 'kilnwatt 0.1.0']);
  });

  test('carries one set of texts, though they were put in twice', async () => {
    const written = await readFile(join(folder, `with-${file}`));
    const again = Buffer.concat(embedMetadata(written, formatOf(file), metadata, file));
    expect(again.equals(written)).toBe(true);
  });
});

describe.each(FORMATS)('a %s file', (format, file) => {
  test('cut short anywhere is refused with its name', async () => {
    const whole = await embedded(file, metadata);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const part = whole.subarray(0, cut);
      expect(() => embedMetadata(part, format, metadata, '/out/a.part')).toThrow(/^\/out\/a\.part is no whole picture/);
      expect(readMetadata(part, file)).toBeUndefined();
    }
  });

  test('of another format is refused', async () => {
    const other = await readFile(join(folder, format === 'png' ? 'plain.jpeg' : 'plain.png'));
    expect(() => embedMetadata(other, format, metadata, '/out/a.part')).toThrow(
      expect.objectContaining({ name: 'StorageError', code: 'image_broken' }),
    );
  });

  test('may leave text and request out, never job and receipt', async () => {
    const { request: _, ...short } = metadata.kilnwatt;
    const little = { parameters: null, kilnwatt: short };
    expect(readMetadata(await embedded(file, little), file)).toEqual(little);
  });
});

test('a picture of an older kilnwatt, whose receipt says less, is read', async () => {
  const { downgrades: _, steps: __, work: ___, peaks: ____, ...receipt } = metadata.kilnwatt.receipt;
  const old = { ...metadata, kilnwatt: { ...metadata.kilnwatt, receipt } };
  expect(readMetadata(await embedded('plain.png', old), 'a')).toEqual(old);
});

test("a PNG keeps Latin-1 text as tEXt and other text as iTXt, as AUTOMATIC1111's writer does", async () => {
  const latin = await embedded('plain.png', metadataOf('job-1', 'une été'));
  expect(latin.includes(Buffer.from('tEXtparameters\0une \xe9t\xe9', 'latin1'))).toBe(true);
  const wide = await embedded('plain.png', metadataOf('job-1', '墨'));
  expect(wide.includes(Buffer.from('iTXtparameters\0\0\0\0\0墨'))).toBe(true);
});

test('a PNG carries its texts in its first block, before the pixels', async () => {
  const written = await embedded('plain.png', metadata);
  expect(written.indexOf('kilnwatt')).toBeLessThan(written.indexOf('IDAT'));
});

test('a JPEG leaves out first the request, then the text, of what is longer than 64 KiB, and stays readable', async () => {
  const { request: _, ...short } = metadata.kilnwatt;
  const long = metadataOf('job-1', 'x'.repeat(25_000));
  const longer = metadataOf('job-1', 'x'.repeat(40_000));
  const found = [long, longer].map(async (texts) => readMetadata(await embedded('plain.jpeg', texts), 'a'));
  const [without, least] = await Promise.all(found);
  expect(without?.kilnwatt).toEqual(short);
  expect(without?.parameters === long.parameters).toBe(true);
  expect(least).toEqual({ parameters: null, kilnwatt: short });
  const path = join(folder, 'longer.jpeg');
  await writeFile(path, await embedded('plain.jpeg', longer));
  expect((await readWithPillow([path]))[0]?.pixels).toBe(before.get('plain.jpeg')?.pixels);
});

test("another program's chunk of our name is not taken for ours", async () => {
  const file = await readFile(join(folder, 'plain.png'));
  for (const text of ['no JSON at all', '{"v":2}', 'null', JSON.stringify({ ...metadata.kilnwatt, receipt: {} })]) {
    const texts = { parameters: null, kilnwatt: text, kilnwattShort: text, software: 'another', xmp: '' };
    expect(readMetadata(Buffer.concat(png.embed(file, texts, 'a')), 'a')).toBeUndefined();
  }
});
