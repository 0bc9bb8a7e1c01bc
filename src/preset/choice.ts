import type { Preset } from './catalogue.ts';
import { exhaustedBy, figuresOf } from './clauses.ts';
import { engineOf } from './engine.ts';
import type { Choice, Considered, Footprint } from './explanation.ts';
import type { Asked, Exhausted, Option } from './question.ts';
import { type Speed, speedIn } from './speed.ts';
import { type Tier, tierOf } from './tier.ts';

/** How much slower the loaded engine may be than the best: a change costs a load, which is many pictures' time. */
const WORTH_STAYING = 1.25;

/**
 * What jobs are made with. `auto` is the fastest that fits, of those that give up least for memory: by measurement where
 * there is one, else by the fit test and by priors. A preset that was asked for by its name gives way only after it ran out of memory. What ran out of memory
 * is never chosen again; where nothing fits by the test, the smallest is tried all the same, since a test may be wrong.
 */
export function choose(asked: Asked): Choice | Exhausted {
  const open = asked.candidates.filter((preset, at) => isOpen(asked, preset, at));
  const speedOf = speedIn(asked);
  const options = open.flatMap((preset) =>
    sizesOf(asked, preset).map((batch) => optionOf(asked, preset, batch, speedOf)),
  );
  const [chosen, why] = asked.auto ? freely(asked, options) : inOrder(asked, options);
  if (chosen === null) return exhaustedBy(asked);
  const { preset, batch } = chosen;
  const considered = [
    { ...consideredOf(asked, chosen), verdict: 'chosen' as const, why },
    ...options
      .filter((option) => option !== chosen)
      .sort((one, other) => byVerdict(asked, one, other))
      .map((option) => consideredOf(asked, option, chosen)),
    ...asked.candidates.flatMap((each, at) => closedOf(asked, each, at)),
  ];
  return { preset, limit: batch, reason: `${preset.name} ${why}`, room: asked.room, considered };
}

/** Whether anything of it may be tried. What was asked for by its name is judged by whoever loads it. */
function isOpen(asked: Asked, preset: Preset, at: number): boolean {
  return asked.fits.get(engineOf(preset))?.limit !== 0 && reasonAgainst(asked, preset, at) === null;
}

function reasonAgainst(asked: Asked, preset: Preset, at: number): Pick<Considered, 'verdict' | 'why'> | null {
  const why = asked.auto || at > 0 ? asked.ruledOut(preset) : null;
  if (why !== null) return { verdict: 'impossible', why };
  if (
    !asked.auto ||
    preset.auto !== 'measured' ||
    asked.measured.some(({ engine, count }) => count > 0 && engine === engineOf(preset))
  )
    return null;
  return { verdict: 'not measured', why: 'auto takes it only where it was measured' };
}

/** Doubling, up to what it may hold and what did not run out of memory. */
function sizesOf({ most, fits }: Asked, preset: Preset): readonly number[] {
  const limit = most ?? preset.batchLimit;
  const cap = Math.min(limit, fits.get(engineOf(preset))?.limit ?? limit);
  const sizes: number[] = [];
  for (let size = 1; size < cap; size *= 2) sizes.push(size);
  return [...sizes, cap];
}

function optionOf(
  asked: Asked,
  preset: Preset,
  batch: number,
  speedOf: (preset: Preset, batch: number) => Speed,
): Option {
  const engine = engineOf(preset);
  const footprint = footprintIn(asked, preset, engine, batch);
  return { preset, engine, batch, footprint, speed: speedOf(preset, batch), fits: isRoomFor(footprint, asked.room) };
}

/** A measured peak of this size; of a larger one only where it is less than the test says, since smaller ones take no more. */
function footprintIn(asked: Asked, preset: Preset, engine: string, batch: number): Footprint | null {
  const computed = asked.footprintOf(preset, batch);
  const [measured] = asked.measured
    .filter((one) => one.engine === engine && one.batch >= batch)
    .sort((one, other) => one.batch - other.batch);
  if (measured === undefined) return computed;
  const { peakBytes: bytes, count } = measured;
  if (measured.batch > batch && computed !== null && computed.deviceBytes <= bytes) return computed;
  const detail = `the most in the last of ${Math.max(1, count)} measured, in batches of ${measured.batch}`;
  const parts = [{ what: 'peak', bytes, ground: 'learned' as const, detail }, ...(computed?.parts ?? [])];
  // On a processor it is the same memory; of a card's host a measurement says nothing.
  const hostBytes = asked.kind === 'cpu' ? bytes : (computed?.hostBytes ?? 0);
  return { deviceBytes: bytes, hostBytes, ground: 'learned', parts };
}

/**
 * What is not known does not forbid. A measured peak needs no reserve: the desktop, the driver and the gaps between
 * tensors were there when it was seen, and what is free now has been counted without them.
 */
function isRoomFor(footprint: Footprint | null, { device, host, reserve }: Choice['room']): boolean {
  if (footprint === null) return true;
  const { deviceBytes, hostBytes, ground } = footprint;
  const needed = ground === 'learned' ? deviceBytes : deviceBytes + reserve;
  return (device === null || needed <= device) && (host === null || hostBytes <= host);
}

/** With the reason, as its preset's name goes on. */
type Picked = readonly [Option | null, string];

function freely(asked: Asked, options: readonly Option[]): Picked {
  const fitting = leastGivenUp(
    asked,
    options.filter(({ fits }) => fits),
  );
  const best = fastest(fitting);
  if (best === null) return smallest(asked, options);
  const loaded = fastest(fitting.filter(({ engine }) => engine === asked.current));
  if (loaded === null || loaded.engine === best.engine || loaded.speed.rank > WORTH_STAYING * best.speed.rank)
    return [best, `is the fastest that fits: ${figuresOf(best, asked.room)}`];
  return [
    loaded,
    `is loaded, fits and is at most a quarter slower than ${best.preset.name}: ${figuresOf(loaded, asked.room)}`,
  ];
}

/** Of the lowest tier that there is. */
function leastGivenUp(asked: Asked, options: readonly Option[]): readonly Option[] {
  const lowest = Math.min(...options.map((option) => tierIn(asked, option)));
  return options.filter((option) => tierIn(asked, option) === lowest);
}

function tierIn({ device }: Asked, { preset }: Option): Tier {
  return tierOf(preset.settings, device.startsWith('cpu') ? 'cpu' : 'cuda');
}

/** Of all, those that ran out of memory included: what takes more than one of them is not worth a try. */
function smallest(asked: Asked, options: readonly Option[]): Picked {
  const [least] = asked.candidates
    .filter((preset, at) => reasonAgainst(asked, preset, at) === null)
    .map((preset) => ({ preset, share: shareOf(footprintIn(asked, preset, engineOf(preset), 1), asked.room) }))
    .sort((one, other) => one.share - other.share);
  const option = options.find(({ preset, batch }) => preset === least?.preset && batch === 1);
  if (option === undefined) return [null, ''];
  return [option, `takes least where nothing fits by the test, and is tried: ${figuresOf(option, asked.room)}`];
}

/** Of the memory that is shorter, in which more than 1 does not fit. What is not known is none of the smallest. */
function shareOf(footprint: Footprint | null, { device, host, reserve }: Choice['room']): number {
  if (footprint === null) return Number.POSITIVE_INFINITY;
  const { deviceBytes, hostBytes } = footprint;
  const onDevice = device === null ? 0 : (deviceBytes + reserve) / Math.max(1, device);
  return Math.max(onDevice, host === null ? 0 : hostBytes / Math.max(1, host));
}

function inOrder(asked: Asked, options: readonly Option[]): Picked {
  const [first] = options;
  if (first === undefined) return [null, ''];
  const asIs = options.filter(({ preset }) => preset === first.preset);
  const best = fastest(asIs.filter(({ fits }) => fits)) ?? first;
  const [named] = asked.candidates;
  const why = first.preset === named ? 'was asked for' : `is the next below ${named?.name}, which ran out of memory`;
  const doubt = best.fits ? '' : ', tried although it does not fit by the test';
  return [best, `${why}${doubt}${madeFor(best.preset, asked.kind)}: ${figuresOf(best, asked.room)}`];
}

/** A preset that was asked for by its name may be one for another kind of device. */
function madeFor({ device }: Preset, kind: Asked['kind']): string {
  if (device === 'any' || device === kind) return '';
  return device === 'cuda' ? ', although it was made for cards' : ', although it was made for processors';
}

/** Of two that are as fast, the first. */
function fastest(options: readonly Option[]): Option | null {
  return options.reduce<Option | null>(
    (best, option) => (best === null || option.speed.rank < best.speed.rank ? option : best),
    null,
  );
}

function byVerdict(asked: Asked, one: Option, other: Option): number {
  const given = tierIn(asked, one) - tierIn(asked, other);
  return Number(other.fits) - Number(one.fits) || given || one.speed.rank - other.speed.rank;
}

function consideredOf(asked: Asked, option: Option, chosen?: Option): Considered {
  const { preset, batch, footprint, speed, fits } = option;
  const shared = { preset: preset.name, batch, footprint, seconds: speed.seconds, secondsGround: speed.ground };
  if (!fits) return { ...shared, verdict: 'too large', why: figuresOf(option, asked.room) };
  return { ...shared, verdict: 'fits', why: chosen === undefined ? '' : whyNot(asked, option, chosen) };
}

function whyNot(asked: Asked, option: Option, chosen: Option): string {
  if (!asked.auto && option.preset !== chosen.preset) return 'comes after it';
  const tier = tierIn(asked, option);
  if (tier > tierIn(asked, chosen)) return GIVEN_UP[tier];
  if (option.speed.rank < chosen.speed.rank) return 'not so much faster that a load is worth it';
  const isSeen = option.speed.ground === 'learned' && chosen.speed.ground === 'learned';
  return `${option.speed.rank === chosen.speed.rank ? 'not faster' : 'slower'}${isSeen ? '' : ', by what is known'}`;
}

const GIVEN_UP = ['', 'fewer bits are not needed', 'weights need not come and go'] as const;

function closedOf(asked: Asked, preset: Preset, at: number): readonly Considered[] {
  const nothing = { preset: preset.name, footprint: null, seconds: null, secondsGround: null };
  const against = reasonAgainst(asked, preset, at);
  if (against !== null) return [{ ...nothing, batch: 1, ...against }];
  const fit = asked.fits.get(engineOf(preset));
  if (fit === undefined) return [];
  const load = fit.tried === 'load';
  const why = load ? 'ran out while it loaded' : `more than ${fit.limit} at once ran out of memory`;
  return [{ ...nothing, batch: load ? 1 : Math.max(1, 2 * fit.limit), verdict: 'ran out of memory', why }];
}
