import { InputError } from '../errors.ts';
import type { LedgerSpan, SumKey } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { type Calendar, dayAfter, QUARTER_MS } from './local-days.ts';
import type { Piece } from './report-money.ts';

/** What a report is grouped by; of `tag`, one name of it, or all of a row's tags together. */
export type Grouping =
  | { readonly kind: 'service' | 'provider' | 'model' | 'preset' | 'run' | 'day' | 'hour' }
  | { readonly kind: 'tag'; readonly name: string | null };

const KINDS = ['service', 'provider', 'model', 'preset', 'run', 'day', 'hour'] as const;

/** @throws InputError `bad_flag` */
export function groupingOf(text: string): Grouping {
  const kind = KINDS.find((one) => one === text);
  if (kind !== undefined) return { kind };
  if (text === 'tag') return { kind: 'tag', name: null };
  if (text.startsWith('tag:') && text.length > 4) return { kind: 'tag', name: text.slice(4) };
  const message = `needs one of ${KINDS.join(', ')}, tag or tag:NAME, not "${text}"`;
  throw new InputError(message, { code: 'bad_flag', place: '--by' });
}

/** What rows have to be kept apart by. Cards always: they are counted. */
export function sumKeysOf(grouping: Grouping | null, tagged: boolean): readonly SumKey[] {
  const keys = new Set<SumKey>(['gpu']);
  if (tagged) keys.add('tags');
  if (grouping === null) return [...keys];
  if (grouping.kind === 'tag') keys.add('tags');
  else if (grouping.kind === 'day' || grouping.kind === 'hour') keys.add('slot');
  else if (grouping.kind === 'provider') keys.add('service');
  else keys.add(grouping.kind);
  return [...keys];
}

/** A group's name; null for what belongs to none. */
export function groupOf(
  { kind, name }: { kind: Grouping['kind']; name: string | null },
  piece: Piece,
  calendar: Calendar,
) {
  switch (kind) {
    case 'provider':
      return piece.kind === 'active' || piece.kind === 'overhead' ? piece.service : null;
    case 'tag':
      return tagOf(tagsOf(piece), name);
    case 'day':
      return calendar.dayOf(piece.slot ?? 0);
    case 'hour':
      return calendar.hourOf(piece.slot ?? 0);
    default:
      return piece[kind];
  }
}

/** Of a row, as it was summed by them. */
export function tagsOf({ tags }: Pick<Piece, 'tags'>): Readonly<Record<string, string>> {
  return tags === null ? {} : (JSON.parse(tags) as Record<string, string>);
}

/** What was noted at a charge is no group of its own. */
export const NOTE_TAG = 'note';

function tagOf(tags: Readonly<Record<string, string>>, name: string | null): string | null {
  if (name !== null) return tags[name] ?? null;
  const said = Object.entries(tags).filter(([key]) => key !== NOTE_TAG);
  if (said.length === 0) return null;
  return said
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

/** The days or hours that tile a span, each with its name. */
export function tiles(kind: 'day' | 'hour', { from, to }: LedgerSpan, calendar: Calendar) {
  const found: (LedgerSpan & { readonly name: string })[] = [];
  for (let at = from; at < to; ) {
    const name = kind === 'day' ? calendar.dayOf(at) : calendar.hourOf(at);
    const next = Math.min(to, kind === 'day' ? calendar.startOf(dayAfter(name)) : hourAfter(at, name, calendar));
    found.push({ from: at, to: next, name });
    at = next;
  }
  return found;
}

function hourAfter(at: EpochMillis, name: string, calendar: Calendar): EpochMillis {
  let next = at;
  do next += QUARTER_MS - (next % QUARTER_MS);
  while (calendar.hourOf(next) === name);
  return next;
}
