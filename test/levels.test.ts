import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/** `design.md`, "The house": a file imports only rooms of a lower level, or its own. */
const LEVELS: readonly (readonly string[])[] = [
  ['units', 'errors', 'hours'],
  ['job'],
  ['route', 'batch', 'preset', 'cost', 'workflow'],
  ['ports', 'config'],
  ['process'],
  ['pipeline', 'worker'],
  ['queue', 'store', 'model', 'cache', 'images', 'provider', 'telemetry', 'notify'],
  ['bench', 'http'],
  ['cli'],
  ['main'],
];

/** Files beside a room's own that belong to it; `config-file.ts` belongs to `config` by its name. */
const PARTS: Readonly<Record<string, string>> = {
  submission: 'pipeline',
  recovery: 'pipeline',
  trip: 'pipeline',
  gate: 'pipeline',
  folders: 'pipeline',
  kiln: 'pipeline',
  bookkeeper: 'pipeline',
};

/** What may be named in one room only. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  bullmq: ['queue'],
  ioredis: ['queue'],
  'node:sqlite': ['store', 'process'],
  systeminformation: ['telemetry'],
  commander: ['cli'],
};

const SRC = resolve(import.meta.dirname, '../src');
const files = globSync('**/*.ts', { cwd: SRC }).sort();
const imports = files.flatMap((file) => importsOf(file, readFileSync(join(SRC, file), 'utf8')));

describe('the house', () => {
  it('has rooms that design.md names, and no others', () => {
    const known = LEVELS.flat();
    expect(files.filter((file) => !known.includes(roomOf(file)))).toEqual([]);
  });

  it('imports from higher levels to lower ones only', () => {
    expect(imports.filter((one) => one.local && !isAllowed(one)).map(sentence)).toEqual([]);
  });

  it('has no import cycle', () => {
    expect(cycles(imports.filter((one) => one.local))).toEqual([]);
  });

  it('names each part of the outside world in its own room', () => {
    const strangers = imports.filter((one) => !one.local && !(OUTSIDE[one.to]?.includes(roomOf(one.from)) ?? true));
    expect(strangers.map(sentence)).toEqual([]);
  });

  it('reads the environment in config.ts only', () => {
    const readers = files.filter((file) => /\bprocess\.env\b/.test(codeOf(readFileSync(join(SRC, file), 'utf8'))));
    expect(readers.filter((file) => file !== 'config.ts')).toEqual([]);
  });
});

describe('the rules themselves', () => {
  it('refuse an import upwards, sideways, and of a sibling folder', () => {
    const wrong = [
      'store/a.ts -> cli/b.ts',
      'queue/a.ts -> store/b.ts',
      'job/a.ts -> ports.ts',
      'units.ts -> job/a.ts',
    ];
    expect(wrong.map(parsed).filter(isAllowed)).toEqual([]);
  });

  it('allow an import downwards, within a room, and of the types of the ports', () => {
    const right = ['cli/a.ts -> store/b.ts', 'store/a.ts -> store/b.ts', 'config.ts -> config-file.ts'];
    expect(right.map(parsed).every(isAllowed)).toBe(true);
    expect(isAllowed({ ...parsed('job/a.ts -> ports.ts'), typeOnly: true })).toBe(true);
  });

  it('see a cycle of three', () => {
    const knot = ['a.ts -> b.ts', 'b.ts -> c.ts', 'c.ts -> a.ts', 'd.ts -> a.ts'];
    expect(cycles(knot.map(parsed))).toEqual(['a.ts -> b.ts -> c.ts -> a.ts']);
  });

  it('see every form of an import, and none in a comment or a string', () => {
    const text = [
      "import type { A } from './a.ts';",
      "import {\n  b,\n} from './b.ts';",
      "import './c.ts';",
      "export { d } from './d.ts';",
      "const e = await import('./e.ts');",
      "new Worker(new URL('./f.ts', import.meta.url));",
      "// import './g.ts';",
      "import g from 'zod';",
    ].join('\n');
    const found = importsOf('x/y.ts', text);
    expect(found.filter((one) => one.local).map((one) => one.to)).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `x/${name}.ts`),
    );
    expect(found.map((one) => one.typeOnly)).toEqual([true, false, false, false, false, false, false]);
  });
});

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** Of our own; else `to` is the name of a package. */
  readonly local: boolean;
}

function importsOf(from: string, text: string): Import[] {
  const statement =
    /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)|new URL\('([^']+)', import\.meta\.url\)/gm;
  return [...codeOf(text).matchAll(statement)].map((match) => {
    const target = match[2] ?? match[3] ?? match[4] ?? '';
    const local = target.startsWith('.');
    const to = local ? relative(SRC, resolve(SRC, dirname(from), target)) : target;
    return { from, to, typeOnly: match[1] !== undefined, local };
  });
}

function codeOf(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

function roomOf(file: string): string {
  const [first = ''] = file.replace(/\.ts$/, '').split('/');
  const stem = first.replace(/-.*/, '');
  return PARTS[stem] ?? stem;
}

function isAllowed(one: Import): boolean {
  const [from, to] = [roomOf(one.from), roomOf(one.to)];
  return from === to || (one.to === 'ports.ts' && one.typeOnly) || levelOf(to) < levelOf(from);
}

function levelOf(room: string): number {
  return LEVELS.findIndex((rooms) => rooms.includes(room));
}

/** Types of the ports are left out: they vanish before anything runs. */
function cycles(all: readonly Import[]): string[] {
  const next = Map.groupBy(
    all.filter((one) => !(one.to === 'ports.ts' && one.typeOnly)),
    (one) => one.from,
  );
  const found: string[] = [];
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    if (finished.has(file) || path.includes(file)) return;
    for (const one of next.get(file) ?? []) visit(one.to, [...path, file]);
    finished.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return found;
}

function parsed(text: string): Import {
  const [from = '', to = ''] = text.split(' -> ');
  return { from, to, typeOnly: false, local: true };
}

function sentence(one: Import): string {
  return `${one.from} -> ${one.to}`;
}
