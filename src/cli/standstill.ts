import { hoursOfAll } from '../batch/hours.ts';
import { Timetable } from '../batch/timetable.ts';
import type { Pause, RunRow, Store } from '../ports.ts';
import { openIn } from '../submission.ts';
import type { App } from './app.ts';
import { WaitsToTell } from './cheap.ts';
import { momentOf } from './pause.ts';

/** Why nothing is begun in this data folder now, whoever works there: a pause, or the hours. Null: something may be. */
async function standstillOf(app: App): Promise<string | null> {
  const now = app.clock.now();
  const pause = await pauseOf(await app.store());
  if (pause !== null && (pause.until === null || pause.until > now)) {
    const end = pause.until === null ? '`kilnwatt resume`' : `${momentOf(pause.until, now)} (or \`kilnwatt resume\`)`;
    return `paused until ${end}`;
  }
  const { hours } = app.loaded.config;
  const rests = new Timetable(hoursOfAll(hours)).restsFor(now);
  return rests > 0 ? `outside of the hours (${hours}) until ${momentOf(now + rests, now)}` : null;
}

/** Also one whose time is over, and that nobody who works has taken out yet. */
export async function pauseOf(store: Store): Promise<Pause | null> {
  return (await store.news(Number.MAX_SAFE_INTEGER)).pause;
}

export async function tellStandstill(app: App): Promise<void> {
  const standstill = await standstillOf(app);
  if (standstill !== null) app.io.err(`Nothing is begun now: ${standstill}.`);
}

/** To whoever has just submitted something. */
export async function tellUnserved(app: App): Promise<void> {
  if (!(await isServed(app))) app.io.err('Nothing serves this data folder now; `kilnwatt serve` makes them.');
}

/** Whether somebody works off every run of this data folder now. */
export async function isServed(app: App): Promise<boolean> {
  const owner = await (await app.store()).owner();
  return owner?.serves === true && app.isAlive(owner.launch);
}

/** What a run that is not over waits for; null for one that is over. */
export async function waitsFor(app: App, run: RunRow): Promise<string | null> {
  const open = openIn(run.counts);
  const { interrupted } = run.counts;
  if (open + interrupted === 0 || run.held !== null) return null;
  if (open === 0) return `its own command, or \`kilnwatt runs resume ${run.name}\``;
  if (app.isAlive(run.launch) || (await isServed(app)))
    return (await standstillOf(app)) ?? (await new WaitsToTell(app).zoneOfRun(await app.store(), run)) ?? 'its turn';
  return run.served ? '`kilnwatt serve`, which is not running' : 'its own command, which is not running';
}
