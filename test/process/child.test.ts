import { existsSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { type Child, type ChildSpec, startChild } from '../../src/process/child.ts';
import { diesWithParent } from '../../src/process/die-with-parent.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';

const children: Child[] = [];
const pids: number[] = [];

afterEach(async () => {
  for (const pid of pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  await Promise.all(children.splice(0).map((child) => child.exited));
});

describe('a child', () => {
  it('tells its exit code and delivers every line that it printed before', async () => {
    const { child, heard } = sh('echo one; echo two >&2; printf three; exit 7');
    expect(await child.exited).toEqual({ code: 7, signal: null, error: null });
    expect(heard.toSorted()).toEqual(['one', 'three', 'two']);
  });

  it('tells the signal that ended it', async () => {
    expect(await sh('kill -SEGV $$').child.exited).toEqual({ code: null, signal: 'SIGSEGV', error: null });
  });

  it('that cannot be started exits with the reason, and is stopped already', async () => {
    const child = start({ command: '/nowhere/python' });
    const exit = await child.exited;
    expect(exit).toMatchObject({ code: null, signal: null });
    expect(exit.error).toContain('ENOENT');
    child.send('into the void');
    expect(await child.stop()).toBe('gone');
  });

  it('speaks on descriptor 3 and listens on its input, whatever it prints', async () => {
    const lines: string[] = [];
    const channel = {
      limit: 100,
      onLine: (line: string) => lines.push(line),
      onOverlong: () => lines.push('overlong'),
    };
    const { child, heard } = sh(
      'echo noise; read word; echo "got $word" >&3; head -c 200 /dev/zero >&3; echo >&3; echo last >&3',
      { channel },
    );
    child.send('hello');
    await child.exited;
    expect(lines).toEqual(['got hello', 'overlong', 'last']);
    expect(heard).toEqual(['noise']);
  });

  it('has its own environment besides ours', async () => {
    const { child, heard } = sh('echo "$KW_TEST $HOME"', { env: { KW_TEST: 'set' } });
    await child.exited;
    expect(heard).toEqual([`set ${process.env.HOME ?? ''}`.trimEnd()]);
  });
});

describe('the stop ladder', () => {
  it('ends with the asking for a child that heeds it', async () => {
    const { child } = sh('read word');
    expect(await child.stop(() => child.endInput())).toBe('asked');
  });

  it('sends SIGTERM to a child that does not', async () => {
    const { child, clock } = await ready('echo ready; sleep 60');
    const stopped = child.stop(() => {});
    clock.advance(5_000);
    expect(await stopped).toBe('terminated');
    expect(await child.exited).toMatchObject({ signal: 'SIGTERM' });
  });

  it('sends SIGKILL to a child that ignores SIGTERM too, once its time is over', async () => {
    const { child, clock } = await ready("trap '' TERM; echo ready; while :; do sleep 60; done");
    const stopped = child.stop();
    clock.advance(4_999);
    expect(isAlive(child.pid ?? 0)).toBe(true);
    clock.advance(1);
    expect(await stopped).toBe('killed');
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  it('gives every caller the first answer, and "gone" for a child that had left', async () => {
    const { child } = await ready('echo ready; sleep 60');
    expect(await Promise.all([child.stop(), child.stop()])).toEqual(['terminated', 'terminated']);
    const left = sh('exit 0').child;
    await left.exited;
    expect(await left.stop()).toBe('gone');
    expect(await child.stop()).toBe('terminated');
  });

  it('takes the children of the child down as well', async () => {
    const { child, heard } = await ready('sleep 60 & echo ready; echo $!; wait');
    await expect.poll(() => heard.length).toBe(2);
    const grandchild = Number(heard[1]);
    pids.push(grandchild);
    await child.stop();
    await expect.poll(() => isAlive(grandchild)).toBe(false);
  });
});

it('a child that leaves while its own child holds the log open is gone nevertheless', async () => {
  const { child, heard, clock } = await ready("setsid sh -c 'echo ready; echo $$; exec sleep 60' & read word");
  await expect.poll(() => heard.length).toBe(2);
  pids.push(Number(heard[1]));
  child.send('leave');
  await expect.poll(() => clock.waiting).toBe(1);
  clock.advance(500);
  expect(await child.exited).toEqual({ code: 0, signal: null, error: null });
});

describe('a foreign program', () => {
  const bindings = { 'as it is bound here': diesWithParent, 'bound by Python': boundByPython };

  it.each(Object.entries(bindings))('%s dies with its parent, even when that is killed', async (_name, bind) => {
    const { child, heard } = nodeParent(bind);
    await expect.poll(() => heard.length, { timeout: 10_000 }).toBe(1);
    const program = Number(heard[0]);
    pids.push(program);
    expect(commandOf(program)).toContain('sleep');
    process.kill(child.pid ?? 0, 'SIGKILL');
    await expect.poll(() => isAlive(program)).toBe(false);
  });

  it.each(Object.entries(bindings))('%s does not begin when the parent is another one already', async (_name, bind) => {
    const command = bind({ command: 'sh', args: ['-c', 'echo began'] }, PYTHON, 1);
    const child = start({ ...command });
    expect(await child.exited).toMatchObject({ code: 3 });
    expect(child.log.last(9)).toEqual([]);
  });

  it('keeps its arguments as they are', async () => {
    const child = start({
      command: 'printf',
      args: ['%s|', 'a b', '$HOME', "it's"],
      dieWithParent: { python: PYTHON },
    });
    await child.exited;
    expect(child.log.last(1)).toEqual(["a b|$HOME|it's|"]);
  });
});

function start(spec: Partial<ChildSpec> & Pick<ChildSpec, 'command'>): Child {
  const child = startChild({ args: [], clock: new ManualClock(), ...spec });
  children.push(child);
  if (child.pid !== undefined) pids.push(child.pid);
  return child;
}

function sh(script: string, spec: Partial<ChildSpec> = {}) {
  const clock = new ManualClock();
  const heard: string[] = [];
  const child = start({ command: 'sh', args: ['-c', script], clock, onLog: (line) => heard.push(line), ...spec });
  return { child, heard, clock };
}

/** Resolves when the script has printed its first line, after which its traps are set. */
async function ready(script: string) {
  const started = sh(script);
  await expect.poll(() => started.heard[0]).toBe('ready');
  return started;
}

/** A Node process that starts `sleep`, bound to itself, prints its pid, and stays. */
function nodeParent(bind: typeof diesWithParent) {
  const bound = bind({ command: 'sleep', args: ['60'] }, PYTHON, 0);
  const script = `const { command, args } = ${JSON.stringify(bound)};
    const child = require('node:child_process').spawn(command, args.map((one) => (one === '0' ? String(process.pid) : one)), { detached: true });
    const look = () => (require('node:fs').readFileSync('/proc/' + child.pid + '/comm', 'utf8').startsWith('sleep') ? console.log(child.pid) : setTimeout(look, 5));
    look(); setInterval(() => {}, 1000);`;
  const heard: string[] = [];
  const child = start({ command: process.execPath, args: ['-e', script], onLog: (line) => heard.push(line) });
  return { child, heard };
}

function boundByPython(...[command, python, parent]: Parameters<typeof diesWithParent>) {
  return diesWithParent(command, python, parent, []);
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
}

/** A zombie, which waits for somebody to ask for its exit, is dead. */
function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  if (!existsSync(stat)) return false;
  try {
    return !/\) [ZX] /.test(readFileSync(stat, 'utf8'));
  } catch {
    return false;
  }
}
