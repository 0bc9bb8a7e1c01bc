import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const ROOT = resolve(import.meta.dirname, '../..');
const MODELS = join(ROOT, '.scratch/models');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  /** All lines of stdout so far. */
  lines(): readonly string[];
  /** Resolves when stdout holds a line that matches; rejects when the process ends before. */
  line(pattern: RegExp): Promise<string>;
  /** The same of stderr. */
  errorLine(pattern: RegExp): Promise<string>;
  readonly ended: Promise<Ended>;
}

/** A user's machine in a folder: home, data folder with the tiny models, working folder. Everything real, nothing shared. */
export class Kiln {
  readonly root = mkdtempSync(join(tmpdir(), 'kiln-'));
  readonly work = join(this.root, 'work');
  readonly data = join(this.root, 'data');
  readonly #running = new Set<ChildProcess>();
  readonly #env: Record<string, string>;

  constructor(env: Record<string, string> = {}) {
    this.#env = env;
    mkdirSync(this.work);
    mkdirSync(join(this.data, 'models'), { recursive: true });
    symlinkSync(testModel('sd'), join(this.data, 'models', 'tiny-sd'));
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.work, name), text);
    return name;
  }

  /** Runs the command line to its end. */
  run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    return this.start(args, env).ended;
  }

  /** Of every program that runs here. */
  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.root,
      XDG_RUNTIME_DIR: this.root,
      KILNWATT_DATA_DIR: this.data,
      KILNWATT_MODEL: 'tiny-sd',
      KILNWATT_DEVICES: 'cpu',
      KILNWATT_WORKER_ENGINE: 'fake',
      // Some processors tell their energy, and figures must not depend on the host.
      KW_POWERCAP: this.root,
      ...this.#env,
    };
  }

  start(args: readonly string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...args], {
      cwd: this.work,
      env: { ...this.environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    return watch(child, () => this.#running.delete(child));
  }

  /** Events of `--json`, as parsed from stdout. */
  static events(ended: Pick<Ended, 'stdout'>): readonly Record<string, unknown>[] {
    return ended.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Pictures below the working folder, relative to `outputs`. */
  pictures(): readonly string[] {
    const outputs = join(this.work, 'outputs');
    if (!existsSync(outputs)) return [];
    return readdirSync(outputs, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(png|jpe?g|webp)$/.test(name))
      .sort();
  }

  /** Leftovers that no finished run may have: temporary files. */
  leftovers(): readonly string[] {
    const outputs = join(this.work, 'outputs');
    return existsSync(outputs)
      ? readdirSync(outputs, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.part'))
      : [];
  }

  /** Rows of a query on the store, read beside the program. */
  rows(sql: string): readonly Record<string, unknown>[] {
    const database = new DatabaseSync(join(this.data, 'kilnwatt.sqlite'), { readOnly: true });
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  }

  async close(): Promise<void> {
    const ends = [...this.#running].map((child) => new Promise((done) => child.once('close', done)));
    for (const child of this.#running) child.kill('SIGKILL');
    await Promise.all(ends);
    rmSync(this.root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** The folder of a tiny model, made when it is first needed. */
export function testModel(name: 'sd' | 'sdxl' | 'flux'): string {
  const folder = join(MODELS, `tiny-${name}`);
  if (!existsSync(folder))
    execFileSync(join(ROOT, 'scripts/make-test-models'), [MODELS, '--only', name], { stdio: 'pipe' });
  return folder;
}

function watch(child: ChildProcess, onEnd: () => void): Running {
  const out = { text: '' };
  const err = { text: '' };
  const listeners = new Set<() => void>();
  for (const [stream, heard] of [[child.stdout, out] as const, [child.stderr, err] as const]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      heard.text += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => {
      onEnd();
      done({ code, signal, stdout: out.text, stderr: err.text });
    });
  });
  const linesOf = (heard: { readonly text: string }) => heard.text.split('\n').slice(0, -1);
  const lineOf = (heard: { readonly text: string }, pattern: RegExp) =>
    new Promise<string>((done, fail) => {
      const look = () => {
        const found = linesOf(heard).find((candidate) => pattern.test(candidate));
        if (found === undefined) return;
        listeners.delete(look);
        done(found);
      };
      listeners.add(look);
      void ended.then((end) =>
        fail(new Error(`ended with ${end.code ?? end.signal} before ${pattern}:\n${end.stdout}\n${end.stderr}`)),
      );
      look();
    });
  return {
    process: child,
    lines: () => linesOf(out),
    line: (pattern) => lineOf(out, pattern),
    errorLine: (pattern) => lineOf(err, pattern),
    ended,
  };
}
