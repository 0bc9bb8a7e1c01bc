import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const PYTHON = join(REPOSITORY, '.venv/bin/python');

export interface Ended {
  readonly code: number | null;
  /** What the user read, without the last line end. */
  readonly said: string;
}

export interface Start {
  readonly arguments?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export interface Running {
  /** The first thing that it says. */
  readonly first: Promise<string>;
  readonly ended: Promise<Ended>;
  readonly interrupt: () => void;
}

/** A checkout with the real set-up and small stand-ins of what it installs, at a path with spaces. */
export class Checkout {
  root: string;
  readonly #home: string;

  private constructor(home: string) {
    this.#home = home;
    this.root = join(home, 'a check out');
  }

  static async make(): Promise<Checkout> {
    const checkout = new Checkout(mkdtempSync(join(realpathSync(tmpdir()), 'kilnwatt-setup-')));
    checkout.#fill();
    const ended = await finished(
      PYTHON,
      [join(REPOSITORY, 'test/fixtures/wheels/make_wheels.py'), checkout.#wheels, process.execPath],
      {},
    );
    if (ended.code !== 0) throw new Error(ended.said);
    return checkout;
  }

  /** Runs the set-up from a folder that is not the checkout. */
  setup(options: Start = {}): Promise<Ended> {
    return finished(join(this.root, 'scripts/setup'), options.arguments ?? [], this.#environment(options.env));
  }

  /** As {@link setup}, in a process group of its own, as a terminal starts it. */
  start(options: Start): Running {
    const child = spawn(join(this.root, 'scripts/setup'), options.arguments ?? [], {
      cwd: this.#home,
      env: this.#environment(options.env),
      detached: true,
    });
    return {
      first: once(child.stderr, 'data').then(([text]) => String(text)),
      ended: collected(child),
      interrupt: () => process.kill(-(child.pid ?? Number.NaN), 'SIGINT'),
    };
  }

  /** A program that comes before the system's own of this name. */
  shim(name: string, script: string): void {
    const path = join(this.#home, 'bin', name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
  }

  removeShims(): void {
    rmSync(join(this.#home, 'bin'), { recursive: true });
    mkdirSync(join(this.#home, 'bin'));
  }

  /** As an upgrade of the system leaves it: the link of the venv leads to another Python, which has no packages. */
  upgradePython(): void {
    this.shim('python3.99', 'echo "No module named pip" >&2; exit 1');
    const link = join(this.root, '.venv/bin/python');
    rmSync(link);
    symlinkSync(join(this.#home, 'bin/python3.99'), link);
  }

  move(name: string): void {
    const to = join(this.#home, name);
    renameSync(this.root, to);
    this.root = to;
  }

  remove(): void {
    rmSync(this.#home, { recursive: true, force: true });
  }

  get #wheels(): string {
    return join(this.#home, 'wheels');
  }

  #fill(): void {
    for (const folder of ['scripts', 'python-worker']) mkdirSync(join(this.root, folder), { recursive: true });
    mkdirSync(join(this.#home, 'bin'));
    for (const script of ['setup', 'usable_python.py', 'extra_packages.py'])
      cpSync(join(REPOSITORY, 'scripts', script), join(this.root, 'scripts', script));
    writeFileSync(join(this.root, 'python-worker/requirements.txt'), 'diffusers==0.40.0\nnodejs-wheel==24.0.0\n');
    writeFileSync(join(this.root, 'python-worker/requirements-dev.txt'), 'pytest==9.0.0\n');
    writeFileSync(join(this.root, 'python-worker/requirements-nvidia.txt'), 'nvidia-ml-py==13.0.0\n');
    writeFileSync(
      join(this.root, 'python-worker/pyproject.toml'),
      '[project.optional-dependencies]\nlight = ["light==1.0.0"]\nheavy = ["heavy==1.0.0", "light==1.0.0"]\nlost = ["nowhere==1.0.0"]\n',
    );
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) writeFileSync(join(this.root, file), '');
  }

  /** Nothing but loopback and the wheels of this folder; and no card, whatever this machine has. */
  #environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return {
      HOME: this.#home,
      PATH: `${join(this.#home, 'bin')}:${process.env.PATH ?? ''}`,
      PIP_CONFIG_FILE: '/dev/null',
      KILNWATT_SETUP_DEVICE: 'cpu',
      PIP_NO_INDEX: '1',
      PIP_FIND_LINKS: this.#wheels,
      ...more,
    };
  }
}

function finished(program: string, parameters: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return collected(spawn(program, parameters, { cwd: tmpdir(), env }));
}

async function collected(child: ReturnType<typeof spawn>): Promise<Ended> {
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
  const [code] = await once(child, 'close');
  return { code, said: chunks.join('').trimEnd() };
}
