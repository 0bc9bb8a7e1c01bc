import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Kiln } from '../support/kiln.ts';
import { seenIn } from '../support/seen.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

/** Importing torch takes its time on a busy machine. */
const REAL = 180_000;
const PROMPT = 'a red circle on a blue background';
const NOTE = /The model in the box, kiln-shapes, draws shapes in ten colours and nothing else; --model names another\./;

describe('the model in the box', () => {
  it(
    'is what runs where no model is named: it draws what the prompt says, at its own size, steps and guidance',
    async () => {
      kiln = new Kiln({ KILNWATT_MODEL: '', KILNWATT_WORKER_ENGINE: 'diffusers' });
      const ended = await kiln.run(['run', PROMPT, '--seed', '3', '--json']);
      expect(ended.code).toBe(0);
      expect(ended.stderr).toMatch(NOTE);
      const image = Kiln.events(ended).find(({ event }) => event === 'image');
      const path = String(image?.path);
      expect(readFileSync(path).toString('latin1')).toMatch(
        /Steps: 20, Sampler: DPM\+\+ 2M,[^\0]*CFG scale: 2,[^\0]*Size: 128x128,[^\0]*Model: kiln-shapes/,
      );
      expect(await seenIn(path)).toEqual({ background: 'blue', things: [['red', 'circle', 'medium', 'center']] });
    },
    REAL,
  );

  it('is not mentioned to a user who names it, nor where another model is named', async () => {
    kiln = new Kiln();
    const asked = await kiln.run(['run', PROMPT, '--dry-run', '--model', 'kiln-shapes']);
    expect(asked.code).toBe(0);
    expect(asked.stderr).not.toMatch(NOTE);
    const other = await kiln.run(['run', PROMPT, '--dry-run'], { KILNWATT_MODEL: join(kiln.data, 'models/tiny-sd') });
    expect(other.code).toBe(0);
    expect(other.stderr).not.toMatch(NOTE);
  });
});
