import type { BatchResult, EnergyReading, EnergyWindow } from '../ports.ts';
import type { EpochMillis, Millijoules, Seconds } from '../units.ts';
import { STUCK } from './chain.ts';

/** A moment at which a card was read. */
export interface Moment {
  readonly at: EpochMillis;
  readonly counter: Millijoules | null;
}

/** What our own telemetry saw of the time of a batch. */
export interface Witness {
  readonly begin: Moment;
  /** Null where nothing was read since. */
  readonly last: Moment | null;
  integral(from: EpochMillis, to: EpochMillis): EnergyWindow['integral'];
  /** What the counter was in between two readings, as if it had risen evenly; null where one of them lacks it. */
  counterAt(at: EpochMillis): Millijoules | null;
  /** What part of what was burnt others had; null where that cannot be told. */
  share(from: EpochMillis, to: EpochMillis): number | null;
}

export interface ToldWindow {
  readonly cause: 'load' | 'batch';
  readonly window: EnergyWindow;
  /** What of it says what was burnt. */
  readonly by: 'counter' | 'integral' | 'none';
}

interface Told {
  readonly cause: 'load' | 'batch';
  readonly seconds: Seconds;
  readonly energy: EnergyReading;
}

/**
 * The windows of a batch, in order and none before the one before it has ended, and its result with the readings that
 * belong to them: what no worker lived to tell, or could not read, is filled in from what our own telemetry saw.
 */
export function windowsOf(
  result: BatchResult,
  witness: Witness,
  gpu: string,
): { readonly result: BatchResult; readonly windows: readonly ToldWindow[] } {
  const told: readonly Told[] = [
    ...result.overhead,
    { cause: 'batch', seconds: result.shared.seconds, energy: result.shared.energy },
  ];
  const windows: ToldWindow[] = [];
  let now = witness.begin;
  const readings = told.map((one, place) => {
    const { cause, energy } = one;
    const whole = wholeOf(one, now, told.slice(place + 1), witness, gpu);
    if (whole?.window === undefined) return energy;
    const { by, reading, window } = settledReading(whole, whole.window);
    windows.push({ cause, window, by });
    now = { at: window.to, counter: window.counter?.to ?? null };
    return reading;
  });
  const overhead = result.overhead.map((one, place) => ({ ...one, energy: readings[place] ?? one.energy }));
  const shared = { ...result.shared, energy: readings.at(-1) ?? result.shared.energy };
  return { result: { ...result, shared, overhead }, windows };
}

/** The same result, with the stamps of its worker as the times that they are in the books. */
export function inBookTime(result: BatchResult, timeOf: (wall: EpochMillis) => EpochMillis): BatchResult {
  const timed = (energy: EnergyReading): EnergyReading => {
    const { window } = energy;
    return window === undefined
      ? energy
      : { ...energy, window: { ...window, from: timeOf(window.from), to: timeOf(window.to) } };
  };
  const overhead = result.overhead.map((one) => ({ ...one, energy: timed(one.energy) }));
  return { ...result, overhead, shared: { ...result.shared, energy: timed(result.shared.energy) } };
}

/** With a window that does not begin before `now`; null for what took nothing. */
function wholeOf(one: Told, now: Moment, later: readonly Told[], witness: Witness, gpu: string): EnergyReading | null {
  const { energy } = one;
  const { window } = energy;
  if (window === undefined) return energy.millijoules === null ? filledIn(one, now, later, witness, gpu) : null;
  const from = Math.max(now.at, window.from);
  const to = Math.max(from, window.to);
  const integral = window.integral ?? (window.counter === null ? witness.integral(from, to) : null);
  return { ...energy, window: { ...window, from, to, integral } };
}

/** From the end of what is known before it, to the begin of what is known after it, or its part of that by its seconds. */
function filledIn(one: Told, now: Moment, later: readonly Told[], witness: Witness, gpu: string): EnergyReading | null {
  const { begin, last, integral, share } = witness;
  // Without any meter, a guess by time and watts is better than a measured nothing.
  if (last === null || last.at <= begin.at) return null;
  const { energy } = one;
  const end = endOf(one, now, later, last, witness);
  const [from, to] = [now.at, end.at];
  const counter =
    now.counter === null || end.counter === null || end.counter < now.counter
      ? null
      : { from: now.counter, to: end.counter };
  const summed = integral(from, to);
  const rise = counter === null ? null : counter.to - counter.from;
  const isDead = rise === 0 && to - from >= STUCK;
  const burnt = rise === null || isDead ? (summed?.millijoules ?? null) : rise;
  if (burnt === null) return null;
  const others = share(from, to);
  const foreign = others === null ? null : Math.round(burnt * others);
  const told = [...(energy.flags ?? []), 'coarse', ...(isDead ? (['implausible'] as const) : [])] as const;
  const flags = foreign === 0 ? told : ([...told, 'shared_gpu'] as const);
  return {
    millijoules: null,
    method: 'unknown',
    meter: 'none',
    flags,
    window: { gpu, from, to, counter, integral: summed, foreign },
  };
}

function endOf({ seconds }: Told, now: Moment, later: readonly Told[], last: Moment, { counterAt }: Witness): Moment {
  const place = later.findIndex(({ energy }) => energy.window !== undefined);
  const next = later[place]?.energy.window;
  const seen = next === undefined ? last : { at: next.from, counter: next.counter?.from ?? null };
  if (seen.at <= now.at) return now;
  const untold = (place < 0 ? later : later.slice(0, place)).filter(({ energy }) => energy.millijoules === null);
  const all = untold.reduce((sum, one) => sum + one.seconds, seconds);
  if (untold.length === 0 || all === 0) return seen;
  const at = Math.round(now.at + ((seen.at - now.at) * seconds) / all);
  return { at, counter: counterAt(at) };
}

/** The reading whose energy and whose window's foreign part add up to what the window's meter says. */
function settledReading(
  energy: EnergyReading,
  window: EnergyWindow,
): { readonly by: ToldWindow['by']; readonly reading: EnergyReading; readonly window: EnergyWindow } {
  const { by, burnt } = meterOf(energy, window);
  if (burnt === null || window.foreign === null) return { by, window, reading: { ...energy, window } };
  // Nobody burns more than all.
  const foreign = Math.min(burnt, window.foreign);
  const told = { by, window: { ...window, foreign } };
  const millijoules = burnt - foreign;
  if (energy.millijoules === millijoules) return { ...told, reading: { ...energy, window: told.window } };
  const meter = by === 'counter' ? 'nvml_counter' : 'power_integral';
  return { ...told, reading: { ...energy, millijoules, method: 'derived', meter, window: told.window } };
}

function meterOf(
  { millijoules, flags = [] }: EnergyReading,
  { counter, integral, foreign }: EnergyWindow,
): { readonly by: ToldWindow['by']; readonly burnt: Millijoules | null } {
  const rise = counter === null ? null : counter.to - counter.from;
  const said = millijoules === null || foreign === null ? null : millijoules + foreign;
  const summed = integral?.millijoules ?? null;
  const believesCounter =
    rise !== null && rise >= 0 && (said === null ? !flags.includes('implausible') : said !== summed);
  if (rise !== null && (rise === said || believesCounter)) return { by: 'counter', burnt: rise };
  return summed === null ? { by: 'none', burnt: null } : { by: 'integral', burnt: summed };
}
