import { InputError } from '../errors.ts';
import type { Pause } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { parseFor, parseUntil } from './until.ts';

export interface PauseOptions {
  readonly now?: boolean;
  /** `2h`, `90m`. */
  readonly for?: string;
  /** `07:00`. */
  readonly until?: string;
  readonly json?: boolean;
}

/**
 * Frees the cards: the running batches end (with `now` they are given up and made again later), and nothing is begun
 * until the time is over or somebody says `resume`. It holds for whoever works in this data folder, also later.
 * @returns the exit code
 */
export async function pause(app: App, options: PauseOptions): Promise<number> {
  if (options.for !== undefined && options.until !== undefined)
    throw new InputError('stands against --until; leave one of them out', { code: 'bad_flag', place: '--for' });
  const since = app.clock.now();
  const paused: Pause = { since, until: endOf(options, since), now: options.now === true };
  await (await app.store()).setPause(paused);
  app.io.out(options.json === true ? JSON.stringify(paused) : pausedNote(paused, since));
  if (options.json !== true && !(await isWorking(app))) app.io.err('Nothing works here now; whoever starts waits.');
  return EXIT.done;
}

/** @returns the exit code */
export async function resume(app: App, options: { readonly json?: boolean }): Promise<number> {
  await (await app.store()).setPause(null);
  app.io.out(options.json === true ? JSON.stringify({ resumed: true }) : 'Going on.');
  if (options.json !== true && !(await isWorking(app))) app.io.err('Nothing works here now; `kilnwatt serve` does.');
  return EXIT.done;
}

/** @param at the time at which it is said */
export function pausedNote({ until, now }: Pick<Pause, 'until' | 'now'>, at: EpochMillis): string {
  const end = until === null ? '`kilnwatt resume` goes on' : `${momentOf(until, at)}, or until \`kilnwatt resume\``;
  const running = now ? 'The running batch is given up' : 'The running batch is finished';
  return `Paused until ${end}. ${running}, then the cards are free.`;
}

function endOf(options: PauseOptions, now: EpochMillis): EpochMillis | null {
  if (options.for !== undefined) return now + parseFor(options.for);
  return options.until === undefined ? null : parseUntil(options.until, now);
}

/** The time of day, with the day where that is not today. @param timeZone IANA name; left out, that of this host */
export function momentOf(at: EpochMillis, now: EpochMillis, timeZone?: string): string {
  const place = timeZone === undefined ? {} : { timeZone };
  const time = new Intl.DateTimeFormat('en-GB', { ...place, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const date = new Intl.DateTimeFormat('en-GB', { ...place, dateStyle: 'short' });
  if (date.format(at) === date.format(now)) return time.format(at);
  const day = new Intl.DateTimeFormat('en-GB', { ...place, weekday: 'short', day: 'numeric', month: 'short' });
  return `${day.format(at)}, ${time.format(at)}`;
}

/** Whether anybody makes pictures in this data folder now, or is about to. */
export async function isWorking(app: App): Promise<boolean> {
  const owner = await (await app.store()).owner();
  return owner !== null && app.isAlive(owner.launch);
}
