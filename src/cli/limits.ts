import { InputError } from '../errors.ts';
import type { LearnedLimit } from '../ports.ts';
import { beliefIn } from '../preset/belief.ts';
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
  else for (const line of columns(shown.map((limit) => rowOf(limit, app.clock.now())))) app.io.out(line);
  return EXIT.done;
}

/**
 * Has what did not fit tried again, for example after a card was emptied of something else.
 * @returns the exit code
 */
export async function limitsForget(app: App, options: LimitsOptions): Promise<number> {
  await limitsOf(app, options);
  const store = await app.store();
  const forgotten = await store.forgetLimits(options.device ?? null);
  if (options.json === true) app.io.out(JSON.stringify({ forgotten }));
  else app.io.out(`${counted(forgotten, 'limit')} forgotten`);
  if (options.json !== true && (await isWorking(app)))
    app.io.err('Whoever works here now keeps its own until it is started again.');
  return EXIT.done;
}

async function limitsOf(app: App, { device }: LimitsOptions): Promise<readonly LearnedLimit[]> {
  const limits = await (await app.store()).limits();
  const devices = [...new Set(limits.map((limit) => limit.device))].sort();
  if (device === undefined) return limits.toSorted(inOrder);
  if (devices.includes(device)) return limits.filter((limit) => limit.device === device).sort(inOrder);
  const known = devices.length === 0 ? 'nothing was learned of any' : `there is something of ${devices.join(', ')}`;
  throw new InputError(`nothing was learned of ${device}; ${known}`, { code: 'device_unknown', place: '--device' });
}

function inOrder(one: LearnedLimit, other: LearnedLimit): number {
  return keyOf(one) < keyOf(other) ? -1 : 1;
}

function keyOf({ device, model, shape, engine }: LearnedLimit): string {
  return [device, model, shape, engine].join(' ');
}

function rowOf(limit: LearnedLimit, now: number): readonly string[] {
  const { device, model, engine, shape, limit: most, at } = limit;
  const until = at + beliefIn(most);
  return [
    device,
    model.replace(/^sha256:/, '').slice(0, 12),
    shape === '*' ? 'the model itself' : shape,
    engine,
    most === 0 ? 'does not fit' : `batches of ${most} at most`,
    until > now ? `until ${momentOf(until, now)}` : 'tried again',
  ];
}

function eventOf({ device, model, engine, shape, limit, at }: LearnedLimit) {
  const iso = (time: number) => new Date(time).toISOString();
  return { device, model, engine, shape, limit, learned: iso(at), believed_until: iso(at + beliefIn(limit)) };
}
