import { InputError } from '../errors.ts';
import type { Charge } from '../ports.ts';
import { decimalOf, type EpochMillis, type Method } from '../units.ts';
import { nanoIn, productOf } from './decimal.ts';
import { NOTE_TAG } from './report-groups.ts';

/** A charge as somebody wrote it. */
export interface SaidCharge {
  readonly id: string;
  readonly at: EpochMillis;
  readonly kind: Charge['kind'];
  readonly service: string;
  readonly resourceType: string;
  /** Plain decimals. */
  readonly quantity: string;
  readonly unitCost: string;
  readonly currency: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly note?: string | undefined;
  /** Id of what it corrects; a correction has one, and nothing else does. */
  readonly corrects: string | null;
  readonly method?: Method;
  readonly meter?: Charge['meter'];
}

/**
 * Quantity times unit cost, exactly, rounded once to the billionth; of a credit with a minus before it.
 * @param place flag, or file and line, that a fault is told with
 * @throws InputError `bad_number`, `bad_charge`
 */
export function chargeOf(said: SaidCharge, place: string): Charge {
  const { kind, corrects, note, method = 'measured', meter = 'invoice', tags } = said;
  const [service, resourceType] = [said.service.trim(), said.resourceType.trim()];
  requirePlain({ id: said.id, service, type: resourceType, tags: Object.entries(tags).flat().join(''), note }, place);
  if (service === '' || resourceType === '') throw refused('needs a service and a type, which say what it was', place);
  const currency = said.currency.trim().toUpperCase();
  if (!/^[A-Z]{3}$/.test(currency))
    throw refused(`needs a currency of three letters as EUR, not "${said.currency}"`, place);
  if ((kind === 'correction') !== (corrects !== null))
    throw refused('names what it corrects if and only if it is a correction', place);
  const quantity = nanoIn(said.quantity, `${place}, quantity`);
  const unitCost = nanoIn(said.unitCost, `${place}, unit cost`);
  const product = productOf(quantity, unitCost, place);
  if ((quantity < 0n || unitCost < 0n) && kind !== 'correction')
    throw refused(
      'is negative; money that came back is a credit (--credit, or the kind "credit"), with a positive quantity and unit cost',
      `${place}, ${quantity < 0n ? 'quantity' : 'unit cost'}`,
    );
  return {
    id: said.id,
    at: said.at,
    kind,
    service,
    resourceType,
    quantity: decimalOf(quantity),
    unitCost: decimalOf(unitCost),
    amount: decimalOf(kind === 'credit' ? -product : product),
    currency,
    method,
    meter,
    tags: note === undefined || note === '' ? tags : { ...tags, [NOTE_TAG]: note },
    corrects,
  };
}

/** What is shown on a terminal and in a page must be no more than text there. */
function requirePlain(texts: Readonly<Record<string, string | undefined>>, place: string): void {
  for (const [name, text] of Object.entries(texts)) {
    const [found] = CONTROL.exec(text ?? '') ?? [];
    if (found === undefined) continue;
    const code = (found.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    throw refused(`has a control character or the end of a line in it (U+${code}); leave it out`, `${place}, ${name}`);
  }
}

/** With the ends of lines and what turns the direction of writing about. */
const CONTROL = /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/u;

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_charge', place });
}
