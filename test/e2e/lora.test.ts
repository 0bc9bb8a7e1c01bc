import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { readMetadata } from '../../src/images/metadata.ts';
import { Kiln } from '../support/kiln.ts';
import { writeTinyLora } from '../support/lora.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

/** Importing torch takes its time on a busy machine. */
const REAL = 180_000;

describe('kilnwatt run --lora', () => {
  it(
    'makes another picture than without, and the next batch is without again',
    async () => {
      kiln = new Kiln({ KILNWATT_WORKER_ENGINE: 'diffusers' });
      mkdirSync(join(kiln.data, 'models', 'loras'));
      writeTinyLora(join(kiln.data, 'models', 'loras', 'ink.safetensors'));
      const file = kiln.write('p.txt', 'a star --lora ink:3\na star --lora ink:0\na star\n');
      const asked = ['run', file, '--steps', '2', '--seed', '7', '--lora', './none.safetensors', '--json'];
      expect(await kiln.run(asked)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/--lora: there is no LoRA/),
      });
      const ended = await kiln.run(asked.filter((word) => word !== '--lora' && word !== './none.safetensors'));
      expect(ended.code).toBe(0);
      const [withInk, without, plain] = Kiln.events(ended)
        .filter((event) => event.event === 'image')
        .sort((one, other) => String(one.id).localeCompare(String(other.id)))
        .map((event) => String(event.path));
      expect(pixels(without)).toEqual(pixels(plain));
      expect(pixels(withInk)).not.toEqual(pixels(plain));
      const metadata = readMetadata(readFileSync(withInk ?? ''), withInk ?? '');
      expect(metadata?.parameters).toMatch(/^a star <lora:ink:3>\n.*, Lora hashes: "ink: [0-9a-f]{10}", /);
      expect(metadata?.kilnwatt.request?.loras).toMatchObject([{ name: 'ink', weight: 3 }]);
    },
    REAL,
  );

  it('refuses a LoRA that nobody has with file and line, before anything is queued', async () => {
    kiln = new Kiln();
    const ended = await kiln.run(['run', kiln.write('p.txt', 'a cat\na cat --lora inc\n')]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(/p\.txt:2: there is no LoRA "inc"; put its \.safetensors file into .*\/models\/loras/);
  });
});

/** Of a PNG, without what it says of itself. */
function pixels(path: string | undefined): Buffer {
  const file = readFileSync(path ?? '');
  const parts: Buffer[] = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    const data = file.subarray(at + 8, at + 8 + file.readUInt32BE(at));
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(data);
  }
  return inflateSync(Buffer.concat(parts));
}
