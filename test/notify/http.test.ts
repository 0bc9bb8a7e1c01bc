import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { httpNotifier } from '../../src/notify/http.ts';
import { noticeOf, notifierContract } from '../contracts/notifier.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Receiver, startReceiver } from './receiver.ts';

notifierContract('POST to a server', async () => {
  const server = await startReceiver();
  const logged: string[] = [];
  const body = '{"kind": "{kind}", "run": "{run}", "line": {json_line}}';
  const notifier = notifierFor(`http://${server.host}/`, logged, { body });
  return {
    notifier,
    heard: async () => server.received.filter(({ status }) => status === 204).map(({ body }) => JSON.parse(body)),
    deafen: async () => server.answer(403),
    logged,
    close: () => server.close(),
  };
});

interface Change {
  readonly preset?: 'plain' | 'ntfy' | 'discord';
  readonly body?: string;
  readonly clock?: ManualClock;
  readonly fetch?: typeof fetch;
}

function notifierFor(url: string, logged: string[], change: Change = {}) {
  const { preset = 'plain', body = null, clock = new ManualClock(), fetch = globalThis.fetch } = change;
  return httpNotifier({ url, preset, body, fetch, clock, log: (line) => logged.push(line) });
}

/** A `fetch` that tells how many of its calls have ended, after which a notifier waits for its second try or is through. */
function counting(fetch: typeof globalThis.fetch) {
  const tries = { ended: 0 };
  const counted: typeof fetch = async (...call) => {
    try {
      return await fetch(...call);
    } finally {
      tries.ended += 1;
    }
  };
  return { tries, fetch: counted };
}

describe('a notice over HTTP', () => {
  let server: Receiver;
  let logged: string[];
  beforeEach(async () => {
    server = await startReceiver();
    logged = [];
  });
  afterEach(() => server.close());

  it('is a POST with the headers of its preset, to the whole address', async () => {
    await notifierFor(`http://${server.host}/topic?up=1`, logged, { preset: 'ntfy' }).tell(noticeOf());
    expect(server.received).toEqual([
      {
        path: '/topic?up=1',
        method: 'POST',
        headers: expect.objectContaining({ title: 'night is done', priority: 'default', 'user-agent': 'kilnwatt' }),
        body: noticeOf().line,
        status: 204,
      },
    ]);
  });

  it('takes a login out of the address and into a header', async () => {
    await notifierFor(`http://m%40e:p%zz@${server.host}/t`, logged).tell(noticeOf());
    const credentials = Buffer.from('m@e:p%zz').toString('base64');
    expect(server.received[0]?.headers.authorization).toBe(`Basic ${credentials}`);
  });

  it.each([500, 503, 429])('is sent once more after %d, and no sooner than the back-off', async (status) => {
    const clock = new ManualClock();
    const { tries, fetch } = counting(globalThis.fetch);
    server.answer(status, 204);
    const told = notifierFor(`http://${server.host}/`, logged, { clock, fetch }).tell(noticeOf());
    await expect.poll(() => tries.ended).toBe(1);
    clock.advance(2_999);
    expect(server.received).toHaveLength(1);
    clock.advance(1);
    await told;
    expect(server.received).toHaveLength(2);
    expect(logged).toEqual([]);
  });

  it('is given up when the second try fails too', async () => {
    const clock = new ManualClock();
    const { tries, fetch } = counting(globalThis.fetch);
    server.answer(500);
    const told = notifierFor(`http://${server.host}/`, logged, { clock, fetch }).tell(noticeOf());
    await expect.poll(() => tries.ended).toBe(1);
    clock.advance(3_000);
    await told;
    expect(server.received).toHaveLength(2);
    expect(logged).toEqual([`notices: warning: "done" did not reach ${server.host}: it answered 500`]);
  });

  it.each([
    [404, 'it answered 404'],
    [302, 'it answered 302; set notify.url to where it has moved'],
  ])('is not sent again, nor elsewhere, after %d', async (status, why) => {
    server.answer(status);
    await notifierFor(`http://${server.host}/`, logged).tell(noticeOf());
    expect(server.received).toHaveLength(1);
    expect(logged).toEqual([`notices: warning: "done" did not reach ${server.host}: ${why}`]);
  });

  it('waits ten seconds for an answer, each time', async () => {
    const clock = new ManualClock();
    const { tries, fetch } = counting(globalThis.fetch);
    server.answer(null);
    const told = notifierFor(`http://${server.host}/`, logged, { clock, fetch }).tell(noticeOf());
    await expect.poll(() => server.received.length).toBe(1);
    clock.advance(10_000);
    await expect.poll(() => tries.ended).toBe(1);
    clock.advance(3_000);
    await expect.poll(() => server.received.length).toBe(2);
    clock.advance(10_000);
    await told;
    expect(logged).toEqual([`notices: warning: "done" did not reach ${server.host}: no answer within 10 s`]);
  });

  it('that finds nobody is logged without anything of the address but its host', async () => {
    const clock = new ManualClock();
    const { tries, fetch } = counting(globalThis.fetch);
    await server.close();
    const url = `http://hidden:hidden@${server.host}/hidden?hidden#hidden`;
    const told = notifierFor(url, logged, { clock, fetch }).tell(noticeOf());
    await expect.poll(() => tries.ended).toBe(1);
    clock.advance(3_000);
    await told;
    expect(logged).toEqual([`notices: warning: "done" did not reach ${server.host}: no connection (ECONNREFUSED)`]);
  });

  it('is not betrayed by an error that repeats the address', async () => {
    const clock = new ManualClock();
    const { tries, fetch } = counting(() => Promise.reject(new TypeError('cannot fetch http://host/hidden')));
    const notifier = notifierFor('http://host/hidden', logged, { clock, fetch });
    const told = notifier.tell(noticeOf());
    await expect.poll(() => tries.ended).toBe(1);
    clock.advance(3_000);
    await told;
    expect(logged).toEqual(['notices: warning: "done" did not reach host: no connection (refused)']);
    expect(JSON.stringify(await notifier.check())).not.toContain('hidden');
  });
});
