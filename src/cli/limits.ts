import { InputError } from '../errors.ts';
import type { LearnedLimit } from '../ports.ts';
import { beliefIn } from '../preset/belief.ts';
import { type Preset, presetsWith } from '../preset/catalogue.ts';
import { presetOfEngine } from '../preset/engine.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { isWorking, momentOf } from './pause.ts';
import { columns } from './table.ts';

export interface LimitsOptions {
  readonly json?: boolean;
  /** GPU UUID, or `cpu`; else all. */
  readonly device?: string;
}

/** @returns the exit code */
export async function limitsLs(app: App, options: LimitsOptions): Promise<number> {
  const shown = await limitsOf(app, options);
  if (options.json === true) for (const limit of shown) app.io.out(JSON.stringify(eventOf(limit)));
  else {
    const presets = presetsWith(app.loaded.config.presets);
    for (const line of columns(shown.map((limit) => rowOf(limit, presets, app.clock.now())))) app.io.out(line);
    if (shown.length === 0) app.io.err('Nothing is known to have run out of memory.');
  }
  return EXIT.done;
}

/**
 * Has a device looked at afresh, for example after a card was emptied of something else, or has another cooler: what did
 * not fit is tried again, and what batches took is measured again.
 * @returns the exit code
 */
export async function limitsForget(app: App, options: LimitsOptions): Promise<number> {
  const store = await app.store();
  const known = [...(await store.limits()), ...(await store.measurements())];
  requireKnown(options.device, known);
  const forgotten = await store.forgetLimits(options.device ?? null);
  const measurements = await store.forgetMeasurements(options.device ?? null);
  if (options.json === true) app.io.out(JSON.stringify({ forgotten, measurements }));
  else app.io.out(`${counted(forgotten, 'limit')} and ${counted(measurements, 'measurement')} forgotten`);
  if (options.json !== true && (await isWorking(app)))
    app.io.err('Whoever works here now keeps its own until it is started again.');
  return EXIT.done;
}

async function limitsOf(app: App, { device }: LimitsOptions): Promise<readonly LearnedLimit[]> {
  const store = await app.store();
  const limits = await store.limits();
  requireKnown(device, device === undefined ? [] : [...limits, ...(await store.measurements())]);
  return limits.filter((limit) => device === undefined || limit.device === device).sort(inOrder);
}

/** @throws InputError `device_unknown` */
function requireKnown(device: string | undefined, learned: readonly { readonly device: string }[]): void {
  const devices = [...new Set(learned.map((one) => one.device))].sort();
  if (device === undefined || devices.includes(device)) return;
  const known = devices.length === 0 ? 'nothing was learned of any' : `there is something of ${devices.join(', ')}`;
  throw new InputError(`nothing was learned of ${device}; ${known}`, { code: 'device_unknown', place: '--device' });
}

function inOrder(one: LearnedLimit, other: LearnedLimit): number {
  return keyOf(one) < keyOf(other) ? -1 : 1;
}

function keyOf({ device, model, shape, engine }: LearnedLimit): string {
  return [device, model, shape, engine].join(' ');
}

function rowOf(limit: LearnedLimit, presets: readonly Preset[], now: number): readonly string[] {
  const { device, model, engine, shape, limit: most, at } = limit;
  const until = at + beliefIn(most);
  return [
    device,
    model.replace(/^sha256:/, '').slice(0, 12),
    shape === '*' ? 'the model itself' : shape,
    presetOfEngine(engine, presets),
    most === 0 ? 'does not fit' : `batches of ${most} at most`,
    until > now ? `until ${momentOf(until, now)}` : 'tried again',
  ];
}

function eventOf({ device, model, engine, shape, limit, at }: LearnedLimit) {
  const iso = (time: number) => new Date(time).toISOString();
  return { device, model, engine, shape, limit, learned: iso(at), believed_until: iso(at + beliefIn(limit)) };
}
