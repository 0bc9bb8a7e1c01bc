import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandNotifier } from '../../src/notify/command.ts';
import { noticeOf, notifierContract } from '../contracts/notifier.ts';
import { ManualClock } from '../support/manual-clock.ts';

notifierContract('a command', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-command-'));
  const [file, deaf] = [join(folder, 'heard'), join(folder, 'deaf')];
  const logged: string[] = [];
  const command = `test ! -e "$FOLDER/deaf" && printf '%s\\0' "$KILNWATT_KIND" "$KILNWATT_RUN" "$KILNWATT_LINE" >> "$FOLDER/heard"`;
  return {
    notifier: notifierOf(command, logged, { env: { FOLDER: folder } }),
    heard: async () => (existsSync(file) ? threes(readFileSync(file, 'utf8').split('\0')) : []),
    deafen: async () => writeFileSync(deaf, ''),
    logged,
    close: async () => rmSync(folder, { recursive: true }),
  };
});

function threes([kind, run, line, ...rest]: readonly string[]): { kind: string; run: string; line: string }[] {
  return kind === undefined || run === undefined || line === undefined ? [] : [{ kind, run, line }, ...threes(rest)];
}

function notifierOf(
  command: string,
  logged: string[],
  { clock = new ManualClock(), env = {} }: { clock?: ManualClock; env?: Record<string, string> } = {},
) {
  return commandNotifier({ command, clock, env, log: (line) => logged.push(line) });
}

describe('a command for a notice', () => {
  it('knows the id of the run, and what it says is logged', async () => {
    const logged: string[] = [];
    await notifierOf('echo "run $KILNWATT_RUN_ID"; echo oops >&2', logged).tell(noticeOf());
    expect(logged.toSorted()).toEqual(['on-done: oops', 'on-done: run 0199-run']);
  });

  it('finds the end of its input, and a session of its own', async () => {
    const logged: string[] = [];
    await notifierOf('cat; test "$(cut -d " " -f 6 /proc/$$/stat)" = "$$" && echo own', logged).tell(noticeOf());
    expect(logged).toEqual(['on-done: own']);
  });

  it.each([
    ['exit 3', 'ended with exit code 3'],
    ['kill -TERM $$', 'was ended by SIGTERM'],
  ])('that fails (%s) is a logged line', async (command, why) => {
    const logged: string[] = [];
    await notifierOf(command, logged).tell(noticeOf());
    expect(logged).toEqual([`on-done: warning: the command ${why}`]);
  });

  it('that does not end is stopped after a minute', async () => {
    const logged: string[] = [];
    const clock = new ManualClock();
    const told = notifierOf('echo began; sleep 600', logged, { clock }).tell(noticeOf());
    await expect.poll(() => logged).toEqual(['on-done: began']);
    clock.advance(60_000);
    await told;
    expect(logged.at(-1)).toBe('on-done: warning: the command did not end within 60 s, and was stopped');
  });
});
