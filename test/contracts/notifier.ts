import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Notice, Notifier } from '../../src/ports.ts';

/** One notifier under examination, and its receiver. */
export interface NotifierUnderTest {
  readonly notifier: Notifier;
  /** What the receiver has heard, by the name of the run. */
  heard(): Promise<readonly { readonly kind: string; readonly run: string; readonly line: string }[]>;
  /** From now on the receiver takes nothing. */
  deafen(): Promise<void>;
  readonly logged: readonly string[];
  close(): Promise<void>;
}

export function noticeOf(change: Partial<Notice> = {}): Notice {
  return {
    kind: 'done',
    run: { id: '0199-run', name: 'night' },
    line: '987/1000, 13 failed, 2.1 kWh, 0.61 EUR, 5 h 12',
    ...change,
  };
}

/** What every notifier promises. */
export function notifierContract(name: string, make: () => Promise<NotifierUnderTest>): void {
  describe(`a notifier: ${name}`, () => {
    let it: NotifierUnderTest;
    beforeEach(async () => {
      it = await make();
    });
    afterEach(() => it.close());

    test('tells what happened to which run, each notice once and in order', async () => {
      await it.notifier.tell(noticeOf({ kind: 'stalled', line: 'no picture for 31 min; 4/9' }));
      await it.notifier.tell(noticeOf());
      expect(await it.heard()).toEqual([
        { kind: 'stalled', run: 'night', line: 'no picture for 31 min; 4/9' },
        { kind: 'done', run: 'night', line: noticeOf().line },
      ]);
      expect(it.logged).toEqual([]);
    });

    test.each([
      ['quotes', `he said "no" and 'yes'`],
      ['a shell', '$HOME `id` $(id) %s \\n; exit 1 #'],
      ['places', '{run} {line} {json_line}'],
      ['other letters', 'Größe 100 €, 夜, 🌙'],
      ['a break', 'first\nsecond\tthird'],
    ])('keeps a line with %s as it is', async (_, line) => {
      const run = { id: 'r', name: line.replaceAll('\n', ' ') };
      await it.notifier.tell(noticeOf({ kind: 'first_failure', run, line }));
      expect(await it.heard()).toEqual([{ kind: 'first_failure', run: run.name, line }]);
    });

    test('is not stopped by a receiver that takes nothing, and logs one line', async () => {
      await it.deafen();
      await it.notifier.tell(noticeOf());
      expect(await it.heard()).toEqual([]);
      expect(it.logged).toEqual([expect.stringMatching(/^\S+: warning: /)]);
    });

    test('tells nothing when it is checked', async () => {
      expect(await it.notifier.check()).toEqual([expect.objectContaining({ name: 'notices', status: 'ok' })]);
      expect(await it.heard()).toEqual([]);
    });
  });
}
