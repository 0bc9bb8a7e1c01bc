import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { memoryNotifier } from '../../src/notify/memory.ts';
import { allOf, configuredNotifier, only } from '../../src/notify/several.ts';
import { noticeOf, notifierContract } from '../contracts/notifier.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const inMemory = (wrapped: (notifier: ReturnType<typeof memoryNotifier>) => ReturnType<typeof allOf>) => async () => {
  const logged: string[] = [];
  const memory = memoryNotifier((line) => logged.push(line));
  return {
    notifier: wrapped(memory),
    heard: async () => memory.told.map(({ kind, run, line }) => ({ kind, run: run.name, line })),
    deafen: async () => {
      memory.deaf = true;
    },
    logged,
    close: async () => {},
  };
};

notifierContract(
  'memory',
  inMemory((memory) => memory),
);
notifierContract(
  'one of several',
  inMemory((memory) => allOf([only(['done', 'first_failure', 'stalled'], memory)])),
);

describe('several notifiers', () => {
  it('are all told, each of what it wants to know', async () => {
    const [one, two] = [memoryNotifier(), memoryNotifier()];
    const both = allOf([only(['done'], one), two]);
    for (const kind of ['paused', 'done'] as const) await both.tell(noticeOf({ kind }));
    expect(one.told.map(({ kind }) => kind)).toEqual(['done']);
    expect(two.told.map(({ kind }) => kind)).toEqual(['paused', 'done']);
    expect(await both.check()).toHaveLength(2);
  });
});

describe('who is told as configured', () => {
  let server: Receiver;
  beforeEach(async () => {
    server = await startReceiver();
  });
  afterEach(() => server.close());

  it('is nobody where nothing is said', async () => {
    const notifier = configured({});
    await notifier.tell(noticeOf());
    expect(await notifier.check()).toEqual([]);
  });

  it('is the address for what it is to be told, and the command when a run is done', async () => {
    const logged: string[] = [];
    const env = { KILNWATT_NOTIFY_URL: `http://${server.host}/`, KILNWATT_NOTIFY_ON: 'stalled' };
    const notifier = configured(env, 'echo "$KILNWATT_KIND"', logged);
    for (const kind of ['first_failure', 'stalled', 'paused', 'done'] as const)
      await notifier.tell(noticeOf({ kind, line: kind }));
    expect(server.received.map(({ body }) => body)).toEqual(['night: stalled']);
    expect(logged).toEqual(['on-done: done']);
    expect((await notifier.check()).map(({ detail }) => detail)).toEqual([
      `sent to ${server.host}, preset plain`,
      'handed to a command',
    ]);
  });
});

function configured(env: Record<string, string>, onDone: string | null = null, logged: string[] = []) {
  const { notify } = loadConfig({ cwd: '/nowhere', env: { HOME: '/nowhere', ...env } }).config;
  return configuredNotifier({ notify, onDone, clock: new ManualClock(), log: (line) => logged.push(line) });
}
