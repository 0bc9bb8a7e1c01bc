import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Clock } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { outlivePredecessor, pidFileIn } from '../../src/queue/valkey-predecessor.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kwp-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A start failed with "kill ESRCH": the old server, which its owner's death had killed, went between the last look and the signal. */
it('is content with a predecessor that goes at the very moment at which it is to be ended', async () => {
  // The shell collects its child's exit, so that the pid is free at once.
  const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  const pid = Number(String((await once(shell.stdout, 'data'))[0]));
  writeFileSync(pidFileIn(folder), String(pid));
  let asked = 0;
  const clock: Clock = {
    ...systemClock,
    monotonic: () => {
      asked += 1;
      // Asked for the second time when the process was seen to be there.
      if (asked === 2) endAndSeeGone(pid);
      return asked === 1 ? 0 : 3_000;
    },
  };
  await outlivePredecessor({ folder, socketPath: join(folder, 'none'), clock });
  expect(asked).toBeGreaterThan(2);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

function endAndSeeGone(pid: number): void {
  process.kill(pid, 'SIGKILL');
  while (existsSync(`/proc/${pid}`));
}
