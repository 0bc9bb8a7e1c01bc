import type { EpochMillis, Millis } from '../units.ts';

export interface BreakerRule {
  /** Deaths in a row, without a finished batch between them, after which the device is left alone. */
  readonly deaths: number;
  /** How long, until it is probed; twice as long after each probe that ended with a death. */
  readonly probeAfter: Millis;
  /** At most this long. */
  readonly probeMost: Millis;
}

export const BREAKER: BreakerRule = { deaths: 5, probeAfter: 5 * 60_000, probeMost: 60 * 60_000 };

export interface Quarantine {
  /** One sentence: how many deaths, and the last of them. */
  readonly reason: string;
  /** When the device may be probed, by the time of day that holds now. */
  readonly until: EpochMillis;
}

/** As it is kept: by a clock that nobody sets, or a quarantine would last as long as the clock was set back. */
interface Term {
  readonly reason: string;
  /** Monotonic. */
  readonly until: Millis;
}

/** What a device's workers came to since the last batch that was finished. */
export interface BreakerState {
  readonly deaths: number;
  readonly quarantines: number;
  /** The last of them, also when it is over. */
  readonly last: Term | null;
}

/** As at the beginning, and after every batch that was finished. */
export const CLOSED: BreakerState = { deaths: 0, quarantines: 0, last: null };

/** Counts a death, `at` being monotonic; from the limit on each of them begins a quarantine. */
export function afterDeath(
  state: BreakerState,
  death: { readonly at: Millis; readonly sentence: string },
  rule: BreakerRule,
): BreakerState {
  const deaths = state.deaths + 1;
  if (deaths < rule.deaths) return { ...state, deaths };
  const reason = `${deaths} deaths in a row without a finished batch; the last: ${death.sentence}`;
  const length = Math.min(rule.probeMost, rule.probeAfter * 2 ** state.quarantines);
  return { deaths, quarantines: state.quarantines + 1, last: { reason, until: death.at + length } };
}

/** What is left of the quarantine that holds at a monotonic time; null once the device may be probed. */
export function quarantineAt(
  { last }: BreakerState,
  now: Millis,
): { readonly reason: string; readonly left: Millis } | null {
  return last !== null && now < last.until ? { reason: last.reason, left: last.until - now } : null;
}
