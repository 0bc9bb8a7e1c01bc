import { ConfigError, UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { Producer } from './bullmq-commands.ts';
import type { ProducerLine } from './producer-line.ts';

/** Who works a queue: a data folder of a host, and the process that does it now. */
export interface QueueOwner {
  readonly host: string;
  readonly dataDir: string;
  readonly launch: string;
}

export interface LeaseOptions {
  readonly owner: QueueOwner;
  /** How long it lasts if nobody renews it. */
  readonly limit: Millis;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly line: ProducerLine;
  /** Name of the queue, and of its server. */
  readonly queue: string;
  readonly server: string;
}

/**
 * Says in Redis who works a queue. The jobs of two data folders in one queue would be taken, and dropped as unknown, by
 * each other. The process that follows in the same folder takes the lease over at once, because that folder's lock lets
 * only one be there.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #claimed = false;
  /** The one that has it now. */
  #other: Holder | null = null;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Somebody else has it, who took it while this process was away for long. */
  get isLost(): boolean {
    return this.#other !== null;
  }

  /**
   * Waits for a lease that nobody renews to run out: whoever held it is dead.
   * @throws ConfigError `queue_taken` where another works the queue
   */
  async claim(): Promise<void> {
    const { clock, limit, line, log } = this.#options;
    for (let before: Holder | null = null; ; ) {
      const other = await line.retrying((producer) => this.#hold(producer));
      if (other === null) break;
      if (before === null) log(`queue: ${nameOf(other)} worked it a moment ago; waiting to see whether that one lives`);
      else if (other.left >= before.left) throw this.#taken(other);
      before = other;
      await pause(clock, Math.min(POLL_MS, limit / 8));
    }
    this.#claimed = true;
    this.#other = null;
  }

  /** To be called more often than it runs out. One that has run out meanwhile, or that another has left, is taken again. */
  async renew(): Promise<void> {
    const { line, log } = this.#options;
    const before = this.#other;
    this.#other = await line.once((producer) => this.#hold(producer));
    this.#claimed = true;
    if (this.#other !== null && before === null)
      log(`queue: ${nameOf(this.#other)} works it now; nothing is taken from it here until that one has left`);
    if (this.#other === null && before !== null) log('queue: it is free again; work goes on');
  }

  /** @throws UnavailableError `queue_taken` */
  requireNotLost(): void {
    if (this.#other === null) return;
    const sentence = `${nameOf(this.#other)} works the queue ${this.#options.queue} now; it goes on here when that one has left`;
    throw new UnavailableError(sentence, { code: 'queue_taken', retryable: true });
  }

  /** Where the server is away, it runs out by itself. */
  async release(): Promise<void> {
    if (!this.#claimed) return;
    const { launch } = this.#options.owner;
    await this.#options.line
      .once(({ redis, queue }) => redis.eval(RELEASE, 1, queue.toKey(KEY), launch))
      .catch(() => {});
  }

  /** Null when it is ours now. */
  async #hold({ redis, queue }: Producer): Promise<Holder | null> {
    const { owner, limit } = this.#options;
    const { host, dataDir, launch } = owner;
    const other = await redis.eval(HOLD, 1, queue.toKey(KEY), host, dataDir, launch, limit);
    if (other === null) return null;
    const [otherHost, otherDir, left] = other as [string, string, number];
    return { host: otherHost, dataDir: otherDir, left };
  }

  #taken(other: Holder): ConfigError {
    const { queue, server } = this.#options;
    const sentence = `the queue ${queue} at ${server} is worked by ${nameOf(other)}: hand runs to it with kilnwatt submit, name another queue here, or stop that one.`;
    return new ConfigError(sentence, { code: 'queue_taken' });
  }
}

interface Holder {
  readonly host: string;
  readonly dataDir: string;
  /** Until it runs out. */
  readonly left: Millis;
}

const KEY = 'owner';
const POLL_MS: Millis = 500;

const HOLD = `
local host, dataDir = unpack(redis.call('HMGET', KEYS[1], 'host', 'dataDir'))
if host and (host ~= ARGV[1] or dataDir ~= ARGV[2]) then return { host, dataDir, redis.call('PTTL', KEYS[1]) } end
redis.call('HSET', KEYS[1], 'host', ARGV[1], 'dataDir', ARGV[2], 'launch', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return nil
`;

const RELEASE = `
if redis.call('HGET', KEYS[1], 'launch') == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
`;

function nameOf({ host, dataDir }: Holder): string {
  return `the kilnwatt on ${host} (data folder ${dataDir})`;
}
