import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { EXIT, exitCodeOf } from '../../src/cli/exit.ts';
import { InputError, StorageError, UnavailableError } from '../../src/errors.ts';
import { hubFetcher } from '../../src/model/fetch.ts';
import { DiskRegistry } from '../../src/model/registry.ts';
import { PYTHON } from '../support/python.ts';

const workerDir = resolve(import.meta.dirname, '../fixtures/fetch');
const PATIENCE = { timeout: 10_000, interval: 10 };

function fetcher(signals = new EventEmitter()) {
  const shown: string[] = [];
  const fetch = hubFetcher({ python: PYTHON, workerDir, signals, progress: (text) => shown.push(text) });
  return { fetch, signals, shown: () => shown.join('') };
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => expect.unreachable('it was fetched'),
    (error: unknown) => error,
  );
}

async function slowOne(shown: () => string): Promise<{ pid: number; group: number }> {
  const [, pid, group] = await vi.waitFor(() => {
    const found = /pid (\d+) group (\d+)/.exec(shown());
    if (found === null) throw new Error('it has not begun');
    return found;
  }, PATIENCE);
  return { pid: Number(pid), group: Number(group) };
}

const gone = (pid: number) => vi.waitFor(() => expect(existsSync(`/proc/${pid}`)).toBe(false), PATIENCE);

describe('fetching from the hub', () => {
  it('gives the folder, and shows the progress', async () => {
    const { fetch, signals, shown } = fetcher();
    expect(await fetch('test/found')).toBe('/cache/found');
    expect(shown()).toBe('fetching 1 of 2\rfetching 2 of 2\n');
    expect(signals.eventNames()).toEqual([]);
  });

  it('only looks, and says nothing, where nothing is to be downloaded', async () => {
    const { fetch, shown } = fetcher();
    const registry = new DiskRegistry({ modelsDir: join(workerDir, 'none'), cacheFile: 'none', fetch });
    const error = await failureOf(registry.resolve('test/offline', { download: false }));
    expect(error).toMatchObject({ code: 'model_missing', message: expect.stringMatching(/test\/offline.*--dry-run/) });
    expect(error).toBeInstanceOf(InputError);
    expect(shown()).toBe('');
  });

  it('on the side of one that only looks goes its own way', async () => {
    const registry = new DiskRegistry({
      modelsDir: join(workerDir, 'none'),
      cacheFile: 'none',
      fetch: fetcher().fetch,
    });
    const [looking, fetching] = ['test/offline', 'test/offline'].map((name, at) =>
      failureOf(registry.resolve(name, { download: at === 1 })),
    );
    expect(await looking).toMatchObject({ code: 'model_missing' });
    expect(await fetching).toMatchObject({ code: 'model_unreachable' });
  });

  it('that cannot run says so, also where it was only to look', async () => {
    const fetch = hubFetcher({ python: '/no/python', workerDir, signals: new EventEmitter() });
    expect(await failureOf(fetch('test/found', { download: false }))).toMatchObject({
      code: 'model_unreachable',
      message: expect.stringContaining('/no/python'),
    });
  });

  it('leaves the sentence of a failure to the error, so that a user reads it once', async () => {
    const { fetch, shown } = fetcher();
    expect(await failureOf(fetch('test/gone'))).toMatchObject({ message: 'the hub cannot be reached' });
    expect(shown()).toBe('fetching 1 of 2\rfetching 2 of 2\na bar\n\n');
  });

  it.each([
    [3, UnavailableError, 'model_unreachable'],
    [2, InputError, 'model_unsafe'],
    [1, StorageError, 'disk_full'],
  ])('that ends with %i is an error of its own kind, with the last line as its sentence', async (exit, kind, code) => {
    const registry = new DiskRegistry({
      modelsDir: join(workerDir, 'none'),
      cacheFile: 'none',
      fetch: fetcher().fetch,
    });
    const error = await failureOf(registry.resolve(`test/exit-${exit}`));
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ code, message: `the sentence of exit-${exit}` });
  });

  it('that breaks is not taken for a full disk', async () => {
    const error = await failureOf(fetcher().fetch('test/bug'));
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({ code: 'model_unreachable', message: 'RuntimeError: nobody caught it' });
    expect(await failureOf(fetcher().fetch('test/silent'))).toMatchObject({ code: 'model_unreachable' });
  });

  it('has a process group of its own, and an interrupt of this process ends it', async () => {
    const { fetch, signals, shown } = fetcher();
    const fetching = failureOf(fetch('test/slow'));
    const { pid, group } = await slowOne(shown);
    expect(group).toBe(pid);
    signals.emit('SIGINT');
    const error = await fetching;
    expect(error).toMatchObject({ code: 'interrupted' });
    expect(exitCodeOf(error)).toBe(EXIT.interrupted);
    expect(signals.eventNames()).toEqual([]);
    await gone(pid);
  });

  it('ends when this process is killed', async () => {
    const parent = spawn(process.execPath, [resolve(import.meta.dirname, 'fetch-process.ts'), PYTHON, workerDir], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    parent.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const { pid } = await slowOne(() => said);
    parent.kill('SIGKILL');
    await gone(pid);
  });
});
