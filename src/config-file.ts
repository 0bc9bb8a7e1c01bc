import { readFileSync, statSync } from 'node:fs';
import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import type { Said } from './config-given.ts';
import { faultAt, GROUPS, nearestPath, SETTINGS } from './config-schema.ts';
import { ConfigError, sentenceOf } from './errors.ts';

export interface ConfigFile {
  readonly path: string;
  readonly found: boolean;
  /** Others than the owner may read it. */
  readonly shared: boolean;
  /** By the path of the setting. */
  readonly values: ReadonlyMap<string, Said>;
}

/**
 * Reads one `kilnwatt.yaml`; one that does not exist is empty.
 * @throws ConfigError `bad_config` with file, line and column for bad YAML, unknown keys and bad values
 */
export function readConfigFile(path: string): ConfigFile {
  const text = textOf(path);
  if (text === undefined) return { path, found: false, shared: false, values: new Map() };
  const shared = (statSync(path).mode & 0o077) !== 0;
  return { path, found: true, shared, values: new Reader(path, text).values() };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw new ConfigError(`${path} cannot be read (${sentenceOf(error)}); make it a readable file or remove it`, {
      code: 'bad_config',
      cause: error,
    });
  }
}

/** Walks the document, so that every complaint knows its line. */
class Reader {
  readonly #path: string;
  readonly #lines = new LineCounter();
  readonly #document;
  readonly #values = new Map<string, Said>();

  constructor(path: string, text: string) {
    this.#path = path;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
  }

  values(): ReadonlyMap<string, Said> {
    const fault = this.#document.errors[0] ?? this.#document.warnings[0];
    if (fault !== undefined) throw this.#complaint(fault.pos[0], `is not valid YAML: ${fault.message}`);
    this.#group(this.#document.contents, '', 0);
    return this.#values;
  }

  #group(value: unknown, path: string, offset: number): void {
    const node = isAlias(value) ? value.resolve(this.#document) : value;
    // A group whose lines are all commented out reads as null.
    if (node === null || node === undefined || (isScalar(node) && node.value === null)) return;
    if (!isMap(node)) {
      const where = isNode(node) ? offsetOf(node, offset) : offset;
      const what = path === '' ? 'the file must hold settings' : `${path} must hold settings`;
      throw this.#complaint(where, `${what}, one "name: value" a line`);
    }
    for (const pair of node.items) this.#pair(pair, path, offset);
  }

  #pair(pair: YAMLMap['items'][number], group: string, groupOffset: number): void {
    const offset = isNode(pair.key) ? offsetOf(pair.key, groupOffset) : groupOffset;
    const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const path = group === '' ? name : `${group}.${name}`;
    if (GROUPS.has(path)) this.#group(pair.value, path, offset);
    else this.#setting(path, pair.value, offset);
  }

  #setting(path: string, node: unknown, offset: number): void {
    const setting = SETTINGS.get(path);
    if (setting === undefined) throw this.#complaint(offset, unknownKey(path));
    const value: unknown = isNode(node) ? node.toJS(this.#document) : null;
    const fault = faultAt(setting, value);
    if (fault !== undefined) throw this.#complaint(offsetIn(node, fault.path, offset), fault.message);
    this.#values.set(path, { value, origin: `${this.#path}:${this.#lines.linePos(offset).line}` });
  }

  #complaint(offset: number, message: string): ConfigError {
    const { line, col } = this.#lines.linePos(offset);
    return new ConfigError(`${this.#path}:${line}:${col}: ${message}`, { code: 'bad_config' });
  }
}

/** Of the innermost part on the path that is there. */
function offsetIn(node: unknown, path: readonly (string | number)[], otherwise: number): number {
  const offset = isNode(node) ? offsetOf(node, otherwise) : otherwise;
  const [name, ...rest] = path;
  const inner = name !== undefined && isCollection(node) ? node.get(name, true) : undefined;
  return isNode(inner) ? offsetIn(inner, rest, offset) : offset;
}

function offsetOf(node: Node, otherwise: number): number {
  return node.range?.[0] ?? otherwise;
}

function unknownKey(path: string): string {
  // "price: 0,32" in braces is a price of 0 and a setting 32.
  if (/\.\d+$/.test(path)) return `${path} is not a setting; decimals are written with a point, as in 0.32`;
  const meant = nearestPath(path, [...SETTINGS.keys(), ...GROUPS]);
  const advice = meant === undefined ? 'the settings are listed by "kilnwatt config show"' : `did you mean ${meant}?`;
  return `${path} is not a setting; ${advice}`;
}
