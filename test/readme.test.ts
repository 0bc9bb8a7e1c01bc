import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
/** Blocks that need a card, a hub or another machine are marked `text`, and are not run. */
const EXAMPLES = [...README.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');

/** Of one example. The first one took 25 s on a machine with some other work, and 98 s with more of it. */
const LIMIT_MS = 300_000;

/** A user's home and a folder that looks like the checkout, so that nothing is written into the real ones. */
let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kilnwatt-readme-'));
  makeClone('clone');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('the README', () => {
  it('begins with the quickstart', () => {
    expect(EXAMPLES[0]).toBe('./scripts/quickstart\n');
  });

  it.each(EXAMPLES.map((example) => [example.trim().split('\n').at(-1) ?? '', example] as const))(
    'shows examples that work as they stand there: %s',
    async (_, example) => {
      const { code, text } = await sh(example);
      expect(code, text).toBe(0);
    },
    LIMIT_MS,
  );

  it('says the truth about a second start: nothing is made twice', async () => {
    const before = pictures();
    expect(before.length).toBeGreaterThanOrEqual(12);
    const { code, text } = await sh('./scripts/quickstart --json');
    expect(code, text).toBe(0);
    const summary: unknown = JSON.parse(text.trim().split('\n').at(-1) ?? '');
    expect(summary).toMatchObject({ event: 'summary', images: 0, cached: before.length, failed: 0, left: 0 });
    expect(pictures()).toEqual(before);
  });

  it(
    'says the truth about a second clone, or one made anew: its pictures are in its own folder',
    async () => {
      makeClone('another');
      const { code, text } = await sh('./scripts/quickstart --steps 1 --json', 'another');
      expect(code, text).toBe(0);
      const summary: unknown = JSON.parse(text.trim().split('\n').at(-1) ?? '');
      expect(summary).toMatchObject({ event: 'summary', images: pictures().length, cached: 0, failed: 0 });
      expect(pictures('another')).toHaveLength(pictures().length);
    },
    LIMIT_MS,
  );

  it('shows configurations that are accepted', async () => {
    const blocks = [...README.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
    const shown = await Promise.all(blocks.map(async (yaml, at) => shownFor(yaml, at)));
    expect(shown.map(({ code }) => code)).toEqual(blocks.map(() => 0));
    const text = shown.map((one) => one.text).join('\n');
    expect(text).toMatch(/tariff\.price_per_kwh +0\.34 .*kilnwatt\.yaml:2/);
    expect(text).toMatch(/hours +22:00-07:00 .*kilnwatt\.yaml:1/);
  });

  it('names files that are there', () => {
    const named = [...README.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1] ?? '');
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('names every flag of run that it shows as one that exists', async () => {
    const { text: help } = await sh('./scripts/kilnwatt run --help');
    const table = README.slice(README.indexOf('| flag of'), README.indexOf('Flags on the command line'));
    const flags = new Set([...table.matchAll(/(?<![\w-])--?[a-z][\w-]*/g)].map(([flag]) => flag));
    const known = (flag: string): boolean => help.includes(flag) || HIDDEN.includes(flag);
    expect([...flags].filter((flag) => !known(flag))).toEqual([]);
  });
});

/** What `config show` says in a folder of its own with this file. */
function shownFor(yaml: string, at: number): Promise<{ code: number | null; text: string }> {
  mkdirSync(join(home, `clone/yaml-${at}`));
  writeFileSync(join(home, `clone/yaml-${at}/kilnwatt.yaml`), yaml);
  return sh(`cd yaml-${at} && ../scripts/kilnwatt config show`);
}

/** Other spellings, which the help does not repeat. */
const HIDDEN = ['--width', '--height'];

/** Only quickstart itself is a copy: what it keeps for a clone lies beside it. What it starts works for the checkout. */
function makeClone(name: string): void {
  const clone = join(home, name);
  mkdirSync(join(clone, 'scripts'), { recursive: true });
  for (const part of ['.venv', 'examples', 'python-worker', 'scripts/setup', 'scripts/kilnwatt'])
    symlinkSync(join(ROOT, part), join(clone, part));
  cpSync(join(ROOT, 'scripts/quickstart'), join(clone, 'scripts/quickstart'));
}

function pictures(clone = 'clone'): string[] {
  return globSync(join(home, clone, 'outputs/quickstart/[0-9]*.png')).sort();
}

async function sh(script: string, clone = 'clone'): Promise<{ code: number | null; text: string }> {
  const env = { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8', XDG_RUNTIME_DIR: join(home, 'run') };
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: join(home, clone), env });
  const chunks: string[] = [];
  const errors: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => errors.push(chunk));
  const [code] = await once(child, 'close');
  return { code, text: code === 0 ? chunks.join('') : [...chunks, ...errors].join('') };
}
