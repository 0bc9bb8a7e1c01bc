import { InputError } from '../errors.ts';
import type { Draft } from './draft.ts';

/** One line with the command line behind it, which remembers where each field was said. */
export class Said {
  readonly draft: Draft;
  readonly flags: Partial<Draft>;

  constructor(draft: Draft, flags: Partial<Draft>) {
    this.draft = draft;
    this.flags = flags;
  }

  /** The line's own word, or the command line's. */
  get<Name extends keyof Draft>(name: Name): Draft[Name] | undefined {
    return this.draft[name] === undefined ? this.flags[name] : this.draft[name];
  }

  /** The error for a field, at the place that said it. */
  refuse(name: keyof Draft, what: string, code = 'bad_request'): InputError {
    const onLine = this.draft[name] !== undefined || this.flags[name] === undefined;
    return new InputError(what, { code, place: onLine ? this.draft.place : (this.flags.place ?? 'command line') });
  }

  /** The number that was said, or `otherwise`, within its limits. */
  number(
    name: NumberName,
    label: string,
    otherwise: number,
    limits: { least: number; most: number; whole: boolean },
  ): number {
    const value = this.get(name) ?? otherwise;
    if (
      value < limits.least ||
      value > limits.most ||
      (limits.whole && !Number.isInteger(value)) ||
      Number.isNaN(value)
    ) {
      throw this.refuse(name, `${label} must be from ${limits.least} to ${limits.most}, not ${value}`);
    }
    return value;
  }
}

type NumberName = 'width' | 'height' | 'steps' | 'guidance' | 'clipSkip' | 'n';
