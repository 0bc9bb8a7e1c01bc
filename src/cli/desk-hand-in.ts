import { v7 as uuidv7 } from 'uuid';
import type { Config, LoadedConfig } from '../config.ts';
import { withoutSecret } from '../config-secret.ts';
import { AppError, UnavailableError } from '../errors.ts';
import type { Clock, Desk, Heard } from '../ports.ts';
import type { Ask } from '../submission.ts';
import type { Millis } from '../units.ts';
import type { Interrupts } from './app.ts';
import { type PathFlags, readStarted, remoteAskOf } from './desk-ask.ts';
import type { Io } from './io.ts';
import type { RunStarted } from './run-events.ts';

export interface HandInParts {
  readonly desk: Desk;
  readonly loaded: LoadedConfig;
  readonly io: Io;
  readonly clock: Clock;
  readonly interrupts: Interrupts;
}

/**
 * Hands a run to whoever serves the queue, on whatever host.
 * @throws what a submission on that host throws, and InputError `path_elsewhere`
 * @throws UnavailableError `nobody_serves`, `server_gone`; AppError `interrupted`, which says whether the run may be made
 */
export async function handIn(parts: HandInParts, ask: Ask, flags: PathFlags): Promise<RunStarted> {
  const { desk, loaded, io, clock, interrupts } = parts;
  const { config } = loaded;
  const question = { id: uuidv7(), body: remoteAskOf(ask, loaded, flags) };
  const interrupt = interruptOf(interrupts, clock);
  const cancelNote = clock.after(NOTE_AFTER_MS, () =>
    io.err(`Waiting for the kilnwatt that serves the queue ${config.queue} …`),
  );
  try {
    const onHandingIn = () => interrupts.take();
    const heard = await desk.ask(question, { patience: PATIENCE_MS, signal: interrupt.signal, onHandingIn });
    return startedFrom(heard, config, ask.name);
  } finally {
    cancelNote();
    interrupt.stop();
  }
}

/** What to type on another host; a password is not shown. */
export function commandElsewhere({ queue, redisUrl }: Pick<Config, 'queue' | 'redisUrl'>, words: string): string {
  return `KILNWATT_QUEUE=${queue} kilnwatt ${words} --redis-url ${withoutSecret('redis_url', redisUrl)}`;
}

/**
 * The same for whoever has to find this host first: an address that only this host reaches does not help there, so its
 * place is held by HOST, and a sentence says so.
 */
export function commandFromElsewhere(config: Pick<Config, 'queue' | 'redisUrl'>, words: string): string {
  const url = URL.parse(config.redisUrl ?? '');
  if (url === null || !isOnlyHere(url)) return commandElsewhere(config, words);
  const redisUrl = url.protocol === 'unix:' ? 'redis://HOST:6379' : Object.assign(url, { hostname: 'HOST' }).href;
  const here = withoutSecret('redis_url', config.redisUrl);
  return `${commandElsewhere({ ...config, redisUrl }, words)} (no other host reaches ${here}: let the server listen for others too, and put the name of this host in place of HOST)`;
}

const PATIENCE_MS: Millis = 30_000;
const NOTE_AFTER_MS: Millis = 3_000;
const POLL_MS: Millis = 100;

function isOnlyHere({ protocol, hostname }: URL): boolean {
  return protocol === 'unix:' || /^(localhost|127(\.\d+){3}|\[::1\])$/i.test(hostname);
}

function startedFrom(heard: Heard, config: Config, name: string | null): RunStarted {
  if (heard.kind === 'answered') return readStarted(heard.answer);
  const { queue, redisUrl } = config;
  if (heard.kind === 'unheard') {
    const where = `the queue ${queue} at ${withoutSecret('redis_url', redisUrl)}`;
    const sentence = `nobody serves ${where}: the run lay there for ${PATIENCE_MS / 1_000} s and was taken back. On the host with the card: ${commandElsewhere(config, 'serve')}`;
    throw new UnavailableError(sentence, { code: 'nobody_serves', retryable: true });
  }
  if (heard.kind === 'abandoned') {
    const sentence = `whoever served the queue ${queue} had begun with it and is gone: ask \`kilnwatt runs ls\` there whether ${name ?? 'it'} was taken before submitting again`;
    throw new UnavailableError(sentence, { code: 'server_gone' });
  }
  const fate = heard.takenBack
    ? 'the run was taken back, and none of it is made'
    : `whoever serves the queue ${queue} may have the run, and then makes it; \`kilnwatt runs ls\` on that host tells`;
  throw new AppError(`interrupted; ${fate}`, { code: 'interrupted' });
}

function interruptOf(interrupts: Interrupts, clock: Clock): { readonly signal: AbortSignal; stop(): void } {
  const abort = new AbortController();
  let cancel = () => {};
  const look = (): void => {
    if (interrupts.count() > 0) abort.abort();
    else cancel = clock.after(POLL_MS, look);
  };
  look();
  return { signal: abort.signal, stop: () => cancel() };
}
