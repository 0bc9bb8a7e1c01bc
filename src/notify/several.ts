import type { NotifyConfig } from '../config.ts';
import type { Clock, Notice, Notifier } from '../ports.ts';
import { commandNotifier } from './command.ts';
import { httpNotifier } from './http.ts';

export interface NotifierOptions {
  readonly notify: NotifyConfig;
  /** Of `--on-done`; null for none. */
  readonly onDone: string | null;
  readonly clock: Clock;
  readonly fetch?: typeof fetch;
  log(line: string): void;
}

/** Whoever is to be told, as the configuration and the command line say; nobody where they say nothing. */
export function configuredNotifier({
  notify,
  onDone,
  clock,
  log,
  fetch = globalThis.fetch,
}: NotifierOptions): Notifier {
  const { url, preset, body } = notify;
  return allOf([
    ...(url === null ? [] : [only(notify.on, httpNotifier({ url, preset, body, fetch, clock, log }))]),
    ...(onDone === null ? [] : [only(['done'], commandNotifier({ command: onDone, clock, log }))]),
  ]);
}

/** Tells each of them at the same time. */
export function allOf(notifiers: readonly Notifier[]): Notifier {
  return {
    async tell(notice) {
      await Promise.all(notifiers.map((notifier) => notifier.tell(notice)));
    },
    async check() {
      return (await Promise.all(notifiers.map((notifier) => notifier.check()))).flat();
    },
  };
}

/** Tells of these kinds and keeps the others to itself. */
export function only(kinds: readonly Notice['kind'][], notifier: Notifier): Notifier {
  return {
    async tell(notice) {
      if (kinds.includes(notice.kind)) await notifier.tell(notice);
    },
    check: () => notifier.check(),
  };
}
