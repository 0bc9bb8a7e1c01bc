import { describe, expect, it } from 'vitest';
import { presetNamed } from '../../src/preset/catalogue.ts';
import { type Asked, type Fit, rungFor, shapeOf } from '../../src/preset/ladder.ts';

const AUTO: Asked = {
  preset: presetNamed('plain'),
  safe: false,
  most: undefined,
  fits: new Map(),
  size: '1024x1024',
  device: 'cuda:0',
};

describe('the next rung of the ladder', () => {
  it.each<[string, Readonly<Record<string, Fit>>, string, number]>([
    ['is the preset asked for, while nothing is known', {}, 'plain', 4],
    ['has smaller batches, where larger ones ran out of memory', { plain: known(2, [4]) }, 'plain', 2],
    ['is the preset below, where not even one picture fits', { plain: known(0, [4, 2, 1]) }, 'low-vram', 1],
    ['is the preset below, where the load itself does not fit', { plain: { limit: 0, tried: 'load' } }, 'low-vram', 1],
    [
      'does not depend on what is known of other presets',
      { fp32: known(0, [1]), 'plain+safe': known(0, [1]) },
      'plain',
      4,
    ],
  ])('%s', (_title, fits, preset, limit) => {
    expect(rungFor({ ...AUTO, fits: new Map(Object.entries(fits)) })).toEqual({ preset: presetNamed(preset), limit });
  });

  it('keeps to the safe settings all the way down', () => {
    expect(nameOf({ ...AUTO, safe: true })).toBe('plain+safe');
    expect(nameOf({ ...AUTO, safe: true, fits: new Map([['plain+safe', known(0, [1])]]) })).toBe('low-vram+safe');
  });

  it('holds as many as it was told, but never more than are known to fit', () => {
    expect(rungFor({ ...AUTO, most: 16 })).toMatchObject({ limit: 16 });
    expect(rungFor({ ...AUTO, most: 16, fits: new Map([['plain', known(8, [16])]]) })).toMatchObject({ limit: 8 });
    expect(rungFor({ ...AUTO, most: 2, fits: new Map([['plain', known(3, [6])]]) })).toMatchObject({ limit: 2 });
  });

  it('is missing when all were tried, and the sentence says how', () => {
    const fits = new Map([
      ['plain', known(0, [4, 2, 1])],
      ['low-vram', known(0, [1])],
    ]);
    expect(rungFor({ ...AUTO, fits })).toEqual({
      exhausted: '1024x1024 does not fit on cuda:0: tried plain in batches of 4, 2, 1 and low-vram in batches of 1',
    });
    expect(rungFor({ ...AUTO, preset: presetNamed('low-vram'), fits })).toEqual({
      exhausted: '1024x1024 does not fit on cuda:0: tried low-vram in batches of 1',
    });
    fits.set('plain', { limit: 0, tried: 'load' });
    expect(rungFor({ ...AUTO, fits })).toEqual({
      exhausted:
        '1024x1024 does not fit on cuda:0: tried plain, which ran out of memory while it loaded and low-vram in batches of 1',
    });
  });
});

it('a shape is the size, and whether guidance takes two passes', () => {
  const shapes = [1, 1.01, 7].map((guidance) => shapeOf({ width: 1_024, height: 768, guidance }));
  expect(shapes).toEqual(['1024x768', '1024x768+cfg', '1024x768+cfg']);
});

function known(limit: number, tried: readonly number[]): Fit {
  return { limit, tried };
}

function nameOf(asked: Asked): string {
  const rung = rungFor(asked);
  return 'exhausted' in rung ? rung.exhausted : rung.preset.name;
}
