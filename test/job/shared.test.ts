import { expect, it } from 'vitest';
import { shared } from '../../src/job/shared.ts';

const read = (parameters: number) => JSON.parse(`{"vae":{"channels":[8,16],"parameters":${parameters}},"fileBytes":7}`);

it('what is equal is one object, and what is not is not', () => {
  const first = shared(read(1));
  expect(first).toEqual(read(1));
  expect(shared(read(1))).toBe(first);
  expect(shared(read(2))).not.toBe(first);
  expect(shared([])).toBe(shared([]));
});

it('what is shared cannot be changed by one of those who have it', () => {
  const value = shared(read(3));
  expect(() => value.vae.channels.push(1)).toThrow(TypeError);
  expect(() => Object.assign(value, { fileBytes: 8 })).toThrow(TypeError);
});

it('goes on with right values after more of them than it remembers', () => {
  for (let at = 0; at < 500; at += 1) expect(shared(read(at))).toEqual(read(at));
});
