import { parseHours } from '../batch/hours.ts';
import { Timetable } from '../batch/timetable.ts';
import type { RunRow } from '../ports.ts';
import type { App } from './app.ts';
import { momentOf } from './pause.ts';

/** Why nothing is begun in this data folder now, whoever works there: a pause, or the hours. Null: something may be. */
export async function standstillOf(app: App): Promise<string | null> {
  const now = app.clock.now();
  const { pause } = await (await app.store()).news(Number.MAX_SAFE_INTEGER);
  if (pause !== null && (pause.until === null || pause.until > now)) {
    const end = pause.until === null ? '`kilnwatt resume`' : `${momentOf(pause.until, now)} (or \`kilnwatt resume\`)`;
    return `paused until ${end}`;
  }
  const { hours } = app.loaded.config;
  const rests = new Timetable(typeof hours === 'string' ? parseHours(hours) : null).restsFor(now);
  return rests > 0 ? `outside of the hours (${hours}) until ${momentOf(now + rests, now)}` : null;
}

/** Whether somebody works off every run of this data folder now. */
export async function isServed(app: App): Promise<boolean> {
  const owner = await (await app.store()).owner();
  return owner?.serves === true && app.isAlive(owner.launch);
}

/** What a run that is not over waits for; null for one that is over. */
export async function waitsFor(app: App, run: RunRow): Promise<string | null> {
  const { submitting, queued, running, interrupted } = run.counts;
  if (submitting + queued + running + interrupted === 0 || run.held !== null) return null;
  if (interrupted > 0 && submitting + queued + running === 0)
    return `its own command, or \`kilnwatt runs resume ${run.name}\``;
  if (app.isAlive(run.launch) || (await isServed(app))) return (await standstillOf(app)) ?? 'its turn';
  return run.served ? '`kilnwatt serve`, which is not running' : 'its own command, which is not running';
}
