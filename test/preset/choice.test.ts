import { describe, expect, it } from 'vitest';
import type { Fit } from '../../src/preset/belief.ts';
import { type Preset, safely } from '../../src/preset/catalogue.ts';
import { choose } from '../../src/preset/choice.ts';
import { engineOf } from '../../src/preset/engine.ts';
import { askedOf, chosenOf, footprintOf, GB, measuredOf, pickOf, presetOf } from './choice-samples.ts';

const FAST = presetOf('fast', { speed: 1.5, settings: { channels_last: true } });
const PLAIN = presetOf('plain');
const SMALL = presetOf('small', { speed: 0.5, batch_limit: 2, settings: { vae_tiling: true } });
const ALL = [PLAIN, FAST, SMALL];
/** In GB: what is there whatever the batch, and what each picture adds. */
const SIZES = new Map([
  [PLAIN, [10, 2]],
  [FAST, [14, 3]],
  [SMALL, [4, 1]],
] as const);

const test = (preset: Preset, batch: number) => {
  const [base = 0, each = 0] = SIZES.get(preset) ?? [];
  return footprintOf(base + batch * each, 5);
};
const roomOf = (gigabytes: number) => ({ device: gigabytes * GB, host: 32 * GB, reserve: GB });
const within = (gigabytes: number) => ({ footprintOf: test, room: roomOf(gigabytes) });

describe('auto', () => {
  it.each([
    ['the fastest, in its largest batch', 64, 'fast 4'],
    ['smaller batches of it before a slower preset', 21.5, 'fast 2'],
    ['a slower one in large batches, where the fastest does not fit at all', 17.9, 'plain 2'],
    ['one that fits only in a size between the doubled ones not in that size', 20, 'fast 1'],
    ['the smallest, where only that fits', 7, 'small 2'],
  ])('takes %s', (_title, gigabytes, pick) => {
    expect(pickOf(askedOf(ALL, within(gigabytes)))).toBe(pick);
  });

  it('takes the fastest by prior, in its largest batch, where nothing is known of the memory', () => {
    expect(pickOf(askedOf(ALL))).toBe('fast 4');
    expect(pickOf(askedOf(ALL, { footprintOf: test, room: { device: null, host: null, reserve: GB } }))).toBe('fast 4');
  });

  it('takes of two that are as fast the one that comes first', () => {
    const other = presetOf('other', { settings: { fused_qkv: true } });
    expect([pickOf(askedOf([PLAIN, other])), pickOf(askedOf([other, PLAIN]))]).toEqual(['plain 4', 'other 4']);
  });

  it('counts the memory of the host too', () => {
    const room = { device: 64 * GB, host: 4 * GB, reserve: GB };
    const footprint = (preset: Preset, batch: number) => ({
      ...test(preset, batch),
      hostBytes: preset === FAST ? 5e9 : 0,
    });
    expect(pickOf(askedOf(ALL, { footprintOf: footprint, room }))).toBe('plain 4');
  });

  it('goes by measurements before priors: what is slower than was thought is left', () => {
    const measured = [measuredOf(FAST, 4, 3, 20)];
    expect(pickOf(askedOf(ALL, { measured }))).toBe('fast 4');
    expect(pickOf(askedOf(ALL, { measured: [...measured, measuredOf(PLAIN, 4, 2, 12)] }))).toBe('plain 4');
  });

  it('tries what should be faster than all that was measured, once', () => {
    const measured = [measuredOf(PLAIN, 4, 2, 12)];
    expect(pickOf(askedOf(ALL, { measured }))).toBe('fast 4');
    expect(pickOf(askedOf(ALL, { measured: [...measured, measuredOf(FAST, 4, 2.1, 12)] }))).toBe('plain 4');
  });

  it('makes smaller batches where those were measured to be faster for each picture', () => {
    const measured = [measuredOf(PLAIN, 4, 2, 12), measuredOf(PLAIN, 1, 1.5, 12)];
    expect(pickOf(askedOf([PLAIN], { measured }))).toBe('plain 2');
    expect(pickOf(askedOf([PLAIN], { measured: [...measured, measuredOf(PLAIN, 2, 1.6, 12)] }))).toBe('plain 1');
    expect(pickOf(askedOf([PLAIN], { measured: [measuredOf(PLAIN, 1, 1.5, 12)] }))).toBe('plain 4');
  });

  it('weighs what is done once for each batch by the number of steps', () => {
    const measured = [
      { ...measuredOf(PLAIN, 4, 0, 12), stepSeconds: 0.4, otherSeconds: 40 },
      { ...measuredOf(FAST, 4, 0, 12), stepSeconds: 1, otherSeconds: 20 },
    ];
    const ask = (steps: number) => pickOf(askedOf([PLAIN, FAST], { measured, steps }));
    expect([ask(4), ask(100)]).toEqual(['fast 4', 'plain 4']);
  });

  it('believes a measured peak more than the test, both ways, and wants no reserve beside it', () => {
    const ask = (gigabytes: number) =>
      pickOf(askedOf([PLAIN], { ...within(16), measured: [measuredOf(PLAIN, 4, 1, gigabytes)] }));
    expect([ask(15.9), ask(16.1)]).toEqual(['plain 4', 'plain 2']);
  });

  it('does not take what the host has no room for, although its peak on the card was measured', () => {
    const footprint = (preset: Preset, batch: number) => ({
      ...test(preset, batch),
      hostBytes: preset === FAST ? 40e9 : 0,
    });
    const measured = [measuredOf(FAST, 4, 1, 20), measuredOf(PLAIN, 4, 2, 18)];
    const asked = askedOf([PLAIN, FAST], { footprintOf: footprint, measured });
    expect(pickOf(asked)).toBe('plain 4');
    expect(chosenOf(asked).considered.find(({ preset }) => preset === 'fast')?.why).toContain(
      "40.0 GB of the host's 32.0 GB",
    );
    const alone = [measuredOf(PLAIN, 4, 1, 14)];
    const inHost = { device: 15 * GB, host: 15 * GB, reserve: GB };
    const onCpu = (preset: Preset, batch: number) => ({ ...test(preset, batch), hostBytes: 16e9 });
    expect(pickOf(askedOf([PLAIN], { footprintOf: onCpu, measured: alone, room: inHost, kind: 'cpu' }))).toBe(
      'plain 4',
    );
  });

  it('takes what a larger batch took for the most that a smaller one can', () => {
    const measured = [{ ...measuredOf(PLAIN, 4, 1, 12), batch: 3 }];
    const { considered } = chosenOf(askedOf([PLAIN], { ...within(12.5), measured, most: 2 }));
    expect(considered[0]).toMatchObject({
      preset: 'plain',
      batch: 2,
      footprint: { deviceBytes: 12e9, ground: 'learned' },
    });
  });

  it('takes what is never faster by nature only where it was measured', () => {
    const compiled = presetOf('compiled', { speed: 3, auto: 'measured', settings: { compile: 'full' } });
    const all = [PLAIN, compiled];
    const plain = measuredOf(PLAIN, 4, 2, 12);
    expect(chosenOf(askedOf(all, { measured: [plain] }))).toMatchObject({
      preset: PLAIN,
      considered: expect.arrayContaining([expect.objectContaining({ preset: 'compiled', verdict: 'not measured' })]),
    });
    expect(pickOf(askedOf(all, { measured: [plain, measuredOf(compiled, 4, 1, 12)] }))).toBe('compiled 4');
  });

  it('has what was slow in one batch tried once more, since that one may have been disturbed', () => {
    const ask = (count: number) =>
      pickOf(askedOf(ALL, { measured: [measuredOf(PLAIN, 4, 2, 12), { ...measuredOf(FAST, 4, 9, 12), count }] }));
    expect([ask(0), ask(1), ask(2)]).toEqual(['fast 4', 'fast 4', 'plain 4']);
  });

  it('knows of a cold batch what it took of the memory, and not how fast it is', () => {
    const measured = [{ ...measuredOf(PLAIN, 4, 9, 20), count: 0 }];
    const [first] = chosenOf(askedOf([PLAIN], { measured })).considered;
    expect(first).toMatchObject({ seconds: null, footprint: { deviceBytes: 20e9, ground: 'learned' } });
  });

  it('makes with either of two presets that set the same, and tells of what was tried once', () => {
    const twin = presetOf('twin', { batch_limit: 8 });
    expect(pickOf(askedOf([PLAIN, twin], { measured: [measuredOf(PLAIN, 8, 1, 12)] }))).toBe('twin 8');
    expect(pickOf(askedOf([PLAIN, twin], { fits: new Map([[engineOf(PLAIN), known(0, [2, 1])]]) }))).toBe(
      '1024x1024 does not fit on cuda:0: tried plain/twin in batches of 2, 1',
    );
  });

  it('keeps the loaded engine, where it is at most a quarter slower', () => {
    const ask = (seconds: number, current: string | null = engineOf(PLAIN)) =>
      pickOf(askedOf(ALL, { current, measured: [measuredOf(PLAIN, 4, seconds, 12), measuredOf(FAST, 4, 1, 12)] }));
    expect([ask(1.24), ask(1.26), ask(1.24, null)]).toEqual(['plain 4', 'fast 4', 'fast 4']);
  });

  it('does not keep the loaded engine where its memory is gone', () => {
    const measured = [measuredOf(PLAIN, 4, 1, 12), measuredOf(SMALL, 2, 1.1, 5)];
    const ask = (gigabytes: number) =>
      pickOf(askedOf([PLAIN, SMALL], { ...within(gigabytes), measured, current: engineOf(PLAIN) }));
    expect([ask(13), ask(9)]).toEqual(['plain 4', 'small 2']);
  });

  it('takes what is exact and stays on the card before fewer bits, and those before weights that come and go', () => {
    const [exact, bits, coming] = [
      presetOf('exact', { speed: 0.5, batch_limit: 1, settings: { offload: 'text_encoders' } }),
      presetOf('bits', { speed: 2, batch_limit: 1, settings: { quantize: 'fp8_storage' } }),
      presetOf('coming', { speed: 4, batch_limit: 1, settings: { quantize: 'fp8_storage', offload: 'model' } }),
    ];
    const all = [coming, bits, exact];
    const sizes = new Map([
      [exact, 20],
      [bits, 12],
      [coming, 6],
    ]);
    const measured = [measuredOf(exact, 1, 9, 20), measuredOf(bits, 1, 2, 12), measuredOf(coming, 1, 1, 6)];
    const ask = (gigabytes: number, change = {}) =>
      askedOf(all, {
        room: roomOf(gigabytes),
        footprintOf: (preset) => footprintOf(sizes.get(preset) ?? 0),
        current: engineOf(bits),
        ...change,
      });
    for (const learned of [{}, { measured }])
      expect([22, 14, 8].map((room) => pickOf(ask(room, learned)))).toEqual(['exact 1', 'bits 1', 'coming 1']);
    expect(chosenOf(ask(22, { measured })).considered.map(({ preset, why }) => [preset, why])).toEqual([
      ['exact', expect.stringContaining('is the fastest that fits')],
      ['bits', 'fewer bits are not needed'],
      ['coming', 'weights need not come and go'],
    ]);
    const fits = new Map([[engineOf(exact), known(0, [1])]]);
    expect(pickOf(ask(22, { measured, fits }))).toBe('bits 1');
  });

  it('leaves out what cannot hold, and says why', () => {
    const ruledOut = (preset: Preset) => (preset === FAST ? 'flash on a UNet cannot hold' : null);
    expect(chosenOf(askedOf(ALL, { ruledOut }))).toMatchObject({
      preset: PLAIN,
      considered: expect.arrayContaining([
        expect.objectContaining({ preset: 'fast', verdict: 'impossible', why: 'flash on a UNet cannot hold' }),
      ]),
    });
  });

  it('goes from what ran out of memory to what is next, whatever the test says', () => {
    const ask = (...ran: readonly (readonly [Preset, Fit])[]) =>
      pickOf(askedOf(ALL, { ...within(64), fits: new Map(ran.map(([preset, fit]) => [engineOf(preset), fit])) }));
    expect(ask([FAST, known(2, [4])])).toBe('fast 2');
    expect(ask([FAST, known(3, [6])])).toBe('fast 3');
    expect(ask([FAST, known(0, [4, 2, 1])])).toBe('plain 4');
    expect(ask([FAST, known(0, [4, 2, 1])], [PLAIN, { limit: 0, tried: 'load' }])).toBe('small 2');
    expect(ask([presetOf('fast', { settings: {} }), known(0, [1])])).toBe('fast 4');
  });

  it('tries the smallest where nothing fits by the test, and gives up when that has run out', () => {
    const asked = askedOf(ALL, within(3));
    expect(chosenOf(asked)).toMatchObject({ preset: SMALL, limit: 1, reason: expect.stringContaining('takes least') });
    expect(choose({ ...asked, fits: new Map([[engineOf(SMALL), known(0, [1])]]) })).toEqual({
      exhausted: '1024x1024 does not fit on cuda:0: tried small in batches of 1; plain, fast would take more',
      code: 'out_of_memory',
    });
  });

  it('says so where there is nothing that it might choose', () => {
    expect(choose(askedOf([PLAIN], { ruledOut: () => 'which needs a card' }))).toEqual({
      exhausted: 'auto has nothing to choose on cuda:0: plain, which needs a card',
      code: 'preset_impossible',
    });
  });

  it('explains itself: the best first, each with its figures and where they came from', () => {
    const measured = [measuredOf(PLAIN, 4, 2, 12)];
    const { reason, considered } = chosenOf(askedOf([PLAIN, SMALL, FAST], { ...within(13), measured }));
    expect(reason).toBe(
      'plain is the fastest that fits: batches of 4, 2.00 s a picture (measured), 12.0 GB (measured) of 13.0 GB',
    );
    expect(considered.map(({ preset, batch, verdict }) => `${preset} ${batch} ${verdict}`)).toEqual([
      'plain 4 chosen',
      'plain 2 fits',
      'plain 1 fits',
      'small 2 fits',
      'small 1 fits',
      'fast 4 too large',
      'fast 2 too large',
      'fast 1 too large',
    ]);
    expect(considered[0]).toMatchObject({ footprint: { ground: 'learned' }, seconds: 2, secondsGround: 'learned' });
    expect(considered.at(-1)?.why).toContain('17.0 GB (computed) and 1.0 GB in reserve of 13.0 GB');
  });
});

describe('a preset that was asked for by its name', () => {
  const named = (candidates: readonly Preset[], change: Parameters<typeof askedOf>[1] = {}) =>
    askedOf(candidates, { auto: false, ...change });
  const ran = (...all: readonly (readonly [Preset, Fit])[]) => ({
    fits: new Map(all.map(([preset, fit]) => [engineOf(preset), fit])),
  });

  it('is what it is, while nothing is known', () => {
    expect(pickOf(named([SMALL, FAST]))).toBe('small 2');
    expect(pickOf(named([SMALL], { most: 16 }))).toBe('small 16');
  });

  it('has the batches that fit, and is tried alone where by the test none does', () => {
    expect(pickOf(named([PLAIN, SMALL], within(15)))).toBe('plain 2');
    expect(chosenOf(named([PLAIN, SMALL], within(5)))).toMatchObject({
      preset: PLAIN,
      limit: 1,
      reason: expect.stringContaining('tried although it does not fit by the test'),
    });
  });

  it('gives way to those below it only after it ran out of memory', () => {
    expect(pickOf(named([PLAIN, SMALL], ran([PLAIN, known(2, [4])])))).toBe('plain 2');
    expect(pickOf(named([PLAIN, SMALL], ran([PLAIN, known(0, [4, 2, 1])])))).toBe('small 2');
    expect(pickOf(named([PLAIN, SMALL], ran([SMALL, known(0, [1])], [safely(PLAIN), known(0, [1])])))).toBe('plain 4');
  });

  it('holds as many as it was told, but never more than are known to fit', () => {
    expect(pickOf(named([PLAIN], { most: 16, ...ran([PLAIN, known(8, [16])]) }))).toBe('plain 8');
    expect(pickOf(named([PLAIN], { most: 2, ...ran([PLAIN, known(3, [6])]) }))).toBe('plain 2');
  });

  it('is judged by whoever loads it, if it cannot hold; one below it is left out', () => {
    const ruledOut = () => 'it cannot hold';
    expect(pickOf(named([PLAIN, SMALL], { ruledOut }))).toBe('plain 4');
    expect(choose(named([PLAIN, SMALL], { ruledOut, ...ran([PLAIN, known(0, [1])]) }))).toMatchObject({
      code: 'out_of_memory',
    });
  });

  it('is missing when all were tried, and the sentence says how', () => {
    expect(choose(named([PLAIN, SMALL], ran([PLAIN, known(0, [4, 2, 1])], [SMALL, known(0, [1])])))).toEqual({
      exhausted: '1024x1024 does not fit on cuda:0: tried plain in batches of 4, 2, 1 and small in batches of 1',
      code: 'out_of_memory',
    });
    expect(choose(named([PLAIN, SMALL], ran([PLAIN, { limit: 0, tried: 'load' }], [SMALL, known(0, [1])])))).toEqual({
      exhausted:
        '1024x1024 does not fit on cuda:0: tried plain, which ran out of memory while it loaded and small in batches of 1',
      code: 'out_of_memory',
    });
  });
});

function known(limit: number, tried: readonly number[]): Fit {
  return { limit, tried };
}
