import { expect, it } from 'vitest';
import type { Measurement } from '../../src/ports.ts';
import type { Fit } from '../../src/preset/belief.ts';
import type { Preset } from '../../src/preset/catalogue.ts';
import { choose } from '../../src/preset/choice.ts';
import { engineOf } from '../../src/preset/engine.ts';
import { SURE } from '../../src/preset/speed.ts';
import { Measurements } from '../../src/provider/measurements.ts';
import { ManualClock } from '../support/manual-clock.ts';
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
    const { tries, ranOut, seen, last } = nightIn(worldOf(seed, { honest: false }));
    for (const { engine, batch, at } of ranOut) {
      const again = tries.slice(at + 1).filter((one) => one.engine === engine && one.batch >= batch);
      expect(again, `seed ${seed}`).toEqual([]);
    }
    const fastest = Math.min(...seen);
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
    const { last: after } = nightIn({ ...world, limit: 2 * world.limit }, { known: measured });
    expect(after ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeLessThanOrEqual(
      (last ?? Number.POSITIVE_INFINITY) + 1e-9,
    );
  }
});

it('where there is more memory than last night, cold and disturbed batches do not keep it from what is faster', () => {
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: true });
    const { measured: known } = nightIn(world);
    const raised = { ...world, limit: 2 * world.limit };
    const { last } = nightIn(raised, { known, noise: seeded(seed + 1_000) });
    expect(last ?? Number.POSITIVE_INFINITY, `seed ${seed}`).toBeCloseTo(bestIn(raised), 9);
  }
});

it('where what is loaded is preferred too, it ends at most a quarter slower, as far as priors can tell', () => {
  for (const seed of SEEDS) {
    const world = worldOf(seed, { honest: true });
    const { last } = nightIn(world, { noise: seeded(seed + 1_000), stays: true });
    if (last === null) expect(bestIn(world), `seed ${seed}`).toBe(Number.POSITIVE_INFINITY);
    else expect(last, `seed ${seed}`).toBeLessThanOrEqual(1.3 * bestIn(world));
  }
});

interface Night {
  readonly known?: readonly Measurement[];
  /** Of 10 batches 4 take up to 6 times as long, but never two of a kind in a row. */
  readonly noise?: () => number;
  /** What is loaded is told of. */
  readonly stays?: boolean;
}

const PLACE = { device: 'GPU-1', model: 'm', shape: '1024x1024' };

/** Asks, and tries what is chosen, until that has been measured often enough or nothing is left. */
function nightIn(world: World, { known = [], noise, stays = false }: Night = {}) {
  const measurements = new Measurements({ known, note: () => {} }, new ManualClock());
  const fits = new Map<string, Fit>();
  const tries: { readonly engine: string; readonly batch: number }[] = [];
  const ranOut: { readonly engine: string; readonly batch: number; readonly at: number }[] = [];
  const seen = known.map(({ stepSeconds, batch }) => (10 * stepSeconds) / batch);
  const disturbed = new Set<string>();
  let current: string | null = null;
  for (;;) {
    const measured = measurements.of(PLACE);
    const outcome = choose(
      askedOf(world.candidates, {
        room: { device: world.limit * GB, host: null, reserve: world.reserve * GB },
        footprintOf: (preset, batch) => footprintOf(world.believed(preset, batch)),
        measured,
        fits,
        current: stays ? current : null,
      }),
    );
    if ('exhausted' in outcome) return { tries, ranOut, measured, seen, last: null };
    const { preset, limit: batch } = outcome;
    const engine = engineOf(preset);
    const count = measured.find((one) => one.engine === engine && one.batch === batch)?.count ?? 0;
    if (count > SURE) return { tries, ranOut, measured, seen, last: world.seconds(preset, batch) };
    tries.push({ engine, batch });
    const gigabytes = world.gigabytes(preset, batch);
    if (gigabytes <= world.limit) {
      const kind = `${engine} ${batch}`;
      const isCold = noise !== undefined && current !== engine;
      const isDisturbed = noise !== undefined && !isCold && !disturbed.delete(kind) && noise() < 0.4;
      if (isDisturbed) disturbed.add(kind);
      const times = isCold ? 4 : isDisturbed ? 1 + 5 * (noise?.() ?? 0) : 1;
      measurements.note(PLACE, measuredOf(preset, batch, times * world.seconds(preset, batch), gigabytes), isCold);
      seen.push(world.seconds(preset, batch));
      current = engine;
    } else {
      ranOut.push({ engine, batch, at: tries.length - 1 });
      const tried = fits.get(engine)?.tried;
      fits.set(engine, { limit: Math.floor(batch / 2), tried: [...(Array.isArray(tried) ? tried : []), batch] });
      current = null;
    }
    if (tries.length > 500) throw new Error('it never ends');
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
 * Of up to seven engines: the faster, the more memory. In an honest world priors are true, up to what batches gain, and
 * the fit test is exact; in another one both are anything.
 */
function worldOf(seed: number, { honest }: { readonly honest: boolean }): World {
  const rng = seeded(seed + 1);
  const between = (low: number, high: number) => low + rng() * (high - low);
  const count = 1 + Math.floor(rng() * 7);
  const distinct = Array.from({ length: count }, (_, at) => {
    const speed = 1.15 ** (count - at) * between(1, 1.02);
    const base = between(1, 3) + 2.5 * (count - at) * between(0.6, 1);
    return { speed, base, each: between(0.2, 3), wrong: SIZES.map(() => between(0.7, 1.4)), luck: between(0.5, 2) };
  });
  // Every third preset or so has a twin that sets the same, and holds other batches.
  const rows = distinct.flatMap((row) => (rng() < 0.3 ? [row, row] : [row]));
  const candidates = rows.map((row, at) => {
    const batch_limit = SIZES[Math.floor(rng() * SIZES.length)];
    return presetOf(`p${at}`, { speed: row.speed, batch_limit, settings: { prompt_cache: distinct.indexOf(row) } });
  });
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
