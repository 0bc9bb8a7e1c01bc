import type { Death } from './death.ts';
import type { Incarnation } from './incarnation.ts';
import type { Inbound, Order } from './messages.ts';
import type { WatchedPhase } from './watchdog.ts';

/** What the worker answered, or how it died instead. */
export type Outcome<Value> = { readonly value: Value } | { readonly death: Death };

/** Hears the messages that follow an order: settles it, or returns why a message is against the protocol. */
export type Listener<Value> = (message: Inbound, settle: (value: Value) => void) => string | undefined;

interface Asked {
  readonly take: (message: Inbound) => string | undefined;
  readonly lost: (death: Death) => void;
}

/** One order at a time, and what comes back. */
export class Conversation {
  readonly #onLog: (line: string) => void;
  #current: Asked | null = null;

  constructor(onLog: (line: string) => void) {
    this.#onLog = onLog;
  }

  /**
   * Gives an order, or with null waits for what comes of itself, until the listener settles or the worker is lost.
   * @throws OrderTooLarge; it is not given
   */
  async ask<Value>(
    incarnation: Incarnation,
    order: Order | null,
    phase: WatchedPhase,
    listener: Listener<Value>,
  ): Promise<Outcome<Value>> {
    if (order !== null) incarnation.send(order);
    incarnation.watch(phase);
    const { promise, resolve } = Promise.withResolvers<Outcome<Value>>();
    const asked: Asked = {
      take: (message) => listener(message, (value) => resolve({ value })),
      lost: (death) => resolve({ death }),
    };
    this.#current = asked;
    const outcome = await promise;
    // Whoever heard of a death first may have begun to talk to the next process.
    if (this.#current === asked) this.#current = null;
    incarnation.watch('idle');
    return outcome;
  }

  /** Returns why a message is against the protocol. */
  receive(message: Inbound): string | undefined {
    if (message.type === 'heartbeat') return undefined;
    if (message.type !== 'log') {
      return this.#current === null ? `${message.type} came unasked` : this.#current.take(message);
    }
    this.#onLog(`${message.level}: ${message.message}`);
    return undefined;
  }

  /** The worker is gone: nothing more is to be waited for. */
  lost(death: Death): void {
    this.#current?.lost(death);
  }
}

/** Hears this one message. */
export function only(type: Inbound['type']): Listener<true> {
  return (message, settle) => {
    if (message.type !== type) return `${message.type} came instead of ${type}`;
    settle(true);
    return undefined;
  };
}
