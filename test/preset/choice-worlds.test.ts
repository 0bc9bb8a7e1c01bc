import { expect, it } from 'vitest';
import type { Fit } from '../../src/preset/belief.ts';
import type { Preset } from '../../src/preset/catalogue.ts';
import { choose } from '../../src/preset/choice.ts';
import { engineOf } from '../../src/preset/engine.ts';
import type { Measured } from '../../src/preset/speed.ts';
import { seeded } from '../support/rng.ts';
import { askedOf, footprintOf, GB, measuredOf, presetOf } from './choice-samples.ts';

/** What is true on a device, and what the fit test believes. */
interface World {
  readonly candidates: readonly Preset[];
  readonly limit: number;
  readonly reserve: number;
  gigabytes(preset: Preset, batch: number): number;
  believed(preset: Preset, batch: number): number;
  seconds(preset: Preset, batch: number): number;
}

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);
const SIZES = [1, 2, 4, 8];

it('in whatever world, nothing that ran out is tried twice, and it ends at the fastest that was seen to fit', () => {
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: false });
    const { tries, ranOut, measured, last } = nightIn(world);
    const names = tries.map(({ preset, batch }) => `${preset.name} ${batch}`);
    expect(new Set(names).size, `seed ${seed}: ${names.join(', ')}`).toBe(names.length);
    for (const { preset, batch, at } of ranOut) {
      const again = tries.slice(at + 1).filter((one) => one.preset === preset && one.batch >= batch);
      expect(again, `seed ${seed}`).toEqual([]);
    }
    const fastest = Math.min(...measured.map(({ stepSeconds, batch }) => (10 * stepSeconds) / batch));
    expect(last ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeCloseTo(fastest, 9);
  }
});

it('it gives up only where the one that takes least by the test has run out of memory', () => {
  let given = 0;
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: false });
    const { last } = nightIn(world);
    if (last !== null) continue;
    given += 1;
    const [least] = [...world.candidates].sort((one, other) => world.believed(one, 1) - world.believed(other, 1));
    if (least === undefined) throw new Error('the world is empty');
    expect(world.gigabytes(least, 1), `seed ${seed}`).toBeGreaterThan(world.limit);
  }
  expect(given).toBeGreaterThan(0);
});

it('where priors and test are right, it ends at what a search over all finds, and with more memory at a faster one', () => {
  let faster = 0;
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: true });
    const raised = { ...world, limit: 2 * world.limit };
    const [before, after] = [nightIn(world).last, nightIn(raised).last];
    expect(before ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeCloseTo(bestIn(world), 9);
    expect(after ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeCloseTo(bestIn(raised), 9);
    if (bestIn(raised) < 0.95 * bestIn(world)) faster += 1;
  }
  expect(faster).toBeGreaterThan(SEEDS.length / 4);
});

it('once its limits are forgotten, with more memory and what was measured, it is never slower than before', () => {
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: false });
    const { measured, last } = nightIn(world);
    const { last: after } = nightIn({ ...world, limit: 2 * world.limit }, measured);
    expect(after ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeLessThanOrEqual(
      (last ?? Number.POSITIVE_INFINITY) + 1e-9,
    );
  }
});

/** Asks, and tries what is chosen, until that has been measured already or nothing is left. */
function nightIn(world: World, known: readonly Measured[] = []) {
  const fits = new Map<string, Fit>();
  const measured = [...known];
  const tries: { readonly preset: Preset; readonly batch: number }[] = [];
  const ranOut: { readonly preset: Preset; readonly batch: number; readonly at: number }[] = [];
  for (;;) {
    const outcome = choose(
      askedOf(world.candidates, {
        room: { device: world.limit * GB, host: null, reserve: world.reserve * GB },
        footprintOf: (preset, batch) => footprintOf(world.believed(preset, batch)),
        measured,
        fits,
      }),
    );
    if ('exhausted' in outcome) return { tries, ranOut, measured, last: null };
    const { preset, limit: batch } = outcome;
    const engine = engineOf(preset);
    if (measured.some((one) => one.engine === engine && one.batch === batch))
      return { tries, ranOut, measured, last: world.seconds(preset, batch) };
    tries.push({ preset, batch });
    const gigabytes = world.gigabytes(preset, batch);
    if (gigabytes <= world.limit) {
      measured.push(measuredOf(preset, batch, world.seconds(preset, batch), gigabytes));
    } else {
      ranOut.push({ preset, batch, at: tries.length - 1 });
      const tried = fits.get(engine)?.tried;
      fits.set(engine, { limit: Math.floor(batch / 2), tried: [...(Array.isArray(tried) ? tried : []), batch] });
    }
    if (tries.length > 200) throw new Error('it never ends');
  }
}

function bestIn(world: World): number {
  const all = world.candidates.flatMap((preset) =>
    SIZES.filter((batch) => batch <= preset.batchLimit && world.gigabytes(preset, batch) <= world.limit).map((batch) =>
      world.seconds(preset, batch),
    ),
  );
  return Math.min(...all);
}

/**
 * Of up to seven presets: the faster, the more memory. In an honest world priors are true, up to what batches gain, and
 * the fit test is exact; in another one both are anything.
 */
function worldOf(seed: number, { honest }: { readonly honest: boolean }): World {
  const rng = seeded(seed + 1);
  const between = (low: number, high: number) => low + rng() * (high - low);
  const count = 1 + Math.floor(rng() * 7);
  const rows = Array.from({ length: count }, (_, at) => {
    const speed = 1.15 ** (count - at) * between(1, 1.02);
    const base = between(1, 3) + 2.5 * (count - at) * between(0.6, 1);
    return { speed, base, each: between(0.2, 3), wrong: SIZES.map(() => between(0.7, 1.4)), luck: between(0.5, 2) };
  });
  const candidates = rows.map(({ speed }, at) =>
    presetOf(`p${at}`, { speed, batch_limit: SIZES[Math.floor(rng() * SIZES.length)], settings: { prompt_cache: at } }),
  );
  const gains = SIZES.map((size) => (honest ? 1.01 ** Math.log2(size) : between(0.6, 2)));
  const rowOf = (preset: Preset) => rows[candidates.indexOf(preset)] ?? rows[0] ?? never();
  const at = (of: readonly number[], batch: number) => of[SIZES.indexOf(batch)] ?? never();
  const gigabytes = (preset: Preset, batch: number) => rowOf(preset).base + batch * rowOf(preset).each;
  return {
    candidates,
    limit: between(2, 26),
    reserve: honest ? 0 : between(0, 2),
    gigabytes,
    believed: (preset, batch) => gigabytes(preset, batch) * (honest ? 1 : at(rowOf(preset).wrong, batch)),
    seconds: (preset, batch) => {
      const { speed, luck } = rowOf(preset);
      return 10 / (speed * at(gains, batch) * (honest ? 1 : luck));
    },
  };
}

function never(): never {
  throw new Error('the world has no such preset');
}
