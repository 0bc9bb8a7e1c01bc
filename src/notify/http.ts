import type { Clock, Notifier } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { type Look, type Message, messageOf } from './message.ts';

export interface HttpOptions extends Look {
  /** A name and a password in it become a header. It may hold a token anywhere; only its host is ever logged. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  log(line: string): void;
}

/** Of one try. */
const LIMIT: Millis = 10_000;
const SECOND_TRY_AFTER: Millis = 3_000;

/** Sends notices with POST, and once more where the first try may have met a bad moment. */
export function httpNotifier(options: HttpOptions): Notifier {
  const { clock, log } = options;
  const address = addressOf(options.url);
  return {
    async tell(notice) {
      const message = messageOf(notice, options);
      let outcome = await sent(message, address, options);
      if (outcome?.again === true) {
        await pause(clock, SECOND_TRY_AFTER);
        outcome = await sent(message, address, options);
      }
      if (outcome !== null) log(`notices: warning: "${notice.kind}" did not reach ${address.host}: ${outcome.why}`);
    },
    async check() {
      return [{ name: 'notices', status: 'ok', detail: `sent to ${address.host}, preset ${options.preset}` }];
    },
  };
}

interface Address {
  readonly url: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** `fetch` takes no address with a login in it, and repeats it when it says so. */
function addressOf(text: string): Address {
  const url = new URL(text);
  const login = [url.username, url.password].map(decoded).join(':');
  url.username = '';
  url.password = '';
  const headers = login === ':' ? {} : { Authorization: `Basic ${Buffer.from(login, 'utf8').toString('base64')}` };
  return { url: url.href, host: url.host, headers };
}

/** An escape such as %zz, which no character has, is what it looks like. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

interface Unsent {
  /** In words that hold nothing of the address. */
  readonly why: string;
  readonly again: boolean;
}

/** Null for a notice that was taken. */
async function sent(message: Message, address: Address, { fetch, clock }: HttpOptions): Promise<Unsent | null> {
  const limit = new AbortController();
  const cancel = clock.after(LIMIT, () => limit.abort());
  try {
    const response = await fetch(address.url, {
      method: 'POST',
      headers: { 'User-Agent': 'kilnwatt', ...message.headers, ...address.headers },
      body: message.body,
      // Followed, a POST may become a GET, which tells nobody anything.
      redirect: 'manual',
      signal: limit.signal,
    });
    // It has been answered; what comes after that, or fails to, is nobody's concern.
    response.body?.cancel().catch(() => {});
    return verdict(response.status);
  } catch (error) {
    const why = limit.signal.aborted ? `no answer within ${LIMIT / 1000} s` : `no connection (${codeOf(error)})`;
    return { why, again: true };
  } finally {
    cancel();
  }
}

function verdict(status: number): Unsent | null {
  if (status >= 200 && status < 300) return null;
  const moved = status >= 300 && status < 400 ? '; set notify.url to where it has moved' : '';
  return { why: `it answered ${status}${moved}`, again: status >= 500 || status === 429 };
}

/** Not its sentence, which may hold the address. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'refused';
}
