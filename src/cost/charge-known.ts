import { InputError } from '../errors.ts';
import type { Charge, LedgerRow } from '../ports.ts';
import { type Millis, nanoOf } from '../units.ts';
import { decimalText } from './decimal.ts';
import { NOTE_TAG } from './report-groups.ts';

/** A charge that is about to be booked, and what of it was said. */
export interface NewCharge {
  /** Currency and tags of a correction that says none are put in place of these. */
  readonly charge: Charge;
  /** Whether the currency is one that somebody wrote, and no default. */
  readonly currencySaid: boolean;
  /** Whether the id is one that somebody chose, and no digest or number of ours. */
  readonly idSaid: boolean;
  /** How far from its time one that was booked under its id may be: it says no time, or none that is sure of its zone. */
  readonly timeWithin: Millis;
  /** What faults are told with. */
  readonly places: { readonly corrects: string; readonly id: string };
}

/** What is booked already. */
export interface Booked {
  row(id: string): Promise<LedgerRow | undefined>;
  /** All charges, credits and corrections. Asked once, and only where there is something to correct. */
  charges(): Promise<readonly LedgerRow[]>;
}

/** How far apart two readings of a time can be, as it was written; undefined: it was not. */
export function doubtOf(time: string | undefined): Millis {
  if (time === undefined) return Number.POSITIVE_INFINITY;
  return /(Z|[+-]\d{2}:\d{2})$/.test(time.trim()) ? 0 : WIDEST_ZONES_MS;
}

/** From the zone where a day begins first to the one where it begins last. */
const WIDEST_ZONES_MS: Millis = 26 * 3_600_000;

/**
 * What is to be booked, checked against what is booked already and against what stands before it. A correction has the
 * currency and the tags of what it corrects, so that it is in the same sums; an id that is known stands for the same charge.
 * @throws InputError `row_missing`, `bad_charge`
 */
export async function checkedCharges(news: readonly NewCharge[], booked: Booked): Promise<readonly Charge[]> {
  const before = new Map<string, Charge>();
  const corrected = news.some(({ charge }) => charge.corrects !== null) ? correctedSums(await booked.charges()) : null;
  for (const one of news) {
    const { corrects, id } = one.charge;
    const target = corrects === null ? undefined : (before.get(corrects) ?? targetOf(await booked.row(corrects)));
    const charge = corrects === null ? one.charge : correcting(one, target, corrects);
    const same = one.idSaid && !before.has(id) ? await booked.row(id) : undefined;
    const known = before.get(id) ?? (same && toldBy(same));
    if (one.idSaid && known !== undefined) requireSame(charge, known, one);
    if (target !== undefined) corrected?.require(charge, target, one.places.corrects);
    before.set(id, charge);
  }
  return [...before.values()];
}

type Target = Pick<LedgerRow, 'kind' | 'currency' | 'tags' | 'service' | 'at'> & Pick<Charge, 'amount'>;

function targetOf(row: LedgerRow | undefined): Target | undefined {
  return row && { ...row, amount: row.total_cost ?? 0 };
}

/** What corrections leave of what they correct: not less than nothing, which would be money that came back. */
function correctedSums(rows: readonly LedgerRow[]) {
  const parts = new Map<string, Map<string, bigint>>();
  const partsOf = (id: string) => {
    const found = parts.get(id) ?? new Map<string, bigint>();
    parts.set(id, found);
    return found;
  };
  for (const { id, corrects, total_cost } of rows)
    if (corrects !== null) partsOf(corrects).set(id, nanoOf(total_cost ?? 0));
  return {
    /** @throws InputError `bad_charge` */
    require({ id, corrects, amount, currency }: Charge, target: Target, place: string): void {
      if (corrects === null) return;
      const all = partsOf(corrects);
      // By id: a correction that is booked already is not added a second time.
      all.set(id, nanoOf(amount));
      const left = [...all.values()].reduce((sum, part) => sum + part, nanoOf(target.amount));
      if (target.kind === 'charge' && left < 0n)
        throw refused(
          `leaves ${decimalText(left)} ${currency} of ${corrects}; what came back beyond its cost is a credit`,
          place,
        );
      if (target.kind === 'credit' && left > 0n)
        throw refused(
          `makes a cost of ${decimalText(left)} ${currency} of the credit ${corrects}; book a charge`,
          place,
        );
    },
  };
}

function correcting(
  { charge, currencySaid, timeWithin, places }: NewCharge,
  target: Target | undefined,
  id: string,
): Charge {
  const place = places.corrects;
  if (target === undefined)
    throw new InputError(`there is no such row; \`kilnwatt ledger ls --charges\` lists them: ${id}`, {
      code: 'row_missing',
      place,
    });
  if (!['charge', 'credit', 'correction'].includes(target.kind))
    throw refused(`${id} is of energy; only charges are corrected by hand`, place);
  if (currencySaid && charge.currency !== target.currency)
    throw refused(`${id} is in ${target.currency}, and so is its correction, not in ${charge.currency}`, place);
  if (charge.service !== target.service)
    throw refused(`${id} is of ${target.service}, and so is its correction, not of ${charge.service}`, place);
  if (charge.at + timeWithin < target.at)
    throw refused(
      `${id} is of ${new Date(target.at).toISOString()}, and its correction cannot be of before that`,
      place,
    );
  const [said, own] = [withoutNote(charge.tags), withoutNote(target.tags)];
  if (tagsText(said) !== '' && tagsText(said) !== tagsText(own))
    throw refused(
      `${id} is tagged ${tagsText(own) || 'with nothing'}, and so is its correction; leave tags out`,
      place,
    );
  return { ...charge, currency: target.currency, tags: { ...charge.tags, ...own } };
}

type Told = Omit<Charge, 'id' | 'amount' | 'kind'> & Pick<LedgerRow, 'kind'>;

function toldBy(row: LedgerRow): Told {
  return {
    at: row.at,
    kind: row.kind,
    service: row.service,
    resourceType: row.resource_type,
    quantity: row.quantity ?? 0,
    unitCost: row.unit_cost ?? 0,
    currency: row.currency,
    method: row.cost_method,
    meter: row.meter as Charge['meter'],
    tags: row.tags,
    corrects: row.corrects,
  };
}

function requireSame(charge: Charge, known: Told, { currencySaid, timeWithin, places }: NewCharge): void {
  const [wanted, booked] = [factsOf(charge), factsOf(known)];
  const name = Object.keys(wanted).find(
    (fact) => (fact !== 'currency' || currencySaid) && wanted[fact] !== booked[fact],
  );
  const early = Math.abs(charge.at - known.at) > timeWithin;
  if (name === undefined && !early) return;
  const difference =
    name === undefined
      ? `the time ${new Date(known.at).toISOString()}, not ${new Date(charge.at).toISOString()}`
      : `the ${name} "${booked[name]}", not "${wanted[name]}"`;
  const { id } = charge;
  const sentence = `${id} is booked already, with ${difference}; correct that (log-cost --correct ${id}), or take another id`;
  throw refused(sentence, places.id);
}

/** All but the time, as texts that are equal where the facts are. */
function factsOf(charge: Told): Readonly<Record<string, string>> {
  const number = (value: number) => decimalText(nanoOf(value));
  return {
    kind: charge.kind,
    service: charge.service,
    type: charge.resourceType,
    quantity: number(charge.quantity),
    'unit cost': number(charge.unitCost),
    currency: charge.currency,
    tags: tagsText(charge.tags),
    corrects: charge.corrects ?? '',
    method: charge.method,
    meter: charge.meter,
  };
}

function withoutNote({ [NOTE_TAG]: _, ...tags }: Charge['tags']): Charge['tags'] {
  return tags;
}

function tagsText(tags: Charge['tags']): string {
  const pairs = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.map(([key, value]) => `${key}=${value}`).join(', ');
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_charge', place });
}
