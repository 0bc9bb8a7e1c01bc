import type { Clock, LostReading, WallReading, Watching } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { type Challenge, challengeOf, digestFor } from './digest.ts';
import { PLUGS, type PlugFigures, type PlugKind } from './plug-kinds.ts';
import { Rising } from './rising.ts';

/** Neither its address nor its token is ever in what is told of it. */
export interface Plug {
  readonly kind: PlugKind;
  readonly url: string;
  readonly token: string | null;
}

export interface PlugOptions {
  readonly plug: Plug;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  readonly every?: Millis;
  readonly limit?: Millis;
}

const EVERY_MS: Millis = 2_000;
const LIMIT_MS: Millis = 2_000;

/** Asks the plug for as long as it is watched; one question is over before the next. */
export function watchPlug(options: PlugOptions, onReading: (reading: WallReading | LostReading) => void): Watching {
  const ending = new AbortController();
  const asked = poll(options, onReading, ending.signal);
  return {
    stop: async () => {
      ending.abort();
      await asked;
    },
  };
}

async function poll(
  { plug, clock, fetch, every = EVERY_MS, limit = LIMIT_MS }: PlugOptions,
  onReading: (reading: WallReading | LostReading) => void,
  signal: AbortSignal,
): Promise<void> {
  const asking = new Asking(plug, fetch);
  const energy = new Rising();
  let lost = false;
  while (!signal.aborted) {
    const due = clock.monotonic() + every;
    const told = await asking.ask(limit, clock, signal);
    if (signal.aborted) return;
    if (typeof told === 'string') {
      if (!lost) onReading({ kind: 'lost', at: clock.now(), source: 'plug', reason: `the plug ${told}` });
      lost = true;
    } else {
      lost = false;
      const wattHours = told.wattHours === null ? null : energy.next(told.wattHours);
      onReading({ kind: 'wall', at: clock.now(), watts: told.watts, wattHours });
    }
    await pause(clock, due - clock.monotonic(), signal).catch(() => {});
  }
}

/** Remembers the challenge of a plug with a password, so that only the first question is refused. */
class Asking {
  readonly #plug: Plug;
  readonly #fetch: typeof fetch;
  #challenge: Challenge | null = null;
  #answers = 0;

  constructor(plug: Plug, fetcher: typeof fetch) {
    this.#plug = plug;
    this.#fetch = fetcher;
  }

  /** What the plug says, or what is wrong with it as the end of a sentence. Never throws. */
  async ask(limit: Millis, clock: Clock, signal: AbortSignal): Promise<PlugFigures | string> {
    const late = new AbortController();
    const cancel = clock.after(limit, () => late.abort());
    try {
      return figuresOf(await this.#answer(AbortSignal.any([late.signal, signal])), this.#plug.kind);
    } catch (error) {
      if (late.signal.aborted) return `did not answer within ${limit / 1000} s`;
      return faultOf(error);
    } finally {
      cancel();
    }
  }

  async #answer(signal: AbortSignal): Promise<unknown> {
    const first = await this.#get(signal);
    const asked = first.status === 401 ? challengeOf(first.headers.get('www-authenticate')) : null;
    if (asked === null || this.#plug.token === null) return bodyOf(first);
    await first.body?.cancel();
    this.#challenge = asked;
    this.#answers = 0;
    return bodyOf(await this.#get(signal));
  }

  #get(signal: AbortSignal): Promise<Response> {
    const { kind, url, token } = this.#plug;
    const address = PLUGS[kind].address(new URL(url), token);
    const headers = { ...PLUGS[kind].headers(token), ...this.#digest(address) };
    // A redirect would carry the token to where nobody has written it down.
    return this.#fetch(address, { headers, signal, redirect: 'error' });
  }

  #digest(address: URL): { readonly authorization?: string } {
    const { token: password } = this.#plug;
    if (this.#challenge === null || password === null) return {};
    this.#answers += 1;
    const uri = `${address.pathname}${address.search}`;
    return { authorization: digestFor(this.#challenge, { uri, password, count: this.#answers }) };
  }
}

class Refused extends Error {}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.ok) return response.json();
  await response.body?.cancel();
  const isRight = response.status === 401 || response.status === 403 ? '; is energy.plug_token right?' : '';
  throw new Refused(`answered with status ${response.status}${isRight}`);
}

/** 0 W of a relay that has no meter is no reading: a meter has counted something, since this host hangs on it. */
function figuresOf(answer: unknown, kind: PlugKind): PlugFigures | string {
  const told = PLUGS[kind].read(answer);
  const isMute = told === null || (told.watts === null && told.wattHours === null);
  if (isMute) return 'answers, and tells neither power nor energy; is energy.plug_kind right, and has it a meter?';
  if (told.watts === 0 && !(told.wattHours !== null && told.wattHours > 0)) {
    return 'tells 0 W and has never counted anything; a relay without a meter does so';
  }
  return told;
}

/** Errors of `fetch` have the address in their sentences; their codes have not. */
function faultOf(error: unknown): string {
  if (error instanceof Refused) return error.message;
  if (error instanceof SyntaxError) return 'answered something that is not JSON';
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return `cannot be reached${code}`;
}
