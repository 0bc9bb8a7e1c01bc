import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';

const ROOT = resolve(import.meta.dirname, '..');
const MODELS = join(ROOT, '.scratch/models');
const PYTHON = join(ROOT, '.venv/bin/python');
const BATCH = 4;
const STEPS = 20;
const QUEUED = 10_000;

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '24' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const say = values.json ? console.error : console.log;
const scratch = mkdtempSync(join(tmpdir(), 'bench-overhead-'));
try {
  const throughput = compare(Number(values.images), Number(values.rounds));
  const own = ownMillis(400);
  const memory = await memoryWithQueue();
  const result = { ...throughput, own_ms_per_image: own, ...memory };
  console.log(JSON.stringify(result));
} finally {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** Both sides in alternation, so that a noisy machine disturbs both alike. */
function compare(images: number, rounds: number) {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    ours.push(rate(kilnwattEnds(images, round)));
    theirs.push(rate(loopEnds(images, round)));
    say(
      `round ${round}: kilnwatt ${ours.at(-1)?.toFixed(3)} images/s, diffusers ${theirs.at(-1)?.toFixed(3)} images/s`,
    );
  }
  const [kilnwatt, diffusers] = [median(ours), median(theirs)];
  say(`ratio of medians ${(kilnwatt / diffusers).toFixed(3)} (${images} pictures, batches of ${BATCH})`);
  return {
    ratio: rounded(kilnwatt / diffusers),
    kilnwatt_images_per_second: rounded(kilnwatt),
    diffusers_images_per_second: rounded(diffusers),
  };
}

/** Images a second from the end of the first batch to the end of the last; loading and warming up are on neither side. */
function rate(ends: readonly number[]): number {
  const [first = 0] = ends;
  const last = ends.at(-1) ?? 0;
  return ((ends.length - 1) * BATCH * 1000) / (last - first);
}

/** When each batch was in the ledger, its pictures on disk. */
function kilnwattEnds(images: number, round: number): readonly number[] {
  const place = newPlace(`kilnwatt-${round}`, 'bench-sd');
  const prompts = Array.from({ length: images }, (_, seed) => `picture number ${seed} --seed ${seed}`);
  writeFileSync(join(place.work, 'p.txt'), prompts.join('\n'));
  const flags = ['--steps', String(STEPS), '--cfg', '7', '--sampler', 'DPM++ 2M Karras', '--name', 'bench', '--json'];
  kilnwatt(place, ['run', 'p.txt', ...flags], {});
  return rows(place, "SELECT max(at) AS at FROM entries WHERE kind = 'active' GROUP BY batch_id ORDER BY 1").map(
    (row) => Number(row.at),
  );
}

function loopEnds(images: number, round: number): readonly number[] {
  const words = [
    join(ROOT, 'scripts/bench_loop.py'),
    join(MODELS, 'bench-sd'),
    join(scratch, `diffusers-${round}`),
    images,
    BATCH,
    STEPS,
  ];
  const out = execFileSync(PYTHON, words.map(String), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(out.trim().split('\n').at(-1) ?? '[]') as number[];
}

/** What a picture takes beside the worker's own work: from the first settled batch to the last, less what the worker says. */
function ownMillis(images: number): number {
  const place = newPlace('own', 'tiny-sd');
  writeFileSync(join(place.work, 'p.txt'), Array.from({ length: images }, (_, at) => `picture ${at}`).join('\n'));
  kilnwatt(place, ['run', 'p.txt', '--name', 'own', '--json'], { KILNWATT_WORKER_ENGINE: 'fake' });
  const batches = rows(
    place,
    "SELECT max(at) AS at, count(*) AS images, max(seconds_batch) AS worker FROM entries WHERE kind = 'active' GROUP BY batch_id ORDER BY 1",
  );
  const [first, ...rest] = batches;
  const made = rest.reduce((sum, row) => sum + Number(row.images), 0);
  const worker = rest.reduce((sum, row) => sum + Number(row.worker) * 1000, 0);
  const own = (Number(rest.at(-1)?.at) - Number(first?.at) - worker) / made;
  say(`own time ${own.toFixed(2)} ms a picture (${made} pictures of the fake engine, batches of ${BATCH})`);
  return rounded(own);
}

/** Peak resident memory of each process while 10,000 jobs are queued and the first are being made. */
async function memoryWithQueue() {
  const place = newPlace('memory', 'tiny-sd');
  writeFileSync(
    join(place.work, 'p.txt'),
    Array.from({ length: QUEUED }, (_, at) => `a picture of thing number ${at}`).join('\n'),
  );
  const env = { KILNWATT_WORKER_ENGINE: 'fake', KW_FAKE: JSON.stringify({ step_seconds: 0.05 }) };
  const child = spawn(join(ROOT, 'scripts/kilnwatt'), ['run', 'p.txt', '--name', 'memory'], {
    cwd: place.work,
    env: environment(place, env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await pictures(child, 40);
  const pids = [child.pid ?? 0, ...descendants(child.pid ?? 0)];
  const peaks = new Map(pids.map((pid) => [programOf(pid), peakMegabytes(pid)]));
  child.kill('SIGKILL');
  await new Promise((done) => child.once('close', done));
  const of = (name: string) => rounded([...peaks].find(([program]) => program.includes(name))?.[1] ?? Number.NaN);
  const memory = {
    orchestrator_rss_mb: of('node'),
    valkey_rss_mb: of('valkey-server'),
    python_fake_rss_mb: of('python'),
  };
  say(`peak memory with ${QUEUED} jobs queued: ${JSON.stringify(memory)}`);
  return memory;
}

interface Place {
  readonly work: string;
  readonly data: string;
}

function newPlace(name: string, model: string): Place {
  const place = { work: join(scratch, name, 'work'), data: join(scratch, name, 'data') };
  mkdirSync(place.work, { recursive: true });
  mkdirSync(join(place.data, 'models'), { recursive: true });
  symlinkSync(join(MODELS, model), join(place.data, 'models', 'kiln-tiny'));
  return place;
}

function environment(place: Place, more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: scratch, XDG_RUNTIME_DIR: scratch, KILNWATT_DATA_DIR: place.data, ...more };
}

function kilnwatt(place: Place, words: readonly string[], env: Readonly<Record<string, string>>): void {
  execFileSync(join(ROOT, 'scripts/kilnwatt'), [...words], {
    cwd: place.work,
    env: environment(place, env),
    stdio: ['ignore', 'ignore', 'inherit'],
    maxBuffer: 2 ** 30,
  });
}

function rows(place: Place, sql: string): readonly Record<string, unknown>[] {
  const database = new DatabaseSync(join(place.data, 'kilnwatt.sqlite'), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

function pictures(child: ChildProcess, count: number): Promise<void> {
  return new Promise((done, fail) => {
    let seen = 0;
    child.once('close', () => fail(new Error(`kilnwatt ended before ${count} pictures were made`)));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      seen += text.split('\n').filter((line) => line.startsWith('done')).length;
      if (seen >= count) done();
    });
  });
}

function descendants(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '))
    .filter((text) => text !== '')
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function programOf(pid: number): string {
  return basename(readlinkSync(`/proc/${pid}/exe`));
}

function peakMegabytes(pid: number): number {
  const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1000;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle - 0.5)] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
