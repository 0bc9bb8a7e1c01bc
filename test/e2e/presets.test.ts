import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Kiln } from '../support/kiln.ts';

let kiln: Kiln;
beforeEach(() => {
  kiln = new Kiln();
  kiln.write('kilnwatt.yaml', 'presets:\n  mine: { like: cpu, settings: { vae_slicing: true }, batch_limit: 3 }\n');
});
afterEach(() => kiln.close());

it('a preset of the configuration is listed, explained without worker or queue, and makes pictures', async () => {
  const listed = await kiln.run(['presets', 'ls', '--json']);
  expect(Kiln.events(listed).at(-1)).toMatchObject({ name: 'mine', here: ['cpu'], settings: { vae_slicing: true } });

  const explained = await kiln.run(['presets', 'explain', 'tiny-sd', '--preset', 'mine', '--json']);
  expect([explained.code, explained.stderr]).toEqual([0, '']);
  expect(Kiln.events(explained)).toMatchObject([{ device: 'cpu', asked: 'mine', preset: 'mine' }]);
  expect(readdirSync(kiln.data).filter((name) => /valkey/.test(name))).toEqual([]);

  const made = await kiln.run(['run', 'a cat', '--preset', 'mine', '--size', '64x64', '--json']);
  expect(made.code, made.stderr).toBe(0);
  const [image] = Kiln.events(made).filter(({ event }) => event === 'image');
  expect(existsSync(join(kiln.work, 'outputs'))).toBe(true);
  expect(JSON.stringify(image)).toContain('"preset":"mine"');
});

it.each([
  [['presets', 'show', 'sdxl-12g'], 2, /did you mean sdxl-12gb\?/],
  [['run', 'a cat', '--preset', 'first-block'], 2, /first-block cannot make tiny-sd: step_cache=first_block/],
])('%j is refused with one sentence', async (args, code, sentence) => {
  const ended = await kiln.run(args);
  expect(ended.code).toBe(code);
  expect(ended.stderr).toMatch(sentence);
  expect(ended.stderr.trim().split('\n')).toHaveLength(1);
});
